"""Customers who come back from a provider: their payment is looked up at once, or what they have approved is saved, and
they go on to the application.

Without an application to go to they see how it stands. Needs no authentication: it only brings a look-up forward, or
saves what the provider says is approved, and decides nothing by a query parameter."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from flask import Blueprint, redirect, request
from markupsafe import escape
from werkzeug.wrappers import Response

from domain.errors import Conflict, NotFound
from domain.payment import CLOSED_UNPAID, COLLECTED, IN_DUNNING, State
from gateways.base import GatewayError
from models.method_setups import find_setup, is_setup_id
from models.operations import CustomerReturn, look_up_now
from runtime.approved_methods import save_approved
from webhooks.context import runtime

blueprint = Blueprint("returns", __name__)

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">{refresh}
<title>{title}</title>
<p>{sentence}</p>
<p>{title}. You can close this window.</p>
"""
_DONE = "Thank you. Your payment has been made."
_HELD = "Thank you. Your payment is authorized."
_NOT_DONE = "Your payment has not been made. Please go back to the shop to pay in another way."
_SAVED = "Thank you. Your account has been saved for later payments."
_NOT_SAVED = "Your account has not been saved. Please go back to the shop to try again."
_CHECKED = "Thank you. Your payment is being checked."
_SENTENCES = {
    **dict.fromkeys(COLLECTED, _DONE),
    **dict.fromkeys(CLOSED_UNPAID | IN_DUNNING | {State.BLOCKED}, _NOT_DONE),
    State.AUTHORIZED: _HELD,
}
# A page looks again by itself this often: long enough for a look-up, and no load of a page that stays open.
_MOST_REFRESHES = 5
_REFRESH = '\n<meta http-equiv="refresh" content="3; url=?look={number}">'


@blueprint.get("/returns/<attempt_id>")
def returned(attempt_id: str) -> Response:
    """Look the payment up now, or save what the customer has approved, and send them to the application's return_url
    with the id of the payment or of the setup."""
    if is_setup_id(attempt_id):
        return _returned_from_setup(attempt_id)
    back = runtime().change("customer", look_up_now, attempt_id)
    runtime().publish(back.messages)
    if back.return_url is None:
        return _page(back)
    known = {"payment_id": back.payment_id}
    is_canceled = request.args.get("canceled") == "1" or request.args.get("status") == "CANCELLED"
    return redirect(_with(back.return_url, known | ({"canceled": "1"} if is_canceled else {})), code=303)


def _page(back: CustomerReturn) -> Response:
    sentence = _SENTENCES.get(back.state, _CHECKED)
    number = request.args.get("look", 0, type=int) + 1
    is_open = sentence == _CHECKED and 0 < number <= _MOST_REFRESHES
    refresh = _REFRESH.format(number=number) if is_open else ""
    return _shown(f"Payment {back.payment_id}", sentence, refresh)


def _returned_from_setup(setup_id: str) -> Response:
    setup = runtime().read(find_setup, setup_id)
    if setup is None:
        raise NotFound("no such payment or setup")
    is_saved = True
    try:
        save_approved(runtime(), "customer", setup)
    except (Conflict, NotFound, GatewayError):
        # Not approved, or the provider does not respond: the application can still save it.
        is_saved = False
    if setup.return_url is None:
        return _shown("Saved account", _SAVED if is_saved else _NOT_SAVED)
    return redirect(_with(setup.return_url, {"setup_id": setup_id, "saved": str(int(is_saved))}), code=303)


def _shown(title: str, sentence: str, refresh: str = "") -> Response:
    page = _PAGE.format(title=escape(title), sentence=sentence, refresh=refresh)
    # The address may hold a provider's parameters, which go to nobody else.
    headers = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return Response(page, content_type="text/html; charset=utf-8", headers=headers)


def _with(address: str, added: dict[str, str]) -> str:
    parts = urlsplit(address)
    query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), *added.items()])
    return urlunsplit(parts._replace(query=query))
