"""What comes of a try, as far as fraud counts it: which outcomes are declines, challenges left, or no tries at all."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeGuard

from domain.commands import ReviewDecided, Trigger, TryRefused
from domain.decision import Decision
from domain.fraud.limits import SlotState
from domain.outcome import Approved, Declined, NotSent
from domain.payment import AttemptStatus, Event, Payment, Verb


class TryResult(StrEnum):
    """What is counted of a try after it was begun.

    `succeeded`: of a payment whose customer is away, or confirms it in a front end. Such a try is not counted before,
    so that dunning never makes its own customer suspect, nor an intent that nobody pays with seem a success."""

    DECLINED = "declined"
    ABANDONED = "abandoned"
    UNSENT = "unsent"
    SUCCEEDED = "succeeded"


_BOOKED = frozenset({Event.CHARGE_APPROVED, Event.CHARGE_AUTHORIZED})


def result_of(payment: Payment, verb: Verb, trigger: Trigger, decision: Decision) -> TryResult | None:
    """Return what a decision about an attempt adds to the counts; None if nothing.

    An attempt that finishes as failed was never sent to an issuer: its try is taken back. A customer who leaves a front
    end before they enter a card has tried nothing."""
    if not verb.is_collecting:
        return None
    if payment.is_off_session:
        return TryResult.SUCCEEDED if isinstance(trigger, Approved) and decision.event in _BOOKED else None
    if isinstance(trigger, Declined):
        is_finished = decision.attempt.get("status") is AttemptStatus.DECLINED
        return TryResult.DECLINED if is_finished or payment.is_client_confirmed else None
    if payment.is_client_confirmed:
        is_booked = isinstance(trigger, Approved) and decision.event in _BOOKED
        return TryResult.SUCCEEDED if is_booked else None
    if isinstance(trigger, NotSent | TryRefused) and decision.attempt.get("status") is AttemptStatus.FAILED:
        return TryResult.UNSENT
    return TryResult.ABANDONED if decision.event is Event.PAYMENT_EXPIRED else None


def is_scored_again(trigger: Trigger, decision: Decision) -> TypeGuard[Approved]:
    """Tell whether a payment is scored with what came with the provider's response: one whose money is held always, one
    that was charged at once if the results may change the score."""
    if not isinstance(trigger, Approved) or decision.event not in _BOOKED:
        return False
    is_notable = trigger.checks is not None and trigger.checks.says_more_than_matches
    return decision.event is Event.CHARGE_AUTHORIZED or is_notable


@dataclass(frozen=True, slots=True)
class SlotChange:
    """What becomes of the slots of a try. `state` None: they are given back."""

    state: SlotState | None


def slot_after(payment: Payment, verb: Verb, trigger: Trigger, decision: Decision) -> SlotChange | None:
    """Return what a decision about an attempt says of its slots; None if nothing.

    They are given back only where it is proven that nothing was sent. An attempt that waits in an outage keeps them: it
    is sent as soon as the provider is up, and by then others must not have taken its place."""
    if not verb.is_collecting or payment.is_off_session:
        return None
    status = decision.attempt.get("status")
    if isinstance(trigger, Approved) and decision.event in _BOOKED:
        return SlotChange(SlotState.SUCCEEDED)
    if isinstance(trigger, Declined) and status is AttemptStatus.DECLINED:
        return SlotChange(SlotState.FAILED)
    is_rejected = isinstance(trigger, ReviewDecided) and not trigger.is_approved
    is_unsent = isinstance(trigger, NotSent | TryRefused) and status is AttemptStatus.FAILED
    if is_unsent or (is_rejected and status is AttemptStatus.CANCELED):
        return SlotChange(None)
    is_abandoned = decision.event is Event.PAYMENT_EXPIRED and not payment.is_client_confirmed
    return SlotChange(SlotState.FAILED) if is_abandoned else None
