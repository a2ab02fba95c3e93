"""Recovery statistics counted by hand: row by row, from the audit trail, the attempts and the movements.

Of a dunning case's row it reads only what no event tells: its policy, and whether it is held out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from statistics import median
from typing import Any

from domain.decline import FIELDS, reason_by
from domain.dunning.policy import DunningPolicy
from domain.money import decimal_text
from models.tables import attempts, dunning_cases, events, movements, outbox, payments, subscriptions
from tests.system import System

DAY = 86400
HORIZON = timedelta(days=28)
OPENING = ("retry_scheduled", "grace_started", "consent_withdrawn")
LOST = (
    "retries_failed",
    "only_watched",
    "needs_customer",
    "hard",
    "consent_withdrawn",
    "stopped",
    "taken_back",
    "unknown",
)
CAUSES = ("dunning", "customer_retry", "method_updated", "updater", "backup_method", "operator", "application")
SUCCEEDED = ("captured", "partially_refunded", "refunded")
FAILED = ("declined", "failed", "past_due", "in_grace", "uncollectible", "reversed")
PLANNED = (None, "dunning")
BY_CLASS = {"technical": "retries_failed", "soft": "retries_failed"}


@dataclass
class Told:
    """A case as the events of its payment tell it."""

    row: Any
    payment: Any
    opened_at: datetime
    provider: str
    decline_class: str | None
    reason: str | None
    state: str = "open"
    last_class: str | None = None
    closed_at: datetime | None = None
    paid_by: str | None = None
    tries: list[Any] = field(default_factory=list)
    mails: int = 0
    outcome: str = ""
    source: str | None = None

    @property
    def seconds(self) -> int:
        assert self.closed_at is not None
        return int(self.closed_at.timestamp()) - int(self.opened_at.timestamp())


class Books:
    """Everything that is stored, by hand."""

    def __init__(self, system: System) -> None:
        self.now = system.now()
        self.payments = {row.id: row for row in system.rows(payments)}
        self.attempts = {row.id: row for row in system.rows(attempts)}
        self.subscriptions = {(row.id, row.application): row for row in system.rows(subscriptions)}
        self.events: dict[str, list[Any]] = {}
        for event in system.rows(events):
            self.events.setdefault(event.payment_id, []).append(event)
        self.movements: dict[str, list[Any]] = {}
        for moved in system.rows(movements):
            self.movements.setdefault(moved.payment_id, []).append(moved)
        self.mails = [row.payment_id for row in system.rows(outbox) if row.state == "sent"]
        self.states = {id: self._last_state(id) for id in self.payments}
        self.cases = [self._told(row) for row in system.rows(dunning_cases)]

    def _last_state(self, payment_id: str) -> str:
        return str([event.to_state for event in self.events[payment_id] if event.to_state][-1])

    def _told(self, row: Any) -> Told:
        happened = self.events[row.payment_id]
        opening = next(event for event in happened if event.name in OPENING)
        tried = self.attempts.get(opening.attempt_id)
        codes = {name: getattr(tried, name) for name in FIELDS} if tried else {}
        is_declined = bool(tried and "class" in (opening.data or {}))
        case = Told(
            row,
            self.payments[row.payment_id],
            opening.at,
            tried.provider if tried else self.payments[row.payment_id].provider,
            self._class(opening, happened),
            reason_by(tried.provider, codes, "visa") if tried and is_declined else None,
        )
        for event in happened[happened.index(opening) :]:
            self._follow(case, event, happened)
        self._judge(case)
        return case

    def _class(self, event: Any, happened: list[Any]) -> str | None:
        if "class" in (event.data or {}):
            return str(event.data["class"])
        if "reversed" not in (event.data or {}):
            return "hard"  # a dispute
        before = [other.data["class"] for other in happened if other.id < event.id and "class" in (other.data or {})]
        return str(before[-1])

    def _follow(self, case: Told, event: Any, happened: list[Any]) -> None:
        data = event.data or {}
        if event.name in OPENING:
            tried = self.attempts.get(event.attempt_id)
            is_kept = (
                event.name == "retry_scheduled"
                and tried is not None
                and tried.cause not in PLANNED
                and case.state == "open"
            )
            case.last_class = case.last_class if is_kept else self._class(event, happened)
            self._move(case, "exhausted" if event.name == "consent_withdrawn" else "open", event)
        elif event.name == "grace_expired":
            self._move(case, "exhausted", event)
        elif event.name == "payment_canceled" and case.state == "open":
            self._move(case, "stopped", event)
        elif event.name in ("charge_approved", "payment_restored"):
            self._move(case, "recovered", event, event.attempt_id)
        elif event.name == "debt_settled_otherwise":
            paid = [other for other in self.events[data["settled_by"]] if other.name == "charge_approved"]
            self._move(case, "recovered", event, [other.attempt_id for other in paid if other.id < event.id][-1])

    def _move(self, case: Told, state: str, event: Any, paid_by: str | None = None) -> None:
        case.state, case.paid_by = state, paid_by
        case.closed_at = None if state == "open" else event.at

    def _is_taken_back(self, payment_id: str) -> bool:
        moved = self.movements.get(payment_id, [])
        is_disputed = any(row.kind in ("dispute", "reversal") for row in moved)
        return is_disputed and sum(row.amount for row in moved if row.kind != "dispute_fee") <= 0

    def _judge(self, case: Told) -> None:
        is_meant = lambda tried: (  # noqa: E731
            self.payments[tried.payment_id].invoice_id == case.payment.invoice_id
            and self.payments[tried.payment_id].application == case.payment.application
            and tried.cause is not None
            and tried.verb == "charge"
            and tried.status in ("succeeded", "declined")
            and case.opened_at <= tried.created_at <= (case.closed_at or self.now)
        )
        case.tries = sorted(filter(is_meant, self.attempts.values()), key=lambda tried: (tried.created_at, tried.id))
        case.mails = self.mails.count(case.payment.id)
        if case.state in ("open", "stopped"):
            case.outcome = case.state
        elif case.state == "exhausted":
            is_watched = case.row.policy_name == "monitor_only"
            case.outcome = "only_watched" if is_watched else BY_CLASS.get(str(case.last_class), str(case.last_class))
        elif self._is_taken_back(self.attempts[str(case.paid_by)].payment_id):
            case.outcome = "taken_back"
        else:
            assert case.closed_at is not None
            case.outcome = "recovered" if case.seconds < 28 * DAY else "recovered_later"
            paying = self.attempts[str(case.paid_by)]
            own = "first_try" if paying.payment_id == case.payment.id else "another_payment"
            case.source = paying.cause or own

    # --- figures ---

    def within(self, begin: datetime, end: datetime) -> list[Told]:
        """Return the cases of a cohort."""
        return [case for case in self.cases if begin <= case.opened_at < end]

    def chance(self, decline_class: str | None, age: int) -> Fraction | None:
        """Return the measured chance of an open case."""
        known = self.within(self.now - HORIZON - timedelta(days=180), self.now - HORIZON)
        if not known:
            return None
        if age >= 28:
            return Fraction(0)
        alive = [case for case in known if case.closed_at is None or case.seconds // DAY >= age]
        same = [case for case in alive if decline_class in (None, case.decline_class)]
        of = same if len(same) >= 20 else alive
        return Fraction(sum(case.outcome == "recovered" for case in of), len(of)) if of else None

    def group(self, cases: list[Told], paid: list[str] | None) -> dict[str, Any]:
        """Return the figures of cases as the API shows them. `paid`: the payments that their rate is about."""
        recovered = [case for case in cases if case.outcome == "recovered"]
        lost = [case for case in cases if case.outcome in LOST]
        tries = sum(len(case.tries) for case in cases)
        days = [Fraction(case.seconds, DAY) for case in recovered]
        subs: dict[tuple[str, str], list[bool]] = {}
        for case in cases:
            if case.payment.subscription_id:
                key = (case.payment.subscription_id, case.payment.application)
                subs.setdefault(key, []).append(case.outcome == "recovered")
        failed = [id for id in paid or () if self._has_failed(id)]
        succeeded = [id for id in paid or () if self.states[id] in SUCCEEDED]
        return {
            **self.common(cases, recovered, [tried for case in cases for tried in case.tries]),
            "recovered_later": ratio(sum(case.outcome == "recovered_later" for case in cases), len(cases)),
            "open": ratio(sum(case.outcome == "open" for case in cases), len(cases)),
            "lost": ratio(len(lost), len(cases)),
            "lost_reasons": shares([case.outcome for case in lost], LOST),
            "recovery_time": {
                "recovered": len(recovered),
                "average_days": rounded(sum(days) / len(days), 2) if days else None,
                "median_days": rounded(median(days), 2) if days else None,
            },
            "recovered_by_day": [
                {"day": day, **ratio(sum(case.seconds < day * DAY for case in recovered), len(cases))}
                for day in range(1, 29)
            ],
            "sources": shares([str(case.source) for case in recovered], (*CAUSES, "first_try", "another_payment")),
            "tries_per_recovery": ratio(tries, len(recovered)),
            "mails_per_recovery": ratio(sum(case.mails for case in cases), len(recovered)),
            "subscriptions_saved": ratio(sum(all(each) for each in subs.values()), len(subs)),
            "payment_success": None if paid is None else ratio(len(succeeded), len(succeeded) + len(failed)),
            "at_risk": self.risks(cases),
        }

    def common(self, cases: list[Told], recovered: list[Told], tries: list[Any]) -> dict[str, Any]:
        """Return the figures that a try has as well."""
        subsets: dict[str, Callable[[Told], bool]] = {
            "all": lambda case: True,
            "soft": lambda case: case.decline_class == "soft",
            "insufficient_funds": lambda case: case.reason == "funds",
        }
        by_cause = sorted({tried.cause for tried in tries})
        return {
            "cases": len(cases),
            "younger_than_horizon": sum(case.opened_at > self.now - HORIZON for case in cases),
            "recovery": {
                name: recovery(list(filter(has, cases)), list(filter(has, recovered))) for name, has in subsets.items()
            },
            "try_success": ratio(sum(tried.status == "succeeded" for tried in tries), len(tries)),
            "tries_by_cause": [
                {"cause": cause, **ratio(*counted([tried for tried in tries if tried.cause == cause]))}
                for cause in by_cause
            ],
        }

    def try_group(self, cases: list[Told], number: int) -> dict[str, Any]:
        """Return the figures of the try with this number."""
        had = [case for case in cases if len(case.tries) >= number]
        paid = [case for case in had if case.outcome == "recovered" and case.tries[number - 1].id == case.paid_by]
        days = [Fraction(case.seconds, DAY) for case in paid]
        return {
            **self.common(had, paid, [case.tries[number - 1] for case in had]),
            "recovery_time": {
                "recovered": len(paid),
                "average_days": rounded(sum(days) / len(days), 2) if days else None,
                "median_days": None,
            },
            "sources": shares([str(case.source) for case in paid], (*CAUSES, "first_try", "another_payment")),
        }

    def _has_failed(self, payment_id: str) -> bool:
        was_dunned = any(case.payment.id == payment_id for case in self.cases)
        return self.states[payment_id] in FAILED or (self.states[payment_id] == "canceled" and was_dunned)

    def risks(self, cases: Iterable[Told]) -> dict[str, Any]:
        """Return what is at risk: what is owed, and what subscriptions bring, each by its oldest open case."""
        alive = sorted(
            (case for case in cases if case.outcome == "open"), key=lambda case: (case.opened_at, case.row.id)
        )
        oldest: dict[Any, Told] = {}
        for case in alive:
            oldest.setdefault((case.payment.subscription_id, case.payment.application), case)
        known = [(self.subscriptions[key], case) for key, case in oldest.items() if key[0]]
        return {
            "owed": self._risk([(case.payment.currency, case.payment.amount, case) for case in alive]),
            "per_period": self._risk(
                [(sub.currency, sub.amount, case) for sub, case in known if sub.amount is not None]
            ),
        }

    def _risk(self, amounts: list[tuple[str, int, Told]]) -> list[dict[str, Any]]:
        shown = []
        for currency in sorted({currency for currency, _, _ in amounts}):
            own = [(amount, case) for its, amount, case in amounts if its == currency]
            chances = [(amount, self.chance(case.decline_class, self._age(case))) for amount, case in own]
            is_measured = all(chance is not None for _, chance in chances)
            weighted = round(sum(amount * (chance or Fraction()) for amount, chance in chances))
            shown.append(
                {
                    "currency": currency,
                    "cases": len(own),
                    "amount": decimal_text(sum(amount for amount, _ in own), currency),
                    "weighted": decimal_text(weighted, currency) if is_measured else None,
                }
            )
        return shown

    def _age(self, case: Told) -> int:
        return (int(self.now.timestamp()) - int(case.opened_at.timestamp())) // DAY


KEYS: dict[str, Callable[[Told], str]] = {
    "cohort": lambda case: f"{case.opened_at:%Y-%m}",
    "class": lambda case: str(case.decline_class),
    "provider": lambda case: case.provider,
    "currency": lambda case: case.payment.currency,
    "policy": lambda case: f"{case.row.policy_name} {DunningPolicy.from_json(case.row.policy).version}",
    "holdout": lambda case: "held_out" if case.row.is_held_out else "treated",
    "application": lambda case: case.payment.application,
}
KEYS_OF_PAYMENTS: dict[str, Callable[[Any], str]] = {
    "cohort": lambda payment: f"{payment.created_at:%Y-%m}",
    "provider": lambda payment: payment.provider,
    "currency": lambda payment: payment.currency,
    "application": lambda payment: payment.application,
}


def recovery(cases: list[Told], recovered: list[Told]) -> dict[str, Any]:
    """Return recovery by count, and by the money that has really come."""
    amounts = []
    for currency in sorted({case.payment.currency for case in cases}):
        back, debts = (
            sum(case.payment.amount for case in some if case.payment.currency == currency)
            for some in (recovered, cases)
        )
        shown = {"numerator": decimal_text(back, currency), "denominator": decimal_text(debts, currency)}
        amounts.append({"currency": currency, **shown, "rate": ratio(back, debts)["rate"]})
    return {"count": ratio(len(recovered), len(cases)), "amounts": amounts}


def counted(tries: list[Any]) -> tuple[int, int]:
    return sum(tried.status == "succeeded" for tried in tries), len(tries)


def shares(names: list[str], order: Iterable[str]) -> list[dict[str, Any]]:
    """Return how often each name comes, in an order."""
    return [{"name": name, **ratio(names.count(name), len(names))} for name in order if name in names]


def ratio(numerator: int, denominator: int) -> dict[str, Any]:
    rate = round(numerator / denominator, 4) if denominator else None
    return {"numerator": numerator, "denominator": denominator, "rate": rate}


def rounded(number: Fraction, digits: int) -> float:
    return round(number.numerator / number.denominator, digits)
