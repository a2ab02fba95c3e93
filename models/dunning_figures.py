"""The sums of recovery statistics, which the database adds up: a few rows for each group, however many cases there are.

Each statement reads the cases of a cohort, or their tries, as `models.dunning_cohort` finds them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, Subquery, and_, case, func, literal, or_, select

from domain.dunning.cohort import HORIZON, Cohort, GroupBy
from domain.dunning.statistics import FAILED_PAYMENTS, HORIZON_DAYS, SUCCEEDED_PAYMENTS, Outcome
from domain.outbox import OutboxState
from domain.payment import AttemptStatus, State
from models.dunning_cohort import month_of
from models.session import EpochSeconds
from models.tables import dunning_cases, outbox, payments, subscriptions

_DAY = 86400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def case_cells(connection: Connection, cases: Subquery, now: datetime) -> list[Row[Any]]:
    """Return how many cases of each group are alike, with the amount of their debts."""
    is_recovered = cases.c.outcome == Outcome.RECOVERED
    return _cells(
        connection,
        select(
            cases.c.grp,
            cases.c.currency,
            cases.c.decline_class,
            cases.c.decline_reason,
            cases.c.outcome,
            case((is_recovered, cases.c.source)).label("source"),
            cases.c.amount,
            case((is_recovered, cases.c.seconds), else_=0).label("seconds"),
            case((cases.c.created_at > now - HORIZON, 1), else_=0).label("young"),
        ),
    )


def try_cells(connection: Connection, cases: Subquery, tries: Subquery, now: datetime) -> list[Row[Any]]:
    """Return the same for each try: of the cases that have had it, which ones it has paid."""
    is_paying = (tries.c.attempt_id == cases.c.recovered_by) & (cases.c.outcome == Outcome.RECOVERED)
    return _cells(
        connection,
        select(
            tries.c.number.label("grp"),
            cases.c.currency,
            cases.c.decline_class,
            cases.c.decline_reason,
            case((is_paying, cases.c.outcome), else_=Outcome.WENT_ON).label("outcome"),
            case((is_paying, cases.c.source)).label("source"),
            cases.c.amount,
            case((is_paying, cases.c.seconds), else_=0).label("seconds"),
            case((cases.c.created_at > now - HORIZON, 1), else_=0).label("young"),
        ).join(tries, tries.c.case_id == cases.c.id),
    )


def _cells(connection: Connection, alike: Select[Any]) -> list[Row[Any]]:
    """Add up what is alike. Grouped from outside: PostgreSQL takes two equal parameters for two expressions."""
    found = alike.subquery("alike")
    keys = [found.c[name] for name in ("grp", "currency", "decline_class", "decline_reason", "outcome", "source")]
    sums = [func.sum(found.c[name]).label(name) for name in ("amount", "seconds", "young")]
    return list(connection.execute(select(*keys, func.count().label("cases"), *sums).group_by(*keys)))


def try_sums(connection: Connection, tries: Subquery, *, by_number: bool) -> list[Row[Any]]:
    """Return how many tries of each cause there were in each group, and how many brought money."""
    group = tries.c.number if by_number else tries.c.grp
    succeeded = func.sum(case((tries.c.status == AttemptStatus.SUCCEEDED, 1), else_=0))
    sums = (func.count().label("tries"), succeeded.label("succeeded"))
    return list(
        connection.execute(
            select(group.label("grp"), tries.c.cause, *sums).group_by(group, tries.c.cause).order_by(tries.c.cause)
        )
    )


def mail_sums(connection: Connection, cases: Subquery) -> list[Row[Any]]:
    """Return how many mails were sent about the cases of each group."""
    sent = select(cases.c.grp, func.count().label("mails")).join(outbox, outbox.c.payment_id == cases.c.payment_id)
    return list(connection.execute(sent.where(outbox.c.state == OutboxState.SENT).group_by(cases.c.grp)))


def day_sums(connection: Connection, cases: Subquery) -> list[Row[Any]]:
    """Return on which day after the first failure how many cases of each group were recovered."""
    day = (cases.c.seconds // _DAY).label("day")
    recovered = select(cases.c.grp, day).where(cases.c.outcome == Outcome.RECOVERED).subquery("recovered")
    keys = (recovered.c.grp, recovered.c.day)
    return list(connection.execute(select(*keys, func.count().label("cases")).group_by(*keys)))


def median_seconds(connection: Connection, cases: Subquery) -> list[Row[Any]]:
    """Return the time in the middle of each group: from the first failure to the money, of recovered cases."""
    place = func.row_number().over(partition_by=cases.c.grp, order_by=cases.c.seconds)
    size = func.count().over(partition_by=cases.c.grp)
    ranked = (
        select(cases.c.grp, cases.c.seconds, (place * 2 - size).label("place"))
        .where(cases.c.outcome == Outcome.RECOVERED)
        .subquery("ranked")
    )
    low, high = func.min(ranked.c.seconds).label("low"), func.max(ranked.c.seconds).label("high")
    in_the_middle = ranked.c.place.between(0, 2)
    return list(connection.execute(select(ranked.c.grp, low, high).where(in_the_middle).group_by(ranked.c.grp)))


def subscription_sums(connection: Connection, cases: Subquery) -> list[Row[Any]]:
    """Return how many subscriptions each group has, and of how many every case is recovered within the horizon."""
    is_recovered = case((cases.c.outcome == Outcome.RECOVERED, 1), else_=0)
    of_one = (
        select(cases.c.grp, func.min(is_recovered).label("saved"))
        .where(cases.c.subscription_id.is_not(None))
        .group_by(cases.c.grp, cases.c.application, cases.c.subscription_id)
        .subquery("of_one")
    )
    sums = (func.count().label("subscriptions"), func.sum(of_one.c.saved).label("saved"))
    return list(connection.execute(select(of_one.c.grp, *sums).group_by(of_one.c.grp)))


def open_debts(connection: Connection, cases: Subquery, now: datetime) -> list[Row[Any]]:
    """Return the open cases of each group by currency, class and age in days, with what is owed."""
    open_cases = (
        select(cases.c.grp, cases.c.currency, cases.c.decline_class, _age(cases, now), cases.c.amount)
        .where(cases.c.outcome == Outcome.OPEN)
        .subquery("open_cases")
    )
    return _at_risk(connection, open_cases)


def open_periods(connection: Connection, cases: Subquery, now: datetime) -> list[Row[Any]]:
    """Return the same of subscriptions with an open case: what each of them brings in one period, by its oldest one."""
    place = func.row_number().over(
        partition_by=(cases.c.grp, cases.c.application, cases.c.subscription_id),
        order_by=(cases.c.created_at, cases.c.id),
    )
    is_its = and_(subscriptions.c.id == cases.c.subscription_id, subscriptions.c.application == cases.c.application)
    ranked = (
        select(
            cases.c.grp,
            subscriptions.c.currency,
            cases.c.decline_class,
            _age(cases, now),
            subscriptions.c.amount,
            place.label("place"),
        )
        .join(subscriptions, is_its)
        .where(cases.c.outcome == Outcome.OPEN, subscriptions.c.amount.is_not(None))
        .subquery("ranked")
    )
    oldest = select(*(column for column in ranked.c if column.name != "place")).where(ranked.c.place == 1)
    return _at_risk(connection, oldest.subquery("oldest"))


def _age(cases: Subquery, now: datetime) -> ColumnElement[Any]:
    days = (int(now.timestamp()) - EpochSeconds(cases.c.created_at)) // _DAY
    return case((days > HORIZON_DAYS, HORIZON_DAYS), (days < 0, 0), else_=days).label("age")


def _at_risk(connection: Connection, found: Subquery) -> list[Row[Any]]:
    keys = (found.c.grp, found.c.currency, found.c.decline_class, found.c.age)
    sums = (func.count().label("cases"), func.sum(found.c.amount).label("amount"))
    return list(connection.execute(select(*keys, *sums).group_by(*keys).order_by(*keys)))


def closed_cells(connection: Connection, cases: Subquery) -> Iterator[Row[Any]]:
    """Yield how cases that have reached the horizon have ended, by class and by the day on which they closed."""
    day = case(
        (cases.c.closed_at.is_(None) | (cases.c.seconds >= HORIZON_DAYS * _DAY), HORIZON_DAYS),
        else_=cases.c.seconds // _DAY,
    )
    is_recovered = case((cases.c.outcome == Outcome.RECOVERED, 1), else_=0)
    found = select(cases.c.decline_class, day.label("day"), is_recovered.label("is_recovered")).subquery("ended")
    keys = (found.c.decline_class, found.c.day, found.c.is_recovered)
    yield from connection.execute(select(*keys, func.count().label("cases")).group_by(*keys))


# Payments are grouped by what they have themselves.
_GROUPS_OF_PAYMENTS: dict[GroupBy, ColumnElement[Any]] = {
    GroupBy.PROVIDER: payments.c.provider,
    GroupBy.CURRENCY: payments.c.currency,
    GroupBy.APPLICATION: payments.c.application,
}


def payment_sums(connection: Connection, cohort: Cohort, group_by: GroupBy | None) -> list[Row[Any]] | None:
    """Return how many payments that were accepted in the range have collected, and how many have failed; None where
    only cases have groups of this kind."""
    if group_by is None:
        group: ColumnElement[Any] = literal("")
    elif group_by is GroupBy.COHORT:
        group = month_of(payments.c.created_at, cohort)
    elif group_by in _GROUPS_OF_PAYMENTS:
        group = _GROUPS_OF_PAYMENTS[group_by]
    else:
        return None
    was_dunned = (payments.c.state == State.CANCELED) & dunning_cases.c.id.is_not(None)
    has_failed = or_(payments.c.state.in_(sorted(FAILED_PAYMENTS)), was_dunned)
    counted = (
        select(
            group.label("grp"),
            case((payments.c.state.in_(sorted(SUCCEEDED_PAYMENTS)), 1), else_=0).label("succeeded"),
            case((has_failed, 1), else_=0).label("failed"),
        )
        .join(dunning_cases, dunning_cases.c.payment_id == payments.c.id, isouter=True)
        .where(*_accepted_within(cohort))
        .subquery("counted")
    )
    sums = (func.sum(counted.c.succeeded).label("succeeded"), func.sum(counted.c.failed).label("failed"))
    return list(connection.execute(select(counted.c.grp, *sums).group_by(counted.c.grp)))


def _accepted_within(cohort: Cohort) -> tuple[ColumnElement[bool], ...]:
    # Ids begin with their time, to the millisecond: the key finds the payments, no index of its own is needed.
    millisecond = timedelta(milliseconds=1)
    first, last = ((at - _EPOCH) // millisecond for at in (cohort.begin, cohort.end))
    return (
        payments.c.id >= f"pay_{first:012x}",
        payments.c.id < f"pay_{last + 1:012x}",
        payments.c.created_at >= cohort.begin,
        payments.c.created_at < cohort.end,
    )
