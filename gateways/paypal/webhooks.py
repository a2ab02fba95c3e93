"""PayPal's webhooks: which are believed, and which object they are about.

Signed over id, time, webhook id and CRC-32 of the raw body; checked here, and by PayPal too when its certificate
cannot be, or when the content is believed. Source: developer.paypal.com, verify a webhook signature yourself, read
2026-11-23."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from domain.errors import WebhookRefused
from domain.outcome import Outcome
from gateways.base import VerifiedWebhook, WebhookEvent
from gateways.json_api import MALFORMED
from gateways.paypal.certificates import Certificates, Unchecked
from gateways.paypal.responses import outcome_of_refund
from gateways.paypal.side_events import event_of_side_event
from gateways.paypal.stored_fields import stored_fields
from gateways.signatures import check_age, verified_webhook

# PayPal tries for three days with the stamp of the first try.
_PAST = timedelta(days=3)
_HEADERS = {
    "auth_algo": "Paypal-Auth-Algo",
    "cert_url": "Paypal-Cert-Url",
    "transmission_id": "Paypal-Transmission-Id",
    "transmission_sig": "Paypal-Transmission-Sig",
    "transmission_time": "Paypal-Transmission-Time",
}
_MOST_HEADER = 2000

# Asks PayPal whether a delivery is its own; raises WebhookRefused if that cannot be told now.
AskPayPal = Callable[[bytes], bool]


class Webhooks:
    """What verifies the deliveries of one webhook registration."""

    def __init__(self, webhook_id: str | None, certificates: Certificates, ask_paypal: AskPayPal) -> None:
        self._webhook_id = webhook_id
        self._certificates = certificates
        self._ask_paypal = ask_paypal

    def verify(self, body: bytes, headers: Mapping[str, str], now: datetime) -> VerifiedWebhook:
        """Return the delivery if PayPal made it for this registration, lately. Raises WebhookRefused."""
        if not self._webhook_id:
            raise WebhookRefused("no webhook id is configured")
        given = {field: headers.get(name, "") for field, name in _HEADERS.items()}
        if not all(text and len(text) <= _MOST_HEADER and text.isascii() for text in given.values()):
            raise WebhookRefused("not signed")
        if given["auth_algo"] != "SHA256withRSA":
            raise WebhookRefused("unknown signature algorithm")
        check_age(_seconds(given["transmission_time"]), now, _PAST)
        verified = verified_webhook(body, "a PayPal event", itemgetter("id", "event_type"), stored_fields)
        is_asked = not self._is_checked_here(body, given, now)
        # The signature covers a CRC of the body, for which other bodies can be made: it proves no content.
        if is_asked or _is_believed(verified.payload):
            self._ask(body, given)
        return verified

    def _is_checked_here(self, body: bytes, given: Mapping[str, str], now: datetime) -> bool:
        signature = _decoded(given["transmission_sig"])
        crc = zlib.crc32(body)
        signed = f"{given['transmission_id']}|{given['transmission_time']}|{self._webhook_id}|{crc}".encode()
        try:
            self._certificates.key(given["cert_url"], now).verify(signature, signed, PKCS1v15(), SHA256())
        except InvalidSignature:
            raise WebhookRefused("bad signature") from None
        except Unchecked:
            return False
        return True

    def _ask(self, body: bytes, given: Mapping[str, str]) -> None:
        question = json.dumps({**given, "webhook_id": self._webhook_id}).encode()
        # The event goes back byte for byte: written anew it would be another one.
        if not self._ask_paypal(question[:-1] + b', "webhook_event": ' + body + b"}"):
            raise WebhookRefused("PayPal does not know it")


def _is_believed(payload: str) -> bool:
    """Whether an event's content goes into our books: about everything else PayPal is asked anyway."""
    event = read_event(payload)
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


def read_event(payload: str) -> WebhookEvent | None:
    """Return what a stored event is about; None for one of a type or shape that is not known."""
    event = json.loads(payload)
    kind, resource = event.get("event_type"), event.get("resource")
    if not isinstance(kind, str) or not isinstance(resource, dict):
        return None
    read = next((read for start, read in _READERS if kind.startswith(start)), None)
    try:
        return read(resource) if read is not None else event_of_side_event(kind, resource)
    except MALFORMED:
        return None


def _of_order(resource: Any) -> WebhookEvent | None:
    """An order, or the reversal of its approval, which names it."""
    units = resource.get("purchase_units") or [{}]
    return _named(resource.get("order_id") or resource.get("id"), units[0].get("invoice_id"))


def _of_payment(resource: Any) -> WebhookEvent | None:
    """A capture or an authorization: both belong to an order, which is what we know."""
    return _named(_order_id(resource), resource.get("invoice_id"))


def _of_refund(resource: Any) -> WebhookEvent | None:
    # One that we made carries our id in both fields; one from the dashboard repeats those of its payment.
    custom_id = resource.get("custom_id")
    ours = custom_id if custom_id == resource.get("invoice_id") else None
    try:
        outcome: Outcome | None = outcome_of_refund(resource)
    except MALFORMED:
        outcome = None
    payment_id = custom_id if isinstance(custom_id, str) and ours is None else None
    return _named(resource["id"], ours, outcome, _order_id(resource) or _captured_by(resource), payment_id)


# The first that fits: refunds are told as events of their capture.
_READERS: tuple[tuple[str, Callable[[Any], WebhookEvent | None]], ...] = (
    ("CHECKOUT.ORDER.", _of_order),
    ("CHECKOUT.PAYMENT-APPROVAL.", _of_order),
    ("PAYMENT.CAPTURE.REFUNDED", _of_refund),
    ("PAYMENT.CAPTURE.REVERSED", _of_refund),
    ("PAYMENT.REFUND.", _of_refund),
    ("PAYMENT.CAPTURE.", _of_payment),
    ("PAYMENT.AUTHORIZATION.", _of_payment),
)


def _named(
    reference: Any,
    attempt_id: Any,
    outcome: Outcome | None = None,
    charge_reference: str | None = None,
    payment_id: str | None = None,
) -> WebhookEvent | None:
    known_attempt = attempt_id if isinstance(attempt_id, str) and attempt_id else None
    if isinstance(reference, str) and reference:
        return WebhookEvent(reference, known_attempt, outcome, charge_reference, payment_id=payment_id)
    # An order that is not named is found by the attempt it was made for.
    return WebhookEvent("", known_attempt, outcome) if known_attempt else None


def _order_id(resource: Any) -> str | None:
    found = ((resource.get("supplementary_data") or {}).get("related_ids") or {}).get("order_id")
    return found if isinstance(found, str) and found else None


def _captured_by(resource: Any) -> str | None:
    links = {link.get("rel"): link.get("href") for link in resource.get("links") or []}
    return str(links["up"]).rstrip("/").rpartition("/")[2] if "up" in links else None
