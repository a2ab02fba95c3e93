"""The simulator: the same customers for every policy, figures that repeat, and what decline codes are worth."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.decline import decline_by
from domain.declines.bank_debits import ACH_NETWORK
from domain.declines.caps import VISA_CAP
from domain.dunning.case import CaseState, SubscriptionStatus, TryCause
from domain.dunning.mail import Mail
from domain.dunning.policy import MONITOR_ONLY, SHIPPED, STANDARD, STRONG, DunningPolicy, problems_of
from domain.payment import Event
from domain.simulation.assumptions import HORIZON
from domain.simulation.breaches import breaches_of
from domain.simulation.case_in_memory import Happened
from domain.simulation.customer_model import Customer, customer_of_model
from domain.simulation.invariants import violations_of
from domain.simulation.play import CODE_BLIND, History, Strategy, Tried, play
from domain.simulation.results import Results
from worker.simulation_run import general_policy, model_customers, model_zones, play_all, spreads_of

SEED, CUSTOMERS = "gate", 1500
FIRST = datetime(2026, 3, 2, 9, tzinfo=UTC)
DAY = timedelta(days=1)
GENERAL = general_policy()


@cache
def results() -> dict[str, Results]:
    strategies = [CODE_BLIND, Strategy("standard", STANDARD), Strategy("strong", STRONG)]
    played = play_all(model_customers(SEED, CUSTOMERS), strategies)
    return {each.strategy.name: each for each in played}


def recovered(name: str) -> int:
    return sum(results()[name].recovered)


def tries(name: str) -> float:
    return sum(results()[name].tries) / CUSTOMERS


# --- what must be shown ---


def test_standard_recovers_at_least_as_much_as_a_code_blind_schedule_with_fewer_tries_and_no_breach() -> None:
    assert recovered("standard") >= recovered("code_blind")
    assert tries("standard") <= 1.3 < tries("code_blind")
    assert not results()["standard"].breaches
    assert {rule.name for rule in results()["code_blind"].breaches} > {
        *("dead_instrument", "consent_withdrawn", "needs_customer", "wait_advice", "ach_2_re_presentments")
    }


def test_strong_recovers_more_than_standard_and_costs_more_tries() -> None:
    assert recovered("strong") > recovered("standard")
    assert tries("strong") > tries("standard")
    assert not results()["strong"].breaches
    standard, strong = (sum(results()[name].mails.values()) for name in ("standard", "strong"))
    assert strong <= standard


def test_nine_tenths_of_what_strong_recovers_come_within_ten_days() -> None:
    share = results()["strong"].share_soon
    assert share is not None
    assert 0.88 <= share <= 0.97


def test_the_ranges_of_differences_are_narrower_than_those_of_the_figures() -> None:
    [first, standard, strong] = spreads_of(list(results().values()), SEED)
    [difference] = standard.against
    low, high = difference.tries
    assert low < tries("standard") - tries("code_blind") < high < 0
    assert high - low < standard.tries[1] - standard.tries[0] + first.tries[1] - first.tries[0]
    assert (len(first.against), len(strong.against)) == (0, 2)
    assert strong.against[1].recovered[0] > 0


# --- the model ---


def test_a_customer_is_the_same_in_every_run_and_another_one_under_another_seed() -> None:
    zones = model_zones()
    one, again, other = (customer_of_model(seed, 7, zones) for seed in ("1", "1", "2"))
    assert (one.failure, one.passes, one.renewed_at) == (again.failure, again.passes, again.renewed_at)
    assert one.failure != other.failure


def test_who_is_recovered_by_nobodys_doing_is_recovered_under_monitor_only_too() -> None:
    watched = Strategy("monitor_only", MONITOR_ONLY)
    for customer in model_customers(SEED, 200):
        history = play(customer, watched, GENERAL, HORIZON)
        assert history.paid_by in (None, "customer", "updater")
        assert all(tried.cause is TryCause.UPDATER for tried in history.retries)


# --- what must hold in every history ---


@pytest.mark.parametrize("name", SHIPPED)
def test_no_history_under_a_shipped_policy_breaks_a_rule(name: str) -> None:
    for customer in model_customers(f"{SEED}:{name}", 400):
        assert violations_of(play(customer, Strategy(name, SHIPPED[name]), GENERAL), VISA_CAP) == []


policies = st.builds(
    DunningPolicy,
    delays_days=st.lists(st.integers(1, 40), unique=True, max_size=8).map(sorted).map(tuple),
    attempts=st.integers(0, 8),
    grace_days=st.integers(0, 30),
    window_days=st.sampled_from([0, 1, 2.5]),
    technical_delays_hours=st.sampled_from([(1, 6, 24), (1,), (3, 48)]),
    most_unknown_retries=st.integers(0, 2),
).filter(lambda policy: not problems_of(policy))


@settings(deadline=None)
@given(policies, st.integers(0, 10**6))
def test_no_history_under_any_policy_breaks_a_rule(policy: DunningPolicy, number: int) -> None:
    customer = customer_of_model(SEED, number, model_zones())
    assert violations_of(play(customer, Strategy("own", policy), GENERAL), VISA_CAP) == []


# --- the audit sees what is wrong ---


def history_of(*declines: tuple[float, str], network: str = "visa", advice: str | None = None) -> History:
    """Return a history whose tries are declined on these days, by these codes."""
    customer = customer_of_model(SEED, 1, model_zones())
    failure = replace(customer.failure, at=FIRST, network=network)
    made: Customer = replace(customer, failure=failure)
    history = History(made, Strategy("own", STANDARD))
    for number, (day, code) in enumerate(declines):
        decline = decline_by("stripe", "card_declined", decline_code=code, network_advice_code=advice, network=network)
        cause = TryCause.DUNNING if number else None
        history.tries.append(Tried(FIRST + day * DAY, FIRST + day * DAY, cause, "card", decline, FIRST))
    history.happened = [Happened(FIRST, Event.RETRY_SCHEDULED, CaseState.RECOVERED, SubscriptionStatus.PAST_DUE)]
    return history


FUNDS = "insufficient_funds"


@pytest.mark.parametrize(
    ("history", "rule"),
    [
        (history_of((0, "lost_card"), (3, FUNDS)), "dead_instrument"),
        (history_of((0, "revocation_of_authorization"), (3, FUNDS)), "consent_withdrawn"),
        (history_of((0, "expired_card"), (3, FUNDS)), "needs_customer"),
        (history_of((0, FUNDS), (0.8, FUNDS)), "tries_20_hours_apart"),
        (history_of((0, FUNDS), (3, FUNDS), network="mastercard", advice="28"), "wait_advice"),
        (history_of(*((day, "of_tomorrow") for day in range(4))), "unknown_code_2_retries"),
        (history_of(*((day, "do_not_honor") for day in range(6))), "bank_decline_4_retries"),
        (history_of(*((day, FUNDS) for day in range(16))), "visa_30_days"),
        (history_of(*((7 * week, FUNDS) for week in range(4)), network=ACH_NETWORK), "ach_2_re_presentments"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_try_that_breaks_a_rule_is_found_and_named(history: History, rule: str) -> None:
    found = breaches_of(history, VISA_CAP)
    assert {breach.rule.name for breach in found} == {rule}
    assert all(breach.rule.source for breach in found)


def test_what_keeps_the_rules_is_no_breach() -> None:
    assert breaches_of(history_of((0, FUNDS), (3, FUNDS), (7, FUNDS), (14, FUNDS)), VISA_CAP) == []
    assert breaches_of(history_of((0, "issuer_not_available"), (0.05, FUNDS)), VISA_CAP) == []


def wrong(**changes: object) -> History:
    history = history_of((0, FUNDS), (3, FUNDS))
    for name, value in changes.items():
        setattr(history, name, value)
    return history


LOST = Happened(FIRST + 4 * DAY, Event.RETRY_SCHEDULED, CaseState.EXHAUSTED, SubscriptionStatus.CANCELED)
EXPIRED = Happened(FIRST + 4 * DAY, Event.GRACE_EXPIRED, CaseState.EXHAUSTED, SubscriptionStatus.CANCELED)


@pytest.mark.parametrize(
    ("history", "sentence"),
    [
        (wrong(mails=[(FIRST + DAY, Mail.FIRST_FAILURE)] * 2), "first_failure was sent twice"),
        (wrong(paid_at=FIRST, mails=[(FIRST + DAY, Mail.MID_DUNNING)]), "mid_dunning was sent after success"),
        (wrong(happened=[LOST]), "retry_scheduled has taken the access away"),
        (wrong(happened=[EXPIRED]), "grace has ended too early after the last retry"),
        (wrong(happened=[EXPIRED._replace(at=FIRST)]), "a try was made or decided after the end of grace"),
        (history_of((0, FUNDS), (4, FUNDS)), f"a retry at {FIRST + 4 * DAY} is on no day of the policy"),
        (wrong(happened=[LOST._replace(case=CaseState.RETRYING)]), "its case is retrying for ever"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_what_must_never_happen_is_seen(history: History, sentence: str) -> None:
    assert sentence in violations_of(history, VISA_CAP)


def test_an_approved_try_in_breach_is_not_counted_as_recovered() -> None:
    history = history_of((0, "expired_card"), (3, FUNDS))
    history.tries[-1] = history.tries[-1]._replace(decline=None)
    history.paid_at, history.paid_by = FIRST + 3 * DAY, "retry"
    counted = Results(CODE_BLIND)
    counted.add(history, VISA_CAP)
    assert (counted.recovered, counted.collected_in_breach, counted.after) == ([0], 1, [])
