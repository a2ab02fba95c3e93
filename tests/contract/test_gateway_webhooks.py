"""Every gateway: which webhooks are believed, and what they say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.errors import WebhookRefused
from domain.outcome import Approved, Declined
from domain.payment import Verb
from gateways.base import Gateway

from .bench import Bench, body_of, now, order
from .test_gateway_operations import charged, operation

TOLERANCE_SECONDS = 300


def delivered(provider: Bench, body: bytes, *, secret: str | None = None, seconds: float = 0) -> dict[str, str]:
    """Return the headers of a delivery, signed that many seconds from now."""
    return provider.headers(body, now().timestamp() + seconds, secret or provider.secrets[0])


def test_a_good_webhook_says_how_the_charge_stands(provider: Bench, gateway: Gateway) -> None:
    first = charged(provider, gateway)
    event = provider.event(first.reference)
    body = body_of(event)
    delivery = gateway.verify_webhook(body, delivered(provider, body), now())
    assert (delivery.event_id, delivery.type) == (event["id"], event["type"])

    notice = gateway.read_webhook(body.decode())
    assert (notice.reference, notice.attempt_id) == (first.reference, first.attempt_id)
    assert notice.outcome == gateway.retrieve(first)


def test_a_declined_charge_is_told(provider: Bench, gateway: Gateway) -> None:
    asked, remembered = order(provider, card="hard"), []
    outcome = gateway.charge(asked, remembered.append)
    notice = gateway.read_webhook(body_of(provider.event(remembered[0])).decode())
    assert isinstance(notice.outcome, Declined)
    assert notice.outcome == outcome


def test_an_authorization_is_told(provider: Bench, gateway: Gateway) -> None:
    first = charged(provider, gateway, Verb.AUTHORIZE)
    notice = gateway.read_webhook(body_of(provider.event(first.reference)).decode())
    assert isinstance(notice.outcome, Approved)
    assert (notice.outcome.authorized, notice.outcome.captured) == (1000, 0)


def test_a_refund_is_told_with_its_charge(provider: Bench, gateway: Gateway) -> None:
    asked = operation(charged(provider, gateway), Verb.REFUND, 400)
    outcome = gateway.refund(asked)
    notice = gateway.read_webhook(body_of(provider.event(outcome.reference)).decode())
    assert (notice.attempt_id, notice.charge_reference) == (asked.attempt_id, asked.charge_reference)
    assert notice.outcome == outcome == gateway.retrieve(replace(asked, reference=notice.reference))


def test_every_secret_verifies_so_that_they_can_rotate(provider: Bench, gateway: Gateway) -> None:
    body = body_of({"id": "evt_1", "type": "x", "livemode": False})
    for secret in provider.secrets:
        assert gateway.verify_webhook(body, delivered(provider, body, secret=secret), now()).event_id == "evt_1"


@pytest.mark.parametrize("seconds", [-TOLERANCE_SECONDS + 5, 0, TOLERANCE_SECONDS - 5])
def test_clocks_may_differ_a_little(provider: Bench, gateway: Gateway, seconds: float) -> None:
    body = body_of({"id": "evt_1", "type": "x", "livemode": False})
    assert gateway.verify_webhook(body, delivered(provider, body, seconds=seconds), now())


@pytest.mark.parametrize("seconds", [-TOLERANCE_SECONDS - 5, TOLERANCE_SECONDS + 5, -(10**8), 10**8])
def test_a_replay_or_a_stamp_from_the_future(provider: Bench, gateway: Gateway, seconds: float) -> None:
    body = body_of({"id": "evt_1", "type": "x", "livemode": False})
    with pytest.raises(WebhookRefused):
        gateway.verify_webhook(body, delivered(provider, body, seconds=seconds), now())


def test_the_stamp_is_measured_by_the_clock_that_is_given(provider: Bench, gateway: Gateway) -> None:
    """The sandbox's clock may be weeks ahead of the host's."""
    body = body_of({"id": "evt_1", "type": "x", "livemode": False})
    later = now().replace(year=now().year + 1, day=1)
    headers = provider.headers(body, later.timestamp(), provider.secrets[0])
    assert gateway.verify_webhook(body, headers, later)
    with pytest.raises(WebhookRefused):
        gateway.verify_webhook(body, headers, now())


@pytest.mark.parametrize("secret", ["whsec_wrong", ""])
def test_a_forged_signature(provider: Bench, gateway: Gateway, secret: str) -> None:
    body = body_of({"id": "evt_1", "type": "x", "livemode": False})
    headers = provider.headers(body, now().timestamp(), secret)
    with pytest.raises(WebhookRefused):
        gateway.verify_webhook(body, headers, now())


def test_a_changed_body(provider: Bench, gateway: Gateway) -> None:
    body = body_of({"id": "evt_1", "type": "x", "livemode": False})
    for forged in (body + b" ", body.replace(b"evt_1", b"evt_2"), b""):
        with pytest.raises(WebhookRefused):
            gateway.verify_webhook(forged, delivered(provider, body), now())


def test_no_signature(provider: Bench, gateway: Gateway) -> None:
    with pytest.raises(WebhookRefused):
        gateway.verify_webhook(b"{}", {}, now())


def test_without_secrets_nothing_is_believed(provider: Bench) -> None:
    body = body_of({"id": "evt_1", "type": "x", "livemode": False})
    gateway = provider.gateway(webhook_secrets=())
    with pytest.raises(WebhookRefused):
        gateway.verify_webhook(body, delivered(provider, body, secret=""), now())


@pytest.mark.parametrize(("secret_key", "is_live"), [("sk_test_x", True), ("sk_live_x", False)])
def test_the_other_mode(provider: Bench, secret_key: str, is_live: bool) -> None:
    body = body_of({"id": "evt_1", "type": "x", "livemode": is_live})
    with pytest.raises(WebhookRefused):
        provider.gateway(secret_key=secret_key).verify_webhook(body, delivered(provider, body), now())


@pytest.mark.parametrize("body", [b"not JSON", b"[]", b"17", b"{}", b"\xff", b"[" * 100_000], ids=lambda body: body[:9])
def test_signed_but_no_event(provider: Bench, gateway: Gateway, body: bytes) -> None:
    with pytest.raises(WebhookRefused):
        gateway.verify_webhook(body, delivered(provider, body), now())


@pytest.mark.parametrize(
    "event",
    [
        {"id": "evt_1", "type": "invented.tomorrow", "data": {"object": {"object": "invention"}}},
        {"id": "evt_1", "type": "invented.tomorrow", "data": {}},
        {"id": "evt_1", "type": "invented.tomorrow"},
        {"id": "evt_1", "type": "invented.tomorrow", "data": {"object": {"metadata": None}}},
    ],
    ids=str,
)
def test_an_unknown_type_tells_nothing(gateway: Gateway, event: dict[str, object]) -> None:
    assert gateway.read_webhook(body_of(event).decode()) is None
