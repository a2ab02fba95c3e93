"""Capture, cancel, refund and review: each opens an attempt and answers; a worker carries it out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response

from domain.payment import IN_FLIGHT
from models import operations
from models.api_keys import Role
from models.idempotency import ApiResponse
from models.operations import RequestContext
from models.requests import CancelPayment, CapturePayment, RefundPayment, ReviewPayment
from models.session import transact
from webhooks.auth import allow, caller
from webhooks.context import services
from webhooks.payments import respond
from webhooks.requests import idempotency_key, json_body

blueprint = Blueprint("operations", __name__)


@blueprint.post("/<payment_id>/capture")
@allow(Role.APP, Role.OPERATOR)
def capture(payment_id: str) -> Response:
    """Take authorized money, in part or whole."""
    return operate(operations.request_capture, payment_id, CapturePayment.parse(json_body()))


@blueprint.post("/<payment_id>/cancel")
@allow(Role.APP, Role.OPERATOR)
def cancel(payment_id: str) -> Response:
    """Stop a payment or release its authorization."""
    return operate(operations.request_cancel, payment_id, CancelPayment.parse(json_body()))


@blueprint.post("/<payment_id>/refunds")
@allow(Role.APP, Role.OPERATOR)
def refund(payment_id: str) -> Response:
    """Give captured money back, in part or whole."""
    command = RefundPayment.parse(json_body())
    return operate(operations.request_refund, payment_id, command, is_key_required=True)


@blueprint.post("/<payment_id>/review")
@allow(Role.OPERATOR)
def review(payment_id: str) -> Response:
    """Decide on a payment that waits for review."""
    return operate(operations.decide_review, payment_id, ReviewPayment.parse(json_body()))


def operate(
    request: Callable[..., ApiResponse], payment_id: str, command: Any, *, is_key_required: bool = False
) -> Response:
    """Ask for an operation in one transaction, ring, and answer."""
    key = idempotency_key(is_required=is_key_required)
    asked = RequestContext(caller(), key, services().clock.now(), services().policy)
    response = transact(services().engine, lambda connection: request(connection, payment_id, command, asked))
    services().publish(response.messages)
    return respond(response, _has_nothing_in_flight)


def _has_nothing_in_flight(shown: dict[str, Any]) -> bool:
    return all(attempt["status"] not in IN_FLIGHT for attempt in shown["attempts"])
