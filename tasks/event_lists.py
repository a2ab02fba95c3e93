"""Fetches the events that no webhook has brought from their provider's own list, and stores them as if one had."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from domain.comparison import LONGEST_WINDOW, Window, events_read_until, next_events_window, next_span
from gateways.base import VerifiedWebhook
from gateways.capabilities import EventListing
from models.event_lists import events_position, move_events_position, store_listed, stored_events
from models.session import transact
from runtime import Runtime
from tasks.budget import Budget

_log = logging.getLogger(__name__)

# Called with the provider and each event that is missing.
Tell = Callable[[str, VerifiedWebhook], None]


def log_event(provider: str, event: VerifiedWebhook) -> None:
    """Log an event that is missing."""
    _log.warning("%s lists an event that no webhook brought: %s, %s", provider, event.event_id, event.type)


class EventCounts(NamedTuple):
    """How a list was read: calls, events in it, and those of them that were missing."""

    calls: int = 0
    listed: int = 0
    missing: int = 0


def catch_up_events(runtime: Runtime, gateway: EventListing, budget: Budget) -> None:
    """Fetch one window of time after the other, until now or until the run has made its share of calls.

    The position moves behind what is stored. A window is always read to its end. Raises GatewayError."""
    provider, now = gateway.provider, runtime.clock.now()
    after = transact(runtime.engine, events_position, provider, now, gateway.events_late)
    if after < now - gateway.events_kept:
        _log.error("%s lists no events any more from %s on: compare older payments by command", provider, after)
    span = LONGEST_WINDOW
    while not budget.is_spent:
        window = next_events_window(after, now, gateway.events_kept, span)
        if window is None:
            return
        calls = fetch_events(runtime, gateway, window).calls
        budget.spend(calls)
        span = next_span(span, calls, gateway.event_lists)
        stored_until = events_read_until(window, now, gateway.events_late)
        transact(runtime.engine, move_events_position, provider, stored_until)
        after = window.until
    _log.warning("%s has more than a run compares: the next one goes on from here", provider)


def fetch_events(
    runtime: Runtime,
    gateway: EventListing,
    window: Window,
    *,
    is_dry_run: bool = False,
    tell: Tell = log_event,
) -> EventCounts:
    """Store the events of a window that are missing, and publish them. Raises GatewayError: what is stored stays."""
    calls = listed = missing = 0
    for page in gateway.events(*window):
        new = _missing(runtime, gateway, page)
        calls, listed, missing = calls + 1, listed + len(page), missing + len(new)
        for event in new:
            tell(gateway.provider, event)
        if new and not is_dry_run:
            _store(runtime, gateway.provider, new, runtime.clock.now())
    return EventCounts(calls, listed, missing)


def _missing(runtime: Runtime, gateway: EventListing, page: list[VerifiedWebhook]) -> list[VerifiedWebhook]:
    """Return the events of a page that are not stored and that concern payments: no others are fetched."""
    known = runtime.read(stored_events, gateway.provider, [event.event_id for event in page])
    return [event for event in page if event.event_id not in known and _concerns_payments(gateway, event)]


def _concerns_payments(gateway: EventListing, event: VerifiedWebhook) -> bool:
    try:
        return gateway.read_webhook(event.payload) is not None
    except Exception:
        # Stored all the same: a person can read it, or its own task counts a bug of ours. No event stops the others.
        return True


def _store(runtime: Runtime, provider: str, events: list[VerifiedWebhook], now: datetime) -> None:
    columns = [(event.event_id, event.type, event.payload) for event in events]
    runtime.publish(transact(runtime.engine, store_listed, provider, columns, now))
