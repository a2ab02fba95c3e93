"""Afterpay's notifications, which are all about disputes: whether one is authentic, and which charge it names.

Sources: developers.cash.app, webhook signature generation, and integrate with the disputes API, read 2026-11-23."""

from __future__ import annotations

import base64
import hmac
import json
import re
from collections.abc import Mapping
from datetime import datetime
from operator import itemgetter

from domain.errors import WebhookRefused
from gateways.base import SideEvent, VerifiedWebhook, WebhookEvent
from gateways.signatures import check_age, is_same, picked, verified_webhook

_FACTS = {"created": "dispute_opened", "updated": "dispute_updated"}
# `<payment id>/<attempt id>`, as it was given to the checkout.
_OUR_REFERENCE = re.compile(r"([!-.0-~]{1,64})/([!-.0-~]{1,64})")
_KEPT = dict.fromkeys(("webhook_event_id", "webhook_event_type", "dispute_id", "merchant_reference"))
# What can be an id of theirs; nothing else of a notification goes into the audit trail.
_DISPUTE = re.compile(r"[0-9A-Za-z_-]{1,64}", re.ASCII)


def signature(key: bytes, body: bytes, stamp: str, url: str) -> str:
    """Return what stands in X-Afterpay-Request-Signature: an HMAC of address, date and raw body.

    >>> signature(b"key", b"{}", "1664239810", "https://pay.example/webhooks/afterpay")
    'MeYKe1PqCRKm5zbi8jq+Ne7ZuE8gM7hPS4tVIoQYSnQ='
    """
    signed = f"{url}\n{stamp}\n".encode(errors="replace") + body
    return base64.b64encode(hmac.digest(key, signed, "sha256")).decode()


def verify(key: bytes, body: bytes, headers: Mapping[str, str], now: datetime, url: str) -> VerifiedWebhook:
    """Return a notification that was signed with the key for this address at most five minutes from now.

    Raises WebhookRefused for every other."""
    stamp = headers.get("X-Afterpay-Request-Date", "")
    given = headers.get("X-Afterpay-Request-Signature", "")
    if not is_same(given, signature(key, body, stamp, url)):
        raise WebhookRefused("bad signature")
    if not re.fullmatch(r"\d{1,12}", stamp, re.ASCII):
        raise WebhookRefused("signed without a date")
    check_age(int(stamp), now)
    identify = itemgetter("webhook_event_id", "webhook_event_type")
    return verified_webhook(body, "an Afterpay event", identify, lambda event: picked(event, _KEPT))


def read(payload: str) -> WebhookEvent | None:
    """Return which charge a dispute is about. How it stands is not told, and the charge's state does not change."""
    event = json.loads(payload)
    type, dispute = event.get("webhook_event_type"), event.get("dispute_id")
    owner = _OUR_REFERENCE.fullmatch(str(event.get("merchant_reference")))
    if type not in _FACTS or not isinstance(dispute, str) or not _DISPUTE.fullmatch(dispute) or owner is None:
        return None
    side_event = SideEvent(_FACTS[type], {"reference": dispute, "type": type})
    return WebhookEvent("", owner[2], None, side_event=side_event, payment_id=owner[1])
