"""What customers can be offered, and payments by invoice, whose money only an operator sees."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from domain.payment_methods import PaymentMethod
from sandbox.stripe.currencies import SMALLEST, SMALLEST_ELSEWHERE
from tests.patience import patient
from tests.system import API_URL

from .api_system import ApiSystem, assert_problem, payment, unique


def by_invoice(api: ApiSystem, **changes: Any) -> dict[str, Any]:
    """Return a payment by invoice that waits for its money."""
    return api.process_and_run(payment_method="invoice", payment_method_token=..., **changes)


def record(api: ApiSystem, payment_id: str, **body: Any) -> Any:
    """Record something as an operator."""
    path, key = f"/admin/payments/{payment_id}/record", body.pop("key", unique("key"))
    return api.post(path, {"reference": "statement 7"} | body, caller="operator", Idempotency_Key=key)


def test_every_method_is_listed_with_its_provider_or_why_not(api: ApiSystem) -> None:
    listing = api.get("/payment-methods?currency=eur&country=de&amount=12.30").json
    listed = {each["payment_method"]: each for each in listing["payment_methods"]}
    assert list(listed) == list(PaymentMethod)
    assert listed["credit_card"] == {
        "payment_method": "credit_card",
        "available": True,
        "provider": "stripe",
        "route": [{"provider": "stripe", "reason": "preferred"}],
        "minimum": "0.50",
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


@pytest.mark.parametrize("currency", ["EUR", "GBP", "HUF", "JPY", "AED", "INR"])
def test_the_minimum_that_is_shown_is_the_least_that_is_accepted_and_charged(api: ApiSystem, currency: str) -> None:
    listing = api.get(f"/payment-methods?currency={currency}").json["payment_methods"]
    [least] = [Decimal(each["minimum"]) for each in listing if each["payment_method"] == "credit_card"]
    assert api.process_and_run(amount=str(least), currency=currency)["status"] == "captured"
    step = Decimal(1).scaleb(int(least.as_tuple().exponent))
    refusal = api.process(amount=str(least - step), currency=currency)
    assert f"{least} {currency}, the least" in assert_problem(refusal, 422, "invalid_amount")
    # Stripe itself would refuse it.
    assert SMALLEST.get(currency.lower(), SMALLEST_ELSEWHERE) == least / step


def test_a_method_is_not_available_above_its_maximum(api: ApiSystem) -> None:
    listing = api.get("/payment-methods?currency=EUR&amount=1000000").json["payment_methods"]
    assert [each["payment_method"] for each in listing if each["available"]] == ["invoice"]


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
def test_an_invalid_query_is_refused(api: ApiSystem, query: str, kind: str) -> None:
    assert_problem(api.get(f"/payment-methods{query}"), 422, kind)


def test_a_payment_by_invoice_waits_and_is_recorded_once(api: ApiSystem) -> None:
    waiting = by_invoice(api)
    assert (waiting["status"], waiting["next_action"]) == ("requires_action", {"type": "pay_by_invoice"})
    first = record(api, waiting["id"], key="record-1")
    again = record(api, waiting["id"], key="record-1")
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.headers["Idempotent-Replayed"] == "true"
    paid = api.show(waiting["id"])
    assert (paid["status"], paid["captured_amount"]) == ("captured", "12.30")
    assert_problem(record(api, waiting["id"]), 409, "conflict")
    assert api.get(f"/invoices/{paid['invoice_id']}").json["open_amount"] == "0.00"


def test_money_that_was_given_back_is_recorded_too(api: ApiSystem) -> None:
    waiting = by_invoice(api)
    assert_problem(record(api, waiting["id"], kind="refund"), 409, "conflict")
    record(api, waiting["id"])
    refund = api.post(f"/{waiting['id']}/refunds", {}, Idempotency_Key=unique("key"))
    assert "by bank" in assert_problem(refund, 409, "conflict")

    assert record(api, waiting["id"], kind="refund", amount="2.30").status_code == 202
    assert_problem(record(api, waiting["id"], kind="refund", amount="10.01"), 422, "amount_above_open")
    assert record(api, waiting["id"], kind="refund").status_code == 202
    refunded = api.show(waiting["id"])
    assert (refunded["status"], refunded["refunded_amount"]) == ("refunded", "12.30")


def test_an_invoice_can_be_canceled_until_it_is_paid(api: ApiSystem) -> None:
    waiting = by_invoice(api)
    assert api.post(f"/{waiting['id']}/cancel").status_code == 202
    api.run_published()
    assert api.show(waiting["id"])["status"] == "canceled"
    assert_problem(record(api, waiting["id"]), 409, "conflict")


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
def test_an_invalid_record_changes_nothing(api: ApiSystem, body: Any, kind: str) -> None:
    waiting = by_invoice(api)
    before = api.row_counts()
    assert_problem(record(api, waiting["id"], **body), 422, kind)
    assert api.row_counts() == before
    assert api.show(waiting["id"])["status"] == "requires_action"


def test_only_operators_record_and_only_payments_by_invoice(api: ApiSystem) -> None:
    waiting = by_invoice(api)
    path, body = f"/admin/payments/{waiting['id']}/record", {"reference": "r"}
    assert_problem(api.post(path, body, Idempotency_Key=unique("key")), 403, "forbidden")
    assert_problem(api.post(path, body, caller="operator"), 400, "idempotency_key_required")
    card = api.process_and_run()
    assert "stripe" in assert_problem(record(api, card["id"]), 409, "conflict")


# --- customers who come back ---


def test_a_customer_who_comes_back_goes_on_to_the_application(api: ApiSystem) -> None:
    waiting = by_invoice(api, return_url="https://shop.example/done?order=7")
    attempt_id = waiting["attempts"][0]["id"]
    response = api.get(f"/returns/{attempt_id}?status=CANCELLED&token=x", caller=None)
    assert response.status_code == 303
    assert response.headers["Location"] == f"https://shop.example/done?order=7&payment_id={waiting['id']}&canceled=1"
    assert [publish.task for publish in api.messages] == ["payments.reconcile"]
    api.messages.clear()
    assert api.get(f"/returns/{attempt_id}", caller=None).headers["Location"].endswith(waiting["id"])
    assert api.messages == []  # the look is due already


def test_a_customer_without_an_application_to_go_to_sees_a_page(api: ApiSystem) -> None:
    paid = api.process_and_run()
    response = api.get(f"/returns/{paid['attempts'][0]['id']}", caller=None)
    assert (response.status_code, response.content_type) == (200, "text/html; charset=utf-8")
    assert paid["id"] in response.text
    assert "has been made" in response.text
    assert "refresh" not in response.text
    assert api.messages == []


@pytest.mark.parametrize(("result", "sentence"), [("success", "has been made"), ("failure", "has not been made")])
def test_a_customer_authenticates_without_an_address_of_the_application(
    api: ApiSystem, result: str, sentence: str
) -> None:
    waiting = api.process_and_run(payment_method_token="pm_card_authenticationRequired", off_session=False)
    action = waiting["next_action"]
    assert (waiting["status"], action["type"]) == ("requires_action", "redirect")
    decided = requests.post(action["redirect_url"], data={"result": result}, timeout=patient(10), allow_redirects=False)
    back = urlsplit(decided.headers["Location"])
    assert back._replace(query="").geturl() == f"{API_URL}/returns/{waiting['attempts'][0]['id']}"

    page = f"/{back.path.rpartition('/payments/')[2]}"
    first = api.get(f"{page}?{back.query}", caller=None)
    assert "being checked" in first.text
    assert "?look=1" in first.text
    assert "_secret_" not in first.text
    api.run_published()
    assert sentence in api.get(f"{page}?look=1", caller=None).text


def test_a_page_that_stays_open_does_not_look_again_for_ever(api: ApiSystem) -> None:
    waiting = by_invoice(api)
    page = f"/returns/{waiting['attempts'][0]['id']}"
    for look, is_refreshed in ((4, True), (5, False), (-1, False), ("x", True)):
        assert ("refresh" in api.get(f"{page}?look={look}", caller=None).text) is is_refreshed


def test_a_return_to_an_unknown_attempt_is_not_found(api: ApiSystem) -> None:
    assert_problem(api.get("/returns/at_none", caller=None), 404, "not_found")
    assert "token" not in payment(payment_method_token=...)
