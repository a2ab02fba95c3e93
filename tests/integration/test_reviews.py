"""A payment that waits for a review is charged only if its debt is still owed when a person approves it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.system import AMOUNT, INSUFFICIENT_FUNDS, LOST_CARD, System

pytestmark = pytest.mark.postgres

SUSPECT = "30000.00"


def review(system: System, payment_id: str, decision: str) -> int:
    response = system.post(f"/{payment_id}/review", {"decision": decision}, caller="operator")
    system.run_until_idle()
    return response.status_code


def test_a_review_is_not_approved_once_its_subscription_is_canceled(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    system.change_fraud_policy(monkeypatch, review_expires_after=timedelta(days=60))
    system.subscribe("inv_1", LOST_CARD)
    held = system.subscribe("inv_2", "pm_card_visa", amount=SUSPECT)
    assert system.state(held) == "review"
    for _ in range(40):
        system.advance(days=1)
    assert system.subscription_status() == "canceled"

    refusal = system.post(f"/{held}/review", {"decision": "approve"}, caller="operator")
    assert (refusal.status_code, refusal.json.get("type")) == (409, "conflict")
    assert "subscription was canceled" in refusal.json["detail"]
    assert "reject it" in refusal.json["detail"]
    system.run_until_idle()
    assert system.provider.movements() == []
    assert review(system, held, "reject") == 202
    assert system.state(held) == "canceled"


def test_a_review_whose_debt_is_owed_is_approved(system: System) -> None:
    held = system.subscribe("inv_1", "pm_card_visa", amount=SUSPECT)
    assert review(system, held, "approve") == 202
    assert system.state(held) == "captured"


@pytest.mark.parametrize("door", ["review", "list"])
def test_a_review_is_not_approved_once_its_invoice_is_paid_otherwise(system: System, door: str) -> None:
    system.call("PUT", "/invoices/inv", {"amount": SUSPECT, "currency": "EUR", "user_id": "user"})
    declined = system.pay(card=INSUFFICIENT_FUNDS)
    system.run_until_idle()
    held = system.pay(amount=SUSPECT)
    system.run_until_idle()
    assert system.state(held) == "review"
    reference = system.reference(declined)
    system.provider.call("POST", f"/v1/payment_intents/{reference}/confirm", {"payment_method": "pm_card_visa"})
    system.deliver_and_run(system.provider.event("payment_intent.succeeded", reference))

    path, body = f"/{held}/review", {"decision": "approve"}
    if door == "list":
        [entry] = system.get("/admin/attention", caller="operator").json["entries"]
        path, body = f"/admin/attention/{entry['id']}/resolve", {"action": "accept", "note": "the customer is known"}
    refusal = system.post(path, body, caller="operator", Idempotency_Key="approve")
    assert refusal.status_code == 409
    assert "paid otherwise" in refusal.json["detail"]
    system.run_until_idle()
    assert (system.state(held), system.provider.movements()) == ("review", [("charge", AMOUNT)])
