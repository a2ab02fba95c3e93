"""The networks' limits: no history of tries breaches one, and what is refused names the rule and the day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.commands import TryRefused
from domain.decision import Policy
from domain.decline import Decline, DeclineClass, DeclineReason, decline_by
from domain.declines.caps import (
    CAPS,
    LONGEST_WINDOW,
    VISA_CAP,
    VISA_CAP_SINCE_MAY_2025,
    Refusal,
    Scope,
    Try,
    blocked,
    caps_of,
    refusal_of,
)
from domain.dunning.case import CaseState
from domain.effects import SaveCase
from domain.instrument import KnownInstrument
from domain.outcome import Declined
from domain.payment import AttemptStatus, DunningCase, Event, State
from domain.state_machine import decide

from .examples import new_attempt, new_payment

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
NETWORKS = ("visa", "mastercard", "amex", "ach", "sepa", "bacs")
amounts = st.sampled_from([(1230, "EUR"), (999, "EUR"), (1230, "USD")])
debts = st.sampled_from(["shop/inv-1", "shop/inv-2"])
# Minutes to weeks: what people, ladders, plans and sweeps that were down make of it.
gaps = st.one_of(st.integers(0, 120), st.integers(0, 3 * 1440), st.integers(0, 40 * 1440)).map(
    lambda minutes: timedelta(minutes=minutes)
)


def trying(network: str, made: list[Try], cap: int = VISA_CAP) -> Refusal | None:
    wanted = Try(NOW, 1230, "EUR", "shop/inv-1")
    return refusal_of(KnownInstrument("fingerprint", network), made, wanted, cap, is_off_session=True)


def tries(count: int, gap: timedelta, amount: int = 1230, debt: str = "shop/inv-1") -> list[Try]:
    return [Try(NOW - (number + 1) * gap, amount, "EUR", debt) for number in range(count)]


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(NETWORKS),
    st.sampled_from([VISA_CAP, VISA_CAP_SINCE_MAY_2025, 3]),
    st.lists(st.tuples(gaps, amounts, debts), max_size=90),
)
def test_no_history_breaches_a_limit(
    network: str, visa_cap: int, history: list[tuple[timedelta, tuple[int, str], str]]
) -> None:
    known, now, made = KnownInstrument("fingerprint", network), NOW, list[Try]()
    for gap, (amount, currency), debt in history:
        now += gap
        wanted = Try(now, amount, currency, debt)
        recent = [each for each in made if each.at > now - LONGEST_WINDOW]
        refusal = refusal_of(known, recent, wanted, visa_cap, is_off_session=True)
        if refusal is None:
            made.append(wanted)
        elif refusal.until is not None:
            assert refusal.until > now
            later = Try(refusal.until, amount, currency, debt)
            assert refusal_of(known, made, later, visa_cap, is_off_session=True) is None
    for cap, last in product(caps_of(network, visa_cap), made):
        together = {
            Scope.CARD: lambda each, last=last: True,
            Scope.CARD_AND_AMOUNT: lambda each, last=last: (each.amount, each.currency) == (last.amount, last.currency),
            Scope.DEBT: lambda each, last=last: each.debt == last.debt,
        }[cap.scope]
        window = [each for each in made if together(each) and last.at - cap.window < each.at <= last.at]
        assert len(window) <= cap.most, cap.rule


@pytest.mark.parametrize(
    ("network", "most", "gap", "rule"),
    [
        ("visa", 15, DAY, "visa_30_days"),
        ("amex", 15, DAY, "visa_30_days_for_amex"),
        ("mastercard", 10, HOUR, "mastercard_24_hours"),
        ("mastercard", 35, 20 * HOUR, "mastercard_30_days"),
        ("ach", 3, 5 * DAY, "ach_2_re_presentments"),
        ("sepa", 3, 5 * DAY, "sepa_2_re_presentments"),
        ("bacs", 3, 5 * DAY, "bacs_2_re_presentments"),
    ],
)
def test_the_last_try_that_a_limit_allows(network: str, most: int, gap: timedelta, rule: str) -> None:
    assert trying(network, tries(most - 1, gap)) is None
    refusal = trying(network, tries(most, gap))
    assert refusal is not None
    assert refusal.code == rule
    assert "read 2026-11" in refusal.source


def test_visa_s_newer_limit_is_a_setting() -> None:
    assert trying("visa", tries(19, DAY), cap=20) is None
    assert trying("visa", tries(20, DAY), cap=20) is not None


def test_what_counts_together() -> None:
    assert trying("visa", tries(15, DAY, amount=999)) is None
    assert trying("mastercard", tries(10, HOUR, amount=999)) is not None
    assert trying("ach", tries(3, DAY, debt="shop/inv-2")) is None


def test_a_limit_ends_when_its_oldest_try_leaves_the_window() -> None:
    refusal = trying("visa", tries(15, DAY))
    assert refusal is not None
    assert refusal.until == NOW - 15 * DAY + 30 * DAY


def test_a_network_that_nobody_names_has_no_limit() -> None:
    known = KnownInstrument("fingerprint", None)
    assert refusal_of(known, tries(99, HOUR), tries(1, DAY)[0], 15, is_off_session=True) is None


@pytest.mark.parametrize("as_class", [DeclineClass.HARD, DeclineClass.CONSENT_WITHDRAWN])
def test_a_blocked_instrument_is_refused_only_while_its_customer_is_away(as_class: DeclineClass) -> None:
    known = KnownInstrument("fingerprint", "visa", as_class)
    wanted = Try(NOW, 1230, "EUR", "shop/inv-1")
    assert refusal_of(known, [], wanted, 15, is_off_session=True) == blocked(as_class)
    assert refusal_of(known, [], wanted, 15, is_off_session=False) is None


def test_every_limit_is_dated() -> None:
    assert all(cap.source and cap.read_on.startswith("2026-") for cap in CAPS)


# --- what a refusal does to the debt ---

CASE = DunningCase(CaseState.RETRYING, NOW - 3 * DAY, retry=1)


def refused(refusal: Refusal, **payment: object) -> tuple[Event | None, DunningCase | None]:
    """Return what follows for a due retry: the event, and the case."""
    given = {"state": State.PAST_DUE, "is_off_session": True, "subscription_id": "sub", "case": CASE} | payment
    decided = decide(new_payment(**given), new_attempt(status=AttemptStatus.DUE), TryRefused(refusal), NOW, Policy())
    assert decided is not None
    assert (decided.attempt["status"], decided.attempt["code"]) == (AttemptStatus.FAILED, refusal.code)
    saved = [effect.case for effect in decided.effects if isinstance(effect, SaveCase)]
    return decided.event, saved[0] if saved else None


def test_a_refused_retry_waits_and_uses_up_no_retry() -> None:
    event, case = refused(Refusal("visa_30_days", "the rules", NOW + 5 * DAY))
    assert event is Event.RETRY_SCHEDULED
    assert case is not None
    assert (case.retry, case.due_at) == (1, NOW + 5 * DAY)


def test_a_refused_retry_is_not_made_minutes_after_another_try() -> None:
    _, case = refused(Refusal("mastercard_24_hours", "the rules", NOW + timedelta(minutes=5)))
    assert case is not None
    assert case.due_at == NOW + timedelta(hours=20)


@pytest.mark.parametrize("until", [None, NOW + 20 * DAY])
def test_a_limit_that_outlasts_the_plan_leads_to_grace(until: datetime | None) -> None:
    event, case = refused(Refusal("ach_2_re_presentments", "the rules", until))
    assert event is Event.GRACE_STARTED
    assert case is not None
    assert case.state is CaseState.IN_GRACE


def test_a_withdrawn_consent_ends_the_debt() -> None:
    event, case = refused(blocked(DeclineClass.CONSENT_WITHDRAWN))
    assert event is Event.CONSENT_WITHDRAWN
    assert case is not None
    assert case.due_at is None


def test_the_customer_s_own_payment_fails() -> None:
    first = {"state": State.ACCEPTED, "is_off_session": False, "subscription_id": None, "case": None}
    assert refused(Refusal("visa_30_days", "the rules", NOW + DAY), **first) == (Event.CHARGE_FAILED, None)


# --- how the plan keeps what a decline says ---


def planned(decline: Decline, case: DunningCase | None = None) -> DunningCase:
    payment = new_payment(state=State.PROCESSING, is_off_session=True, subscription_id="sub", case=case)
    decided = decide(payment, new_attempt(), Declined("pi", decline), NOW, Policy())
    assert decided is not None
    return next(effect.case for effect in decided.effects if isinstance(effect, SaveCase))


@pytest.mark.parametrize(("advice", "days"), [("24", 3), ("27", 7), ("30", 14)])
def test_a_retry_is_never_earlier_than_the_network_s_advice(advice: str, days: int) -> None:
    decline = decline_by("stripe", "card_declined", network_advice_code=advice, network="mastercard")
    assert planned(decline).due_at == NOW + days * DAY


def test_an_unknown_code_is_retried_twice() -> None:
    unknown = decline_by("stripe", "of_tomorrow")
    assert unknown.reason is DeclineReason.UNKNOWN
    states = [planned(unknown, DunningCase(CaseState.RETRYING, NOW - 3 * DAY, retry)).state for retry in (0, 1, 2)]
    assert states == [CaseState.RETRYING, CaseState.RETRYING, CaseState.IN_GRACE]


def test_a_technical_decline_climbs_its_ladder_and_then_counts() -> None:
    technical, case = decline_by("stripe", "card_declined", decline_code="issuer_not_available"), None
    waits = []
    for _ in range(3):
        case = planned(technical, case)
        assert case.due_at is not None
        waits.append((case.due_at - NOW) // HOUR)
        assert case.retry == 0
    assert waits == [1, 6, 24]
    case = planned(technical, case)
    assert (case.retry, case.unsent, case.due_at) == (1, 0, NOW + 3 * DAY)
