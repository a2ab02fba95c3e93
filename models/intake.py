"""The durable front doors: a payment is accepted, an operation requested, a webhook kept, in one commit each.

HTTP and the Celery task come through here with the same idempotency. Nothing here calls a provider."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from domain.commands import Started
from domain.decision import Policy
from domain.dunning import SubscriptionStatus
from domain.errors import (
    AmountAboveOpen,
    CollectionInProgress,
    Conflict,
    InvoiceMismatch,
    NotFound,
)
from domain.money import Money, decimal_text
from domain.payment import Event, State, Verb
from domain.payment_methods import PaymentMethod
from domain.routing import Choice, RoutingRequest
from models import transition
from models.audit import record_event
from models.base import new_id
from models.billing import invoices, subscriptions
from models.effects import new_attempt
from models.history import webhook_events
from models.idempotency import ApiResponse, Caller, reserve_key, store_response
from models.payments import attempts, payments
from models.provider_customers import belongs_to_another_user
from models.queries import invoice_position, payment_view, show_invoice
from models.requests import (
    CreateIntent,
    ProcessPayment,
    UpsertInvoice,
)
from models.session import insert_new
from models.task_messages import WEBHOOK, TaskMessage, message_for_attempt

# The bell is rung right after the commit; beat rings what is still waiting this much later.
_UNHEARD_AFTER = timedelta(seconds=4)
# Tells who charges a wish, in order of preference.
Route = Callable[[RoutingRequest], Sequence[Choice]]
# Owner of what comes through the broker for an invoice that is new and names no application.
DEFAULT_APPLICATION = "default"


def accept_payment(
    connection: Connection,
    command: ProcessPayment,
    caller: Caller,
    key: str | None,
    now: datetime,
    choices: Sequence[Choice],
) -> ApiResponse:
    """Store the payment, its first attempt and its event, due now; the answer is 202 with the payment.

    `choices`: who charges it, in order, as routing has it. Raises Conflict when the invoice is being collected, is
    another user's, or has less open."""
    money = command.money
    provider = choices[0].provider
    application = caller.application or _invoice_application(connection, command.invoice_id) or DEFAULT_APPLICATION
    _require_own_customer(connection, command, application)
    payment_id, attempt_id = new_id("pay", now), new_id("at", now)
    payment = _new_payment(
        payment_id,
        application,
        money,
        now,
        invoice_id=command.invoice_id,
        subscription_id=command.subscription_id,
        user_id=command.user_id,
        method=command.payment_method,
        provider=provider,
        # Where there is no choice there is nothing to remember.
        route=[[choice.provider, choice.reason] for choice in choices] if len(choices) > 1 else None,
        method_token=command.payment_method_token,
        customer_token=command.customer_token,
        is_captured_later=not command.capture,
        is_off_session=command.is_off_session,
        return_url=command.return_url,
        payer=command.payer,
        metadata=command.metadata,
    )
    verb = Verb.CHARGE if command.capture else Verb.AUTHORIZE
    attempt = new_attempt(attempt_id, payment_id, verb, provider, money.minor, now=now, actor=caller.actor) | {
        "due_at": now + _UNHEARD_AFTER
    }
    body = payment_view(payment, [attempt]) | {"fraud": None, "disputes": [], "dunning": None}
    response = ApiResponse(202, body, payment_id, (message_for_attempt(attempt_id, verb),))
    replay = reserve_key(connection, application, key, command.fingerprint("process"), now, response)
    if replay is not None:
        return replay
    _claim_invoice(connection, command, money, application, now)
    if command.subscription_id is not None:
        _know_subscription(connection, command, application, now)
    _store_payment(connection, payment, attempt, caller.actor, now)
    return response


def _require_own_customer(connection: Connection, command: ProcessPayment, application: str) -> None:
    token = command.customer_token
    if token is not None and belongs_to_another_user(connection, token, application, command.user_id):
        raise NotFound("no such customer_token; check the user_id and the API key")


def _new_payment(payment_id: str, application: str, money: Money, now: datetime, **columns: Any) -> dict[str, Any]:
    blank = {
        "subscription_id": None,
        "route": None,
        "method_token": None,
        "customer_token": None,
        "is_captured_later": False,
        "is_off_session": False,
        "is_client_confirmed": False,
        "return_url": None,
        "payer": None,
        "metadata": None,
        "authorization_expires_at": None,
        "next_action": None,
        "failure_code": None,
    }
    fixed = {
        "id": payment_id,
        "application": application,
        "amount": money.minor,
        "currency": money.currency,
        "state": State.ACCEPTED,
        "authorized": 0,
        "captured": 0,
        "refunded": 0,
        "created_at": now,
        "updated_at": now,
    }
    return blank | fixed | columns


def _store_payment(
    connection: Connection, payment: dict[str, Any], attempt: dict[str, Any], actor: str, now: datetime
) -> None:
    connection.execute(insert(payments), payment)
    connection.execute(insert(attempts), attempt)
    accepted = (payment["id"], Event.PAYMENT_ACCEPTED, None, State.ACCEPTED, actor, now, None, attempt["id"])
    record_event(connection, *accepted)


def _invoice_application(connection: Connection, invoice_id: str) -> str | None:
    return connection.scalar(select(invoices.c.application).where(invoices.c.id == invoice_id))


def _claim_invoice(
    connection: Connection, command: ProcessPayment, money: Money, application: str, now: datetime
) -> None:
    """Create the invoice, or lock it and check that this amount may be collected on it now."""
    created = {
        "id": command.invoice_id,
        "application": application,
        "user_id": command.user_id,
        "amount": money.minor,
        "currency": money.currency,
        "created_at": now,
        "updated_at": now,
    }
    if insert_new(connection, invoices, created):
        return
    invoice = lock_invoice(connection, command.invoice_id, application)
    if invoice.user_id != command.user_id:
        raise InvoiceMismatch("the invoice belongs to another user_id; send the one it was made with")
    if invoice.currency != money.currency:
        raise InvoiceMismatch(f"the invoice is in {invoice.currency}; send that currency")
    require_open(connection, invoice, money.minor)


def lock_invoice(connection: Connection, invoice_id: str, application: str | None) -> Row[Any]:
    """Lock an invoice of the application, so that collections of it are decided one after the other."""
    row = connection.execute(select(invoices).where(invoices.c.id == invoice_id).with_for_update()).one_or_none()
    if row is None or (application is not None and row.application != application):
        raise NotFound("no such invoice; check the id and the API key")
    return row


def require_open(connection: Connection, invoice: Row[Any], minor: int) -> None:
    """Refuse a second live collection, and more than is open on a locked invoice."""
    position = invoice_position(connection, invoice.id)
    if position.live is not None:
        raise CollectionInProgress(f"payment {position.live} is collecting this invoice; wait for it or cancel it")
    if position.is_dunned and minor != position.outstanding:
        left = decimal_text(position.outstanding, invoice.currency)
        raise AmountAboveOpen(f"this invoice is past due; pay all that is open, {left} {invoice.currency}")
    if minor > position.outstanding:
        left = decimal_text(position.outstanding, invoice.currency)
        raise AmountAboveOpen(f"{left} {invoice.currency} is open on this invoice; send that or less")


def _know_subscription(connection: Connection, command: ProcessPayment, application: str, now: datetime) -> None:
    created = {
        "id": command.subscription_id,
        "application": application,
        "user_id": command.user_id,
        "status": SubscriptionStatus.ACTIVE,
        "created_at": now,
        "updated_at": now,
    }
    if insert_new(connection, subscriptions, created):
        return
    query = select(subscriptions).where(subscriptions.c.id == command.subscription_id)
    known = connection.execute(query).one()
    if known.application != application or known.user_id != command.user_id:
        raise InvoiceMismatch("the subscription belongs to another user_id; send the one it was made with")
    if known.status == SubscriptionStatus.CANCELED:
        raise Conflict("the subscription is canceled; start a new one")


@dataclass(frozen=True, slots=True)
class FrontEndIntent:
    """A payment that a front end confirms. `reference` None: the provider's intent is still to be made."""

    payment_id: str
    attempt_id: str
    fencing_token: int
    money: Money
    reference: str | None
    actor: str


def accept_intent(
    connection: Connection,
    command: CreateIntent,
    caller: Caller,
    key: str | None,
    now: datetime,
    policy: Policy,
    choose: Route,
) -> FrontEndIntent:
    """Store a payment over what is open on an invoice and claim its attempt, or find the one that is open.

    A customer who comes back to the checkout gets the same intent again, not a second collection."""
    invoice = lock_invoice(connection, command.invoice_id, caller.application)
    scope = invoice.application
    replay = reserve_key(connection, scope, key, command.fingerprint("intent"), now, None)
    position = invoice_position(connection, invoice.id)
    for known in (replay.payment_id if replay else None, position.live):
        found = _intent_of(connection, known, caller) if known else None
        if found is not None and found.reference is not None:
            store_response(connection, scope, key, ApiResponse(201, {}, known))
            return found
    if position.live is not None:
        raise CollectionInProgress(f"payment {position.live} is collecting this invoice; wait for it or cancel it")
    if not position.outstanding:
        raise AmountAboveOpen("nothing is open on this invoice")
    money = Money(position.outstanding, invoice.currency)
    given = frozenset({"payment_method_token"})  # the front end brings the instrument
    provider = choose(RoutingRequest(PaymentMethod.STRIPE, money, given=given))[0].provider
    payment_id, attempt_id = new_id("pay", now), new_id("at", now)
    payment = _new_payment(
        payment_id,
        invoice.application,
        money,
        now,
        invoice_id=invoice.id,
        user_id=invoice.user_id,
        method=PaymentMethod.STRIPE,
        provider=provider,
        is_client_confirmed=True,
    )
    charge = (attempt_id, payment_id, Verb.CHARGE, provider, money.minor)
    _store_payment(connection, payment, new_attempt(*charge, now=now, actor=caller.actor), caller.actor, now)
    started = transition.apply(connection, attempt_id, Started(), now=now, policy=policy, actor=caller.actor)
    store_response(connection, scope, key, ApiResponse(201, {}, payment_id))
    return FrontEndIntent(payment_id, attempt_id, started.fencing_token, money, None, caller.actor)


def _intent_of(connection: Connection, payment_id: str, caller: Caller) -> FrontEndIntent | None:
    row = connection.execute(
        select(payments, attempts.c.id.label("attempt_id"), attempts.c.fencing_token, attempts.c.provider_reference)
        .join(attempts, attempts.c.payment_id == payments.c.id)
        .where(payments.c.id == payment_id, payments.c.is_client_confirmed, attempts.c.number == 1)
    ).one_or_none()
    if row is None:
        return None
    money = Money(row.amount, row.currency)
    return FrontEndIntent(payment_id, row.attempt_id, row.fencing_token, money, row.provider_reference, caller.actor)


def upsert_invoice(
    connection: Connection, invoice_id: str, command: UpsertInvoice, caller: Caller, now: datetime
) -> ApiResponse:
    """Create or change an invoice. Its currency stays, its user stays, and it never falls below what is collected."""
    money = Money.parse(command.amount, command.currency)
    application = caller.application or DEFAULT_APPLICATION
    values = {
        "user_id": command.user_id,
        "amount": money.minor,
        "currency": money.currency,
        "due_at": command.due_at,
        "description": command.description,
        "updated_at": now,
    }
    is_new = insert_new(
        connection, invoices, values | {"id": invoice_id, "application": application, "created_at": now}
    )
    if not is_new:
        row = lock_invoice(connection, invoice_id, caller.application)
        if (row.user_id, row.currency) != (command.user_id, money.currency):
            raise InvoiceMismatch("user_id and currency of an invoice cannot change; make a new invoice")
        position = invoice_position(connection, invoice_id)
        if money.minor != row.amount and position.is_dunned:
            raise Conflict("a payment of this invoice is in dunning; cancel it before changing the amount")
        if money.minor != row.amount and position.live is not None:
            raise CollectionInProgress(f"payment {position.live} is collecting this invoice; wait until it rests")
        if money.minor < position.collected:
            least = decimal_text(position.collected, row.currency)
            raise AmountAboveOpen(f"{least} {row.currency} is collected already; send that or more")
        connection.execute(update(invoices).where(invoices.c.id == invoice_id).values(values))
    return ApiResponse(201 if is_new else 200, show_invoice(connection, invoice_id, caller.application))


def store_webhook_event(
    connection: Connection, provider: str, event_id: str, event_type: str, payload: str, now: datetime
) -> TaskMessage | None:
    """Store a verified event once; return its ring, or None when the provider has delivered it before."""
    row_id = new_id("wh", now)
    values = {
        "id": row_id,
        "provider": provider,
        "event_id": event_id,
        "type": event_type,
        "payload": payload,
        "status": "stored",
        "tries": 0,
        "due_at": now + _UNHEARD_AFTER,
        "received_at": now,
    }
    return TaskMessage(WEBHOOK, row_id) if insert_new(connection, webhook_events, values) else None
