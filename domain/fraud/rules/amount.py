"""Rules on the amount: by itself, and against what the same entity has paid before."""

from __future__ import annotations

from collections.abc import Callable

from domain.fraud.facts import Facts
from domain.fraud.rules.rule import Rule
from domain.fraud.windows import Window

# A mean of fewer payments says nothing about a habit.
_LEAST_TRIES = 3


def amount(facts: Facts) -> int | None:
    """Return the amount in whole units of the base currency.

    >>> from datetime import datetime
    >>> amount(Facts(datetime(2026, 11, 29), amount=22_050, limit=100_000, method="credit_card"))
    220
    """
    return None if facts.amount is None else facts.amount // 100


def over_limit(facts: Facts) -> int | None:
    """Return the amount in percent of what may be paid without verification.

    >>> from datetime import datetime
    >>> over_limit(Facts(datetime(2026, 11, 29), amount=150_000, limit=100_000, method="credit_card"))
    150
    """
    return None if facts.amount is None else facts.amount * 100 // facts.limit


def _against_mean(kind: str, window: Window) -> Callable[[Facts], int | None]:
    def ratio(facts: Facts) -> int | None:
        history = facts.of(kind)
        if facts.amount is None or history is None or (kind == "user" and facts.is_shared_account):
            return None
        counts = history.within(window)
        if counts.tries < _LEAST_TRIES or counts.amount <= 0:
            return None
        return facts.amount * counts.tries * 100 // counts.amount

    return ratio


def recent_mean(facts: Facts) -> int | None:
    """Return the user's mean within a week in percent of that within a month."""
    history = facts.of("user")
    if history is None or facts.is_shared_account:
        return None
    week, month = history.within(Window.WEEK), history.within(Window.MONTH)
    if week.tries < _LEAST_TRIES or month.amount <= 0:
        return None
    return week.amount * month.tries * 100 // (month.amount * week.tries)


RULES = (
    Rule("amount", amount, "the amount is {value} units of the base currency"),
    Rule("over_limit", over_limit, "the amount is {value} % of what is paid without verification"),
    Rule(
        "amount_of_user_week",
        _against_mean("user", Window.WEEK),
        "the amount is {value} % of the user's mean in a week",
    ),
    Rule(
        "amount_of_user_month",
        _against_mean("user", Window.MONTH),
        "the amount is {value} % of the user's mean in a month",
    ),
    Rule(
        "user_week_of_month",
        recent_mean,
        "the user's payments of a week are {value} % as large as those of a month",
    ),
)
