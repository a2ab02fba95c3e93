"""The schedule: the listed days exactly, or a better hour inside a window; never too early, never too close."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.dunning.policy import MONITOR_ONLY, STANDARD, STRONG, DunningPolicy
from domain.dunning.schedule import Calendar, DeclineKind, Planned, RetryFacts, Timing, next_try
from runtime.calendars import BankCalendar

from .test_dunning_policy import policies

FIRST = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
WIDE = DunningPolicy(window_days=2.5)
BANKS = BankCalendar()
PLANNED_KINDS = (DeclineKind.MONEY, DeclineKind.SOFT, DeclineKind.UNKNOWN)
# Some change their clocks at night, some in the morning, some never; one has skipped a day.
ZONES = [
    ZoneInfo(name)
    for name in (
        *("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe"),
        *("Pacific/Apia", "Pacific/Kiritimati", "America/St_Johns", "Africa/Casablanca", "Pacific/Chatham"),
    )
]

spans = st.floats(0, 40, allow_nan=False).map(lambda days: days * DAY)
first_failures = st.datetimes(datetime(2009, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))


@st.composite
def facts_of_any_case(draw: st.DrawFn) -> RetryFacts:
    """Return what a case may be like after a failure."""
    first_failed_at = draw(first_failures)
    now = first_failed_at + draw(st.one_of(st.just(timedelta()), spans))
    return RetryFacts(
        case_id=draw(st.text(max_size=8)),
        first_failed_at=first_failed_at,
        last_tried_at=draw(st.sampled_from([now, now - HOUR, now - 3 * DAY])),
        now=now,
        kind=draw(st.sampled_from(PLANNED_KINDS)),
        retry=draw(st.integers(0, 8)),
        wait=draw(st.sampled_from([timedelta(), HOUR, 3 * DAY, 10 * DAY])),
        method=draw(st.sampled_from(["credit_card", "sepa_debit", "ach_debit"])),
        zone=draw(st.sampled_from(ZONES)),
        country=draw(st.sampled_from([None, "US", "DE"])),
        calendar=BANKS,
    )


def failed_at_first(policy: DunningPolicy = STANDARD, **changes: object) -> Planned | None:
    facts = RetryFacts("case_1", FIRST, FIRST, FIRST, zone=ZoneInfo("Europe/Berlin"), calendar=BANKS)
    return next_try(policy, replace(facts, **changes))


def planned(policy: DunningPolicy = STANDARD, **changes: object) -> Planned:
    found = failed_at_first(policy, **changes)
    assert found is not None
    return found


def days_of_all_retries(policy: DunningPolicy, kind: DeclineKind = DeclineKind.SOFT) -> list[float]:
    """Return the day of each retry when every one fails a minute after it was due."""
    days, facts = [], RetryFacts("case_1", FIRST, FIRST, FIRST, kind=kind)
    while (found := next_try(policy, facts)) is not None:
        days.append((found.at - FIRST) / DAY)
        failed_at = found.at + timedelta(minutes=1)
        facts = replace(facts, now=failed_at, last_tried_at=failed_at, retry=found.retry)
    return days


# --- the listed days ---


def test_the_days_of_standard_are_3_7_and_14() -> None:
    assert days_of_all_retries(STANDARD) == [3, 7, 14]


def test_beyond_its_list_a_policy_follows_the_formula() -> None:
    assert days_of_all_retries(replace(STANDARD, attempts=4)) == [3, 7, 14, 28]
    assert days_of_all_retries(DunningPolicy(delays_days=(), attempts=4)) == [3, 7, 14, 28]


def test_a_list_may_have_fractions_of_days() -> None:
    assert days_of_all_retries(DunningPolicy(delays_days=(1.25, 2.5), attempts=2)) == [1.25, 2.5]


def test_strong_makes_five_tries_within_ten_days() -> None:
    days = days_of_all_retries(STRONG)
    assert len(days) == 8
    assert len([day for day in days if day <= 10]) == 5


def test_an_unknown_code_gets_two_retries_at_most() -> None:
    assert days_of_all_retries(STRONG, DeclineKind.UNKNOWN) == days_of_all_retries(STRONG)[:2]


def test_the_reason_of_a_decline_may_allow_fewer_retries() -> None:
    assert planned(STRONG, most_retries=4, retry=3).retry == 4
    assert failed_at_first(STRONG, most_retries=4, retry=4) is None


def test_monitor_only_tries_nothing() -> None:
    assert days_of_all_retries(MONITOR_ONLY) == []
    assert failed_at_first(MONITOR_ONLY, kind=DeclineKind.TECHNICAL, unsent=1) is None


@given(policies, facts_of_any_case())
def test_a_strict_policy_keeps_the_listed_instants(policy: DunningPolicy, facts: RetryFacts) -> None:
    strict = replace(policy, window_days=0)
    found = next_try(strict, facts)
    if found is not None:
        assert found.at == strict.retry_at(facts.first_failed_at, found.retry)
        assert found.timing is Timing.LISTED_DAY


# --- never too early, never too close ---


@given(policies, facts_of_any_case())
def test_a_retry_is_never_before_its_day_nor_too_close_nor_against_advice(
    policy: DunningPolicy, facts: RetryFacts
) -> None:
    found = next_try(policy, facts)
    if found is not None:
        listed = policy.retry_at(facts.first_failed_at, found.retry)
        assert listed is not None
        assert listed <= found.at <= listed + policy.window_days * DAY
        assert found.at >= facts.now
        assert found.at >= facts.last_tried_at + timedelta(hours=20)
        assert found.at >= facts.last_tried_at + facts.wait
        assert facts.retry < found.retry <= policy.attempts


@given(policies, facts_of_any_case())
def test_a_retry_is_left_out_only_if_all_of_its_window_is_too_early(policy: DunningPolicy, facts: RetryFacts) -> None:
    found = next_try(policy, facts)
    most = min(policy.attempts, policy.most_unknown_retries if facts.kind is DeclineKind.UNKNOWN else 8)
    earliest = max(facts.now, facts.last_tried_at + max(timedelta(hours=20), facts.wait))
    skipped = range(facts.retry + 1, most + 1 if found is None else found.retry)
    for retry in [] if policy.is_monitor_only else skipped:
        listed = policy.retry_at(facts.first_failed_at, retry)
        assert listed is not None
        assert listed + policy.window_days * DAY < earliest


@given(policies, facts_of_any_case(), st.floats(0, 1))
def test_a_time_that_is_computed_again_later_is_the_same(
    policy: DunningPolicy, facts: RetryFacts, share: float
) -> None:
    """As long as it has not come."""
    failed = replace(facts, last_tried_at=facts.now)
    found = next_try(policy, failed)
    if found is not None:
        later = facts.now + share * (found.at - facts.now)
        assert next_try(policy, replace(failed, now=later)) == found


def test_a_day_before_the_end_of_the_advice_is_skipped() -> None:
    assert planned(wait=6 * DAY).retry == 2
    assert planned(wait=3 * DAY).retry == 1


def test_the_gap_counts_from_the_last_try_of_anybody() -> None:
    assert planned(last_tried_at=FIRST + 3 * DAY - 19 * HOUR, now=FIRST + 2 * DAY).retry == 2
    assert planned(last_tried_at=FIRST + 3 * DAY - 20 * HOUR, now=FIRST + 2 * DAY).retry == 1


# --- technical declines ---


def test_technical_declines_are_tried_after_1_6_and_24_hours_outside_of_the_plan() -> None:
    found = [planned(kind=DeclineKind.TECHNICAL, unsent=times, retry=2) for times in (1, 2, 3, 4)]
    assert [(each.at - FIRST) / HOUR for each in found] == [1, 6, 24, 24]
    assert {(each.retry, each.timing) for each in found} == {(2, Timing.TECHNICAL)}


def test_a_technical_decline_waits_as_advised() -> None:
    assert planned(kind=DeclineKind.TECHNICAL, unsent=1, wait=DAY).at == FIRST + DAY


# --- inside a window ---


def local(found: Planned, zone: tzinfo) -> datetime:
    return found.at.astimezone(zone)


def test_a_policy_with_a_window_moves_to_the_morning() -> None:
    """Day 3 is Tuesday 3 February at 10:30 in Berlin, after the morning."""
    found = planned(WIDE)
    assert found.timing is Timing.MORNING
    assert local(found, ZoneInfo("Europe/Berlin")).date() == date(2026, 2, 4)
    assert 7 <= local(found, ZoneInfo("Europe/Berlin")).hour < 10


def test_a_bank_debit_waits_for_the_business_day() -> None:
    """Day 7 is a Saturday."""
    found = planned(WIDE, method="sepa_debit", retry=1)
    assert local(found, ZoneInfo("Europe/Berlin")).date() == date(2026, 2, 9)
    assert local(planned(WIDE, retry=1), ZoneInfo("Europe/Berlin")).date() == date(2026, 2, 8)


def test_where_no_bank_works_within_the_window_the_listed_day_stays() -> None:
    """From Good Friday to Easter Monday are four days."""
    good_friday = datetime(2026, 4, 3, 8, tzinfo=UTC)
    first = good_friday - 3 * DAY
    found = planned(WIDE, method="sepa_debit", first_failed_at=first, last_tried_at=first, now=first)
    assert found == (good_friday, 1, Timing.LISTED_DAY)


def test_a_lack_of_money_waits_for_the_payday() -> None:
    """Day 3 is Wednesday 11 February in the afternoon; in the USA people are paid on Friday."""
    first, new_york = datetime(2026, 2, 8, 20, tzinfo=UTC), ZoneInfo("America/New_York")
    case = {"first_failed_at": first, "last_tried_at": first, "now": first, "country": "US", "zone": new_york}
    for kind, day, timing in (
        (DeclineKind.MONEY, date(2026, 2, 13), Timing.PAYDAY),
        (DeclineKind.SOFT, date(2026, 2, 12), Timing.MORNING),
    ):
        found = planned(WIDE, kind=kind, **case)
        assert (local(found, new_york).date(), found.timing) == (day, timing)


def test_cases_are_spread_over_the_morning() -> None:
    times = {planned(WIDE, case_id=f"case_{number}").at for number in range(200)}
    assert len(times) == 200
    assert max(times) - min(times) > 2.8 * HOUR


@given(facts_of_any_case(), st.sampled_from(ZONES))
def test_a_morning_is_a_morning_in_every_zone_on_every_day(facts: RetryFacts, zone: ZoneInfo) -> None:
    found = next_try(WIDE, replace(facts, zone=zone))
    if found is not None and found.timing in (Timing.MORNING, Timing.PAYDAY):
        at = local(found, zone)
        assert timedelta(hours=7) <= at.replace(tzinfo=None) - datetime(at.year, at.month, at.day) <= 10 * HOUR
        assert BANKS.is_open(facts.method, at.date())


@pytest.mark.parametrize("zone", ZONES, ids=str)
def test_every_window_of_a_card_has_a_morning(zone: ZoneInfo) -> None:
    for hour in range(0, 24 * 365, 29):
        first = FIRST + hour * HOUR
        found = planned(WIDE, first_failed_at=first, last_tried_at=first, now=first, zone=zone)
        assert found.timing is Timing.MORNING, first


def test_mornings_are_kept_when_clocks_change() -> None:
    """In Berlin on 29 March 2026 the night is an hour shorter, on 25 October an hour longer."""
    for first in (datetime(2026, 3, 25, 17, tzinfo=UTC), datetime(2026, 10, 21, 17, tzinfo=UTC)):
        for number in range(50):
            at = planned(WIDE, first_failed_at=first, last_tried_at=first, now=first, case_id=str(number)).at
            assert at.date() == first.date() + 4 * DAY
            assert 7 <= at.astimezone(ZoneInfo("Europe/Berlin")).hour < 10


def test_a_day_that_does_not_exist_has_no_morning() -> None:
    """Samoa went from 29 to 31 December 2011."""
    apia = ZoneInfo("Pacific/Apia")
    # Day 3 is 29 December at noon there.
    first = datetime(2011, 12, 26, 22, tzinfo=UTC)
    found = planned(WIDE, first_failed_at=first, last_tried_at=first, now=first, zone=apia)
    assert (local(found, apia).date(), found.timing) == (date(2011, 12, 31), Timing.MORNING)


@pytest.mark.parametrize("shift", [-60, -30, 30, 60], ids=str)
@pytest.mark.parametrize("minute", range(6 * 60, 11 * 60, 30))
def test_clocks_may_change_in_the_morning_itself(minute: int, shift: int) -> None:
    zone = ChangesOnce(datetime(2026, 2, 4) + timedelta(minutes=minute), timedelta(minutes=shift))
    for number in range(20):
        found = planned(WIDE, zone=zone, case_id=str(number), first_failed_at=FIRST + 3 * HOUR)
        at = local(found, zone)
        assert (at.date(), found.timing) == (date(2026, 2, 4), Timing.MORNING)
        assert timedelta(hours=7) <= timedelta(hours=at.hour, minutes=at.minute) <= 10 * HOUR


class ChangesOnce(tzinfo):
    """A zone with the offset 0 up to a local time, from which clocks are moved by the shift."""

    def __init__(self, changes_at: datetime, shift: timedelta) -> None:
        self.changes_at, self.shift = changes_at, shift

    def utcoffset(self, when: datetime | None) -> timedelta:
        assert when is not None
        naive = when.replace(tzinfo=None)
        low, high = sorted((self.changes_at, self.changes_at + self.shift))
        if low <= naive < high:
            # Skipped if the shift is forward, else it comes twice: PEP 495 has the offset before for fold 0.
            return self.shift if when.fold else timedelta()
        return self.shift if naive >= high else timedelta()

    def dst(self, when: datetime | None) -> timedelta:
        return timedelta()

    def tzname(self, when: datetime | None) -> str:
        return "once"

    def fromutc(self, when: datetime) -> datetime:
        is_after = when.replace(tzinfo=None) >= self.changes_at
        moved = when + self.shift if is_after else when
        is_second = is_after and moved.replace(tzinfo=None) < self.changes_at
        return moved.replace(fold=int(is_second))


def test_without_a_calendar_every_day_is_open() -> None:
    calendar: Calendar = RetryFacts("case_1", FIRST, FIRST, FIRST).calendar
    assert calendar.is_open("sepa_debit", date(2026, 12, 25))
    assert not calendar.is_payday("US", date(2026, 1, 2))
