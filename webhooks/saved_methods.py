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
from gateways.base import CustomerLost
from gateways.capabilities import MethodSetup, SavedMethod, SavedMethodsGateway
from gateways.registry import saved_methods_gateway
from models.api_keys import Role
from models.audit import record_event
from models.provider_customers import User, find_customer, forget_customer, user_hash
from models.request_bodies import AttachMethod, OpenSetup
from models.session import transact
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

    def open_setup(customer: str) -> tuple[str, MethodSetup]:
        return customer, _gateway().open_setup(customer, method, _request_key("setup", user_id, customer))

    customer, setup = _with_customer(user_id, request.payer, open_setup)
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
    shown = [{"payment_method_token": method.token} | _without_token(method) for method in saved]
    return json_response(200, {"customer_token": customer, "payment_methods": shown})


@blueprint.post("/customers/<user_id>/payment-methods")
@allow(Role.APP)
def attach_method(user_id: str) -> Response:
    """Save a payment method for a user's later charges, as their default if requested."""
    request = AttachMethod.parse(json_body())
    token = request.payment_method_token

    def attach(customer: str) -> tuple[str, SavedMethod]:
        return customer, _gateway().attach_method(customer, token, _request_key("attach", user_id, token, customer))

    customer, saved = _with_customer(_checked(user_id), request.payer, attach)
    if request.default:
        _gateway().make_default(customer, saved.token)
    _record("payment_method_attached", user_id)
    shown = _without_token(saved) | {"is_default": request.default or saved.is_default}
    return json_response(201, {"payment_method_token": saved.token, "customer_token": customer} | shown)


@blueprint.post("/customers/<user_id>/payment-methods/<token>/default")
@allow(Role.APP)
def make_default(user_id: str, token: str) -> Response:
    """Make a method the default of its user."""
    _gateway().make_default(_existing_customer(user_id), token)
    return json_response(200, {"payment_method_token": token, "is_default": True})


@blueprint.delete("/customers/<user_id>/payment-methods/<token>")
@allow(Role.APP)
def detach_method(user_id: str, token: str) -> Response:
    """Remove a saved payment method for good."""
    _gateway().detach_method(_existing_customer(user_id), token)
    _record("payment_method_detached", user_id)
    return json_response(200, {"payment_method_token": token, "detached": True})


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
    return {name: value for name, value in asdict(saved).items() if name != "token"}
