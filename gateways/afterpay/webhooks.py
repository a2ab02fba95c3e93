"""Afterpay's notifications, which are all about disputes: verify one, and read which charge it names.

Sources: developers.cash.app, webhook signature generation, and integrate with the disputes API, read 2026-11-23."""

from __future__ import annotations

import base64
import hmac
import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import StringConstraints

from domain.errors import WebhookRefused
from gateways.base import SideEvent, VerifiedWebhook, WebhookEvent
from gateways.provider_model import ProviderModel, Text
from gateways.signatures import check_age, is_same, picked, verified_webhook

_SIDE_EVENTS = {"created": "dispute_opened", "updated": "dispute_updated"}
# `<payment id>/<attempt id>`, the reference of the checkout.
_MERCHANT_REFERENCE = re.compile(r"([!-.0-~]{1,64})/([!-.0-~]{1,64})")
# Allow-list of the fields that we store.
_STORED = dict.fromkeys(("webhook_event_id", "webhook_event_type", "dispute_id", "merchant_reference"))


class Notification(ProviderModel):
    """What identifies a notification."""

    webhook_event_id: Text
    webhook_event_type: Text


class Dispute(ProviderModel):
    """The dispute of a notification. Its id goes into the audit trail, so it can be no name and no e-mail address.

    `merchant_reference`: of the disputed charge, perhaps one that another system of the merchant has made."""

    dispute_id: Annotated[str, StringConstraints(pattern="^[0-9A-Za-z_-]{1,64}$")]
    merchant_reference: str | None = None


def signature(key: bytes, body: bytes, stamp: str, url: str) -> str:
    """Return the value of X-Afterpay-Request-Signature: an HMAC of address, date and raw body.

    >>> signature(b"key", b"{}", "1664239810", "https://pay.example/webhooks/afterpay")
    'MeYKe1PqCRKm5zbi8jq+Ne7ZuE8gM7hPS4tVIoQYSnQ='
    """
    signed = f"{url}\n{stamp}\n".encode(errors="replace") + body
    return base64.b64encode(hmac.digest(key, signed, "sha256")).decode()


def verify(key: bytes, body: bytes, headers: Mapping[str, str], now: datetime, url: str) -> VerifiedWebhook:
    """Return a notification that was signed with the key for this address at most five minutes from now.

    Raises WebhookRefused for all others."""
    stamp = headers.get("X-Afterpay-Request-Date", "")
    header = headers.get("X-Afterpay-Request-Signature", "")
    if not is_same(header, signature(key, body, stamp, url)):
        raise WebhookRefused("bad signature")
    if not re.fullmatch(r"\d{1,12}", stamp, re.ASCII):
        raise WebhookRefused("signed without a date")
    check_age(int(stamp), now)
    return verified_webhook(body, "an Afterpay event", _identify, lambda event: picked(event, _STORED))


def read(payload: str) -> WebhookEvent | None:
    """Return the dispute as a side event of its charge, whose state does not change. Raises MalformedResponse.

    None: a notification of another type, or about a charge that Celeriac has not made."""
    event = json.loads(payload)
    type = Notification.parse(event).webhook_event_type
    if type not in _SIDE_EVENTS:
        return None
    dispute = Dispute.parse(event)
    charge = _MERCHANT_REFERENCE.fullmatch(dispute.merchant_reference or "")
    if charge is None:
        return None
    side_event = SideEvent(_SIDE_EVENTS[type], {"reference": dispute.dispute_id, "type": type})
    disputed = dispute.dispute_id
    return WebhookEvent("", charge[2], None, side_event=side_event, payment_id=charge[1], dispute=disputed)


def _identify(event: Any) -> tuple[str, str]:
    notification = Notification.parse(event)
    return notification.webhook_event_id, notification.webhook_event_type
