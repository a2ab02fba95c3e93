"""Every write of a backtest: a rule set that a worker judges on the stored decisions and their labels."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, insert, select, update

from domain.errors import NotFound
from domain.fraud import RuleSet, Scored, assess
from domain.fraud.facts import ListKind
from domain.fraud.quality import Judged, Quality
from domain.fraud.quality_form import quality_as_plain
from domain.fraud.rule_set_form import as_plain, from_plain
from models.change import Change
from models.fraud.assessments import FIRST
from models.fraud.labels import fraud_among
from models.session import begin_report
from models.tables import fraud_assessments, fraud_backtests, payments
from models.tables.base import new_id
from models.task_messages import BACKTEST, TaskMessage, is_due

# Longer than any backtest; a worker that dies leaves it to the next one.
_LEASE = timedelta(minutes=10)
# One that ends its workers is given up.
_MOST_CLAIMS = 3
_PAGE = 1_000


class Backtest(NamedTuple):
    """What is judged."""

    id: str
    rule_set: RuleSet
    since: datetime


def request_backtest(change: Change, rule_set: RuleSet, since: datetime) -> str:
    """Store a backtest, due now; return its id."""
    backtest_id = new_id("bt", change.now)
    values = {
        "id": backtest_id,
        "version": rule_set.version,
        "rules": as_plain(rule_set),
        "since": since,
        "author": change.actor,
        "created_at": change.now,
        "due_at": change.now,
        "claims": 0,
    }
    change.connection.execute(insert(fraud_backtests), values)
    change.outgoing.append(TaskMessage(BACKTEST, backtest_id))
    return backtest_id


def claim_backtest(change: Change, backtest_id: str) -> Backtest | None:
    """Take a due backtest for a while; None if it is not due, or was begun too often."""
    is_it = fraud_backtests.c.id == backtest_id
    row = change.connection.execute(select(fraud_backtests).where(is_it).with_for_update()).one_or_none()
    if row is None or not is_due(row.due_at, row.published_at, change.now):
        return None
    if row.claims >= _MOST_CLAIMS:
        finish_backtest(change, backtest_id, None)
        return None
    taken = {"due_at": change.now + _LEASE, "claims": row.claims + 1}
    change.connection.execute(update(fraud_backtests).where(is_it).values(taken))
    return Backtest(row.id, from_plain(row.version, row.rules), row.since)


def judge_decisions(connection: Connection, backtest: Backtest) -> Quality:
    """Return how good a rule set would have been on the decisions before charges since a time.

    Each is scored again from the numbers that were stored with it, and judged by the labels that are known now."""
    begin_report(connection)
    quality = Quality()
    for judged in _judged(connection, backtest):
        quality.add(judged)
    return quality


def _judged(connection: Connection, backtest: Backtest) -> Iterator[Judged]:
    first = fraud_assessments.c
    query = (
        select(fraud_assessments, payments.c.method, payments.c.currency)
        .join(payments, payments.c.id == first.payment_id)
        .where(first.number == FIRST, first.at >= backtest.since)
        .order_by(first.payment_id)
        .limit(_PAGE)
    )
    after = ""
    while rows := connection.execute(query.where(first.payment_id > after)).all():
        frauds = fraud_among(connection, (row.payment_id for row in rows))
        for row in rows:
            yield _judge(row, backtest.rule_set, is_fraud=row.payment_id in frauds)
        after = rows[-1].payment_id


def _judge(row: Row[Any], rule_set: RuleSet, *, is_fraud: bool) -> Judged:
    lists = frozenset(ListKind(name) for name in row.lists)
    scored = Scored(row.numbers, row.method, row.currency, lists, has_history=row.has_history)
    assessment = assess(rule_set, scored)
    amount = row.numbers.get("amount", 0) * 100
    return Judged(assessment.score, assessment.decision, assessment.reasons, is_fraud, amount)


def finish_backtest(change: Change, backtest_id: str, quality: Quality | None) -> None:
    """Store what came of a backtest; None if it has failed."""
    values = {"due_at": None, "finished_at": change.now, "quality": quality and quality_as_plain(quality)}
    change.connection.execute(update(fraud_backtests).where(fraud_backtests.c.id == backtest_id).values(values))


def find_backtest(connection: Connection, backtest_id: str) -> Row[Any]:
    """Return a backtest. Raises NotFound."""
    row = connection.execute(select(fraud_backtests).where(fraud_backtests.c.id == backtest_id)).one_or_none()
    if row is None:
        raise NotFound(f"no backtest {backtest_id}")
    return row
