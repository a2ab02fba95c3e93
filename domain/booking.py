"""Books the money that a provider's books show of a charge or an authorization, and ends what they show as ended."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from domain.allowed_operations import RELEASED
from domain.attention import Reason
from domain.backoff import LOOKUPS_THAT_OUTLAST_A_CALL, doubt_delay, next_waiting_look_up
from domain.decision import Decision, DecisionContext, PaymentChanges
from domain.decline import DeclineClass
from domain.dunning.decisions import close_case_recovered, end_unpaid, stop_case
from domain.effects import AddAttempt, CloseOtherAttempts, Effect, GiveUpHold, OpenAttention
from domain.fraud.limits import TOO_MANY
from domain.movement import Movement, MovementKind, movements_of_capture
from domain.outcome import (
    ActionRequired,
    AmountMismatch,
    Approved,
    CustomerApproved,
)
from domain.payment import (
    CLOSED,
    CLOSED_UNPAID,
    COLLECTED,
    HOLDING,
    IN_DUNNING,
    LATE_AUTHORIZATION,
    AttemptStatus,
    Event,
    Holder,
    Payment,
    State,
    Verb,
)

# An authorization is looked up after it should have ended, in case the provider's webhook was lost.
_AFTER_EXPIRY = timedelta(hours=1)
# Whether money moved is still open.
UNDECIDED = (State.ACCEPTED, State.PROCESSING, State.IN_DOUBT)
# Reasons of a void that takes the place of a charge: nothing could be sent, the provider refuses to repeat what may
# still be running, or the customer did not come back. A further one is TOO_MANY: no card may be tried on it any more.
NOT_SENT = "not_sent"
REFUSED = "refused"
EXPIRED = "expired"
# Another amount is booked as captured and not held: it was taken of an authorization; or another payment may be
# collecting the invoice, and this one must not be charged again meanwhile.
_BOOKED_AS_IT_IS = IN_DUNNING | {State.AUTHORIZED}
# The code where the provider shows another amount than was asked.
OTHER_AMOUNT = "other_amount"
_ENDS = {
    NOT_SENT: (NOT_SENT, Event.CHARGE_FAILED),
    REFUSED: (REFUSED, Event.CHARGE_FAILED),
    EXPIRED: ("action_expired", Event.PAYMENT_EXPIRED),
    TOO_MANY: (TOO_MANY, Event.PAYMENT_CANCELED),
}
# Another attempt of the payment has decided it.
ENDED = COLLECTED | CLOSED_UNPAID | IN_DUNNING | HOLDING


def book_approval(context: DecisionContext, outcome: Approved) -> Decision | None:
    """Book what the provider's books show."""
    if outcome.voided:
        # A call that is still on its way could charge it after all.
        is_early = outcome.may_still_charge and context.attempt.lookups < LOOKUPS_THAT_OUTLAST_A_CALL
        if is_early and context.state in UNDECIDED:
            return context.doubt(Event.CHARGE_IN_DOUBT)
        return contradiction_with(context, outcome.reference) or end_by_provider(context, outcome)
    if outcome.captured and not context.payment.taken.isdisjoint((context.attempt.id, outcome.reference)):
        # The same money, perhaps booked by another attempt, such as a void that came too late.
        further = book_further_capture(context, outcome)
        if context.payment.is_reopened and not further:
            return Decision(Event.CHARGE_CONTRADICTED)
        return further or context.close(AttemptStatus.SUCCEEDED, outcome.reference)
    is_known = context.attempt.status is AttemptStatus.SUCCEEDED
    if context.state in COLLECTED:
        return _book_duplicate(context, outcome)
    if outcome.captured:
        return book_capture(context, outcome)
    if context.state in HOLDING and is_known and context.payment.other_holder is None:
        return _keep_hold(context)
    if context.state in ENDED:
        return None if is_known else release(context, outcome)
    if context.attempt.status in CLOSED and context.payment.has_other_unfinished_attempt:
        # A retry, or the next provider, collects the debt. Booked, the hold would pass as that attempt's.
        return release(context, outcome)
    return _book_authorization(context, outcome)


def _book_authorization(context: DecisionContext, outcome: Approved) -> Decision:
    """Book what is held. If that is another amount than was asked, a person decides whether it is captured."""
    is_asked = outcome.authorized == context.attempt.amount
    expires_at = outcome.authorization_expires_at
    changes: PaymentChanges = {
        "authorization_expires_at": expires_at,
        "next_action": None,
        "failure_code": None if is_asked else OTHER_AMOUNT,
    }
    finished = context.finish(AttemptStatus.SUCCEEDED, outcome.reference)
    finished |= {"due_at": _next_look_up_of_hold(context.now, context.now, expires_at)}
    held = Movement(MovementKind.AUTHORIZATION, outcome.authorized, outcome.reference, moved_at=outcome.at)
    event = Event.CHARGE_AUTHORIZED if is_asked else Event.AMOUNT_MISMATCHED
    return Decision(event, changes, finished, movements=(held,))


def book_further_capture(context: DecisionContext, outcome: Approved) -> Decision | None:
    """Book what was captured of the same authorization since. Celeriac captures once, so somebody else did it.

    None if nothing was. What a first capture left over counted as released until then; PayPal takes more than was
    authorized, and a person hears of more than was asked."""
    if context.payment.duplicate_taken:
        return _book_further_duplicate(context, outcome)
    payment, more = context.payment, outcome.captured - context.payment.captured
    is_same = not payment.taken.isdisjoint((context.attempt.id, outcome.reference))
    if more <= 0 or not is_same or context.state not in COLLECTED | CLOSED_UNPAID | IN_DUNNING:
        return None
    is_taken_back = context.state not in COLLECTED
    name, held = f"{outcome.reference}/{outcome.captured}", min(more, payment.authorized - payment.captured)
    taken = Movement(MovementKind.CAPTURE, more, name, moved_at=outcome.at)
    moved = (taken, Movement(MovementKind.RELEASE, max(held, 0), name))
    code = OTHER_AMOUNT if outcome.captured > payment.amount or is_taken_back else None
    finished = context.finish(AttemptStatus.SUCCEEDED, outcome.reference, code=code)
    movements = tuple(movement for movement in moved if movement.amount)
    if is_taken_back:
        effects = close_case_recovered(context, context.attempt.id)
        return Decision(Event.CHARGE_APPROVED, {"failure_code": None}, finished, effects, movements)
    return Decision(Event.CAPTURE_SUCCEEDED, attempt=finished, movements=movements)


def _book_duplicate(context: DecisionContext, outcome: Approved) -> Decision | None:
    """A second attempt took the money as well: a movement of its own, which an operator gives back."""
    if not outcome.captured:
        is_released = context.attempt.status is AttemptStatus.SUCCEEDED
        return None if is_released else release(context, outcome)
    finished = context.finish(AttemptStatus.SUCCEEDED, outcome.reference)
    duplicate = Movement(MovementKind.DUPLICATE, outcome.captured, outcome.reference, moved_at=outcome.at)
    return Decision(Event.CHARGE_DUPLICATED, attempt=finished, movements=(duplicate,))


def _book_further_duplicate(context: DecisionContext, outcome: Approved) -> Decision | None:
    """Book what was taken more of a charge that is a duplicate. None if nothing was."""
    more, name = outcome.captured - context.payment.duplicate_taken, f"{outcome.reference}/{outcome.captured}"
    if more <= 0:
        return None
    finished = context.finish(AttemptStatus.SUCCEEDED, outcome.reference)
    taken = Movement(MovementKind.DUPLICATE, more, name, moved_at=outcome.at)
    return Decision(Event.CHARGE_DUPLICATED, attempt=finished, movements=(taken,))


def release(context: DecisionContext, outcome: Approved | CustomerApproved | ActionRequired) -> Decision:
    """Release an authorization, or a customer's approval, that surfaces after its payment has ended."""
    if context.payment.has_other_unfinished_attempt:
        # Only one attempt of a payment is in flight; the hold is seen again, and released once that one has ended.
        return context.look_up_later(doubt_delay)
    status = AttemptStatus.SUCCEEDED if isinstance(outcome, Approved) else AttemptStatus.CANCELED
    void = AddAttempt(Verb.VOID, LATE_AUTHORIZATION, reference=outcome.reference)
    return Decision(None, attempt=context.finish(status, outcome.reference), effects=(void,))


def book_capture(context: DecisionContext, outcome: Approved) -> Decision | None:
    """Book captured money as what it is. A person decides on another amount than was asked."""
    if context.payment.other_holder is not None:
        return _book_beside_holder(context, outcome, context.payment.other_holder)
    is_asked = _is_asked(context, outcome)
    if not is_asked and context.state not in _BOOKED_AS_IT_IS and not context.payment.holds_authorization:
        return hold_mismatch(context, AmountMismatch(outcome.reference, outcome.captured, OTHER_AMOUNT, outcome.at))
    is_capture = context.state in (State.AUTHORIZED, State.AMOUNT_MISMATCH)
    return Decision(
        Event.CAPTURE_SUCCEEDED if is_capture else Event.CHARGE_APPROVED,
        {"next_action": None, "failure_code": None},
        context.finish(AttemptStatus.SUCCEEDED, outcome.reference, code=None if is_asked else OTHER_AMOUNT),
        (CloseOtherAttempts(), *close_case_recovered(context, context.attempt.id)),
        movements_of_capture(context.payment.authorized, outcome, is_held=context.payment.holds_authorization),
    )


def _book_beside_holder(context: DecisionContext, outcome: Approved, holder: Holder) -> Decision:
    """Book money that another object has taken than the one whose money the payment holds. What is held is released;
    what was taken is a duplicate, which a person gives back."""
    movements, further = _without_holder(context.payment, holder)
    return Decision(
        Event.CAPTURE_SUCCEEDED,
        {"next_action": None, "failure_code": None},
        context.finish(AttemptStatus.SUCCEEDED, outcome.reference, code=OTHER_AMOUNT),
        (CloseOtherAttempts(), *close_case_recovered(context, context.attempt.id), further),
        (*movements_of_capture(0, outcome, is_held=False), *movements),
    )


def _without_holder(payment: Payment, holder: Holder) -> tuple[tuple[Movement, ...], Effect]:
    """Return what moves, and what is left to do, when a payment does without the money that it holds."""
    name, provider = holder.reference, holder.provider
    if payment.holds_authorization:
        released = Movement(MovementKind.RELEASE, -payment.authorized, name, provider=provider)
        return (released,), GiveUpHold(holder.attempt_id)
    amount = payment.received
    unasked = Movement(MovementKind.RECEIPT, -amount, f"{name}/0", provider=provider)
    duplicate = Movement(MovementKind.DUPLICATE, amount, name, provider=provider)
    return (unasked, duplicate), OpenAttention(Reason.DUPLICATE, amount, {"reference": name, "amount": amount})


def _is_asked(context: DecisionContext, outcome: Approved) -> bool:
    """Tell whether captured money is what was asked: all of it, part of an authorization, or a mismatch that a person
    has accepted. They accept what has come, and that may be more by now than what they saw."""
    attempt, state = context.attempt, context.state
    has_succeeded = attempt.status is AttemptStatus.SUCCEEDED
    is_of_hold = attempt.verb is Verb.CAPTURE and context.payment.holds_authorization
    # A cancel that meets the mismatch accepts nothing. What a person has released was captured by somebody else.
    is_cancel = attempt.verb is Verb.VOID and attempt.reason != RELEASED
    is_accepted = state is State.AMOUNT_MISMATCH and not is_of_hold and not is_cancel
    if is_accepted or (state in CLOSED_UNPAID and has_succeeded):
        return True
    if attempt.verb is Verb.CAPTURE:
        return outcome.captured == attempt.amount or not is_of_hold
    is_whole_held = attempt.verb is Verb.AUTHORIZE and outcome.authorized == attempt.amount
    is_part = outcome.captured < attempt.amount and (state is State.AUTHORIZED or is_whole_held)
    return is_part or outcome.captured == (context.payment.authorized if has_succeeded else attempt.amount)


def end_by_provider(context: DecisionContext, outcome: Approved) -> Decision | None:
    """Book that the provider's object was canceled: by our void, by expiry, or in its dashboard."""
    if context.state in CLOSED_UNPAID | COLLECTED | IN_DUNNING | {State.BLOCKED} or context.payment.other_holder:
        return None
    is_our_void = context.attempt.verb is Verb.VOID
    finished = context.finish(AttemptStatus.SUCCEEDED if is_our_void else AttemptStatus.CANCELED)
    if context.payment.holds_authorization:
        expiry = context.payment.authorization_expires_at
        is_expiry = expiry is not None and context.now >= expiry - _AFTER_EXPIRY
        event = Event.AUTHORIZATION_EXPIRED if is_expiry else Event.VOID_SUCCEEDED
        released = Movement(MovementKind.RELEASE, -context.payment.authorized, outcome.reference, moved_at=outcome.at)
        return Decision(event, {"next_action": None}, finished, (CloseOtherAttempts(),), (released,))
    if is_our_void and context.attempt.reason is None:
        effects = (CloseOtherAttempts(), *stop_case(context))
        return Decision(Event.PAYMENT_CANCELED, {"next_action": None}, finished, effects)
    decline_class = DeclineClass.TECHNICAL if context.attempt.reason == NOT_SENT else DeclineClass.HARD
    code, event = _ENDS.get(context.attempt.reason or "", ("canceled_at_provider", Event.PAYMENT_CANCELED))
    ended = end_unpaid(context, finished, decline_class, code, event)
    return replace(ended, effects=(CloseOtherAttempts(), *ended.effects))


def _keep_hold(context: DecisionContext) -> Decision:
    since, expiry = context.attempt.created_at, context.payment.authorization_expires_at
    return Decision(None, attempt={"due_at": _next_look_up_of_hold(since, context.now, expiry)})


def _next_look_up_of_hold(since: datetime, now: datetime, expiry: datetime | None) -> datetime:
    """Return when held money is looked up next: after it should have ended, or as any wait where no end is known."""
    if expiry is not None and now < expiry:
        return expiry + _AFTER_EXPIRY
    return next_waiting_look_up(expiry or since, now)


def contradiction_with(context: DecisionContext, reference: str | None) -> Decision | None:
    """Leave to a person that the provider shows no money of a charge that is booked as taken. None if it is not.

    A bank that takes money back opens a dispute, which says how much and why; nothing is booked without one."""
    attempt = context.attempt
    is_booked = not context.payment.taken.isdisjoint((attempt.id, reference))
    is_taken = context.state in COLLECTED and attempt.status is AttemptStatus.SUCCEEDED and is_booked
    return Decision(Event.CHARGE_CONTRADICTED) if is_taken and attempt.verb.is_collecting else None


def hold_mismatch(context: DecisionContext, outcome: AmountMismatch) -> Decision | None:
    """Hold money that does not match what was asked, until a person accepts it or gives it back."""
    payment, received = context.payment, outcome.received
    name, more = f"{outcome.reference}/{received}", received - payment.received
    receipt = Movement(MovementKind.RECEIPT, more, name, moved_at=outcome.at)
    if payment.duplicate_taken:
        return _book_further_duplicate(context, Approved(outcome.reference, captured=received, at=outcome.at))
    if context.state in COLLECTED:
        return _hold_beside_collected(context, outcome, receipt)
    if (context.state in _BOOKED_AS_IT_IS or payment.other_holder) and received:
        captured = Approved(outcome.reference, authorized=received, captured=received, at=outcome.at)
        return book_capture(context, captured)
    if context.attempt.status is AttemptStatus.SUCCEEDED or context.state is State.AMOUNT_MISMATCH:
        return _hold_more(context, received, receipt)
    if not received and not context.allows(Event.AMOUNT_MISMATCHED):
        return None
    failed: PaymentChanges = {"failure_code": outcome.reason, "next_action": None}
    finished = context.finish(AttemptStatus.SUCCEEDED, outcome.reference)
    movements = (receipt,) if receipt.amount else ()
    return Decision(Event.AMOUNT_MISMATCHED, failed, finished, (CloseOtherAttempts(),), movements)


def _hold_beside_collected(context: DecisionContext, outcome: AmountMismatch, receipt: Movement) -> Decision | None:
    """Book money that has come beside what is captured; a person gives it back. None if it is part of that."""
    payment, received = context.payment, outcome.received
    is_first = context.attempt.verb.is_collecting and context.attempt.status is not AttemptStatus.SUCCEEDED
    if received and is_first and payment.taken.isdisjoint((context.attempt.id, outcome.reference)):
        return _book_duplicate(context, Approved(outcome.reference, captured=received))
    is_news = received > max(payment.captured, payment.authorized, payment.received)
    return Decision(Event.CHARGE_DUPLICATED, movements=(receipt,)) if is_news else None


def _hold_more(context: DecisionContext, received: int, receipt: Movement) -> Decision | None:
    """Book what has come since money was received that a person decides on. None if nothing has."""
    payment = context.payment
    if context.state is State.AMOUNT_MISMATCH:
        return Decision(None, movements=(receipt,)) if received != payment.received else None
    is_news = received > max(payment.captured, payment.received)
    return Decision(Event.AMOUNT_MISMATCHED, movements=(receipt,)) if is_news else None
