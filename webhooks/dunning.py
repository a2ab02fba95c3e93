"""What operators see of dunning."""

from __future__ import annotations

from flask import Blueprint, Response

from models.api_keys import Role
from models.unknown_codes import list_unknown_codes
from webhooks.auth import allow
from webhooks.context import runtime
from webhooks.responses import json_response

blueprint = Blueprint("dunning", __name__)


@blueprint.get("/admin/dunning/unknown-codes")
@allow(Role.OPERATOR)
def unknown_codes() -> Response:
    """List the codes of declines that no table of ours has, the most frequent first."""
    return json_response(200, {"codes": runtime().read(list_unknown_codes)})
