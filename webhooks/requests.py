"""Reads HTTP requests: JSON without floats, the Idempotency-Key, how long the caller wants to wait."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

from flask import request

from domain.card_number import contains_card_number
from domain.errors import CardNumberRefused, InvalidRequest
from webhooks.problems import BodyTooLarge, IdempotencyKeyRequired, InvalidJson

_MOST_BYTES = 64 * 1024
_MOST_WAIT_SECONDS = 30
_PAGE = 50
_MOST_PAGE = 200
_KEY = re.compile(r"[\x20-\x7e]{1,255}")


def json_body() -> Any:
    """Return the decoded body, numbers with a fraction as Decimal. An empty body is an empty object."""
    if (request.content_length or 0) > _MOST_BYTES:
        raise BodyTooLarge(f"the body is above {_MOST_BYTES} bytes; send less")
    raw = request.get_data(cache=False)
    if len(raw) > _MOST_BYTES:
        raise BodyTooLarge(f"the body is above {_MOST_BYTES} bytes; send less")
    if not raw:
        return {}
    try:
        return json.loads(raw, parse_float=Decimal, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise InvalidJson("the body is not JSON; send a JSON object in UTF-8") from None


def refuse_nul_in_address() -> None:
    """Refuse a NUL byte in path or query: PostgreSQL cannot store one."""
    if any("\x00" in text for text in (request.path, *request.args.values())):
        raise InvalidRequest("the address holds a NUL byte; remove it")


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


def require_name(name: str, field: str) -> None:
    """Refuse a name of an invoice or a subscription that cannot be one. Raises InvalidRequest, CardNumberRefused."""
    if not 1 <= len(name) <= 200:
        raise InvalidRequest(f"{field} must be 1 to 200 characters")
    if contains_card_number(name):
        raise CardNumberRefused(f"{field} looks like a card number; use another")


def required_idempotency_key() -> str:
    """Return the Idempotency-Key of a request that would act again without one. Raises IdempotencyKeyRequired."""
    key = idempotency_key()
    if key is None:
        raise IdempotencyKeyRequired(
            "send an Idempotency-Key header: a new one for each payment, refund, record or decision that you mean, "
            "and the same one when you repeat a request"
        )
    return key


def idempotency_key() -> str | None:
    """Return the Idempotency-Key, bare or as the quoted string of the IETF draft."""
    given = request.headers.get("Idempotency-Key")
    if given is None:
        return None
    key = given[1:-1] if len(given) > 2 and given[0] == given[-1] == '"' else given
    if not _KEY.fullmatch(key):
        raise InvalidRequest("Idempotency-Key must be 1 to 255 printable ASCII characters")
    if contains_card_number(key):
        raise CardNumberRefused("Idempotency-Key looks like a card number; use a random one")
    return key


def page_limit(known: set[str]) -> int:
    """Return how many rows of a list the caller wants on a page. Raises InvalidRequest for unknown parameters."""
    if set(request.args) - known:
        *most, last = sorted(known)
        raise InvalidRequest(f"unknown parameter; only {', '.join(most)} and {last} are known")
    text = request.args.get("limit", str(_PAGE))
    limit = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= limit <= _MOST_PAGE:
        raise InvalidRequest(f"limit must be a number from 1 to {_MOST_PAGE}")
    return limit


def page_cursor(prefix: str) -> str | None:
    """Return the id after which a page of a list begins. `prefix`: of the ids that the list has. Raises
    InvalidRequest for a cursor that is none."""
    cursor = request.args.get("cursor")
    # The form of an id, of any release.
    if cursor is not None and not re.fullmatch(rf"{prefix}_[0-9a-z]{{1,36}}", cursor, re.ASCII):
        raise InvalidRequest("cursor: send the next_cursor of the page before")
    return cursor


def wait_seconds() -> int:
    """Return how long the caller wants to wait (RFC 7240, `Prefer: wait=N`), 0 to 30 seconds."""
    found = re.search(r"(?:^|[,;\s])wait\s*=\s*(\d{1,6})", request.headers.get("Prefer", ""))
    return min(int(found[1]), _MOST_WAIT_SECONDS) if found else 0
