"""Every gateway: which webhooks are accepted, and what they say."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from domain.errors import WebhookRefused
from domain.outcome import Approved, Declined
from domain.payment import Verb
from gateways.base import Gateway, VerifiedWebhook

from .bench import Bench, Webhook, body_of, now, ready_attempt
from .test_gateway_operations import charged, operation

pytestmark = pytest.mark.needs("webhooks")
TOLERANCE_SECONDS = 300


def verified(gateway: Gateway, sent: Webhook) -> VerifiedWebhook:
    """Return the webhook as the gateway accepts it."""
    return gateway.verify_webhook(sent.body, sent.headers, now(), sent.url)


def received(gateway: Gateway, provider: Bench, reference: str) -> tuple[VerifiedWebhook, object]:
    """Return the last webhook about an object, and what the gateway reads in it."""
    webhook = verified(gateway, provider.signed(provider.event(reference)))
    return webhook, gateway.read_webhook(webhook.payload)


def test_a_webhook_shows_the_state_of_the_charge(provider: Bench, gateway: Gateway) -> None:
    first = charged(provider, gateway)
    webhook, read = received(gateway, provider, first.reference)
    assert webhook.event_id
    assert webhook.type
    assert read.reference == first.reference or read.attempt_id == first.attempt_id
    assert read.outcome in (None, gateway.retrieve(first))


def test_the_same_event_has_the_same_id_and_another_has_another(provider: Bench, gateway: Gateway) -> None:
    first, second = charged(provider, gateway), charged(provider, gateway)
    events = [provider.event(each.reference) for each in (first, first, second)]
    ids = [verified(gateway, provider.signed(event)).event_id for event in events]
    assert ids[0] == ids[1] != ids[2]


def test_a_declined_charge_sends_a_webhook(provider: Bench, gateway: Gateway) -> None:
    attempt = ready_attempt(provider, card="hard")
    outcome = gateway.charge(attempt, lambda _: None)
    assert isinstance(outcome, Declined)
    _, read = received(gateway, provider, outcome.reference)
    assert read.outcome in (None, outcome)
    assert gateway.retrieve(replace(attempt, reference=outcome.reference)) == outcome


@pytest.mark.needs("authorize")
def test_an_authorization_sends_a_webhook(provider: Bench, gateway: Gateway) -> None:
    first = charged(provider, gateway, Verb.AUTHORIZE)
    _, read = received(gateway, provider, first.reference)
    outcome = read.outcome or gateway.retrieve(first)
    assert isinstance(outcome, Approved)
    assert (outcome.authorized, outcome.captured) == (1000, 0)


@pytest.mark.needs("refund", "refund_webhooks")
def test_a_refund_sends_a_webhook_that_names_it(provider: Bench, gateway: Gateway) -> None:
    attempt = operation(charged(provider, gateway), Verb.REFUND, 400)
    outcome = gateway.refund(attempt)
    _, read = received(gateway, provider, outcome.reference)
    assert read.attempt_id == attempt.attempt_id or read.reference == outcome.reference
    assert read.outcome in (None, outcome)
    assert outcome == gateway.retrieve(replace(attempt, reference=outcome.reference))


@pytest.mark.needs("secrets")
def test_every_secret_verifies_so_that_they_can_rotate(provider: Bench, gateway: Gateway) -> None:
    event = provider.event(charged(provider, gateway).reference)
    for secret in provider.secrets:
        assert verified(gateway, provider.signed(event, secret=secret)).event_id


@pytest.mark.needs("stamped")
@pytest.mark.parametrize("seconds", [-TOLERANCE_SECONDS + 5, 0, TOLERANCE_SECONDS - 5])
def test_clocks_may_differ_a_little(provider: Bench, gateway: Gateway, seconds: float) -> None:
    event = provider.event(charged(provider, gateway).reference)
    assert verified(gateway, provider.signed(event, seconds=seconds))


@pytest.mark.needs("stamped")
@pytest.mark.parametrize("seconds", [TOLERANCE_SECONDS + 5, -(10**8), 10**8])
def test_a_replay_or_a_stamp_from_the_future_is_refused(provider: Bench, gateway: Gateway, seconds: float) -> None:
    event = provider.event(charged(provider, gateway).reference)
    with pytest.raises(WebhookRefused):
        verified(gateway, provider.signed(event, seconds=seconds))


@pytest.mark.needs("stamped")
def test_the_stamp_is_compared_with_the_given_clock(provider: Bench, gateway: Gateway) -> None:
    """The sandbox's clock may be weeks ahead of the host's."""
    later = now().replace(year=now().year + 1, day=1)
    event = provider.event(charged(provider, gateway).reference)
    sent = provider.signed(event, seconds=(later - now()).total_seconds())
    assert gateway.verify_webhook(sent.body, sent.headers, later, sent.url)
    with pytest.raises(WebhookRefused):
        verified(gateway, sent)


def test_a_forged_signature_is_refused(provider: Bench, gateway: Gateway) -> None:
    event = provider.event(charged(provider, gateway).reference)
    with pytest.raises(WebhookRefused):
        verified(gateway, provider.signed(event, is_forged=True))


@pytest.mark.needs("signed")
def test_a_changed_body_is_refused(provider: Bench, gateway: Gateway) -> None:
    event = provider.event(charged(provider, gateway).reference)
    sent = provider.signed(event)
    for forged in (sent.body + b" ", body_of(event | {"forged": True}), b""):
        with pytest.raises(WebhookRefused):
            verified(gateway, replace(sent, body=forged))


def test_a_webhook_without_a_signature_is_refused(provider: Bench, gateway: Gateway) -> None:
    event = provider.event(charged(provider, gateway).reference)
    with pytest.raises(WebhookRefused):
        gateway.verify_webhook(body_of(event), {}, now(), "https://pay.example/api/v1/payments/webhooks/x")


@pytest.mark.parametrize("body", [b"not JSON", b"[]", b"17", b"{}", b"\xff", b"[" * 100_000], ids=lambda body: body[:9])
def test_a_signed_body_that_is_no_event_is_refused(provider: Bench, gateway: Gateway, body: bytes) -> None:
    with pytest.raises(WebhookRefused):
        verified(gateway, provider.signed(body))


def test_an_event_of_an_unknown_type_is_ignored(provider: Bench, gateway: Gateway) -> None:
    for event in provider.strange_events():
        assert gateway.read_webhook(json.dumps(event)) is None
