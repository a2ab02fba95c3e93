"""What a person does in a provider's dashboard, beside the API: the provider's own rules apply, and no fault."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, Response, jsonify

from sandbox.control_request import choice, is_count, refuse, request_body
from sandbox.service import Refusal
from sandbox.state import Sandbox

# Gets the id that the ledger's account has, and an amount in minor units, or None for all that there is. Returns the id
# of the refund or capture that it makes, if any.
Action = Callable[[str, int | None], str | None]


class ActionRefused(Exception):
    """The provider does not allow the action in this state; the message says why."""


def blueprint(sandbox: Sandbox) -> Blueprint:
    """Return the dashboards of all providers."""
    routes = Blueprint("dashboard", __name__, url_prefix="/_sandbox/dashboard")

    @routes.post("/<provider>/<id>")
    def act(provider: str, id: str) -> Response:
        """Act as a person in a provider's dashboard: `action`, and `amount` in minor units or nothing for all."""
        body = request_body("action", "amount")
        actions = _actions(sandbox, provider)
        action, amount = choice(body, "action", actions), body.get("amount")
        if amount is not None and not is_count(amount):
            refuse("amount must be a whole number of minor units from 1")
        try:
            with sandbox.lock:
                sandbox.scheduler.run_due()
                return jsonify(id=actions[action](id, amount))
        except Refusal as refusal:
            refuse(json.dumps(refusal.body), 409)
        except ActionRefused as refusal:
            refuse(str(refusal), 409)

    return routes


def _actions(sandbox: Sandbox, provider: str) -> Mapping[str, Action]:
    dashboards: dict[str, Any] = {each.provider: each.dashboard() for each in sandbox.providers}
    if not dashboards.get(provider):
        refuse(f"there is no dashboard of {provider}; there is one of {', '.join(sorted(dashboards))}", 404)
    actions: Mapping[str, Action] = dashboards[provider]
    return actions
