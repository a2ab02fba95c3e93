"""Front-end intents: the payment is stored first, then the provider's intent is created with no transaction open.

The client secret passes through and is never stored: a repeat of the request reads it from the provider again."""

from __future__ import annotations

from dataclasses import replace

from flask import Blueprint, Response

from domain.errors import UnsupportedMethod
from domain.money import decimal_text
from domain.outcome import ActionRequired, NotSent, Outcome
from domain.payment import Verb
from domain.payment_methods import PaymentMethod
from gateways.base import AttemptRequest, GatewayError, SaveReference
from gateways.capabilities import FrontEndGateway, SavedMethodsGateway
from gateways.http import watch_for_failure
from models import transition
from models.api_keys import Role
from models.front_end_intents import FrontEndIntent
from models.request_bodies import CreateIntent
from runtime.credentials import watch_credentials
from runtime.doors import open_intent
from runtime.provider_customers import with_customer
from webhooks.auth import allow, caller_of_names
from webhooks.context import PREFIX, context, own_address, runtime
from webhooks.requests import idempotency_key, json_body
from webhooks.responses import json_response

blueprint = Blueprint("front_end_intents", __name__)


@blueprint.post("/stripe-intent")
@allow(Role.APP)
def stripe_intent() -> Response:
    """Return an intent over what is outstanding on an invoice, for a front end to confirm."""
    request = CreateIntent.parse(json_body())
    sender = caller_of_names()
    actor = sender.actor
    intent = open_intent(runtime(), actor, request, sender, idempotency_key())
    body = {
        "payment_id": intent.payment_id,
        "client_secret": client_secret(intent, actor),
        "publishable_key": context().publishable_key,
        "return_url": f"{own_address()}{PREFIX}/returns/{intent.attempt_id}",
        "amount": decimal_text(intent.money.minor, intent.money.currency),
        "currency": intent.money.currency,
    }
    return json_response(201, body)


def client_secret(intent: FrontEndIntent, actor: str, *, saves_method: bool = False) -> str:
    """Return the client secret of an intent, which is created unless it exists. Raises GatewayError.

    `saves_method`: the customer wants to keep the method that they will enter."""
    gateway = runtime().gateways.get(intent.provider)
    if not isinstance(gateway, FrontEndGateway):
        raise UnsupportedMethod(f"{intent.provider} has no intents for a front end, or is not configured here")
    if intent.reference is not None:
        return gateway.client_secret(intent.reference)

    def save_reference(reference: str) -> None:
        _record(intent, actor, ActionRequired(reference, {"type": "confirm_in_front_end"}))

    try:
        with runtime().leases.hold(intent.attempt_id, intent.fencing_token), watch_for_failure() as failure:
            return _open(gateway, _attempt_request(intent, saves_method), intent, actor, save_reference)
    except GatewayError as error:
        # The next success of a worker takes the provider off the attention list.
        watch_credentials(runtime(), actor, intent.provider, failure, has_entry=False)
        # No client secret was handed out, so nothing can be charged.
        _record(intent, actor, NotSent(str(error), is_retryable=False))
        raise


def _open(
    gateway: FrontEndGateway, attempt: AttemptRequest, intent: FrontEndIntent, actor: str, save_reference: SaveReference
) -> str:
    """Create the intent for the user's customer, if there is one, or a method is to be kept; return the client
    secret."""
    needs_customer = intent.has_customer or attempt.saves_method
    if not needs_customer or not isinstance(gateway, SavedMethodsGateway):
        return gateway.open_intent(attempt, save_reference)

    def open_for(customer: str) -> str:
        return gateway.open_intent(replace(attempt, customer_token=customer), save_reference)

    return with_customer(runtime(), gateway, intent.user, actor, {}, open_for)


def _record(intent: FrontEndIntent, actor: str, outcome: Outcome) -> None:
    runtime().change(actor, transition.apply, intent.attempt_id, outcome, intent.fencing_token)


def _attempt_request(intent: FrontEndIntent, saves_method: bool) -> AttemptRequest:
    return AttemptRequest(
        payment_id=intent.payment_id,
        attempt_id=intent.attempt_id,
        verb=Verb.CHARGE,
        money=intent.money,
        method=PaymentMethod.STRIPE,
        method_token=None,
        customer_token=None,
        is_off_session=False,
        wants_authentication=intent.wants_authentication,
        return_url=None,
        reference=None,
        charge_reference=None,
        retries=intent.retries,
        claimed_at=runtime().clock.now(),
        saves_method=saves_method,
    )
