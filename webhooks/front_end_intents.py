"""Front-end intents: the payment is stored first, the provider's intent opened without a transaction, and the
client secret passed through. It is never stored: a repetition reads it from the provider again."""

from __future__ import annotations

from typing import Any

from domain.errors import UnsupportedMethod
from domain.money import Money, decimal_text
from domain.outcome import ActionRequired, NotSent, Outcome
from domain.payment import Verb
from domain.payment_methods import PaymentMethod
from gateways.base import AttemptRequest, FrontEndGateway, GatewayError
from models import intake, transition
from models.idempotency import Caller
from models.intake import FrontEndIntent
from models.requests import CreateIntent
from models.session import transact
from webhooks.context import Services

_PROVIDER = "stripe"


def open_intent(services: Services, command: CreateIntent, caller: Caller, key: str | None) -> dict[str, Any]:
    """Return the payment's id and the client secret, for an open intent of this invoice or a new one."""
    if _PROVIDER not in services.gateways:
        raise UnsupportedMethod(f"{_PROVIDER} is not configured here")
    now = services.clock.now()
    intent = transact(
        services.engine,
        lambda connection: intake.accept_intent(
            connection, command, caller, key, now, services.policy, services.router
        ),
    )
    secret = _secret(services, intent)
    return {
        "payment_id": intent.payment_id,
        "client_secret": secret,
        "publishable_key": services.publishable_key,
        "amount": decimal_text(intent.money.minor, intent.money.currency),
        "currency": intent.money.currency,
    }


def _secret(services: Services, intent: FrontEndIntent) -> str:
    gateway = services.gateways[_PROVIDER]
    if not isinstance(gateway, FrontEndGateway):
        raise AssertionError(f"bug: {_PROVIDER} has no front-end intents")
    if intent.reference is not None:
        return gateway.client_secret(intent.reference)

    def save_reference(reference: str) -> None:
        _record(services, intent, ActionRequired(reference, {"type": "confirm_in_front_end"}))

    try:
        with services.hold(intent.attempt_id, intent.fencing_token):
            return gateway.open_intent(_attempt_request(intent), save_reference)
    except GatewayError as error:
        # Nobody has seen a client secret, so nothing can be charged.
        _record(services, intent, NotSent(str(error), is_retryable=False))
        raise


def _record(services: Services, intent: FrontEndIntent, outcome: Outcome) -> None:
    now = services.clock.now()
    transact(
        services.engine,
        lambda connection: transition.apply(
            connection,
            intent.attempt_id,
            outcome,
            now=now,
            policy=services.policy,
            actor=intent.actor,
            fencing_token=intent.fencing_token,
        ),
    )


def _attempt_request(intent: FrontEndIntent) -> AttemptRequest:
    return AttemptRequest(
        payment_id=intent.payment_id,
        attempt_id=intent.attempt_id,
        verb=Verb.CHARGE,
        money=Money(intent.money.minor, intent.money.currency),
        method=PaymentMethod.STRIPE,
        method_token=None,
        customer_token=None,
        is_off_session=False,
        wants_authentication=False,
        return_url=None,
        reference=None,
        charge_reference=None,
        retries=0,
    )
