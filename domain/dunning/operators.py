"""What an operator may do about a dunning case, what happens next on it, and what ends with a subscription."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from domain.allowed_operations import CancelAction, Cancellable, cancel_action
from domain.decline import DeclineClass
from domain.dunning.case import OPEN_CASES, CaseState, may_retry
from domain.dunning.policy import DunningPolicy
from domain.errors import Conflict, InvalidRequest
from domain.payment import IN_DUNNING, DunningCase, State

# A person who lets a case wait for longer means to stop it.
_LONGEST_WAIT = timedelta(days=90)
_ASKED = "a try of this debt is under way; wait until it has ended"


class PaymentEnd(StrEnum):
    """What becomes of a payment whose subscription ends."""

    STOPPED = "stopped"  # its dunning
    CANCELED = "canceled"
    VOIDED = "voided"
    LEFT = "left"  # its provider is moving money now, which is booked


def end_with_subscription(payment: Cancellable) -> PaymentEnd:
    """Return what becomes of a payment that is open when its subscription ends.

    >>> end_with_subscription(Cancellable(State.PAST_DUE, False, False, False)).value
    'stopped'
    >>> end_with_subscription(Cancellable(State.PROCESSING, False, False, False)).value
    'left'
    """
    try:
        action = cancel_action(payment)
    except Conflict:
        return PaymentEnd.LEFT
    if action is not CancelAction.AT_ONCE:
        return PaymentEnd.LEFT if payment.is_operating else PaymentEnd.VOIDED
    return PaymentEnd.STOPPED if payment.state in IN_DUNNING else PaymentEnd.CANCELED


def require_open(state: CaseState) -> None:
    """Refuse to change a case that is closed. Raises Conflict.

    >>> require_open(CaseState.RECOVERED)
    Traceback (most recent call last):
    ...
    domain.errors.Conflict: this case is closed: it is recovered
    >>> require_open(CaseState.EXHAUSTED)
    Traceback (most recent call last):
    ...
    domain.errors.Conflict: this case is closed: it is exhausted; what is owed is paid by a payment of its invoice
    """
    if state not in OPEN_CASES:
        advice = "" if state is CaseState.RECOVERED else "; what is owed is paid by a payment of its invoice"
        raise Conflict(f"this case is closed: it is {state}{advice}")


def require_waiting(payment: State, *, has_operation_in_flight: bool) -> None:
    """Refuse to change a case while a try of its payment is under way. Raises Conflict."""
    if payment not in IN_DUNNING or has_operation_in_flight:
        raise Conflict(_ASKED)


def require_no_live(live_payment: str | None) -> None:
    """Refuse a try while another payment is collecting the invoice. Raises Conflict."""
    if live_payment is not None:
        raise Conflict(f"payment {live_payment} is collecting this invoice; wait for it or cancel it")


def require_chargeable_again(last_decline: DeclineClass | None) -> None:
    """Refuse to try an instrument again that its last decline forbids. Raises Conflict.

    >>> require_chargeable_again(DeclineClass.HARD)
    Traceback (most recent call last):
    ...
    domain.errors.Conflict: the last decline was hard: this instrument is not charged again; the customer has to pay ...
    """
    if last_decline is not None and last_decline is not DeclineClass.TECHNICAL and not may_retry(last_decline):
        raise Conflict(
            f"the last decline was {last_decline}: this instrument is not charged again; the customer has to pay in "
            "another way"
        )


def require_still_due(stop: object | None) -> None:
    """Refuse a try of a debt that is paid, or whose subscription has ended. Raises Conflict."""
    if stop is not None:
        raise Conflict("nothing of this debt is owed any more: it is paid, or its subscription has ended")


@dataclass(frozen=True, slots=True)
class NextStep:
    """What happens next on a case, when, and why. `at` None: as soon as what is under way has ended."""

    at: datetime | None
    what: str
    why: str


def next_step(case: DunningCase, payment: State, *, is_under_way: bool) -> NextStep | None:
    """Return what happens next on a case; None for a closed one.

    >>> noon = datetime(2026, 11, 28, 12)
    >>> next_step(DunningCase(CaseState.RETRYING, noon, 1, due_at=noon), State.PAST_DUE, is_under_way=False).what
    'retry'
    """
    if case.state not in OPEN_CASES:
        return None
    if is_under_way or payment not in IN_DUNNING:
        return NextStep(None, "outcome", "a try is under way, and its outcome decides what follows")
    what, why = _planned(case)
    if case.paused_until is not None:
        return NextStep(case.due_at, what, f"an operator lets the case wait; {why}")
    return NextStep(case.due_at, what, why)


def _planned(case: DunningCase) -> tuple[str, str]:
    if case.state is CaseState.IN_GRACE:
        action = (case.policy or DunningPolicy()).end_action
        return "grace_end", f"nothing more is tried; a subscription then follows the end action of the policy: {action}"
    if case.unsent:
        return "retry", "no issuer could be asked the last time; this uses up no retry"
    return "retry", f"retry {case.retry} of the policy {case.policy_name}"


def may_be_tried_unasked(case: DunningCase, now: datetime) -> bool:
    """Tell whether a debt is tried because of something else than its plan, such as a changed card or a backup method:
    not once its case is closed, while an operator lets it wait, or where it is only watched.

    >>> noon = datetime(2026, 11, 28, 12)
    >>> may_be_tried_unasked(DunningCase(CaseState.RETRYING, noon, 1), noon)
    True
    >>> waiting = DunningCase(CaseState.RETRYING, noon, 1, paused_until=noon + timedelta(days=2))
    >>> may_be_tried_unasked(waiting, noon)
    False
    """
    is_watched_only = case.policy is not None and case.policy.is_monitor_only
    is_waiting = case.paused_until is not None and now < case.paused_until
    return case.state in OPEN_CASES and not is_watched_only and not is_waiting


def pause(case: DunningCase, until: datetime | None, now: datetime) -> DunningCase:
    """Return the case as it waits until then. Raises InvalidRequest for an instant that is past or too far away."""
    later = _later(until, now, "until")
    planned_at = case.planned_at or case.due_at
    if planned_at is None:
        raise Conflict(_ASKED)
    return replace(case, due_at=max(planned_at, later), planned_at=planned_at, paused_until=later)


def resume(case: DunningCase, now: datetime) -> DunningCase:
    """Return the case as it goes on: what was planned is due then, or now. Raises Conflict if it does not wait."""
    if case.planned_at is None:
        raise Conflict("this case is not paused")
    return replace(case, due_at=max(case.planned_at, now), planned_at=None, paused_until=None)


def extend_grace(case: DunningCase, until: datetime | None, now: datetime) -> DunningCase:
    """Return the case with a later end of its grace. Raises Conflict for one that is not in grace, InvalidRequest for
    an end that is not later."""
    if case.state is not CaseState.IN_GRACE or case.grace_ends_at is None:
        raise Conflict(f"this case has no grace to extend: it is {case.state}")
    later = _later(until, max(now, case.grace_ends_at), "until")
    waits = case.paused_until is not None and case.due_at is not None
    due_at = max(case.due_at, later) if waits and case.due_at is not None else later
    return replace(case, grace_ends_at=later, due_at=due_at, planned_at=later if waits else None)


def _later(until: datetime | None, than: datetime, field: str) -> datetime:
    if until is None or not than < until <= than + _LONGEST_WAIT:
        raise InvalidRequest(f"{field} must be after {than.isoformat(timespec='seconds')}, by 90 days at most")
    return until
