"""Builds what a gateway is told about an attempt from the locked rows."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, case, select

from domain.fraud import FraudDecision
from domain.money import Money
from domain.payment import AttemptStatus, Verb
from domain.payment_methods import PaymentMethod, needs_payer
from gateways.base import AttemptRequest
from models.tables import attempts, payments


def attempt_request(
    connection: Connection, locked: Row[Any], decision: FraudDecision = FraudDecision.APPROVE
) -> AttemptRequest:
    """Return the request of a locked attempt. `decision`: what the fraud rules said of its payment."""
    verb = Verb(locked.attempt_verb)
    return AttemptRequest(
        payment_id=locked.id,
        attempt_id=locked.attempt_id,
        verb=verb,
        money=Money(locked.attempt_amount, locked.currency),
        method=PaymentMethod(locked.method),
        method_token=locked.method_token,
        customer_token=locked.customer_token,
        is_off_session=locked.is_off_session,
        wants_authentication=decision is FraudDecision.VERIFY and not locked.is_off_session,
        return_url=locked.return_url,
        reference=locked.attempt_provider_reference,
        charge_reference=_charge_reference(connection, locked, verb),
        retries=locked.attempt_retries,
        reason=locked.attempt_reason,
        payer=_payer(connection, locked),
    )


def _payer(connection: Connection, locked: Row[Any]) -> dict[str, Any]:
    """Return the payer's data for providers that need it when their object is created; nothing afterwards."""
    if locked.attempt_provider_reference is not None or not needs_payer(PaymentMethod(locked.method)):
        return {}
    return connection.scalar(select(payments.c.payer).where(payments.c.id == locked.id)) or {}


def _charge_reference(connection: Connection, locked: Row[Any], verb: Verb) -> str | None:
    """Return the provider's object whose money an operation is about: the one that a void names, or the charge's."""
    if verb.is_collecting:
        return None
    named: str | None = locked.attempt_provider_reference if verb is Verb.VOID else None
    return named or _reference_of_charge(connection, locked.id)


def _reference_of_charge(connection: Connection, payment_id: str) -> str | None:
    succeeded_first = case((attempts.c.status == AttemptStatus.SUCCEEDED, 0), else_=1)
    reference: str | None = connection.scalar(
        select(attempts.c.provider_reference)
        .where(
            attempts.c.payment_id == payment_id,
            attempts.c.verb.in_([Verb.CHARGE, Verb.AUTHORIZE]),
            attempts.c.provider_reference.is_not(None),
        )
        .order_by(succeeded_first, attempts.c.number.desc())
        .limit(1)
    )
    return reference
