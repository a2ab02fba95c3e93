"""Stripe's refunds in the sandbox: amounts, refusals and refunds that finish later."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.sandbox.stripe_client import DAY, Bench


def refund(bench: Bench, intent: str, **params: Any) -> stripe.Refund:
    return bench.client.v1.refunds.create({"payment_intent": intent, **params})


def test_refunds_add_up_and_never_exceed_the_charge(bench: Bench) -> None:
    intent = bench.pay()
    first = refund(bench, intent.id, amount=400, reason="requested_by_customer", metadata={"case": "9"})
    assert (first.status, first.amount, first.charge) == ("succeeded", 400, intent.latest_charge)
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        refund(bench, intent.id, amount=601)
    assert (refusal.value.http_status, refusal.value.param, refusal.value.code) == (400, "amount", None)
    assert refund(bench, intent.id).amount == 600
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        refund(bench, intent.id)
    assert refusal.value.code == "charge_already_refunded"
    assert bench.book(intent.id)["refunded"] == 1000
    listed = bench.client.v1.refunds.list({"payment_intent": intent.id})
    assert [entry.amount for entry in listed.data] == [600, 400]
    assert bench.client.v1.refunds.retrieve(first.id).metadata.to_dict() == {"case": "9"}
    row = next(row for row in bench.control("GET", "ledger")["movements"] if row["object"] == first.id)
    assert (row["parent"], row["metadata"]) == (intent.id, {"case": "9"})


def test_an_authorization_cannot_be_refunded(bench: Bench) -> None:
    intent = bench.pay(capture_method="manual")
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        refund(bench, intent.id)
    assert (refusal.value.http_status, refusal.value.code, refusal.value.param) == (400, None, None)


@pytest.mark.parametrize(
    ("token", "first", "last", "event", "refunded"),
    [
        ("pm_card_pendingRefund", "pending", "succeeded", "refund.updated", 1000),
        ("pm_card_refundFail", "succeeded", "failed", "refund.failed", 0),
    ],
)
def test_slow_refunds(own: Bench, token: str, first: str, last: str, event: str, refunded: int) -> None:
    intent = own.pay(token)
    made = refund(own, intent.id)
    assert made.status == first
    own.control("POST", "clock", {"advance_seconds": 2 * DAY})
    assert own.client.v1.refunds.retrieve(made.id).status == last
    assert own.events(intent.id)[-1] == event
    assert own.book(intent.id)["refunded"] == refunded
    assert own.retrieve(intent.id).latest_charge.amount_refunded == refunded
