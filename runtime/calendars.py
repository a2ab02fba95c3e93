"""The calendars of bank debits and of paydays, as the schedule of dunning asks them.

TARGET, for SEPA: six closing days (ecb.europa.eu). The Federal Reserve Banks, for ACH: the federal holidays; one that
falls on a Sunday closes the Monday after it, one on a Saturday closes no other day (richmondfed.org/about_us/
holiday_schedule, read 2026-11-28). Bacs: the bank holidays of England and Wales. Paydays: docs/fraud-and-dunning.md."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from functools import cache

import holidays

_DAY = timedelta(days=1)
_SUNDAY = 6
_FRIDAY = 4
_EU = frozenset("AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK".split())


class BankCalendar:
    """Knows the business days of bank debits, and the usual paydays of the USA and the European Union."""

    def is_open(self, method: str, day: date) -> bool:
        """Tell whether the banks that settle this payment method work on that day. Other methods are always settled."""
        closed_in = _CLOSED_IN.get(method)
        return closed_in is None or _is_business_day(closed_in, day)

    def is_payday(self, country: str | None, day: date) -> bool:
        """Tell whether many people of a country get their pay on that day; never for a country of unknown habits.

        Pay for a day on which banks are closed comes on the business day before."""
        if country == "US":
            return _is_american_payday(day)
        return country in _EU and _is_european_payday(day)


@cache
def _target(year: int) -> frozenset[date]:
    return frozenset(holidays.financial_holidays("XECB", years=year))


@cache
def _federal_reserve(year: int) -> frozenset[date]:
    days = holidays.country_holidays("US", years=year, observed=False)
    return frozenset(day + _DAY if day.weekday() == _SUNDAY else day for day in days)


@cache
def _england(year: int) -> frozenset[date]:
    return frozenset(holidays.country_holidays("GB", subdiv="ENG", years=year))


_CLOSED_IN: dict[str, Callable[[int], frozenset[date]]] = {
    "sepa_debit": _target,
    "ach_debit": _federal_reserve,
    "bacs_debit": _england,
}


def _is_business_day(closed_in: Callable[[int], frozenset[date]], day: date) -> bool:
    return day.weekday() <= _FRIDAY and day not in closed_in(day.year)


def _is_american_payday(day: date) -> bool:
    return any(each.weekday() == _FRIDAY or each.day in (1, 15) for each in _paid_on(_federal_reserve, day))


def _is_european_payday(day: date) -> bool:
    paid_on = _paid_on(_target, day)
    is_last = bool(paid_on) and (paid_on[-1] + _DAY).month != day.month
    is_first = _is_business_day(_target, day) and _business_day_before(_target, day).month != day.month
    return is_first or is_last or any(each.day in (15, 25) for each in paid_on)


def _paid_on(closed_in: Callable[[int], frozenset[date]], day: date) -> list[date]:
    """Return the days whose pay comes on that day: itself and the closed days right after it; none on a closed day."""
    if not _is_business_day(closed_in, day):
        return []
    days = [day]
    while not _is_business_day(closed_in, days[-1] + _DAY):
        days.append(days[-1] + _DAY)
    return days


def _business_day_before(closed_in: Callable[[int], frozenset[date]], day: date) -> date:
    day -= _DAY
    while not _is_business_day(closed_in, day):
        day -= _DAY
    return day
