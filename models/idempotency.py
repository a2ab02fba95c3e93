"""Idempotency keys: reserve a key, replay the stored response, refuse a key that was used for another request."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from domain.errors import IdempotencyKeyInUse, IdempotencyKeyReused
from models.api_request import ApiRequest
from models.session import insert_new
from models.tables import idempotency_keys
from models.task_messages import TaskMessage


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request. `application` None: an operator, who sees the payments of all applications."""

    application: str | None
    actor: str


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """The response to a request, the same for each repeat. `messages`: what to publish after the commit."""

    status: int
    body: dict[str, Any]
    payment_id: str | None = None
    messages: tuple[TaskMessage, ...] = ()
    is_replay: bool = False


@dataclass(frozen=True, slots=True)
class IdempotencyRecord:
    """A request under its key, by application. `operation`: what it asks for, and of which object. `key` None: the
    request carries no key, and nothing is stored or replayed."""

    application: str
    key: str | None
    operation: str
    request: ApiRequest

    @property
    def fingerprint(self) -> str:
        """The hash that tells a repeat of the request from another request."""
        return self.request.fingerprint(self.operation)

    def is_repeat_of(self, fingerprint: str) -> bool:
        """Tell whether the request stored with this fingerprint was the same, in either form of fingerprints."""
        return fingerprint in (self.fingerprint, self.request.older_fingerprint(self.operation))


def reserve_key(
    connection: Connection, record: IdempotencyRecord, now: datetime, response: ApiResponse | None = None
) -> ApiResponse | None:
    """Reserve the key, with the response if it is known already. Return the first request's response instead if the
    key was used before.

    Raises IdempotencyKeyReused or IdempotencyKeyInUse. Waits for a concurrent request with the same key."""
    if record.key is None:
        return None
    values = {
        "application": record.application,
        "key": record.key,
        "fingerprint": record.fingerprint,
        "created_at": now,
        "status": response and response.status,
        "body": response and response.body,
        "payment_id": response and response.payment_id,
    }
    if insert_new(connection, idempotency_keys, values):
        return None
    replay = find_replay(connection, record)
    if replay is None:
        raise AssertionError("bug: a key that cannot be inserted is stored")
    return replay


def find_replay(connection: Connection, record: IdempotencyRecord) -> ApiResponse | None:
    """Return the response to the first request with the key; None if there was none.

    Raises IdempotencyKeyReused or IdempotencyKeyInUse."""
    if record.key is None:
        return None
    first = connection.execute(select(idempotency_keys).where(_is_record(record))).one_or_none()
    if first is None:
        return None
    if not record.is_repeat_of(first.fingerprint):
        raise IdempotencyKeyReused("this Idempotency-Key came with another request before; use a new one")
    if first.status is None:
        raise IdempotencyKeyInUse("the first request with this Idempotency-Key is still running; repeat it later")
    return ApiResponse(first.status, first.body, first.payment_id, is_replay=True)


def store_response(connection: Connection, record: IdempotencyRecord, response: ApiResponse) -> None:
    """Store the response for repeats of the key."""
    if record.key is not None:
        values = {"status": response.status, "body": response.body, "payment_id": response.payment_id}
        connection.execute(update(idempotency_keys).where(_is_record(record)).values(values))


def _is_record(record: IdempotencyRecord) -> Any:
    return (idempotency_keys.c.application == record.application) & (idempotency_keys.c.key == record.key)
