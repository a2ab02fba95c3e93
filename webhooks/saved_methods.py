"""Saved payment methods of an application's users, kept by a provider: set up, listed, attached, detached."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeVar

from flask import Blueprint, Response

from domain.card_number import contains_card_number
from domain.errors import CardNumberRefused, InvalidRequest, NotFound, UnsupportedMethod
from domain.saved_method import token_hash
from gateways.base import CustomerLost
from gateways.capabilities import MethodSetup, SavedMethod, SavedMethodsGateway
from gateways.registry import approved_methods_gateway, saved_methods_gateway
from models.api_keys import Role
from models.audit import record_event
from models.backup_methods import remove_backup
from models.default_methods import choose_default, choose_kept_default
from models.fraud.signals import Door
from models.method_setups import PREFIX, find_setup, is_setup_id
from models.provider_customers import User, find_customer, forget_customer, user_hash
from models.request_bodies import AttachMethod, OpenSetup
from models.saved_methods import find_kept, kept_methods, note_saved
from models.session import transact
from runtime.approved_methods import as_saved_method, ask_to_save, facts_of, remove_saved, save_approved
from runtime.doors import note_opened, pass_door, trying
from runtime.provider_customers import with_customer
from webhooks.auth import allow, caller, caller_of_names
from webhooks.context import context, runtime
from webhooks.requests import idempotency_key, json_body
from webhooks.responses import json_response

blueprint = Blueprint("saved_methods", __name__)

T = TypeVar("T")


@blueprint.post("/setup-intent")
@allow(Role.APP)
def setup_intent() -> Response:
    """Open a setup with which a front end saves a payment method for later charges."""
    request = OpenSetup.parse(json_body())
    method, user_id = request.payment_method, request.user_id
    on_page = approved_methods_gateway(runtime().gateways, method)
    if on_page is not None:
        setup_id = f"{PREFIX}{_request_key('setup', user_id, method)[:32]}"
        user = User(_application(), user_id)
        address = ask_to_save(runtime(), on_page, caller().actor, setup_id, user, request.return_url)
        return json_response(201, {"setup_id": setup_id, "next_action": {"type": "redirect", "redirect_url": address}})

    def open_setup(customer: str) -> tuple[str, MethodSetup]:
        return customer, _gateway().open_setup(customer, method, _request_key("setup", user_id, customer))

    application, actor = _application(), caller().actor
    passed = pass_door(runtime(), actor, Door.SETUP, application, user_id, request)
    with trying(runtime(), actor, application, passed, Door.SETUP):
        customer, setup = _with_customer(user_id, request.payer, open_setup)
    note_opened(runtime(), actor, application, passed, setup.reference)
    opened = {"setup_id": setup.reference, "client_secret": setup.client_secret, "customer_token": customer}
    return json_response(201, opened | {"publishable_key": context().publishable_key})


@blueprint.get("/customers/<user_id>/payment-methods")
@allow(Role.APP)
def list_methods(user_id: str) -> Response:
    """List a user's saved payment methods."""
    customer = _find_customer(user_id)
    try:
        saved = _gateway().list_methods(customer) if customer else []
    except CustomerLost:
        _forget(user_id, customer)
        customer, saved = None, []
    kept = [as_saved_method(row) for row in runtime().read(kept_methods, User(_application(), user_id))]
    shown = [{"payment_method_token": method.token} | _without_token(method) for method in (*saved, *kept)]
    return json_response(200, {"customer_token": customer, "payment_methods": shown})


@blueprint.post("/customers/<user_id>/payment-methods")
@allow(Role.APP)
def attach_method(user_id: str) -> Response:
    """Save a payment method for a user's later charges, as their default if requested."""
    request = AttachMethod.parse(json_body())
    token = request.payment_method_token
    if is_setup_id(token):
        return _save_approved(user_id, token, is_default=request.default)

    def attach(customer: str) -> tuple[str, SavedMethod]:
        return customer, _gateway().attach_method(customer, token, _request_key("attach", user_id, token, customer))

    application, actor = _application(), caller().actor
    passed = pass_door(runtime(), actor, Door.ATTACH, application, _checked(user_id), request, token)
    with trying(runtime(), actor, application, passed, Door.ATTACH):
        customer, saved = _with_customer(user_id, request.payer, attach)
    user, provider = User(_application(), user_id), _gateway().provider
    if request.default:
        _make_default(user, customer, saved.token)
    else:
        runtime().change(caller().actor, note_saved, user, provider, saved.token, facts_of(saved), is_default=False)
    _record("payment_method_attached", user_id)
    shown = _without_token(saved) | {"is_default": request.default or saved.is_default}
    return json_response(201, {"payment_method_token": saved.token, "customer_token": customer} | shown)


@blueprint.post("/customers/<user_id>/payment-methods/<token>/default")
@allow(Role.APP)
def make_default(user_id: str, token: str) -> Response:
    """Make a method the default of its user, and try their debts in dunning by it now."""
    user = User(_application(), user_id)
    kept = runtime().read(find_kept, user, token_hash(token))
    if kept is not None:
        runtime().change(caller().actor, choose_kept_default, user, kept)
    else:
        _make_default(user, _existing_customer(user_id), token)
    return json_response(200, {"payment_method_token": token, "is_default": True})


@blueprint.delete("/customers/<user_id>/payment-methods/<token>")
@allow(Role.APP)
def detach_method(user_id: str, token: str) -> Response:
    """Remove a saved payment method for good."""
    kept = runtime().read(find_kept, User(_application(), user_id), token_hash(token))
    if kept is not None:
        remove_saved(runtime(), caller().actor, kept)
    else:
        _gateway().detach_method(_existing_customer(user_id), token)
    runtime().change(caller().actor, remove_backup, User(_application(), user_id), token_hash(token))
    _record("payment_method_detached", user_id)
    return json_response(200, {"payment_method_token": token, "detached": True})


def _make_default(user: User, customer: str, token: str) -> None:
    chosen = _gateway().make_default(customer, token)
    runtime().change(caller().actor, choose_default, user, _gateway().provider, chosen.token, facts_of(chosen))


def _save_approved(user_id: str, setup_id: str, *, is_default: bool) -> Response:
    user = User(_application(), user_id)
    setup = runtime().read(find_setup, setup_id)
    if setup is None or User(setup.application, setup.user_id) != user:
        raise NotFound("this user has no such setup; open one, or check the user_id and the API key")
    kept = save_approved(runtime(), caller().actor, setup)
    if is_default:
        runtime().change(caller().actor, choose_kept_default, user, kept)
    saved = as_saved_method(kept)
    shown = _without_token(saved) | {"is_default": is_default or saved.is_default}
    return json_response(201, {"payment_method_token": saved.token, "customer_token": None} | shown)


def _gateway() -> SavedMethodsGateway:
    """Return the configured gateway that keeps saved methods."""
    gateway = saved_methods_gateway(runtime().gateways)
    if gateway is None:
        raise UnsupportedMethod("no provider that keeps payment methods is configured here")
    return gateway


def _application() -> str:
    application = caller_of_names().application
    if application is None:
        raise InvalidRequest("saved payment methods belong to an application; say whose are meant (`application`)")
    return application


def _checked(user_id: str) -> str:
    if not 1 <= len(user_id) <= 200:
        raise InvalidRequest("user_id must be 1 to 200 characters")
    if contains_card_number(user_id):
        raise CardNumberRefused("user_id looks like a card number; use another")
    return user_id


def _find_customer(user_id: str) -> str | None:
    user, gateway = User(_application(), user_id), saved_methods_gateway(runtime().gateways)
    return runtime().read(find_customer, user, gateway.provider) if gateway else None


def _existing_customer(user_id: str) -> str:
    customer = _find_customer(user_id)
    if customer is None:
        raise NotFound("this user has no saved payment methods; check the user_id and the API key")
    return customer


def _with_customer(user_id: str, payer: dict[str, Any], use: Callable[[str], T]) -> T:
    return with_customer(runtime(), _gateway(), User(_application(), user_id), caller().actor, payer, use)


def _forget(user_id: str, customer: str | None) -> None:
    user = User(_application(), user_id)
    runtime().change(caller().actor, forget_customer, user, _gateway().provider, customer or "")


def _key(*parts: str) -> str:
    """Return the idempotency key of a call: the same request of the same application is the same call."""
    return hashlib.sha256("\x1f".join((_application(), *parts)).encode()).hexdigest()


def _request_key(*parts: str) -> str:
    """Return the idempotency key of a call that each request repeats, unless its Idempotency-Key says otherwise."""
    return _key(*parts, idempotency_key() or secrets.token_hex(16))


def _record(name: str, user_id: str) -> None:
    data = {"user": user_hash(user_id)}
    now = runtime().clock.now()
    transact(runtime().engine, record_event, name, actor=caller().actor, now=now, data=data)


def _without_token(saved: Any) -> dict[str, Any]:
    return {name: value for name, value in asdict(saved).items() if name not in ("token", "instrument")}
