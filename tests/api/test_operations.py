"""Capture, cancel, refund and review: when each is allowed, and what it writes."""

from __future__ import annotations

from typing import Any

import pytest

from domain.state_machine import ReviewRequired
from models import transition

from .api_system import ApiSystem, assert_problem, unique


def authorized(api: ApiSystem) -> str:
    shown = api.process_and_run(capture=False, amount="10")
    assert (shown["status"], shown["authorized_amount"]) == ("authorized", "10.00")
    return shown["id"]


def captured(api: ApiSystem) -> str:
    shown = api.process_and_run(amount="10")
    assert shown["status"] == "captured"
    return shown["id"]


def refund(api: ApiSystem, payment_id: str, key: str | None = None, **body: Any) -> Any:
    return api.post(f"/{payment_id}/refunds", body, Idempotency_Key=key or unique("key"))


def held_for_review(api: ApiSystem) -> dict[str, Any]:
    shown = api.process().json
    api.runtime.change("test", transition.apply, shown["attempts"][0]["id"], ReviewRequired())
    api.messages.clear()
    return shown


# --- capture ---


@pytest.mark.parametrize(("body", "taken"), [({}, "10.00"), ({"amount": "4"}, "4.00"), ({"amount": 10}, "10.00")])
def test_a_capture_takes_all_or_a_part(api: ApiSystem, body: dict[str, Any], taken: str) -> None:
    payment_id = authorized(api)
    response = api.post(f"/{payment_id}/capture", body)
    assert (response.status_code, response.json["status"]) == (202, "authorized")
    assert response.headers["Location"].endswith(payment_id)
    api.run_published()
    shown = api.show(payment_id)
    assert (shown["status"], shown["captured_amount"]) == ("captured", taken)


@pytest.mark.parametrize("amount", ["10.01", "1000"])
def test_no_more_is_captured_than_authorized(api: ApiSystem, amount: str) -> None:
    payment_id = authorized(api)
    before = api.row_counts()
    assert "10.00 EUR" in assert_problem(
        api.post(f"/{payment_id}/capture", {"amount": amount}), 422, "amount_above_open"
    )
    assert api.row_counts() == before


def test_only_authorized_money_is_captured(api: ApiSystem) -> None:
    for payment_id in (captured(api), api.process().json["id"]):
        before = api.row_counts()
        assert_problem(api.post(f"/{payment_id}/capture"), 409, "conflict")
        assert api.row_counts() == before


@pytest.mark.parametrize("path", ["capture", "cancel"])
def test_a_second_operation_waits_for_the_first(api: ApiSystem, path: str) -> None:
    payment_id = authorized(api)
    api.post(f"/{payment_id}/capture")
    before = api.row_counts()
    assert "under way" in assert_problem(api.post(f"/{payment_id}/{path}"), 409, "conflict")
    assert api.row_counts() == before


def test_a_repeated_capture_is_one(api: ApiSystem) -> None:
    payment_id, key = authorized(api), unique("key")
    first = api.post(f"/{payment_id}/capture", {"amount": "4"}, Idempotency_Key=key)
    api.run_published()
    second = api.post(f"/{payment_id}/capture", {"amount": "4"}, Idempotency_Key=key)
    assert second.json == first.json
    assert second.headers["Idempotent-Replayed"] == "true"
    assert_problem(
        api.post(f"/{payment_id}/capture", {"amount": "5"}, Idempotency_Key=key), 422, "idempotency_key_reused"
    )
    assert api.show(payment_id)["captured_amount"] == "4.00"


# --- cancel ---


def test_a_payment_that_never_reached_the_provider_is_canceled_at_once(api: ApiSystem) -> None:
    payment_id = api.process().json["id"]
    response = api.post(f"/{payment_id}/cancel")
    assert (response.status_code, response.json["status"]) == (202, "canceled")
    api.run_published()
    shown = api.show(payment_id)
    assert (shown["status"], shown["captured_amount"]) == ("canceled", "0.00")
    assert [attempt["status"] for attempt in shown["attempts"]] == ["canceled"]


def test_a_cancel_voids_an_authorization(api: ApiSystem) -> None:
    payment_id = authorized(api)
    assert api.post(f"/{payment_id}/cancel").json["status"] == "authorized"
    api.run_published()
    assert api.show(payment_id)["status"] == "voided"


def test_captured_money_cannot_be_canceled(api: ApiSystem) -> None:
    payment_id = captured(api)
    before = api.row_counts()
    assert "refunded" in assert_problem(api.post(f"/{payment_id}/cancel"), 409, "conflict")
    assert api.row_counts() == before


def test_a_canceled_payment_frees_its_invoice(api: ApiSystem) -> None:
    first = api.process().json
    api.post(f"/{first['id']}/cancel")
    assert api.process(invoice_id=first["invoice_id"], user_id=first["user_id"]).status_code == 202


def test_stopping_a_collection_leaves_its_subscription_as_it_is(api: ApiSystem) -> None:
    subscription = unique("sub")
    shown = api.process_and_run(subscription_id=subscription, payment_method_token="pm_card_visa_chargeDeclined")
    assert (shown["status"], shown["dunning"]["status"]) == ("past_due", "retrying")
    assert api.post(f"/{shown['id']}/cancel").json["status"] == "canceled"
    assert api.get(f"/subscriptions/{subscription}").json["status"] == "incomplete"
    assert api.show(shown["id"])["dunning"]["status"] == "stopped"
    assert api.process_and_run(subscription_id=subscription, user_id=shown["user_id"])["status"] == "captured"
    assert api.get(f"/subscriptions/{subscription}").json["status"] == "active"


# --- refund ---


def test_refunds_add_up(api: ApiSystem) -> None:
    payment_id = captured(api)
    assert refund(api, payment_id, amount="4", reason="requested_by_customer").status_code == 202
    api.run_published()
    assert (api.show(payment_id)["status"], api.show(payment_id)["refunded_amount"]) == (
        "partially_refunded",
        "4.00",
    )
    assert refund(api, payment_id).status_code == 202
    api.run_published()
    assert (api.show(payment_id)["status"], api.show(payment_id)["refunded_amount"]) == ("refunded", "10.00")
    assert_problem(refund(api, payment_id), 409, "conflict")


def test_a_refund_needs_a_key(api: ApiSystem) -> None:
    payment_id = captured(api)
    before = api.row_counts()
    assert_problem(api.post(f"/{payment_id}/refunds", {"amount": "1"}), 400, "idempotency_key_required")
    assert api.row_counts() == before


def test_a_repeated_refund_is_one(api: ApiSystem) -> None:
    payment_id, key = captured(api), unique("key")
    first, second = refund(api, payment_id, key, amount="4"), refund(api, payment_id, key, amount="4")
    assert first.json == second.json
    api.run_published()
    assert api.show(payment_id)["refunded_amount"] == "4.00"
    assert_problem(refund(api, payment_id, key, amount="5"), 422, "idempotency_key_reused")


def test_refunds_under_way_count_as_given(api: ApiSystem) -> None:
    payment_id = captured(api)
    refund(api, payment_id, amount="6")
    before = api.row_counts()
    assert "4.00 EUR" in assert_problem(refund(api, payment_id, amount="4.01"), 422, "amount_above_open")
    assert api.row_counts() == before
    assert refund(api, payment_id, amount="4").status_code == 202
    api.run_published()
    assert api.show(payment_id)["status"] == "refunded"


def test_only_captured_money_is_refunded(api: ApiSystem) -> None:
    for payment_id in (authorized(api), api.process().json["id"]):
        before = api.row_counts()
        assert_problem(refund(api, payment_id), 409, "conflict")
        assert api.row_counts() == before


def test_an_operator_refunds_any_payment(api: ApiSystem) -> None:
    payment_id = captured(api)
    response = api.post(f"/{payment_id}/refunds", {}, caller="operator", Idempotency_Key=unique("key"))
    assert response.status_code == 202


def test_a_refund_may_be_waited_for(api: ApiSystem) -> None:
    payment_id = captured(api)
    api.is_worker_up = True
    response = api.post(f"/{payment_id}/refunds", {}, Idempotency_Key=unique("key"), Prefer="wait=5")
    assert (response.status_code, response.json["status"]) == (200, "refunded")


# --- review ---


def test_an_operator_approves_a_payment(api: ApiSystem) -> None:
    shown = held_for_review(api)
    response = api.post(f"/{shown['id']}/review", {"decision": "approve"}, caller="operator")
    assert (response.status_code, response.json["status"]) == (202, "accepted")
    api.run_published()
    assert api.show(shown["id"])["status"] == "captured"


def test_an_operator_rejects_a_payment(api: ApiSystem) -> None:
    shown = held_for_review(api)
    response = api.post(f"/{shown['id']}/review", {"decision": "reject"}, caller="operator")
    assert response.json["status"] == "canceled"
    assert api.messages == []
    assert response.json["attempts"][0]["status"] == "canceled"


def test_only_a_payment_in_review_is_reviewed(api: ApiSystem) -> None:
    payment_id = api.process().json["id"]
    before = api.row_counts()
    assert_problem(api.post(f"/{payment_id}/review", {"decision": "approve"}, caller="operator"), 409, "conflict")
    assert api.row_counts() == before


def test_a_payment_in_review_can_be_canceled(api: ApiSystem) -> None:
    shown = held_for_review(api)
    assert api.post(f"/{shown['id']}/cancel").json["status"] == "canceled"
