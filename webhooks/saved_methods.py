"""Saved payment methods of an application's users, kept by a provider: set up, listed, attached, detached."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import asdict
from typing import Any

from flask import Blueprint, Response

from domain.card_number import contains_card_number
from domain.errors import CardNumberRefused, InvalidRequest, NotFound, UnsupportedMethod
from gateways.base import SavedMethodsGateway
from gateways.registry import saved_methods_gateway
from models.api_keys import Role
from models.audit import record_event
from models.provider_customers import find_customer, save_customer
from models.request_bodies import AttachMethod, OpenSetup
from models.session import transact
from webhooks.auth import allow, caller, caller_of_names
from webhooks.context import context, runtime
from webhooks.requests import idempotency_key, json_body
from webhooks.responses import json_response

blueprint = Blueprint("saved_methods", __name__)


@blueprint.post("/setup-intent")
@allow(Role.APP)
def setup_intent() -> Response:
    """Open a setup with which a front end saves a payment method for later charges."""
    request = OpenSetup.parse(json_body())
    customer = _get_or_create_customer(request.user_id, request.payer)
    setup = _gateway().open_setup(customer, request.payment_method, _request_key("setup", request.user_id))
    opened = {"setup_id": setup.reference, "client_secret": setup.client_secret, "customer_token": customer}
    return json_response(201, opened | {"publishable_key": context().publishable_key})


@blueprint.get("/customers/<user_id>/payment-methods")
@allow(Role.APP)
def list_methods(user_id: str) -> Response:
    """List a user's saved payment methods."""
    customer = _find_customer(user_id)
    saved = _gateway().list_methods(customer) if customer else []
    shown = [{"payment_method_token": method.token} | _without_token(method) for method in saved]
    return json_response(200, {"customer_token": customer, "payment_methods": shown})


@blueprint.post("/customers/<user_id>/payment-methods")
@allow(Role.APP)
def attach_method(user_id: str) -> Response:
    """Save a payment method for a user's later charges, as their default if requested."""
    request = AttachMethod.parse(json_body())
    customer = _get_or_create_customer(_checked(user_id), request.payer)
    token = request.payment_method_token
    saved = _gateway().attach_method(customer, token, _request_key("attach", user_id, token))
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
    application, gateway = _application(), saved_methods_gateway(runtime().gateways)
    return runtime().read(find_customer, application, user_id, gateway.provider) if gateway else None


def _existing_customer(user_id: str) -> str:
    customer = _find_customer(user_id)
    if customer is None:
        raise NotFound("this user has no saved payment methods; check the user_id and the API key")
    return customer


def _get_or_create_customer(user_id: str, payer: dict[str, Any]) -> str:
    """Return the provider's customer of a user. No transaction is open while the provider is called."""
    known = _find_customer(user_id)
    if known is not None:
        return known
    now = runtime().clock.now()
    created = _gateway().create_customer(_key("customer", user_id), payer, {"user_id": user_id})
    user = (_application(), user_id, _gateway().provider)
    return transact(runtime().engine, save_customer, *user, created, now)


def _key(*parts: str) -> str:
    """Return the idempotency key of a call: the same request of the same application is the same call."""
    return hashlib.sha256("\x1f".join((_application(), *parts)).encode()).hexdigest()


def _request_key(*parts: str) -> str:
    """Return the idempotency key of a call that each request repeats, unless its Idempotency-Key says otherwise."""
    return _key(*parts, idempotency_key() or secrets.token_hex(16))


def _record(name: str, user_id: str) -> None:
    data = {"user": hashlib.sha256(user_id.encode()).hexdigest()[:16]}
    now = runtime().clock.now()
    transact(runtime().engine, record_event, name, actor=caller().actor, now=now, data=data)


def _without_token(saved: Any) -> dict[str, Any]:
    return {name: value for name, value in asdict(saved).items() if name != "token"}
