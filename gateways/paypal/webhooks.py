"""Verifies PayPal's webhooks, and reads which object each is about.

A webhook is signed over its id, its time, the webhook's id and a CRC-32 of the raw body. The signature is checked here.
PayPal is asked as well until its certificate is known to be genuine, and before the content itself is booked. Source:
developer.paypal.com, verify a webhook signature yourself, read 2026-11-23."""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from domain.errors import WebhookRefused
from gateways.base import VerifiedWebhook, WebhookEvent
from gateways.failures import MalformedResponse
from gateways.json_api import proven
from gateways.paypal.certificates import Certificates
from gateways.paypal.outcomes import outcome_of_refund
from gateways.paypal.responses import Linked, Refund
from gateways.paypal.side_events import read_side_event, removed_account
from gateways.paypal.stored_fields import stored_fields
from gateways.paypal.subscription_events import told_of_subscription
from gateways.paypal.verdicts import AskPayPal, Verdicts
from gateways.provider_model import End, ProviderModel, Text
from gateways.signatures import check_age, listed_webhooks, verified_webhook

_KIND = "a PayPal event"
# PayPal repeats a delivery for three days, with the time of the first attempt.
_PAST = timedelta(days=3)
_HEADERS = {
    "auth_algo": "Paypal-Auth-Algo",
    "cert_url": "Paypal-Cert-Url",
    "transmission_id": "Paypal-Transmission-Id",
    "transmission_sig": "Paypal-Transmission-Sig",
    "transmission_time": "Paypal-Transmission-Time",
}
# PayPal's longest header, the signature, has a few hundred characters.
_LONGEST_HEADER = 2000
_ORDER_ADDRESS = re.compile(r"/v2/checkout/orders/([^/]+)/?$")


class Webhooks:
    """Verifies the webhooks of one registration."""

    def __init__(self, webhook_id: str | None, certificates: Certificates, ask_paypal: AskPayPal) -> None:
        self._webhook_id = webhook_id
        self._certificates = certificates
        self._verdicts = Verdicts(ask_paypal)

    def verify(self, body: bytes, headers: Mapping[str, str], now: datetime) -> VerifiedWebhook:
        """Return the webhook if PayPal signed it for this registration within three days.

        Raises WebhookRefused, and WebhookDeferred when that cannot be told right now."""
        if not self._webhook_id:
            raise WebhookRefused("no webhook id is configured")
        signed = {field: headers.get(name, "") for field, name in _HEADERS.items()}
        if not all(text and len(text) <= _LONGEST_HEADER and text.isascii() for text in signed.values()):
            raise WebhookRefused("not signed")
        if signed["auth_algo"] != "SHA256withRSA":
            raise WebhookRefused("unknown signature algorithm")
        check_age(_seconds(signed["transmission_time"]), now, _PAST)
        verified = verified_webhook(body, _KIND, _identify, stored_fields)
        self._check_signature(body, verified.payload, signed, now)
        return verified

    def _check_signature(self, body: bytes, payload: str, signed: Mapping[str, str], now: datetime) -> None:
        url, question = signed["cert_url"], {**signed, "webhook_id": self._webhook_id}
        certificate = self._certificates.at(url, now)
        if certificate is None:
            self._verdicts.require(body, question, now, is_checked=False)
            return
        text = f"{signed['transmission_id']}|{signed['transmission_time']}|{self._webhook_id}|{zlib.crc32(body)}"
        try:
            certificate.key.verify(_decoded(signed["transmission_sig"]), text.encode(), PKCS1v15(), SHA256())
        except InvalidSignature:
            raise WebhookRefused("bad signature") from None
        # The signature covers only a CRC of the body, and other bodies with the same CRC can be made.
        if not certificate.is_trusted or _is_content_booked(payload):
            self._verdicts.require(body, question, now, is_checked=True)
        # The certificate came from PayPal's host and fits a signature that PayPal confirms, or its chain is trusted:
        # from here on its signatures are enough.
        self._certificates.keep(url, certificate)


def listed(events: Iterable[Any]) -> list[VerifiedWebhook]:
    """Return the events of a page of PayPal's list."""
    return listed_webhooks(events, _KIND, _identify, stored_fields)


def _identify(event: Any) -> tuple[Any, Any]:
    return (event.get("id"), event.get("event_type")) if isinstance(event, dict) else (None, None)


def _is_content_booked(payload: str) -> bool:
    """Tell whether the content of an event goes into our books. For every other event the provider is asked anyway."""
    try:
        event = read_event(payload)
    except MalformedResponse:
        return False
    return event is not None and (event.side_event is not None or event.outcome is not None)


def _seconds(stamp: str) -> float:
    try:
        sent_at = datetime.fromisoformat(stamp)
        return (sent_at if sent_at.tzinfo else sent_at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise WebhookRefused("no readable time") from None


def _decoded(signature: str) -> bytes:
    try:
        return base64.b64decode(signature, validate=True)
    except binascii.Error:
        raise WebhookRefused("bad signature") from None


# --- models -----------------------------------------------------------------------------------------


class Event(ProviderModel):
    """A webhook event. The type decides how its resource is read."""

    event_type: Text
    create_time: End = None
    resource: Any = None


class EventPage(Linked):
    """One page of the list of events. It may hold fewer than were asked for; `next` leads to the following one."""

    events: list[Any]


class RelatedIds(ProviderModel):
    """The objects that a payment belongs to."""

    order_id: str | None = None


class SupplementaryData(ProviderModel):
    """Further data of a payment."""

    related_ids: RelatedIds | None = None


class PaymentEvent(Linked):
    """A capture or an authorization. Some events name its order only in a link, and some neither order nor attempt."""

    invoice_id: str | None = None
    supplementary_data: SupplementaryData | None = None


class RefundEvent(Linked):
    """What a refund is called. One from the dashboard repeats the ids of its payment."""

    id: str | None = None
    custom_id: str | None = None
    invoice_id: str | None = None
    supplementary_data: SupplementaryData | None = None


class OrderUnit(ProviderModel):
    """A purchase unit of an order."""

    invoice_id: str | None = None


class OrderEvent(ProviderModel):
    """An order, or the reversal of its approval, which has an `order_id`."""

    id: str | None = None
    order_id: str | None = None
    purchase_units: list[OrderUnit] | None = None


# --- reading ----------------------------------------------------------------------------------------


def read_event(payload: str) -> WebhookEvent | None:
    """Return what a stored event is about; None for an unknown type, or for an object that names none that we made.

    Raises MalformedResponse for an event of a known type that does not have the documented form."""
    event = Event.parse(json.loads(payload))
    read = next((read for start, read in _READERS if event.event_type.startswith(start)), None)
    if read is not None:
        return read(event.resource)
    known = read_side_event(event.event_type, event.resource)
    return known and replace(
        known,
        method=removed_account(event.event_type, event.resource, event.create_time),
        subscription=told_of_subscription(event.event_type, event.resource, event.create_time),
    )


def _read_order(resource: Any) -> WebhookEvent | None:
    order = OrderEvent.parse(resource)
    attempt_id = order.purchase_units[0].invoice_id if order.purchase_units else None
    reference = order.order_id or order.id
    if not reference and not attempt_id:
        raise MalformedResponse("OrderEvent.id")
    return _about_order(reference, attempt_id)


def _read_payment(resource: Any) -> WebhookEvent | None:
    """Read a capture or an authorization: we store the order that it belongs to, not its own id."""
    payment = PaymentEvent.parse(resource)
    return _about_order(_order_id(payment.supplementary_data) or _order_above(payment), payment.invoice_id)


def _about_order(reference: str | None, attempt_id: str | None) -> WebhookEvent | None:
    """Return the event of an order, which its attempt finds where the order is not named."""
    return WebhookEvent(reference or "", attempt_id or None, None) if reference or attempt_id else None


def _read_refund(resource: Any) -> WebhookEvent | None:
    refund = RefundEvent.parse(resource)
    if not (refund.id or refund.invoice_id):
        raise MalformedResponse("RefundEvent.id")
    # Our own refund has the attempt in both fields. A refund from the dashboard repeats what its payment has in them.
    is_ours = refund.custom_id == refund.invoice_id
    return WebhookEvent(
        refund.id or "",
        (refund.custom_id or None) if is_ours else None,
        proven(lambda: outcome_of_refund(Refund.parse(resource))),
        _order_id(refund.supplementary_data) or refund.id_above,
        payment_id=None if is_ours else refund.custom_id,
    )


def _read_reversal(resource: Any) -> WebhookEvent:
    """Read what PayPal itself has taken back. It need not name our payment, and its dispute may show it too."""
    refund = RefundEvent.parse(resource)
    if not refund.id:
        raise MalformedResponse("RefundEvent.id")
    return WebhookEvent("", None, None, reversal=refund.id)


# The first that fits: PayPal reports refunds as events of their capture.
_READERS: tuple[tuple[str, Callable[[Any], WebhookEvent | None]], ...] = (
    ("CHECKOUT.ORDER.", _read_order),
    ("CHECKOUT.PAYMENT-APPROVAL.", _read_order),
    ("PAYMENT.CAPTURE.REFUNDED", _read_refund),
    ("PAYMENT.CAPTURE.REVERSED", _read_reversal),
    ("PAYMENT.REFUND.", _read_refund),
    ("PAYMENT.CAPTURE.", _read_payment),
    ("PAYMENT.AUTHORIZATION.", _read_payment),
)


def _order_id(data: SupplementaryData | None) -> str | None:
    return (data.related_ids.order_id or None) if data and data.related_ids else None


def _order_above(payment: PaymentEvent) -> str | None:
    """Return the order in the link `up`, which for the capture of an authorization names the authorization instead."""
    found = _ORDER_ADDRESS.search(payment.link("up") or "")
    return found[1] if found else None
