"""Front-end intents: a payment over what is outstanding on an invoice, which the customer's browser confirms.

The payment is stored and its attempt claimed before the provider's intent is created. Nothing here calls a provider."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, select

from domain.commands import IntentRepeated, Started
from domain.dunning.case import TryCause, cause_of_payment
from domain.invoice import require_no_live_payment, require_unpaid
from domain.money import Money
from domain.payment import State, Verb
from domain.payment_methods import INSTRUMENT, PaymentMethod
from domain.routing import Choice, RoutingRequest
from models import transition
from models.change import Change
from models.fraud.subjects import ScoringRequest
from models.idempotency import ApiResponse, Caller, IdempotencyRecord, reserve_key, store_response
from models.invoices import application_of_invoice, find_invoice, lock_invoice
from models.new_payments import first_attempt, new_payment, store_payment
from models.provider_customers import User, has_customer
from models.queries import invoice_position
from models.request_bodies import CreateIntent
from models.tables import attempts, payments
from models.transition_locks import lock_attempt

# Called with the locked attempt of an intent that is about to be created. Returns whether the customer is to
# authenticate, or raises what refuses it.
Admit = Callable[[Change, Row[Any]], bool]
# Returns the route of a payment, the preferred provider first.
Route = Callable[[RoutingRequest], Sequence[Choice]]

_intents = (
    select(
        payments,
        attempts.c.id.label("attempt_id"),
        attempts.c.fencing_token,
        attempts.c.provider_reference,
        attempts.c.retries,
    )
    .join(attempts, attempts.c.payment_id == payments.c.id)
    .where(payments.c.is_client_confirmed, attempts.c.number == 1)
)


@dataclass(frozen=True, slots=True)
class FrontEndIntent:
    """A payment that a front end confirms. `reference` None: the provider's intent is not created yet. `retries`: how
    often its creation has failed. `has_customer`: its user has a customer at the provider, which may still be to be
    made. `wants_authentication`: the customer is to authenticate."""

    payment_id: str
    attempt_id: str
    fencing_token: int
    provider: str
    money: Money
    reference: str | None
    user: User
    retries: int = 0
    has_customer: bool = False
    wants_authentication: bool = False


def accept_intent(
    change: Change, request: CreateIntent, caller: Caller, key: str | None, route: Route, admit: Admit
) -> FrontEndIntent:
    """Store a payment over what is outstanding on an invoice and claim its attempt, or return the open one.

    A customer who comes back to the checkout gets the same intent, not a second collection; one whose intent could
    not be created goes on with the same payment. Raises CollectionInProgress, AmountAboveOpen, and what
    `route` and `admit` raise."""
    connection = change.connection
    application = application_of_invoice(connection, request.invoice_id, caller)
    invoice = lock_invoice(connection, request.invoice_id, application)
    record = IdempotencyRecord(invoice.application, key, "intent", request)
    replay = reserve_key(connection, record, change.now)
    position = invoice_position(connection, invoice.id, invoice.application)
    for payment_id in (replay.payment_id if replay else None, position.live_payment):
        open_intent = _find_intent(connection, payment_id) if payment_id else None
        if open_intent is not None and open_intent.reference is not None:
            store_response(connection, record, ApiResponse(201, {}, payment_id))
            return open_intent
    require_no_live_payment(position)
    require_unpaid(position)
    money = Money(position.outstanding, invoice.currency)
    # The browser brings the instrument, so the request counts as having one.
    given = frozenset({INSTRUMENT})
    provider = route(RoutingRequest(PaymentMethod.STRIPE, money, given=given))[0].provider
    failed = _find_failed(connection, invoice, provider, money.minor)
    if failed is not None:
        intent = _claim_again(change, failed, admit)
    else:
        cause = cause_of_payment(is_dunned=position.is_dunned, is_off_session=False)
        intent = _store_intent(change, invoice, provider, money, request, cause, admit)
    store_response(connection, record, ApiResponse(201, {}, intent.payment_id))
    return replace(intent, has_customer=has_customer(connection, intent.user, provider))


def _store_intent(
    change: Change,
    invoice: Row[Any],
    provider: str,
    money: Money,
    request: CreateIntent,
    cause: TryCause | None,
    admit: Admit,
) -> FrontEndIntent:
    payment = new_payment(
        invoice.application,
        money,
        change.now,
        invoice_id=invoice.id,
        user_id=invoice.user_id,
        method=PaymentMethod.STRIPE,
        provider=provider,
        is_client_confirmed=True,
        return_url=request.return_url,
    )
    attempt = first_attempt(payment, Verb.CHARGE, change.actor, change.now) | {"cause": cause}
    store_payment(change.connection, payment, attempt, change.actor, change.now)
    locked = lock_attempt(change.connection, attempt["id"])
    wants_authentication = admit(change, locked)
    token = transition.apply(change, locked, Started()).fencing_token
    user = User(invoice.application, invoice.user_id)
    intent = FrontEndIntent(payment["id"], attempt["id"], token, provider, money, None, user)
    return replace(intent, wants_authentication=wants_authentication)


def _claim_again(change: Change, failed: FrontEndIntent, admit: Admit) -> FrontEndIntent:
    locked = lock_attempt(change.connection, failed.attempt_id)
    wants_authentication = admit(change, locked)
    token = transition.apply(change, locked, IntentRepeated()).fencing_token
    again = replace(failed, fencing_token=token, retries=failed.retries + 1)
    return replace(again, wants_authentication=wants_authentication)


def find_new_intent(connection: Connection, request: CreateIntent, caller: Caller) -> ScoringRequest | None:
    """Return what is scored of the intent that a request asks for; None where nothing new would be collected. Locks
    nothing."""
    application = application_of_invoice(connection, request.invoice_id, caller)
    invoice = find_invoice(connection, request.invoice_id, application)
    if invoice is None:
        return None
    position = invoice_position(connection, invoice.id, application)
    if position.live_payment is not None or position.outstanding <= 0:
        return None
    return ScoringRequest(
        application,
        Money(position.outstanding, invoice.currency),
        PaymentMethod.STRIPE,
        request.subject(invoice.user_id),
        has_fingerprint=bool(request.card and request.card.fingerprint),
        billing_country=request.billing_country,
        card_country=request.card_country,
    )


def _find_failed(connection: Connection, invoice: Row[Any], provider: str, minor: int) -> FrontEndIntent | None:
    """Return the newest payment of the invoice whose intent could not be created, if it asks for the same money."""
    is_of_invoice = (payments.c.invoice_id == invoice.id) & (payments.c.application == invoice.application)
    is_same = (payments.c.provider == provider) & (payments.c.amount == minor)
    is_uncreated = (payments.c.state == State.FAILED) & attempts.c.provider_reference.is_(None)
    newest = _intents.where(is_of_invoice, is_same, is_uncreated).order_by(payments.c.id.desc()).limit(1)
    return _intent(connection.execute(newest).one_or_none())


def _find_intent(connection: Connection, payment_id: str) -> FrontEndIntent | None:
    return _intent(connection.execute(_intents.where(payments.c.id == payment_id)).one_or_none())


def _intent(row: Row[Any] | None) -> FrontEndIntent | None:
    if row is None:
        return None
    money = Money(row.amount, row.currency)
    user = User(row.application, row.user_id)
    return FrontEndIntent(
        row.id, row.attempt_id, row.fencing_token, row.provider, money, row.provider_reference, user, row.retries
    )
