"""Stripe's events in the sandbox: signatures, contents and the choice of an endpoint."""

from __future__ import annotations

import json
import time

import pytest
import stripe

from tests.sandbox.receiver import Receiver, wait_until
from tests.sandbox.stripe_client import DAY, Bench


def test_webhooks_are_signed_and_name_their_request(hooked: Bench, receiver: Receiver) -> None:
    intent = hooked.create(metadata={"order": "1"})
    wait_until(lambda: receiver.received, "the first event")
    body, signature = receiver.received[0]
    event = stripe.Webhook.construct_event(body, signature, "whsec_test")
    assert (event.type, event.data.object.id, event.livemode) == ("payment_intent.created", intent.id, False)
    assert event.request.id == intent.last_response.request_id
    assert event.api_version == stripe.api_version
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body, signature, "whsec_other")
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body + b" ", signature, "whsec_test")


def test_an_event_shows_the_object_as_it_was(hooked: Bench, receiver: Receiver) -> None:
    hooked.control("POST", "webhooks", {"paused": True})
    hooked.pay()
    hooked.control("POST", "webhooks", {"paused": False})
    wait_until(lambda: len(receiver.received) == 3, "three events")
    statuses = [json.loads(body)["data"]["object"]["status"] for body, _ in receiver.received]
    assert statuses == ["requires_confirmation", "succeeded", "succeeded"]


def test_endpoints_choose_their_events(own: Bench, receiver: Receiver) -> None:
    endpoint = own.client.v1.webhook_endpoints.create(
        {
            "url": receiver.url,
            "enabled_events": ["payment_intent.succeeded"],
            "api_version": "2026-08-26.dahlia",
        }
    )
    assert endpoint.secret.startswith("whsec_")
    assert "secret" not in own.client.v1.webhook_endpoints.list().data[0]
    own.pay()
    wait_until(lambda: receiver.received, "the chosen event")
    event = stripe.Webhook.construct_event(*receiver.received[0], endpoint.secret)
    assert (event.type, event.api_version) == ("payment_intent.succeeded", "2026-08-26.dahlia")
    own.client.v1.webhook_endpoints.delete(endpoint.id)
    own.pay()
    assert own.control("GET", "webhooks")["endpoints"] == []
    assert receiver.types() == ["payment_intent.succeeded"]


def test_signatures_follow_the_sandbox_clock(hooked: Bench, receiver: Receiver) -> None:
    before = int(time.time())
    hooked.control("POST", "clock", {"advance_seconds": 5 * DAY})
    hooked.create()
    wait_until(lambda: receiver.received, "the event")
    stamp = int(receiver.received[0][1].split(",")[0].removeprefix("t="))
    assert before <= stamp - 5 * DAY <= time.time()
