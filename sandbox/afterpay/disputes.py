"""Webhooks about disputes, the only webhooks that Afterpay sends, and their signature [docs].

The signature is the base64 of an HMAC-SHA256 over `<url>\\n<seconds>\\n<raw body>`. The sandbox takes the account's
secret key as the HMAC key; Afterpay issues a separate one.
"""

from __future__ import annotations

import base64
import hmac
import json
import secrets
import uuid

from sandbox.afterpay import PROVIDER
from sandbox.afterpay.payments import Payment
from sandbox.delivery import Message
from sandbox.service import Json
from sandbox.state import Sandbox


class Disputes:
    """Opens disputes and sends their webhooks, if the sandbox has a webhook URL."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.url = sandbox.settings.webhook_url_of(PROVIDER)

    def open(self, payment: Payment) -> Json:
        """Open a dispute about a payment and return its event."""
        event = {
            "webhook_event_id": str(uuid.uuid4()),
            "webhook_event_type": "created",
            "dispute_id": f"dp_{secrets.token_hex(11)}",
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
