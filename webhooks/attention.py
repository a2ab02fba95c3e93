"""The attention list: what needs a person. Applications read what is about their own payments; operators decide."""

from __future__ import annotations

from flask import Blueprint, Response, request

from domain.attention import Reason
from domain.errors import InvalidRequest
from models.api_keys import Role
from models.attention_actions import resolve_entry
from models.queries import list_entries, show_entry
from models.request_bodies import ResolveEntry
from webhooks.auth import allow, caller
from webhooks.context import runtime
from webhooks.requests import json_body, page_cursor, page_limit, required_idempotency_key
from webhooks.responses import json_response

blueprint = Blueprint("attention", __name__)

_OPEN = {None: None, "1": True, "0": False}


@blueprint.get("/admin/attention")
@allow(Role.APP, Role.OPERATOR)
def index() -> Response:
    """List entries, oldest first; `next_cursor` continues."""
    limit = page_limit({"open", "reason", "cursor", "limit"})
    given = request.args.get("open")
    if given not in _OPEN:
        raise InvalidRequest("open must be 1 for open entries or 0 for closed ones; leave it out for both")
    found = runtime().read(
        list_entries,
        caller().application,
        is_open=_OPEN[given],
        reason=_reason(request.args.get("reason")),
        after=page_cursor("attn"),
        limit=limit + 1,
    )
    page = found[:limit]
    next_cursor = page[-1]["id"] if len(found) > limit else None
    return json_response(200, {"entries": page, "next_cursor": next_cursor})


@blueprint.get("/admin/attention/<entry_id>")
@allow(Role.APP, Role.OPERATOR)
def show(entry_id: str) -> Response:
    """Show one entry with its payment, the movements of that, and what may be decided."""
    return json_response(200, runtime().read(show_entry, entry_id, caller().application))


@blueprint.post("/admin/attention/<entry_id>/resolve")
@allow(Role.OPERATOR)
def resolve(entry_id: str) -> Response:
    """Do what a person has decided: 200 if that closes the entry, 202 if its effect is still to come."""
    decision = ResolveEntry.parse(json_body())
    key = required_idempotency_key()
    response = runtime().change(caller().actor, resolve_entry, entry_id, decision, caller(), key)
    runtime().publish(response.messages)
    shown = json_response(response.status, response.body)
    if response.is_replay:
        shown.headers["Idempotent-Replayed"] = "true"
    return shown


def _reason(name: str | None) -> Reason | None:
    if name is not None and name not in list(Reason):
        raise InvalidRequest(f"reason must be one of: {', '.join(Reason)}")
    return None if name is None else Reason(name)
