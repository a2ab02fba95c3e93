"""Operators only: record money that no provider sees."""

from __future__ import annotations

from flask import Blueprint, Response

from models.api_keys import Role
from models.operations import record_payment
from models.request_bodies import RecordPayment
from webhooks.auth import allow
from webhooks.operations import operate
from webhooks.requests import json_body

blueprint = Blueprint("admin", __name__)


@blueprint.post("/admin/payments/<payment_id>/record")
@allow(Role.OPERATOR)
def record(payment_id: str) -> Response:
    """Record that a payment by invoice has come, or was given back."""
    return operate(record_payment, payment_id, RecordPayment.parse(json_body()), is_key_required=True)
