"""Coinbase Business: what the gateway sends."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace

from domain.payment import Verb
from gateways.base import AttemptRequest

from .bench import API_URL, new_attempt
from .benches.coinbase import CHECKOUT, CHECKOUT_ID, ProviderBench
from .served import ReceivedRequest, replying
from .specifications import all_of
from .test_gateway_operations import operation

# The contract in brief, from docs.cdp.coinbase.com (checkout APIs), read 2026-11-23.
CREATE = {
    "amount",
    "currency",
    "network",
    "description",
    "metadata",
    "successRedirectUrl",
    "failRedirectUrl",
    "expiresAt",
}
REFUND = {"amount", "currency", "reason"}
SPECIFICATIONS = all_of("coinbase", "business-checkouts.hand-written.json")


def sent_charge(coinbase: ProviderBench, attempt: AttemptRequest) -> ReceivedRequest:
    """Return the request that a charge sends."""
    with replying((200, dict(CHECKOUT))) as server:
        coinbase.gateway(base=f"{server.url}/api/v1").charge(attempt, lambda _: None)
    return server.requests[-1]


def sent_refund(coinbase: ProviderBench, attempt: AttemptRequest) -> ReceivedRequest:
    """Return the request that a refund sends."""
    with replying((200, dict(CHECKOUT))) as server:
        coinbase.gateway(base=f"{server.url}/api/v1").refund(attempt)
    return server.requests[-1]


def test_the_request_for_a_checkout_is_as_documented(coinbase: ProviderBench) -> None:
    attempt = new_attempt(coinbase, minor=123456)
    request = sent_charge(coinbase, attempt)
    assert (request.method, request.path) == ("POST", "/api/v1/checkouts")
    assert request.body == {
        "amount": "1234.56",
        "currency": "EUR",
        "description": f"Payment {attempt.payment_id}",
        "metadata": {"payment_id": attempt.payment_id, "attempt_id": attempt.attempt_id},
        "successRedirectUrl": f"{API_URL}/returns/{attempt.attempt_id}",
        "failRedirectUrl": f"{API_URL}/returns/{attempt.attempt_id}",
    }
    assert request.body.keys() <= CREATE
    assert "jo@example.org" not in json.dumps(request.body)


def test_the_request_for_a_refund_is_as_documented(coinbase: ProviderBench) -> None:
    attempt = operation(replace(new_attempt(coinbase), reference=CHECKOUT_ID), Verb.REFUND, 250)
    request = sent_refund(coinbase, attempt)
    assert (request.method, request.path) == ("POST", f"/api/v1/checkouts/{CHECKOUT_ID}/refund")
    assert request.body == {"amount": "2.50", "currency": "EUR", "reason": attempt.attempt_id}
    assert request.body.keys() == REFUND


def test_the_fields_of_the_requests_are_those_of_the_specification() -> None:
    """Where the hand-written file is at hand; everything else here holds without it."""
    for specification in SPECIFICATIONS:
        fields = {
            each["path"]: {*each["request_required"], *each["request_optional"]}
            for each in specification["operations"]
            if "request_required" in each
        }
        assert fields == {"/checkouts": CREATE, "/checkouts/{id}/refund": REFUND}


def test_the_same_attempt_has_the_same_key_which_is_a_uuid(coinbase: ProviderBench) -> None:
    attempt = new_attempt(coinbase)
    attempts = (attempt, replace(attempt, retries=3), new_attempt(coinbase))
    keys = [sent_charge(coinbase, each).headers["X-Idempotency-Key"] for each in attempts]
    assert keys[0] == keys[1] != keys[2]
    assert uuid.UUID(keys[0]).version == 4
