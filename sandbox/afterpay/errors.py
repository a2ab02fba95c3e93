"""Afterpay's refusals: `{errorCode, errorId, message, httpStatusCode}` [spec]."""

from __future__ import annotations

import secrets

from sandbox.service import Refusal


def refusal(status: int, code: str, message: str) -> Refusal:
    """Return a refusal in Afterpay's format."""
    body = {
        "errorCode": code,
        "errorId": secrets.token_hex(8),
        "message": message,
        "httpStatusCode": status,
    }
    return Refusal(status, body)


def invalid(message: str) -> Refusal:
    """Return the refusal for a missing or wrong field."""
    return refusal(422, "invalid_object", message)


def invalid_amount(message: str) -> Refusal:
    """Return the refusal for an amount that is too small or too large."""
    return refusal(422, "invalid_amount", message)


def invalid_token() -> Refusal:
    """Return the refusal for a payment with an unknown, expired or used token."""
    return refusal(402, "invalid_token", "Invalid token.")


def not_found(message: str) -> Refusal:
    """Return the refusal for an unknown id."""
    return refusal(404, "not_found", message)


def precondition_failed(message: str) -> Refusal:
    """Return the refusal for an operation that the present state does not allow."""
    return refusal(412, "precondition_failed", message)
