"""The calendars of bank debits and paydays, compared with the published lists of closing days."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from models.time_zones import zone_named
from runtime.calendars import BankCalendar

CALENDAR = BankCalendar()


def days_of(year: int) -> list[date]:
    return [date(year, 1, 1) + timedelta(days=number) for number in range(365)]


def closed_weekdays(method: str, year: int) -> list[str]:
    weekdays = [day for day in days_of(year) if day.weekday() < 5]
    return [f"{day:%m-%d}" for day in weekdays if not CALENDAR.is_open(method, day)]


def paydays(country: str | None, year: int, month: int) -> list[int]:
    return [day.day for day in days_of(year) if day.month == month and CALENDAR.is_payday(country, day)]


def test_sepa_is_closed_on_the_days_of_target() -> None:
    assert closed_weekdays("sepa_debit", 2026) == ["01-01", "04-03", "04-06", "05-01", "12-25"]


def test_ach_is_closed_with_the_federal_reserve() -> None:
    """4 July 2026 is a Saturday, and the Friday before it is open."""
    fixed = ["01-01", "01-19", "02-16", "05-25", "06-19", "09-07", "10-12", "11-11", "11-26", "12-25"]
    assert closed_weekdays("ach_debit", 2026) == fixed


def test_a_federal_holiday_on_a_sunday_closes_the_monday() -> None:
    assert "07-05" in closed_weekdays("ach_debit", 2027)
    assert CALENDAR.is_open("ach_debit", date(2027, 12, 24))


def test_bacs_is_closed_on_the_bank_holidays_of_england() -> None:
    assert closed_weekdays("bacs_debit", 2026) == [
        *("01-01", "04-03", "04-06", "05-04", "05-25", "08-31", "12-25", "12-28")
    ]


@pytest.mark.parametrize("method", ["sepa_debit", "ach_debit", "bacs_debit"])
def test_no_bank_debit_is_settled_on_a_weekend(method: str) -> None:
    assert not any(CALENDAR.is_open(method, day) for day in days_of(2026) if day.weekday() >= 5)


def test_cards_are_settled_every_day() -> None:
    assert all(CALENDAR.is_open("credit_card", day) for day in days_of(2026))


def test_americans_are_paid_on_fridays_on_the_first_and_on_the_fifteenth() -> None:
    assert paydays("US", 2026, 7) == [1, 3, 10, 15, 17, 24, 31]
    # 15 August 2026 and 15 November 2026 are on a weekend; Christmas is a Friday.
    assert paydays("US", 2026, 8) == [7, 14, 21, 28]
    assert paydays("US", 2026, 12) == [1, 4, 11, 15, 18, 24, 31]


def test_europeans_are_paid_on_the_first_and_last_business_day_and_twice_between() -> None:
    assert paydays("DE", 2026, 7) == [1, 15, 24, 31]
    # 31 January and 1 February 2026 are a weekend.
    assert paydays("FR", 2026, 1) == [2, 15, 23, 30]
    assert paydays("FR", 2026, 2) == [2, 13, 25, 27]
    # 25 December, a Friday, and the weekend after it are paid on the day before.
    assert paydays("AT", 2026, 12) == [1, 15, 24, 31]


@pytest.mark.parametrize("country", [None, "JP", "us"])
def test_no_payday_is_guessed_for_other_countries(country: str | None) -> None:
    assert not any(CALENDAR.is_payday(country, day) for day in days_of(2026))


def test_a_time_zone_is_found_by_its_name() -> None:
    assert zone_named("Europe/Berlin").key == "Europe/Berlin"


@pytest.mark.parametrize(
    "name", ["", "Berlin", "europe/berlin", "../passwd", "Europe", "localtime", "posixrules", "x\0"]
)
def test_an_unknown_time_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="must be a time zone such as Europe/Berlin"):
        zone_named(name)
