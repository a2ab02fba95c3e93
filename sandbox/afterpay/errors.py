"""Owns Afterpay's refusals: `{errorCode, errorId, message, httpStatusCode}` [spec]."""

from __future__ import annotations

import secrets

from sandbox.service import Refusal


def refusal(status: int, code: str, message: str) -> Refusal:
    """Return an answer other than success."""
    body = {
        "errorCode": code,
        "errorId": secrets.token_hex(8),
        "message": message,
        "httpStatusCode": status,
    }
    return Refusal(status, body)


def invalid(message: str) -> Refusal:
    """Return the refusal of a body with a part that is missing or wrong."""
    return refusal(422, "invalid_object", message)


def invalid_amount(message: str) -> Refusal:
    """Return the refusal of an amount that is too little or too much."""
    return refusal(422, "invalid_amount", message)


def invalid_token() -> Refusal:
    """Return the refusal to pay with a token that is unknown, has run out or was used."""
    return refusal(402, "invalid_token", "Invalid token.")


def not_found(message: str) -> Refusal:
    """Return the refusal of an id that nothing has."""
    return refusal(404, "not_found", message)


def precondition_failed(message: str) -> Refusal:
    """Return the refusal of a step that is not possible now."""
    return refusal(412, "precondition_failed", message)
