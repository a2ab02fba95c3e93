"""Reviews: what waits for a person, who has it in hand, and what they decide."""

from __future__ import annotations

from flask import Blueprint, Response

from models.api_keys import Role
from models.fraud.requests import ApproveReview, ClaimReview, RejectReview
from models.fraud.review_requests import list_reviews, request_approval, request_claim, request_rejection
from webhooks.auth import allow, caller
from webhooks.context import runtime
from webhooks.operations import operate
from webhooks.requests import json_body, page_cursor, page_limit
from webhooks.responses import json_response

blueprint = Blueprint("fraud_reviews", __name__)


@blueprint.get("/admin/reviews")
@allow(Role.OPERATOR)
def index() -> Response:
    """List what waits, oldest first; `next_cursor` continues."""
    limit = page_limit({"cursor", "limit"})
    now = runtime().clock.now()
    found = runtime().read(list_reviews, now, after=page_cursor("rev"), limit=limit + 1)
    page = found[:limit]
    next_cursor = page[-1]["id"] if len(found) > limit else None
    return json_response(200, {"reviews": page, "next_cursor": next_cursor})


@blueprint.post("/admin/reviews/<payment_id>/claim")
@allow(Role.OPERATOR)
def claim(payment_id: str) -> Response:
    """Take a review in hand for 15 minutes, or give it back."""
    request = ClaimReview.parse(json_body())
    return json_response(200, runtime().change(caller().actor, request_claim, payment_id, request))


@blueprint.post("/admin/reviews/<payment_id>/approve")
@allow(Role.OPERATOR)
def approve(payment_id: str) -> Response:
    """Charge the payment."""
    return operate(request_approval, payment_id, ApproveReview.parse(json_body()))


@blueprint.post("/admin/reviews/<payment_id>/reject")
@allow(Role.OPERATOR)
def reject(payment_id: str) -> Response:
    """End the payment uncharged."""
    return operate(request_rejection, payment_id, RejectReview.parse(json_body()))
