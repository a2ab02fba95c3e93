"""The rules of the first rule set: amount thresholds and velocity of one user."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from domain.money import Money, decimals

RULE_SET = "2026-11-amount-velocity"


@dataclass(frozen=True, slots=True)
class Signals:
    """What the rules read of a payment and its user. `payments_hour`, `payments_day`: other payments of the user.
    `declines_hour`: those of them that were declined."""

    money: Money
    payments_hour: int
    payments_day: int
    declines_hour: int


@dataclass(frozen=True, slots=True)
class Reason:
    """A rule that fired, its points, and the value that fired it (never personal data)."""

    rule: str
    points: int
    value: str


# Units of a currency that are about one US dollar, by order of magnitude (central banks' reference rates,
# November 2026): enough to ask whether an amount is large, never to convert money.
_UNITS_PER_DOLLAR = {
    "USD": 1, "EUR": 1, "GBP": 1, "CHF": 1, "CAD": 1, "AUD": 2, "NZD": 2, "SGD": 1, "KWD": 1, "BHD": 1,
    "OMR": 1, "JOD": 1, "TND": 3, "PLN": 4, "BRL": 5, "ILS": 4, "AED": 4, "SAR": 4, "DKK": 7, "CNY": 7,
    "HKD": 8, "SEK": 10, "NOK": 10, "MXN": 20, "CZK": 22, "ZAR": 18, "TRY": 40, "TWD": 30, "THB": 33,
    "PHP": 57, "INR": 85, "ISK": 130, "JPY": 150, "HUF": 370, "KRW": 1400, "CLP": 950, "IDR": 16000,
    "VND": 25000,
}  # fmt: skip

# (dollars, points): a person reviews a large payment; a very large one never passes without one.
_LARGE = ((50_000, 70), (20_000, 50), (5_000, 30))
# Velocity is a brake on attacks, not an estimate of risk: many payments alone reach "verify" at most, while many
# declines (card testing) block.
_BUSY_HOUR = ((30, 30), (15, 15))
_BUSY_DAY = ((100, 15),)
_DECLINES_HOUR = ((15, 70), (8, 50), (5, 30))


def large_amount(signals: Signals) -> Reason | None:
    """Fire for an unusually large amount, in rough dollars. A currency without a rate adds nothing."""
    units = _UNITS_PER_DOLLAR.get(signals.money.currency)
    if units is None:
        return None
    dollars = signals.money.minor // (10 ** decimals(signals.money.currency) * units)
    return _first_reached("large_amount", dollars, _LARGE)


def busy_hour(signals: Signals) -> Reason | None:
    """Fire for many payments of one user within an hour."""
    return _first_reached("busy_hour", signals.payments_hour, _BUSY_HOUR)


def busy_day(signals: Signals) -> Reason | None:
    """Fire for many payments of one user within a day."""
    return _first_reached("busy_day", signals.payments_day, _BUSY_DAY)


def many_declines(signals: Signals) -> Reason | None:
    """Fire for many declined payments of one user within an hour, as in card testing."""
    return _first_reached("many_declines", signals.declines_hour, _DECLINES_HOUR)


RULES: tuple[Callable[[Signals], Reason | None], ...] = (large_amount, busy_hour, busy_day, many_declines)


def _first_reached(rule: str, value: int, steps: tuple[tuple[int, int], ...]) -> Reason | None:
    points = next((points for bound, points in steps if value >= bound), None)
    return None if points is None else Reason(rule, points, str(value))
