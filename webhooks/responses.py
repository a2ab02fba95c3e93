"""Responds to requests about a payment: at once, or when the payment has a result and the caller wants to wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from flask import Response, jsonify, url_for
from sqlalchemy import Connection

from domain.payment import IN_FLIGHT, IN_PROGRESS, State
from models.idempotency import ApiResponse
from models.queries import find_payment, show_payment
from webhooks.context import runtime
from webhooks.problems import problem
from webhooks.requests import wait_seconds

Shown = dict[str, Any]

# Most cards are charged within milliseconds, so the first poll comes soon and later ones thin out.
_FIRST_POLL_SECONDS = 0.02
_LAST_POLL_SECONDS = 0.25

_DECLINED = (400, "payment_declined", "the payment was declined; offer the customer another way to pay")
_PROBLEMS: dict[State, tuple[int, str, str]] = {
    State.DECLINED: _DECLINED,
    State.PAST_DUE: (400, "payment_declined", "the payment was declined; it is tried again by itself"),
    State.IN_GRACE: _DECLINED,
    State.UNCOLLECTIBLE: _DECLINED,
    State.BLOCKED: (403, "fraud_blocked", "the payment was blocked by the fraud rules; do not try it again"),
    State.REVIEW: (403, "review_required", "the payment waits for an operator's review; ask for it later"),
    State.AMOUNT_MISMATCH: (403, "amount_mismatch", "what came does not match the amount; an operator decides"),
    State.FAILED: (500, "provider_error", "the provider refused the request; nothing was charged"),
}


def json_response(status: int, body: Any) -> Response:
    """Return a JSON response."""
    response = jsonify(body)
    response.status_code = status
    return response


def respond(accepted: ApiResponse, has_result: Callable[[Shown], bool]) -> Response:
    """Respond at once, or with `Prefer: wait=N` as soon as the payment has a result."""
    seconds = wait_seconds()
    shown = wait_for_result(str(accepted.payment_id), seconds, has_result) if seconds and accepted.payment_id else None
    if shown is not None:
        response = result_response(shown)
    elif seconds and accepted.payment_id:
        # Without a result, the payment as it is now: in doubt perhaps, and no longer as it was accepted.
        response = json_response(accepted.status, runtime().read(show_payment, accepted.payment_id, None))
    else:
        response = json_response(accepted.status, accepted.body)
    response.headers["Location"] = url_for("payments.show", payment_id=accepted.payment_id)
    if seconds:
        response.headers["Preference-Applied"] = f"wait={seconds}"
    if accepted.is_replay:
        response.headers["Idempotent-Replayed"] = "true"
    return response


def wait_for_result(payment_id: str, seconds: int, has_result: Callable[[Shown], bool]) -> Shown | None:
    """Return the payment as soon as it has a result; None if it has none within `seconds`."""
    deadline, pause = time.monotonic() + seconds, _FIRST_POLL_SECONDS
    while time.monotonic() < deadline:
        time.sleep(pause)
        shown = runtime().read(_show_if_waiting, payment_id)
        if shown is not None and has_result(shown):
            return shown
        pause = min(pause * 1.5, _LAST_POLL_SECONDS)
    return None


def _show_if_waiting(connection: Connection, payment_id: str) -> Shown | None:
    """Return the payment unless it is in progress: reading only its state keeps the polls cheap."""
    is_in_progress = State(find_payment(connection, payment_id, None).state) in IN_PROGRESS
    return None if is_in_progress else show_payment(connection, payment_id, None)


def is_not_in_progress(shown: Shown) -> bool:
    """Tell whether a shown payment does not move on by itself within moments, as one does that was authorized first."""
    state = State(shown["status"])
    return state not in IN_PROGRESS and (state is not State.AUTHORIZED or has_nothing_in_flight(shown))


def has_nothing_in_flight(shown: Shown) -> bool:
    """Tell whether nothing of a shown payment is to be sent, or sent without a known outcome."""
    return all(attempt["status"] not in IN_FLIGHT for attempt in shown["attempts"])


def result_response(shown: Shown) -> Response:
    """Respond with a payment that has a result, or with the problem that ended it."""
    known = _PROBLEMS.get(State(shown["status"]))
    if known is None:
        return json_response(200, shown)
    status, kind, detail = known
    code, refused = shown["failure_code"], _refused_field(shown)
    if refused is not None:
        param, message = refused
        detail = f"{message or 'the provider refuses the value'} ({param}); mend it and send a new payment"
        return problem(422, "request_refused", detail, payment_id=shown["id"], code=code, param=param, payment=shown)
    return problem(status, kind, detail, payment_id=shown["id"], code=code, payment=shown)


def _refused_field(shown: Shown) -> tuple[str, str | None] | None:
    """Return the field of the request for which the payment failed, and the provider's sentence; None if for none."""
    if State(shown["status"]) is not State.FAILED:
        return None
    # A void may have come after the charge that was refused.
    refused = next((attempt for attempt in reversed(shown["attempts"]) if "param" in attempt), None)
    return (refused["param"], refused.get("message")) if refused else None


def in_progress_response(payment_id: str) -> Response:
    """Respond 202 with a payment that has no result yet."""
    response = json_response(202, runtime().read(show_payment, payment_id, None))
    response.headers["Location"] = url_for("payments.show", payment_id=payment_id)
    return response
