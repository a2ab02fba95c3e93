"""How well fraud scoring has done in a month: every figure with its numerator, its denominator and its rate."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from typing import Any

from sqlalchemy import Connection, Row, func, select

from domain.fraud import Reason, RuleSet
from domain.fraud.amounts import in_base
from domain.fraud.labels import is_fraud
from domain.fraud.quality import Judged, Quality
from domain.fraud.rule_set import FraudDecision
from domain.money import Money
from domain.months import next_month
from models.fraud.assessments import Stage
from models.fraud.monitoring_figures import monitored_months
from models.fraud.rule_sets import rule_sets_in_use
from models.session import begin_report
from models.tables import fraud_assessments, fraud_labels, fraud_reviews, payments

_ROWS = 2_000
_DAY = 86_400
_scores = fraud_assessments.c
# The last score that decided something: that before the charge, or that of the results.
_later = fraud_assessments.alias()
_deciding = (
    select(func.max(_later.c.number))
    .where(_later.c.payment_id == _scores.payment_id, _later.c.stage != Stage.RESCORE)
    .scalar_subquery()
)


@dataclass
class _Found:
    """What the payments of a month add up to. `late`: the seconds from the score of a fraud whose money was taken to
    its first label. `stopped`: frauds that a person has stopped."""

    quality: Quality = field(default_factory=Quality)
    unavailable: Counter[str] = field(default_factory=Counter)
    labeled: int = 0
    late: list[int] = field(default_factory=list)
    late_amount: int = 0
    stopped: int = 0


def show_fraud_statistics(
    connection: Connection, month: datetime, now: datetime, configured: RuleSet, base_currency: str
) -> dict[str, Any]:
    """Return the figures of the payments that were scored in a month, with what is known of them now."""
    begin_report(connection)
    end = next_month(month)
    found = _read_scores(connection, month, end, base_currency)
    live = rule_sets_in_use(connection, configured).live
    all_, bands = found.quality.all, found.quality.bands
    return {
        "month": f"{month:%Y-%m}",
        "is_over": end <= now,
        "base_currency": base_currency,
        "scored": all_.count,
        "decisions": {each: _ratio(bands[each].count, all_.count) for each in FraudDecision},
        "labeled": _ratio(found.labeled, all_.count),
        "confirmed_fraud": {**_ratio(all_.frauds, all_.count), "amount": _units(all_.fraud_amount)},
        "detection": {
            **_ratio(bands[FraudDecision.BLOCK].frauds, all_.frauds),
            "amount": _units(bands[FraudDecision.BLOCK].fraud_amount),
        },
        "found_late": {
            **_ratio(len(found.late), all_.frauds),
            "amount": _units(found.late_amount),
            "median_days": int(median(found.late)) // _DAY if found.late else None,
        },
        "stopped_in_review": _ratio(found.stopped, all_.frauds),
        "reviews": _reviews(connection, month, end, all_.count),
        "unavailable": {rule: _ratio(count, all_.count) for rule, count in found.unavailable.most_common()},
        "rule_set": live.version,
        "rules": _rules(found, live),
        "monitoring": list(monitored_months(connection, month, now)),
    }


def _read_scores(connection: Connection, begin: datetime, end: datetime, base_currency: str) -> _Found:
    labels = _read_labels(connection, begin, end)
    query = (
        select(fraud_assessments, payments.c.amount, payments.c.currency, payments.c.captured)
        .join(payments, payments.c.id == _scores.payment_id)
        .where(_scores.at >= begin, _scores.at < end, _scores.number == _deciding)
        .execution_options(yield_per=_ROWS)
    )
    found = _Found()
    for row in connection.execute(query):
        _add(found, row, labels.get(row.payment_id, {}), base_currency)
    return found


def _read_labels(connection: Connection, begin: datetime, end: datetime) -> dict[str, dict[str, Row[Any]]]:
    """Return the labels of the payments that were scored in a time, by payment and source."""
    is_scored = _scores.payment_id == fraud_labels.c.payment_id
    scored = select(_scores.payment_id).where(is_scored, _scores.at >= begin, _scores.at < end).exists()
    labels: dict[str, dict[str, Row[Any]]] = {}
    for row in connection.execute(select(fraud_labels).where(scored)):
        labels.setdefault(row.payment_id, {})[row.source] = row
    return labels


def _add(found: _Found, row: Row[Any], labels: dict[str, Row[Any]], base_currency: str) -> None:
    decision = FraudDecision(row.decision)
    was_fraud = is_fraud({source: bool(label.is_fraud) for source, label in labels.items()})
    amount = in_base(Money(row.amount, row.currency), base_currency) or 0
    reasons = [Reason(each["rule"], each["points"], each["value"]) for each in row.reasons]
    found.quality.add(Judged(row.score, decision, reasons, was_fraud, amount))
    found.unavailable.update(row.unavailable)
    found.labeled += bool(labels)
    if was_fraud and row.captured:
        known_at = min(label.at for label in labels.values() if label.is_fraud)
        found.late.append(int((known_at - row.at).total_seconds()))
        found.late_amount += amount
    elif was_fraud and decision is FraudDecision.REVIEW:
        found.stopped += 1


def _rules(found: _Found, live: RuleSet) -> dict[str, dict[str, Any]]:
    """Return each rule of the live rule set, and any other that has fired. Precision is of all payments that it fired
    on: what has no label counts as genuine."""
    tallies = found.quality.rules
    names = [*live.curves, *sorted(tallies.keys() - live.curves.keys())]
    return {
        name: {
            "fired": tallies[name].count if name in tallies else 0,
            "frauds": tallies[name].frauds if name in tallies else 0,
            "precision": tallies[name].precision if name in tallies and found.labeled else None,
            "is_live": name in live.curves,
        }
        for name in names
    }


def _reviews(connection: Connection, begin: datetime, end: datetime, scored: int) -> dict[str, Any]:
    reviews = fraud_reviews.c
    opened = select(fraud_reviews).where(reviews.opened_at >= begin, reviews.opened_at < end)
    rows = connection.execute(opened).all()
    outcomes = Counter(row.outcome or "open" for row in rows)
    waits = [int((row.closed_at - row.opened_at).total_seconds()) for row in rows if row.closed_at is not None]
    return {
        "opened": _ratio(len(rows), scored),
        "outcomes": {outcome: _ratio(count, len(rows)) for outcome, count in sorted(outcomes.items())},
        "median_minutes": int(median(waits)) // 60 if waits else None,
    }


def _ratio(numerator: int, denominator: int) -> dict[str, Any]:
    rate = numerator / denominator if denominator else None
    return {"numerator": numerator, "denominator": denominator, "rate": rate}


def _units(amount: int) -> str:
    """Return an amount in hundredths of the base currency as text."""
    return f"{amount // 100}.{amount % 100:02d}"
