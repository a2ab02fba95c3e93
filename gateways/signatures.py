"""Parts of verifying a webhook: compare codes, check the time stamp, select what may be stored. Names no provider."""

from __future__ import annotations

import hmac
import json
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from domain.errors import WebhookRefused
from gateways.base import VerifiedWebhook, WebhookOfOtherMode
from gateways.failures import MalformedResponse

_log = logging.getLogger(__name__)

# The most between signing and receiving, in both directions: a stamp from the future is refused as well.
TOLERANCE = timedelta(minutes=5)
# The fields of a document that may be stored, each with its own fields; None for a text.
Shape = Mapping[str, Any] | None
# Matches identifiers, codes, amounts, times, addresses of objects; no name with its spaces, no e-mail address.
_PLAIN = re.compile(r"[\w.:/+-]{1,255}", re.ASCII)
# A larger number may be a card's or a person's.
_MOST_COUNTED = 9_999
_LONGEST_ID = 255
_LONGEST_TYPE = 100


def is_same(given: str, right: str) -> bool:
    """Compare two codes in constant time."""
    return hmac.compare_digest(given.encode(errors="replace"), right.encode(errors="replace"))


def is_code(given: str, secret: str, signed: bytes) -> bool:
    """Tell whether `given` is the hexadecimal HMAC-SHA-256 of the signed bytes under the secret."""
    return is_same(given, hmac.digest(secret.encode(), signed, "sha256").hex())


def check_age(stamp: float, now: datetime, past: timedelta = TOLERANCE) -> None:
    """Refuse a stamp more than `past` ago or in the future. `stamp`: in seconds since 1970. Raises WebhookRefused."""
    if not -TOLERANCE.total_seconds() <= now.timestamp() - stamp <= past.total_seconds():
        raise WebhookRefused("signed too long ago or in the future")


def is_name(value: object, longest: int = _LONGEST_ID) -> bool:
    """Tell whether a value is printable ASCII, neither empty nor too long: fit for an id, a type or a header."""
    return isinstance(value, str) and 0 < len(value) <= longest and value.isascii() and value.isprintable()


def picked(thing: Any, shape: Shape) -> Any:
    """Return only the fields of a document that the shape names and that are plain text or a small count; of a list,
    each element's.

    >>> picked({"id": "1", "name": "Jo", "list": [{"a": "b", "c": 7}]}, {"id": None, "list": {"a": None}})
    {'id': '1', 'list': [{'a': 'b'}]}
    """
    if shape is None and isinstance(thing, int) and not isinstance(thing, bool):
        return thing if 0 <= thing <= _MOST_COUNTED else None
    if shape is None:
        return thing if isinstance(thing, str) and _PLAIN.fullmatch(thing) else None
    if isinstance(thing, list):
        return [picked(each, shape) for each in thing]
    if not isinstance(thing, dict):
        return None
    fields = {name: picked(thing[name], inner) for name, inner in shape.items() if name in thing}
    return {name: value for name, value in fields.items() if value is not None}


def verified_webhook(
    body: bytes,
    kind: str,
    identify: Callable[[Any], tuple[Any, Any]],
    kept: Callable[[Any], Any] | None = None,
) -> VerifiedWebhook:
    """Return the webhook of an authentic body; raise WebhookRefused, `not {kind}`, where the body is no event.

    `identify` returns id and type of the event, or raises MalformedResponse. `kept` returns what may be stored of it;
    without `kept` the whole body is stored."""
    try:
        payload = body.decode()
        event = json.loads(payload)
    except (ValueError, RecursionError):
        raise WebhookRefused(f"not {kind}") from None
    return _webhook_of(event, kind, identify, lambda event: payload if kept is None else json.dumps(kept(event)))


def _webhook_of(
    event: Any, kind: str, identify: Callable[[Any], tuple[Any, Any]], payload_of: Callable[[Any], str]
) -> VerifiedWebhook:
    try:
        id, type = identify(event)
        stored = payload_of(event)
    except (MalformedResponse, RecursionError):  # a body may be nested deeper than it can be walked through
        raise WebhookRefused(f"not {kind}") from None
    if not (is_name(id) and is_name(type, _LONGEST_TYPE)):
        raise WebhookRefused(f"not {kind}")
    return VerifiedWebhook(id, type, stored)


def listed_webhooks(
    events: Iterable[Any], kind: str, identify: Callable[[Any], tuple[Any, Any]], kept: Callable[[Any], Any]
) -> list[VerifiedWebhook]:
    """Return the events of a provider's list as their webhooks bring them. One that is no event is logged and left out:
    it would stop every later one. `identify` and `kept`: as in `verified_webhook`."""
    listed = []
    for event in events:
        try:
            listed.append(_webhook_of(event, kind, identify, lambda event: json.dumps(kept(event))))
        except (WebhookRefused, WebhookOfOtherMode) as error:
            _log.error("the provider's list holds an entry that is left out: %s", error)
    return listed
