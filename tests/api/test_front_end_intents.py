"""Front-end intents: the client secret is passed through and never kept."""

from __future__ import annotations

from typing import Any

import pytest

from domain.payment_methods import PaymentMethod
from sandbox.stripe.api import Stripe

from .api_system import ApiSystem, assert_problem, unique


def open_intent(api: ApiSystem, invoice: str, **how: Any) -> Any:
    return api.post("/stripe-intent", {"invoice_id": invoice}, **how)


def owed(api: ApiSystem, amount: str = "25") -> str:
    invoice = unique("inv")
    api.call("PUT", f"/invoices/{invoice}", {"user_id": "user-1", "amount": amount, "currency": "EUR"})
    return invoice


def intents_of(api: ApiSystem, payment_id: str) -> list[Any]:
    account = api.sandbox.state.provider_of(Stripe).account
    return [intent for intent in account.intents.values() if intent.body["metadata"].get("payment_id") == payment_id]


def test_the_client_secret_is_in_the_response_and_stored_nowhere(api: ApiSystem) -> None:
    response = open_intent(api, owed(api))
    assert response.status_code == 201
    intent = response.json
    assert (intent["amount"], intent["currency"], intent["publishable_key"]) == ("25.00", "EUR", "pk_test_shown")
    assert "_secret_" in intent["client_secret"]
    assert intent["client_secret"] not in api.dump()
    assert "_secret_" not in api.dump()

    shown = api.get(f"/{intent['payment_id']}")
    assert (shown.json["status"], shown.json["amount"]) == ("requires_action", "25.00")
    assert "_secret_" not in shown.text
    assert shown.json["attempts"][0]["provider_reference"] == intent["client_secret"].split("_secret_")[0]


def test_the_intent_has_the_amount_of_the_invoice(api: ApiSystem) -> None:
    payment_id = open_intent(api, owed(api, "31.50")).json["payment_id"]
    (intent,) = intents_of(api, payment_id)
    assert (intent.body["amount"], intent.body["currency"]) == (3150, "eur")


def test_the_intent_of_a_partly_paid_invoice_has_what_is_outstanding(api: ApiSystem) -> None:
    invoice = owed(api, "31.50")
    part = api.process_and_run(invoice_id=invoice, user_id="user-1", amount="11.50")
    assert part["status"] == "captured"
    (intent,) = intents_of(api, open_intent(api, invoice).json["payment_id"])
    assert (intent.body["amount"], intent.body["currency"]) == (2000, "eur")


def test_a_front_end_lets_the_customer_return_through_us(api: ApiSystem) -> None:
    body = {"invoice_id": owed(api), "return_url": "https://shop.example/done"}
    intent = api.post("/stripe-intent", body).json
    page = intent["return_url"].partition("/payments")[2]
    assert page == f"/returns/{api.show(intent['payment_id'])['attempts'][0]['id']}"
    back = api.get(f"{page}?payment_intent=pi_1&payment_intent_client_secret=x", caller=None)
    assert back.headers["Location"] == f"https://shop.example/done?payment_id={intent['payment_id']}"


def test_a_customer_who_comes_back_gets_the_same_intent(api: ApiSystem) -> None:
    invoice = owed(api)
    first = open_intent(api, invoice)
    before = api.row_counts()
    assert open_intent(api, invoice).json == first.json
    assert api.row_counts() == before
    assert len(intents_of(api, first.json["payment_id"])) == 1


def test_a_repeated_key_gets_the_same_intent_and_no_other(api: ApiSystem) -> None:
    invoice, other, key = owed(api), owed(api), unique("key")
    first = open_intent(api, invoice, Idempotency_Key=key)
    assert open_intent(api, invoice, Idempotency_Key=key).json == first.json
    assert_problem(open_intent(api, other, Idempotency_Key=key), 422, "idempotency_key_reused")
    assert "_secret_" not in api.dump()


def test_a_repeated_key_gets_its_intent_after_the_method_is_switched_off(
    api: ApiSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoice, key = owed(api), unique("key")
    first = open_intent(api, invoice, Idempotency_Key=key)
    api.switch_off(monkeypatch, PaymentMethod.STRIPE)
    assert open_intent(api, invoice, Idempotency_Key=key).json == first.json
    assert_problem(open_intent(api, owed(api)), 422, "unsupported_payment_method")


def test_an_invoice_under_collection_gets_no_intent(api: ApiSystem) -> None:
    live = api.process().json
    before = api.row_counts()
    assert_problem(open_intent(api, live["invoice_id"]), 409, "collection_in_progress")
    assert api.row_counts() == before


def test_an_invoice_with_an_open_intent_gets_no_other_payment(api: ApiSystem) -> None:
    invoice = owed(api)
    open_intent(api, invoice)
    assert_problem(api.process(invoice_id=invoice, user_id="user-1", amount="1"), 409, "collection_in_progress")


def test_a_paid_invoice_gets_no_intent(api: ApiSystem) -> None:
    paid = api.process_and_run()
    before = api.row_counts()
    assert_problem(open_intent(api, paid["invoice_id"]), 422, "amount_above_open")
    assert api.row_counts() == before


def test_an_invoice_of_another_application_gets_no_intent(api: ApiSystem) -> None:
    assert_problem(open_intent(api, owed(api), caller="other"), 404, "not_found")


def test_a_failed_intent_leaves_no_live_payment(api: ApiSystem) -> None:
    invoice = owed(api)
    api.sandbox.state.faults.add("payment_intents.create", "error_before")
    assert_problem(open_intent(api, invoice), 502, "provider_error")
    (failed,) = api.get(f"/?invoice_id={invoice}").json["payments"]
    assert failed["status"] == "failed"
    assert open_intent(api, invoice).status_code == 201


def test_an_intent_whose_secret_cannot_be_read_stays_open(api: ApiSystem) -> None:
    invoice = owed(api)
    first = open_intent(api, invoice).json
    api.sandbox.state.faults.add("payment_intents.retrieve", "error_before")
    assert_problem(open_intent(api, invoice), 502, "provider_error")
    assert open_intent(api, invoice).json == first


def test_an_open_intent_can_be_canceled(api: ApiSystem) -> None:
    invoice = owed(api)
    payment_id = open_intent(api, invoice).json["payment_id"]
    assert api.post(f"/{payment_id}/cancel").status_code == 202
    api.run_published()
    assert api.show(payment_id)["status"] == "canceled"
    assert [intent.body["status"] for intent in intents_of(api, payment_id)] == ["canceled"]
