"""Stripe's refunds in the sandbox: amounts, refusals and refunds that finish later."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.sandbox.stripe_client import DAY, ONLINE_MANDATE, Bench


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


@pytest.mark.parametrize(("currency", "part"), [("kwd", 5), ("isk", 150), ("ugx", 99)])
def test_a_part_must_be_a_multiple_of_the_currency_s_step(bench: Bench, currency: str, part: int) -> None:
    money = {"currency": currency, "amount": 1_000_000}
    paid, held = bench.pay(**money), bench.pay(**money, capture_method="manual")
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        refund(bench, paid.id, amount=part)
    assert refusal.value.param == "amount"
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        bench.client.v1.payment_intents.capture(held.id, {"amount_to_capture": part})
    assert refusal.value.param == "amount_to_capture"
    assert bench.movements(paid.id) == [("charge", 1_000_000)]
    assert bench.movements(held.id) == [("authorization", 1_000_000)]


def test_a_charge_shows_its_refunds_where_they_are_expanded(bench: Bench) -> None:
    paid = bench.pay()
    made = [refund(bench, paid.id, amount=part).id for part in (100, 200)]
    assert "refunds" not in bench.retrieve(paid.id).latest_charge
    expanded = bench.client.v1.payment_intents.retrieve(paid.id, {"expand": ["latest_charge.refunds"]})
    assert [each.id for each in expanded.latest_charge.refunds.data] == made[::-1]


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
def test_a_slow_refund_finishes_by_the_sandbox_clock(
    own: Bench, token: str, first: str, last: str, event: str, refunded: int
) -> None:
    intent = own.pay(token)
    made = refund(own, intent.id)
    assert made.status == first
    own.control("POST", "clock", {"advance_seconds": 2 * DAY})
    assert own.client.v1.refunds.retrieve(made.id).status == last
    assert own.events(intent.id)[-1] == event
    assert own.book(intent.id)["refunded"] == refunded
    assert own.retrieve(intent.id).latest_charge.amount_refunded == refunded


def test_a_refund_names_only_destinations_that_the_official_package_has(own: Bench) -> None:
    known = stripe.Refund.DestinationDetails.__annotations__.keys()
    card = refund(own, own.pay().id)
    assert card.destination_details.to_dict().keys() == {"card", "type"}

    debit = own.client.v1.payment_intents.retrieve(_paid_debit(own))
    assert refund(own, debit.id).destination_details is None

    transfer = refund(own, _funded(own), instructions_email="jo@example.org")
    details = transfer.destination_details.to_dict()
    assert (details["type"], details.keys() <= known) == ("us_bank_transfer", True)


def test_a_cash_balance_is_refunded_as_far_as_it_goes_and_only_with_an_address(own: Bench) -> None:
    customers = own.client.v1.customers
    customer = customers.create().id
    own.client.v1.test_helpers.customers.fund_cash_balance(customer, {"amount": 1000, "currency": "usd"})
    asked: Any = {"origin": "customer_balance", "customer": customer, "amount": 600, "currency": "usd"}
    for changes, param in (
        ({}, "instructions_email"),
        ({"amount": 1001, "instructions_email": "a@b.example"}, "amount"),
    ):
        with pytest.raises(stripe.InvalidRequestError) as refusal:
            own.client.v1.refunds.create({**asked, **changes})
        assert refusal.value.param == param
    customers.update(customer, {"email": "jo@example.org"})
    given = own.client.v1.refunds.create(asked)
    assert (given.status, given.charge, given.payment_intent) == ("pending", None, None)
    own.control("POST", f"refunds/{given.id}/settle", {"result": "failure"})
    listed = customers.cash_balance_transactions.list(customer).data
    assert [(each.type, each.net_amount, each.ending_balance) for each in reversed(listed)] == [
        ("funded", 1000, 1000),
        ("return_initiated", -600, 400),
        ("return_canceled", 600, 1000),
    ]


def _paid_debit(own: Bench) -> str:
    """Return a SEPA debit that has succeeded."""
    owner = {"name": "A", "email": "a@example.com"}
    data = {"type": "sepa_debit", "sepa_debit": {"iban": "AT611904300234573201"}, "billing_details": owner}
    intent = own.create(
        currency="eur",
        allowed_payment_method_types=["sepa_debit"],
        payment_method_data=data,
        mandate_data=ONLINE_MANDATE,
        confirm=True,
    )
    own.control("POST", f"intents/{intent.id}/settle", {"result": "success"})
    return intent.id


def _funded(own: Bench) -> str:
    """Return an intent that a bank transfer has paid."""
    options = {"funding_type": "bank_transfer", "bank_transfer": {"type": "us_bank_transfer"}}
    intent = own.create(
        customer=own.client.v1.customers.create().id,
        allowed_payment_method_types=["customer_balance"],
        payment_method_data={"type": "customer_balance"},
        payment_method_options={"customer_balance": options},
        confirm=True,
    )
    own.control("POST", f"intents/{intent.id}/fund", {})
    return intent.id
