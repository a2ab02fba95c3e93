"""Klarna's callbacks: no signature, so a secret in their address, and nothing of their content is trusted.

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
from gateways.json_api import text
from gateways.signatures import is_same, verified_webhook

ATTEMPT = "attempt"
# Of a callback only this is kept: the rest may be personal, or a credential (authorization tokens).
_KEPT = ("event_id", "event_type", "order_id")
_KEPT_OF_SESSION = ("session_id", "status", "order_id", "klarna_reference", "updated_at", "expires_at")
_ATTEMPT_ID = re.compile(r"[0-9A-Za-z_-]{1,64}", re.ASCII)
_STOPPED = "FRAUD_RISK_STOPPED"


def verify(body: bytes, url: str, secrets: Iterable[str]) -> VerifiedWebhook:
    """Return a callback whose address ends in one of the secrets; raise WebhookRefused for every other."""
    path, query = _split(url)
    given = path.rpartition("/")[2]
    # All are compared, so that the time tells nothing; an empty secret opens nothing.
    matches = [is_same(given, secret) for secret in secrets if secret]
    if not any(matches):
        raise WebhookRefused("bad secret in the address")
    attempt_id = _attempt_id(query)
    return verified_webhook(
        body, "a Klarna callback", _identity, lambda event: {"attempt_id": attempt_id, "event": _kept(event)}
    )


def read(payload: str) -> WebhookEvent | None:
    """Return which attempt a stored callback is about. It says nothing of the outcome: Klarna is asked.

    That an accepted order is stopped is a fact too: Klarna warns not to ship, also what is captured already."""
    stored = json.loads(payload)
    event, attempt_id = stored.get("event"), stored.get("attempt_id")
    if not isinstance(event, dict):
        return None
    session = event.get("session")
    if isinstance(session, dict) and session.get("session_id"):
        reference = session.get("order_id") or f"hpp/{session['session_id']}"
        return WebhookEvent(str(reference), attempt_id, None)
    if event.get("order_id") and event.get("event_type"):
        reference = str(event["order_id"])
        if event["event_type"] == _STOPPED:
            side_event = SideEvent("fraud_risk_stopped", {"reference": reference})
            return WebhookEvent(reference, attempt_id, None, side_event=side_event, is_news=True)
        return WebhookEvent(reference, attempt_id, None)
    return None


def _split(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise WebhookRefused("bad secret in the address") from None
    return parts.path, parts.query


def _identity(event: Any) -> tuple[str, str]:
    """Return id and type; the notification of a fraud decision has no id of its own."""
    if "session" in event:
        return text(event["event_id"]), f"page.{text(event['session']['status']).lower()}"
    order_id, type = text(event["order_id"]), text(event["event_type"])
    return str(event.get("event_id") or f"{order_id}:{type}"), type


def _kept(event: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = _texts(event, _KEPT)
    return kept | {"session": _texts(event["session"], _KEPT_OF_SESSION)} if "session" in event else kept


def _texts(thing: dict[str, Any], names: Iterable[str]) -> dict[str, str]:
    return {name: thing[name] for name in names if isinstance(thing.get(name), str)}


def _attempt_id(query: str) -> str | None:
    given = parse_qs(query).get(ATTEMPT, [])
    return given[0] if len(given) == 1 and _ATTEMPT_ID.fullmatch(given[0]) else None
