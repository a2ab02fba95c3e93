"""Accepts a payment: one commit stores the payment, its first attempt, its event and its idempotency record.

HTTP and the Celery task come through here with the same idempotency. Nothing here calls a provider."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from domain.dunning.case import cause_of_payment
from domain.errors import InvalidRequest, NotFound
from domain.money import Money
from domain.payment import Verb
from domain.payment_methods import INSTRUMENT, checks_owner, is_default_kept_here, providers_of, providers_of_saved
from domain.routing import Choice, RoutingRequest
from models.due_rows import SWEEP_AFTER
from models.fraud.assessments import NOT_SCREENED
from models.idempotency import ApiResponse, Caller, IdempotencyRecord, find_replay, reserve_key
from models.instruments import require_chargeable
from models.invoices import application_of_invoice, create_or_lock_invoice
from models.new_payments import first_attempt, new_payment, store_payment
from models.provider_customers import User, find_customer
from models.queries import payment_view
from models.request_bodies import ProcessPayment
from models.saved_methods import default_token
from models.subscriptions import get_or_create_subscription
from models.task_messages import message_for_attempt
from models.token_owners import owns_token

# What a payment shows that was just accepted.
SCREENED_LATER: dict[str, Any] = NOT_SCREENED | {"labels": []}


def accept_payment(
    connection: Connection,
    request: ProcessPayment,
    caller: Caller,
    key: str | None,
    now: datetime,
    choices: Sequence[Choice] | InvalidRequest,
) -> ApiResponse:
    """Store the payment, its first attempt and its event, due now; respond 202 with the payment.

    `choices`: the payment's route, the preferred provider first, or why it has none. A repeat of the key gets the
    first response, whatever has changed since. Raises AmbiguousName, the refusal in `choices`, NotFound, Conflict,
    CollectionInProgress, InvoiceMismatch or AmountAboveOpen when this cannot be collected now."""
    money = request.money
    application = application_of_invoice(connection, request.invoice_id, caller)
    record = IdempotencyRecord(application, key, "process", request)
    if isinstance(choices, InvalidRequest):
        replay = find_replay(connection, record)
        if replay is None:
            raise choices
        return replay
    payment = _payment_of_request(request, application, money, now, choices)
    verb = Verb.CHARGE if request.capture else Verb.AUTHORIZE
    attempt = first_attempt(payment, verb, caller.actor, now) | {"due_at": now + SWEEP_AFTER}
    body = payment_view(payment, [attempt]) | {
        "fraud": SCREENED_LATER,
        "movements": [],
        "disputes": [],
        "dunning": None,
    }
    response = ApiResponse(202, body, payment["id"], (message_for_attempt(attempt["id"], verb),))
    replay = reserve_key(connection, record, now, response)
    if replay is not None:
        return replay
    _name_default(connection, payment)
    _require_own_tokens(connection, payment, now)
    require_chargeable(connection, payment)
    is_dunned = create_or_lock_invoice(connection, request, money, application, now)
    attempt["cause"] = cause_of_payment(is_dunned=is_dunned, is_off_session=request.is_off_session)
    if request.subscription_id is not None:
        get_or_create_subscription(connection, request.subscription_id, application, request.user_id, now)
    store_payment(connection, payment, attempt, caller.actor, now)
    return response


def routing_request(connection: Connection, request: ProcessPayment, caller: Caller) -> RoutingRequest:
    """Return what routing reads of a request. One without a token means the default method of the user, who needs to
    have a customer at the provider then; which method that is, the provider knows when it is charged."""
    asked = request.routing_request
    is_kept_here = asked.is_off_session and is_default_kept_here(asked.method)
    able = providers_of(asked.method) if is_kept_here else providers_of_saved(asked.method)
    if INSTRUMENT in asked.given or not able:
        return asked
    user = User(application_of_invoice(connection, request.invoice_id, caller), request.user_id)
    find = default_token if is_kept_here else find_customer
    has_default = any(find(connection, user, provider) is not None for provider in able)
    return replace(asked, given=asked.given | {INSTRUMENT}) if has_default else asked


def _name_default(connection: Connection, payment: dict[str, Any]) -> None:
    """Let a payment without a token, whose customer is away, be charged to the user's default of today."""
    is_named = payment["method_token"] is not None or not payment["is_off_session"]
    if is_named or not is_default_kept_here(payment["method"]):
        return
    user = User(payment["application"], payment["user_id"])
    payment["method_token"] = default_token(connection, user, payment["provider"])


def _require_own_tokens(connection: Connection, payment: dict[str, Any], now: datetime) -> None:
    """Refuse a token of another user, and leave out the customer that the user's payments have anyway.

    Raises NotFound: it does not tell whether there is such a token."""
    user, provider = User(payment["application"], payment["user_id"]), payment["provider"]
    customer, method = payment["customer_token"], payment["method_token"]
    if customer is not None and not owns_token(connection, provider, customer, user, now):
        raise NotFound("no such customer_token of this user; leave it out, or check the user_id and the API key")
    if method is not None and not checks_owner(provider) and not owns_token(connection, provider, method, user, now):
        raise NotFound(
            "no such payment_method_token of this user; check the user_id and the API key, or leave it out, so that "
            "the customer approves this payment"
        )
    if customer is not None and customer == find_customer(connection, user, provider):
        payment["customer_token"] = None


def _payment_of_request(
    request: ProcessPayment, application: str, money: Money, now: datetime, choices: Sequence[Choice]
) -> dict[str, Any]:
    return new_payment(
        application,
        money,
        now,
        invoice_id=request.invoice_id,
        subscription_id=request.subscription_id,
        user_id=request.user_id,
        method=request.payment_method,
        provider=choices[0].provider,
        # A route of one provider holds no choice that is worth storing.
        route=[[choice.provider, choice.reason] for choice in choices] if len(choices) > 1 else None,
        method_token=request.payment_method_token,
        customer_token=request.customer_token,
        is_captured_later=not request.capture,
        is_off_session=request.is_off_session,
        return_url=request.return_url,
        payer=request.payer,
        metadata=request.metadata,
    )
