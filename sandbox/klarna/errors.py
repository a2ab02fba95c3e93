"""The refusals of Klarna's APIs: status, code, messages, and the id by which Klarna's support finds the call.

`{correlation_id, error_code, error_messages}` [spec]; a 401 comes without a body [docs].
"""

from __future__ import annotations

import uuid

from sandbox.service import Refusal

CORRELATION = "klarna-correlation-id"


def new_id() -> str:
    """Return a new id; Klarna's are UUIDs."""
    return str(uuid.uuid4())


def refusal(status: int, code: str, *messages: str) -> Refusal:
    """Return a refusal in Klarna's format."""
    id = new_id()
    body = {"correlation_id": id, "error_code": code, "error_messages": list(messages)}
    return Refusal(status, body, {CORRELATION: id})


def unauthorized() -> Refusal:
    """Return the refusal for wrong credentials."""
    headers = {CORRELATION: new_id(), "WWW-Authenticate": 'Basic realm="Klarna"'}
    return Refusal(401, None, headers)


def bad_value(*messages: str) -> Refusal:
    """Return the refusal for a wrong or missing field."""
    return refusal(400, "BAD_VALUE", *messages)


def no_such_order(id: str) -> Refusal:
    """Return the refusal for an unknown order."""
    return refusal(404, "NO_SUCH_ORDER", f"No such order: {id}")


def not_found(what: str) -> Refusal:
    """Return the refusal for an unknown session, page, refund or token."""
    return refusal(404, "NOT_FOUND", f"{what} not found")
