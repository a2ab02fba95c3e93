"""Stripe's webhooks: the secrets, the mode, and events of another form than the documented one."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.errors import WebhookRefused
from domain.outcome import Approved
from gateways.base import WebhookEvent, WebhookOfOtherMode
from gateways.failures import MalformedResponse
from gateways.stripe.webhooks import read

from .bench import now
from .benches.stripe import ProviderBench as StripeBench

EVENT = {"id": "evt_1", "type": "x", "livemode": False}


@pytest.fixture
def bench(sandbox: object) -> StripeBench:
    """Stripe's bench."""
    return StripeBench(sandbox)


def test_without_secrets_every_webhook_is_refused(bench: StripeBench) -> None:
    sent = bench.signed(EVENT, secret="")
    with pytest.raises(WebhookRefused):
        bench.gateway(webhook_secrets=()).verify_webhook(sent.body, sent.headers, now())


def test_an_empty_secret_signs_nothing(bench: StripeBench) -> None:
    sent = bench.signed(EVENT, secret="")
    with pytest.raises(WebhookRefused):
        bench.gateway().verify_webhook(sent.body, sent.headers, now())


@pytest.mark.parametrize(("secret_key", "is_live"), [("sk_test_x", True), ("sk_live_x", False)])
def test_an_event_of_the_other_mode_is_told_from_a_forgery(bench: StripeBench, secret_key: str, is_live: bool) -> None:
    sent = bench.signed(EVENT | {"livemode": is_live})
    gateway = bench.gateway(secret_key=secret_key)
    with pytest.raises(WebhookOfOtherMode):
        gateway.verify_webhook(sent.body, sent.headers, now())
    with pytest.raises(WebhookRefused):
        gateway.verify_webhook(sent.body + b" ", sent.headers, now())


def test_an_old_stamp_is_refused(bench: StripeBench) -> None:
    sent = bench.signed(EVENT, seconds=-305)
    with pytest.raises(WebhookRefused):
        bench.gateway().verify_webhook(sent.body, sent.headers, now())


@pytest.mark.parametrize("body", [{"type": "x"}, {"id": "evt_1"}, {"id": 1, "type": "x"}, EVENT | {"livemode": "no"}])
def test_a_signed_event_without_its_envelope_is_refused(bench: StripeBench, body: dict[str, Any]) -> None:
    sent = bench.signed(body)
    with pytest.raises(WebhookRefused):
        bench.gateway().verify_webhook(sent.body, sent.headers, now())


def payload(type: str, thing: Any) -> str:
    return json.dumps({"id": "evt_1", "type": type, "data": {"object": thing}})


INTENT = {"object": "payment_intent", "id": "pi_1", "metadata": {"attempt_id": "at_1"}}
REFUND = {"object": "refund", "id": "re_1", "payment_intent": "pi_1", "created": 1}
DISPUTE = {"object": "dispute", "id": "dp_1", "payment_intent": "pi_1"}
MONEY = {"amount": 1000, "amount_received": 1000, "currency": "eur"}


@pytest.mark.parametrize(
    ("type", "thing", "event"),
    [
        (
            "payment_intent.succeeded",
            INTENT | MONEY | {"status": "succeeded"},
            WebhookEvent("pi_1", "at_1", Approved("pi_1", authorized=1000, captured=1000)),
        ),
        (
            "payment_intent.invented",
            INTENT | MONEY | {"status": "invented", "metadata": None},
            WebhookEvent("pi_1", None, None),
        ),
        ("payment_intent.succeeded", INTENT | {"status": "succeeded"}, WebhookEvent("pi_1", "at_1", None)),
        (
            "refund.updated",
            REFUND | MONEY | {"status": "succeeded"},
            WebhookEvent("re_1", None, Approved("re_1", refunded=1000), "pi_1"),
        ),
        ("refund.updated", REFUND, WebhookEvent("re_1", None, None, "pi_1")),
        ("charge.succeeded", {"object": "charge"}, None),
        ("customer.created", 7, None),
    ],
)
def test_an_event_names_its_object_and_says_as_much_as_it_holds(
    type: str, thing: Any, event: WebhookEvent | None
) -> None:
    assert read(payload(type, thing)) == event


@pytest.mark.parametrize(
    ("type", "status", "is_shown"),
    [
        ("payment_intent.succeeded", "succeeded", True),
        ("payment_intent.amount_capturable_updated", "requires_capture", True),
        ("payment_intent.created", "succeeded", False),
    ],
)
def test_an_event_that_tells_of_money_has_its_time(type: str, status: str, is_shown: bool) -> None:
    money = MONEY | {"amount_capturable": 1000, "created": 5, "latest_charge": "ch_1"}
    created = int(now().timestamp())
    event = {"id": "evt_1", "type": type, "created": created, "data": {"object": INTENT | money | {"status": status}}}
    found = read(json.dumps(event))
    assert found is not None
    assert isinstance(found.outcome, Approved)
    assert found.outcome.at == (datetime.fromtimestamp(created, UTC) if is_shown else None)


@pytest.mark.parametrize(
    ("type", "thing", "field"),
    [
        ("payment_intent.succeeded", None, "data.object"),
        ("payment_intent.succeeded", {}, "object"),
        ("payment_intent.succeeded", REFUND, "object"),
        ("payment_intent.succeeded", INTENT | {"id": None}, "id"),
        ("payment_intent.succeeded", INTENT | {"metadata": []}, "metadata"),
        ("refund.updated", REFUND | {"id": ""}, "id"),
        ("refund.updated", REFUND | {"payment_intent": 7}, "payment_intent"),
        ("charge.dispute.created", DISPUTE, "amount"),
        ("charge.dispute.created", DISPUTE | {"payment_intent": {}}, "payment_intent"),
    ],
)
def test_an_event_that_does_not_name_its_object_is_malformed(type: str, thing: Any, field: str) -> None:
    with pytest.raises(MalformedResponse) as malformed:
        read(payload(type, thing))
    assert field in malformed.value.field


@pytest.mark.parametrize("event", [{}, [], 7, None, {"type": None}, {"type": "payment_intent.succeeded"}])
def test_a_payload_of_another_form_is_malformed(event: Any) -> None:
    with pytest.raises(MalformedResponse):
        read(json.dumps(event))
