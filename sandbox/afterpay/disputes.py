"""Disputes [spec], and the webhooks about them, the only ones that Afterpay sends, with their signature [docs].

The signature is the base64 of an HMAC-SHA256 over `<url>\\n<seconds>\\n<raw body>`. The sandbox takes the account's
secret key as the HMAC key; Afterpay issues a separate one.
"""

from __future__ import annotations

import base64
import hmac
import json
import secrets
import uuid
from datetime import timedelta

from sandbox.afterpay import PROVIDER
from sandbox.afterpay.amounts import money
from sandbox.afterpay.payments import Payment
from sandbox.delivery import Message
from sandbox.service import Json
from sandbox.state import Sandbox

REASONS = (
    *("product_not_received", "product_unacceptable", "credit_not_processed", "order_canceled", "duplicate"),
    *("incorrect_amount", "paid_by_other_means", "fraudulent", "fraudulent_merchant"),
)
STATUSES = ("needs_response", "under_review", "won", "lost", "merchant_refunded", "merchant_voided")
_FINAL = ("won", "lost", "merchant_refunded", "merchant_voided")
_CLOSING_REASONS = {"won": "evidence_accepted", "lost": "evidence_rejected"}
RESPOND_WITHIN = timedelta(days=14)


class Disputes:
    """Opens disputes, moves them on, and sends their webhooks, if the sandbox has a webhook URL."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.url = sandbox.settings.webhook_url_of(PROVIDER)
        # By the token of the payment.
        self._bodies: dict[str, Json] = {}

    def open(self, payment: Payment, reason: str = "product_not_received") -> Json:
        """Open a dispute about a payment and return its event."""
        now = self._sandbox.clock.now()
        amount = money(payment.captured, payment.currency)["amount"]
        self._bodies[payment.checkout.token] = {
            "id": f"dp_{secrets.token_hex(11)}",
            "order": payment.checkout.token,
            "amount": amount,
            "reason": reason,
            "status": "needs_response",
            "open": True,
            "responseDueBy": str(int(now + RESPOND_WITHIN.total_seconds())),
            "createdAt": str(int(now)),
            "openingNote": "It never came.",
            "closingReason": "",
            "merchantOrderId": payment.reference,
            "transactionDate": str(int(payment.created_at)),
            "settlementAmount": amount,
        }
        return self._send(payment, "created")

    def move(self, payment: Payment, status: str) -> Json:
        """Give the dispute about a payment another status and return its event."""
        body = self._bodies[payment.checkout.token]
        is_final = status in _FINAL
        body |= {"status": status, "open": not is_final, "closingReason": _CLOSING_REASONS.get(status, "")}
        return self._send(payment, "updated")

    def of(self, token: str) -> Json | None:
        """Return the dispute about the payment of a token."""
        return self._bodies.get(token)

    def all(self) -> list[Json]:
        """Return every dispute."""
        return list(self._bodies.values())

    def _send(self, payment: Payment, type: str) -> Json:
        event = {
            "webhook_event_id": str(uuid.uuid4()),
            "webhook_event_type": type,
            "dispute_id": self._bodies[payment.checkout.token]["id"],
            "merchant_reference": payment.reference,
        }
        if self.url is not None:
            self._sandbox.delivery.post(self._message(self.url, event, payment.checkout.merchant.secret))
        return event

    def _message(self, url: str, event: Json, secret: str) -> Message:
        raw = json.dumps(event).encode()

        def headers(body: bytes) -> dict[str, str]:
            seconds = str(int(self._sandbox.clock.now()))
            return {
                "Content-Type": "application/json",
                "X-Afterpay-Request-Date": seconds,
                "X-Afterpay-Request-Signature": signature(url, seconds, body, secret),
            }

        return Message(
            event=event["webhook_event_id"],
            endpoint=PROVIDER,
            url=url,
            body=lambda: raw,
            headers=headers,
        )


def signature(url: str, seconds: str, body: bytes, secret: str) -> str:
    """Return the `X-Afterpay-Request-Signature` header.

    >>> signature("https://pay.example/webhooks/afterpay", "1664239810", b"{}", "key")
    'MeYKe1PqCRKm5zbi8jq+Ne7ZuE8gM7hPS4tVIoQYSnQ='
    """
    message = url.encode() + b"\n" + seconds.encode() + b"\n" + body
    return base64.b64encode(hmac.digest(secret.encode(), message, "sha256")).decode()
