"""Who asks and what they get, the first time and whenever they repeat their Idempotency-Key."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from domain.errors import IdempotencyKeyInUse, IdempotencyKeyReused
from models.history import idempotency_keys
from models.session import insert_new
from models.task_messages import TaskMessage


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `application` None: an operator, who sees the payments of all applications."""

    application: str | None
    actor: str


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """What the caller gets, now and for every repetition. `rings`: what to announce after the commit."""

    status: int
    body: dict[str, Any]
    payment_id: str | None = None
    messages: tuple[TaskMessage, ...] = ()
    is_replay: bool = False


def reserve_key(
    connection: Connection,
    application: str,
    key: str | None,
    fingerprint: str,
    now: datetime,
    response: ApiResponse | None,
) -> ApiResponse | None:
    """Take the key for this request; return the first request's answer when the key is taken already."""
    if key is None:
        return None
    values = {
        "application": application,
        "key": key,
        "fingerprint": fingerprint,
        "created_at": now,
        "status": response and response.status,
        "body": response and response.body,
        "payment_id": response and response.payment_id,
    }
    if insert_new(connection, idempotency_keys, values):
        return None
    query = select(idempotency_keys).where(idempotency_keys.c.application == application, idempotency_keys.c.key == key)
    first = connection.execute(query).one()
    if first.fingerprint != fingerprint:
        raise IdempotencyKeyReused("this Idempotency-Key came with another request before; use a new one")
    if first.status is None:
        raise IdempotencyKeyInUse("the first request with this Idempotency-Key is still running; repeat it later")
    return ApiResponse(first.status, first.body, first.payment_id, is_replay=True)


def store_response(connection: Connection, application: str, key: str | None, response: ApiResponse) -> None:
    """Store the answer for repetitions of the key."""
    if key is not None:
        connection.execute(
            update(idempotency_keys)
            .where(idempotency_keys.c.application == application, idempotency_keys.c.key == key)
            .values(status=response.status, body=response.body, payment_id=response.payment_id)
        )
