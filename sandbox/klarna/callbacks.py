"""Callbacks: unsigned POSTs to the URL that the merchant sends with a session, at most four tries each.

Klarna sends the status changes of a hosted page and the result of a fraud review [docs].
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from sandbox.delivery import Message
from sandbox.klarna.errors import new_id
from sandbox.service import Json
from sandbox.state import Sandbox

# One call and three retries [docs].
MOST_CALLS = 4


@dataclass(frozen=True)
class Callback:
    """One event and the URL that it is sent to."""

    url: str
    event: Json


class Callbacks:
    """All callbacks, oldest first."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.sent: list[Callback] = []

    def send(self, url: str | None, event: Json) -> None:
        """Post an event; without a URL do nothing."""
        if not url:
            return
        self.sent.append(Callback(url, event))
        body = json.dumps(event).encode()
        # The delivery asks `is_wanted` before each retry; an empty iterator ends the retries.
        retries = iter(range(MOST_CALLS - 1))
        self._sandbox.delivery.post(
            Message(
                event=event.get("event_id") or new_id(),
                endpoint=url,
                url=url,
                body=lambda: body,
                headers=lambda raw: {"Content-Type": "application/json", "User-Agent": "Klarna"},
                is_wanted=lambda: next(retries, None) is not None,
            )
        )
