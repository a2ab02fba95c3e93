"""What a decision leaves to a person, and which open entries of the attention list it ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from domain.allowed_operations import OVERPAID
from domain.attention import HELD, LONG_DOUBT, OPENED_BY, Reason, taken_twice
from domain.backoff import LONGEST_OUTAGE, NOT_SENT_TRIES
from domain.booking import OTHER_AMOUNT
from domain.capture_void_refund import ALREADY_CAPTURED
from domain.decision import Decision, DecisionContext
from domain.dunning.case import OPEN_CASES
from domain.effects import CloseAttention, OpenAttention, SaveCase
from domain.movement import MovementKind, amounts_after
from domain.payment import COLLECTED, IN_FLIGHT, LIVE, Attempt, AttemptStatus, DunningCase, Event, State, Verb
from domain.transitions import TRANSITIONS

# They name an attempt each, and add up what these are about.
_ADDING = (Reason.DOUBT, Reason.OPERATION_UNSENT)
_REFUSED = {Verb.VOID: Reason.VOID_REFUSED, Verb.CAPTURE: Reason.CAPTURE_REFUSED}


def with_attention(context: DecisionContext, decision: Decision) -> Decision:
    """Add to a decision what it does to the attention list."""
    ended = frozenset(_ended(context, decision)) if context.payment.has_open_entry else frozenset()
    closing = (CloseAttention(ended),) if ended else ()
    effects = (*closing, *_opened(context, decision))
    return replace(decision, effects=(*decision.effects, *effects)) if effects else decision


def _opened(context: DecisionContext, decision: Decision) -> Iterator[OpenAttention]:
    reason = OPENED_BY.get(decision.event) if decision.event else None
    if reason is None and decision.attempt.get("code") == OTHER_AMOUNT:
        reason = Reason.AMOUNT_MISMATCH
    if reason is None and _is_refused_void(context, decision):
        reason = Reason.VOID_REFUSED
    if reason is None and _is_long_doubt(context, decision):
        reason = Reason.DOUBT
    if reason is None and _is_long_unsent(context, decision):
        reason = Reason.OPERATION_UNSENT
    if reason is None and _is_undone_return(context, decision):
        reason = Reason.OVERPAID
    if reason is None and any(case.unsent == context.policy_of(case).most_technical for case in _saved_cases(decision)):
        reason = Reason.RETRY_UNSENT
    if reason is not None:
        at_stake = _at_stake(context, decision, reason)
        yield OpenAttention(reason, at_stake, _detail(context, decision), adds=reason in _ADDING)


def _detail(context: DecisionContext, decision: Decision) -> dict[str, str | int]:
    """Name the provider's object that moved, or else the attempt: a payment may be on the list for several."""
    attempt = context.given_attempt
    if decision.movements:
        taken = (each for each in decision.movements if each.kind is not MovementKind.AUTHORIZATION)
        moved = next(taken, decision.movements[0])
        return {"reference": moved.provider_id, "amount": abs(moved.amount)}
    return {"attempt": attempt.id, "amount": attempt.amount} if attempt is not None else {}


def _at_stake(context: DecisionContext, decision: Decision, reason: Reason) -> int:
    payment, after = context.payment, _amounts(context, decision)
    match reason:
        case Reason.DUPLICATE:
            return taken_twice(after["duplicated"], after["received"], after["captured"])
        case Reason.AMOUNT_MISMATCH if decision.event is Event.AMOUNT_MISMATCHED:
            return after["received"] or after["authorized"]
        case Reason.AMOUNT_MISMATCH | Reason.CHARGE_CONTRADICTING:
            return after["captured"]
    return payment.amount if context.given_attempt is None else context.given_attempt.amount


def _amounts(context: DecisionContext, decision: Decision) -> dict[str, int]:
    payment = context.payment
    before = {name: getattr(payment, name) for name in ("authorized", "captured", "received", "duplicated")}
    return before | amounts_after(before, decision.movements)


def _is_refused_void(context: DecisionContext, decision: Decision) -> bool:
    """Tell whether a void gives up, or is sent on without an end. One whose charge was faster has nothing left to
    void."""
    attempt = context.given_attempt
    if attempt is None or attempt.verb is not Verb.VOID:
        return False
    has_failed = decision.attempt.get("status") is AttemptStatus.FAILED
    # Asked once: the entry that a person has closed does not come back with every further try.
    is_endless = decision.attempt.get("retries") == NOT_SENT_TRIES
    return is_endless or (has_failed and decision.attempt.get("code") != ALREADY_CAPTURED)


def _is_long_doubt(context: DecisionContext, decision: Decision) -> bool:
    attempt = context.given_attempt
    if attempt is None or decision.attempt.get("status") is not AttemptStatus.IN_DOUBT:
        return False
    since = decision.attempt.get("in_doubt_since") or attempt.in_doubt_since or attempt.created_at
    return context.now - since >= LONG_DOUBT


def _is_long_unsent(context: DecisionContext, decision: Decision) -> bool:
    """Tell whether a capture, void or refund waits for a provider that is down. A charge does not wait so long."""
    attempt = context.given_attempt
    if attempt is None or attempt.verb.is_collecting or decision.attempt.get("status") is not AttemptStatus.DUE:
        return False
    since = decision.attempt.get("waiting_since")
    return since is not None and context.now - since >= LONGEST_OUTAGE


def _is_undone_return(context: DecisionContext, decision: Decision) -> bool:
    """Tell whether a refund of what was overpaid has failed after it was given."""
    is_return = context.given_attempt is not None and context.given_attempt.reason == OVERPAID
    return is_return and any(movement.kind is MovementKind.REFUND_FAILURE for movement in decision.movements)


def _ended(context: DecisionContext, decision: Decision) -> Iterator[Reason]:
    state = context.state
    if decision.event is not None and TRANSITIONS.get((state, decision.event), state) is not state:
        yield from _ended_with_state(state)
    after = _amounts(context, decision)
    if context.payment.duplicated and not taken_twice(after["duplicated"], after["received"], after["captured"]):
        yield Reason.DUPLICATE
    if decision.event is Event.PAYMENT_REVERSED or _is_won_back(context, decision):
        yield Reason.PARTLY_LOST
    for case in _saved_cases(decision):
        yield Reason.FAILING_ROW
        if not case.unsent:
            yield Reason.RETRY_UNSENT
        if case.state not in OPEN_CASES:
            yield Reason.MAIL_REFUSED
    if context.given_attempt is not None and "status" in decision.attempt:
        yield from _ended_with_attempt(context.given_attempt, decision.attempt["status"])


def _is_won_back(context: DecisionContext, decision: Decision) -> bool:
    """Tell whether nothing of the payment is lost any more."""
    return context.payment.lost > 0 and decision.payment.get("lost", context.payment.lost) == 0


def _saved_cases(decision: Decision) -> list[DunningCase]:
    return [effect.case for effect in decision.effects if isinstance(effect, SaveCase)]


def _ended_with_state(state: State) -> Iterator[Reason]:
    # A payment that has ended unpaid only changes its state when the money that came is taken after all.
    if state not in COLLECTED:
        yield HELD.get(state, Reason.AMOUNT_MISMATCH)
    if state is State.AUTHORIZED:
        yield Reason.HOLD_REVIEW
    if state in LIVE:
        yield from (Reason.VOID_REFUSED, Reason.CAPTURE_REFUSED, Reason.HOLD_CONTRADICTING)


def _ended_with_attempt(attempt: Attempt, status: AttemptStatus) -> Iterator[Reason]:
    # Sent again, or held by a worker again, it may fall into doubt once more: no entry comes and goes with that.
    if status not in IN_FLIGHT:
        yield from (Reason.DOUBT, Reason.OPERATION_UNSENT, Reason.FAILING_ROW)
    if status is AttemptStatus.SUCCEEDED and attempt.verb in _REFUSED:
        yield _REFUSED[attempt.verb]
    if status is AttemptStatus.SUCCEEDED and attempt.reason == OVERPAID:
        yield Reason.OVERPAID
