"""3-D Secure and redirect methods of Stripe in the sandbox, on the pages and by the control routes."""

from __future__ import annotations

from typing import Any

import pytest
import requests
import stripe

from tests.sandbox.receiver import SECONDS
from tests.sandbox.stripe_client import PAYER, RETURN_URL, Bench


def challenge(bench: Bench, **params: Any) -> stripe.PaymentIntent:
    return bench.pay("pm_card_authenticationRequired", return_url=RETURN_URL, **params)


def test_three_d_secure_is_approved_on_the_page(bench: Bench) -> None:
    intent = challenge(bench)
    assert (intent.status, intent.next_action.type) == ("requires_action", "redirect_to_url")
    assert intent.next_action.redirect_to_url.return_url == RETURN_URL
    assert bench.movements(intent.id) == []
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        bench.client.v1.payment_intents.capture(intent.id)
    assert refusal.value.code == "payment_intent_unexpected_state"

    page = intent.next_action.redirect_to_url.url
    assert "Approve" in requests.get(page, timeout=SECONDS).text
    target = press(page, "success")
    assert target == (
        f"{RETURN_URL}&payment_intent={intent.id}"
        f"&payment_intent_client_secret={intent.client_secret}&redirect_status=succeeded"
    )
    paid = bench.retrieve(intent.id)
    assert paid.status == "succeeded"
    assert paid.latest_charge.payment_method_details.card.three_d_secure.authentication_flow == "challenge"
    assert bench.movements(intent.id) == [("charge", 1000)]
    assert "payment_intent.requires_action" in bench.events(intent.id)


def press(page: str, result: str) -> str:
    """Press a button of the challenge page and return where the browser is sent."""
    response = requests.post(page, {"result": result}, allow_redirects=False, timeout=SECONDS)
    assert response.status_code == 303
    return response.headers["Location"]


def test_failed_three_d_secure_reopens_the_intent(bench: Bench) -> None:
    intent = challenge(bench)
    assert press(intent.next_action.redirect_to_url.url, "failure").endswith("redirect_status=failed")
    after = bench.retrieve(intent.id)
    assert (after.status, after.latest_charge) == ("requires_payment_method", None)
    assert after.last_payment_error.code == "payment_intent_authentication_failure"
    assert bench.events(intent.id)[-1] == "payment_intent.payment_failed"


def test_three_d_secure_with_manual_capture_authorises(bench: Bench) -> None:
    intent = challenge(bench, capture_method="manual")
    after = bench.control("POST", f"intents/{intent.id}/authenticate", {"result": "success"})
    assert after["status"] == "requires_capture"
    assert bench.movements(intent.id) == [("authorization", 1000)]


def test_the_issuer_may_decline_after_authentication(bench: Bench) -> None:
    intent = bench.pay("pm_card_authenticationRequiredChargeDeclinedInsufficientFunds", return_url=RETURN_URL)
    after = bench.control("POST", f"intents/{intent.id}/authenticate", {"result": "success"})
    assert after["last_payment_error"]["decline_code"] == "insufficient_funds"


@pytest.mark.parametrize(("requested", "status"), [("any", "succeeded"), ("challenge", "requires_action")])
def test_the_merchant_can_request_three_d_secure(bench: Bench, requested: str, status: str) -> None:
    options = {"card": {"request_three_d_secure": requested}}
    intent = bench.pay("pm_card_threeDSecureOptional", return_url=RETURN_URL, payment_method_options=options)
    assert intent.status == status
    if status == "succeeded":
        details = bench.retrieve(intent.id).latest_charge.payment_method_details
        assert details.card.three_d_secure.authentication_flow == "frictionless"


@pytest.mark.parametrize(
    ("params", "decline_code", "has_charge"),
    [
        ({"off_session": True}, "authentication_required", True),
        ({"error_on_requires_action": True}, "authentication_not_handled", False),
    ],
)
def test_authentication_that_cannot_happen_is_a_402(
    bench: Bench, params: dict[str, Any], decline_code: str, has_charge: bool
) -> None:
    with pytest.raises(stripe.CardError) as refusal:
        bench.pay("pm_card_authenticationRequired", **params)
    assert (refusal.value.code, refusal.value.error.decline_code) == ("authentication_required", decline_code)
    intent = bench.retrieve(refusal.value.error.payment_intent.id)
    assert (intent.status, intent.latest_charge is not None) == ("requires_payment_method", has_charge)


def test_a_card_set_up_once_needs_no_further_authentication(bench: Bench) -> None:
    customer = bench.client.v1.customers.create()
    intent = bench.pay(
        "pm_card_authenticationRequiredOnSetup",
        customer=customer.id,
        return_url=RETURN_URL,
        setup_future_usage="off_session",
    )
    assert intent.status == "requires_action"
    bench.control("POST", f"intents/{intent.id}/authenticate", {"result": "success"})
    again = bench.pay(intent.payment_method, customer=customer.id, off_session=True)
    assert again.status == "succeeded"


@pytest.mark.parametrize("type", ["klarna", "afterpay_clearpay"])
def test_redirect_methods_are_paid_on_the_page(bench: Bench, type: str) -> None:
    intent = bench.create(
        allowed_payment_method_types=[type],
        payment_method_data={"type": type, "billing_details": PAYER},
        shipping={"name": PAYER["name"], "address": PAYER["address"]},
        confirm=True,
        return_url=RETURN_URL,
    )
    assert (intent.status, intent.next_action.type) == ("requires_action", "redirect_to_url")
    press(intent.next_action.redirect_to_url.url, "success")
    paid = bench.retrieve(intent.id)
    assert (paid.status, paid.latest_charge.payment_method_details.type) == ("succeeded", type)
