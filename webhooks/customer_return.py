"""Customers who come back from a provider: their payment is looked up at once, and they go on to the application.

Needs no authentication: it only brings a look-up forward and trusts no query parameter."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from flask import Blueprint, redirect, request
from markupsafe import escape
from werkzeug.wrappers import Response

from models.operations import look_up_now
from webhooks.context import runtime

blueprint = Blueprint("returns", __name__)

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Payment {payment_id}</title>
<p>Thank you. Your payment {payment_id} is being checked; you can close this window.</p>
"""


@blueprint.get("/returns/<attempt_id>")
def returned(attempt_id: str) -> Response:
    """Look the payment up now, and send the customer to the application's return_url with the payment's id."""
    back = runtime().change("customer", look_up_now, attempt_id)
    runtime().publish(back.messages)
    if back.return_url is None:
        return Response(_PAGE.format(payment_id=escape(back.payment_id)), content_type="text/html; charset=utf-8")
    known = {"payment_id": back.payment_id}
    is_canceled = request.args.get("canceled") == "1" or request.args.get("status") == "CANCELLED"
    return redirect(_with(back.return_url, known | ({"canceled": "1"} if is_canceled else {})), code=303)


def _with(address: str, added: dict[str, str]) -> str:
    parts = urlsplit(address)
    query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), *added.items()])
    return urlunsplit(parts._replace(query=query))
