"""Front-end intents when things go slowly, wrongly or twice; and where their secret must never stand."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import select

from domain.decision import LEASE
from models.session import read
from models.tables import payments
from models.tables.base import metadata
from stack.process import wait_until
from tests.integration.scene import WHOLE, Json, Scene
from tests.patience import patient

pytestmark = pytest.mark.postgres


def test_after_a_hiccup_the_same_key_gives_a_fresh_intent(scene: Scene) -> None:
    _owe(scene)
    scene.fail("payment_intents.create", "error_before")
    assert scene.call("POST", "/stripe-intent", {"invoice_id": "inv"}, key="checkout").status_code == 502
    intent = scene.post("/stripe-intent", {"invoice_id": "inv"}, key="checkout")
    assert scene.post("/stripe-intent", {"invoice_id": "inv"}, key="checkout") == intent

    _confirm(scene, intent, {"payment_method": "pm_card_visa"})
    scene.pass_time(minutes=2)
    assert (scene.state(intent["payment_id"]), scene.moved()) == ("captured", [("charge", WHOLE)])


def test_a_provider_slower_than_the_lease_still_gives_an_intent(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    _owe(scene)
    monkeypatch.setattr("runtime.leases._RENEW_SECONDS", 0.01)
    scene.meanwhile("open_intent", lambda: _wait_for_long(scene))
    intent = scene.post("/stripe-intent", {"invoice_id": "inv"})

    _confirm(scene, intent, {"payment_method": "pm_card_visa"})
    scene.pass_time(minutes=2)
    assert (scene.state(intent["payment_id"]), scene.moved()) == ("captured", [("charge", WHOLE)])


def _wait_for_long(scene: Scene) -> None:
    """Let two leases' time pass, in steps that a renewal can follow; sweep and look up whatever is overdue."""
    [row] = scene.rows(payments)

    def is_renewed() -> bool:
        return scene.attempts(row.id)[0].due_at > scene.now() + LEASE / 2

    for _ in range(3):
        scene.move_clock(seconds=LEASE.total_seconds() * 2 / 3)
        assert wait_until(is_renewed, patient(30), poll_seconds=0.01)
        scene.sweep()
        scene.rest()


def test_a_bank_debit_from_the_front_end_that_fails_can_be_paid_again_or_canceled(scene: Scene) -> None:
    _owe(scene)
    intent = scene.post("/stripe-intent", {"invoice_id": "inv"})
    payment_id = intent["payment_id"]
    reference = _confirm(scene, intent, {"payment_method": scene.bank_account()} | _MANDATE)
    scene.deliver_and_rest(scene.told("payment_intent.processing", reference))
    assert scene.state(payment_id) == "pending"

    scene.bank_says(reference, "failure")
    scene.deliver_and_rest(scene.told("payment_intent.payment_failed", reference))
    assert scene.state(payment_id) == "requires_action"

    scene.post(f"/{payment_id}/cancel")
    scene.rest()
    assert (scene.state(payment_id), scene.intent_status(payment_id)) == ("canceled", "canceled")
    assert scene.moved() == []


def test_the_client_secret_stands_in_no_table(scene: Scene) -> None:
    _owe(scene)
    intent = scene.post("/stripe-intent", {"invoice_id": "inv"}, key="checkout")
    reference = _confirm(scene, intent, {"payment_method": "pm_card_visa"})
    for what in ("created", "succeeded"):
        event = scene.told(f"payment_intent.{what}", reference)
        assert intent["client_secret"] in json.dumps(event)
        scene.deliver_and_rest(event)
    scene.pay("other")
    scene.rest()

    assert scene.state(intent["payment_id"]) == "captured"
    assert reference in _everything(scene)
    assert "_secret_" not in _everything(scene)


def _everything(scene: Scene) -> str:
    """Return every value of every table."""
    rows = [
        read(scene.engine, lambda connection, table=table: connection.execute(select(table)).all())
        for table in metadata.sorted_tables
    ]
    return "\n".join(str(tuple(row)) for table in rows for row in table)


_MANDATE = {
    "mandate_data[customer_acceptance][type]": "online",
    "mandate_data[customer_acceptance][online][ip_address]": "203.0.113.7",
    "mandate_data[customer_acceptance][online][user_agent]": "test",
}


def _owe(scene: Scene) -> None:
    scene.call("PUT", "/invoices/inv", {"user_id": "user", "amount": "12.30", "currency": "EUR"})


def _confirm(scene: Scene, intent: Json, method: Json) -> str:
    """Confirm an intent as the customer's browser does; return the provider's id of it."""
    reference = str(intent["client_secret"]).split("_secret_")[0]
    back = {"return_url": "https://shop.example/back"}
    scene.provider("POST", f"/v1/payment_intents/{reference}/confirm", method | back)
    return reference
