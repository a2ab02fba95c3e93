"""Hosted pages, on which the customer approves a payment at the provider: a person clicks, a test posts the same form.

This module shows the page, passes the decision on and redirects the customer. The provider's package acts on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from flask import Blueprint, Response, abort, jsonify, redirect, request
from markupsafe import escape
from werkzeug.wrappers import Response as AnyResponse

from sandbox.control_request import refuse, request_body
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
<p>{purpose} <strong>{amount} {currency}</strong></p>
<p>{id}, status {status}.</p>
<form method="post">
  <button name="decision" value="approve">Approve</button>
  <button name="decision" value="decline">Decline</button>{extra_buttons}
  <button name="decision" value="cancel">Cancel and go back</button>
</form>
<p>To leave without a decision, close this window.</p>
"""


@dataclass(frozen=True)
class Page:
    """The payment that the page shows. `amount`: decimal text with the currency's number of decimal places.

    `purpose`: what the customer approves."""

    id: str
    amount: str
    currency: str
    status: str
    purpose: str = "Pay"


def blueprint(
    sandbox: Sandbox,
    provider: str,
    show: Callable[[str], Page | None],
    decide: Callable[[str, str], str | None],
    extra_decisions: Mapping[str, str] | None = None,
    title: str | None = None,
) -> Blueprint:
    """Return the pages of a provider: `/<provider>/hosted/<id>` for people, `/_sandbox/<provider>/<id>` for tests.

    `show` returns None for an unknown id. `decide` gets the id and a decision and returns the URL to which the customer
    is redirected; it runs under the lock. `extra_decisions` maps further decisions to the text of their buttons.
    `title`: the provider's name on the page, if its words do not just begin with capitals.
    """
    extras = extra_decisions or {}
    decisions = (*DECISIONS, *extras)
    buttons = "".join(
        f'\n  <button name="decision" value="{escape(decision)}">{escape(text)}</button>'
        for decision, text in extras.items()
    )
    routes = Blueprint(f"{provider}_hosted", __name__)

    @routes.get(f"/{provider}/hosted/<id>")
    def show_page(id: str) -> str:
        with sandbox.lock:
            page = show(id)
        if page is None:
            abort(404)
        fields = {name: escape(value) for name, value in vars(page).items()}
        return PAGE.format(provider=title or provider.replace("_", " ").title(), extra_buttons=buttons, **fields)

    @routes.post(f"/{provider}/hosted/<id>")
    def decide_on_page(id: str) -> AnyResponse:
        url = _decide(id, request.form.get("decision", ""))
        # 303 makes the browser follow with GET and not post the form again.
        return redirect(url, code=303) if url else jsonify(decided=True)

    @routes.post(f"/_sandbox/{provider}/<id>")
    def decide_by_test(id: str) -> Response:
        """Decide for the customer: `decision`. Returns the URL of the redirect."""
        return jsonify(sent_to=_decide(id, str(request_body("decision").get("decision", ""))))

    def _decide(id: str, decision: str) -> str | None:
        if decision not in decisions:
            refuse(f"decision must be one of {', '.join(decisions)}")
        with sandbox.lock:
            if show(id) is None:
                refuse(f"there is no payment {id}", 404)
            return decide(id, decision)

    return routes
