"""Front-end intents: the client secret is passed through and never kept."""

from __future__ import annotations

from typing import Any

from sandbox.stripe.api import Stripe

from .edge import Edge, assert_problem, unique


def open_intent(edge: Edge, invoice: str, **how: Any) -> Any:
    return edge.post("/stripe-intent", {"invoice_id": invoice}, **how)


def owed(edge: Edge, amount: str = "25") -> str:
    invoice = unique("inv")
    edge.call("PUT", f"/invoices/{invoice}", {"user_id": "user-1", "amount": amount, "currency": "EUR"})
    return invoice


def intents_of(edge: Edge, payment_id: str) -> list[Any]:
    account = edge.sandbox.state.provider_of(Stripe).account
    return [intent for intent in account.intents.values() if intent.body["metadata"].get("payment_id") == payment_id]


def test_the_secret_is_answered_and_stored_nowhere(edge: Edge) -> None:
    response = open_intent(edge, owed(edge))
    assert response.status_code == 201
    intent = response.json
    assert (intent["amount"], intent["currency"], intent["publishable_key"]) == ("25.00", "EUR", "pk_test_shown")
    assert "_secret_" in intent["client_secret"]
    assert intent["client_secret"] not in edge.dump()
    assert "_secret_" not in edge.dump()

    shown = edge.get(f"/{intent['payment_id']}")
    assert (shown.json["status"], shown.json["amount"]) == ("requires_action", "25.00")
    assert "_secret_" not in shown.text
    assert shown.json["attempts"][0]["provider_reference"] == intent["client_secret"].split("_secret_")[0]


def test_the_provider_is_told_the_amount_of_the_invoice(edge: Edge) -> None:
    payment_id = open_intent(edge, owed(edge, "31.50")).json["payment_id"]
    (intent,) = intents_of(edge, payment_id)
    assert (intent.body["amount"], intent.body["currency"]) == (3150, "eur")


def test_a_customer_who_comes_back_gets_the_same_intent(edge: Edge) -> None:
    invoice = owed(edge)
    first = open_intent(edge, invoice)
    before = edge.rows()
    assert open_intent(edge, invoice).json == first.json
    assert edge.rows() == before
    assert len(intents_of(edge, first.json["payment_id"])) == 1


def test_a_repeated_key_gets_the_same_intent_and_no_other(edge: Edge) -> None:
    invoice, other, key = owed(edge), owed(edge), unique("key")
    first = open_intent(edge, invoice, Idempotency_Key=key)
    assert open_intent(edge, invoice, Idempotency_Key=key).json == first.json
    assert_problem(open_intent(edge, other, Idempotency_Key=key), 422, "idempotency_key_reused")
    assert "_secret_" not in edge.dump()


def test_no_intent_beside_another_collection(edge: Edge) -> None:
    live = edge.pay().json
    before = edge.rows()
    assert_problem(open_intent(edge, live["invoice_id"]), 409, "collection_in_progress")
    assert edge.rows() == before


def test_no_payment_beside_an_open_intent(edge: Edge) -> None:
    invoice = owed(edge)
    open_intent(edge, invoice)
    assert_problem(edge.pay(invoice_id=invoice, user_id="user-1", amount="1"), 409, "collection_in_progress")


def test_no_intent_over_nothing(edge: Edge) -> None:
    paid = edge.paid()
    before = edge.rows()
    assert_problem(open_intent(edge, paid["invoice_id"]), 422, "amount_above_open")
    assert edge.rows() == before


def test_somebody_elses_invoice_is_unknown(edge: Edge) -> None:
    assert_problem(open_intent(edge, owed(edge), caller="other"), 404, "not_found")


def test_when_the_provider_fails_nothing_stays_live(edge: Edge) -> None:
    invoice = owed(edge)
    edge.sandbox.state.faults.add("payment_intents.create", "error_before")
    assert_problem(open_intent(edge, invoice), 502, "provider_error")
    (failed,) = edge.get(f"/?invoice_id={invoice}").json["payments"]
    assert failed["status"] == "failed"
    assert open_intent(edge, invoice).status_code == 201


def test_when_the_secret_cannot_be_read_again_the_intent_stays(edge: Edge) -> None:
    invoice = owed(edge)
    first = open_intent(edge, invoice).json
    edge.sandbox.state.faults.add("payment_intents.retrieve", "error_before")
    assert_problem(open_intent(edge, invoice), 502, "provider_error")
    assert open_intent(edge, invoice).json == first


def test_an_open_intent_can_be_canceled(edge: Edge) -> None:
    invoice = owed(edge)
    payment_id = open_intent(edge, invoice).json["payment_id"]
    assert edge.post(f"/{payment_id}/cancel").status_code == 202
    edge.work()
    assert edge.shown(payment_id)["status"] == "canceled"
    assert [intent.body["status"] for intent in intents_of(edge, payment_id)] == ["canceled"]
