"""Signatures: of both products' webhooks, and the validation of Business's bearer tokens."""

from __future__ import annotations

import hmac
import time

import jwt

from sandbox.coinbase.events import Event
from sandbox.service import are_sandbox_credentials

# The longest lifetime of a token [sdk].
MOST_SECONDS = 120
# Allowed difference between the clocks of two machines.
LEEWAY_SECONDS = 5
_SIGNED = ("content-type", "x-event-id", "x-event-type")


def hook0_headers(event: Event, body: bytes, secret: str, seconds: int) -> dict[str, str]:
    """Return the headers of a Business webhook with both versions of the signature [hook0]."""
    headers = {"Content-Type": "application/json", "X-Event-Id": event.id, "X-Event-Type": event.type}
    values = {name.lower(): value for name, value in headers.items()}
    names = " ".join(_SIGNED)
    stamped = f"{seconds}.{names}.{'.'.join(values[name] for name in _SIGNED)}.".encode()
    old = _digest(secret, f"{seconds}.".encode() + body)
    return headers | {"X-Hook0-Signature": f"t={seconds},v0={old},h={names},v1={_digest(secret, stamped + body)}"}


def commerce_headers(event: Event, body: bytes, secret: str, seconds: int) -> dict[str, str]:
    """Return the headers of a Commerce webhook, whose signature covers the body and no time [sdk]."""
    return {"Content-Type": "application/json", "X-CC-Webhook-Signature": _digest(secret, body)}


def token_problem(authorization: str, request_line: str) -> str | None:
    """Return why a bearer token is invalid, or None for a valid one. `request_line`: method, host and path.

    The sandbox has no public keys and does not verify the signature; it accepts a key whose name contains "sandbox".
    The times are those of the host's clock and not of the sandbox's, because callers sign with the host's clock.
    """
    scheme, _, token = authorization.partition(" ")
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
        is_good_name = are_sandbox_credentials(claims["sub"]) and claims["iss"] == "cdp"
        starts, ends = int(claims["nbf"]), int(claims["exp"])
        is_for_this = request_line in claims["uris"]
    except (jwt.InvalidTokenError, KeyError, TypeError, ValueError):
        return "no token"
    now = time.time()
    if scheme != "Bearer" or not is_good_name:
        return "unknown key"
    if not is_for_this:
        return "token of another request"
    is_in_time = starts - LEEWAY_SECONDS <= now <= ends + LEEWAY_SECONDS and ends - starts <= MOST_SECONDS
    return None if is_in_time else "token of another time"


def _digest(secret: str, signed: bytes) -> str:
    return hmac.digest(secret.encode(), signed, "sha256").hex()
