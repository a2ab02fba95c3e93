"""When a review ends that nobody decides: after the operator's time, and before the money that it holds lapses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from domain.commands import CancelRequested, ReviewDecided, ReviewRequired
from domain.effects import CloseReview, OpenReview, ReviewOutcome
from domain.errors import Conflict
from domain.payment import State
from domain.review import CLAIM, ends_at, require_claimable
from domain.state_machine import decide

from .examples import NOW, POLICY, new_attempt, new_payment

DAYS_3 = timedelta(hours=72)


@pytest.mark.parametrize(
    ("lapses_after", "ends_after"),
    [
        (None, DAYS_3),
        (timedelta(days=7), DAYS_3),
        (timedelta(hours=73), DAYS_3),
        (timedelta(hours=24), timedelta(hours=23)),
        (timedelta(minutes=30), timedelta()),
    ],
)
def test_a_review_ends_an_hour_before_its_money_lapses(lapses_after: timedelta | None, ends_after: timedelta) -> None:
    lapses_at = None if lapses_after is None else NOW + lapses_after
    assert ends_at(NOW, DAYS_3, lapses_at) == NOW + ends_after


def test_the_end_is_planned_when_a_payment_begins_to_wait() -> None:
    decided = decide(new_payment(), new_attempt(), ReviewRequired(), NOW, POLICY)
    assert decided is not None
    assert [effect for effect in decided.effects if isinstance(effect, OpenReview)] == [OpenReview(NOW + DAYS_3)]


@pytest.mark.parametrize(
    ("decided", "outcome"),
    [
        (ReviewDecided(True, "known"), CloseReview(ReviewOutcome.APPROVED, "known")),
        (ReviewDecided(False, "a reshipper"), CloseReview(ReviewOutcome.REJECTED, "a reshipper")),
        (ReviewDecided(False, "expired"), CloseReview(ReviewOutcome.EXPIRED, "expired")),
    ],
)
def test_a_decision_ends_it(decided: ReviewDecided, outcome: CloseReview) -> None:
    found = decide(new_payment(state=State.REVIEW), new_attempt(), decided, NOW, POLICY)
    assert found is not None
    assert [effect for effect in found.effects if isinstance(effect, CloseReview)] == [outcome]


def test_a_cancel_ends_it_as_well() -> None:
    found = decide(new_payment(state=State.REVIEW), None, CancelRequested(), NOW, POLICY)
    assert found is not None
    assert CloseReview(ReviewOutcome.ENDED) in found.effects


def test_a_claim_holds_until_its_last_moment() -> None:
    until = datetime(2026, 11, 23, 12, tzinfo=UTC) + CLAIM
    require_claimable("bob", "ada", until, until)
    require_claimable("bob", None, None, until)
    require_claimable("ada", "ada", until, until - CLAIM)
    with pytest.raises(Conflict, match="ada has this review in hand"):
        require_claimable("bob", "ada", until, until - timedelta(seconds=1))
