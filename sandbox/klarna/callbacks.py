"""Owns the callbacks: posted to the address that the merchant gave with a session, unsigned, four times at most.

Status updates of a hosted page, and the end of a fraud assessment [docs].
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from sandbox.delivery import Message
from sandbox.klarna.errors import new_id
from sandbox.service import Json
from sandbox.state import Sandbox

# A call and three repeats [docs].
MOST_CALLS = 4


@dataclass(frozen=True)
class Callback:
    """One event, and where it was sent."""

    url: str
    event: Json


class Callbacks:
    """Everything that merchants were told, oldest first."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.sent: list[Callback] = []

    def tell(self, url: str | None, event: Json) -> None:
        """Post an event, if the merchant wants to know."""
        if not url:
            return
        self.sent.append(Callback(url, event))
        body = json.dumps(event).encode()
        calls = iter(range(MOST_CALLS - 1))
        self._sandbox.delivery.post(
            Message(
                event=event.get("event_id") or new_id(),
                endpoint=url,
                url=url,
                body=lambda: body,
                headers=lambda raw: {"Content-Type": "application/json", "User-Agent": "Klarna"},
                is_wanted=lambda: next(calls, None) is not None,
            )
        )
