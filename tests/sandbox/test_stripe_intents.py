"""Stripe's PaymentIntents in the sandbox: success, parameters, capture, cancel, expiry and update."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.sandbox.stripe_client import DAY, RETURN_URL, Bench


def test_a_payment_succeeds_and_is_booked_once(bench: Bench) -> None:
    intent = bench.create(metadata={"order": "42"})
    assert intent.status == "requires_payment_method"

    paid = bench.client.v1.payment_intents.confirm(
        intent.id,
        {"payment_method": "pm_card_visa", "expand": ["latest_charge", "payment_method"]},
        {"idempotency_key": f"pay-{intent.id}"},
    )

    assert (paid.status, paid.amount_received, paid.amount_capturable) == ("succeeded", 1000, 0)
    assert paid.latest_charge.status == "succeeded"
    assert paid.latest_charge.outcome.network_status == "approved_by_network"
    assert paid.payment_method.card.last4 == "4242"
    assert bench.movements(intent.id) == [("charge", 1000)]
    assert bench.attempts(intent.id) == ["success"]
    row = next(row for row in bench.control("GET", "ledger")["movements"] if row["object"] == intent.id)
    assert (row["idempotency_key"], row["metadata"], row["currency"]) == (
        f"pay-{intent.id}",
        {"order": "42"},
        "usd",
    )
    assert bench.book(intent.id) == {
        "object": intent.id,
        "provider": "stripe",
        "currency": "usd",
        "metadata": {"order": "42"},
        "status": "succeeded",
        "authorized": 1000,
        "captured": 1000,
        "refunded": 0,
        "voided": 0,
        "charges": 1,
    }
    assert bench.events(intent.id) == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
    ]


def test_every_field_of_an_intent_is_there(bench: Bench) -> None:
    shown = bench.pay().to_dict()
    fields = {
        "amount_details",
        "automatic_payment_methods",
        "canceled_at",
        "cancellation_reason",
        "client_secret",
        "last_payment_error",
        "latest_charge",
        "livemode",
        "next_action",
        "payment_method_options",
        "payment_method_types",
        "processing",
        "setup_future_usage",
        "shipping",
        "transfer_group",
    }
    assert fields <= shown.keys()
    assert shown["client_secret"].startswith(shown["id"] + "_secret_")
    assert shown["livemode"] is False


def test_responses_have_request_id_and_version(bench: Bench) -> None:
    headers = bench.pay().last_response.headers
    assert headers["Request-Id"].startswith("req_")
    assert headers["Stripe-Version"] == stripe.api_version


@pytest.mark.parametrize(("key", "is_known"), [("sk_test_a", True), ("rk_test_a", True), ("sk_live_a", False)])
def test_only_test_keys_are_known(bench: Bench, key: str, is_known: bool) -> None:
    client = stripe.StripeClient(key, base_addresses={"api": bench.running.url})
    if is_known:
        assert client.v1.customers.list().data is not None
    else:
        with pytest.raises(stripe.AuthenticationError):
            client.v1.customers.list()


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"payment_method_types": ["card"]}, "parameter_unknown", "payment_method_types"),
        ({"amount": None}, "parameter_missing", "amount"),
        ({"amount": 49}, "amount_too_small", "amount"),
        ({"amount": 100_000_000}, "amount_too_large", "amount"),
        ({"amount": 0}, "parameter_invalid_integer", "amount"),
        ({"amount": "10.5"}, "parameter_invalid_integer", "amount"),
        ({"currency": "xxx"}, None, "currency"),
        ({"currency": "kwd", "amount": 1001}, None, "amount"),
        ({"capture_method": "later"}, None, "capture_method"),
        ({"off_session": True}, None, "off_session"),
        ({"return_url": RETURN_URL}, None, "return_url"),
        ({"customer": "cus_none"}, "resource_missing", "customer"),
        ({"payment_method": "pm_none"}, "resource_missing", "payment_method"),
        (
            {"payment_method_data": {"type": "card", "card": {"token": "tok_visa"}}},
            "parameter_unknown",
            "payment_method_data[card]",
        ),
    ],
)
def test_bad_parameters_are_refused(bench: Bench, change: dict[str, Any], code: str | None, param: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        bench.create(**change)
    assert (refusal.value.http_status, refusal.value.code, refusal.value.param) == (400, code, param)


def test_a_bad_expansion_is_refused_before_money_moves(bench: Bench) -> None:
    intent = bench.create()
    with pytest.raises(stripe.InvalidRequestError):
        bench.client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa", "expand": ["nonsense"]})
    assert bench.movements(intent.id) == []


def test_an_unknown_object_or_path_is_not_found(bench: Bench) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        bench.retrieve("pi_none")
    assert (refusal.value.http_status, refusal.value.code) == (404, "resource_missing")
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        bench.client.v1.payouts.retrieve("po_1")
    assert refusal.value.http_status == 404


def test_dashboard_methods_need_a_return_url(bench: Bench) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="return_url"):
        bench.pay(allowed_payment_method_types=None)
    assert bench.pay(allowed_payment_method_types=None, return_url=RETURN_URL).status == "succeeded"
    never = {"enabled": True, "allow_redirects": "never"}
    assert bench.pay(allowed_payment_method_types=None, automatic_payment_methods=never).status == "succeeded"


def test_partial_capture_releases_the_rest(bench: Bench) -> None:
    intent = bench.pay(capture_method="manual")
    assert (intent.status, intent.amount_capturable, intent.amount_received) == ("requires_capture", 1000, 0)
    with pytest.raises(stripe.InvalidRequestError):
        bench.client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 1001})
    captured = bench.client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 600})
    assert (captured.status, captured.amount_received, captured.amount_capturable) == ("succeeded", 600, 0)
    assert bench.movements(intent.id) == [("authorization", 1000), ("capture", 600), ("void", 400)]
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        bench.client.v1.payment_intents.capture(intent.id)
    assert refusal.value.code == "payment_intent_unexpected_state"
    assert bench.book(intent.id)["charges"] == 1


def test_cancel_gives_an_authorization_back(bench: Bench) -> None:
    intent = bench.pay(capture_method="manual")
    canceled = bench.client.v1.payment_intents.cancel(intent.id, {"cancellation_reason": "requested_by_customer"})
    assert (canceled.status, canceled.cancellation_reason) == ("canceled", "requested_by_customer")
    assert bench.movements(intent.id) == [("authorization", 1000), ("void", 1000)]
    for step in (
        bench.client.v1.payment_intents.cancel,
        bench.client.v1.payment_intents.confirm,
        bench.client.v1.payment_intents.capture,
    ):
        with pytest.raises(stripe.InvalidRequestError) as refusal:
            step(intent.id)
        assert refusal.value.code == "payment_intent_unexpected_state"


def test_a_paid_intent_cannot_be_canceled_or_confirmed_again(bench: Bench) -> None:
    intent = bench.pay()
    for step in (bench.client.v1.payment_intents.cancel, bench.client.v1.payment_intents.confirm):
        with pytest.raises(stripe.InvalidRequestError) as refusal:
            step(intent.id)
        assert refusal.value.code == "payment_intent_unexpected_state"
    assert bench.book(intent.id)["charges"] == 1


@pytest.mark.parametrize(("off_session", "seconds"), [(None, 7 * DAY), (True, int(4.75 * DAY))])
def test_an_authorization_expires(own: Bench, off_session: bool | None, seconds: int) -> None:
    intent = own.pay(capture_method="manual", off_session=off_session)
    charge = own.retrieve(intent.id).latest_charge
    assert charge.payment_method_details.card.capture_before - charge.created == pytest.approx(seconds, abs=1)
    own.control("POST", "clock", {"advance_seconds": seconds - 60})
    assert own.retrieve(intent.id).status == "requires_capture"
    own.control("POST", "clock", {"advance_seconds": 61})
    after = own.retrieve(intent.id)
    assert (after.status, after.cancellation_reason) == ("canceled", "automatic")
    assert own.movements(intent.id) == [("authorization", 1000), ("void", 1000)]
    assert own.events(intent.id)[-1] == "payment_intent.canceled"


def test_an_update_may_not_touch_money_that_moved(bench: Bench) -> None:
    intent = bench.create()
    assert bench.client.v1.payment_intents.update(intent.id, {"amount": 700}).amount == 700
    bench.client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    noted = bench.client.v1.payment_intents.update(intent.id, {"metadata": {"note": "x"}})
    assert noted.metadata.to_dict() == {"note": "x"}
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        bench.client.v1.payment_intents.update(intent.id, {"amount": 800})
    assert refusal.value.code == "payment_intent_unexpected_state"
