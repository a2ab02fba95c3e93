"""Counts the card payments of a month as the networks' monitoring programs do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, case, func, select

from domain.disputes import DisputeStatus
from domain.fraud.labels import LabelSource, label_of_dispute
from domain.fraud.monitoring import Month, Standing, standings
from domain.months import next_month
from domain.payment_methods import CARDS
from models.fraud.signals import SignalKind
from models.movements import TAKING
from models.tables import disputes, events, fraud_labels, fraud_signals, movements, payments

MONTHS = 6
_OPENED = "dispute_opened"
_is_card = payments.c.method.in_(sorted(CARDS))


def monitored_months(connection: Connection, last: datetime, now: datetime) -> Iterator[dict[str, Any]]:
    """Yield where the card payments of a month, and of those before it, stand in the programs, oldest first."""
    before = _settled(connection, next_month(last, -MONTHS))
    for number in reversed(range(MONTHS)):
        begin = next_month(last, -number)
        month = _read(connection, begin, before)
        before = month.settled
        yield _view(month, is_over=next_month(begin) <= now)


def _read(connection: Connection, begin: datetime, settled_before: int) -> Month:
    opened = _opened_disputes(connection, begin)
    tries, declines = _tries(connection, begin)
    return Month(
        begin.date(),
        settled=_settled(connection, begin),
        settled_before=settled_before,
        disputes=len(opened),
        fraud_disputes=sum(label_of_dispute(*each, DisputeStatus.OPEN) is True for each in opened),
        fraud_reports=_fraud_reports(connection, begin),
        tries=tries,
        declines=declines,
    )


def _within(column: Any, begin: datetime) -> ColumnElement[bool]:
    within: ColumnElement[bool] = (column >= begin) & (column < next_month(begin))
    return within


def _settled(connection: Connection, begin: datetime) -> int:
    taken = movements.c.kind.in_(sorted(TAKING)) & _within(movements.c.booked_at, begin)
    query = select(func.count(movements.c.payment_id.distinct())).where(taken, _is_card)
    return connection.scalar(query.join(payments, payments.c.id == movements.c.payment_id)) or 0


def _opened_disputes(connection: Connection, begin: datetime) -> list[tuple[str, str]]:
    """Return provider and reason of each dispute of a card payment that was opened in a month."""
    told = select(events.c.id).where(
        events.c.payment_id == disputes.c.payment_id, events.c.name == _OPENED, _within(events.c.at, begin)
    )
    query = (
        select(disputes.c.provider, disputes.c.reason)
        .join(payments, payments.c.id == disputes.c.payment_id)
        .where(disputes.c.is_return.is_(False), _is_card, told.exists())
    )
    return [(row.provider, row.reason) for row in connection.execute(query)]


def _fraud_reports(connection: Connection, begin: datetime) -> int:
    is_report = fraud_labels.c.source == LabelSource.EARLY_FRAUD_WARNING
    query = select(func.count()).select_from(fraud_labels).where(is_report, _within(fraud_labels.c.at, begin))
    return connection.scalar(query) or 0


def _tries(connection: Connection, begin: datetime) -> tuple[int, int]:
    kind = fraud_signals.c.kind
    counted = (func.count(case((kind == each, 1))) for each in (SignalKind.TRY, SignalKind.DECLINED))
    row = connection.execute(select(*counted).where(_within(fraud_signals.c.at, begin))).one()
    return row[0], row[1]


def _view(month: Month, *, is_over: bool) -> dict[str, Any]:
    return {
        "month": f"{month.begins:%Y-%m}",
        "is_over": is_over,
        "settled": month.settled,
        "disputes": month.disputes,
        "fraud_disputes": month.fraud_disputes,
        "fraud_reports": month.fraud_reports,
        "tries": month.tries,
        "declines": month.declines,
        "programs": [_standing_view(each) for each in standings(month)],
    }


def _standing_view(standing: Standing) -> dict[str, Any]:
    program = standing.program
    return {
        "name": program.name,
        "network": program.network,
        "measure": program.measure,
        "since": program.since.isoformat(),
        "source": program.source,
        "numerator": standing.count,
        "denominator": standing.of,
        "hundredths_of_percent": standing.share,
        "least_count": program.least_count,
        "least_hundredths_of_percent": program.least_share,
        "is_reached": standing.is_reached,
    }
