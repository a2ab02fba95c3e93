"""Decides on the outcome of a charge or an authorization, dunning included."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from domain.allowed_operations import RELEASED
from domain.attention import Reason
from domain.backoff import LOOKUPS_THAT_OUTLAST_A_CALL, doubt_delay, next_waiting_look_up
from domain.decision import (
    AddAttempt,
    AttemptChanges,
    CloseOtherAttempts,
    CloseSiblingCases,
    Decision,
    DecisionContext,
    Effect,
    GiveUpHold,
    OpenAttention,
    PaymentChanges,
)
from domain.decline import Decline, DeclineClass
from domain.dunning_decisions import close_case_recovered, close_case_uncollectible, end_unpaid
from domain.movement import Movement, MovementKind, movements_of_capture
from domain.outcome import (
    WORKER_LOST,
    ActionRequired,
    AmountMismatch,
    Approved,
    AuthenticationRequired,
    CustomerApproved,
    Declined,
    InDoubt,
    NotSent,
    Outcome,
    Pending,
)
from domain.payment import (
    CLOSED,
    CLOSED_UNPAID,
    COLLECTED,
    HOLDING,
    IN_DUNNING,
    LATE_AUTHORIZATION,
    UNFINISHED,
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
_UNDECIDED = (State.ACCEPTED, State.PROCESSING, State.IN_DOUBT)
# Reasons of a void that takes the place of a charge: nothing could be sent, the provider refuses to repeat what may
# still be running, or the customer did not come back.
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
}
# A call was made for the attempt, and its outcome is not final.
_SENT = UNFINISHED - {AttemptStatus.DUE}
# Another attempt of the payment has decided it.
_ENDED = COLLECTED | CLOSED_UNPAID | IN_DUNNING | HOLDING
# Actions that take longer than a checkout. An invoice stays payable until it is canceled.
ACTION_PATIENCE: dict[str, timedelta] = {
    "verify_with_microdeposits": timedelta(days=14),
    "display_bank_transfer_instructions": timedelta(days=14),
    "pay_by_invoice": timedelta.max,
}


def decide_charge(context: DecisionContext, outcome: Outcome) -> Decision | None:
    """Decide on the outcome of a charge or an authorization.

    A closed attempt changes nothing any more, since its payment may be on its next attempt; unless it turns out
    that it took or holds money after all."""
    has_money = isinstance(outcome, AmountMismatch | CustomerApproved) or (
        isinstance(outcome, Approved) and not outcome.voided
    )
    if context.attempt.status in CLOSED and not has_money:
        # It is looked up because it may hold money that is to be released.
        return context.look_up_later(doubt_delay) if isinstance(outcome, InDoubt) else None
    if context.attempt.status in _SENT and context.state in _ENDED:
        late = _end_late(context, outcome)
        if late is not None:
            return late
    match outcome:
        case Approved():
            return book_approval(context, outcome)
        case Declined(reference, decline) | AuthenticationRequired(reference, decline):
            return _decline(context, decline, reference)
        case ActionRequired():
            return _require_action(context, outcome)
        case CustomerApproved():
            return _resume(context, outcome)
        case Pending():
            return _wait_for_provider(context, outcome)
        case AmountMismatch():
            return hold_mismatch(context, outcome)
        case InDoubt(reason=reason):
            if context.attempt.status is AttemptStatus.SUCCEEDED and context.state in COLLECTED:
                return None
            is_lost = reason == WORKER_LOST
            return context.doubt(Event.CHARGE_IN_DOUBT, is_worker_lost=is_lost)
        case NotSent():
            return _not_sent(context, outcome)


def _end_late(context: DecisionContext, outcome: Outcome) -> Decision | None:
    """Decide on an attempt whose call was under way when its payment came to an end by another attempt.

    It is never closed unseen. None for an outcome that shows money, or doubt: that is decided as always."""
    match outcome:
        case Approved(voided=True):
            return context.close(AttemptStatus.CANCELED)
        case Declined(reference, decline) | AuthenticationRequired(reference, decline):
            return Decision(None, attempt=context.finish_declined(decline, reference))
        case NotSent(reason=reason):
            return context.close(AttemptStatus.FAILED, code=reason)
        case ActionRequired() | CustomerApproved():
            return _release(context, outcome)
        case Pending(reference):
            waiting = context.wait(AttemptStatus.PENDING, reference)
            return Decision(None, attempt=waiting)
    return None


def book_approval(context: DecisionContext, outcome: Approved) -> Decision | None:
    """Book what the provider's books show."""
    if outcome.voided:
        # A call that is still on its way could charge it after all.
        is_early = outcome.may_still_charge and context.attempt.lookups < LOOKUPS_THAT_OUTLAST_A_CALL
        if is_early and context.state in _UNDECIDED:
            return context.doubt(Event.CHARGE_IN_DOUBT)
        return _contradiction(context, outcome.reference) or end_by_provider(context, outcome)
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
    if context.state in _ENDED:
        return None if is_known else _release(context, outcome)
    if context.attempt.status in CLOSED and context.payment.has_other_unfinished_attempt:
        # A retry, or the next provider, collects the debt. Booked, the hold would pass as that attempt's.
        return _release(context, outcome)
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
    payment, more = context.payment, outcome.captured - context.payment.captured
    is_same = not payment.taken.isdisjoint((context.attempt.id, outcome.reference))
    if more <= 0 or not is_same or context.state not in COLLECTED | CLOSED_UNPAID | IN_DUNNING or payment.duplicated:
        return None
    is_taken_back = context.state not in COLLECTED
    name, held = f"{outcome.reference}/{outcome.captured}", min(more, payment.authorized - payment.captured)
    taken = Movement(MovementKind.CAPTURE, more, name, moved_at=outcome.at)
    moved = (taken, Movement(MovementKind.RELEASE, max(held, 0), name))
    siblings = (CloseSiblingCases(),) if payment.has_unpaid_sibling else ()
    code = OTHER_AMOUNT if outcome.captured > payment.amount or is_taken_back else None
    finished = context.finish(AttemptStatus.SUCCEEDED, outcome.reference, code=code)
    movements = tuple(movement for movement in moved if movement.amount)
    if is_taken_back:
        effects = (*close_case_recovered(context), *siblings)
        return Decision(Event.CHARGE_APPROVED, {"failure_code": None}, finished, effects, movements)
    return Decision(Event.CAPTURE_SUCCEEDED, attempt=finished, effects=siblings, movements=movements)


def _book_duplicate(context: DecisionContext, outcome: Approved) -> Decision | None:
    """A second attempt took the money as well: a movement of its own, which an operator gives back."""
    if not outcome.captured:
        is_released = context.attempt.status is AttemptStatus.SUCCEEDED
        return None if is_released else _release(context, outcome)
    finished = context.finish(AttemptStatus.SUCCEEDED, outcome.reference)
    duplicate = Movement(MovementKind.DUPLICATE, outcome.captured, outcome.reference, moved_at=outcome.at)
    return Decision(Event.CHARGE_DUPLICATED, attempt=finished, movements=(duplicate,))


def _release(context: DecisionContext, outcome: Approved | CustomerApproved | ActionRequired) -> Decision:
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
    siblings = (CloseSiblingCases(),) if context.payment.has_unpaid_sibling else ()
    is_capture = context.state in (State.AUTHORIZED, State.AMOUNT_MISMATCH)
    return Decision(
        Event.CAPTURE_SUCCEEDED if is_capture else Event.CHARGE_APPROVED,
        {"next_action": None, "failure_code": None},
        context.finish(AttemptStatus.SUCCEEDED, outcome.reference, code=None if is_asked else OTHER_AMOUNT),
        (CloseOtherAttempts(), *close_case_recovered(context), *siblings),
        movements_of_capture(context.payment.authorized, outcome, is_held=context.payment.holds_authorization),
    )


def _book_beside_holder(context: DecisionContext, outcome: Approved, holder: Holder) -> Decision:
    """Book money that another object has taken than the one whose money the payment holds. What is held is released;
    what was taken is a duplicate, which a person gives back."""
    movements, further = _without_holder(context.payment, holder)
    siblings = (CloseSiblingCases(),) if context.payment.has_unpaid_sibling else ()
    return Decision(
        Event.CAPTURE_SUCCEEDED,
        {"next_action": None, "failure_code": None},
        context.finish(AttemptStatus.SUCCEEDED, outcome.reference, code=OTHER_AMOUNT),
        (CloseOtherAttempts(), *close_case_recovered(context), *siblings, further),
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
        effects = (CloseOtherAttempts(), *close_case_uncollectible(context))
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


def _decline(context: DecisionContext, decline: Decline, reference: str | None) -> Decision | None:
    if context.state in COLLECTED | CLOSED_UNPAID | IN_DUNNING or context.payment.other_holder:
        return _contradiction(context, reference)
    if context.payment.holds_authorization and context.attempt.status is AttemptStatus.SUCCEEDED:
        return _withdraw_authorization(context, decline, reference)
    if context.state is State.AUTHORIZED:
        return None
    if context.payment.is_client_confirmed:
        # The front end may try another card on the same intent, so the payment stays open.
        return _require_action(context, ActionRequired(reference or ""))
    finished = context.finish_declined(decline, reference)
    code = decline.decline_code or decline.code
    return end_unpaid(context, finished, decline.decline_class, code, Event.CHARGE_DECLINED)


def _contradiction(context: DecisionContext, reference: str | None) -> Decision | None:
    """Leave to a person that the provider shows no money of a charge that is booked as taken. None if it is not.

    A bank that takes money back opens a dispute, which says how much and why; nothing is booked without one."""
    attempt = context.attempt
    is_booked = not context.payment.taken.isdisjoint((attempt.id, reference))
    is_taken = context.state in COLLECTED and attempt.status is AttemptStatus.SUCCEEDED and is_booked
    return Decision(Event.CHARGE_CONTRADICTED) if is_taken and attempt.verb.is_collecting else None


def _withdraw_authorization(context: DecisionContext, decline: Decline, reference: str | None) -> Decision | None:
    """Book that the provider takes an authorization back that it had accepted: nothing is held any more."""
    ended = end_by_provider(context, Approved(reference or context.attempt.id, voided=True))
    return ended and replace(ended, payment=ended.payment | {"failure_code": decline.code})


def _require_action(context: DecisionContext, outcome: ActionRequired) -> Decision | None:
    if context.state is State.REQUIRES_ACTION:
        return _still_require_action(context, outcome)
    is_open_again = context.state is State.PENDING and context.payment.is_client_confirmed
    if context.state not in _UNDECIDED and not is_open_again:
        return None
    waiting = _wait_for_customer(context, outcome) | {"provider_reference": outcome.reference}
    return Decision(Event.ACTION_REQUIRED, {"next_action": outcome.next_action}, waiting)


def _still_require_action(context: DecisionContext, outcome: ActionRequired) -> Decision:
    """Wait on for the customer, and void the charge once they have taken too long."""
    waiting = _wait_for_customer(context, outcome)
    action = outcome.next_action.get("type", "")
    abandoned_at = _abandoned_at(context, action)
    is_abandoned = abandoned_at is not None and context.now >= abandoned_at
    is_voided = is_abandoned and not context.payment.has_other_unfinished_attempt
    effects = (AddAttempt(Verb.VOID, EXPIRED),) if is_voided else ()
    # The remaining amount of a bank transfer changes with each part that arrives.
    changes: PaymentChanges = {"next_action": outcome.next_action} if action in ACTION_PATIENCE else {}
    return Decision(None, changes, waiting, effects)


def _wait_for_customer(context: DecisionContext, outcome: ActionRequired) -> AttemptChanges:
    # A provider may show the end in its first response only.
    expires_at = outcome.expires_at or context.attempt.action_expires_at
    abandoned_at = _abandoned_at(context, outcome.next_action.get("type", ""))
    waiting = context.wait(AttemptStatus.ACTION_REQUIRED, ends=(expires_at, abandoned_at))
    return waiting | {"action_expires_at": expires_at}


def _abandoned_at(context: DecisionContext, action: str) -> datetime | None:
    """Return when a customer has taken too long over an action; None for one that is payable until it is canceled."""
    patience = ACTION_PATIENCE.get(action, context.policy.action_expires_after)
    return context.payment.created_at + patience if patience != timedelta.max else None


def _resume(context: DecisionContext, outcome: CustomerApproved) -> Decision | None:
    if context.attempt.status in CLOSED:
        return _release(context, outcome) if context.state in _ENDED else None
    if context.crashes_workers:
        return _not_sent(context, NotSent("not_completed", reference=outcome.reference))
    if context.attempt.status is AttemptStatus.DUE:
        return None
    if not context.allows(Event.CHARGE_RESUMED) or context.payment.is_client_confirmed:
        return None
    if context.payment.has_other_unfinished_attempt:
        return None  # a void is under way, and its outcome decides
    if context.is_key_unproven:
        return context.doubt(Event.CHARGE_IN_DOUBT)
    return Decision(Event.CHARGE_RESUMED, {"next_action": None}, context.resume(outcome.reference))


def _wait_for_provider(context: DecisionContext, outcome: Pending) -> Decision | None:
    if context.state is State.PENDING:
        return Decision(None, attempt=context.wait(AttemptStatus.PENDING))
    if not context.allows(Event.CHARGE_PENDING):
        return None
    waiting = context.wait(AttemptStatus.PENDING, outcome.reference)
    return Decision(Event.CHARGE_PENDING, {"next_action": None}, waiting)


def hold_mismatch(context: DecisionContext, outcome: AmountMismatch) -> Decision | None:
    """Hold money that does not match what was asked, until a person accepts it or gives it back."""
    payment, received = context.payment, outcome.received
    name, more = f"{outcome.reference}/{received}", received - payment.received
    receipt = Movement(MovementKind.RECEIPT, more, name, moved_at=outcome.at)
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


def _not_sent(context: DecisionContext, outcome: NotSent) -> Decision | None:
    is_waiting = context.payment.is_client_confirmed or context.state is State.REQUIRES_ACTION
    if is_waiting and outcome.reference is not None:
        return _require_action(context, ActionRequired(outcome.reference))
    if context.state not in _UNDECIDED:
        return None
    if context.is_key_unproven:
        return context.doubt(Event.CHARGE_IN_DOUBT)
    if _may_fail_over(context, outcome):
        return _fail_over(context, outcome)
    event = None if context.state is State.ACCEPTED else Event.CHARGE_NOT_SENT
    if outcome.is_retryable and not context.is_exhausted(outcome) and not context.payment.is_client_confirmed:
        return Decision(event, attempt=context.send_again(outcome))
    finished = context.finish(AttemptStatus.FAILED, outcome.reference, code=outcome.reason)
    if outcome.param is not None:
        finished |= {"param": outcome.param, "message": outcome.message}
    is_known = outcome.reference is not None or context.attempt.is_known_to_provider
    if is_known and (outcome.is_retryable or context.was_sent_before):
        # An earlier call may still be running: only a canceled object can never be charged.
        void = AddAttempt(Verb.VOID, NOT_SENT if outcome.is_retryable else REFUSED)
        return Decision(event, attempt=finished, effects=(void,))
    decline_class = DeclineClass.TECHNICAL if outcome.is_retryable else DeclineClass.HARD
    return end_unpaid(context, finished, decline_class, outcome.reason, Event.CHARGE_FAILED)


def _may_fail_over(context: DecisionContext, outcome: NotSent) -> bool:
    """Tell whether another provider may charge: only if this one provably has no object of the attempt, never in
    doubt."""
    is_unknown_there = outcome.reference is None and not context.attempt.is_known_to_provider
    is_own_outcome = context.attempt.status is AttemptStatus.OPEN and context.allows(Event.CHARGE_REROUTED)
    return context.payment.next_provider is not None and is_unknown_there and is_own_outcome


def _fail_over(context: DecisionContext, outcome: NotSent) -> Decision:
    provider = context.payment.next_provider
    if provider is None:
        raise AssertionError("bug: there is no provider to fail over to")
    finished = context.finish(AttemptStatus.FAILED, code=outcome.reason)
    next_attempt = AddAttempt(context.attempt.verb, provider=provider)
    return Decision(Event.CHARGE_REROUTED, {"provider": provider}, finished, (next_attempt,))
