"""Screens a due charge inside its claim: is the debt still owed, and what do the fraud rules say?"""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, bindparam, case, func, or_, select

from domain.booking import NOT_SENT
from domain.claiming import Screening, has_waited_unsent, is_backup_unsent, screening_of
from domain.commands import CancelRequested, ChargeWithdrawn, InvoicePaidOtherwise, TryRefused
from domain.fraud import RULE_SET, FraudDecision, Signals, assess, stopping_command
from domain.invoice import reason_to_stop_dunning
from domain.money import Money
from domain.payment import State, Verb
from models import transition
from models.attempts import add_attempt, postpone
from models.backup_methods import may_still_be_charged
from models.change import Change
from models.instruments import known_instrument, refused_try
from models.invoices import lock_invoice
from models.queries import invoice_position
from models.session import insert_new
from models.subscriptions import is_subscription_canceled
from models.tables import assessments, payments
from tasks.dunning import OTHER_COLLECTION_PAUSE


def screen(change: Change, locked: Row[Any]) -> FraudDecision | None:
    """Return what the fraud rules say of the locked attempt's payment, or None if it must not be sent now.

    A payment is assessed once. A dunning retry is not assessed again, but its debt must still be owed, and so must that
    of any charge that had to wait. Then the instrument must be one that may be tried now."""
    decision = _screen(change, locked)
    if decision is None or known_instrument(locked) is None:
        return decision
    refusal = refused_try(change, locked)
    if refusal is None:
        return decision
    transition.apply(change, locked, TryRefused(refusal))
    return None


def _screen(change: Change, locked: Row[Any]) -> FraudDecision | None:
    if is_backup_unsent(State(locked.state), locked.attempt_cause) and not _is_still_wanted(change, locked):
        return None
    if _has_waited(locked) and not _is_still_owed(change, locked):
        return None
    was_begun = bool(locked.attempt_claims or locked.attempt_retries or locked.attempt_provider_reference)
    match screening_of(State(locked.state), was_begun=was_begun):
        case Screening.DEBT:
            return FraudDecision.APPROVE if _is_still_owed(change, locked) else None
        case Screening.FRAUD:
            return _assess(change, locked)
        case Screening.STORED_DECISION:
            return _stored_decision(change, locked)


def _has_waited(locked: Row[Any]) -> bool:
    return has_waited_unsent(State(locked.state), locked.attempt_retries, locked.attempt_waiting_since)


def _is_still_owed(change: Change, locked: Row[Any]) -> bool:
    # A payment that is accepted meanwhile is seen, or sees this one.
    lock_invoice(change.connection, locked.invoice_id, locked.application)
    position = invoice_position(change.connection, locked.invoice_id, locked.application)
    if position.live_payment not in (None, locked.id):
        postpone(change.connection, locked.attempt_id, change.now + OTHER_COLLECTION_PAUSE)
        return False
    is_canceled = is_subscription_canceled(change.connection, locked)
    stop = reason_to_stop_dunning(position, locked.amount, is_subscription_canceled=is_canceled)
    if stop is not None:
        _end(change, locked, stop)
    return stop is None


def _is_still_wanted(change: Change, locked: Row[Any]) -> bool:
    """Tell whether a backup method may be charged: its consent, or the case of its debt, may have ended meanwhile."""
    if not may_still_be_charged(change, locked):
        _end(change, locked, CancelRequested())
        return False
    return _is_still_owed(change, locked)


def _end(change: Change, locked: Row[Any], stop: InvoicePaidOtherwise | CancelRequested) -> None:
    if _has_waited(locked) and locked.attempt_provider_reference is not None:
        # An earlier call may still be running: only a canceled object can never be charged.
        transition.apply(change, locked, ChargeWithdrawn())
        add_attempt(change, locked, Verb.VOID, locked.amount, reason=NOT_SENT, cause=locked.attempt_cause)
    else:
        transition.apply_to_payment(change, locked.id, stop)


def _stored_decision(change: Change, locked: Row[Any]) -> FraudDecision:
    stored = select(assessments.c.decision).where(assessments.c.payment_id == locked.id)
    return FraudDecision(change.connection.scalar(stored) or FraudDecision.APPROVE)


def _assess(change: Change, locked: Row[Any]) -> FraudDecision | None:
    assessment = assess(_signals(change, locked))
    stored = {
        "payment_id": locked.id,
        "score": assessment.score,
        "decision": assessment.decision,
        "reasons": [asdict(reason) for reason in assessment.reasons],
        "rule_set": RULE_SET,
        "at": change.now,
    }
    if not insert_new(change.connection, assessments, stored):
        # Assessed before: it waited in an outage, which counts no try, or an operator has approved it since.
        return _stored_decision(change, locked)
    command = stopping_command(assessment.decision)
    if command is None:
        return assessment.decision
    data = {"score": assessment.score, "reasons": [reason.rule for reason in assessment.reasons]}
    transition.apply(change, locked, command, data=data)
    return None


# Built once: to build a statement costs more than to run it. Not IN, whose text SQLAlchemy writes anew each time.
_is_in_hour = payments.c.created_at > bindparam("hour_ago")
_is_declined = or_(payments.c.state == State.DECLINED, payments.c.state == State.BLOCKED)
_velocity = select(
    func.count().label("day"),
    func.coalesce(func.sum(case((_is_in_hour, 1), else_=0)), 0).label("hour"),
    func.coalesce(func.sum(case((_is_in_hour & _is_declined, 1), else_=0)), 0).label("declines"),
).where(
    payments.c.application == bindparam("application"),
    payments.c.user_id == bindparam("user_id"),
    payments.c.created_at > bindparam("day_ago"),
    payments.c.id != bindparam("payment_id"),
)


def _signals(change: Change, locked: Row[Any]) -> Signals:
    parameters = {
        "application": locked.application,
        "user_id": locked.user_id,
        "payment_id": locked.id,
        "hour_ago": change.now - timedelta(hours=1),
        "day_ago": change.now - timedelta(days=1),
    }
    counts = change.connection.execute(_velocity, parameters).one()
    return Signals(
        money=Money(locked.amount, locked.currency),
        payments_hour=counts.hour,
        payments_day=counts.day,
        declines_hour=counts.declines,
    )
