"""Events, webhook endpoints and the signature of a webhook.

https://docs.stripe.com/webhooks. Signature: `t=<seconds>,v1=<hex>`, HMAC-SHA256 over `<t>.<raw body>` with
the whole secret as the key, seconds by the sandbox clock [sdk].
"""

from __future__ import annotations

import hashlib
import hmac
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.delivery import Message
from sandbox.state import Sandbox
from sandbox.stripe import API_VERSION, objects
from sandbox.stripe.errors import Json
from sandbox.stripe.ids import new_id, new_secret


@dataclass(frozen=True)
class Cause:
    """The API request that causes an event; both fields are None for an event without a request."""

    request_id: str | None = None
    idempotency_key: str | None = None


NO_REQUEST = Cause()


@dataclass
class Endpoint:
    """One registered webhook endpoint."""

    body: Json
    secret: str

    def subscribes_to(self, type: str) -> bool:
        """Tell whether the endpoint is enabled and subscribes to this type of event."""
        return bool({"*", type} & set(self.body["enabled_events"])) and self.body["status"] == "enabled"

    def headers(self, body: bytes, now: float) -> dict[str, str]:
        """Return the headers of a delivery; the signature covers the time `now`."""
        return {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Stripe-Signature": signature(body, self.secret, int(now)),
        }


@dataclass
class Event:
    """One event. The object inside never changes. It is compressed, because a long run makes many events."""

    id: str
    type: str
    created: int
    packed: bytes
    undelivered: set[str] = field(default_factory=set)

    def body(self, api_version: str) -> Json:
        """Return the event for a reader with this API version."""
        event: Json = json.loads(zlib.decompress(self.packed))
        return event | {"api_version": api_version, "pending_webhooks": len(self.undelivered)}


class EventLog:
    """All events of the account, oldest first, and the webhook endpoints."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.events: dict[str, Event] = {}
        self.endpoints: dict[str, Endpoint] = {}

    def add_endpoint(
        self, url: str, enabled_events: list[str], *, secret: str | None = None, **fields: Any
    ) -> Endpoint:
        """Register an endpoint with this secret or a new one."""
        now = int(self._sandbox.clock.now())
        body = objects.webhook_endpoint(new_id("we_"), now, url, enabled_events, **fields)
        endpoint = Endpoint(body, secret or new_secret())
        self.endpoints[body["id"]] = endpoint
        return endpoint

    def emit(self, type: str, obj: Json, cause: Cause, *, previous: Mapping[str, Any] | None = None) -> None:
        """Store an event about an object and send it to the endpoints that subscribe to its type."""
        created = int(self._sandbox.clock.now())
        body = objects.event(
            new_id("evt_"),
            created,
            type,
            obj,
            request={"id": cause.request_id, "idempotency_key": cause.idempotency_key},
        )
        if previous is not None:
            body["data"]["previous_attributes"] = previous
        listeners = [id for id, endpoint in self.endpoints.items() if endpoint.subscribes_to(type)]
        packed = zlib.compress(json.dumps(body).encode(), 1)
        event = Event(body["id"], type, created, packed, set(listeners))
        self.events[event.id] = event
        for id in listeners:
            self._sandbox.delivery.post(self._message(event, self.endpoints[id]))

    def _message(self, event: Event, endpoint: Endpoint) -> Message:
        id = endpoint.body["id"]

        def body() -> bytes:
            # Without the lock: the packed event never changes, and unpacking would block the API.
            return json.dumps(event.body(endpoint.body["api_version"] or API_VERSION)).encode()

        def delivered() -> None:
            with self._sandbox.lock:
                event.undelivered.discard(id)

        return Message(
            event=event.id,
            endpoint=id,
            url=endpoint.body["url"],
            body=body,
            headers=lambda raw: endpoint.headers(raw, self._sandbox.clock.now()),
            is_wanted=lambda: id in self.endpoints,
            delivered=delivered,
        )


def signature(body: bytes, secret: str, timestamp: int) -> str:
    """Return the `Stripe-Signature` header.

    >>> signature(b"{}", "whsec_x", 1)[:12]
    't=1,v1=36ee2'
    """
    digest = hmac.new(secret.encode(), str(timestamp).encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"
