"""Lists of entities that operators allow, block or watch."""

from __future__ import annotations

from flask import Blueprint, Response, request

from domain.errors import InvalidRequest
from domain.fraud.facts import ListKind
from models.api_keys import Role
from models.fraud.lists import add_entry, list_fraud_entries, remove_entry
from models.fraud.requests import AddListEntry
from webhooks.auth import allow, caller
from webhooks.context import runtime
from webhooks.requests import json_body, page_cursor, page_limit
from webhooks.responses import json_response

blueprint = Blueprint("fraud_lists", __name__)

_REMOVED = {None: False, "0": False, "1": True}


@blueprint.get("/admin/fraud/lists")
@allow(Role.OPERATOR)
def index() -> Response:
    """List entries, oldest first; `next_cursor` continues."""
    limit = page_limit({"kind", "removed", "cursor", "limit"})
    given = request.args.get("removed")
    if given not in _REMOVED:
        raise InvalidRequest("removed must be 1 to show removed entries as well; leave it out for those in force")
    found = runtime().read(
        list_fraud_entries,
        runtime().clock.now(),
        kind=_kind(request.args.get("kind")),
        with_removed=_REMOVED[given],
        after=page_cursor("list"),
        limit=limit + 1,
    )
    page = found[:limit]
    next_cursor = page[-1]["id"] if len(found) > limit else None
    return json_response(200, {"entries": page, "next_cursor": next_cursor})


@blueprint.post("/admin/fraud/lists")
@allow(Role.OPERATOR)
def add() -> Response:
    """Put an entity on a list."""
    return json_response(201, runtime().change(caller().actor, add_entry, AddListEntry.parse(json_body())))


@blueprint.delete("/admin/fraud/lists/<entry_id>")
@allow(Role.OPERATOR)
def remove(entry_id: str) -> Response:
    """Take an entry off its list."""
    return json_response(200, runtime().change(caller().actor, remove_entry, entry_id))


def _kind(name: str | None) -> ListKind | None:
    if name is not None and name not in list(ListKind):
        raise InvalidRequest(f"kind must be one of: {', '.join(ListKind)}")
    return None if name is None else ListKind(name)
