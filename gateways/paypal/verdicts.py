"""PayPal's own verdicts on webhooks, for what a signature does not prove here.

PayPal is asked about a signature once a minute, so that forgers cannot make us ask without end."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from domain.errors import WebhookDeferred, WebhookRefused
from gateways.failures import CallFailed

# Asks PayPal whether it signed a webhook. Raises CallFailed when PayPal gives no usable response.
AskPayPal = Callable[[bytes], bool]
# PayPal is asked about one signature once in this time. A delivery that is turned away meanwhile comes again later.
_APART = timedelta(minutes=1)
# Questions in that time about signatures that could not be checked here, so that anybody can invent them.
_MOST_UNCHECKED = 10
# Signatures that are remembered: more than webhooks arrive in a minute.
_MOST_REMEMBERED = 10_000


@dataclass(slots=True)
class _Question:
    """A question about a signature, and the digest of the body that PayPal confirmed for it."""

    asked_at: datetime
    confirmed: bytes | None = None


class Verdicts:
    """What PayPal said in the last minute. Safe to share between threads."""

    def __init__(self, ask_paypal: AskPayPal) -> None:
        self._ask_paypal = ask_paypal
        # By signature, oldest first; those that were checked here apart, so that inventions do not push them out.
        self._checked: dict[str, _Question] = {}
        self._unchecked: dict[str, _Question] = {}
        self._lock = threading.Lock()

    def require(self, body: bytes, signed: Mapping[str, str | None], now: datetime, *, is_checked: bool) -> None:
        """Return if PayPal confirms the event. `signed`: the fields of the question, without the event.

        `is_checked`: the signature is good. Raises WebhookRefused, and WebhookDeferred without a verdict."""
        signature, digest = str(signed["transmission_sig"]), hashlib.sha256(body).digest()
        asked = self._checked if is_checked else self._unchecked
        with self._lock:
            _forget_old(asked, now)
            before = asked.get(signature)
            if before is not None and before.confirmed == digest:
                return
            if before is not None:
                raise WebhookDeferred("PayPal was asked about this signature a moment ago")
            if not is_checked and len(asked) >= _MOST_UNCHECKED:
                raise WebhookDeferred("too many signatures that cannot be checked")
            if len(asked) >= _MOST_REMEMBERED:
                del asked[next(iter(asked))]
            asked[signature] = question = _Question(now)
        if self._ask(body, signed):
            question.confirmed = digest
        else:
            raise WebhookRefused("PayPal does not know this event")

    def _ask(self, body: bytes, signed: Mapping[str, str | None]) -> bool:
        # The event goes back byte for byte: serialised anew it would be another event.
        question = json.dumps(signed).encode()[:-1] + b', "webhook_event": ' + body + b"}"
        try:
            return self._ask_paypal(question)
        except CallFailed:
            raise WebhookDeferred("PayPal gave no usable response about this event") from None


def _forget_old(asked: dict[str, _Question], now: datetime) -> None:
    while asked and abs(now - next(iter(asked.values())).asked_at) >= _APART:
        del asked[next(iter(asked))]
