"""The events of one Coinbase product and their delivery."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.delivery import Message
from sandbox.state import Sandbox

Json = dict[str, Any]


@dataclass(frozen=True)
class Event:
    """One event. `about`: the ids of the objects that it concerns. `body`: the bytes of every delivery."""

    id: str
    type: str
    about: tuple[str, ...]
    body: bytes


Sign = Callable[[Event, bytes, str, int], Mapping[str, str]]


class EventLog:
    """All events, oldest first, and the one endpoint, which receives all of them.

    The endpoint's URL ends in the provider's name; its secret is the sandbox's `webhook_secret`. `sign` makes the
    headers of an event from its body, the secret and the time in seconds.
    """

    def __init__(self, sandbox: Sandbox, provider: str, sign: Sign) -> None:
        self._sandbox = sandbox
        self._provider = provider
        self._sign = sign
        self._secret = sandbox.settings.webhook_secret or uuid.uuid4().hex
        self.url = sandbox.settings.webhook_url_of(provider)
        self.events: list[Event] = []

    def emit(self, type: str, about: Iterable[str], body: Callable[[str], Json]) -> None:
        """Store an event and send it. `body` makes the event's body from its id."""
        id = str(uuid.uuid4())
        event = Event(id, type, tuple(about), json.dumps(body(id)).encode())
        self.events.append(event)
        if self.url is not None:
            self._sandbox.delivery.post(self._message(event, self.url))

    def endpoints(self, types: Iterable[str]) -> Iterable[Json]:
        """Yield the endpoint, if the sandbox has a webhook URL, without its secret."""
        if self.url is not None:
            yield {"provider": self._provider, "id": "subscription", "url": self.url, "enabled_events": list(types)}

    def _message(self, event: Event, url: str) -> Message:
        return Message(
            event=event.id,
            endpoint="subscription",
            url=url,
            body=lambda: event.body,
            headers=lambda body: self._sign(event, body, self._secret, int(self._sandbox.clock.now())),
        )
