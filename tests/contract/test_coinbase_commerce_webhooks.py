"""Coinbase Commerce: signatures, against the vector of the official package, and what an event is about."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest

from domain.errors import WebhookRefused
from domain.payment import Verb
from gateways.base import WebhookEvent
from gateways.coinbase_commerce.gateway import CoinbaseCommerceGateway

from .bench import now
from .bench import ready_attempt as paid_attempt
from .benches.coinbase_commerce import ProviderBench
from .test_gateway_operations import operation

# The vector of the official package (github.com/coinbase/coinbase-commerce-python, tests), read 2026-11-23.
SECRET = "30291a20-0bd1-4267-9b0f-e6e7b123c0bf"
CODE = "8be7742c7d372f08a6a3224edadf18a22b65fa9e28f3f2de97376cdaa092590d"
BODY = (
    b'{"id":1,"scheduled_for":"2017-01-31T20:50:02Z","attempt_number":1,'
    b'"event":{"id":"24934862-d980-46cb-9402-43c81b0cdba6","type":"charge:created","api_version":"2018-03-22",'
    b'"created_at":"2017-01-31T20:49:02Z","data":{"code":"66BEOV2A","name":"The Sovereign Individual",'
    b'"description":"Mastering the Transition to the Information Age",'
    b'"hosted_url":"https://commerce.coinbase.com/charges/66BEOV2A","created_at":"2017-01-31T20:49:02Z",'
    b'"expires_at":"2017-01-31T21:04:02Z","timeline":[{"time":"2017-01-31T20:49:02Z","status":"NEW"}],'
    b'"metadata":{},"pricing_type":"no_price","payments":[],'
    b'"addresses":{"bitcoin":"0000000000000000000000000000000000",'
    b'"ethereum":"0x0000000000000000000000000000000000000000","litecoin":"3000000000000000000000000000000000",'
    b'"bitcoincash":"bitcoincash:000000000000000000000000000000000000000000"}}}}'
)


def gateway_with(*secrets: str) -> CoinbaseCommerceGateway:
    return CoinbaseCommerceGateway(api_key="sandbox", webhook_secrets=secrets)


# --- signatures ---


@pytest.mark.parametrize("secrets", [(SECRET,), ("newer", SECRET)])
def test_the_published_vector_is_accepted(secrets: tuple[str, ...]) -> None:
    webhook = gateway_with(*secrets).verify_webhook(BODY, {"X-Cc-Webhook-Signature": CODE}, now())
    assert (webhook.event_id, webhook.type) == ("24934862-d980-46cb-9402-43c81b0cdba6", "charge:created")
    stored = {"id": webhook.event_id, "type": webhook.type, "data": {"metadata": {}}}
    assert json.loads(webhook.payload) == {"event": stored}


@pytest.mark.parametrize("code", ["", "é", CODE.upper(), CODE.replace("3", "1"), CODE[:-1]])
def test_any_other_code_is_refused(code: str) -> None:
    with pytest.raises(WebhookRefused):
        gateway_with(SECRET).verify_webhook(BODY, {"X-Cc-Webhook-Signature": code}, now())


def test_without_secrets_every_code_is_refused() -> None:
    code = hmac.new(b"", BODY, hashlib.sha256).hexdigest()
    with pytest.raises(WebhookRefused):
        gateway_with().verify_webhook(BODY, {"X-Cc-Webhook-Signature": code}, now())


# --- events ---


def test_every_event_of_a_charge_names_it(commerce: ProviderBench) -> None:
    attempt, gateway = paid_attempt(commerce, card="pay_too_little"), commerce.gateway()
    gateway.capture(operation(attempt, Verb.CAPTURE, 600))
    events = [event for event in commerce.events() if event["data"]["id"] == attempt.reference]
    assert [e["type"] for e in events] == ["charge:resolved", "charge:failed", "charge:pending", "charge:created"]
    for event in events:
        read = gateway.read_webhook(json.dumps({"event": event}))
        assert read == WebhookEvent(attempt.reference, attempt.attempt_id, None)


@pytest.mark.parametrize("metadata", [None, [], "x", {}, {"attempt_id": 7}], ids=str)
def test_an_event_of_another_systems_charge_names_no_attempt(commerce: ProviderBench, metadata: Any) -> None:
    event = {"event": {"id": "1", "type": "charge:created", "data": {"id": "x", "metadata": metadata}}}
    webhook = commerce.signed(event)
    payload = commerce.gateway().verify_webhook(webhook.body, webhook.headers, now()).payload
    for stored in (payload, json.dumps(event)):
        assert commerce.gateway().read_webhook(stored) == WebhookEvent("x", None, None)


@pytest.mark.parametrize(
    "event", [{"id": "", "type": "x"}, {"id": 1, "type": "x"}, {"id": "1", "type": "é"}, {"id": "1"}]
)
def test_a_signed_event_without_its_identity_is_refused(commerce: ProviderBench, event: Any) -> None:
    webhook = commerce.signed({"event": event})
    with pytest.raises(WebhookRefused):
        commerce.gateway().verify_webhook(webhook.body, webhook.headers, now())
