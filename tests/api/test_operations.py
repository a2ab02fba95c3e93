"""Capture, cancel, refund and review: when each may be asked for, and what it leaves."""

from __future__ import annotations

from typing import Any

import pytest

from domain.state_machine import ReviewRequired
from models import transition

from .edge import Edge, assert_problem, unique


def authorized(edge: Edge) -> str:
    shown = edge.paid(capture=False, amount="10")
    assert (shown["status"], shown["authorized_amount"]) == ("authorized", "10.00")
    return shown["id"]


def captured(edge: Edge) -> str:
    shown = edge.paid(amount="10")
    assert shown["status"] == "captured"
    return shown["id"]


def refund(edge: Edge, payment_id: str, key: str | None = None, **body: Any) -> Any:
    return edge.post(f"/{payment_id}/refunds", body, Idempotency_Key=key or unique("key"))


def held_for_review(edge: Edge) -> dict[str, Any]:
    shown = edge.pay().json
    edge.runtime.change("test", transition.apply, shown["attempts"][0]["id"], ReviewRequired())
    edge.messages.clear()
    return shown


# --- capture ---


@pytest.mark.parametrize(("body", "taken"), [({}, "10.00"), ({"amount": "4"}, "4.00"), ({"amount": 10}, "10.00")])
def test_capture(edge: Edge, body: dict[str, Any], taken: str) -> None:
    payment_id = authorized(edge)
    asked = edge.post(f"/{payment_id}/capture", body)
    assert (asked.status_code, asked.json["status"]) == (202, "authorized")
    assert asked.headers["Location"].endswith(payment_id)
    edge.work()
    shown = edge.shown(payment_id)
    assert (shown["status"], shown["captured_amount"]) == ("captured", taken)


@pytest.mark.parametrize("amount", ["10.01", "1000"])
def test_no_more_is_captured_than_authorized(edge: Edge, amount: str) -> None:
    payment_id = authorized(edge)
    before = edge.rows()
    assert "10.00 EUR" in assert_problem(
        edge.post(f"/{payment_id}/capture", {"amount": amount}), 422, "amount_above_open"
    )
    assert edge.rows() == before


def test_only_authorized_money_is_captured(edge: Edge) -> None:
    for payment_id in (captured(edge), edge.pay().json["id"]):
        before = edge.rows()
        assert_problem(edge.post(f"/{payment_id}/capture"), 409, "conflict")
        assert edge.rows() == before


@pytest.mark.parametrize("path", ["capture", "cancel"])
def test_a_second_operation_waits_for_the_first(edge: Edge, path: str) -> None:
    payment_id = authorized(edge)
    edge.post(f"/{payment_id}/capture")
    before = edge.rows()
    assert "under way" in assert_problem(edge.post(f"/{payment_id}/{path}"), 409, "conflict")
    assert edge.rows() == before


def test_a_repeated_capture_is_one(edge: Edge) -> None:
    payment_id, key = authorized(edge), unique("key")
    first = edge.post(f"/{payment_id}/capture", {"amount": "4"}, Idempotency_Key=key)
    edge.work()
    second = edge.post(f"/{payment_id}/capture", {"amount": "4"}, Idempotency_Key=key)
    assert second.json == first.json
    assert second.headers["Idempotent-Replayed"] == "true"
    assert_problem(
        edge.post(f"/{payment_id}/capture", {"amount": "5"}, Idempotency_Key=key), 422, "idempotency_key_reused"
    )
    assert edge.shown(payment_id)["captured_amount"] == "4.00"


# --- cancel ---


def test_what_never_reached_the_provider_is_canceled_at_once(edge: Edge) -> None:
    payment_id = edge.pay().json["id"]
    response = edge.post(f"/{payment_id}/cancel")
    assert (response.status_code, response.json["status"]) == (202, "canceled")
    edge.work()
    shown = edge.shown(payment_id)
    assert (shown["status"], shown["captured_amount"]) == ("canceled", "0.00")
    assert [attempt["status"] for attempt in shown["attempts"]] == ["canceled"]


def test_an_authorization_is_released(edge: Edge) -> None:
    payment_id = authorized(edge)
    assert edge.post(f"/{payment_id}/cancel").json["status"] == "authorized"
    edge.work()
    assert edge.shown(payment_id)["status"] == "voided"


def test_captured_money_cannot_be_canceled(edge: Edge) -> None:
    payment_id = captured(edge)
    before = edge.rows()
    assert "refunded" in assert_problem(edge.post(f"/{payment_id}/cancel"), 409, "conflict")
    assert edge.rows() == before


def test_a_canceled_payment_frees_its_invoice(edge: Edge) -> None:
    first = edge.pay().json
    edge.post(f"/{first['id']}/cancel")
    assert edge.pay(invoice_id=first["invoice_id"], user_id=first["user_id"]).status_code == 202


def test_a_payment_in_dunning_is_canceled_with_its_subscription(edge: Edge) -> None:
    subscription = unique("sub")
    shown = edge.paid(subscription_id=subscription, payment_method_token="pm_card_visa_chargeDeclined")
    assert (shown["status"], shown["dunning"]["status"]) == ("past_due", "retrying")
    assert edge.post(f"/{shown['id']}/cancel").json["status"] == "canceled"
    assert edge.get(f"/subscriptions/{subscription}").json["status"] == "canceled"
    assert_problem(edge.pay(subscription_id=subscription, user_id=shown["user_id"]), 409, "conflict")


# --- refund ---


def test_refunds_add_up(edge: Edge) -> None:
    payment_id = captured(edge)
    assert refund(edge, payment_id, amount="4", reason="requested_by_customer").status_code == 202
    edge.work()
    assert (edge.shown(payment_id)["status"], edge.shown(payment_id)["refunded_amount"]) == (
        "partially_refunded",
        "4.00",
    )
    assert refund(edge, payment_id).status_code == 202
    edge.work()
    assert (edge.shown(payment_id)["status"], edge.shown(payment_id)["refunded_amount"]) == ("refunded", "10.00")
    assert_problem(refund(edge, payment_id), 409, "conflict")


def test_a_refund_needs_a_key(edge: Edge) -> None:
    payment_id = captured(edge)
    before = edge.rows()
    assert_problem(edge.post(f"/{payment_id}/refunds", {"amount": "1"}), 400, "idempotency_key_required")
    assert edge.rows() == before


def test_a_repeated_refund_is_one(edge: Edge) -> None:
    payment_id, key = captured(edge), unique("key")
    first, second = refund(edge, payment_id, key, amount="4"), refund(edge, payment_id, key, amount="4")
    assert first.json == second.json
    edge.work()
    assert edge.shown(payment_id)["refunded_amount"] == "4.00"
    assert_problem(refund(edge, payment_id, key, amount="5"), 422, "idempotency_key_reused")


def test_refunds_under_way_count_as_given(edge: Edge) -> None:
    payment_id = captured(edge)
    refund(edge, payment_id, amount="6")
    before = edge.rows()
    assert "4.00 EUR" in assert_problem(refund(edge, payment_id, amount="4.01"), 422, "amount_above_open")
    assert edge.rows() == before
    assert refund(edge, payment_id, amount="4").status_code == 202
    edge.work()
    assert edge.shown(payment_id)["status"] == "refunded"


def test_nothing_is_refunded_that_was_not_captured(edge: Edge) -> None:
    for payment_id in (authorized(edge), edge.pay().json["id"]):
        before = edge.rows()
        assert_problem(refund(edge, payment_id), 409, "conflict")
        assert edge.rows() == before


def test_an_operator_refunds_any_payment(edge: Edge) -> None:
    payment_id = captured(edge)
    response = edge.post(f"/{payment_id}/refunds", {}, caller="operator", Idempotency_Key=unique("key"))
    assert response.status_code == 202


def test_a_refund_may_be_waited_for(edge: Edge) -> None:
    payment_id = captured(edge)
    edge.is_worker_up = True
    response = edge.post(f"/{payment_id}/refunds", {}, Idempotency_Key=unique("key"), Prefer="wait=5")
    assert (response.status_code, response.json["status"]) == (200, "refunded")


# --- review ---


def test_an_operator_lets_a_payment_pass(edge: Edge) -> None:
    shown = held_for_review(edge)
    response = edge.post(f"/{shown['id']}/review", {"decision": "approve"}, caller="operator")
    assert (response.status_code, response.json["status"]) == (202, "accepted")
    edge.work()
    assert edge.shown(shown["id"])["status"] == "captured"


def test_an_operator_rejects_a_payment(edge: Edge) -> None:
    shown = held_for_review(edge)
    response = edge.post(f"/{shown['id']}/review", {"decision": "reject"}, caller="operator")
    assert response.json["status"] == "canceled"
    assert edge.messages == []
    assert response.json["attempts"][0]["status"] == "canceled"


def test_only_what_waits_for_review_is_reviewed(edge: Edge) -> None:
    payment_id = edge.pay().json["id"]
    before = edge.rows()
    assert_problem(edge.post(f"/{payment_id}/review", {"decision": "approve"}, caller="operator"), 409, "conflict")
    assert edge.rows() == before


def test_a_payment_in_review_can_be_canceled(edge: Edge) -> None:
    shown = held_for_review(edge)
    assert edge.post(f"/{shown['id']}/cancel").json["status"] == "canceled"
