"""What may be asked of a stored payment: capture, cancel, refund, review. Each opens an attempt, or ends one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, select, update

from domain.commands import CancelRequested, OperationRequested, ReviewDecided
from domain.decision import LEASE, Policy
from domain.errors import AmountAboveOpen, Conflict, NotFound
from domain.money import Money, decimal_text
from domain.outcome import Approved
from domain.payment import CLOSED_UNPAID, IN_DUNNING, IN_FLIGHT, UNFINISHED, AttemptStatus, State, Verb
from models import transition
from models.effects import open_attempt
from models.idempotency import ApiResponse, Caller, reserve_key, store_response
from models.payments import attempts, payments
from models.queries import show_payment
from models.requests import ApiRequest, CancelPayment, CapturePayment, RecordPayment, RefundPayment, ReviewPayment
from models.task_messages import TaskMessage, message_for_attempt

# The provider of payments that only an operator sees.
_MANUAL = "manual"
_BUSY = "another operation on this payment is under way; wait until it rests"


@dataclass(frozen=True, slots=True)
class RequestContext:
    """The circumstances of a request: who, with which Idempotency-Key, when, under which policy."""

    caller: Caller
    key: str | None
    now: datetime
    policy: Policy


def request_capture(
    connection: Connection, payment_id: str, command: CapturePayment, context: RequestContext
) -> ApiResponse:
    """Open a capture of an authorized payment, in part or whole; what is not captured is released."""

    def work() -> tuple[TaskMessage, ...]:
        row = _lock(connection, payment_id, context.caller)
        _require(row, State.AUTHORIZED, "captured")
        minor = _amount(command.amount, row, row.authorized, "authorized")
        return (_open(connection, row, Verb.CAPTURE, minor, context),)

    return _operate(connection, f"capture {payment_id}", payment_id, command, context, work)


def request_cancel(
    connection: Connection, payment_id: str, command: CancelPayment, context: RequestContext
) -> ApiResponse:
    """Cancel at once what never reached the provider; otherwise open a void of what it holds."""

    def work() -> tuple[TaskMessage, ...]:
        row = _lock(connection, payment_id, context.caller)
        if row.state == State.ACCEPTED and _is_being_voided(connection, payment_id):
            raise Conflict(_BUSY)
        if row.state == State.ACCEPTED and _take_back(connection, payment_id, context.now):
            return (_open(connection, row, Verb.VOID, row.amount, context),)
        if row.state in (State.AUTHORIZED, State.REQUIRES_ACTION):
            amount = row.authorized or row.amount
            return (_open(connection, row, Verb.VOID, amount, context),)
        if _is_unresolved(row):
            raise Conflict("an operator decides on money that does not match what was asked; wait for the review")
        if row.state in (State.ACCEPTED, State.REVIEW, *IN_DUNNING):
            transition.apply_to_payment(
                connection,
                payment_id,
                CancelRequested(),
                now=context.now,
                policy=context.policy,
                actor=context.caller.actor,
            )
            return ()
        raise Conflict(f"a payment that is {row.state} cannot be canceled; a captured one can be refunded")

    return _operate(connection, f"cancel {payment_id}", payment_id, command, context, work)


def request_refund(
    connection: Connection, payment_id: str, command: RefundPayment, context: RequestContext
) -> ApiResponse:
    """Open a refund of captured money; refunds that are under way count as given."""

    def work() -> tuple[TaskMessage, ...]:
        row = _lock(connection, payment_id, context.caller)
        if row.state not in (State.CAPTURED, State.PARTIALLY_REFUNDED):
            raise Conflict(f"a payment that is {row.state} cannot be refunded; only captured money can")
        if row.provider == _MANUAL:
            raise Conflict("give the money back by bank, then let an operator record it with kind: refund")
        under_way = _refunds_under_way(connection, payment_id)
        minor = _amount(command.amount, row, row.captured - row.refunded - under_way, "left to refund")
        return (_open(connection, row, Verb.REFUND, minor, context, reason=command.reason),)

    return _operate(connection, f"refund {payment_id}", payment_id, command, context, work)


def decide_review(
    connection: Connection, payment_id: str, command: ReviewPayment, context: RequestContext
) -> ApiResponse:
    """Let a payment that waits for review go on, or cancel it."""

    def work() -> tuple[TaskMessage, ...]:
        row = _lock(connection, payment_id, context.caller)
        if _is_unresolved(row):
            return _decide_unresolved(connection, row, command, context)
        _require(row, State.REVIEW, "reviewed")
        held = connection.execute(
            select(attempts.c.id, attempts.c.verb).where(
                attempts.c.payment_id == payment_id, attempts.c.status.in_(sorted(IN_FLIGHT))
            )
        ).one()
        trigger = ReviewDecided(is_approved=command.decision == "approve")
        transition.apply(
            connection, held.id, trigger, now=context.now, policy=context.policy, actor=context.caller.actor
        )
        return (message_for_attempt(held.id, held.verb),) if trigger.is_approved else ()

    return _operate(connection, f"review {payment_id}", payment_id, command, context, work)


def record_payment(
    connection: Connection, payment_id: str, command: RecordPayment, context: RequestContext
) -> ApiResponse:
    """Take into the books what an operator has seen of a payment by invoice."""

    def work() -> tuple[TaskMessage, ...]:
        row = _lock(connection, payment_id, context.caller)
        if row.provider != _MANUAL:
            raise Conflict(f"{row.provider} keeps the books of this payment; only payments by invoice are recorded")
        note = {"reference": command.reference}
        if command.kind == "refund":
            _record_refund(connection, row, command, context, note)
        else:
            _record_payment(connection, row, command, context, note)
        return ()

    return _operate(connection, f"record {payment_id}", payment_id, command, context, work)


def _record_payment(
    connection: Connection, row: Row[Any], command: RecordPayment, context: RequestContext, note: dict[str, Any]
) -> None:
    _require(row, State.REQUIRES_ACTION, "recorded as paid")
    minor = _amount(command.amount, row, row.amount, "asked for")
    if minor != row.amount:
        whole = decimal_text(row.amount, row.currency)
        raise AmountAboveOpen(f"{whole} {row.currency} is asked for; cancel this payment and make one for what came")
    waiting = connection.execute(
        select(attempts.c.id, attempts.c.provider_reference).where(
            attempts.c.payment_id == row.id, attempts.c.status == AttemptStatus.ACTION_REQUIRED
        )
    ).one()
    outcome = Approved(waiting.provider_reference, authorized=minor, captured=minor)
    _settle(connection, waiting.id, outcome, context, note)


def _record_refund(
    connection: Connection, row: Row[Any], command: RecordPayment, context: RequestContext, note: dict[str, Any]
) -> None:
    if row.state not in (State.CAPTURED, State.PARTIALLY_REFUNDED):
        raise Conflict(f"a payment that is {row.state} cannot be refunded; only captured money can")
    minor = _amount(command.amount, row, row.captured - row.refunded, "left to refund")
    message = _open(connection, row, Verb.REFUND, minor, context)
    _settle(connection, message.row_id, Approved(message.row_id, refunded=minor), context, note)


def _settle(
    connection: Connection, attempt_id: str, outcome: Approved, context: RequestContext, note: dict[str, Any]
) -> None:
    actor = context.caller.actor
    transition.apply(connection, attempt_id, outcome, now=context.now, policy=context.policy, actor=actor, data=note)


@dataclass(frozen=True, slots=True)
class CustomerReturn:
    """Where a customer who comes back from a provider belongs, and what to announce after the commit."""

    payment_id: str
    return_url: str | None
    messages: tuple[TaskMessage, ...]


def look_up_now(connection: Connection, attempt_id: str, now: datetime) -> CustomerReturn:
    """Make the next look at an attempt that waits for its customer or bank due at once. Raises NotFound."""
    row = connection.execute(
        select(payments.c.id, payments.c.return_url, attempts.c.verb, attempts.c.status)
        .join(attempts, attempts.c.payment_id == payments.c.id)
        .where(attempts.c.id == attempt_id)
    ).one_or_none()
    if row is None:
        raise NotFound("no such payment")
    waits = (AttemptStatus.ACTION_REQUIRED, AttemptStatus.PENDING)
    # One that is being looked at is due within its lease.
    is_idle = attempts.c.due_at > now + LEASE
    sooner = update(attempts).where(attempts.c.id == attempt_id, attempts.c.status.in_(waits), is_idle)
    is_sooner = bool(connection.execute(sooner.values(due_at=now)).rowcount)
    return CustomerReturn(
        row.id, row.return_url, (message_for_attempt(attempt_id, row.verb, row.status),) if is_sooner else ()
    )


def _is_unresolved(row: Row[Any]) -> bool:
    """Whether the provider holds money that does not match what was asked, in time or after the payment was given up.

    A review for fraud has no failure code, and what was declined holds no money."""
    return row.failure_code is not None and (
        row.state == State.REVIEW or (row.state in CLOSED_UNPAID and row.authorized > row.captured)
    )


def _decide_unresolved(
    connection: Connection, row: Row[Any], command: ReviewPayment, context: RequestContext
) -> tuple[TaskMessage, ...]:
    """Accept money that does not match what was asked, or give up on it; a person then gives it back."""
    if not row.authorized:
        raise Conflict("nothing of this payment is confirmed yet; decide when it is")
    if command.decision == "approve":
        return (_open(connection, row, Verb.CAPTURE, row.authorized, context),)
    if _is_in_flight(connection, row.id):
        raise Conflict(_BUSY)
    if row.state in CLOSED_UNPAID:
        raise Conflict(f"this payment is {row.state} already; give the money back by hand")
    trigger, policy, actor = CancelRequested(), context.policy, context.caller.actor
    transition.apply_to_payment(connection, row.id, trigger, now=context.now, policy=policy, actor=actor)
    return ()


def _operate(
    connection: Connection,
    operation: str,
    payment_id: str,
    command: ApiRequest,
    context: RequestContext,
    work: Callable[[], tuple[TaskMessage, ...]],
) -> ApiResponse:
    scope = context.caller.application or context.caller.actor
    replay = reserve_key(connection, scope, context.key, command.fingerprint(operation), context.now, None)
    if replay is not None:
        return replay
    messages = work()
    response = ApiResponse(202, show_payment(connection, payment_id, context.caller.application), payment_id, messages)
    store_response(connection, scope, context.key, response)
    return response


def _lock(connection: Connection, payment_id: str, caller: Caller) -> Row[Any]:
    row = connection.execute(select(payments).where(payments.c.id == payment_id).with_for_update()).one_or_none()
    if row is None or (caller.application is not None and row.application != caller.application):
        raise NotFound("no such payment; check the id and the API key")
    return row


def _require(row: Row[Any], state: State, participle: str) -> None:
    if row.state != state:
        raise Conflict(f"a payment that is {row.state} cannot be {participle}; it must be {state}")


def _amount(context: Any, row: Row[Any], most: int, what: str) -> int:
    minor = most if context is None else Money.parse(context, row.currency).minor
    if minor > most or most <= 0:
        left = decimal_text(max(most, 0), row.currency)
        raise AmountAboveOpen(f"{left} {row.currency} is {what}; send that or less")
    return minor


def _open(
    connection: Connection,
    row: Row[Any],
    verb: Verb,
    minor: int,
    context: RequestContext,
    reason: str | None = None,
) -> TaskMessage:
    if verb is not Verb.REFUND and _is_in_flight(connection, row.id):
        raise Conflict(_BUSY)
    message = open_attempt(connection, row, verb, minor, now=context.now, actor=context.caller.actor, reason=reason)
    data = {"amount": decimal_text(minor, row.currency)}
    transition.apply(
        connection,
        message.row_id,
        OperationRequested(),
        now=context.now,
        policy=context.policy,
        actor=context.caller.actor,
        data=data,
    )
    return message


def _is_in_flight(connection: Connection, payment_id: str) -> bool:
    return has_attempt_in_flight(connection, payment_id, attempts.c.verb != Verb.REFUND)


def _is_being_voided(connection: Connection, payment_id: str) -> bool:
    return has_attempt_in_flight(connection, payment_id, attempts.c.verb == Verb.VOID)


def has_attempt_in_flight(connection: Connection, payment_id: str, is_meant: ColumnElement[bool]) -> bool:
    """Tell whether the provider may be moving money for such an attempt of a payment right now."""
    found = select(attempts.c.id).where(
        attempts.c.payment_id == payment_id, attempts.c.status.in_(sorted(IN_FLIGHT)), is_meant
    )
    return connection.execute(found.limit(1)).first() is not None


def _take_back(connection: Connection, payment_id: str, now: datetime) -> bool:
    """Close the due charge of an intent that the provider knows; tell whether there was one.

    A confirm of it that we gave up on may still be on its way: only the provider can cancel it."""
    closed = connection.execute(
        update(attempts)
        .where(
            attempts.c.payment_id == payment_id,
            attempts.c.status == AttemptStatus.DUE,
            attempts.c.verb.in_([Verb.CHARGE, Verb.AUTHORIZE]),
            attempts.c.provider_reference.is_not(None),
        )
        .values(status=AttemptStatus.CANCELED, due_at=None, finished_at=now, fencing_token=attempts.c.fencing_token + 1)
    )
    return bool(closed.rowcount)


def _refunds_under_way(connection: Connection, payment_id: str) -> int:
    found = select(attempts.c.amount).where(
        attempts.c.payment_id == payment_id,
        attempts.c.verb == Verb.REFUND,
        attempts.c.status.in_(sorted(UNFINISHED)),
    )
    return sum(connection.scalars(found))
