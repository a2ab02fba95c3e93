"""Every write of the global brake: it goes on with a declined try, and off with the first look at calmer traffic.

Its row is never waited for: who finds it locked leaves the switching to whoever holds it."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, case, func, select, update

from domain.attention import Reason
from domain.fraud.brake import BrakeAction, Traffic, first_buckets, is_under_attack
from domain.fraud.windows import BucketSize
from models.attention import close_entries_of_provider, open_entry
from models.audit import record_event
from models.change import Change
from models.fraud.signals import hashes_of_application
from models.session import insert_new
from models.tables import fraud_brakes, fraud_counters

_log = logging.getLogger(__name__)

_counters = fraud_counters.c
_is_recent = (_counters.size == int(BucketSize.FIVE_MINUTES)) & (_counters.bucket >= bindparam("recent"))
_is_usual = (
    (_counters.size == int(BucketSize.DAY))
    & (_counters.bucket >= bindparam("first_day"))
    & (_counters.bucket < bindparam("today"))
)


def _total(name: str, is_counted: Any) -> Any:
    return func.coalesce(func.sum(case((is_counted, _counters[name]), else_=0)), 0)


_select_traffic: Any = select(
    _total("tries", _is_recent),
    _total("declines", _is_recent),
    _total("tries", _is_usual),
    _total("declines", _is_usual),
).where(_counters.entity.in_(bindparam("entities", expanding=True)), _is_recent | _is_usual)
_select_brake = select(fraud_brakes).where(fraud_brakes.c.application == bindparam("name"))
_lock_brake = _select_brake.with_for_update(skip_locked=True)


class Seen(NamedTuple):
    """The traffic of an application: of the last minutes, and what is usual."""

    recent: Traffic
    usual: Traffic


def read_traffic(connection: Connection, application: str, now: Any) -> Seen:
    """Return the tries of an application and how many were declined, lately and usually."""
    recent, first_day, today = first_buckets(now)
    named = {"entities": hashes_of_application(application), "recent": recent, "first_day": first_day, "today": today}
    row = connection.execute(_select_traffic, named).one()
    return Seen(Traffic(int(row[0]), int(row[1])), Traffic(int(row[2]), int(row[3])))


def look_at_declines(change: Change, application: str) -> None:
    """Put the brake of an application on if too many of its tries are declined. Called with each decline."""
    policy = change.policy.fraud
    if not policy.has_limits:
        return
    seen = read_traffic(change.connection, application, change.now)
    if not is_under_attack(*seen, policy.brake):
        return
    insert_new(change.connection, fraud_brakes, {"application": application, "on_since": None, "looked_at": change.now})
    row = change.connection.execute(_lock_brake, {"name": application}).one_or_none()
    if row is None or row.on_since is not None:
        return
    _switch(change, application, "fraud_brake_on", seen)
    data = {"application": application, "action": policy.brake.action}
    open_entry(change, Reason.FRAUD_BRAKE, provider=application[:40], data=data)
    _log.error(
        "fraud brake of %s on: %s of %s tries declined within 15 minutes; strangers: %s",
        application,
        seen.recent.declines,
        seen.recent.tries,
        policy.brake.action,
    )


def brake_on_strangers(change: Change, application: str) -> BrakeAction | None:
    """Return what is done to a stranger now; None if the brake is off. It goes off here once the traffic is calm."""
    policy = change.policy.fraud
    if not policy.has_limits:
        return None
    row = change.connection.execute(_select_brake, {"name": application}).one_or_none()
    if row is None or row.on_since is None:
        return None
    seen = read_traffic(change.connection, application, change.now)
    if is_under_attack(*seen, policy.brake):
        return policy.brake.action
    _release(change, application, seen)
    return None


def release_calm_brakes(change: Change) -> None:
    """Put every brake off whose application is calm again, also where nobody tries anything."""
    for application in change.connection.scalars(
        select(fraud_brakes.c.application).where(fraud_brakes.c.on_since.is_not(None))
    ).all():
        brake_on_strangers(change, application)


def _release(change: Change, application: str, seen: Seen) -> None:
    row = change.connection.execute(_lock_brake, {"name": application}).one_or_none()
    if row is None or row.on_since is None:
        return
    _switch(change, application, "fraud_brake_off", seen)
    close_entries_of_provider(change, application[:40], (Reason.FRAUD_BRAKE,))
    _log.warning("fraud brake of %s off", application)


def _switch(change: Change, application: str, event: str, seen: Seen) -> None:
    on_since = change.now if event == "fraud_brake_on" else None
    is_it = fraud_brakes.c.application == application
    values = {"on_since": on_since, "looked_at": change.now}
    change.connection.execute(update(fraud_brakes).where(is_it).values(values))
    data = {
        "application": application,
        "tries": seen.recent.tries,
        "declines": seen.recent.declines,
        "usual_tries": seen.usual.tries,
        "usual_declines": seen.usual.declines,
    }
    record_event(change.connection, event, actor=change.actor, now=change.now, data=data)


def brakes(connection: Connection) -> list[Any]:
    """Return every brake that was ever on, by application."""
    return list(connection.execute(select(fraud_brakes).order_by(fraud_brakes.c.application)))
