"""Stripe's disputes: each step is a side event of the payment, and a returned debit has one of its own."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from domain.outcome import Approved, NotSent
from domain.payment import Verb
from domain.payment_methods import PaymentMethod
from gateways.base import AttemptRequest, Gateway, SideEvent, WebhookEvent
from gateways.failures import CallFailed
from gateways.stripe.side_events import DisputeWithMoney, shown_dispute
from sandbox.server import RunningSandbox

from .bench import SECONDS, Books, Webhook, new_attempt, now
from .benches.stripe import ProviderBench as StripeBench
from .test_gateway_operations import operation


@pytest.fixture
def bench(sandbox: RunningSandbox) -> StripeBench:
    """Stripe's bench."""
    return StripeBench(sandbox)


@pytest.fixture
def stripe_gateway(bench: StripeBench) -> Gateway:
    """Stripe's gateway."""
    return bench.gateway()


def charged(bench: StripeBench, gateway: Gateway, token: str, verb: Verb = Verb.CHARGE) -> AttemptRequest:
    attempt = new_attempt(bench, verb, minor=1230, method_token=token)
    outcome = gateway.charge(attempt, lambda _: None)
    assert isinstance(outcome, Approved)
    return replace(attempt, reference=outcome.reference)


def dispute_of(bench: StripeBench, reference: str | None) -> dict[str, Any]:
    """Return the one dispute of an intent."""
    [dispute] = bench._call("GET", f"/v1/disputes?payment_intent={reference}")["data"]
    return dispute


def side_events(bench: StripeBench, gateway: Gateway, reference: str | None) -> list[tuple[str, str, str]]:
    """Return name, status and funds of each side event about an intent, oldest first."""
    events = bench._call("GET", "/v1/events?limit=100")["data"][::-1]
    about = [event for event in events if event["data"]["object"].get("payment_intent") == reference]
    read_events = [received(bench, gateway, event) for event in about if event["type"].startswith("charge.dispute.")]
    assert {(each.reference, each.attempt_id, each.outcome) for each in read_events} == {(reference, None, None)}
    recorded = [each.side_event for each in read_events if each.side_event]
    return [(each.name, each.data["status"], each.data.get("funds", "")) for each in recorded]


def received(bench: StripeBench, gateway: Gateway, event: dict[str, Any]) -> WebhookEvent:
    """Return what the gateway reads in an event that it has verified."""
    webhook: Webhook = bench.signed(event)
    webhook_event = gateway.read_webhook(gateway.verify_webhook(webhook.body, webhook.headers, now()).payload)
    assert webhook_event is not None
    return webhook_event


OPENED = [("dispute_opened", "needs_response", ""), ("dispute_updated", "needs_response", "withdrawn")]


@pytest.mark.parametrize(
    ("result", "ending"),
    [
        ("won", [("dispute_updated", "won", "reinstated"), ("dispute_won", "won", "")]),
        ("lost", [("dispute_lost", "lost", "")]),
    ],
)
def test_a_dispute_from_opening_to_closing(
    bench: StripeBench, stripe_gateway: Gateway, result: str, ending: list[tuple[str, str, str]]
) -> None:
    disputed = charged(bench, stripe_gateway, "pm_card_createDispute")
    assert side_events(bench, stripe_gateway, disputed.reference) == OPENED
    dispute = dispute_of(bench, disputed.reference)
    url = f"{bench._url}/_sandbox/disputes/{dispute['id']}/close"
    requests.post(url, json={"result": result}, timeout=SECONDS).raise_for_status()
    assert side_events(bench, stripe_gateway, disputed.reference) == [*OPENED, *ending]
    assert requests.post(url, json={"result": result}, timeout=SECONDS).status_code == 400


def test_the_data_of_a_side_event(bench: StripeBench, stripe_gateway: Gateway) -> None:
    disputed = charged(bench, stripe_gateway, "pm_card_createDisputeProductNotReceived")
    dispute = dispute_of(bench, disputed.reference)
    event = next(
        event
        for event in bench._call("GET", "/v1/events?limit=100&type=charge.dispute.created")["data"]
        if event["data"]["object"]["id"] == dispute["id"]
    )
    side_event = received(bench, stripe_gateway, event).side_event
    assert side_event is not None
    due_at = side_event.data.pop("evidence_due_at")
    assert due_at > now().isoformat()
    data = {"reference": dispute["id"], "reason": "product_not_received", "status": "needs_response"}
    assert side_event == SideEvent(
        "dispute_opened", data | {"amount": "12.30", "currency": "EUR", "network_reason_code": "10.4"}
    )


def test_an_inquiry_takes_no_money(bench: StripeBench, stripe_gateway: Gateway) -> None:
    disputed = charged(bench, stripe_gateway, "pm_card_createDisputeInquiry")
    dispute = dispute_of(bench, disputed.reference)
    requests.post(
        f"{bench._url}/_sandbox/disputes/{dispute['id']}/close", json={"result": "won"}, timeout=SECONDS
    ).raise_for_status()
    assert side_events(bench, stripe_gateway, disputed.reference) == [
        ("dispute_opened", "warning_needs_response", ""),
        ("dispute_closed", "warning_closed", ""),
    ]


def test_evidence_is_reviewed(bench: StripeBench, stripe_gateway: Gateway) -> None:
    disputed = charged(bench, stripe_gateway, "pm_card_createDispute")
    path = f"/v1/disputes/{dispute_of(bench, disputed.reference)['id']}"
    reviewed = bench._call("POST", path, {"evidence[product_description]": "A hat"})
    assert (reviewed["status"], reviewed["evidence_details"]["submission_count"]) == ("under_review", 1)
    assert bench._call("POST", path, {"evidence[uncategorized_text]": "winning_evidence"})["status"] == "won"
    assert [name for name, _, _ in side_events(bench, stripe_gateway, disputed.reference)] == [
        "dispute_opened",
        "dispute_updated",
        "dispute_updated",
        "dispute_updated",
        "dispute_updated",
        "dispute_won",
    ]


def test_held_money_is_disputed_after_its_capture(bench: StripeBench, stripe_gateway: Gateway) -> None:
    disputed = charged(bench, stripe_gateway, "pm_card_createDispute", Verb.AUTHORIZE)
    assert bench._call("GET", f"/v1/disputes?payment_intent={disputed.reference}")["data"] == []
    stripe_gateway.capture(operation(disputed, Verb.CAPTURE, 1000))
    assert dispute_of(bench, disputed.reference)["amount"] == 1000


def test_disputed_money_is_not_refunded_too(bench: StripeBench, stripe_gateway: Gateway, books: Books) -> None:
    disputed = charged(bench, stripe_gateway, "pm_card_createDispute")
    outcome = stripe_gateway.refund(operation(disputed, Verb.REFUND, 1230))
    assert outcome == NotSent("charge_disputed", is_retryable=False)
    assert books.movements(disputed.payment_id) == [("charge", 1230)]


@pytest.mark.parametrize("method", [PaymentMethod.ACH_DEBIT, PaymentMethod.SEPA_DEBIT])
def test_a_debit_that_comes_back_after_it_succeeded(
    bench: StripeBench, stripe_gateway: Gateway, method: PaymentMethod
) -> None:
    is_ach = method is PaymentMethod.ACH_DEBIT
    token = "pm_usBankAccount_success" if is_ach else bench.pending_token(is_good=True)[1]
    attempt_in_euros = replace(new_attempt(bench), method=method, method_token=token)
    money = replace(attempt_in_euros.money, currency="USD") if is_ach else attempt_in_euros.money
    attempt = replace(attempt_in_euros, money=money)
    reference = stripe_gateway.charge(attempt, lambda _: None).reference
    bench.let_bank_decide(reference, is_good=True)
    url = f"{bench._url}/_sandbox/intents/{reference}/dispute"
    requests.post(url, json={"reason": "insufficient_funds"}, timeout=SECONDS).raise_for_status()
    assert side_events(bench, stripe_gateway, reference) == [
        ("debit_returned", "lost", ""),
        ("dispute_updated", "lost", "withdrawn"),
        ("dispute_lost", "lost", ""),
    ]


def test_a_test_account_that_takes_its_debit_back(bench: StripeBench, stripe_gateway: Gateway) -> None:
    iban = {"type": "sepa_debit", "sepa_debit[iban]": "AT591904300235473203"}
    owner = {"billing_details[name]": "Jo", "billing_details[email]": "jo@example.org"}
    token = bench._call("POST", "/v1/payment_methods", iban | owner)["id"]
    attempt = new_attempt(bench, method=PaymentMethod.SEPA_DEBIT, method_token=token)
    reference = stripe_gateway.charge(attempt, lambda _: None).reference
    bench.let_bank_decide(reference, is_good=True)
    assert side_events(bench, stripe_gateway, reference)[0] == ("debit_returned", "lost", "")


def test_disputes_without_an_intent_or_of_an_unknown_type_are_ignored(stripe_gateway: Gateway) -> None:
    dispute = {"object": "dispute", "id": "dp_1", "payment_intent": "pi_1"}
    for type, thing in (
        ("charge.dispute.created", dispute | {"payment_intent": None}),
        ("charge.dispute.invented", dispute),
    ):
        event = {"id": "evt_1", "type": type, "data": {"object": thing}}
        assert stripe_gateway.read_webhook(json.dumps(event)) is None


TAKEN = {"id": "txn_1", "amount": -1230, "currency": "eur", "fee": 0, "created": 1}


@pytest.mark.parametrize("status", [None, "invented"])
def test_a_dispute_with_an_unknown_status_decides_nothing(status: str | None) -> None:
    dispute = {"id": "dp_1", "status": status, "amount": 1230, "currency": "eur", "payment_intent": "pi_1"}
    read = DisputeWithMoney.parse(dispute | {"balance_transactions": [TAKEN]})
    with pytest.raises(CallFailed, match="unknown_status"):
        shown_dispute(read)


def test_the_direction_of_the_transactions_says_what_is_withdrawn() -> None:
    """Their amounts are in the currency of the account's balance, which need not be that of the payment."""
    dispute = {"id": "dp_1", "status": "lost", "amount": 1230, "currency": "eur", "payment_intent": "pi_1"}
    taken, back = TAKEN | {"amount": -1401}, TAKEN | {"id": "txn_2", "amount": 1399, "created": 2}
    for transactions, withdrawn in (
        ([], 0),
        ([taken], 1230),
        ([taken, back | {"amount": 1401}], 0),
        ([back, taken], 1230),
    ):
        shown = shown_dispute(DisputeWithMoney.parse(dispute | {"balance_transactions": transactions}))
        assert (shown.withdrawn, shown.lost) == (withdrawn, withdrawn)
        newest = max((each["created"] for each in transactions), default=None)
        assert shown.at == (newest and datetime.fromtimestamp(newest, UTC))
