"""Coinbase Business: which object an event is about, and what a refund's event proves; malformed events of both."""

from __future__ import annotations

import json
from typing import Any

import pytest

from domain.errors import WebhookRefused
from domain.outcome import Approved, Declined
from domain.payment import Verb
from gateways.base import WebhookEvent
from gateways.failures import MalformedResponse
from sandbox.server import RunningSandbox
from sandbox.state import Settings
from stack.process import wait_until

from .bench import SECONDS, now
from .bench import ready_attempt as paid_attempt
from .benches.coinbase import CHECKOUT, CHECKOUT_ID, REFUND, ProviderBench
from .benches.coinbase_commerce import ProviderBench as CommerceBench
from .served import replying
from .test_gateway_operations import charged, operation


def refund_event(*refunds: dict[str, Any], kind: str = "success") -> str:
    """Return an event about a refund as it is stored."""
    return json.dumps(CHECKOUT | {"eventType": f"checkout.refund.{kind}", "refunds": refunds})


# --- events about refunds ---


def test_a_refund_from_the_dashboard_is_read_with_its_amount(coinbase: ProviderBench) -> None:
    gateway = coinbase.gateway()
    event = gateway.read_webhook(refund_event(REFUND))
    assert event == WebhookEvent("r1", "goodwill", Approved("r1", refunded=250), CHECKOUT_ID)
    failed = gateway.read_webhook(refund_event(REFUND | {"status": "FAILED"}, kind="failed"))
    assert isinstance(failed.outcome, Declined)
    earlier = REFUND | {"id": "r0", "fiatAmount": "1.00", "completedAt": "2026-11-23T12:01:00Z"}
    for refunds in ((earlier, REFUND), (REFUND, earlier)):
        assert gateway.read_webhook(refund_event(*refunds)) == event


@pytest.mark.parametrize(
    "refunds",
    [
        [REFUND | {"id": "r0"}, REFUND],
        [REFUND | {"fiatCurrency": None}],
        [REFUND | {"fiatAmount": "lots"}],
        [REFUND | {"fiatAmount": None}],
    ],
    ids=["two at the same time", "no currency", "no decimal amount", "no amount"],
)
def test_an_unclear_refund_is_named_without_an_outcome(coinbase: ProviderBench, refunds: list[Any]) -> None:
    event = coinbase.gateway().read_webhook(refund_event(*refunds))
    assert (event.reference, event.outcome, event.charge_reference) == ("r1", None, CHECKOUT_ID)


def test_the_last_of_two_refunds_is_named_even_within_a_second(coinbase: ProviderBench) -> None:
    gateway = coinbase.gateway()
    paid = charged(coinbase, gateway)
    for attempt in (operation(paid, Verb.REFUND, 100), operation(paid, Verb.REFUND, 100)):
        outcome = gateway.refund(attempt)
        event = gateway.read_webhook(json.dumps(coinbase.event(outcome.reference)))
        assert (event.reference, event.attempt_id) == (outcome.reference, attempt.attempt_id)
        assert event.charge_reference == paid.reference


def test_the_event_of_a_failed_refund_names_its_attempt(coinbase: ProviderBench) -> None:
    gateway = coinbase.gateway()
    attempt = operation(charged(coinbase, gateway, card="refund_later"), Verb.REFUND)
    pending = gateway.refund(attempt)
    coinbase.let_bank_decide(pending.reference, is_good=False)
    event = gateway.read_webhook(json.dumps(coinbase.event(pending.reference)))
    assert (event.reference, event.attempt_id) == (pending.reference, attempt.attempt_id)
    assert isinstance(event.outcome, Declined)


def test_two_partial_refunds_are_two_events_even_without_an_id(coinbase: ProviderBench) -> None:
    fields = CHECKOUT | {"eventType": "checkout.refund.success", "status": "PARTIALLY_REFUNDED"}
    ids = []
    for amount in ("1.00", "1.00", "2.00"):
        webhook = coinbase.signed_body_only(fields | {"refundedAmount": amount}, "not-signed")
        ids.append(coinbase.gateway().verify_webhook(webhook.body, webhook.headers, now()).event_id)
    assert ids[0] == ids[1] != ids[2]
    assert "not-signed" not in ids


# --- what is stored and what is refused ---


def test_only_allowed_fields_of_an_event_are_stored(coinbase: ProviderBench) -> None:
    refund = REFUND | {"reason": "for Jo Canary", "payer": "canary"}
    event = json.loads(refund_event(refund)) | {"description": "canary", "payerInfo": {"email": "canary"}}
    webhook = coinbase.signed(event)
    payload = coinbase.gateway().verify_webhook(webhook.body, webhook.headers, now()).payload
    assert "canary" not in payload.lower()
    stored = coinbase.gateway().read_webhook(payload)
    assert stored == WebhookEvent("r1", None, Approved("r1", refunded=250), CHECKOUT_ID)


@pytest.mark.parametrize("metadata", [None, [], "x", {}, {"attempt_id": 7}], ids=str)
def test_an_event_of_another_systems_checkout_names_no_attempt(coinbase: ProviderBench, metadata: Any) -> None:
    event = CHECKOUT | {"eventType": "checkout.payment.success", "metadata": metadata}
    webhook = coinbase.signed(event)
    payload = coinbase.gateway().verify_webhook(webhook.body, webhook.headers, now()).payload
    for stored in (payload, json.dumps(event)):
        assert coinbase.gateway().read_webhook(stored) == WebhookEvent(CHECKOUT_ID, None, None)


@pytest.mark.parametrize("name", ["id", "eventType"])
def test_a_signed_event_without_its_identity_is_refused(coinbase: ProviderBench, name: str) -> None:
    webhook = coinbase.signed(CHECKOUT | {"eventType": "checkout.payment.success"} | {name: None})
    with pytest.raises(WebhookRefused, match="not a Coinbase event"):
        coinbase.gateway().verify_webhook(webhook.body, webhook.headers, now())


def test_a_malformed_event_is_reported_with_its_field(coinbase: ProviderBench, commerce: CommerceBench) -> None:
    for bench in (coinbase, commerce):
        for field, event in bench.malformed_events():
            with pytest.raises(MalformedResponse) as raised:
                bench.gateway().read_webhook(json.dumps(event))
            assert raised.value.field == field


# --- delivery ---


def test_an_event_is_delivered_to_the_products_own_receiver() -> None:
    with replying((200, {})) as receiver:
        settings = Settings(seed=1, webhook_url=f"{receiver.url}/webhooks/stripe", webhook_secret="new-secret")
        with RunningSandbox(settings) as running:
            coinbase = ProviderBench(running)
            attempt = paid_attempt(coinbase)
            assert wait_until(lambda: bool(receiver.requests), SECONDS)
        request = receiver.requests[0]
        assert request.path == "/webhooks/coinbase"
        body = json.dumps(request.body).encode()
        webhook = coinbase.gateway().verify_webhook(body, request.headers, now())
        assert webhook.type == "checkout.payment.success"
        assert webhook.event_id == request.headers["X-Event-Id"]
        assert coinbase.gateway().read_webhook(webhook.payload).reference == attempt.reference
