"""Access to a subscription: no decline takes it away, it ends when the case says so, and the strictest debt decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.declines.classes import DeclineReason
from domain.declines.wording import sentence
from domain.dunning.access import Access, AccessReason, Debt, Entitlement, access_ends_at, entitlement_of
from domain.dunning.banner import Banner, Severity, banner_of
from domain.dunning.case import CaseState, SubscriptionStatus
from domain.dunning.policy import DunningPolicy, EndAction, GraceAnchor
from domain.payment import DunningCase
from domain.wording import LANGUAGES

FIRST = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
DAY = timedelta(days=1)
STANDARD = DunningPolicy()
FROM_FIRST = DunningPolicy(grace_anchor=GraceAnchor.FIRST_FAILURE)
SUSPENDED = {
    SubscriptionStatus.INCOMPLETE,
    SubscriptionStatus.PAUSED,
    SubscriptionStatus.UNPAID,
    SubscriptionStatus.CANCELED,
}

policies = st.builds(
    DunningPolicy,
    grace_days=st.integers(0, 30),
    grace_anchor=st.sampled_from(GraceAnchor),
    end_action=st.sampled_from(EndAction),
)
instants = st.floats(-1, 60).map(lambda days: FIRST + days * DAY)


@st.composite
def cases(draw: st.DrawFn) -> DunningCase:
    """Draw a case as decisions leave one: planned while it is retried, with a stamped end in grace."""
    policy, state = draw(policies), draw(st.sampled_from([CaseState.RETRYING, CaseState.IN_GRACE, *CaseState]))
    first_failed_at = draw(instants)
    case = DunningCase(state, first_failed_at, draw(st.integers(0, 3)), policy=draw(st.sampled_from([policy, None])))
    if state is CaseState.RETRYING:
        return replace(case, due_at=draw(st.none() | instants))
    ends_at = policy.grace_ends_at(first_failed_at, first_failed_at + draw(st.integers(0, 14)) * DAY)
    waits = draw(st.integers(0, 5)) * DAY
    return replace(case, grace_ends_at=ends_at, due_at=ends_at + waits if state is CaseState.IN_GRACE else None)


lists = st.lists(cases(), max_size=4).map(lambda each: [owed(case, number) for number, case in enumerate(each)])


def owed(case: DunningCase, number: int = 0) -> Debt:
    return Debt(f"pay_{number}", f"inv-{number}", case)


def shown(
    case: DunningCase | Sequence[Debt],
    days: float,
    status: SubscriptionStatus = SubscriptionStatus.PAST_DUE,
    **how: Any,
) -> Entitlement:
    debts = [owed(case)] if isinstance(case, DunningCase) else case
    return entitlement_of(status, debts, FIRST + days * DAY, STANDARD, **how)


def retrying(policy: DunningPolicy = STANDARD, retry: int = 1, day: float = 3) -> DunningCase:
    return DunningCase(CaseState.RETRYING, FIRST, retry, due_at=FIRST + day * DAY, policy=policy)


def in_grace(policy: DunningPolicy = STANDARD, day: float = 21) -> DunningCase:
    ends_at = FIRST + day * DAY
    return DunningCase(CaseState.IN_GRACE, FIRST, 3, due_at=ends_at, grace_ends_at=ends_at, policy=policy)


# --- no decline takes access away ---


@given(lists, instants)
def test_while_a_retry_is_ahead_there_is_access(debts: list[Debt], now: datetime) -> None:
    ahead = [debt for debt in debts if debt.case.state is CaseState.RETRYING and is_from_last_retry(debt.case)]
    assert entitlement_of(SubscriptionStatus.PAST_DUE, ahead, now, STANDARD).access is Access.GRANTED


@given(lists, cases(), instants)
def test_one_more_declined_debt_takes_no_access_away(debts: list[Debt], case: DunningCase, now: datetime) -> None:
    """What is owed may have taken it before, but not the decline that happens now."""
    declined = replace(case, state=CaseState.RETRYING, first_failed_at=now, retry=1, due_at=now + DAY)
    policy = replace(case.policy or STANDARD, grace_days=max((case.policy or STANDARD).grace_days, 1))
    before = entitlement_of(SubscriptionStatus.PAST_DUE, debts, now, STANDARD)
    after = entitlement_of(
        SubscriptionStatus.PAST_DUE, [*debts, owed(replace(declined, policy=policy), 9)], now, STANDARD
    )
    assert after.access is before.access


@given(lists, instants, st.just(SubscriptionStatus.PAST_DUE) | st.sampled_from(SubscriptionStatus))
def test_the_strictest_debt_decides(debts: list[Debt], now: datetime, status: SubscriptionStatus) -> None:
    together = entitlement_of(status, debts, now, STANDARD)
    alone = [entitlement_of(status, [debt], now, STANDARD) for debt in debts] or [
        entitlement_of(status, [], now, STANDARD)
    ]
    assert (together.access is Access.SUSPENDED) == any(each.access is Access.SUSPENDED for each in alone)
    if together.access is Access.GRANTED:
        assert together.until == min((each.until for each in alone if each.until is not None), default=None)
    if together.debt is not None:
        [decisive] = [each for each in alone if each.debt == together.debt]
        assert (together.access, together.until) == (decisive.access, decisive.until)


@given(lists, instants, st.sampled_from(SubscriptionStatus), st.booleans())
def test_every_answer_is_whole(
    debts: list[Debt], now: datetime, status: SubscriptionStatus, is_retried_by_provider: bool
) -> None:
    given_now = entitlement_of(status, debts, now, STANDARD, is_retried_by_provider=is_retried_by_provider)
    assert (given_now.access is Access.SUSPENDED) == (
        status in SUSPENDED or given_now.reason is AccessReason.GRACE_ENDED
    )
    if given_now.access is Access.SUSPENDED:
        assert given_now.until is None
    if is_retried_by_provider or status in (SubscriptionStatus.ACTIVE, SubscriptionStatus.CANCELED):
        assert (given_now.until, given_now.next_attempt_at, given_now.debt) == (None, None, None)
    for language in LANGUAGES:
        banner = banner_of(given_now, DeclineReason.FUNDS, language, UTC, is_retried_by_provider=is_retried_by_provider)
        assert banner is None or (banner.language, "{" in banner.text) == (language, False)


# --- until equals what the case will do ---


@given(cases(), instants)
def test_access_ends_at_the_instant_that_was_said(case: DunningCase, now: datetime) -> None:
    before = entitlement_of(SubscriptionStatus.PAST_DUE, [owed(case)], now, STANDARD)
    if before.until is None:
        return
    if is_from_last_retry(case):
        # The end action is due then, and the status that it gives says the rest.
        assert (before.until, case.state) == (case.due_at, CaseState.IN_GRACE)
    else:
        at_the_end = entitlement_of(SubscriptionStatus.PAST_DUE, [owed(case)], before.until, STANDARD)
        assert (now < before.until, at_the_end.reason) == (True, AccessReason.GRACE_ENDED)


@given(cases())
def test_what_is_kept_has_no_end(case: DunningCase) -> None:
    kept = replace(case, policy=DunningPolicy(end_action=EndAction.KEEP))
    assert access_ends_at(kept, STANDARD) is None


def is_from_last_retry(case: DunningCase) -> bool:
    return (case.policy or STANDARD).grace_anchor is GraceAnchor.LAST_RETRY


@pytest.mark.parametrize(
    ("case", "days", "access", "reason", "until"),
    [
        (retrying(), 0, "granted", "past_due", None),
        (retrying(retry=3, day=14), 13, "granted", "past_due", None),
        (in_grace(), 14, "granted", "in_grace", 21),
        # Beat is late, or another payment is under way: the case has not ended.
        (in_grace(), 21.1, "granted", "in_grace", 21),
        (replace(in_grace(), due_at=FIRST + 30 * DAY), 22, "granted", "in_grace", 30),
        (in_grace(DunningPolicy(end_action=EndAction.KEEP)), 15, "granted", "in_grace", None),
        (retrying(FROM_FIRST), 0, "granted", "past_due", 7),
        (retrying(FROM_FIRST, 3, 14), 6.99, "granted", "past_due", 7),
        (retrying(FROM_FIRST, 3, 14), 7, "suspended", "grace_ended", None),
        # No issuer was asked: a provider that is down for days takes nobody's access.
        (replace(retrying(FROM_FIRST, 0), unsent=9), 9, "granted", "past_due", None),
        # An operator has extended it.
        (in_grace(FROM_FIRST, 30), 20, "granted", "in_grace", 30),
        (in_grace(FROM_FIRST, 14), 14, "suspended", "grace_ended", None),
    ],
)
def test_what_a_case_says(case: DunningCase, days: float, access: str, reason: str, until: float | None) -> None:
    found = shown(case, days)
    ends_at = None if until is None else FIRST + until * DAY
    assert (found.access, found.reason, found.until) == (access, reason, ends_at)


def test_a_policy_that_keeps_gives_no_access_back_by_giving_up() -> None:
    kept = replace(FROM_FIRST, end_action=EndAction.KEEP)
    given_up = DunningCase(CaseState.EXHAUSTED, FIRST, 3, grace_ends_at=FIRST + 14 * DAY, policy=kept)
    assert shown(given_up, 15).reason is AccessReason.GRACE_ENDED
    from_last = replace(given_up, policy=replace(kept, grace_anchor=GraceAnchor.LAST_RETRY))
    assert (shown(from_last, 15).access, shown(from_last, 15).until) == (Access.GRANTED, None)


def test_the_debt_that_ends_first_is_the_one_to_pay() -> None:
    debts = [owed(retrying(), 1), owed(in_grace(day=9), 2), owed(in_grace(day=8), 3)]
    found = shown(debts, 1)
    assert found.debt is debts[2]
    assert (found.until, found.next_attempt_at) == (FIRST + 8 * DAY, FIRST + 3 * DAY)


def test_a_provider_that_retries_by_itself_is_followed() -> None:
    for status in SubscriptionStatus:
        found = shown(retrying(FROM_FIRST, 3, 14), 10, status, is_retried_by_provider=True)
        assert found.access is (Access.SUSPENDED if status in SUSPENDED else Access.GRANTED)


# --- the banner ---


def banner(case: DunningCase, days: float, language: str = "en", **how: Any) -> Banner:
    found = banner_of(shown(case, days, **how), DeclineReason.FUNDS, language, UTC)
    assert found is not None
    return found


def test_a_banner_says_what_happened_and_what_follows() -> None:
    first = banner(retrying(), 0)
    assert (first.severity, first.language) == (Severity.INFO, "en")
    assert first.text == (
        "The last payment of your subscription did not go through. There was not enough money available for this "
        "payment. You can pay later or another way. We will try again on 5 November 2026."
    )
    again = banner(retrying(retry=2, day=7), 3, "de")
    assert (again.severity, again.language) == (Severity.WARNING, "de")
    assert again.text.endswith("Wir versuchen es am 9. November 2026 noch einmal.")
    last = banner(in_grace(), 14)
    assert (last.severity, last.text.endswith("Please pay by 23 November 2026 to keep your access.")) == (
        Severity.CRITICAL,
        True,
    )


@pytest.mark.parametrize(
    ("status", "severity", "says"),
    [
        (SubscriptionStatus.PAUSED, "critical", "Your subscription is paused."),
        (SubscriptionStatus.UNPAID, "critical", "You have access again"),
        (SubscriptionStatus.INCOMPLETE, "warning", "Your subscription begins"),
    ],
)
def test_a_banner_says_what_brings_access(status: SubscriptionStatus, severity: str, says: str) -> None:
    found = banner(retrying(), 0, status=status)
    assert (found.severity, says in found.text) == (severity, True)


def test_nobody_is_bothered_who_can_do_nothing() -> None:
    silent = [
        shown([], 0, SubscriptionStatus.ACTIVE),
        shown(retrying(), 0, SubscriptionStatus.CANCELED),
        shown([], 0, SubscriptionStatus.INCOMPLETE),
        # A person has stopped the collection.
        shown([], 0),
        # No issuer was asked so far.
        shown(replace(retrying(retry=0), unsent=1), 0),
    ]
    assert [banner_of(each, None, "en", UTC) for each in silent] == [None] * len(silent)
    of_provider = shown([], 0, is_retried_by_provider=True)
    assert banner_of(of_provider, None, "en", UTC, is_retried_by_provider=True) is not None


# --- the customer's wording ---

_ACCUSING = (
    *("fraud", "stolen", "lost", "suspic", "risk", "block", "illegal", "deny", "you have"),
    *("betrug", "gestohlen", "verloren", "verdacht", "risiko", "gesperrt", "verweigert", "sie haben"),
)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("reason", DeclineReason)
def test_no_sentence_accuses_or_tells_of_fraud(reason: DeclineReason, language: str) -> None:
    said = sentence(reason, language)
    assert [word for word in _ACCUSING if word in said.lower()] == []
    assert said.endswith(".")
