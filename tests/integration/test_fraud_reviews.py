"""A payment whose score asks for a person waits, and ends by what they decide, or by the policy if nobody does."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from domain.fraud.rule_set import Curve, RuleSet
from models.tables import attempts, events, fraud_reviews
from tests.system import AMOUNT, System

pytestmark = pytest.mark.postgres

SUSPECT = "500.00"
# What needs a person has a score of 55.
RULES = RuleSet("of-this-test", {"amount": Curve((500,), (55,))})


@pytest.fixture
def reviewing(system: System, monkeypatch: pytest.MonkeyPatch) -> System:
    """A system in which a payment of 500 EUR waits for a person; and one more operator."""
    system.change_fraud_policy(monkeypatch, rule_set=RULES)
    system.keys["second"] = system.create_key("second", "operator")  # type: ignore[arg-type]
    return system


def held(system: System, invoice: str = "inv") -> str:
    payment_id = system.pay(invoice, amount=SUSPECT)
    system.run_until_idle()
    assert system.state(payment_id) == "review"
    return payment_id


def decide(system: System, payment_id: str, action: str, body: Any = None, caller: str = "operator") -> int:
    response = system.post(f"/admin/reviews/{payment_id}/{action}", body or {}, caller=caller)
    system.run_until_idle()
    return response.status_code


def last_event(system: System, payment_id: str, name: str) -> Any:
    return system.rows(events, events.c.payment_id == payment_id, events.c.name == name)[-1]


def outcome(system: System, payment_id: str) -> tuple[str, str]:
    [row] = system.rows(fraud_reviews, fraud_reviews.c.payment_id == payment_id)
    assert row.due_at is None
    return row.outcome, row.closed_by


def test_a_review_of_score_55_waits_is_approved_and_charged_once(reviewing: System) -> None:
    payment_id = held(reviewing)
    reviewing.advance(hours=71)
    assert reviewing.provider.movements() == []
    assert decide(reviewing, payment_id, "approve", {"reason": "the customer is known"}) == 202
    assert decide(reviewing, payment_id, "approve") == 409
    reviewing.advance(hours=100)
    assert reviewing.state(payment_id) == "captured"
    assert reviewing.provider.movements() == [("charge", 50_000)]
    assert outcome(reviewing, payment_id) == ("approved", "operator:operator")
    assert last_event(reviewing, payment_id, "review_approved").data == {"reason": "the customer is known"}


def test_another_is_rejected_and_released(reviewing: System) -> None:
    payment_id = held(reviewing)
    assert decide(reviewing, payment_id, "reject") == 422
    assert decide(reviewing, payment_id, "reject", {"reason": "a reshipper"}) == 202
    assert reviewing.state(payment_id) == "canceled"
    assert outcome(reviewing, payment_id) == ("rejected", "operator:operator")
    # The invoice is free again.
    reviewing.pay()
    reviewing.run_until_idle()
    assert reviewing.provider.movements() == [("charge", AMOUNT)]


def test_one_that_nobody_decides_expires_by_policy(reviewing: System) -> None:
    payment_id = held(reviewing)
    reviewing.advance(hours=71, minutes=59)
    assert reviewing.state(payment_id) == "review"
    reviewing.advance(minutes=2)
    assert reviewing.state(payment_id) == "canceled"
    rejected = last_event(reviewing, payment_id, "review_rejected")
    assert (rejected.actor, rejected.data) == ("policy", {"reason": "expired"})
    assert outcome(reviewing, payment_id) == ("expired", "policy")
    assert reviewing.rows(attempts, attempts.c.due_at.is_not(None)) == []
    assert reviewing.provider.movements() == []


def test_a_review_in_hand_expires_all_the_same(reviewing: System) -> None:
    payment_id = held(reviewing)
    reviewing.move_clock(hours=71, minutes=50)
    assert decide(reviewing, payment_id, "claim") == 200
    reviewing.advance(minutes=11)
    assert reviewing.state(payment_id) == "canceled"


def test_a_message_that_comes_too_early_or_too_late_ends_nothing(reviewing: System) -> None:
    payment_id = held(reviewing)
    [row] = reviewing.rows(fraud_reviews)
    reviewing.run("payments.expire_review", row.id)
    assert reviewing.state(payment_id) == "review"
    assert decide(reviewing, payment_id, "approve") == 202
    reviewing.move_clock(hours=100)
    reviewing.run("payments.expire_review", row.id)
    assert reviewing.state(payment_id) == "captured"


def test_what_one_operator_has_in_hand_no_other_decides(reviewing: System) -> None:
    payment_id = held(reviewing)
    assert decide(reviewing, payment_id, "claim") == 200
    for action, body in (("claim", {}), ("approve", {}), ("reject", {"reason": "no"}), ("claim", {"release": True})):
        assert decide(reviewing, payment_id, action, body, caller="second") == 409
    older = reviewing.post(f"/{payment_id}/review", {"decision": "approve"}, caller="second")
    assert (older.status_code, "operator:operator has this review in hand" in older.json["detail"]) == (409, True)
    [listed] = reviewing.get("/admin/reviews", caller="second").json["reviews"]
    assert listed["claimed_by"] == "operator:operator"
    reviewing.move_clock(minutes=14)
    assert decide(reviewing, payment_id, "claim", caller="second") == 409
    reviewing.move_clock(minutes=2)
    assert decide(reviewing, payment_id, "claim", caller="second") == 200
    assert decide(reviewing, payment_id, "approve") == 409
    assert decide(reviewing, payment_id, "approve", caller="second") == 202
    assert reviewing.state(payment_id) == "captured"


def test_what_is_released_anybody_decides(reviewing: System) -> None:
    payment_id = held(reviewing)
    assert decide(reviewing, payment_id, "claim") == 200
    assert decide(reviewing, payment_id, "claim", {"release": True}) == 200
    assert decide(reviewing, payment_id, "reject", {"reason": "no"}, caller="second") == 202
    names = [name for name in reviewing.event_names(payment_id) if name.startswith("review_")]
    assert names == ["review_required", "review_claimed", "review_released", "review_rejected"]


def test_the_list_says_why_in_sentences_oldest_first(reviewing: System) -> None:
    first, second = held(reviewing, "inv_1"), held(reviewing, "inv_2")
    reviewing.move_clock(minutes=90)
    page = reviewing.get("/admin/reviews?limit=1", caller="operator").json
    [shown] = page["reviews"]
    assert (shown["payment_id"], shown["fraud"]["score"], shown["amount"], shown["age_minutes"]) == (
        first,
        55,
        SUSPECT,
        90,
    )
    assert [(each["points"], each["sentence"]) for each in shown["fraud"]["reasons"]] == [
        (55, "the amount is 500 units of the base currency")
    ]
    assert shown["claimed_by"] is None
    rest = reviewing.get(f"/admin/reviews?cursor={page['next_cursor']}", caller="operator").json
    assert ([each["payment_id"] for each in rest["reviews"]], rest["next_cursor"]) == ([second], None)
    assert reviewing.get("/admin/reviews", caller="shop").status_code == 403


def test_a_canceled_payment_waits_for_no_review(reviewing: System) -> None:
    payment_id = held(reviewing)
    reviewing.request(f"/{payment_id}/cancel")
    assert outcome(reviewing, payment_id) == ("ended", "app:shop")
    assert reviewing.get("/admin/reviews", caller="operator").json["reviews"] == []
    assert decide(reviewing, payment_id, "claim") == 409


def test_a_review_has_as_long_as_the_operator_says(reviewing: System, monkeypatch: pytest.MonkeyPatch) -> None:
    reviewing.change_fraud_policy(monkeypatch, review_expires_after=timedelta(hours=2))
    payment_id = held(reviewing)
    reviewing.advance(hours=2, minutes=1)
    assert reviewing.state(payment_id) == "canceled"
