"""PayPal's refusals: `name`, `details` with one issue, and a debug id.

https://developer.paypal.com/api/rest/responses and the schemas error_400 … error_503 [spec].
"""

from __future__ import annotations

import secrets
from typing import Any

from sandbox.service import Refusal

MESSAGES = {
    400: ("INVALID_REQUEST", "Request is not well-formed, syntactically incorrect, or violates schema."),
    403: ("NOT_AUTHORIZED", "Authorization failed due to insufficient permissions."),
    404: ("RESOURCE_NOT_FOUND", "The specified resource does not exist."),
    409: ("RESOURCE_CONFLICT", "The server has detected a conflict while processing this request."),
    422: (
        "UNPROCESSABLE_ENTITY",
        "The requested action could not be performed, semantically incorrect, or failed business validation.",
    ),
    429: ("RATE_LIMIT_REACHED", "Too many requests. Blocked due to rate limiting."),
    500: ("INTERNAL_SERVER_ERROR", "An internal server error has occurred."),
}


def refused(status: int, issue: str | None = None, field: str | None = None, **more: Any) -> Refusal:
    """Return a refusal; `more` holds further members of its body."""
    name, message = MESSAGES[status]
    debug_id = secrets.token_hex(6)
    links = [
        {
            "href": f"https://developer.paypal.com/api/rest/reference/orders/v2/errors/#{issue or name}",
            "rel": "information_link",
            "method": "GET",
        }
    ]
    body: dict[str, Any] = {"name": name, "message": message, "debug_id": debug_id, "links": links}
    if issue is not None:
        detail = {"issue": issue, "description": issue.replace("_", " ").capitalize() + "."}
        body["details"] = [detail | ({"field": field, "location": "body"} if field else {})]
    return Refusal(status, body | more, {"Paypal-Debug-Id": debug_id})


def unprocessable(issue: str, **more: Any) -> Refusal:
    """Return a 422."""
    return refused(422, issue, **more)


def not_found() -> Refusal:
    """Return the refusal for an unknown id."""
    return refused(404, "INVALID_RESOURCE_ID")


def unauthenticated(error: str, description: str) -> Refusal:
    """Return a 401 in OAuth's format, which differs from that of the other refusals."""
    return Refusal(401, {"error": error, "error_description": description})
