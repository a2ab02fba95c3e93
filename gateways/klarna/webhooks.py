"""Klarna's callbacks: unsigned, so a secret in the address admits them, and their content only names what to look up.

Two kinds arrive at one address: status updates of a hosted page, and the end of a fraud assessment. Sources:
docs.klarna.com, hosted payment page, status callbacks; order management, pending orders; read 2026-11-23."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from domain.errors import WebhookRefused
from gateways.base import SideEvent, VerifiedWebhook, WebhookEvent
from gateways.klarna.hosted_page import PREFIX
from gateways.provider_model import ProviderModel, Text
from gateways.signatures import is_same, verified_webhook

ATTEMPT_PARAMETER = "attempt"
# Allow-list of the fields that we store. The others may be personal data or credentials (authorization tokens).
_STORED = ("event_id", "event_type", "order_id")
_STORED_OF_SESSION = ("session_id", "status", "order_id", "klarna_reference", "updated_at", "expires_at")
_ATTEMPT_ID = re.compile(r"[0-9A-Za-z_-]{1,64}", re.ASCII)
_STOPPED = "FRAUD_RISK_STOPPED"


class PageStatus(ProviderModel):
    """The new status of a hosted page, which only names the event's type: the page is looked up."""

    status: str | None = None


class PageUpdate(ProviderModel):
    """The status update of a hosted page, as far as it identifies the event."""

    event_id: Text
    session: PageStatus


class CallbackPage(ProviderModel):
    """The hosted page that a status update names. `order_id`: only after Klarna has placed the order."""

    session_id: Text
    order_id: str | None = None


class FraudDecision(ProviderModel):
    """The end of a fraud assessment. Klarna documents no id for it."""

    order_id: Text
    event_type: Text
    event_id: str | None = None


class StoredCallback(ProviderModel):
    """A callback as `verify` stores it."""

    attempt_id: str | None
    event: dict[str, Any]


def verify(body: bytes, url: str, secrets: Iterable[str]) -> VerifiedWebhook:
    """Return a callback whose address ends in one of the secrets. Raises WebhookRefused for all others."""
    path, query = _split(url)
    last_part = path.rpartition("/")[2]
    # All secrets are compared, so that the time shows nothing about them. An empty secret must admit nothing.
    matches = [is_same(last_part, secret) for secret in secrets if secret]
    if not any(matches):
        raise WebhookRefused("bad secret in the address")
    attempt_id = _attempt_id(query)
    return verified_webhook(
        body, "a Klarna callback", _identify, lambda event: {"attempt_id": attempt_id, "event": _stored(event)}
    )


def read(payload: str) -> WebhookEvent | None:
    """Return which attempt a stored callback is about; its outcome is looked up. None: a callback of another kind.

    A stop of an accepted order is a side event as well: Klarna warns not to ship even what is already captured.
    Raises MalformedResponse."""
    callback = StoredCallback.parse(json.loads(payload))
    if "session" in callback.event:
        page = CallbackPage.parse(callback.event["session"])
        return WebhookEvent(page.order_id or f"{PREFIX}/{page.session_id}", callback.attempt_id, None)
    if "event_type" not in callback.event:
        return None
    decision = FraudDecision.parse(callback.event)
    if decision.event_type != _STOPPED:
        return WebhookEvent(decision.order_id, callback.attempt_id, None)
    side_event = SideEvent("fraud_risk_stopped", {"reference": decision.order_id})
    return WebhookEvent(decision.order_id, callback.attempt_id, None, side_event=side_event, is_news=True)


def _split(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise WebhookRefused("bad secret in the address") from None
    return parts.path, parts.query


def _identify(event: Any) -> tuple[str, str]:
    """Return the event's id and type. A fraud decision without an id is identified by its order and its type."""
    if isinstance(event, dict) and "session" in event:
        update = PageUpdate.parse(event)
        return update.event_id, f"page.{(update.session.status or 'unknown').lower()}"
    decision = FraudDecision.parse(event)
    return decision.event_id or f"{decision.order_id}:{decision.event_type}", decision.event_type


def _stored(event: dict[str, Any]) -> dict[str, Any]:
    stored: dict[str, Any] = _texts(event, _STORED)
    return stored | {"session": _texts(event["session"], _STORED_OF_SESSION)} if "session" in event else stored


def _texts(fields: dict[str, Any], names: Iterable[str]) -> dict[str, str]:
    return {name: fields[name] for name in names if isinstance(fields.get(name), str)}


def _attempt_id(query: str) -> str | None:
    values = parse_qs(query).get(ATTEMPT_PARAMETER, [])
    return values[0] if len(values) == 1 and _ATTEMPT_ID.fullmatch(values[0]) else None
