"""What a dispute or a returned debit does to its payment: money is taken back, given back, or lost for good.

An open dispute takes the money and decides nothing: its invoice stays collected. A lost one opens the invoice again and
turns the subscription past due; one that is won after all gives both back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from domain.attention import Reason
from domain.commands import DisputeSeen, LossRecounted
from domain.decision import Decision, DecisionContext, PaymentChanges
from domain.decline import Decline, DeclineClass, decline_by
from domain.dunning.decisions import close_case_recovered, end_unpaid, mark_active, mark_past_due
from domain.effects import CloseAttention, Effect, NoteDecline, OpenAttention, RecountLoss, ReopenSiblingCase
from domain.errors import Conflict
from domain.movement import Movement, MovementKind, ShownFee, name_of_time
from domain.payment import CLOSED, COLLECTED, AttemptStatus, Event

_TAKING = (MovementKind.CHARGE, MovementKind.CAPTURE)
# Why a refund that the provider shows is none: a dispute shows the same money, and has it in the books.
SHOWN_BY_DISPUTE = Decline("shown_by_dispute", DeclineClass.HARD)


def is_left_to_dispute(status: AttemptStatus | None, code: str | None) -> bool:
    """Tell whether a refund has ended because a dispute shows its money, so that it is not booked again."""
    return status in CLOSED and code == SHOWN_BY_DISPUTE.code


class DisputeStatus(StrEnum):
    """Where a dispute stands, whatever the order in which its events came."""

    OPEN = "open"
    WON = "won"
    LOST = "lost"
    CLOSED = "closed"  # it ended without a verdict, such as an inquiry


# What each event of a provider tells of its dispute.
TOLD_BY_EVENTS = {
    "dispute_opened": DisputeStatus.OPEN,
    "dispute_updated": DisputeStatus.OPEN,
    "dispute_won": DisputeStatus.WON,
    "dispute_lost": DisputeStatus.LOST,
    "dispute_closed": DisputeStatus.CLOSED,
    "debit_returned": DisputeStatus.LOST,
}
_RETURNED = "debit_returned"
# Why money is booked as taken back that no provider's dispute is about: a person has decided that it is lost.
REOPENED = "reopened"


def is_told(status: DisputeStatus, names: Iterable[str]) -> bool:
    """Tell whether one of a dispute's events tells how it stands.

    >>> is_told(DisputeStatus.LOST, {"dispute_opened"}), is_told(DisputeStatus.OPEN, {"dispute_updated"})
    (False, True)
    """
    return any(TOLD_BY_EVENTS[name] is status for name in names)


def event_about(status: DisputeStatus, *, is_return: bool) -> str:
    """Return the name of the event that would tell it.

    >>> event_about(DisputeStatus.OPEN, is_return=False), event_about(DisputeStatus.LOST, is_return=True)
    ('dispute_opened', 'debit_returned')
    """
    return _RETURNED if is_return else next(name for name, told in TOLD_BY_EVENTS.items() if told is status)


def reopening_of(charge_reference: str) -> str:
    """Return the id of what stands for a dispute where a person reopens a charge: one for each charge.

    >>> reopening_of("pi_1")
    'pi_1/reopened'
    """
    return f"{charge_reference}/{REOPENED}"


def lost_of_charge(taken: int, captured: int, refunded: int, reversed_: int, refunding: int) -> int:
    """Return what a person may book as lost of a charge. `taken`: by the charge; the rest: of its payment. Raises
    Conflict if nothing of it is left, or while a refund is under way, which shows what is.

    >>> lost_of_charge(1000, captured=1000, refunded=400, reversed_=0, refunding=0)
    600
    """
    if refunding:
        raise Conflict("a refund of this payment is under way; wait until it has ended, and decide then")
    left = min(taken, captured - refunded - reversed_)
    if left <= 0:
        raise Conflict(
            "nothing of this charge is left in the books: it was given back, or a bank has taken it; close this"
        )
    return left


@dataclass(frozen=True, slots=True)
class ShownDispute:
    """A dispute as the provider shows it now. `charge_reference`: the charge that it is about.

    `withdrawn`: what is taken from us at this moment, in minor units of the payment's currency. `is_return`: a debit
    that its bank or payer took back. `reason`: the provider's word. `respond_by`: until when evidence is wanted.
    `refunds`: the provider's ids of refunds that show the same money. `at`: when its money moved last, where the
    provider shows that. `fees`: what the provider keeps for the dispute."""

    reference: str
    charge_reference: str
    status: DisputeStatus
    amount: int
    withdrawn: int
    is_return: bool
    reason: str
    respond_by: str | None = None
    refunds: frozenset[str] = frozenset()
    at: datetime | None = field(default=None, compare=False)
    fees: tuple[ShownFee, ...] = ()

    def differs_from(self, status: str, withdrawn: int, lost: int) -> bool:
        """Tell whether the dispute stands otherwise than it is stored."""
        return (self.status, self.withdrawn, self.lost) != (status, withdrawn, lost)

    def is_opened_since(self, status: str | None) -> bool:
        """Tell whether it is open and was not when it was stored with this status, if at all."""
        return self.is_open and status != self.status

    def taken_over(self, withdrawn: int, reopened: int) -> int:
        """Return how much of what a person has booked as lost the dispute takes now. `withdrawn`: what it had taken
        before. One that takes nothing, such as an inquiry, leaves that to the person."""
        return min(reopened, max(0, self.withdrawn - withdrawn))

    @property
    def is_open(self) -> bool:
        """Whether it is not decided yet."""
        return self.status is DisputeStatus.OPEN

    @property
    def lost(self) -> int:
        """What is gone for good."""
        return self.withdrawn if self.status is DisputeStatus.LOST else 0


def decide_dispute(context: DecisionContext, seen: DisputeSeen) -> Decision | None:
    """Decide what a dispute changes. None if the books have it already.

    It is on the attention list while it is open, whether the provider has taken the money yet or not."""
    decision = _decide_money(context, seen)
    listed = tuple(_listed(context, seen))
    if not listed:
        return decision
    return replace(decision, effects=(*decision.effects, *listed)) if decision else Decision(None, effects=listed)


def _listed(context: DecisionContext, seen: DisputeSeen) -> Iterator[Effect]:
    if seen.is_opened:
        due = {"respond_by": seen.respond_by} if seen.respond_by else {}
        detail = {"reference": seen.reference, "reason": seen.reason, **due}
        yield OpenAttention(Reason.DISPUTE, seen.disputed, detail)
    elif not seen.disputed and context.payment.has_open_entry:
        yield CloseAttention(frozenset({Reason.DISPUTE}))


def _decide_money(context: DecisionContext, seen: DisputeSeen) -> Decision | None:
    payment = context.payment
    movements = _movements(seen)
    lost = payment.lost + seen.lost_more
    left = payment.captured - payment.refunded - lost
    changes: PaymentChanges = {"lost": lost} if seen.lost_more else {}
    if seen.lost_more > 0 and context.state in COLLECTED and left <= 0:
        return _reverse(context, seen.reason, changes, movements, is_return=seen.is_return)
    if seen.lost_more < 0 and left > 0 and context.allows(Event.PAYMENT_RESTORED):
        restored: PaymentChanges = {**changes, "failure_code": None}
        paid_by = context.given_attempt.id if context.given_attempt else None
        effects = close_case_recovered(context, paid_by) or mark_active(context)
        return Decision(Event.PAYMENT_RESTORED, restored, {}, effects, movements)
    if not movements and not changes:
        return None
    return Decision(_event(seen), changes, effects=_of_part(context, seen, lost), movements=movements)


def _of_part(context: DecisionContext, seen: DisputeSeen, lost: int) -> tuple[Effect, ...]:
    """Return the effects of a dispute that changes what is lost, and leaves a part of the captured money."""
    if seen.lost_more > 0:
        return _lose_part(context, lost, {"reference": seen.reference})
    return mark_active(context) if seen.lost_more < 0 and not lost and context.state in COLLECTED else ()


def _lose_part(context: DecisionContext, lost: int, detail: dict[str, str | int]) -> tuple[Effect, ...]:
    """Return the effects of a loss that leaves the invoice outstanding by a part, which nothing collects by itself.

    `lost`: of all that the payment has captured. A retry may have collected some of it again."""
    payment = context.payment
    outstanding = min(lost, payment.amount - (payment.captured - lost))
    if context.state not in COLLECTED or outstanding <= 0:
        return ()
    return (*mark_past_due(context), OpenAttention(Reason.PARTLY_LOST, outstanding, detail))


def with_loss(context: DecisionContext, decision: Decision) -> Decision:
    """Add to a decision that books captured money what a dispute that was lost before does to it: webhooks may come out
    of order, and that of the capture may be lost."""
    is_late = context.payment.lost > 0 and any(movement.kind in _TAKING for movement in decision.movements)
    return replace(decision, effects=(*decision.effects, RecountLoss())) if is_late else decision


def decide_recount(context: DecisionContext, recounted: LossRecounted) -> Decision | None:
    """Reverse a payment of whose captured money nothing is left, or leave to a person that a part is lost."""
    payment = context.payment
    if context.state not in COLLECTED:
        return None
    if payment.captured - payment.refunded - payment.lost > 0:
        effects = _lose_part(context, payment.lost, {})
        return Decision(None, effects=effects) if effects else None
    return _reverse(context, recounted.reason, {}, (), is_return=recounted.is_return)


def _movements(seen: DisputeSeen) -> tuple[Movement, ...]:
    if seen.withdrawn_more == 0:
        return ()
    if seen.withdrawn_more < 0:
        kind = MovementKind.DISPUTE_RETURN
    else:
        kind = MovementKind.REVERSAL if seen.is_return else MovementKind.DISPUTE
    name = name_of_time(seen.reference, seen.moved_before + 1)
    return (Movement(kind, -seen.withdrawn_more, name, moved_at=seen.at),)


def _event(seen: DisputeSeen) -> Event:
    if seen.lost_more > 0:
        return Event.PAYMENT_REVERSED_PARTLY
    return Event.DISPUTE_RETURNED if seen.withdrawn_more < 0 else Event.DISPUTE_WITHDRAWN


def _reverse(
    context: DecisionContext,
    reason: str,
    changes: PaymentChanges,
    movements: tuple[Movement, ...],
    *,
    is_return: bool,
) -> Decision:
    """Open the invoice again. A subscription's payment goes to dunning by the class of the reason."""
    if changes.get("lost", context.payment.lost) < context.payment.captured:
        # A part was refunded: nobody owes the whole amount, which a retry would charge.
        rest: PaymentChanges = {**changes, "failure_code": reason, "next_action": None}
        return Decision(Event.PAYMENT_REVERSED, rest, {}, mark_past_due(context), movements)
    if context.payment.has_recovered_sibling and context.payment.case is None:
        # That debt was dunned before, and this money has ended its dunning. Who disputes is not charged again by
        # itself, and nobody knows where the money of a reopened charge is.
        may_retry = is_return and reason != REOPENED
        again = (ReopenSiblingCase(reason, may_retry), *mark_past_due(context))
        back: PaymentChanges = {**changes, "failure_code": reason, "next_action": None}
        return Decision(Event.PAYMENT_REVERSED, back, {}, again, movements)
    owing = context
    if reason == REOPENED or not is_return:
        # No bank says that the customer owes it. Who was present, and disputes it, is not asked for it again.
        owing = replace(context, payment=replace(context.payment, is_debit=False))
    # Who has disputed a card payment is not charged again; a returned debit says why it came back. Nobody knows where
    # the money of a reopened charge is: a retry could take it twice.
    returned = decline_by("stripe", reason) if is_return and reason != REOPENED else None
    decline_class = returned.decline_class if returned is not None else DeclineClass.HARD
    ended = end_unpaid(owing, {}, decline_class, reason, Event.PAYMENT_REVERSED, returned)
    effects = ended.effects or mark_past_due(context)
    if returned is not None:
        effects = (*effects, NoteDecline(returned))
    return replace(ended, payment=ended.payment | changes, effects=effects, movements=movements)
