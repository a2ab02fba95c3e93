"""Dunning cases: applications read their own, operators act on them and let what is due run now."""

from __future__ import annotations

from flask import Blueprint, Response, request

from domain.dunning.case import CaseState
from domain.dunning.cohort import parse_request
from domain.errors import InvalidRequest, NotFound
from models.api_keys import Role
from models.api_request import ApiRequest
from models.due_rows import publish_due_cases
from models.dunning_requests import request_on_case
from models.dunning_statistics import show_statistics
from models.dunning_view import list_cases, show_case
from models.request_bodies import ExtendGrace, PauseCase, ResumeCase, RetryCaseNow, StopCase
from models.unknown_codes import list_unknown_codes
from webhooks.auth import allow, caller
from webhooks.context import runtime
from webhooks.requests import idempotency_key, json_body, page_cursor, page_limit, required_idempotency_key
from webhooks.responses import json_response

blueprint = Blueprint("dunning", __name__)

_ACTIONS: dict[str, type[ApiRequest]] = {
    "stop": StopCase,
    "pause": PauseCase,
    "resume": ResumeCase,
    "retry-now": RetryCaseNow,
    "extend-grace": ExtendGrace,
}


@blueprint.get("/admin/dunning")
@allow(Role.APP, Role.OPERATOR)
def index() -> Response:
    """List cases, oldest first; `next_cursor` continues."""
    limit = page_limit({"state", "cursor", "limit"})
    state = _state(request.args.get("state"))
    found = runtime().read(list_cases, caller().application, state=state, after=page_cursor("case"), limit=limit + 1)
    page = found[:limit]
    next_cursor = page[-1]["id"] if len(found) > limit else None
    return json_response(200, {"cases": page, "next_cursor": next_cursor})


@blueprint.get("/admin/dunning/unknown-codes")
@allow(Role.OPERATOR)
def unknown_codes() -> Response:
    """List the codes of declines that no table of ours has, the most frequent first."""
    return json_response(200, {"codes": runtime().read(list_unknown_codes)})


@blueprint.get("/admin/dunning/statistics")
@allow(Role.OPERATOR)
def statistics() -> Response:
    """Show what dunning has recovered, every figure with its denominator."""
    now = runtime().clock.now()
    asked = parse_request(request.args.to_dict(), now)
    return json_response(200, runtime().read(show_statistics, asked, now))


@blueprint.get("/admin/dunning/<case_id>")
@allow(Role.APP, Role.OPERATOR)
def show(case_id: str) -> Response:
    """Show one case: what happened, and what happens next, when and why."""
    return json_response(200, runtime().read(show_case, case_id, caller().application))


@blueprint.post("/admin/dunning/process-retries")
@allow(Role.OPERATOR)
def process_retries() -> Response:
    """Publish the retries that are due now, as beat does."""
    return _run(CaseState.RETRYING)


@blueprint.post("/admin/dunning/check-grace-periods")
@allow(Role.OPERATOR)
def check_grace_periods() -> Response:
    """Publish the ends of grace that are due now, as beat does."""
    return _run(CaseState.IN_GRACE)


@blueprint.post("/admin/dunning/<case_id>/<action>")
@allow(Role.OPERATOR)
def act(case_id: str, action: str) -> Response:
    """Do what an operator asks of a case."""
    if action not in _ACTIONS:
        raise NotFound(f"a case can be asked for: {', '.join(_ACTIONS)}")
    asked = _ACTIONS[action].parse(json_body())
    # A repeated try would charge again.
    key = required_idempotency_key() if isinstance(asked, RetryCaseNow) else idempotency_key()
    response = runtime().change(caller().actor, request_on_case, case_id, asked, caller(), key)
    runtime().publish(response.messages)
    shown = json_response(response.status, response.body)
    if response.is_replay:
        shown.headers["Idempotent-Replayed"] = "true"
    return shown


def _run(state: CaseState) -> Response:
    messages = runtime().change(caller().actor, publish_due_cases, state)
    runtime().publish(messages)
    return json_response(202, {"published": len(messages)})


def _state(name: str | None) -> CaseState | None:
    if name is not None and name not in list(CaseState):
        raise InvalidRequest(f"state must be one of: {', '.join(CaseState)}")
    return None if name is None else CaseState(name)
