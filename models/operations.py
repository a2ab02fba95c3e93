"""Requests on a stored payment: capture, cancel, refund, review, an operator's record. Nothing here calls a provider.

Each stores an attempt that a worker carries out, or ends the payment at once; `domain` decides which."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, select

from domain.allowed_operations import (
    ACCEPTED,
    BUSY,
    RELEASED,
    CancelAction,
    Cancellable,
    cancel_action,
    holds_mismatch,
    is_held_for_review,
    require_capturable,
    require_mismatch_decision,
    require_recordable,
    require_refundable,
    require_reviewable,
)
from domain.commands import CancelRequested, ChargeWithdrawn, OperationRequested, ReviewDecided
from domain.errors import AmountAboveOpen, Conflict, NotFound
from domain.fraud.labels import FRAUDULENT, LabelSource
from domain.invoice import require_still_owed, waits_for_customer
from domain.money import Money, decimal_text
from domain.outcome import Approved
from domain.payment import IN_FLIGHT, AttemptStatus, State, Verb
from domain.payment_methods import PaymentMethod, is_recorded_by_operator, require_possible_part
from domain.review import EXPIRED
from models import transition
from models.api_request import ApiRequest
from models.attempts import (
    add_attempt,
    bring_look_up_forward,
    has_attempt_in_flight,
    has_operation_in_flight,
    refunds_under_way,
)
from models.change import Change
from models.fraud.labels import label_payment
from models.fraud.reviews import find_open_review, require_in_hand
from models.idempotency import ApiResponse, Caller, IdempotencyRecord, reserve_key, store_response
from models.queries import invoice_position, show_payment
from models.request_bodies import CancelPayment, CapturePayment, RecordPayment, RefundPayment, ReviewPayment
from models.subscriptions import is_subscription_canceled
from models.tables import attempts, payments
from models.task_messages import TaskMessage, message_for_attempt

_COLLECTING = (Verb.CHARGE, Verb.AUTHORIZE)

Messages = tuple[TaskMessage, ...]


def request_capture(
    change: Change, payment_id: str, request: CapturePayment, caller: Caller, key: str | None
) -> ApiResponse:
    """Open a capture of an authorized payment, in part or whole; what is not captured is released."""
    return respond_once(change, f"capture {payment_id}", payment_id, request, caller, key, _capture)


def request_cancel(
    change: Change, payment_id: str, request: CancelPayment, caller: Caller, key: str | None
) -> ApiResponse:
    """Cancel at once what the provider does not know; otherwise open a void of what it holds."""
    return respond_once(change, f"cancel {payment_id}", payment_id, request, caller, key, _cancel)


def give_way_to_dunning(change: Change, payment_id: str) -> Messages:
    """Cancel a payment that still waits for its customer; what to publish after the commit."""
    row = _lock(change.connection, payment_id, Caller(None, change.actor))
    try:
        return _cancel(change, row, CancelPayment()) if waits_for_customer(State(row.state)) else ()
    except Conflict:
        return ()  # a void is under way


def cancel_with_subscription(change: Change, payment_id: str) -> Messages:
    """Cancel a payment whose subscription ends; what to publish after the commit."""
    return _cancel(change, _lock(change.connection, payment_id, Caller(None, change.actor)), CancelPayment())


def cancellable(connection: Connection, row: Row[Any]) -> Cancellable:
    """Return what the cancel of a payment depends on."""
    state = State(row.state)
    return Cancellable(
        state,
        has_mismatch=holds_mismatch(state, row.received, row.captured),
        is_operating=has_attempt_in_flight(connection, row.id, attempts.c.verb.in_((Verb.VOID, Verb.CAPTURE))),
        has_known_due_charge=_known_due_charge(connection, row.id) is not None,
    )


def request_refund(
    change: Change, payment_id: str, request: RefundPayment, caller: Caller, key: str | None
) -> ApiResponse:
    """Open a refund of captured money; refunds that are under way count as given."""
    return respond_once(change, f"refund {payment_id}", payment_id, request, caller, key, _refund)


def request_review(
    change: Change, payment_id: str, request: ReviewPayment, caller: Caller, key: str | None
) -> ApiResponse:
    """Decide on a payment that waits for a fraud review, or on money that does not match what was asked."""
    return respond_once(change, f"review {payment_id}", payment_id, request, caller, key, carry_out_review)


def record_payment(
    change: Change, payment_id: str, request: RecordPayment, caller: Caller, key: str | None
) -> ApiResponse:
    """Book what an operator has seen of a payment by invoice."""
    return respond_once(change, f"record {payment_id}", payment_id, request, caller, key, _record)


@dataclass(frozen=True, slots=True)
class CustomerReturn:
    """Where a customer who comes back from a provider goes next, and what to publish after the commit."""

    payment_id: str
    state: State
    return_url: str | None
    messages: Messages


def look_up_now(change: Change, attempt_id: str) -> CustomerReturn:
    """Make the next look-up of an attempt that waits for its customer or bank due now, or in a few seconds if another
    visit has just done so. Raises NotFound."""
    row = change.connection.execute(
        select(
            payments.c.id,
            payments.c.state,
            payments.c.return_url,
            attempts.c.verb,
            attempts.c.status,
            attempts.c.visited_at,
        )
        .join(attempts, attempts.c.payment_id == payments.c.id)
        .where(attempts.c.id == attempt_id)
    ).one_or_none()
    if row is None:
        raise NotFound("no such payment")
    due_at = bring_look_up_forward(change.connection, attempt_id, row.visited_at, change.now)
    messages = (message_for_attempt(attempt_id, row.verb, row.status),) if due_at == change.now else ()
    return CustomerReturn(row.id, State(row.state), row.return_url, messages)


def respond_once(
    change: Change,
    operation: str,
    payment_id: str,
    request: ApiRequest,
    caller: Caller,
    key: str | None,
    work: Callable[[Change, Row[Any], Any], Messages],
) -> ApiResponse:
    """Carry a request out on the locked payment, once for each idempotency key."""
    connection, scope = change.connection, caller.application or caller.actor
    record = IdempotencyRecord(scope, key, operation, request)
    replay = reserve_key(connection, record, change.now)
    if replay is not None:
        return replay
    messages = work(change, _lock(connection, payment_id, caller), request)
    response = ApiResponse(202, show_payment(connection, payment_id, caller.application), payment_id, messages)
    store_response(connection, record, response)
    return response


def _lock(connection: Connection, payment_id: str, caller: Caller) -> Row[Any]:
    row = connection.execute(select(payments).where(payments.c.id == payment_id).with_for_update()).one_or_none()
    if row is None or (caller.application is not None and row.application != caller.application):
        raise NotFound("no such payment; check the id and the API key")
    return row


def _capture(change: Change, row: Row[Any], request: CapturePayment) -> Messages:
    require_capturable(State(row.state), row.failure_code)
    if find_open_review(change.connection, row.id) is not None:
        raise Conflict("a person reviews this payment; it can be captured once they have approved it")
    minor = _amount(request.amount, row, row.authorized, "authorized")
    return (_open(change, row, Verb.CAPTURE, minor),)


def _cancel(change: Change, row: Row[Any], request: CancelPayment) -> Messages:
    known_due_charge = _known_due_charge(change.connection, row.id)
    action = cancel_action(cancellable(change.connection, row))
    if action is CancelAction.AT_ONCE:
        transition.apply_to_payment(change, row.id, CancelRequested())
        return ()
    if action is CancelAction.WITHDRAW_AND_VOID and known_due_charge is not None:
        transition.apply(change, known_due_charge, ChargeWithdrawn())
        return (_open(change, row, Verb.VOID, row.amount),)
    return (_open(change, row, Verb.VOID, row.authorized or row.amount),)


def _refund(change: Change, row: Row[Any], request: RefundPayment) -> Messages:
    if request.reason == FRAUDULENT:
        label_payment(change, row.id, LabelSource.REFUND, is_fraud=True)
    return carry_out_refund(change, row, request, request.reason)


def carry_out_refund(change: Change, row: Row[Any], request: RefundPayment, reason: str | None) -> Messages:
    """Open a refund of a locked payment for this reason. Raises Conflict, AmountAboveOpen or InvalidAmount."""
    require_refundable(State(row.state))
    if is_recorded_by_operator(PaymentMethod(row.method)):
        raise Conflict("give the money back by bank, then let an operator record it with kind: refund")
    under_way = refunds_under_way(change.connection, row.id)
    minor = _amount(request.amount, row, row.captured - row.refunded - row.reversed - under_way, "left to refund")
    return (_open(change, row, Verb.REFUND, minor, reason=reason),)


def carry_out_review(change: Change, row: Row[Any], request: ReviewPayment) -> Messages:
    """Decide on a locked payment that waits for a fraud review, or on money of it that does not match."""
    state, is_approval = State(row.state), request.decision == "approve"
    if holds_mismatch(state, row.received, row.captured):
        return _resolve_mismatch(change, row, is_approval=is_approval)
    return decide_review(change, row, ReviewDecided(is_approval))


def decide_review(change: Change, row: Row[Any], decided: ReviewDecided) -> Messages:
    """Decide on a locked payment that waits for a fraud review. Raises Conflict if it waits for none, or if another
    operator has it in hand."""
    state = State(row.state)
    has_open_review = find_open_review(change.connection, row.id) is not None
    is_hold = is_held_for_review(state, has_open_review=has_open_review)
    if not is_hold:
        require_reviewable(state)
    if decided.reason != EXPIRED:
        require_in_hand(change, row.id)
    if decided.is_approved:
        position = invoice_position(change.connection, row.invoice_id, row.application)
        is_canceled = is_subscription_canceled(change.connection, row)
        require_still_owed(position, row.amount, is_subscription_canceled=is_canceled)
    if is_hold:
        if has_operation_in_flight(change.connection, row.id):
            raise Conflict(BUSY)
        transition.apply_to_payment(change, row.id, decided)
        return ()
    held = _attempt_of(change.connection, row.id, *sorted(IN_FLIGHT))
    transition.apply(change, held.id, decided)
    return (message_for_attempt(held.id, held.verb),) if decided.is_approved else ()


def _resolve_mismatch(change: Change, row: Row[Any], *, is_approval: bool) -> Messages:
    """Accept money that does not match what was asked, or give up on it: what is held is released, and what came is
    given back by a person."""
    in_flight = has_operation_in_flight(change.connection, row.id)
    amount = row.received or row.authorized
    require_mismatch_decision(State(row.state), amount, is_approval=is_approval, has_attempt_in_flight=in_flight)
    if is_approval:
        return (_open(change, row, Verb.CAPTURE, amount, reason=ACCEPTED if row.received else None),)
    if not row.received:
        return (_open(change, row, Verb.VOID, amount, reason=RELEASED),)
    transition.apply_to_payment(change, row.id, CancelRequested())
    return ()


def _record(change: Change, row: Row[Any], request: RecordPayment) -> Messages:
    if not is_recorded_by_operator(PaymentMethod(row.method)):
        raise Conflict(f"{row.provider} keeps the books of this payment; only payments by invoice are recorded")
    (_record_refund if request.kind == "refund" else _record_payment)(change, row, request)
    return ()


def _record_payment(change: Change, row: Row[Any], request: RecordPayment) -> None:
    require_recordable(State(row.state))
    minor = _amount(request.amount, row, row.amount, "asked for")
    if minor != row.amount:
        whole = decimal_text(row.amount, row.currency)
        raise AmountAboveOpen(f"{whole} {row.currency} is asked for; cancel this payment and make one for what came")
    waiting = _attempt_of(change.connection, row.id, AttemptStatus.ACTION_REQUIRED)
    outcome = Approved(waiting.provider_reference, authorized=minor, captured=minor)
    transition.apply(change, waiting.id, outcome, data={"reference": request.reference})


def _record_refund(change: Change, row: Row[Any], request: RecordPayment) -> None:
    require_refundable(State(row.state))
    minor = _amount(request.amount, row, row.captured - row.refunded - row.reversed, "left to refund")
    refund_id = _open(change, row, Verb.REFUND, minor).row_id
    transition.apply(change, refund_id, Approved(refund_id, refunded=minor), data={"reference": request.reference})


def _amount(requested: Any, row: Row[Any], most: int, what: str) -> int:
    """Return the requested amount in minor units, by default all there is.

    Raises AmountAboveOpen, or InvalidAmount for a part that the provider cannot move."""
    minor = most if requested is None else Money.parse(requested, row.currency).minor
    if most <= 0:
        raise AmountAboveOpen(f"nothing is {what}")
    if minor > most:
        left = decimal_text(most, row.currency)
        raise AmountAboveOpen(f"{left} {row.currency} is {what}; send that or less")
    require_possible_part(row.provider, PaymentMethod(row.method), Money(minor, row.currency), most)
    return minor


def _open(change: Change, row: Row[Any], verb: Verb, minor: int, reason: str | None = None) -> TaskMessage:
    if verb is not Verb.REFUND and has_operation_in_flight(change.connection, row.id):
        raise Conflict(BUSY)
    message = add_attempt(change, row, verb, minor, reason=reason)
    data = {"amount": decimal_text(minor, row.currency)}
    transition.apply(change, message.row_id, OperationRequested(), data=data)
    return message


def _attempt_of(connection: Connection, payment_id: str, *statuses: AttemptStatus) -> Any:
    """Return the payment's attempt in one of these statuses; the state of the payment promises exactly one."""
    query = select(attempts.c.id, attempts.c.verb, attempts.c.provider_reference)
    is_meant = (attempts.c.payment_id == payment_id) & attempts.c.status.in_(statuses)
    row: Any = connection.execute(query.where(is_meant)).one()
    return row


def _known_due_charge(connection: Connection, payment_id: str) -> str | None:
    """Return the charge that waits to be sent again and whose object exists at the provider, if there is one."""
    return connection.scalar(
        select(attempts.c.id).where(
            attempts.c.payment_id == payment_id,
            attempts.c.status == AttemptStatus.DUE,
            attempts.c.verb.in_(_COLLECTING),
            attempts.c.provider_reference.is_not(None),
        )
    )
