"""The page on which a customer pays a debt, opened by a signed link. Looking at it changes nothing.

Paying takes the ordinary roads: `accept_payment` for a saved method, a front-end intent for a new one. No log-in and no
session: who has the link may pay, and its signature leaves nothing to guess."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, redirect, request, url_for
from sqlalchemy.exc import IntegrityError
from werkzeug.wrappers import Response

from domain.errors import (
    Conflict,
    FraudBlocked,
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    InvalidRequest,
    NotFound,
    ReviewRequired,
    TryLater,
)
from domain.money import decimal_text
from domain.pay_page import LEAVABLE, View, charge_key, view_of, was_refused
from domain.payment_methods import PaymentMethod
from gateways.base import CustomerLost
from gateways.capabilities import FrontEndGateway, SavedMethod
from gateways.registry import front_end_gateway, saved_methods_gateway
from models.audit import record_event
from models.idempotency import Caller
from models.operations import request_cancel
from models.pay_page import Debt, find_debt
from models.provider_customers import find_customer, user_hash
from models.request_bodies import CancelPayment, CreateIntent, ProcessPayment
from models.session import transact
from runtime.doors import open_intent
from runtime.pay_links import PAGE_PATH, LinkUnreadable, PayLink, PayLinks
from runtime.provider_customers import get_or_create_customer
from webhooks.context import PREFIX, context, own_address, runtime
from webhooks.front_end_intents import client_secret
from webhooks.pay_page_rendering import PageRefused, agreement, describe, refuse_as_page, render, say, set_headers
from webhooks.payments import accept_from

blueprint = Blueprint("pay_page", __name__, url_prefix=PAGE_PATH)
blueprint.after_request(set_headers)
refuse_as_page(blueprint)

_ACTOR = "customer"
# So often a page believes that what was asked of the customer is done and only not booked yet.
_MOST_HOPES = 5
# So often a page looks again by itself. After that the customer decides, and a forgotten tab makes no load.
_MOST_LOOKS = 20
_LOOK_SECONDS = 3
_COOKIE_SECONDS = 24 * 3600
# What two requests at once, or a change since the page was shown, lead to: the page as it stands now says it.
_OVERTAKEN = (Conflict, IdempotencyKeyInUse, IdempotencyKeyReused, IntegrityError)


@blueprint.get("/<token>")
def show(token: str) -> Response:
    """Show what is owed and how it can be paid, or how its payment stands."""
    link = _open(token)
    return _remembered(_page(token, _find(link)), token, link)


@blueprint.post("/<token>")
def act(token: str) -> Response:
    """Do what the customer has chosen on the page, unless something has changed since it was shown."""
    link = _open(token)
    shown, debt = _shown_on_form(token), _find(link)
    as_it_stands = _remembered(redirect(_address(token), code=303), token, link)
    if shown != _shown(debt):
        return as_it_stands
    try:
        match request.form.get("action"), _view(debt):
            case "pay", View.CHOICE:
                method = _chosen(debt)
                if method is None:
                    return _page(token, debt, "none_chosen", 422)
                _pay(debt, method)
            case "add", View.CHOICE:
                _open_front_end(debt)
            case "leave", view if view in LEAVABLE:
                _leave(debt)
    except _OVERTAKEN:
        return as_it_stands
    except (InvalidRequest, NotFound, FraudBlocked, ReviewRequired, TryLater):
        return _page(token, debt, "impossible", 422)
    return as_it_stands


@blueprint.get("/back/<tag>")
def come_back(tag: str) -> Response:
    """Lead a customer who comes from a bank or provider to their page, which only their browser knows."""
    token = request.cookies.get(_cookie(tag))
    if token is None:
        raise PageRefused("returned", 200)
    _open(token)
    returned = None if request.args.get("canceled") == "1" else 1
    return redirect(_address(token, returned=returned), code=303)


def _links() -> PayLinks:
    links = runtime().pay_links
    if links is None:
        raise PageRefused("unknown", 404)
    return links


def _open(token: str) -> PayLink:
    """Return what a link names. The same page for a forged link and an unknown invoice says nothing about others'."""
    try:
        link = _links().read(token)
    except LinkUnreadable:
        raise PageRefused("unknown", 404) from None
    if link.expires_at <= runtime().clock.now():
        raise PageRefused("expired", 410)
    return link


def _find(link: PayLink) -> Debt:
    debt = runtime().read(find_debt, link.application, link.invoice_id)
    if debt is None:
        raise PageRefused("unknown", 404)
    return debt


def _shown(debt: Debt) -> list[Any]:
    """Return what a form of the page is about: another one means that something has happened since."""
    position = debt.position
    return [position.outstanding, position.currency, debt.payments, position.live_payment]


def _shown_on_form(token: str) -> list[Any]:
    """Return what the page showed from which this request comes. Refuses one that comes from elsewhere.

    There is no cookie or session that another site could use: the signed form says that the page was shown. The
    headers are a second lock. Under `no-referrer` browsers send the origin `null`, so Sec-Fetch-Site comes first."""
    site, origin, own = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin"), urlsplit(own_address())
    is_own = origin in (None, "null", f"{own.scheme}://{own.netloc}") if site is None else site == "same-origin"
    try:
        shown = _links().read_form(token, request.form.get("form", ""))
    except LinkUnreadable:
        is_own, shown = False, []
    if not is_own:
        raise PageRefused("form", 403, _address(token))
    return shown


def _view(debt: Debt, *, has_just_returned: bool = False) -> View:
    return view_of(debt.position, debt.open_payment, is_canceled=debt.is_canceled, has_just_returned=has_just_returned)


def _page(token: str, debt: Debt, note: str | None = None, status: int = 200) -> Response:
    look, returned = max(0, request.args.get("look", 0, type=int)), request.args.get("returned", 0, type=int)
    view = _view(debt, has_just_returned=returned == 1 and look < _MOST_HOPES)
    form = _links().sign_form(token, _shown(debt))
    match view:
        case View.CHOICE:
            return _choice(debt, form, note, status)
        case View.FRONT_END:
            return render("front_end", debt, form=form, **_front_end(debt))
        case View.CONFIRMATION if debt.open_payment:
            return say(view, debt=debt, form=form, link=debt.open_payment.redirect_url, link_text="confirm")
        case View.TRANSFER:
            return say(view, debt=debt, form=form)
        case View.UNDER_WAY:
            again = _address(token, look=look + 1, returned=returned or None)
            if look < _MOST_LOOKS:
                return say(view, refresh=again, refresh_seconds=_LOOK_SECONDS)
            return say(view, text="under_way_long", link=_address(token), link_text="reload")
    return say(view, status=410 if view is View.CANCELED else 200)


def _choice(debt: Debt, form: str, note: str | None, status: int) -> Response:
    saved = _saved_methods(debt)
    first = next((method for method in saved if method.is_default), saved[0] if saved else None)
    methods = [describe(method, _name(method), is_first=method is first) for method in saved]
    shown = note or ("refused" if was_refused(debt.newest) else None)
    offers = {"methods": methods, "can_add": _can_add(), "can_save": _can_save()}
    return render("choice", debt, status, form=form, note=shown, is_dunned=debt.position.is_dunned, **offers)


def _can_add() -> bool:
    return front_end_gateway(runtime().gateways) is not None and bool(
        context().publishable_key or context().test_front_end
    )


def _can_save() -> bool:
    return saved_methods_gateway(runtime().gateways) is not None


def _front_end(debt: Debt) -> dict[str, Any]:
    """Return what the provider's front end needs. The client secret stands on this page only, and is not stored."""
    gateway = runtime().gateways.get(debt.provider or "")
    if not isinstance(gateway, FrontEndGateway) or debt.reference is None:
        raise AssertionError("bug: a payment waits for a front end that its provider does not have")
    secret = gateway.client_secret(debt.reference)
    return_url = f"{own_address()}{PREFIX}/returns/{debt.attempt_id}"
    how = {"client_secret": secret, "return_url": return_url, "publishable_key": context().publishable_key}
    if context().test_front_end:
        how["test_form"] = context().test_address(debt.reference, secret, return_url, _back_address(debt, canceled=1))
    return how


def _saved_methods(debt: Debt) -> list[SavedMethod]:
    """Return the customer's saved methods that can be charged here, newest first."""
    gateway = saved_methods_gateway(runtime().gateways)
    customer = runtime().read(find_customer, debt.user, gateway.provider) if gateway else None
    try:
        saved = gateway.list_methods(customer) if gateway and customer else []
    except CustomerLost:
        return []
    return [method for method in saved if method.kind in list(PaymentMethod)]


def _name(method: SavedMethod) -> str:
    """Return the name of a saved method on the page, which needs no token of the provider."""
    return hashlib.sha256(method.token.encode()).hexdigest()[:16]


def _chosen(debt: Debt) -> SavedMethod | None:
    """Return the chosen method, among this customer's only."""
    chosen = request.form.get("method")
    return next((method for method in _saved_methods(debt) if _name(method) == chosen), None)


def _pay(debt: Debt, method: SavedMethod) -> None:
    """Accept a payment of all that is outstanding, by a saved method. The customer is present, and can confirm."""
    payment = ProcessPayment.parse(
        {
            "invoice_id": debt.invoice_id,
            "user_id": debt.user.user_id,
            "amount": decimal_text(debt.position.outstanding, debt.position.currency),
            "currency": debt.position.currency,
            "payment_method": method.kind,
            "payment_method_token": method.token,
            "off_session": False,
            "return_url": _back_address(debt),
        }
    )
    accept_from(payment, _caller(debt), charge_key(debt.invoice_id, debt.position, debt.payments))


def _open_front_end(debt: Debt) -> None:
    """Open an intent over what is outstanding. Without a key: an invoice has one open intent at most anyway."""
    body = CreateIntent.parse({"invoice_id": debt.invoice_id, "return_url": _back_address(debt)})
    saves_method = request.form.get("save") == "1" and _is_saving_possible(debt)
    intent = open_intent(runtime(), _ACTOR, body, _caller(debt), None)
    client_secret(intent, _ACTOR, saves_method=saves_method)


def _is_saving_possible(debt: Debt) -> bool:
    """Make sure that the provider has a customer who can keep a method, and record that they want to keep it."""
    gateway = saved_methods_gateway(runtime().gateways)
    if gateway is None:
        return False
    get_or_create_customer(runtime(), gateway, debt.user, _ACTOR)
    data = {"user": user_hash(debt.user.user_id), "wording": agreement()}
    now = runtime().clock.now()
    transact(runtime().engine, record_event, "method_saving_agreed", actor=_ACTOR, now=now, data=data)
    return True


def _leave(debt: Debt) -> None:
    """Cancel the payment that waits for its customer, so that they can pay in another way."""
    payment_id = str(debt.position.live_payment)
    canceled = runtime().change(_ACTOR, request_cancel, payment_id, CancelPayment.parse({}), _caller(debt), None)
    runtime().publish(canceled.messages)


def _caller(debt: Debt) -> Caller:
    return Caller(debt.user.application, _ACTOR)


def _address(token: str, look: int | None = None, returned: int | None = None) -> str:
    """Return the address of a link's page in the language that was asked for. What is None is left out."""
    return url_for(".show", token=token, look=look, returned=returned, lang=request.args.get("lang"))


# --- the way back from a bank or provider -----------------------------------------------------------------
# The address to which a provider sends the customer back is stored with the payment, so it must not hold the link.


def _tag(application: str, invoice_id: str) -> str:
    return hashlib.sha256(f"{application}\x1f{invoice_id}".encode()).hexdigest()[:16]


def _cookie(tag: str) -> str:
    return f"pay-{tag}"


def _back_address(debt: Debt, canceled: int | None = None) -> str:
    tag = _tag(debt.user.application, debt.invoice_id)
    return own_address() + url_for(".come_back", tag=tag, canceled=canceled, lang=request.args.get("lang"))


def _remembered(response: Response, token: str, link: PayLink) -> Response:
    """Let this browser know the link when its customer comes back; no other address gets the cookie."""
    tag = _tag(link.application, link.invoice_id)
    response.set_cookie(
        _cookie(tag),
        token,
        max_age=_COOKIE_SECONDS,
        path=url_for(".come_back", tag=tag),
        secure=own_address().startswith("https://"),
        httponly=True,
        samesite="Lax",
    )
    return response
