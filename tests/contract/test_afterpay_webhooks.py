"""Afterpay's notifications about disputes: which are accepted, and which charge they name."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from domain.errors import WebhookRefused
from gateways.afterpay.gateway import AfterpayGateway
from gateways.base import SideEvent, VerifiedWebhook, WebhookEvent
from gateways.failures import MalformedResponse
from sandbox.server import RunningSandbox
from sandbox.state import Settings

from .bench import Webhook, body_of, now
from .benches.afterpay import WEBHOOK_URL
from .benches.afterpay import ProviderBench as AfterpayBench
from .served import replying
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


STORED = ("webhook_event_id", "webhook_event_type", "dispute_id", "merchant_reference")


def verified(gateway: AfterpayGateway, webhook: Webhook) -> VerifiedWebhook:
    return gateway.verify_webhook(webhook.body, webhook.headers, now(), webhook.url)


# --- what is accepted ---


def test_a_dispute_is_a_side_event_of_its_charge(afterpay: AfterpayBench, gateway: AfterpayGateway) -> None:
    first = charged(afterpay, gateway)
    event = afterpay.event(first.reference)
    webhook = verified(gateway, afterpay.signed(event))
    assert (webhook.event_id, webhook.type) == (event["webhook_event_id"], "created")
    assert json.loads(webhook.payload) == {name: event[name] for name in STORED}
    side_event = SideEvent("dispute_opened", {"reference": event["dispute_id"], "type": "created"})
    about = {"payment_id": first.payment_id, "dispute": event["dispute_id"]}
    expected = WebhookEvent("", first.attempt_id, None, side_event=side_event, **about)
    assert gateway.read_webhook(webhook.payload) == expected


def test_personal_data_and_free_text_are_not_stored(afterpay: AfterpayBench, gateway: AfterpayGateway) -> None:
    event = afterpay.event(charged(afterpay, gateway).reference) | {"consumer": {"email": "canary"}, "note": "canary"}
    assert "canary" not in verified(gateway, afterpay.signed(event)).payload
    strange = event | {"merchant_reference": "Jo Canary", "dispute_id": "canary@example.org"}
    assert "canary" not in verified(gateway, afterpay.signed(strange)).payload.lower()


def test_a_notification_that_the_sandbox_posts_is_accepted() -> None:
    """The sandbox signs it, and posts it to the address of this provider."""
    with replying((200, b"")) as receiver:
        url = f"{receiver.url}/webhooks"
        with RunningSandbox(Settings(seed=1, webhook_url=f"{url}/stripe")) as own:
            afterpay = AfterpayBench(own)
            gateway = afterpay.gateway()
            first = charged(afterpay, gateway)
            event = afterpay.event(first.reference)
            posted = receiver.next()
    assert posted.path == "/webhooks/afterpay"
    webhook = gateway.verify_webhook(posted.raw, posted.headers, now(), f"{url}/afterpay")
    assert json.loads(webhook.payload) == {name: event[name] for name in STORED}


@pytest.mark.parametrize("seconds", [-295, 0, 295])
def test_clocks_may_differ_a_little(afterpay: AfterpayBench, gateway: AfterpayGateway, seconds: float) -> None:
    assert verified(gateway, afterpay.signed(EVENT, seconds=seconds))


def test_a_repeated_notification_has_the_same_id(afterpay: AfterpayBench, gateway: AfterpayGateway) -> None:
    """The id is unique in the database, so a copy is not stored."""
    ids = {verified(gateway, afterpay.signed(EVENT, seconds=seconds)).event_id for seconds in (0, 30, 60)}
    assert ids == {EVENT["webhook_event_id"]}


def test_notifications_may_be_signed_with_a_key_of_their_own(afterpay: AfterpayBench) -> None:
    webhook = afterpay.signed(EVENT)
    assert verified(afterpay.gateway(secret_key="sandbox-other", webhook_secret=afterpay.secret), webhook)
    with pytest.raises(WebhookRefused):
        verified(afterpay.gateway(webhook_secret="other"), webhook)


def test_the_age_is_measured_by_the_clock_of_the_caller(afterpay: AfterpayBench, gateway: AfterpayGateway) -> None:
    later = now() + timedelta(days=400)
    webhook = afterpay.signed(EVENT, seconds=400 * 86_400)
    assert gateway.verify_webhook(webhook.body, webhook.headers, later, webhook.url)
    with pytest.raises(WebhookRefused):
        verified(gateway, webhook)


# --- what is refused ---


@pytest.mark.parametrize("seconds", [-305, 305, -(10**8), 10**8])
def test_a_date_that_is_too_old_or_in_the_future_is_refused(
    afterpay: AfterpayBench, gateway: AfterpayGateway, seconds: float
) -> None:
    with pytest.raises(WebhookRefused, match="too long ago"):
        verified(gateway, afterpay.signed(EVENT, seconds=seconds))


@pytest.mark.parametrize(
    "stamp", ["", "soon", "1e9", "-1", "+1664239810", "1664239810.5", "٣", "9" * 13, "9" * 5000, "nan"]
)
def test_a_date_of_another_form_is_refused(afterpay: AfterpayBench, gateway: AfterpayGateway, stamp: str) -> None:
    webhook = afterpay.signed(EVENT, stamp=stamp or " ")
    with pytest.raises(WebhookRefused, match="without a date"):
        verified(gateway, webhook)


def test_a_forged_signature_is_refused(afterpay: AfterpayBench, gateway: AfterpayGateway) -> None:
    with pytest.raises(WebhookRefused, match="bad signature"):
        verified(gateway, afterpay.signed(EVENT, is_forged=True))


def test_a_changed_body_is_refused(afterpay: AfterpayBench, gateway: AfterpayGateway) -> None:
    webhook = afterpay.signed(EVENT)
    for forged in (webhook.body + b" ", body_of(EVENT | {"dispute_id": "dp_2"}), b""):
        with pytest.raises(WebhookRefused, match="bad signature"):
            verified(gateway, replace(webhook, body=forged))


def test_a_changed_date_is_refused(afterpay: AfterpayBench, gateway: AfterpayGateway) -> None:
    old = afterpay.signed(EVENT, seconds=-400)
    fresh = afterpay.signed(EVENT).headers["X-Afterpay-Request-Date"]
    with pytest.raises(WebhookRefused, match="bad signature"):
        verified(gateway, replace(old, headers=dict(old.headers) | {"X-Afterpay-Request-Date": fresh}))


@pytest.mark.parametrize(
    "url",
    ["", "https://evil.example/webhooks/afterpay", f"{WEBHOOK_URL}/", WEBHOOK_URL.replace("https", "http"), "\udc80"],
)
def test_a_notification_for_another_address_is_refused(
    afterpay: AfterpayBench, gateway: AfterpayGateway, url: str
) -> None:
    with pytest.raises(WebhookRefused, match="bad signature"):
        verified(gateway, replace(afterpay.signed(EVENT), url=url))


@pytest.mark.parametrize("signature", [None, "", "é", "\udc80", "A" * 44, "Bearer x"])
def test_a_missing_or_malformed_signature_is_refused(
    afterpay: AfterpayBench, gateway: AfterpayGateway, signature: str | None
) -> None:
    webhook = afterpay.signed(EVENT)
    headers = {name: value for name, value in webhook.headers.items() if not name.endswith("Signature")}
    if signature is not None:
        headers["X-Afterpay-Request-Signature"] = signature
    with pytest.raises(WebhookRefused, match="bad signature"):
        verified(gateway, replace(webhook, headers=headers))


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
def test_a_signed_body_without_an_event_is_refused(
    afterpay: AfterpayBench, gateway: AfterpayGateway, body: bytes
) -> None:
    with pytest.raises(WebhookRefused, match="not an Afterpay event"):
        verified(gateway, afterpay.signed(body))


# --- what is read ---


@pytest.mark.parametrize(("kind", "name"), [("created", "dispute_opened"), ("updated", "dispute_updated")])
def test_both_types_of_notification_are_read(gateway: AfterpayGateway, kind: str, name: str) -> None:
    event = gateway.read_webhook(json.dumps(EVENT | {"webhook_event_type": kind}))
    side_event = SideEvent(name, {"reference": "dp_1", "type": kind})
    about = {"payment_id": "pay_1", "dispute": "dp_1"}
    assert event == WebhookEvent("", "at_1", None, side_event=side_event, **about)


def test_another_type_or_a_charge_of_another_system_is_ignored(
    afterpay: AfterpayBench, gateway: AfterpayGateway
) -> None:
    for event in afterpay.strange_events():
        assert gateway.read_webhook(json.dumps(event)) is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        *(
            ({"dispute_id": id}, "Dispute.dispute_id")
            for id in (None, 17, "", "jo@example.org", "Jo Example", "x" * 65)
        ),
        ({"merchant_reference": 17}, "Dispute.merchant_reference"),
        ({"webhook_event_type": None}, "Notification.webhook_event_type"),
    ],
    ids=str,
)
def test_a_dispute_of_another_form_is_malformed(
    gateway: AfterpayGateway, changes: dict[str, object], field: str
) -> None:
    with pytest.raises(MalformedResponse) as raised:
        gateway.read_webhook(json.dumps(EVENT | changes))
    assert raised.value.field == field


def test_a_dispute_without_a_usable_id_is_stored_and_malformed(
    afterpay: AfterpayBench, gateway: AfterpayGateway
) -> None:
    """No verified notification is lost: a person sees that it could not be read."""
    webhook = verified(gateway, afterpay.signed(EVENT | {"dispute_id": "jo@example.org"}))
    with pytest.raises(MalformedResponse):
        gateway.read_webhook(webhook.payload)
