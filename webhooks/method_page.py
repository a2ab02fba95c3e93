"""The page on which the customer of a reminder stores another card, which becomes the default. Looking changes nothing.

No log-in: who has the link may store a card for its customer, and sees nothing of those that are stored."""

from __future__ import annotations

import secrets
from typing import Any, NamedTuple

from flask import Blueprint, request, url_for
from sqlalchemy import Row
from werkzeug.wrappers import Response

from domain.errors import FraudBlocked, InvalidRequest, NotFound, ReviewRequired, TryLater
from domain.payment_methods import PaymentMethod
from gateways.capabilities import SavedMethodsGateway
from gateways.registry import saved_methods_gateway
from models.audit import record_event
from models.default_methods import choose_default
from models.fraud.signals import Door
from models.outbox import find_row
from models.provider_customers import User, find_customer, user_hash
from models.saved_methods import has_later_default
from models.session import transact
from runtime.approved_methods import facts_of
from runtime.doors import note_opened, pass_door, trying
from runtime.pay_links import METHOD_PATH, LinkUnreadable, PayLinks
from runtime.provider_customers import with_customer
from webhooks.context import context, own_address, runtime
from webhooks.pay_page_rendering import (
    PageRefused,
    card_agreement,
    refuse_as_page,
    render_card_form,
    render_expiry,
    say,
    set_headers,
)

blueprint = Blueprint("method_page", __name__, url_prefix=METHOD_PATH)
blueprint.after_request(set_headers)
refuse_as_page(blueprint)

_ACTOR = "customer"


class _Reminder(NamedTuple):
    """The mail that a link was sent with, its customer, and the provider that keeps their cards."""

    mail: Row[Any]
    user: User
    gateway: SavedMethodsGateway


@blueprint.get("/<token>")
def show(token: str) -> Response:
    """Show which card expires, and a button to store another one."""
    reminder = _open(token)
    return say("method_saved") if _is_done(reminder) else render_expiry(reminder.mail.data or {})


@blueprint.post("/<token>")
def act(token: str) -> Response:
    """Show the form in which the customer enters another card. Nothing is charged, or stored before they have."""
    reminder = _open(token)
    if _is_done(reminder):
        return say("method_saved")
    gateway = reminder.gateway

    def open_setup(customer: str) -> tuple[str, str]:
        setup = gateway.open_setup(customer, PaymentMethod.CREDIT_CARD, secrets.token_hex(16))
        return setup.reference, setup.client_secret

    application, user_id = reminder.user
    try:
        passed = pass_door(runtime(), _ACTOR, Door.SETUP, application, user_id, None)
    except (FraudBlocked, ReviewRequired, TryLater):
        again = own_address() + url_for(".show", token=token, lang=_asked())
        return say("method_unsaved", status=403, link=again, link_text="open_again")
    with trying(runtime(), _ACTOR, application, passed, Door.SETUP):
        reference, secret = with_customer(runtime(), gateway, reminder.user, _ACTOR, {}, open_setup)
    note_opened(runtime(), _ACTOR, application, passed, reference)
    _note_agreement(reminder.user)
    back = own_address() + url_for(".come_back", token=_links().sign_setup(reminder.mail.id, reference), lang=_asked())
    how = {"client_secret": secret, "return_url": back, "publishable_key": context().publishable_key}
    if context().test_front_end:
        here = own_address() + url_for(".show", token=token, lang=_asked())
        how["test_form"] = context().test_address(reference, secret, back, here, is_setup=True)
    return render_card_form(**how)


@blueprint.get("/back/<token>")
def come_back(token: str) -> Response:
    """Make what the provider says is saved the default of its customer, and say how it stands. A repeat is the same."""
    try:
        row_id, setup = _links().read_setup(token)
    except LinkUnreadable:
        raise PageRefused("unknown", 404) from None
    reminder = _find(row_id)
    customer = runtime().read(find_customer, reminder.user, reminder.gateway.provider)
    saved = _saved_by(reminder.gateway, setup, customer)
    if saved is None or customer is None:
        again = _links().make_method(row_id, runtime().clock.now())
        return say("method_unsaved", link=again, link_text="open_again")
    if not _is_done(reminder):
        chosen = reminder.gateway.make_default(customer, saved)
        about = (reminder.user, reminder.gateway.provider, chosen.token, facts_of(chosen))
        runtime().change(_ACTOR, choose_default, *about)
    return say("method_saved")


def _saved_by(gateway: SavedMethodsGateway, setup: str, customer: str | None) -> str | None:
    try:
        return gateway.saved_by(setup, customer) if customer is not None else None
    except (NotFound, InvalidRequest):
        return None


def _links() -> PayLinks:
    links = runtime().pay_links
    if links is None:
        raise PageRefused("unknown", 404)
    return links


def _open(token: str) -> _Reminder:
    """Return what a link was sent with. A forged one and an unknown one look alike."""
    try:
        row_id, expires_at = _links().read_method(token)
    except LinkUnreadable:
        raise PageRefused("unknown", 404) from None
    if expires_at <= runtime().clock.now():
        raise PageRefused("expired", 410)
    return _find(row_id)


def _find(row_id: str) -> _Reminder:
    mail, gateway = runtime().read(find_row, row_id), saved_methods_gateway(runtime().gateways)
    has_front_end = bool(context().publishable_key or context().test_front_end)
    if mail is None or gateway is None or not has_front_end:
        raise PageRefused("unknown", 404)
    return _Reminder(mail, User(mail.application, mail.user_id), gateway)


def _is_done(reminder: _Reminder) -> bool:
    """Tell whether the customer has stored another card since the mail, which ends its link."""
    expiring = (reminder.mail.data or {}).get("method", "")
    return runtime().read(has_later_default, reminder.user, reminder.mail.created_at, expiring)


def _note_agreement(user: User) -> None:
    data = {"user": user_hash(user.user_id), "wording": card_agreement()}
    now = runtime().clock.now()
    transact(runtime().engine, record_event, "method_saving_agreed", actor=_ACTOR, now=now, data=data)


def _asked() -> str | None:
    return request.args.get("lang")
