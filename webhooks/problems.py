"""Turns every error into a problem+json (RFC 9457) with a stable type and a sentence that says what to do."""

from __future__ import annotations

import logging
from typing import Any

from flask import Flask, Response, jsonify
from sqlalchemy.exc import DBAPIError, IntegrityError, TimeoutError
from werkzeug.exceptions import HTTPException

from domain.errors import (
    AmountAboveOpen,
    CeleriacError,
    Conflict,
    FraudBlocked,
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    IllegalTransition,
    InvalidRequest,
    NotFound,
    ReviewRequired,
    TryLater,
    WebhookDeferred,
    WebhookRefused,
)
from domain.fraud.limits import WAIT
from gateways.base import GatewayError

_log = logging.getLogger(__name__)


class Unauthorized(CeleriacError):
    """The request has no API key, or one that is unknown or revoked."""

    type = "unauthorized"


class Forbidden(CeleriacError):
    """The API key's role does not allow this."""

    type = "forbidden"


class InvalidJson(InvalidRequest):
    """The body is not JSON."""

    type = "invalid_json"


class BodyTooLarge(CeleriacError):
    """The body is larger than a request needs to be."""

    type = "body_too_large"


class IdempotencyKeyRequired(InvalidRequest):
    """A repeat of the request would act again, and it has no Idempotency-Key that marks a repeat."""

    type = "idempotency_key_required"


_STATUSES: dict[type[CeleriacError], int] = {
    InvalidJson: 400,
    IdempotencyKeyRequired: 400,
    WebhookRefused: 400,
    Unauthorized: 401,
    Forbidden: 403,
    FraudBlocked: 403,
    ReviewRequired: 403,
    NotFound: 404,
    BodyTooLarge: 413,
    AmountAboveOpen: 422,
    IdempotencyKeyReused: 422,
    InvalidRequest: 422,
    IdempotencyKeyInUse: 409,
    IllegalTransition: 409,
    Conflict: 409,
    TryLater: 429,
    WebhookDeferred: 503,
}


# Flask's own sentences speak to somebody at a browser.
_DETAILS = {404: "there is no such path; GET / lists where to begin", 405: "this path does not take this method"}


def problem(status: int, kind: str, detail: str, **members: Any) -> Response:
    """Return a problem+json response."""
    title = kind.replace("_", " ").capitalize().replace("json", "JSON")
    response = jsonify({"type": kind, "title": title, "status": status, "detail": detail, **members})
    response.status_code = status
    response.content_type = "application/problem+json"
    return response


def register(app: Flask) -> None:
    """Respond to every exception with a problem."""
    app.register_error_handler(CeleriacError, _refused)
    app.register_error_handler(GatewayError, _provider_failed)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(IntegrityError, _raced)
    app.register_error_handler(DBAPIError, _database)
    app.register_error_handler(TimeoutError, _busy)
    app.register_error_handler(Exception, _unexpected)


def _refused(error: CeleriacError) -> Response:
    status = next((_STATUSES[kind] for kind in type(error).__mro__ if kind in _STATUSES), 500)
    response = problem(status, error.type, str(error), **error.members)
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="payments"'
    if status == 429:
        response.headers["Retry-After"] = str(int(WAIT.total_seconds()))
    return response


def _provider_failed(error: GatewayError) -> Response:
    return problem(502, "provider_error", f"the provider did not respond as needed ({error}); try again")


def _http(error: HTTPException) -> Response:
    status = error.code or 500
    kind = "body_too_large" if status == 413 else error.name.lower().replace(" ", "_")
    return problem(status, kind, _DETAILS.get(status) or error.description or error.name)


def _raced(error: IntegrityError) -> Response:
    # The unique indexes are the last guard when two requests slip past the checks.
    if "one_live_collection" in str(error.orig) or "payments.invoice_id" in str(error.orig):
        return problem(409, "collection_in_progress", "another payment is collecting this invoice; wait for it")
    return problem(409, "conflict", "the same object is being changed by another request; repeat yours")


def _database(error: DBAPIError) -> Response:
    if getattr(error.orig, "sqlstate", None) == "55P03":
        return problem(409, "idempotency_key_in_use", "the same object is being changed; repeat the request")
    return _busy(error)


def _busy(error: Exception) -> Response:
    _log.error("database unavailable: %s", type(error).__name__)
    detail = "the database does not respond; repeat the request with the same Idempotency-Key"
    response = problem(503, "unavailable", detail)
    response.headers["Retry-After"] = "2"
    return response


def _unexpected(error: Exception) -> Response:
    _log.exception("unexpected error")
    return problem(500, "internal_error", "an unexpected error; repeat the request with the same Idempotency-Key")
