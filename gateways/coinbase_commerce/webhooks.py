"""Webhooks of Coinbase Commerce: an event in an envelope, signed without a time.

Sources: docs.cdp.coinbase.com/commerce and the official package coinbase-commerce, read 2026-11-23."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from domain.errors import WebhookRefused
from gateways.base import VerifiedWebhook, WebhookEvent
from gateways.coinbase.responses import attempt_in
from gateways.provider_model import End, ProviderModel, Text
from gateways.signatures import is_code, listed_webhooks, picked, verified_webhook

_KIND = "a Commerce event"
_SIGNATURE = "X-Cc-Webhook-Signature"
# The types of 2024, and `delayed` and `resolved` of the years before.
_CHARGE_EVENTS = frozenset(f"charge:{name}" for name in "created pending confirmed failed delayed resolved".split())
# Allow-list of the fields that are stored; personal data is dropped.
_STORED_FIELDS = {"event": {"id": None, "type": None, "data": {"id": None, "metadata": {"attempt_id": None}}}}


class ListedEvent(ProviderModel):
    """An event of the list, of which the id names the place of the next page."""

    id: Text


class EventPage(ProviderModel):
    """A page of the list of events."""

    data: list[Any]


class EventTime(ProviderModel):
    """When an event was created."""

    created_at: End = None


class EventIdentity(ProviderModel):
    """The fields that every event has."""

    id: Text
    type: Text


class EventEnvelope(ProviderModel):
    """The envelope of an event of any type."""

    event: EventIdentity


class EventCharge(ProviderModel):
    """The charge of an event."""

    id: Text
    metadata: Any = None


class ChargeEvent(ProviderModel):
    """An event about a charge."""

    data: EventCharge


class ChargeEnvelope(ProviderModel):
    """The envelope of an event about a charge."""

    event: ChargeEvent


def verify(body: bytes, headers: Mapping[str, str], secrets: Iterable[str]) -> VerifiedWebhook:
    """Accept an event that any of the secrets signed. Raises WebhookRefused.

    The signature covers no time, so that a replay passes; its event id is the same, and is not applied twice."""
    code = next((value for name, value in headers.items() if name.title() == _SIGNATURE), "")
    if not any(is_code(code, secret, body) for secret in secrets):
        raise WebhookRefused("bad signature")
    return verified_webhook(body, _KIND, _identify, _stored)


def listed(events: Iterable[Any]) -> list[VerifiedWebhook]:
    """Return the events of a page of the list, which have no envelope."""
    return listed_webhooks(({"event": event} for event in events), _KIND, _identify, _stored)


def created_at(event: Any) -> datetime | None:
    """Return when an event of the list was created, as far as it says so."""
    return EventTime.parse(event).created_at if isinstance(event, dict) else None


def read(payload: str) -> WebhookEvent | None:
    """Return the charge that a stored event is about, whose outcome only a look-up shows; None for another type.

    Raises MalformedResponse."""
    fields = json.loads(payload)
    if EventEnvelope.parse(fields).event.type not in _CHARGE_EVENTS:
        return None
    charge = ChargeEnvelope.parse(fields).event.data
    return WebhookEvent(charge.id, attempt_in(charge.metadata), None)


def _stored(fields: Any) -> Any:
    return picked(fields, _STORED_FIELDS)


def _identify(fields: Any) -> tuple[str, str]:
    event = EventEnvelope.parse(fields).event
    return event.id, event.type
