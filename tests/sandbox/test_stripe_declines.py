"""Stripe's declines in the sandbox: the error of each test card, and the intent afterwards."""

from __future__ import annotations

import pytest
import stripe

from tests.sandbox.stripe_client import Bench


@pytest.mark.parametrize(
    ("token", "code", "decline_code", "advice", "param"),
    [
        ("pm_card_visa_chargeDeclined", "card_declined", "generic_decline", "try_again_later", None),
        ("pm_card_chargeDeclined", "card_declined", "generic_decline", "try_again_later", None),
        (
            "pm_card_visa_chargeDeclinedInsufficientFunds",
            "card_declined",
            "insufficient_funds",
            "try_again_later",
            None,
        ),
        ("pm_card_visa_chargeDeclinedLostCard", "card_declined", "lost_card", "do_not_try_again", None),
        ("pm_card_visa_chargeDeclinedStolenCard", "card_declined", "stolen_card", "do_not_try_again", None),
        (
            "pm_card_chargeDeclinedExpiredCard",
            "expired_card",
            "expired_card",
            "confirm_card_data",
            "exp_month",
        ),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", "incorrect_cvc", "confirm_card_data", "cvc"),
        (
            "pm_card_chargeDeclinedProcessingError",
            "processing_error",
            "processing_error",
            "try_again_later",
            None,
        ),
        ("pm_card_chargeDeclinedFraudulent", "card_declined", "fraudulent", None, None),
        (
            "pm_card_visa_chargeDeclinedVelocityLimitExceeded",
            "card_declined",
            "card_velocity_exceeded",
            None,
            None,
        ),
        ("pm_card_chargeCustomerFail", "card_declined", "generic_decline", "try_again_later", None),
    ],
)
def test_a_declined_confirm_leaves_the_intent_open(
    bench: Bench, token: str, code: str, decline_code: str, advice: str | None, param: str | None
) -> None:
    intent = bench.create()
    with pytest.raises(stripe.CardError) as refusal:
        bench.client.v1.payment_intents.confirm(intent.id, {"payment_method": token})

    error = refusal.value.error
    assert (refusal.value.http_status, error.type, error.code) == (402, "card_error", code)
    assert (error.decline_code, error.to_dict().get("advice_code"), refusal.value.param) == (
        decline_code,
        advice,
        param,
    )
    assert error.payment_intent.id == intent.id
    after = bench.retrieve(intent.id)
    assert (after.status, after.payment_method) == ("requires_payment_method", None)
    assert after.last_payment_error.decline_code == decline_code
    assert (after.latest_charge.status, after.latest_charge.outcome.type) == ("failed", "issuer_declined")
    assert bench.attempts(intent.id) == [decline_code]
    assert bench.movements(intent.id) == []

    second = bench.client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    assert (second.status, second.last_payment_error) == ("succeeded", None)
    assert bench.book(intent.id)["charges"] == 1
    assert bench.events(intent.id) == [
        "payment_intent.created",
        "charge.failed",
        "payment_intent.payment_failed",
        "charge.succeeded",
        "payment_intent.succeeded",
    ]


def test_radar_blocks_before_a_request_to_the_issuer(bench: Bench) -> None:
    with pytest.raises(stripe.CardError) as refusal:
        bench.pay("pm_card_radarBlock")
    intent = bench.retrieve(refusal.value.error.payment_intent.id)
    outcome = intent.latest_charge.outcome
    assert (outcome.type, outcome.network_status) == ("blocked", "not_sent_to_network")
    assert bench.attempts(intent.id) == []


def test_risk_and_checks_are_shown(bench: Bench) -> None:
    elevated = bench.retrieve(bench.pay("pm_card_riskLevelElevated").id)
    assert elevated.latest_charge.outcome.risk_level == "elevated"
    unchecked = bench.retrieve(bench.pay("pm_card_avsZipFail").id)
    assert unchecked.latest_charge.payment_method_details.card.checks.address_postal_code_check == "fail"


def test_the_issuer_of_a_scripted_card_decides_each_confirm_by_the_next_entry(bench: Bench) -> None:
    script = ["insufficient_funds", {"decline_code": "do_not_honor", "network_advice_code": "03"}, "success"]
    card = bench.control("POST", "cards", {"script": script})["id"]
    customer = bench.client.v1.customers.create({"email": "a@example.com"})
    seen = []
    for owner in (None, customer.id, None, customer.id):
        try:
            seen.append(bench.pay(card, customer=owner).status)
        except stripe.CardError as refusal:
            seen.append((refusal.error.decline_code, refusal.error.to_dict().get("network_advice_code")))
    assert seen == [("insufficient_funds", None), ("do_not_honor", "03"), "succeeded", "succeeded"]
