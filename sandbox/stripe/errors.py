"""The refusals of Stripe's API: HTTP status and error body, a class for each family.

Body: https://docs.stripe.com/api/errors. Many refusals omit `code` and `param` [run].
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


class StripeError(Exception):
    """A refusal. `is_stored`: the idempotency key keeps it, which is so for every refusal during execution [docs]."""

    is_stored = True

    def __init__(
        self, status: int, type: str, message: str, *, headers: dict[str, str] | None = None, **fields: Any
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self.fields = {"type": type, "message": message, **fields}

    def body(self) -> Json:
        """Return the JSON body without the fields that are None."""
        error = {name: value for name, value in self.fields.items() if value is not None}
        if "code" in error:
            error["doc_url"] = doc_url(error["code"])
        return {"error": error}


class InvalidRequest(StripeError):
    """400: the present state of the objects does not allow the request."""

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        status: int = 400,
        **fields: Any,
    ) -> None:
        super().__init__(status, "invalid_request_error", message, code=code, param=param, **fields)


class InvalidParameter(InvalidRequest):
    """400: the parameters fail validation, so nothing is executed and nothing is stored [docs]."""

    is_stored = False


class CardError(StripeError):
    """402: a decline by the issuer, the bank or Radar; it carries the `payment_intent` or `setup_intent`."""

    def __init__(self, error: Json, **intent: Json | None) -> None:
        fields = {name: value for name, value in error.items() if name not in ("type", "message", "doc_url")}
        super().__init__(402, "card_error", error["message"], **intent, **fields)


class NotStored(StripeError):
    """A refusal before execution: authentication, rate limits, server errors, idempotency itself."""

    is_stored = False


def unauthenticated(message: str) -> NotStored:
    """Return the refusal for a missing or wrong API key."""
    return NotStored(401, "invalid_request_error", message, headers={"WWW-Authenticate": 'Bearer realm="Stripe"'})


def rate_limited() -> NotStored:
    """Return a 429, which the SDK does not retry [sdk]."""
    return NotStored(
        429,
        "invalid_request_error",
        "Request rate limit exceeded. Please slow down.",
        code="rate_limit",
        headers={"Stripe-Rate-Limited-Reason": "endpoint-rate"},
    )


def server_error() -> NotStored:
    """Return a 500 that does not show whether the request was executed."""
    return NotStored(500, "api_error", "An unknown error occurred. Please try again later.")


def idempotency_mismatch() -> NotStored:
    """Return the refusal for an idempotency key of another request; it has neither code nor param [run]."""
    return NotStored(
        400,
        "idempotency_error",
        "Keys for idempotent requests can only be used with the same "
        "endpoint and the same parameters they were first used with. Try using a different key.",
    )


def idempotency_in_use() -> NotStored:
    """Return the refusal for the second of two simultaneous requests with one idempotency key [spec]."""
    return NotStored(
        409,
        "invalid_request_error",
        "There is currently another in-progress request using this Idempotency-Key. Please try again later.",
        code="idempotency_key_in_use",
    )


def missing(kind: str, id: str, *, param: str = "id", status: int = 400) -> InvalidRequest:
    """Return the refusal for an unknown id: 404 for an id in the path, 400 for one in the body."""
    return InvalidRequest(f"No such {kind}: '{id}'", code="resource_missing", param=param, status=status)


def doc_url(code: str) -> str:
    """Return the URL of the documentation of an error code.

    >>> doc_url("card_declined")
    'https://docs.stripe.com/error-codes#card-declined'
    """
    return f"https://docs.stripe.com/error-codes#{code.replace('_', '-')}"
