"""Every write of an attempt. `models.transition` decides on outcomes; nothing else writes the table.

The lease: an attempt whose call is in flight is due when its lease ends. The fencing token: a worker that takes the
attempt over raises it, and a write under an older token is refused. So a paused worker cannot overwrite what was
recorded meanwhile."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    bindparam,
    case,
    exists,
    func,
    insert,
    literal,
    select,
    tuple_,
    update,
)

from domain.backoff import after_visit, next_waiting_look_up
from domain.claiming import next_look_up
from domain.decision import LEASE, AttemptChanges
from domain.errors import LeaseLost
from domain.idempotency_key import KeyState
from domain.movement import MovementKind
from domain.payment import IN_FLIGHT, LATE_AUTHORIZATION, UNFINISHED, AttemptStatus, State, Verb
from models.change import Change
from models.tables import attempts, movements, payments
from models.tables.base import new_id
from models.task_messages import TaskMessage, message_for_attempt

# What becomes of such an attempt shows only at the provider.
_MAY_HAVE_RUN = (AttemptStatus.OPEN, AttemptStatus.IN_DOUBT, AttemptStatus.PENDING)
# As many as one sweep publishes of a table.
_MOST_MESSAGES = 500
# Built once: to build a statement costs more than to run it.
_update_attempt = update(attempts).where(attempts.c.id == bindparam("row_id"))
_select_schedule = select(
    payments.c.state,
    *(attempts.c[name] for name in ("verb", "status", "lookups", "waiting_since", "created_at", "action_expires_at")),
).join(payments, payments.c.id == attempts.c.payment_id)
_set_reference = update(attempts).where(
    attempts.c.id == bindparam("row_id"), attempts.c.fencing_token == bindparam("held_token")
)


def new_attempt(
    attempt_id: str, payment_id: str, verb: Verb, provider: str, amount: int, *, now: datetime, actor: str
) -> dict[str, Any]:
    """Return the columns of a payment's first attempt, due now."""
    return {
        "id": attempt_id,
        "payment_id": payment_id,
        "number": 1,
        "verb": verb,
        "provider": provider,
        "amount": amount,
        "status": AttemptStatus.DUE,
        "fencing_token": 0,
        "claims": 0,
        "retries": 0,
        "key_number": 0,
        "key_state": KeyState.USABLE,
        "lookups": 0,
        "failures": 0,
        "due_at": now,
        "actor": actor,
        "created_at": now,
    }


def insert_attempt(connection: Connection, values: dict[str, Any]) -> None:
    """Store the first attempt of a payment."""
    connection.execute(insert(attempts), values)


def add_attempt(change: Change, payment: Row[Any], verb: Verb, amount: int, **columns: Any) -> TaskMessage:
    """Store a further attempt of a locked payment, due now; return its message. Its id is its idempotency key."""
    attempt_id = new_id("re" if verb is Verb.REFUND else "at", change.now)
    number = select(func.coalesce(func.max(attempts.c.number), 0) + 1).where(attempts.c.payment_id == payment.id)
    values = new_attempt(attempt_id, payment.id, verb, payment.provider, amount, now=change.now, actor=change.actor)
    values |= columns
    change.connection.execute(insert(attempts).values(values | {"number": number.scalar_subquery()}))
    return message_for_attempt(attempt_id, verb)


def authorize_first(connection: Connection, attempt_id: str) -> None:
    """Let a charge that was never sent hold the money first: its capture follows."""
    values = {"row_id": attempt_id, "verb": Verb.AUTHORIZE}
    connection.execute(_update_attempt, values)


def write_decision(connection: Connection, attempt_id: str, fencing_token: int, changes: AttemptChanges) -> None:
    """Write what was decided on a locked attempt."""
    connection.execute(_update_attempt, {"row_id": attempt_id, "fencing_token": fencing_token, **changes})


def store_reference(connection: Connection, attempt_id: str, fencing_token: int, reference: str) -> None:
    """Store the provider's id of the attempt's object. Raises LeaseLost if another worker holds the attempt."""
    values = {"row_id": attempt_id, "held_token": fencing_token, "provider_reference": reference}
    if connection.execute(_set_reference, values).rowcount != 1:
        raise LeaseLost(f"attempt {attempt_id} is held by another worker")


def take_lease(change: Change, locked: Row[Any]) -> int:
    """Take a locked attempt for a look-up; return the fencing token to write with.

    An attempt that is sent is claimed by the command `Started` instead, because that is a decision on the payment."""
    fencing_token: int = locked.attempt_fencing_token + 1
    values = {"row_id": locked.attempt_id, "fencing_token": fencing_token, "due_at": change.now + LEASE}
    change.connection.execute(_update_attempt, values)
    return fencing_token


def renew_leases(connection: Connection, held: Iterable[tuple[str, int]], now: datetime) -> list[tuple[str, int]]:
    """Extend the leases of these attempts, each named with its fencing token; return those that are still held.

    A row that is locked right now is left for the next round, so that it does not hold up the others."""
    is_held = tuple_(attempts.c.id, attempts.c.fencing_token).in_(list(held))
    free = select(attempts.c.id).where(is_held).with_for_update(skip_locked=True)
    renewal = (
        update(attempts)
        .where(attempts.c.id.in_(free))
        .values(due_at=now + LEASE)
        .returning(attempts.c.id, attempts.c.fencing_token)
    )
    return [(row.id, row.fencing_token) for row in connection.execute(renewal)]


def schedule_look_up(change: Change, attempt_id: str, fencing_token: int) -> None:
    """Schedule the next look-up of an attempt that stays as it was, as one that waits for its bank or customer; none of
    a finished one."""
    is_held = (attempts.c.id == attempt_id) & (attempts.c.fencing_token == fencing_token)
    row = change.connection.execute(_select_schedule.where(is_held)).one_or_none()
    if row is None:
        return
    since, end = row.waiting_since or row.created_at, row.action_expires_at
    planned_at = next_waiting_look_up(since, change.now, end)
    due_at = next_look_up(State(row.state), Verb(row.verb), AttemptStatus(row.status), planned_at)
    change.connection.execute(_update_attempt, {"row_id": attempt_id, "due_at": due_at, "lookups": row.lookups + 1})


def postpone(connection: Connection, attempt_id: str, due_at: datetime) -> None:
    """Move the due date of a locked attempt; nothing else changes."""
    connection.execute(_update_attempt, {"row_id": attempt_id, "due_at": due_at})


def count_attempt_failure(connection: Connection, locked: Row[Any], failures: int, due_at: datetime | None) -> None:
    """Store how often the task of a locked attempt has failed, and when it is due again."""
    values = {"row_id": locked.attempt_id, "failures": failures, "due_at": due_at}
    connection.execute(_update_attempt, values)


def bring_forward(change: Change, is_meant: ColumnElement[bool]) -> list[TaskMessage]:
    """Make attempts due now that wait to be sent or are in doubt; return the messages of as many as a sweep publishes.

    The sweep publishes the others."""
    is_waiting = attempts.c.status.in_((AttemptStatus.DUE, AttemptStatus.IN_DOUBT))
    # A look-up that is running now has made the attempt due within its lease.
    is_idle = attempts.c.due_at > change.now + LEASE
    earlier = (
        update(attempts)
        .where(is_meant, is_waiting, is_idle)
        .values(due_at=change.now)
        .returning(attempts.c.id, attempts.c.verb, attempts.c.status)
    )
    return [message_for_attempt(*row) for row in change.connection.execute(earlier)][:_MOST_MESSAGES]


def bring_look_up_forward(
    connection: Connection, attempt_id: str, last_visit: datetime | None, now: datetime
) -> datetime | None:
    """Bring the next look-up of an attempt that waits for its customer or bank forward, because of a visit; return when
    it is due, None if it comes soon enough. It takes the place of no planned one."""
    waits = attempts.c.status.in_((AttemptStatus.ACTION_REQUIRED, AttemptStatus.PENDING))
    # A look-up that is running now has made the attempt due within its lease.
    is_idle = attempts.c.due_at > now + LEASE
    due_at = after_visit(now, last_visit)
    earlier = update(attempts).where(attempts.c.id == attempt_id, waits, is_idle)
    is_changed = connection.execute(earlier.values(due_at=due_at, visited_at=due_at)).rowcount
    return due_at if is_changed else None


def close_other_attempts(change: Change, payment_id: str, attempt_id: str | None) -> None:
    """End the other attempts of the payment, refunds aside, and take their leases.

    An attempt whose call may have run stays: only a look-up shows what became of it. So does a closed one that is due,
    since what it holds is to be released."""
    is_unfinished = attempts.c.status.in_(sorted(UNFINISHED))
    is_holding = attempts.c.due_at.is_not(None) & (attempts.c.status == AttemptStatus.SUCCEEDED)
    now = literal(change.now, attempts.c.finished_at.type)
    change.connection.execute(
        update(attempts)
        .where(
            attempts.c.payment_id == payment_id,
            attempts.c.id != (attempt_id or ""),
            attempts.c.verb != Verb.REFUND,
            # What it releases is not the payment's money.
            attempts.c.reason.is_distinct_from(LATE_AUTHORIZATION),
            is_unfinished | is_holding,
            attempts.c.status.not_in(_MAY_HAVE_RUN),
        )
        .values(
            status=case((is_unfinished, AttemptStatus.CANCELED), else_=attempts.c.status),
            finished_at=func.coalesce(attempts.c.finished_at, now),
            fencing_token=attempts.c.fencing_token + 1,
            due_at=None,
        )
    )


def give_up_hold(change: Change, attempt_id: str) -> None:
    """Make an attempt due that holds money which its payment does without: its look-up releases that."""
    values = {"status": AttemptStatus.CANCELED, "due_at": change.now, "lookups": 0}
    raised = {"fencing_token": attempts.c.fencing_token + 1}
    change.connection.execute(update(attempts).where(attempts.c.id == attempt_id).values(values | raised))


def find_charge(connection: Connection, payment_id: str) -> Row[Any] | None:
    """Return the id and the provider's object of the payment's charge, which its captures, voids and refunds are about.

    It is the attempt whose money is booked as the payment's; others may have succeeded too, such as one that took the
    money a second time."""

    def is_booked(*kinds: MovementKind) -> ColumnElement[bool]:
        names_it = (movements.c.attempt_id == attempts.c.id) | (
            movements.c.provider_id == attempts.c.provider_reference
        )
        return exists().where(movements.c.payment_id == payment_id, names_it, movements.c.kind.in_(kinds))

    likely_first = case(
        (is_booked(MovementKind.CHARGE, MovementKind.CAPTURE), 0),
        (is_booked(MovementKind.AUTHORIZATION), 1),
        (attempts.c.status == AttemptStatus.SUCCEEDED, 2),
        else_=3,
    )
    charge: Any = connection.execute(
        select(attempts.c.id, attempts.c.provider_reference)
        .where(
            attempts.c.payment_id == payment_id,
            attempts.c.verb.in_([Verb.CHARGE, Verb.AUTHORIZE]),
            attempts.c.provider_reference.is_not(None),
        )
        .order_by(likely_first, attempts.c.number.desc())
        .limit(1)
    ).one_or_none()
    return charge


def last_void_at(connection: Connection, payment_id: str) -> datetime | None:
    """Return when the newest void of a payment was asked for, if there is one."""
    is_void = (attempts.c.payment_id == payment_id) & (attempts.c.verb == Verb.VOID)
    began_at: datetime | None = connection.scalar(select(func.max(attempts.c.created_at)).where(is_void))
    return began_at


def has_attempt_in_flight(connection: Connection, payment_id: str, is_meant: ColumnElement[bool]) -> bool:
    """Tell whether the provider may be moving money right now for such an attempt of the payment."""
    in_flight = select(attempts.c.id).where(
        attempts.c.payment_id == payment_id, attempts.c.status.in_(sorted(IN_FLIGHT)), is_meant
    )
    return connection.execute(in_flight.limit(1)).first() is not None


def has_operation_in_flight(connection: Connection, payment_id: str) -> bool:
    """Tell whether a charge, capture or void of the payment is in flight. Refunds may run beside each other."""
    return has_attempt_in_flight(connection, payment_id, attempts.c.verb != Verb.REFUND)


def refunds_under_way(connection: Connection, payment_id: str) -> int:
    """Return how much of the payment's captured money refunds give back that have not ended, in minor units."""
    under_way = select(attempts.c.amount).where(
        attempts.c.payment_id == payment_id,
        attempts.c.verb == Verb.REFUND,
        attempts.c.status.in_(sorted(UNFINISHED)),
        # A refund of a duplicate gives back other money.
        attempts.c.charge_reference.is_(None),
    )
    return sum(connection.scalars(under_way))
