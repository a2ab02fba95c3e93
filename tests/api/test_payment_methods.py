"""What customers can be offered, and payments by invoice, whose money only an operator sees."""

from __future__ import annotations

from typing import Any

import pytest

from domain.payment_methods import PaymentMethod

from .edge import Edge, assert_problem, payment, unique


def by_invoice(edge: Edge, **changes: Any) -> dict[str, Any]:
    """Return a payment by invoice that waits for its money."""
    return edge.paid(payment_method="invoice", payment_method_token=..., **changes)


def record(edge: Edge, payment_id: str, **body: Any) -> Any:
    """Record something as an operator."""
    path, key = f"/admin/payments/{payment_id}/record", body.pop("key", unique("key"))
    return edge.post(path, {"reference": "statement 7"} | body, caller="operator", Idempotency_Key=key)


def test_every_method_is_listed_with_its_provider_or_why_not(edge: Edge) -> None:
    found = edge.get("/payment-methods?currency=eur&country=de&amount=12.30").json
    listed = {each["payment_method"]: each for each in found["payment_methods"]}
    assert list(listed) == list(PaymentMethod)
    assert listed["credit_card"] == {
        "payment_method": "credit_card",
        "available": True,
        "provider": "stripe",
        "route": [{"provider": "stripe", "reason": "preferred"}],
        "minimum": "0.01",
        "maximum": "999999.99",
        "reusable": True,
        "asynchronous": False,
        "capturable_later": True,
        "needs": ["payment_method_token"],
    }
    assert listed["ach_debit"] == {
        "payment_method": "ach_debit",
        "available": False,
        "reason": "ach_debit works only in USD",
    }
    assert listed["paypal"]["available"] is False
    assert "not configured" in listed["paypal"]["reason"]


def test_an_amount_may_be_too_much(edge: Edge) -> None:
    found = edge.get("/payment-methods?currency=EUR&amount=1000000").json["payment_methods"]
    assert [each["payment_method"] for each in found if each["available"]] == ["invoice"]


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("", "unknown_currency"),
        ("?currency=EURO", "unknown_currency"),
        ("?currency=EUR&amount=1.001", "invalid_amount"),
        ("?currency=EUR&amount=-1", "invalid_amount"),
        ("?currency=EUR&country=DEU", "invalid_request"),
        ("?currency=EUR&colour=red", "invalid_request"),
    ],
)
def test_a_question_that_makes_no_sense(edge: Edge, query: str, kind: str) -> None:
    assert_problem(edge.get(f"/payment-methods{query}"), 422, kind)


def test_a_payment_by_invoice_waits_and_is_recorded_once(edge: Edge) -> None:
    waiting = by_invoice(edge)
    assert (waiting["status"], waiting["next_action"]) == ("requires_action", {"type": "pay_by_invoice"})
    first = record(edge, waiting["id"], key="record-1")
    again = record(edge, waiting["id"], key="record-1")
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.headers["Idempotent-Replayed"] == "true"
    paid = edge.shown(waiting["id"])
    assert (paid["status"], paid["captured_amount"]) == ("captured", "12.30")
    assert_problem(record(edge, waiting["id"]), 409, "conflict")
    assert edge.get(f"/invoices/{paid['invoice_id']}").json["open_amount"] == "0.00"


def test_money_that_was_given_back_is_recorded_too(edge: Edge) -> None:
    waiting = by_invoice(edge)
    assert_problem(record(edge, waiting["id"], kind="refund"), 409, "conflict")
    record(edge, waiting["id"])
    refund = edge.post(f"/{waiting['id']}/refunds", {}, Idempotency_Key=unique("key"))
    assert "by bank" in assert_problem(refund, 409, "conflict")

    assert record(edge, waiting["id"], kind="refund", amount="2.30").status_code == 202
    assert_problem(record(edge, waiting["id"], kind="refund", amount="10.01"), 422, "amount_above_open")
    assert record(edge, waiting["id"], kind="refund").status_code == 202
    refunded = edge.shown(waiting["id"])
    assert (refunded["status"], refunded["refunded_amount"]) == ("refunded", "12.30")


def test_an_invoice_can_be_canceled_until_it_is_paid(edge: Edge) -> None:
    waiting = by_invoice(edge)
    assert edge.post(f"/{waiting['id']}/cancel").status_code == 202
    edge.work()
    assert edge.shown(waiting["id"])["status"] == "canceled"
    assert_problem(record(edge, waiting["id"]), 409, "conflict")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"amount": "12.29"}, "amount_above_open"),
        ({"amount": "12.31"}, "amount_above_open"),
        ({"amount": "0"}, "invalid_amount"),
        ({"reference": ""}, "invalid_request"),
        ({"kind": "gift"}, "invalid_request"),
        ({"surprise": 1}, "invalid_request"),
    ],
    ids=str,
)
def test_a_record_that_makes_no_sense_changes_nothing(edge: Edge, body: Any, kind: str) -> None:
    waiting = by_invoice(edge)
    before = edge.rows()
    assert_problem(record(edge, waiting["id"], **body), 422, kind)
    assert edge.rows() == before
    assert edge.shown(waiting["id"])["status"] == "requires_action"


def test_only_operators_record_and_only_what_nobody_else_keeps(edge: Edge) -> None:
    waiting = by_invoice(edge)
    path, body = f"/admin/payments/{waiting['id']}/record", {"reference": "r"}
    assert_problem(edge.post(path, body, Idempotency_Key=unique("key")), 403, "forbidden")
    assert_problem(edge.post(path, body, caller="operator"), 400, "idempotency_key_required")
    card = edge.paid()
    assert "stripe" in assert_problem(record(edge, card["id"]), 409, "conflict")


# --- customers who come back ---


def test_a_customer_who_comes_back_goes_on_to_the_application(edge: Edge) -> None:
    waiting = by_invoice(edge, return_url="https://shop.example/done?order=7")
    attempt_id = waiting["attempts"][0]["id"]
    response = edge.get(f"/returns/{attempt_id}?status=CANCELLED&token=x", caller=None)
    assert response.status_code == 303
    assert response.headers["Location"] == f"https://shop.example/done?order=7&payment_id={waiting['id']}&canceled=1"
    assert [publish.task for publish in edge.messages] == ["payments.reconcile"]
    edge.messages.clear()
    assert edge.get(f"/returns/{attempt_id}", caller=None).headers["Location"].endswith(waiting["id"])
    assert edge.messages == []  # the look is due already


def test_a_customer_without_an_application_to_go_to_sees_a_page(edge: Edge) -> None:
    paid = edge.paid()
    response = edge.get(f"/returns/{paid['attempts'][0]['id']}", caller=None)
    assert (response.status_code, response.content_type) == (200, "text/html; charset=utf-8")
    assert paid["id"] in response.text
    assert edge.messages == []


def test_a_return_of_nothing(edge: Edge) -> None:
    assert_problem(edge.get("/returns/at_none", caller=None), 404, "not_found")
    assert "token" not in payment(payment_method_token=...)
