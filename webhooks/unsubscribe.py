"""Where a customer says that they want no reminders: by a page, or by one click in their mail program (RFC 8058).

A look changes nothing, because mail scanners open links. The link never ends, and needs no log-in."""

from __future__ import annotations

from flask import Blueprint, request
from sqlalchemy import Row
from werkzeug.wrappers import Response

from models.customers import find_customer, set_reminders
from models.outbox import find_row
from runtime.pay_links import UNSUBSCRIBE_PATH, LinkUnreadable
from webhooks.context import runtime
from webhooks.pay_page_rendering import PageRefused, refuse_as_page, say, set_headers

blueprint = Blueprint("unsubscribe", __name__, url_prefix=UNSUBSCRIBE_PATH)
blueprint.after_request(set_headers)
refuse_as_page(blueprint)

_ACTOR = "customer"


@blueprint.get("/<token>")
def show(token: str) -> Response:
    """Show whether the customer gets reminders, with a button that changes it."""
    return _page(_find(token))


@blueprint.post("/<token>")
def act(token: str) -> Response:
    """Stop the reminders of the customer, or send them again; a repeat changes nothing."""
    mail = _find(token)
    are_wanted = request.form.get("action") == "again"
    runtime().change(_ACTOR, set_reminders, mail.user_id, mail.application, are_wanted=are_wanted)
    return _page(mail)


def _find(token: str) -> Row[tuple[object, ...]]:
    """Return the reminder that a link was sent with. A forged one and an unknown one look alike."""
    links = runtime().pay_links
    try:
        row_id = links.read_unsubscribe(token) if links is not None else None
    except LinkUnreadable:
        row_id = None
    mail = runtime().read(find_row, row_id) if row_id is not None else None
    if mail is None:
        raise PageRefused("unknown", 404)
    return mail


def _page(mail: Row[tuple[object, ...]]) -> Response:
    customer = runtime().read(find_customer, mail.user_id, mail.application)
    is_off = customer is None or customer.unsubscribed_at is not None
    return say("unsubscribed" if is_off else "unsubscribe", action="again" if is_off and customer else "stop")
