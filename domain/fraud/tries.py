"""What comes of a try, as far as fraud counts it: which outcomes are declines, challenges left, or no tries at all."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeGuard

from domain.commands import Trigger
from domain.decision import Decision
from domain.outcome import Approved, Declined, NotSent
from domain.payment import AttemptStatus, Event, Payment, Verb


class TryResult(StrEnum):
    """What is counted of a try after it was begun. `succeeded`: of a payment whose customer is away. Such a try is not
    counted before, so that dunning never makes its own customer suspect."""

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
        return None
    if isinstance(trigger, NotSent) and decision.attempt.get("status") is AttemptStatus.FAILED:
        return TryResult.UNSENT
    return TryResult.ABANDONED if decision.event is Event.PAYMENT_EXPIRED else None


def is_scored_again(trigger: Trigger, decision: Decision) -> TypeGuard[Approved]:
    """Tell whether a payment is scored with what came with the provider's response: one whose money is held always, one
    that was charged at once if the results may change the score."""
    if not isinstance(trigger, Approved) or decision.event not in _BOOKED:
        return False
    is_notable = trigger.checks is not None and trigger.checks.says_more_than_matches
    return decision.event is Event.CHARGE_AUTHORIZED or is_notable
