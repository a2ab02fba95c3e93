"""What a person does about an entry of the attention list. Nothing here calls a provider: attempts move the money."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, func, select

from domain.allowed_operations import BUSY, OVERPAID
from domain.attention import (
    Action,
    Reason,
    Stake,
    allowed_action,
    require_closable,
    require_undecided,
    require_writable_off,
)
from domain.commands import OperationRequested
from domain.errors import AmountAboveOpen, Conflict, IllegalTransition
from domain.money import decimal_text
from domain.movement import MovementKind
from domain.payment import LATE_AUTHORIZATION, UNFINISHED, AttemptStatus, State, Verb
from models import transition
from models.attempts import (
    add_attempt,
    bring_forward,
    has_attempt_in_flight,
    has_operation_in_flight,
)
from models.attention import close_entry, decide_entry, lock_entry
from models.cash_balances import ask_to_return, lock_balance
from models.change import Change
from models.disputes import reopen_charge, take_back_reopening
from models.failing_rows import run_again
from models.idempotency import ApiResponse, Caller, IdempotencyRecord, reserve_key, store_response
from models.operations import Messages, carry_out_refund, carry_out_review
from models.outbox import send_again
from models.queries import find_entry, invoice_position, show_entry
from models.request_bodies import RefundPayment, ResolveEntry, ReviewPayment
from models.tables import attempts, movements
from models.transition_locks import lock_payment
from models.webhook_events import replay_event

# How an entry ends that is closed although money is left to move.
WRITTEN_OFF = "write_off"


class _Entry(NamedTuple):
    """A locked entry, its locked payment or cash balance if it is about one, and what is asked."""

    row: Row[Any]
    payment: Row[Any] | None
    request: ResolveEntry
    balance: Row[Any] | None = None

    @property
    def about(self) -> Row[Any]:
        """The payment. Raises AssertionError if the entry is about none."""
        if self.payment is None:
            raise AssertionError("bug: this entry is about no payment")
        return self.payment


def resolve_entry(change: Change, entry_id: str, request: ResolveEntry, caller: Caller, key: str | None) -> ApiResponse:
    """Do what a person has decided about an open entry, once for each idempotency key.

    Raises NotFound, InvalidRequest for an action that its reason does not have, Conflict where it cannot be done."""
    connection = change.connection
    record = IdempotencyRecord(caller.actor, key, f"resolve {entry_id}", request)
    replay = reserve_key(connection, record, change.now)
    if replay is not None:
        return replay
    # The payment or the balance is locked first, as everywhere.
    found = find_entry(connection, entry_id, None)
    payment_id = found.payment_id
    payment = lock_payment(connection, payment_id) if payment_id else None
    balance = lock_balance(connection, found.cash_balance_id) if found.cash_balance_id else None
    entry = _Entry(lock_entry(connection, entry_id), payment, request, balance)
    if entry.row.closed_at is not None:
        raise Conflict(f"this entry was closed by {entry.row.closed_by} already; nothing is left to decide")
    action = allowed_action(Reason(entry.row.reason), request.action)
    if request.write_off:
        require_writable_off(Reason(entry.row.reason))
    decide_entry(change, entry.row, WRITTEN_OFF if request.write_off else action, request.note)
    messages = _ACTIONS[action](change, entry)
    shown = show_entry(connection, entry_id, None)
    response = ApiResponse(202 if shown["closed_at"] is None else 200, shown, payment_id, messages)
    store_response(connection, record, response)
    return response


def _accept(change: Change, entry: _Entry) -> Messages:
    if Reason(entry.row.reason) is Reason.CHARGE_CONTRADICTING:
        return _decide_charges(change, entry, take_back_reopening)
    require_undecided(State(entry.about.state))
    return carry_out_review(change, entry.about, ReviewPayment(decision="approve"))


def _release(change: Change, entry: _Entry) -> Messages:
    require_undecided(State(entry.about.state))
    return carry_out_review(change, entry.about, ReviewPayment(decision="reject"))


def _give_back(change: Change, entry: _Entry) -> Messages:
    """Open a refund of what was overpaid, or of what is left of each charge that was taken a second time, or return
    what fits no payment."""
    if entry.balance is not None:
        return (ask_to_return(change, entry.balance),)
    payment = entry.about
    if Reason(entry.row.reason) is Reason.OVERPAID:
        amount = decimal_text(entry.row.amount, payment.currency)
        return carry_out_refund(change, payment, RefundPayment(amount=amount), OVERPAID)
    messages = []
    for duplicate in _duplicates(change.connection, payment.id):
        if not duplicate.left:
            continue
        columns = {"provider": duplicate.provider, "charge_reference": duplicate.reference, "reason": "duplicate"}
        message = add_attempt(change, payment, Verb.REFUND, duplicate.left, **columns)
        data = {"amount": decimal_text(duplicate.left, payment.currency)}
        transition.apply(change, message.row_id, OperationRequested(), data=data)
        messages.append(message)
    if not messages:
        raise AmountAboveOpen(
            "no second charge is left to refund: wait for the refund that is under way, or give the money back by hand "
            'and close this entry with "write_off": true'
        )
    return tuple(messages)


class _Duplicate(NamedTuple):
    """A charge that was taken a second time, and what is left of it, refunds that are under way counted as given."""

    provider: str
    reference: str
    left: int


def _duplicates(connection: Connection, payment_id: str) -> list[_Duplicate]:
    counted = attempts.c.status.in_([AttemptStatus.SUCCEEDED, *sorted(UNFINISHED)])
    given = (
        select(func.coalesce(func.sum(attempts.c.amount), 0))
        .where(
            attempts.c.payment_id == payment_id,
            attempts.c.verb == Verb.REFUND,
            attempts.c.charge_reference == movements.c.provider_id,
            counted,
        )
        .scalar_subquery()
    )
    taken = select(movements.c.provider, movements.c.provider_id, movements.c.amount, given).where(
        movements.c.payment_id == payment_id, movements.c.kind == MovementKind.DUPLICATE
    )
    rows = connection.execute(taken.order_by(movements.c.id))
    found: dict[str, _Duplicate] = {}
    for provider, reference, amount, back in rows:
        # What was taken later of the same charge has its name, and the sum behind it.
        charge = next((known for known in found if reference.startswith(f"{known}/")), reference)
        before = found[charge].left if charge in found else 0
        found[charge] = _Duplicate(provider, charge, before + amount - int(back))
    return list(found.values())


def _reopen(change: Change, entry: _Entry) -> Messages:
    """Book the money of each contradicted charge as lost, which opens the invoice again."""
    return _decide_charges(change, entry, reopen_charge)


def _decide_charges(change: Change, entry: _Entry, decide: Callable[[Change, Row[Any], str], None]) -> Messages:
    """Decide on each charge that an entry is about, and close the entry."""
    details = entry.row.data.get("details") or [entry.row.data]
    for attempt_id in sorted({detail["attempt"] for detail in details}):
        decide(change, lock_payment(change.connection, entry.about.id), attempt_id)
    close_entry(change, entry.row)
    return ()


def _look_again(change: Change, entry: _Entry) -> Messages:
    match Reason(entry.row.reason):
        case Reason.FAILING_ROW:
            failing = entry.row.data.get("details") or [entry.row.data]
            messages = (run_again(change, row["task"], row["row"]) for row in failing)
            return tuple(message for message in messages if message)
        case Reason.CREDENTIALS_REFUSED:
            return tuple(bring_forward(change, attempts.c.provider == entry.row.provider))
        case Reason.OPERATION_UNSENT:
            return tuple(bring_forward(change, _is_unsent(entry.about.id)))
        case Reason.MAIL_REFUSED | Reason.MAIL_UNSENT:
            return send_again(change, entry.row.payment_id)
        case Reason.VOID_REFUSED:
            return _repeat(change, entry.about, Verb.VOID)
        case Reason.CAPTURE_REFUSED:
            return _repeat(change, entry.about, Verb.CAPTURE)
    is_in_doubt = (attempts.c.payment_id == entry.about.id) & (attempts.c.status == AttemptStatus.IN_DOUBT)
    return tuple(bring_forward(change, is_in_doubt))


def _is_unsent(payment_id: str) -> ColumnElement[bool]:
    """Return the condition that an attempt is a capture, void or refund of the payment that waits to be sent."""
    is_operation = attempts.c.verb.in_((Verb.CAPTURE, Verb.VOID, Verb.REFUND))
    return (attempts.c.payment_id == payment_id) & is_operation & (attempts.c.status == AttemptStatus.DUE)


def _repeat(change: Change, payment: Row[Any], verb: Verb) -> Messages:
    """Open the newest refused attempt of a verb once more, or send the one now that is sent on and on."""
    if has_operation_in_flight(change.connection, payment.id):
        is_sent_on = (attempts.c.verb == verb) & (attempts.c.status == AttemptStatus.DUE)
        waiting = bring_forward(change, (attempts.c.payment_id == payment.id) & is_sent_on)
        if not waiting:
            raise Conflict(BUSY)
        return tuple(waiting)
    refused = change.connection.execute(
        select(attempts)
        .where(attempts.c.payment_id == payment.id, attempts.c.verb == verb, attempts.c.status == AttemptStatus.FAILED)
        .order_by(attempts.c.number.desc())
        .limit(1)
    ).one()
    is_late = refused.reason == LATE_AUTHORIZATION
    columns = {"provider": refused.provider, "reason": refused.reason}
    # A void of what surfaced late names the object; any other operation is about the payment's charge.
    columns |= {"provider_reference": refused.provider_reference} if is_late else {}
    message = add_attempt(change, payment, verb, refused.amount, **columns)
    if not is_late:
        try:
            transition.apply(change, message.row_id, OperationRequested())
        except IllegalTransition:
            raise Conflict("the payment has moved on, so there is nothing to repeat; close this entry") from None
    return (message,)


def _replay(change: Change, entry: _Entry) -> Messages:
    message = replay_event(change, entry.row.webhook_event_id)
    return (message,) if message else ()


def _close(change: Change, entry: _Entry) -> Messages:
    if entry.balance is not None and entry.balance.return_amount is not None:
        raise Conflict("this money is on its way back; wait for that")
    if entry.payment is not None:
        payment = entry.payment
        position = invoice_position(change.connection, payment.invoice_id, payment.application)
        is_doubtful = attempts.c.status == AttemptStatus.IN_DOUBT
        stake = Stake(
            State(payment.state),
            captured=payment.captured,
            received=payment.received,
            duplicated=payment.duplicated,
            is_in_doubt=has_attempt_in_flight(change.connection, payment.id, is_doubtful),
            is_unsent=has_attempt_in_flight(change.connection, payment.id, _is_unsent(payment.id)),
            overpaid=position.overpaid_still,
        )
        require_closable(Reason(entry.row.reason), stake, is_written_off=entry.request.write_off)
    close_entry(change, entry.row)
    return ()


_ACTIONS: dict[Action, Callable[[Change, _Entry], Messages]] = {
    Action.ACCEPT: _accept,
    Action.RELEASE: _release,
    Action.GIVE_BACK: _give_back,
    Action.REOPEN: _reopen,
    Action.LOOK_AGAIN: _look_again,
    Action.REPLAY: _replay,
    Action.CLOSE: _close,
}
