"""The webhook registration, the events and their delivery.

https://developer.paypal.com/api/rest/webhooks/event-names. A refund emits an event of its capture: the resource is the
refund, and the capture is in its `up` link [docs].
"""

from __future__ import annotations

import json
import secrets
from typing import Any

from sandbox.clock import iso_seconds
from sandbox.delivery import Message
from sandbox.paypal import signing
from sandbox.paypal.disputes import NAMES as DISPUTE_NAMES
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
    *DISPUTE_NAMES,
    *SUBSCRIPTION_NAMES,
)


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
        event_id = f"WH-{secrets.token_hex(8).upper()}-{secrets.token_hex(8).upper()}"
        event = {
            "id": event_id,
            "event_version": "1.0",
            "create_time": iso_seconds(self._sandbox.clock.now()),
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
        self.events.append({"event": event, "about": list(about)})
        if self.url is not None:
            self._sandbox.delivery.post(self._message(event_id, json.dumps(event).encode(), self.url))

    def about(self, id: str) -> list[Json]:
        """Return the events about an object, oldest first."""
        return [entry["event"] for entry in self.events if id in entry["about"]]

    def _message(self, event_id: str, body: bytes, url: str) -> Message:
        return Message(
            event=event_id,
            endpoint=WEBHOOK_ID,
            url=url,
            body=lambda: body,
            headers=lambda raw: signing.headers(raw, WEBHOOK_ID, self._sandbox.clock.now(), self.base_url),
        )
