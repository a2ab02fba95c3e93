"""Operators only: record money that no provider sees, and say whether a payment was fraud."""

from __future__ import annotations

from flask import Blueprint, Response

from models.api_keys import Role
from models.fraud.requests import LabelPayment
from models.fraud.review_requests import request_label
from models.operations import record_payment
from models.request_bodies import RecordPayment
from webhooks.auth import allow, caller
from webhooks.context import runtime
from webhooks.operations import operate
from webhooks.requests import json_body
from webhooks.responses import json_response

blueprint = Blueprint("admin", __name__)


@blueprint.post("/admin/payments/<payment_id>/record")
@allow(Role.OPERATOR)
def record(payment_id: str) -> Response:
    """Record that a payment by invoice has come, or was given back."""
    return operate(record_payment, payment_id, RecordPayment.parse(json_body()), is_key_required=True)


@blueprint.post("/admin/payments/<payment_id>/label")
@allow(Role.OPERATOR)
def label(payment_id: str) -> Response:
    """Say whether a payment was fraud; the last word counts."""
    request = LabelPayment.parse(json_body())
    return json_response(200, runtime().change(caller().actor, request_label, payment_id, request))
