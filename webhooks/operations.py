"""Capture, cancel, refund and review: each stores an attempt and responds; a worker carries it out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response

from models import operations
from models.api_keys import Role
from models.idempotency import ApiResponse
from models.request_bodies import CancelPayment, CapturePayment, RefundPayment, ReviewPayment
from webhooks.auth import allow, caller
from webhooks.context import runtime
from webhooks.requests import idempotency_key, json_body, required_idempotency_key
from webhooks.responses import has_nothing_in_flight, respond

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
    request = RefundPayment.parse(json_body())
    return operate(operations.request_refund, payment_id, request, is_key_required=True)


@blueprint.post("/<payment_id>/review")
@allow(Role.OPERATOR)
def review(payment_id: str) -> Response:
    """Decide on a fraud review, or on money that does not match what was asked."""
    return operate(operations.request_review, payment_id, ReviewPayment.parse(json_body()))


def operate(
    operation: Callable[..., ApiResponse], payment_id: str, request: Any, *, is_key_required: bool = False
) -> Response:
    """Carry out a request on a payment in one transaction, publish what follows, and respond."""
    key = required_idempotency_key() if is_key_required else idempotency_key()
    response = runtime().change(caller().actor, operation, payment_id, request, caller(), key)
    runtime().publish(response.messages)
    return respond(response, has_nothing_in_flight)
