"""Saved payment methods of an application's users, kept by the provider: set up, listed, attached, detached."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import asdict
from typing import Any

from flask import Blueprint, Response, jsonify

from domain.card_number import contains_card_number
from domain.errors import CardNumberRefused, InvalidRequest, NotFound, UnsupportedMethod
from gateways.base import SavedMethodsGateway
from models.api_keys import Role
from models.audit import record_event
from models.provider_customers import find_customer, save_customer
from models.requests import AttachMethod, OpenSetup
from models.session import read, transact
from webhooks.auth import allow, caller
from webhooks.context import services
from webhooks.requests import idempotency_key, json_body

blueprint = Blueprint("customers", __name__)

# The one provider so far that keeps instruments for us.
_PROVIDER = "stripe"


@blueprint.post("/setup-intent")
@allow(Role.APP)
def setup_intent() -> Response:
    """Open a setup with which a front end saves a payment method for later charges."""
    command = OpenSetup.parse(json_body())
    customer = _know(command.user_id, command.payer)
    setup = _wallet().open_setup(customer, command.payment_method, _request_key("setup", command.user_id))
    opened = {"setup_id": setup.reference, "client_secret": setup.client_secret, "customer_token": customer}
    return _json(201, opened | {"publishable_key": services().publishable_key})


@blueprint.get("/customers/<user_id>/payment-methods")
@allow(Role.APP)
def list_methods(user_id: str) -> Response:
    """List a user's saved payment methods."""
    customer = _find(user_id)
    saved = _wallet().list_methods(customer) if customer else []
    shown = [{"payment_method_token": method.token} | _without_token(method) for method in saved]
    return _json(200, {"customer_token": customer, "payment_methods": shown})


@blueprint.post("/customers/<user_id>/payment-methods")
@allow(Role.APP)
def attach_method(user_id: str) -> Response:
    """Save a payment method for a user's later charges, as his default if asked."""
    command = AttachMethod.parse(json_body())
    customer = _know(_checked(user_id), command.payer)
    token = command.payment_method_token
    saved = _wallet().attach_method(customer, token, _request_key("attach", user_id, token))
    if command.default:
        _wallet().make_default(customer, saved.token)
    _note("payment_method_attached", user_id)
    shown = _without_token(saved) | {"is_default": command.default or saved.is_default}
    return _json(201, {"payment_method_token": saved.token, "customer_token": customer} | shown)


@blueprint.post("/customers/<user_id>/payment-methods/<token>/default")
@allow(Role.APP)
def make_default(user_id: str, token: str) -> Response:
    """Charge this one when a request names none."""
    _wallet().make_default(_known(user_id), token)
    return _json(200, {"payment_method_token": token, "is_default": True})


@blueprint.delete("/customers/<user_id>/payment-methods/<token>")
@allow(Role.APP)
def detach_method(user_id: str, token: str) -> Response:
    """Forget a payment method for ever."""
    _wallet().detach_method(_known(user_id), token)
    _note("payment_method_detached", user_id)
    return _json(200, {"payment_method_token": token, "detached": True})


def _wallet() -> SavedMethodsGateway:
    gateway = services().gateways.get(_PROVIDER)
    if not isinstance(gateway, SavedMethodsGateway):
        raise UnsupportedMethod(f"saved payment methods need {_PROVIDER}, which is not configured here")
    return gateway


def _application() -> str:
    application = caller().application
    if application is None:
        raise InvalidRequest("saved payment methods belong to an application; use a key with the role app")
    return application


def _checked(user_id: str) -> str:
    if not 1 <= len(user_id) <= 200:
        raise InvalidRequest("user_id must be 1 to 200 characters")
    if contains_card_number(user_id):
        raise CardNumberRefused("user_id looks like a card number; use another")
    return user_id


def _find(user_id: str) -> str | None:
    application = _application()
    return read(services().engine, lambda connection: find_customer(connection, application, user_id, _PROVIDER))


def _known(user_id: str) -> str:
    customer = _find(user_id)
    if customer is None:
        raise NotFound("this user has no saved payment methods; check the user_id and the API key")
    return customer


def _know(user_id: str, payer: dict[str, Any]) -> str:
    """Return the provider's customer of a user, made now if there is none. The provider is called in no transaction."""
    known = _find(user_id)
    if known is not None:
        return known
    application, now = _application(), services().clock.now()
    made = _wallet().create_customer(_key("customer", user_id), payer, {"user_id": user_id})
    return transact(
        services().engine,
        lambda connection: save_customer(connection, application, user_id, _PROVIDER, made, now),
    )


def _key(*parts: str) -> str:
    """Return the idempotency key of a call: the same request of the same application is the same call."""
    return hashlib.sha256("\x1f".join((_application(), *parts)).encode()).hexdigest()


def _request_key(*parts: str) -> str:
    """Return the idempotency key of a call that is new for every request, unless the request says that it is not."""
    return _key(*parts, idempotency_key() or secrets.token_hex(16))


def _note(name: str, user_id: str) -> None:
    now, actor = services().clock.now(), caller().actor
    data = {"user": hashlib.sha256(user_id.encode()).hexdigest()[:16]}
    transact(services().engine, lambda connection: record_event(connection, None, name, None, None, actor, now, data))


def _without_token(saved: Any) -> dict[str, Any]:
    return {name: value for name, value in asdict(saved).items() if name != "token"}


def _json(status: int, body: Any) -> Response:
    response = jsonify(body)
    response.status_code = status
    return response
