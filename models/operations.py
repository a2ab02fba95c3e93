"""What may be asked of a stored payment: capture, cancel, refund, review. Each opens an attempt, or ends one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, select, update

from domain.commands import CancelRequested, Requested, ReviewDecided
from domain.decision import LEASE, Policy
from domain.errors import AmountAboveOpen, Conflict, NotFound
from domain.money import Money, decimal_text
from domain.outcome import Approved
from domain.payment import GIVEN_UP, IN_DUNNING, IN_FLIGHT, UNFINISHED, AttemptStatus, State, Verb
from models import transition
from models.effects import open_attempt
from models.idempotency import Answer, Caller, keep_answer, reserve
from models.payments import attempts, payments
from models.queries import show_payment
from models.requests import CancelPayment, CapturePayment, Command, RecordPayment, RefundPayment, ReviewPayment
from models.task_messages import Ring, ring_attempt

# The provider of payments that only an operator sees.
_MANUAL = "manual"
_BUSY = "another operation on this payment is under way; wait until it rests"


@dataclass(frozen=True, slots=True)
class Asked:
    """The circumstances of a request: who, with which Idempotency-Key, when, under which policy."""

    caller: Caller
    key: str | None
    now: datetime
    policy: Policy


def request_capture(connection: Connection, payment_id: str, command: CapturePayment, asked: Asked) -> Answer:
    """Open a capture of an authorized payment, in part or whole; what is not captured is released."""

    def work() -> tuple[Ring, ...]:
        row = _lock(connection, payment_id, asked.caller)
        _require(row, State.AUTHORIZED, "captured")
        minor = _amount(command.amount, row, row.authorized, "authorized")
        return (_open(connection, row, Verb.CAPTURE, minor, asked),)

    return _operate(connection, f"capture {payment_id}", payment_id, command, asked, work)


def request_cancel(connection: Connection, payment_id: str, command: CancelPayment, asked: Asked) -> Answer:
    """Cancel at once what never reached the provider; otherwise open a void of what it holds."""

    def work() -> tuple[Ring, ...]:
        row = _lock(connection, payment_id, asked.caller)
        if row.state == State.ACCEPTED and _is_being_voided(connection, payment_id):
            raise Conflict(_BUSY)
        if row.state == State.ACCEPTED and _take_back(connection, payment_id, asked.now):
            return (_open(connection, row, Verb.VOID, row.amount, asked),)
        if row.state in (State.AUTHORIZED, State.REQUIRES_ACTION):
            amount = row.authorized or row.amount
            return (_open(connection, row, Verb.VOID, amount, asked),)
        if _is_unresolved(row):
            raise Conflict("an operator decides on money that does not match what was asked; wait for the review")
        if row.state in (State.ACCEPTED, State.REVIEW, *IN_DUNNING):
            transition.apply_to_payment(
                connection, payment_id, CancelRequested(), now=asked.now, policy=asked.policy, actor=asked.caller.actor
            )
            return ()
        raise Conflict(f"a payment that is {row.state} cannot be canceled; a captured one can be refunded")

    return _operate(connection, f"cancel {payment_id}", payment_id, command, asked, work)


def request_refund(connection: Connection, payment_id: str, command: RefundPayment, asked: Asked) -> Answer:
    """Open a refund of captured money; refunds that are under way count as given."""

    def work() -> tuple[Ring, ...]:
        row = _lock(connection, payment_id, asked.caller)
        if row.state not in (State.CAPTURED, State.PARTIALLY_REFUNDED):
            raise Conflict(f"a payment that is {row.state} cannot be refunded; only captured money can")
        if row.provider == _MANUAL:
            raise Conflict("give the money back by bank, then let an operator record it with kind: refund")
        under_way = _refunds_under_way(connection, payment_id)
        minor = _amount(command.amount, row, row.captured - row.refunded - under_way, "left to refund")
        return (_open(connection, row, Verb.REFUND, minor, asked, reason=command.reason),)

    return _operate(connection, f"refund {payment_id}", payment_id, command, asked, work)


def decide_review(connection: Connection, payment_id: str, command: ReviewPayment, asked: Asked) -> Answer:
    """Let a payment that waits for review go on, or cancel it."""

    def work() -> tuple[Ring, ...]:
        row = _lock(connection, payment_id, asked.caller)
        if _is_unresolved(row):
            return _decide_unresolved(connection, row, command, asked)
        _require(row, State.REVIEW, "reviewed")
        held = connection.execute(
            select(attempts.c.id, attempts.c.verb).where(
                attempts.c.payment_id == payment_id, attempts.c.status.in_(sorted(IN_FLIGHT))
            )
        ).one()
        cause = ReviewDecided(is_approved=command.decision == "approve")
        transition.apply(connection, held.id, cause, now=asked.now, policy=asked.policy, actor=asked.caller.actor)
        return (ring_attempt(held.id, held.verb),) if cause.is_approved else ()

    return _operate(connection, f"review {payment_id}", payment_id, command, asked, work)


def record_payment(connection: Connection, payment_id: str, command: RecordPayment, asked: Asked) -> Answer:
    """Take into the books what an operator has seen of a payment by invoice."""

    def work() -> tuple[Ring, ...]:
        row = _lock(connection, payment_id, asked.caller)
        if row.provider != _MANUAL:
            raise Conflict(f"{row.provider} keeps the books of this payment; only payments by invoice are recorded")
        note = {"reference": command.reference}
        if command.kind == "refund":
            _record_refund(connection, row, command, asked, note)
        else:
            _record_payment(connection, row, command, asked, note)
        return ()

    return _operate(connection, f"record {payment_id}", payment_id, command, asked, work)


def _record_payment(
    connection: Connection, row: Row[Any], command: RecordPayment, asked: Asked, note: dict[str, Any]
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
    _settle(connection, waiting.id, outcome, asked, note)


def _record_refund(
    connection: Connection, row: Row[Any], command: RecordPayment, asked: Asked, note: dict[str, Any]
) -> None:
    if row.state not in (State.CAPTURED, State.PARTIALLY_REFUNDED):
        raise Conflict(f"a payment that is {row.state} cannot be refunded; only captured money can")
    minor = _amount(command.amount, row, row.captured - row.refunded, "left to refund")
    ring = _open(connection, row, Verb.REFUND, minor, asked)
    _settle(connection, ring.row_id, Approved(ring.row_id, refunded=minor), asked, note)


def _settle(connection: Connection, attempt_id: str, outcome: Approved, asked: Asked, note: dict[str, Any]) -> None:
    actor = asked.caller.actor
    transition.apply(connection, attempt_id, outcome, now=asked.now, policy=asked.policy, actor=actor, data=note)


@dataclass(frozen=True, slots=True)
class Back:
    """Where a customer who comes back from a provider belongs, and what to announce after the commit."""

    payment_id: str
    return_url: str | None
    rings: tuple[Ring, ...]


def look_now(connection: Connection, attempt_id: str, now: datetime) -> Back:
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
    return Back(row.id, row.return_url, (ring_attempt(attempt_id, row.verb, row.status),) if is_sooner else ())


def _is_unresolved(row: Row[Any]) -> bool:
    """Whether the provider holds money that does not match what was asked, in time or after the payment was given up.

    A review for fraud has no failure code, and what was declined holds no money."""
    return row.failure_code is not None and (
        row.state == State.REVIEW or (row.state in GIVEN_UP and row.authorized > row.captured)
    )


def _decide_unresolved(
    connection: Connection, row: Row[Any], command: ReviewPayment, asked: Asked
) -> tuple[Ring, ...]:
    """Accept money that does not match what was asked, or give up on it; a person then gives it back."""
    if not row.authorized:
        raise Conflict("nothing of this payment is confirmed yet; decide when it is")
    if command.decision == "approve":
        return (_open(connection, row, Verb.CAPTURE, row.authorized, asked),)
    if _is_in_flight(connection, row.id):
        raise Conflict(_BUSY)
    if row.state in GIVEN_UP:
        raise Conflict(f"this payment is {row.state} already; give the money back by hand")
    cause, policy, actor = CancelRequested(), asked.policy, asked.caller.actor
    transition.apply_to_payment(connection, row.id, cause, now=asked.now, policy=policy, actor=actor)
    return ()


def _operate(
    connection: Connection,
    operation: str,
    payment_id: str,
    command: Command,
    asked: Asked,
    work: Callable[[], tuple[Ring, ...]],
) -> Answer:
    scope = asked.caller.application or asked.caller.actor
    replay = reserve(connection, scope, asked.key, command.fingerprint(operation), asked.now, None)
    if replay is not None:
        return replay
    rings = work()
    answer = Answer(202, show_payment(connection, payment_id, asked.caller.application), payment_id, rings)
    keep_answer(connection, scope, asked.key, answer)
    return answer


def _lock(connection: Connection, payment_id: str, caller: Caller) -> Row[Any]:
    row = connection.execute(select(payments).where(payments.c.id == payment_id).with_for_update()).one_or_none()
    if row is None or (caller.application is not None and row.application != caller.application):
        raise NotFound("no such payment; check the id and the API key")
    return row


def _require(row: Row[Any], state: State, participle: str) -> None:
    if row.state != state:
        raise Conflict(f"a payment that is {row.state} cannot be {participle}; it must be {state}")


def _amount(asked: Any, row: Row[Any], most: int, what: str) -> int:
    minor = most if asked is None else Money.parse(asked, row.currency).minor
    if minor > most or most <= 0:
        left = decimal_text(max(most, 0), row.currency)
        raise AmountAboveOpen(f"{left} {row.currency} is {what}; send that or less")
    return minor


def _open(
    connection: Connection,
    row: Row[Any],
    verb: Verb,
    minor: int,
    asked: Asked,
    reason: str | None = None,
) -> Ring:
    if verb is not Verb.REFUND and _is_in_flight(connection, row.id):
        raise Conflict(_BUSY)
    ring = open_attempt(connection, row, verb, minor, now=asked.now, actor=asked.caller.actor, reason=reason)
    data = {"amount": decimal_text(minor, row.currency)}
    transition.apply(
        connection, ring.row_id, Requested(), now=asked.now, policy=asked.policy, actor=asked.caller.actor, data=data
    )
    return ring


def _is_in_flight(connection: Connection, payment_id: str) -> bool:
    return has_in_flight(connection, payment_id, attempts.c.verb != Verb.REFUND)


def _is_being_voided(connection: Connection, payment_id: str) -> bool:
    return has_in_flight(connection, payment_id, attempts.c.verb == Verb.VOID)


def has_in_flight(connection: Connection, payment_id: str, is_meant: ColumnElement[bool]) -> bool:
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
        .values(status=AttemptStatus.CANCELED, due_at=None, settled_at=now, epoch=attempts.c.epoch + 1)
    )
    return bool(closed.rowcount)


def _refunds_under_way(connection: Connection, payment_id: str) -> int:
    found = select(attempts.c.amount).where(
        attempts.c.payment_id == payment_id,
        attempts.c.verb == Verb.REFUND,
        attempts.c.status.in_(sorted(UNFINISHED)),
    )
    return sum(connection.scalars(found))
