"""Rules on the user: how long they are known, what they have paid, and by which method they pay now."""

from __future__ import annotations

from domain.fraud.facts import Facts
from domain.fraud.rules.rule import Direction, Rule, yes
from domain.fraud.windows import Window

# Taken back for months by whoever disputes: cards. Confirmed by its owner at the bank or in a wallet: little.
_RISK_OF_METHOD = {"credit_card": 2, "debit_card": 2, "stripe": 2, "sepa_debit": 2, "ach_debit": 2, "klarna": 1,
                   "afterpay": 1, "paypal": 1, "apple_pay": 0, "google_pay": 0}  # fmt: skip


def known_for_days(facts: Facts) -> int | None:
    """Return for how many days the user is known; None for an account of many people.

    >>> from datetime import datetime
    >>> from domain.fraud.windows import History
    >>> history = {"user": History(first_at=datetime(2026, 11, 1))}
    >>> known_for_days(Facts(datetime(2026, 11, 29), 100, 100_000, "credit_card", history))
    28
    """
    history = facts.of("user")
    if history is None or facts.is_shared_account:
        return None
    return 0 if history.first_at is None else (facts.now - history.first_at).days


def is_first(facts: Facts) -> int | None:
    """Return 1 for the first payment of a user."""
    history = facts.of("user")
    if history is None or facts.is_shared_account:
        return None
    return yes(history.first_at is None)


def successes(facts: Facts) -> int | None:
    """Return how many payments of the user succeeded within a month, if none of them became known as fraud."""
    history = facts.of("user")
    if history is None or facts.is_shared_account:
        return None
    counts = history.within(Window.MONTH)
    return 0 if counts.frauds else counts.successes


def minutes_since_last(facts: Facts) -> int | None:
    """Return the minutes since the user's last try; None if there is none."""
    history = facts.of("user")
    if history is None or history.last_at is None or facts.is_shared_account:
        return None
    return int((facts.now - history.last_at).total_seconds() // 60)


def method_risk(facts: Facts) -> int | None:
    """Return how easily the method is used by another than its owner: 0, 1 or 2.

    >>> from datetime import datetime
    >>> method_risk(Facts(datetime(2026, 11, 29), 100, 100_000, "apple_pay"))
    0
    """
    return _RISK_OF_METHOD.get(facts.method, 1)


def is_hour_of_night(facts: Facts) -> int | None:
    """Return 1 from midnight to six o'clock in UTC."""
    return yes(facts.now.hour < 6)


RULES = (
    Rule("user_known_for_days", known_for_days, "the user is known for {value} days", Direction.FALLING),
    Rule("user_first_payment", is_first, "it is the user's first payment"),
    Rule("user_successes_month", successes, "{value} payments of the user succeeded this month", Direction.FALLING),
    Rule("user_minutes_since_last", minutes_since_last, "the user's last try was {value} minutes ago", Direction.FREE),
    Rule("method_risk", method_risk, "the risk of the payment method is {value} of 2"),
    Rule("night", is_hour_of_night, "it is night in UTC", Direction.FREE),
)
