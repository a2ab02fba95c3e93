"""Afterpay's notifications about disputes: which are believed, and which charge they name."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from domain.errors import WebhookRefused
from gateways.afterpay.gateway import AfterpayGateway
from gateways.base import Delivery, Fact, Notice
from sandbox.server import RunningSandbox
from sandbox.state import Settings

from .bench import Webhook, body_of, now
from .benches.afterpay import WEBHOOK_URL
from .benches.afterpay import ProviderBench as AfterpayBench
from .served import answering
from .test_gateway_operations import charged

EVENT = {
    "webhook_event_id": "b4df2187-4090-4845-be15-a73546107cbe",
    "webhook_event_type": "created",
    "dispute_id": "dp_1",
    "merchant_reference": "pay_1/at_1",
}


@pytest.fixture
def gateway(afterpay: AfterpayBench) -> AfterpayGateway:
    """Afterpay's gateway."""
    return afterpay.gateway()


KEPT = ("webhook_event_id", "webhook_event_type", "dispute_id", "merchant_reference")


def verified(gateway: AfterpayGateway, sent: Webhook) -> Delivery:
    return gateway.verify_webhook(sent.body, sent.headers, now(), sent.url)


# --- what is believed ---


def test_a_dispute_is_a_fact_of_its_charge(afterpay: AfterpayBench, gateway: AfterpayGateway) -> None:
    first = charged(afterpay, gateway)
    event = afterpay.event(first.reference)
    delivery = verified(gateway, afterpay.signed(event))
    assert (delivery.event_id, delivery.type) == (event["webhook_event_id"], "created")
    assert json.loads(delivery.payload) == {name: event[name] for name in KEPT}
    fact = Fact("dispute_opened", {"reference": event["dispute_id"], "type": "created"})
    expected = Notice("", first.attempt_id, None, fact=fact, payment_id=first.payment_id)
    assert gateway.read_webhook(delivery.payload) == expected


def test_neither_persons_nor_free_text_are_stored(afterpay: AfterpayBench, gateway: AfterpayGateway) -> None:
    event = afterpay.event(charged(afterpay, gateway).reference) | {"consumer": {"email": "canary"}, "note": "canary"}
    assert "canary" not in verified(gateway, afterpay.signed(event)).payload
    strange = event | {"merchant_reference": "Jo Canary", "dispute_id": "canary@example.org"}
    assert "canary" not in verified(gateway, afterpay.signed(strange)).payload.lower()


def test_what_the_sandbox_posts_is_believed() -> None:
    """Signed by the sandbox alone, and received at the address of this provider."""
    with answering((200, b"")) as receiver:
        url = f"{receiver.url}/webhooks"
        with RunningSandbox(Settings(seed=1, webhook_url=f"{url}/stripe")) as own:
            afterpay = AfterpayBench(own)
            gateway = afterpay.gateway()
            first = charged(afterpay, gateway)
            event = afterpay.event(first.reference)
            came = receiver.next()
    assert came.path == "/webhooks/afterpay"
    delivery = gateway.verify_webhook(came.raw, came.headers, now(), f"{url}/afterpay")
    assert json.loads(delivery.payload) == {name: event[name] for name in KEPT}


@pytest.mark.parametrize("seconds", [-295, 0, 295])
def test_clocks_may_differ_a_little(afterpay: AfterpayBench, gateway: AfterpayGateway, seconds: float) -> None:
    assert verified(gateway, afterpay.signed(EVENT, seconds=seconds))


def test_a_replay_has_the_id_of_the_first(afterpay: AfterpayBench, gateway: AfterpayGateway) -> None:
    """Which is stored once: later copies find it."""
    ids = {verified(gateway, afterpay.signed(EVENT, seconds=seconds)).event_id for seconds in (0, 30, 60)}
    assert ids == {EVENT["webhook_event_id"]}


def test_the_key_of_notifications_may_be_one_of_its_own(afterpay: AfterpayBench) -> None:
    sent = afterpay.signed(EVENT)
    assert verified(afterpay.gateway(secret_key="sandbox-other", webhook_secret=afterpay.secret), sent)
    with pytest.raises(WebhookRefused):
        verified(afterpay.gateway(webhook_secret="other"), sent)


def test_the_stamp_is_measured_by_the_clock_that_is_given(afterpay: AfterpayBench, gateway: AfterpayGateway) -> None:
    later = now() + timedelta(days=400)
    sent = afterpay.signed(EVENT, seconds=400 * 86_400)
    assert gateway.verify_webhook(sent.body, sent.headers, later, sent.url)
    with pytest.raises(WebhookRefused):
        verified(gateway, sent)


# --- what is refused ---


@pytest.mark.parametrize("seconds", [-305, 305, -(10**8), 10**8])
def test_a_stamp_that_is_too_old_or_in_the_future(
    afterpay: AfterpayBench, gateway: AfterpayGateway, seconds: float
) -> None:
    with pytest.raises(WebhookRefused, match="too long ago"):
        verified(gateway, afterpay.signed(EVENT, seconds=seconds))


@pytest.mark.parametrize(
    "stamp", ["", "soon", "1e9", "-1", "+1664239810", "1664239810.5", "٣", "9" * 13, "9" * 5000, "nan"]
)
def test_a_stamp_that_is_no_date(afterpay: AfterpayBench, gateway: AfterpayGateway, stamp: str) -> None:
    sent = afterpay.signed(EVENT, stamp=stamp or " ")
    with pytest.raises(WebhookRefused, match="without a date"):
        verified(gateway, sent)


def test_a_forged_signature(afterpay: AfterpayBench, gateway: AfterpayGateway) -> None:
    with pytest.raises(WebhookRefused, match="bad signature"):
        verified(gateway, afterpay.signed(EVENT, is_forged=True))


def test_a_changed_body(afterpay: AfterpayBench, gateway: AfterpayGateway) -> None:
    sent = afterpay.signed(EVENT)
    for forged in (sent.body + b" ", body_of(EVENT | {"dispute_id": "dp_2"}), b""):
        with pytest.raises(WebhookRefused, match="bad signature"):
            verified(gateway, replace(sent, body=forged))


def test_a_changed_date(afterpay: AfterpayBench, gateway: AfterpayGateway) -> None:
    old = afterpay.signed(EVENT, seconds=-400)
    fresh = afterpay.signed(EVENT).headers["X-Afterpay-Request-Date"]
    with pytest.raises(WebhookRefused, match="bad signature"):
        verified(gateway, replace(old, headers=dict(old.headers) | {"X-Afterpay-Request-Date": fresh}))


@pytest.mark.parametrize(
    "url",
    ["", "https://evil.example/webhooks/afterpay", f"{WEBHOOK_URL}/", WEBHOOK_URL.replace("https", "http"), "\udc80"],
)
def test_another_address(afterpay: AfterpayBench, gateway: AfterpayGateway, url: str) -> None:
    with pytest.raises(WebhookRefused, match="bad signature"):
        verified(gateway, replace(afterpay.signed(EVENT), url=url))


@pytest.mark.parametrize("signature", [None, "", "é", "\udc80", "A" * 44, "Bearer x"])
def test_no_signature_or_nonsense(afterpay: AfterpayBench, gateway: AfterpayGateway, signature: str | None) -> None:
    sent = afterpay.signed(EVENT)
    headers = {name: value for name, value in sent.headers.items() if not name.endswith("Signature")}
    if signature is not None:
        headers["X-Afterpay-Request-Signature"] = signature
    with pytest.raises(WebhookRefused, match="bad signature"):
        verified(gateway, replace(sent, headers=headers))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not JSON",
        b"[]",
        b"17",
        b'"text"',
        b"null",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        json.dumps(EVENT).encode("utf-16"),
        b"\xef\xbb\xbf" + body_of(EVENT),
        *(body_of(EVENT | {"webhook_event_id": name}) for name in ("", None, 17, "é", "a\nb", "x" * 256, ["x"])),
        *(body_of(EVENT | {"webhook_event_type": name}) for name in ("", None, 17, "é", "x" * 101, {})),
    ],
    ids=lambda body: body[:60],
)
def test_signed_but_no_event(afterpay: AfterpayBench, gateway: AfterpayGateway, body: bytes) -> None:
    with pytest.raises(WebhookRefused, match="not an Afterpay event"):
        verified(gateway, afterpay.signed(body))


# --- what is read ---


@pytest.mark.parametrize(("kind", "name"), [("created", "dispute_opened"), ("updated", "dispute_updated")])
def test_both_types_are_read(gateway: AfterpayGateway, kind: str, name: str) -> None:
    notice = gateway.read_webhook(json.dumps(EVENT | {"webhook_event_type": kind}))
    fact = Fact(name, {"reference": "dp_1", "type": kind})
    assert notice == Notice("", "at_1", None, fact=fact, payment_id="pay_1")


def test_what_names_no_charge_of_ours_tells_nothing(afterpay: AfterpayBench, gateway: AfterpayGateway) -> None:
    for event in afterpay.strange_events():
        assert gateway.read_webhook(json.dumps(event)) is None
