"""The webhook registration, the events and their delivery.

https://developer.paypal.com/api/rest/webhooks/event-names. A refund emits an event of its capture: the resource is the
refund, and the capture is in its `up` link [docs].
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from sandbox.clock import iso_milliseconds
from sandbox.delivery import Message
from sandbox.paypal import signing
from sandbox.paypal.disputes import NAMES as DISPUTE_NAMES
from sandbox.paypal.errors import refused
from sandbox.paypal.subscriptions import NAMES as SUBSCRIPTION_NAMES
from sandbox.state import Sandbox

Json = dict[str, Any]

WEBHOOK_ID = "7SANDBOX00000000WEBHOOK1"
NAMES = (
    "CHECKOUT.ORDER.APPROVED",
    "CHECKOUT.ORDER.COMPLETED",
    "PAYMENT.AUTHORIZATION.CREATED",
    "PAYMENT.AUTHORIZATION.VOIDED",
    "PAYMENT.CAPTURE.COMPLETED",
    "PAYMENT.CAPTURE.DECLINED",
    "PAYMENT.CAPTURE.PENDING",
    "PAYMENT.CAPTURE.REFUNDED",
    "PAYMENT.CAPTURE.REVERSED",
    *DISPUTE_NAMES,
    *SUBSCRIPTION_NAMES,
)


# "The range must be in the last 30 days" (Webhooks Events dashboard) [docs].
EVENTS_KEPT = timedelta(days=30)
# The parameters of the list [spec].
LIST_FIELDS = ("page_size", "start_time", "end_time", "transaction_id", "event_type")


def _page_size(text: str) -> int:
    # The specification names no largest page. That PayPal refuses other values than whole numbers is unverified.
    if not text.isdecimal() or not int(text):
        raise refused(400, "INVALID_PARAMETER_VALUE", "page_size")
    return int(text)


def _instant(name: str, query: Mapping[str, str]) -> float | None:
    """Return an instant in Internet date and time format (RFC 3339) [spec], in seconds since 1970."""
    if name not in query:
        return None
    try:
        instant = datetime.fromisoformat(query[name])
    except ValueError:
        raise refused(400, "INVALID_PARAMETER_VALUE", name) from None
    if instant.tzinfo is None:
        raise refused(400, "INVALID_PARAMETER_VALUE", name)
    return instant.timestamp()


class EventLog:
    """All events, oldest first, and the one webhook URL. `base_url`: the URL of the last request to this provider."""

    def __init__(self, sandbox: Sandbox, provider: str) -> None:
        self._sandbox = sandbox
        self.base_url = f"http://127.0.0.1/{provider}"
        self.events: list[Json] = []
        self.url = sandbox.settings.webhook_url_of(provider)

    def registration(self) -> Json:
        """Return the body of the webhook registration."""
        names = [{"name": name, "description": name, "status": "ENABLED"} for name in NAMES]
        return {"id": WEBHOOK_ID, "url": self.url or "https://example.com/webhooks", "event_types": names}

    def emit(self, type: str, resource_type: str, resource: Json, *about: str) -> None:
        """Store an event and send it. `about`: the ids of the objects that the event concerns."""
        now = self._sandbox.clock.now()
        event_id = f"WH-{secrets.token_hex(8).upper()}-{secrets.token_hex(8).upper()}"
        event = {
            "id": event_id,
            "event_version": "1.0",
            "create_time": iso_milliseconds(now),
            "resource_type": resource_type,
            "resource_version": "2.0",
            "event_type": type,
            "summary": type.replace(".", " ").capitalize(),
            # A copy, because the resource changes later and the event must not.
            "resource": json.loads(json.dumps(resource)),
            "links": [
                {
                    "href": f"{self.base_url}/v1/notifications/webhooks-events/{event_id}",
                    "rel": "self",
                    "method": "GET",
                }
            ],
        }
        self.events.append({"event": event, "about": list(about), "at": now})
        if self.url is not None:
            self._sandbox.delivery.post(self._message(event_id, json.dumps(event).encode(), self.url))

    def about(self, id: str) -> list[Json]:
        """Return the events about an object, oldest first."""
        return [entry["event"] for entry in self.events if id in entry["about"]]

    def listed(self, query: Mapping[str, str]) -> Json:
        """Return a page of the list, newest first. Raises a Refusal for a query that PayPal cannot read.

        The parameters of the links are those of PayPal's sample; the document explains none of them."""
        size, begin = _page_size(query.get("page_size", "10")), int(query.get("index_id", "0"))
        start, end = _instant("start_time", query), _instant("end_time", query)
        oldest = self._sandbox.clock.now() - EVENTS_KEPT.total_seconds()
        found = [
            entry["event"]
            for entry in reversed(self.events)
            if entry["at"] >= max(oldest, start or 0.0)
            and (end is None or entry["at"] <= end)
            and query.get("event_type") in (None, entry["event"]["event_type"])
            and query.get("transaction_id") in (None, *entry["about"])
        ]
        page = found[begin : begin + size]
        asked = {name: query[name] for name in LIST_FIELDS if name in query}
        return {"events": page, "count": len(page), "links": self._links(asked, begin, size, len(found))}

    def _links(self, asked: dict[str, str], begin: int, size: int, found: int) -> list[Json]:
        places = (("next", begin + size, begin + size < found), ("previous", max(begin - size, 0), begin > 0))
        base = f"{self.base_url}/v1/notifications/webhooks-events"
        return [
            {
                "href": f"{base}?{urlencode({**asked, 'page_size': size, 'move_to': rel, 'index_id': place})}",
                "rel": rel,
                "method": "GET",
            }
            for rel, place, is_there in places
            if is_there
        ]

    def _message(self, event_id: str, body: bytes, url: str) -> Message:
        return Message(
            event=event_id,
            endpoint=WEBHOOK_ID,
            url=url,
            body=lambda: body,
            headers=lambda raw: signing.headers(raw, WEBHOOK_ID, self._sandbox.clock.now(), self.base_url),
        )
