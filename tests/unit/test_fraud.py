"""The fraud score: explained to the point, in bands, with lists above it, and careful where nothing is known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.check_results import Authentication, Check, CheckResults
from domain.commands import Blocked, ReviewRequired
from domain.fraud import FraudDecision, Reason, RuleSet, Scored, assess, stopping_command, values_of
from domain.fraud.amounts import in_base
from domain.fraud.assessment import ALLOW_LIST, BLOCK_LIST, NO_HISTORY, may_be_lifted_to_review
from domain.fraud.default_rules import DEFAULT_RULES
from domain.fraud.facts import Facts, ListKind, Places
from domain.fraud.rule_set import Bands, BandsFor, Curve, problems_of
from domain.fraud.rules import RULES
from domain.fraud.windows import Counts, History, Window
from domain.money import Money

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
names = st.sampled_from(sorted(RULES))
values = st.dictionaries(names, st.integers(-10, 10_000))
lists = st.frozensets(st.sampled_from(ListKind))
bounds = st.lists(st.integers(-5, 500), min_size=1, max_size=5, unique=True).map(lambda found: tuple(sorted(found)))
curves = bounds.flatmap(
    lambda found: st.tuples(*(st.integers(-90, 90) for _ in found)).map(lambda points: Curve(found, points))
)
rule_sets = st.builds(RuleSet, st.just("1"), st.dictionaries(names, curves, max_size=8))


def scored(known: dict[str, int], of: frozenset[ListKind] = frozenset(), has_history: bool = True) -> Scored:
    return Scored(known, "credit_card", "EUR", of, has_history)


def only(points: int) -> RuleSet:
    return RuleSet("1", {"amount": Curve((0,), (points,))})


@given(rule_sets, values, lists, st.booleans())
def test_the_score_is_the_clipped_sum_of_its_reasons(
    rule_set: RuleSet, known: dict[str, int], of: frozenset[ListKind], has_history: bool
) -> None:
    assessment = assess(rule_set, scored(known, of, has_history))
    assert assessment.score == max(0, min(100, sum(reason.points for reason in assessment.reasons)))
    assert all(reason.value == known[reason.rule] for reason in assessment.reasons if reason.points)
    assert len({reason.rule for reason in assessment.reasons}) == len(assessment.reasons)


@given(rule_sets, values)
def test_what_is_not_known_adds_nothing_and_is_named(rule_set: RuleSet, known: dict[str, int]) -> None:
    assessment = assess(rule_set, scored(known))
    assert set(assessment.unavailable) == set(rule_set.curves) - set(known)
    relevant = {name: value for name, value in known.items() if name in rule_set.curves}
    assert (
        assess(RuleSet("1", {name: rule_set.curves[name] for name in relevant}), scored(relevant)).score
        == assessment.score
    )


@pytest.mark.parametrize(
    ("points", "score", "decision"),
    [
        (-5, 0, FraudDecision.APPROVE),
        (29, 29, FraudDecision.APPROVE),
        (30, 30, FraudDecision.VERIFY),
        (49, 49, FraudDecision.VERIFY),
        (50, 50, FraudDecision.REVIEW),
        (69, 69, FraudDecision.REVIEW),
        (70, 70, FraudDecision.BLOCK),
        (140, 100, FraudDecision.BLOCK),
    ],
)
def test_the_score_decides(points: int, score: int, decision: FraudDecision) -> None:
    assessment = assess(only(points), scored({"amount": 1}))
    assert (assessment.score, assessment.decision) == (score, decision)


def test_methods_and_currencies_may_have_bands_of_their_own() -> None:
    own = BandsFor(Bands(10, 20, 40), frozenset({"sepa_debit"}), frozenset({"EUR"}))
    rule_set = RuleSet("1", {"amount": Curve((0,), (40,))}, exceptions=(own,))
    decisions = [
        assess(rule_set, Scored({"amount": 1}, *each)).decision
        for each in (("sepa_debit", "EUR"), ("sepa_debit", "CHF"), ("credit_card", "EUR"))
    ]
    assert decisions == [FraudDecision.BLOCK, FraudDecision.VERIFY, FraudDecision.VERIFY]


@given(rule_sets, values, lists, st.booleans())
def test_a_block_list_beats_an_allow_list_and_both_beat_the_score(
    rule_set: RuleSet, known: dict[str, int], of: frozenset[ListKind], has_history: bool
) -> None:
    assessment = assess(rule_set, scored(known, of, has_history))
    first = assessment.reasons[0] if assessment.reasons else None
    if ListKind.BLOCK in of:
        assert (assessment.decision, first) == (FraudDecision.BLOCK, Reason(BLOCK_LIST, 0, 1))
    elif ListKind.ALLOW in of:
        assert (assessment.decision, first) == (FraudDecision.APPROVE, Reason(ALLOW_LIST, 0, 1))
    else:
        assert not {BLOCK_LIST, ALLOW_LIST} & {reason.rule for reason in assessment.reasons}


@given(rule_sets, values)
def test_without_history_a_payment_is_verified_at_least(rule_set: RuleSet, known: dict[str, int]) -> None:
    with_history, without = (assess(rule_set, scored(known, has_history=each)) for each in (True, False))
    assert without.score == with_history.score
    if with_history.decision is FraudDecision.APPROVE:
        assert (without.decision, without.reasons[0].rule) == (FraudDecision.VERIFY, NO_HISTORY)
    else:
        assert without == with_history


def test_a_bare_payment_has_no_history_and_rules_of_it_are_unavailable() -> None:
    known = values_of(Facts(NOW, 4_500, 100_000, "credit_card", history=None))
    assert known == {"amount": 45, "over_limit": 4, "method_risk": 2, "night": 0, "watched": 0}
    assert "user_tries_day" in assess(DEFAULT_RULES, scored(known)).unavailable


def test_history_becomes_numbers_that_operators_read_in_sentences() -> None:
    week, month = Counts(4, 1, 0, 40_000, 1), Counts(8, 1, 1, 40_000, 4)
    user = History({Window.WEEK: week, Window.MONTH: month}, first_at=NOW - timedelta(days=90), last_at=NOW)
    account = History({Window.WEEK: Counts(4, frauds=3), Window.MONTH: Counts(9, frauds=4)}, last_fraud_at=NOW)
    history = {"user": user, "merchant_account": account}
    known = values_of(Facts(NOW, 25_000, 100_000, "credit_card", history, ("merchant_account",)))
    assert {name: known[name] for name in ("amount_of_user_week", "amount_of_user_month", "user_week_of_month")} == {
        "amount_of_user_week": 250,
        "amount_of_user_month": 500,
        "user_week_of_month": 200,
    }
    assert (known["shared_fraud_share_week"], known["shared_frauds_week_of_month"]) == (75, 75)
    assert (known["shared_hours_since_fraud"], known["user_successes_month"]) == (0, 0)
    assert RULES["shared_frauds_week_of_month"].explain(75) == (
        "of the fraud of what the request names as shared within a month, 75 % became known within a week"
    )


def test_many_people_behind_one_account_are_not_judged_as_one() -> None:
    busy = History({window: Counts(900, 300, 90, 10**7, 50) for window in Window}, first_at=NOW, last_at=NOW)
    known = values_of(Facts(NOW, 4_500, 100_000, "credit_card", {"user": busy}, is_shared_account=True))
    assert [name for name in known if name.startswith(("user_", "amount_of_user"))] == []


@pytest.mark.parametrize("check", [CheckResults(avs=Check.MISMATCH), CheckResults(cvv=Check.MISMATCH)])
def test_one_mismatch_alone_is_never_more_than_verified(check: CheckResults) -> None:
    known = values_of(Facts(NOW, 4_500, 100_000, "credit_card", results=check))
    assert assess(DEFAULT_RULES, scored(known)).decision in {FraudDecision.APPROVE, FraudDecision.VERIFY}


@pytest.mark.parametrize(
    ("minor", "currency", "decision"),
    [
        (100_000, "USD", FraudDecision.APPROVE),
        (1_999_999, "USD", FraudDecision.VERIFY),
        (2_000_000, "EUR", FraudDecision.REVIEW),
        (5_000_000, "USD", FraudDecision.BLOCK),
        (150_000, "JPY", FraudDecision.APPROVE),
        (3_000_000, "JPY", FraudDecision.REVIEW),
        (20_000_000, "KWD", FraudDecision.REVIEW),
        (10**15, "XOF", FraudDecision.APPROVE),
    ],
)
def test_amounts_are_large_by_their_worth_in_dollars(minor: int, currency: str, decision: FraudDecision) -> None:
    facts = Facts(NOW, in_base(Money(minor, currency), "USD"), 100_000, "apple_pay")
    assert assess(DEFAULT_RULES, scored(values_of(facts))).decision is decision


def test_testing_cards_is_blocked() -> None:
    device = History({Window.HOUR: Counts(8, declines=8)}, {("card", Window.DAY): 4}, NOW, NOW)
    known = values_of(Facts(NOW, 100, 100_000, "credit_card", {"device": device}))
    assert assess(DEFAULT_RULES, scored(known)).decision is FraudDecision.BLOCK


def test_late_results_can_lift_a_score_or_not() -> None:
    early = Facts(NOW, 4_500, 100_000, "credit_card", places=Places("FR", "DE", "DE"))
    late = Facts(NOW, 4_500, 100_000, "credit_card", results=CheckResults(authentication=Authentication.AUTHENTICATED))
    assert "authenticated" not in values_of(early)
    assert values_of(late)["authenticated"] == 1
    lifted = [may_be_lifted_to_review(DEFAULT_RULES, scored({}), score) for score in (12, 13)]
    assert lifted == [False, True]
    assert may_be_lifted_to_review(only(10), scored({}), 45) is False


def test_what_stops_a_charge() -> None:
    assert [stopping_command(decision) for decision in FraudDecision] == [None, None, ReviewRequired(), Blocked()]


def test_the_shipped_rules_are_valid() -> None:
    assert list(problems_of(DEFAULT_RULES, RULES)) == []
