"""Circuit breakers: one row for each provider and verb that has failed lately, shared by all workers.

A call that succeeds costs nothing here: the row is read with the attempt that is claimed, and there is none while
nothing fails. Only technical failures are counted, never declines."""

from __future__ import annotations

import math
import time
from typing import Any

from sqlalchemy import Connection, Engine, Row, case, or_, select, update

from domain.breaker import BreakerPolicy, breaker_of
from domain.payment import Verb
from models.audit import record_event
from models.change import Change
from models.clock import Clock
from models.session import insert_new, read
from models.tables import breakers


def allows(change: Change, locked: Row[Any]) -> bool:
    """Tell whether a locked attempt may be sent: its breaker is closed, or this call is the one that probes."""
    if locked.breaker_opened_at is None:
        return True
    policy = change.policy.breaker
    if policy.is_open(locked.breaker_opened_at, change.now):
        return False
    is_free = or_(breakers.c.probe_until.is_(None), breakers.c.probe_until <= change.now)
    probe = update(breakers).where(_is_of(locked.attempt_provider, breaker_of(locked.attempt_verb)), is_free)
    return bool(change.connection.execute(probe.values(probe_until=change.now + policy.probe_lasts)).rowcount)


def count_failure(change: Change, provider: str, verb: str) -> None:
    """Count a technical failure. Enough of them in a row open the breaker; a failed probe opens it again."""
    policy, now, verb = change.policy.breaker, change.now, breaker_of(verb)
    insert_new(change.connection, breakers, {"provider": provider, "verb": verb, "failures": 0, "failed_at": now})
    failures = breakers.c.failures + 1
    counted = update(breakers).where(_is_of(provider, verb)).returning(breakers.c.failures)
    columns = {
        "failures": failures,
        "failed_at": now,
        "probe_until": None,
        "opened_at": case((failures >= policy.failures, now), else_=None),
    }
    if change.connection.execute(counted.values(columns)).scalar_one() == policy.failures:
        _record(change, "breaker_opened", provider, verb)


def count_success(change: Change, provider: str, verb: str) -> None:
    """Close a breaker that has counted failures."""
    verb = breaker_of(verb)
    is_it = _is_of(provider, verb)
    row = change.connection.execute(select(breakers).where(is_it).with_for_update()).one_or_none()
    if row is None or not row.failures:
        return
    closed = {"failures": 0, "opened_at": None, "probe_until": None}
    change.connection.execute(update(breakers).where(is_it).values(closed))
    if row.opened_at is not None:
        _record(change, "breaker_closed", provider, verb)


def find_breakers(connection: Connection) -> list[Row[Any]]:
    """Return the breakers that have counted failures."""
    failing = select(breakers).where(breakers.c.failures > 0).order_by(breakers.c.provider, breakers.c.verb)
    return list(connection.execute(failing).all())


def _is_of(provider: str, verb: str) -> Any:
    return (breakers.c.provider == provider) & (breakers.c.verb == verb)


def _record(change: Change, name: str, provider: str, verb: str) -> None:
    data = {"provider": provider, "verb": verb}
    record_event(change.connection, name, actor=change.actor, now=change.now, data=data)


class ProviderHealth:
    """Which providers fail right now, for routing. Each process reads it at most once a second."""

    _SECONDS = 1.0

    def __init__(self, engine: Engine, clock: Clock, policy: BreakerPolicy) -> None:
        self._engine = engine
        self._clock = clock
        self._policy = policy
        self._read_at = -math.inf
        self._down: frozenset[str] = frozenset()

    def down(self) -> frozenset[str]:
        """Return the providers whose charges are refused now.

        A provider that may be probed is left out: if routing avoided it, no call would ever probe it."""
        if time.monotonic() - self._read_at > self._SECONDS:
            now = self._clock.now()
            self._down = frozenset(
                row.provider
                for row in read(self._engine, find_breakers)
                if Verb(row.verb).is_collecting and self._policy.is_open(row.opened_at, now)
            )
            self._read_at = time.monotonic()
        return self._down
