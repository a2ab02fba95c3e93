"""Owns the pages on which a customer approves a payment at the provider: a person clicks, a test posts the same form.

What a decision means is the provider's own; this shows the page, passes the decision on and sends the customer back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from flask import Blueprint, Response, abort, jsonify, redirect, request
from markupsafe import escape
from werkzeug.wrappers import Response as AnyResponse

from sandbox.control import body_of_request, refuse
from sandbox.state import Sandbox

Decision = Literal["approve", "decline", "cancel"]
DECISIONS: tuple[str, ...] = get_args(Decision)

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{provider} sandbox</title>
<style>
  body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 26rem; margin: 4rem auto; padding: 0 1rem }}
  h1 {{ font-size: 1.2rem }} button {{ font: inherit; padding: .5rem 1rem; margin: 0 .5rem .5rem 0 }}
</style>
<h1>{provider} <small>sandbox</small></h1>
<p>Pay <strong>{amount} {currency}</strong> ({id}), now {status}.</p>
<form method="post">
  <button name="decision" value="approve">Approve</button>
  <button name="decision" value="decline">Decline</button>{more}
  <button name="decision" value="cancel">Cancel and go back</button>
</form>
<p>Or close this window and walk away.</p>
"""


@dataclass(frozen=True)
class Page:
    """What the customer is asked to approve; `amount` as the provider writes it."""

    id: str
    amount: str
    currency: str
    status: str


def blueprint(
    sandbox: Sandbox,
    provider: str,
    show: Callable[[str], Page | None],
    decide: Callable[[str, str], str | None],
    more: Mapping[str, str] | None = None,
) -> Blueprint:
    """Return the pages of a provider: `/<provider>/hosted/<id>` for people, `/_sandbox/<provider>/<id>` for tests.

    `show` returns None for an unknown id. `decide` is called under the lock with the id and a decision, and returns
    where the customer is sent. `more`: what else a customer can do there, as decision and the text of its button."""
    decisions = (*DECISIONS, *(more or {}))
    buttons = "".join(
        f'\n  <button name="decision" value="{escape(decision)}">{escape(text)}</button>'
        for decision, text in (more or {}).items()
    )
    routes = Blueprint(f"{provider}_hosted", __name__)

    @routes.get(f"/{provider}/hosted/<id>")
    def show_page(id: str) -> str:
        with sandbox.lock:
            page = show(id)
        if page is None:
            abort(404)
        shown = {name: escape(value) for name, value in vars(page).items()}
        return PAGE.format(provider=provider.replace("_", " ").title(), more=buttons, **shown)

    @routes.post(f"/{provider}/hosted/<id>")
    def decide_on_page(id: str) -> AnyResponse:
        address = _decide(id, request.form.get("decision", ""))
        return redirect(address, code=303) if address else jsonify(decided=True)

    @routes.post(f"/_sandbox/{provider}/<id>")
    def decide_by_test(id: str) -> Response:
        return jsonify(sent_to=_decide(id, str(body_of_request().get("decision", ""))))

    def _decide(id: str, decision: str) -> str | None:
        if decision not in decisions:
            refuse(f"decision must be one of {', '.join(decisions)}")
        with sandbox.lock:
            if show(id) is None:
                abort(404)
            return decide(id, decision)

    return routes
