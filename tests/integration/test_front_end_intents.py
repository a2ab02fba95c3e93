"""Front-end intents when things go slowly, wrongly or twice; and where their secret must never stand."""

from __future__ import annotations

import json

import pytest

from domain.decision import LEASE
from models.tables import payments
from stack.process import wait_until
from tests.patience import patient
from tests.system import AMOUNT, Json, System

pytestmark = pytest.mark.postgres


def test_after_a_failure_of_the_provider_the_same_key_gets_a_new_intent(system: System) -> None:
    _owe(system)
    system.provider.fail("payment_intents.create", "error_before")
    assert system.call("POST", "/stripe-intent", {"invoice_id": "inv"}, Idempotency_Key="checkout").status_code == 502
    intent = system.request("/stripe-intent", {"invoice_id": "inv"}, Idempotency_Key="checkout")
    assert system.request("/stripe-intent", {"invoice_id": "inv"}, Idempotency_Key="checkout") == intent

    _confirm(system, intent, {"payment_method": "pm_card_visa"})
    system.advance(minutes=2)
    assert (system.state(intent["payment_id"]), system.provider.movements()) == ("captured", [("charge", AMOUNT)])


@pytest.mark.parametrize("headers", [{"Idempotency_Key": "checkout"}, {}], ids=["one key", "no key"])
@pytest.mark.parametrize("fault", ["error_stored", "rate_limit", "reset_after"])
def test_however_often_it_fails_an_intent_is_one_payment_of_one_attempt(
    system: System, headers: dict[str, str], fault: str
) -> None:
    _owe(system)
    for _ in range(5):
        system.provider.fail("payment_intents.create", fault)
        assert system.post("/stripe-intent", {"invoice_id": "inv"}, **headers).status_code == 502
        [failed] = system.rows(payments)
        assert failed.state == "failed"
        system.provider.heal()
    intent = system.request("/stripe-intent", {"invoice_id": "inv"}, **headers)
    assert (intent["payment_id"], system.state(failed.id)) == (failed.id, "requires_action")
    [attempt] = system.attempts(failed.id)
    assert (attempt.retries, attempt.code, attempt.finished_at, system.payment(failed.id).failure_code) == (
        *(5, None, None),
        None,
    )

    _confirm(system, intent, {"payment_method": "pm_card_visa"})
    system.advance(minutes=2)
    assert (system.state(failed.id), system.provider.movements()) == ("captured", [("charge", AMOUNT)])


def test_an_intent_whose_process_dies_goes_on_with_its_payment(system: System) -> None:
    _owe(system)
    system.during_next("open_intent", _die)
    with pytest.raises(KeyboardInterrupt):
        system.post("/stripe-intent", {"invoice_id": "inv"}, Idempotency_Key="checkout")
    system.advance(seconds=LEASE.total_seconds() + 1)
    system.advance(seconds=2)
    [dead] = system.rows(payments)
    assert dead.state == "failed"
    intent = system.request("/stripe-intent", {"invoice_id": "inv"}, Idempotency_Key="checkout")
    assert intent["payment_id"] == dead.id


def _die() -> None:
    raise KeyboardInterrupt


def test_an_intent_over_another_amount_is_another_payment(system: System) -> None:
    _owe(system)
    system.provider.fail("payment_intents.create", "error_before")
    assert system.post("/stripe-intent", {"invoice_id": "inv"}, Idempotency_Key="checkout").status_code == 502
    system.call("PUT", "/invoices/inv", {"user_id": "user", "amount": "10.00", "currency": "EUR"})
    intent = system.request("/stripe-intent", {"invoice_id": "inv"}, Idempotency_Key="checkout")
    [failed, opened] = system.rows(payments)
    assert (intent["payment_id"], intent["amount"], failed.state) == (opened.id, "10.00", "failed")


def test_an_invoice_whose_intent_failed_can_be_paid_in_another_way(system: System) -> None:
    _owe(system)
    system.provider.fail("payment_intents.create", "error_before")
    system.post("/stripe-intent", {"invoice_id": "inv"})
    payment_id = system.pay()
    system.run_until_idle()
    assert system.state(payment_id) == "captured"
    assert system.post("/stripe-intent", {"invoice_id": "inv"}).json["type"] == "amount_above_open"


def test_a_provider_slower_than_the_lease_still_gives_an_intent(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    _owe(system)
    monkeypatch.setattr("runtime.leases._RENEW_SECONDS", 0.25)
    system.during_next("open_intent", lambda: _wait_for_long(system))
    intent = system.request("/stripe-intent", {"invoice_id": "inv"})

    _confirm(system, intent, {"payment_method": "pm_card_visa"})
    system.advance(minutes=2)
    assert (system.state(intent["payment_id"]), system.provider.movements()) == ("captured", [("charge", AMOUNT)])


def _wait_for_long(system: System) -> None:
    """Let two leases' time pass, in steps that a renewal can follow; sweep and look up whatever is overdue."""
    [row] = system.rows(payments)

    def is_renewed() -> bool:
        return system.attempts(row.id)[0].due_at > system.now() + LEASE / 2

    for _ in range(3):
        system.move_clock(seconds=LEASE.total_seconds() * 2 / 3)
        assert wait_until(is_renewed, patient(30), poll_seconds=0.01)
        system.sweep()
        system.run_until_idle()


def test_a_bank_debit_from_the_front_end_that_fails_can_be_paid_again_or_canceled(system: System) -> None:
    _owe(system)
    intent = system.request("/stripe-intent", {"invoice_id": "inv"})
    payment_id = intent["payment_id"]
    reference = _confirm(system, intent, {"payment_method": system.provider.bank_account()} | _MANDATE)
    system.deliver_and_run(system.provider.event("payment_intent.processing", reference))
    assert system.state(payment_id) == "pending"

    system.provider.decide_at_bank(reference, "failure")
    system.deliver_and_run(system.provider.event("payment_intent.payment_failed", reference))
    assert system.state(payment_id) == "requires_action"

    system.request(f"/{payment_id}/cancel")
    system.run_until_idle()
    assert (system.state(payment_id), system.provider.intent_status(payment_id)) == ("canceled", "canceled")
    assert system.provider.movements() == []


def test_the_client_secret_is_stored_in_no_table(system: System) -> None:
    _owe(system)
    intent = system.request("/stripe-intent", {"invoice_id": "inv"}, Idempotency_Key="checkout")
    reference = _confirm(system, intent, {"payment_method": "pm_card_visa"})
    for what in ("created", "succeeded"):
        event = system.provider.event(f"payment_intent.{what}", reference)
        assert intent["client_secret"] in json.dumps(event)
        system.deliver_and_run(event)
    system.pay("other")
    system.run_until_idle()

    assert system.state(intent["payment_id"]) == "captured"
    assert reference in system.dump()
    assert "_secret_" not in system.dump()


_MANDATE = {
    "mandate_data[customer_acceptance][type]": "online",
    "mandate_data[customer_acceptance][online][ip_address]": "203.0.113.7",
    "mandate_data[customer_acceptance][online][user_agent]": "test",
}


def _owe(system: System) -> None:
    system.call("PUT", "/invoices/inv", {"user_id": "user", "amount": "12.30", "currency": "EUR"})


def _confirm(system: System, intent: Json, method: Json) -> str:
    """Confirm an intent as the customer's browser does; return the provider's id of it."""
    reference = str(intent["client_secret"]).split("_secret_")[0]
    back = {"return_url": "https://shop.example/back"}
    system.provider.call("POST", f"/v1/payment_intents/{reference}/confirm", method | back)
    return reference
