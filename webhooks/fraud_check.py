"""The pre-check: what the fraud rules say of a payment that does not exist yet. It stores nothing and counts no try."""

from __future__ import annotations

from dataclasses import asdict

from flask import Blueprint, Response

from domain.errors import InvalidRequest
from domain.fraud.wording import explained
from models.api_keys import Role
from models.fraud.assessments import NOT_SCREENED
from models.fraud.subjects import ScoringRequest
from models.request_bodies import FraudCheck
from runtime.doors import find_evidence
from webhooks.auth import allow, caller_of_names
from webhooks.context import runtime
from webhooks.requests import json_body
from webhooks.responses import json_response

blueprint = Blueprint("fraud_check", __name__)


@blueprint.post("/fraud-check")
@allow(Role.APP)
def check() -> Response:
    """Return the score of a payment that an application thinks of."""
    asked = FraudCheck.parse(json_body())
    application = caller_of_names().application
    if application is None:
        raise InvalidRequest("a fraud check is about an application's customers; say whose are meant (`application`)")
    request = ScoringRequest(
        application,
        asked.money,
        asked.payment_method,
        asked.subject(asked.user_id, asked.payment_method_token),
        is_off_session=asked.off_session,
        billing_country=asked.billing_country,
        card_country=asked.card_country,
    )
    evidence = find_evidence(runtime(), request)
    if evidence is None:
        return json_response(200, NOT_SCREENED)
    assessment = evidence.assess()
    reasons = explained(map(asdict, assessment.reasons))
    shown = {"score": assessment.score, "decision": assessment.decision, "reasons": reasons}
    about = {"unavailable": list(assessment.unavailable), "rule_set": evidence.rule_set.version}
    return json_response(200, {"screened": True} | shown | about)
