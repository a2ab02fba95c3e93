"""The only writer of payment state: lock the row, let the domain decide, write state, event and effects.

Everything happens in the caller's transaction. Payment and attempt are locked together and in that order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    bindparam,
    exists,
    literal,
    or_,
    select,
    update,
)

from domain.backoff import waiting_delay
from domain.commands import InvoicePaidOtherwise, Started, Trigger
from domain.decision import (
    LEASE,
    CloseOtherAttempts,
    CloseSiblingCases,
    Decision,
    MarkSubscription,
    OpenAttempt,
    Policy,
    SaveCase,
)
from domain.dunning import CaseState
from domain.errors import LeaseLost, NotFound
from domain.outcome import Approved, AuthenticationRequired, Declined, InDoubt, NotSent, Outcome
from domain.payment import (
    IN_DUNNING,
    UNFINISHED,
    Attempt,
    AttemptStatus,
    DunningCase,
    Event,
    Payment,
    State,
    Verb,
)
from domain.state_machine import decide, target
from models.audit import record_event
from models.billing import dunning_cases
from models.breakers import breakers
from models.effects import close_other_attempts, mark_subscription, open_attempt, save_case
from models.payments import attempts, payments
from models.queries import invoice_position
from models.task_messages import TaskMessage, message_for_attempt


@dataclass(frozen=True, slots=True)
class Applied:
    """What was written, on the row as it was before. `rings`: what to announce after the commit."""

    payment: Row[Any]
    decision: Decision | None
    fencing_token: int
    messages: tuple[TaskMessage, ...] = ()


_other = attempts.alias("other")
_has_others = exists().where(
    _other.c.payment_id == payments.c.id, _other.c.id != attempts.c.id, _other.c.due_at.is_not(None)
)
_has_unpaid_sibling = exists().where(
    dunning_cases.c.invoice_id == payments.c.invoice_id,
    dunning_cases.c.payment_id != payments.c.id,
    # Not IN: SQLAlchemy writes its text anew for every execution.
    or_(dunning_cases.c.state == CaseState.RETRYING, dunning_cases.c.state == CaseState.IN_GRACE),
)
# Decisions and orders need no more. A column that nobody reads still costs, and personal data stays where it is.
_UNREAD = {"payer", "metadata", "next_action", "failure_code", "is_captured_later"}
_UNREAD_OF_ATTEMPT = {
    *("payment_id", "actor", "code", "decline_class", "decline_code", "advice_code", "network_advice_code"),
    *("network_decline_code", "finished_at"),
}
_payment_columns: list[ColumnElement[Any]] = [column for column in payments.c if column.name not in _UNREAD]
_attempt_columns: list[ColumnElement[Any]] = [
    column.label(f"attempt_{column.name}") for column in attempts.c if column.name not in _UNREAD_OF_ATTEMPT
]
_lock_attempt: Any = (
    select(
        *_payment_columns,
        *_attempt_columns,
        breakers.c.failures.label("breaker_failures"),
        breakers.c.opened_at.label("breaker_opened_at"),
        _has_others.label("has_other_due_attempt"),
        _has_unpaid_sibling.label("has_unpaid_sibling"),
    )
    .join(attempts, attempts.c.payment_id == payments.c.id)
    .outerjoin(breakers, (breakers.c.provider == attempts.c.provider) & (breakers.c.verb == attempts.c.verb))
    .where(attempts.c.id == bindparam("attempt_id"))
    .with_for_update(of=(payments, attempts))
)
_lock_payment: Any = (
    select(
        *_payment_columns,
        literal(True).label("has_other_due_attempt"),
        _has_unpaid_sibling.label("has_unpaid_sibling"),
    )
    .where(payments.c.id == bindparam("payment_id"))
    .with_for_update(of=payments)
)
# The case is read by itself after the lock: in one statement PostgreSQL would show it as it was before waiting.
# So it may show `has_others` and `has_unpaid_sibling`: what they miss then ends by itself when it is looked at.
_find_case = select(dunning_cases).where(dunning_cases.c.payment_id == bindparam("payment_id"))
_update_payment = update(payments).where(payments.c.id == bindparam("row_id"))
_update_attempt = update(attempts).where(attempts.c.id == bindparam("row_id"))


def lock_attempt(connection: Connection, attempt_id: str) -> Row[Any]:
    """Lock an attempt and its payment; the attempt's columns are called `attempt_…`. Raises NotFound."""
    row = connection.execute(_lock_attempt, {"attempt_id": attempt_id}).one_or_none()
    if row is None:
        raise NotFound(f"no attempt {attempt_id}")
    return row


def apply(
    connection: Connection,
    locked: Row[Any] | str,
    trigger: Trigger,
    *,
    now: datetime,
    policy: Policy,
    actor: str,
    fencing_token: int | None = None,
    data: dict[str, Any] | None = None,
) -> Applied:
    """Apply an outcome or command to an attempt, locked or named by its id, and to its payment.

    With `epoch`, only if the caller still holds the attempt's lease: raises LeaseLost otherwise.
    `Applied.decision` is None when it was so already. Raises NotFound, IllegalTransition."""
    row = lock_attempt(connection, locked) if isinstance(locked, str) else locked
    if fencing_token is not None and row.attempt_fencing_token != fencing_token:
        raise LeaseLost(f"attempt {row.attempt_id} is held by another worker")
    return _write(connection, row, row.attempt_id, trigger, now, policy, actor, data)


def changes_anything(connection: Connection, locked: Row[Any], outcome: Outcome, now: datetime, policy: Policy) -> bool:
    """Tell whether the outcome would be news for a locked attempt; writes nothing."""
    decided = decide(_payment(connection, locked), _attempt(locked), outcome, now, policy)
    return decided is not None and bool(decided.event or decided.payment)


def take_lease(connection: Connection, locked: Row[Any], now: datetime) -> int:
    """Take a locked attempt for a look-up; return the epoch to write with."""
    fencing_token: int = locked.attempt_fencing_token + 1
    connection.execute(
        _update_attempt, {"row_id": locked.attempt_id, "fencing_token": fencing_token, "due_at": now + LEASE}
    )
    return fencing_token


def schedule_look_up(connection: Connection, attempt_id: str, fencing_token: int, now: datetime) -> None:
    """Plan the next look at an attempt that its holder's answer left as it was; none at a closed one."""
    row = connection.execute(
        select(attempts.c.status, attempts.c.lookups).where(
            attempts.c.id == attempt_id, attempts.c.fencing_token == fencing_token
        )
    ).one_or_none()
    if row is not None:
        due_at = now + waiting_delay(row.lookups) if row.status in UNFINISHED else None
        connection.execute(_update_attempt, {"row_id": attempt_id, "due_at": due_at, "lookups": row.lookups + 1})


def apply_to_payment(
    connection: Connection,
    payment_id: str,
    trigger: Trigger,
    *,
    now: datetime,
    policy: Policy,
    actor: str,
    data: dict[str, Any] | None = None,
) -> Applied:
    """Apply a command or a date that concerns the payment and none of its attempts."""
    row = connection.execute(_lock_payment, {"payment_id": payment_id}).one_or_none()
    if row is None:
        raise NotFound(f"no payment {payment_id}")
    return _write(connection, row, None, trigger, now, policy, actor, data)


def _write(
    connection: Connection,
    row: Row[Any],
    attempt_id: str | None,
    trigger: Trigger,
    now: datetime,
    policy: Policy,
    actor: str,
    data: dict[str, Any] | None,
) -> Applied:
    # A host's clock may lag behind the one that wrote before: a payment's history never runs backwards.
    now = max(now, row.updated_at)
    payment = _payment(connection, row)
    decided = decide(payment, _attempt(row) if attempt_id else None, trigger, now, policy)
    fencing_token = row.attempt_fencing_token if attempt_id else 0
    if decided is None:
        return Applied(row, None, fencing_token)
    if attempt_id and decided.attempt:
        # Whoever writes takes the lease: a holder that was overtaken finds another epoch.
        fencing_token += 1 if isinstance(trigger, Started) or row.attempt_status != decided.attempt.get("status") else 0
        connection.execute(_update_attempt, {"row_id": attempt_id, "fencing_token": fencing_token, **decided.attempt})
    if decided.event is not None:
        state = target(payment.state, decided.event)
        changes = {"state": state, "updated_at": now, **decided.payment}
        connection.execute(_update_payment, {"row_id": row.id, **changes})
        note = data if data is not None else _facts(trigger)
        record_event(connection, row.id, decided.event, payment.state, state, actor, now, note, attempt_id)
    elif decided.payment:
        connection.execute(_update_payment, {"row_id": row.id, "updated_at": now, **decided.payment})
    messages = [
        message
        for effect in decided.effects
        if (message := _carry_out(connection, row, attempt_id, payment, effect, now, policy, actor))
    ]
    if attempt_id and decided.event is Event.CHARGE_RESUMED:
        messages.append(message_for_attempt(attempt_id, row.attempt_verb))
    return Applied(row, decided, fencing_token, tuple(messages))


def _carry_out(
    connection: Connection,
    row: Row[Any],
    attempt_id: str | None,
    payment: Payment,
    effect: Any,
    now: datetime,
    policy: Policy,
    actor: str,
) -> TaskMessage | None:
    match effect:
        case SaveCase(case=saved):
            save_case(connection, row, payment, saved, now)
        case MarkSubscription(status=status):
            mark_subscription(connection, row, status, now, actor)
        case OpenAttempt(verb=Verb.VOID) if row.has_other_due_attempt:
            return None  # an operator was faster
        case OpenAttempt(verb=verb, reason=reason, provider=provider, reference=reference):
            columns = {"reason": reason, "provider_reference": reference} | ({"provider": provider} if provider else {})
            return open_attempt(connection, row, verb, row.amount, now=now, actor=actor, **columns)
        case CloseOtherAttempts() if row.has_other_due_attempt:
            close_other_attempts(connection, row.id, attempt_id, now)
        case CloseSiblingCases():
            _settle_siblings(connection, row, now, policy, actor)
    return None


def _settle_siblings(connection: Connection, row: Row[Any], now: datetime, policy: Policy, actor: str) -> None:
    outstanding = invoice_position(connection, row.invoice_id).outstanding
    siblings = connection.scalars(
        select(payments.c.id).where(
            payments.c.invoice_id == row.invoice_id,
            payments.c.id != row.id,
            payments.c.state.in_(sorted(IN_DUNNING)),
            payments.c.amount > outstanding,
        )
    ).all()
    for sibling in siblings:
        trigger, data = InvoicePaidOtherwise(), {"settled_by": row.id}
        apply_to_payment(connection, sibling, trigger, now=now, policy=policy, actor=actor, data=data)


def _payment(connection: Connection, row: Row[Any]) -> Payment:
    found = connection.execute(_find_case, {"payment_id": row.id}).one_or_none() if row.subscription_id else None
    return Payment(
        id=row.id,
        state=State(row.state),
        amount=row.amount,
        authorized=row.authorized,
        captured=row.captured,
        refunded=row.refunded,
        is_off_session=row.is_off_session,
        is_client_confirmed=row.is_client_confirmed,
        subscription_id=row.subscription_id,
        created_at=row.created_at,
        authorization_expires_at=row.authorization_expires_at,
        case=None if found is None else _case(found),
        has_unpaid_sibling=row.has_unpaid_sibling,
        has_other_due_attempt=row.has_other_due_attempt,
        next_provider=_next_provider(row),
    )


def _next_provider(row: Row[Any]) -> str | None:
    """Return who comes after the present provider on the payment's route."""
    names = [name for name, _ in row.route or ()]
    later = names[names.index(row.provider) + 1 :] if row.provider in names else []
    return later[0] if later else None


def _case(row: Row[Any]) -> DunningCase:
    return DunningCase(CaseState(row.state), row.first_failed_at, row.retry, row.due_at, row.grace_ends_at)


def _attempt(row: Row[Any]) -> Attempt:
    return Attempt(
        id=row.attempt_id,
        verb=Verb(row.attempt_verb),
        status=AttemptStatus(row.attempt_status),
        amount=row.attempt_amount,
        lookups=row.attempt_lookups,
        retries=row.attempt_retries,
        claims=row.attempt_claims,
        created_at=row.attempt_created_at,
        reason=row.attempt_reason,
        is_known_to_provider=row.attempt_provider_reference is not None,
    )


def _facts(trigger: Trigger | Outcome) -> dict[str, Any] | None:
    match trigger:
        case Declined(decline=decline) | AuthenticationRequired(decline=decline):
            codes = {"code": decline.code, "decline_code": decline.decline_code, "class": decline.decline_class}
            return {name: value for name, value in codes.items() if value}
        case InDoubt(reason=reason) | NotSent(reason=reason):
            return {"reason": reason}
        case Approved(reference=reference):
            return {"reference": reference}
    return None
