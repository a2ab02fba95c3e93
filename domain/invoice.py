"""Invoices: what is outstanding, what may be charged, and whether a dunning retry still has a debt to collect."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from domain.charging import ACTION_PATIENCE
from domain.commands import CancelRequested, GraceEnded, InvoicePaidOtherwise, RetryDue
from domain.decision import Decision, DecisionContext
from domain.dunning.case import CaseState
from domain.effects import RecountInvoice
from domain.errors import AmountAboveOpen, CollectionInProgress, Conflict
from domain.money import decimal_text
from domain.movement import amounts_after
from domain.payment import COLLECTED, State
from domain.transitions import TRANSITIONS

# So long dunning waits for what customers have begun elsewhere, all in all.
_LONGEST_PAUSE = timedelta(days=3)
# A void that the provider refuses is on the attention list meanwhile.
_BETWEEN_VOIDS = timedelta(days=1)
# Payments whose captured money pays their invoice, but for what a bank took back: what was refunded of one that was
# reversed is not owed again.
KEEPING = COLLECTED | {State.REVERSED}


@dataclass(frozen=True, slots=True)
class InvoicePosition:
    """How an invoice stands, in minor units. `collected`: captured so far, refunded or not; `refunded`: of that.
    `live_payment`: the payment that is collecting it now. `is_dunned`: dunning is retrying one of its payments."""

    amount: int
    currency: str
    collected: int
    live_payment: str | None
    is_dunned: bool
    refunded: int = 0

    @property
    def outstanding(self) -> int:
        """What may still be collected."""
        return max(0, self.amount - self.collected)

    @property
    def overpaid(self) -> int:
        """What was collected beyond the amount."""
        return max(0, self.collected - self.amount)

    @property
    def overpaid_still(self) -> int:
        """What was collected beyond the amount and not refunded."""
        return max(0, self.collected - self.refunded - self.amount)


def kept_of(state: State, captured: int, lost: int) -> int:
    """Return what a payment pays of its invoice. The query `invoice_position` adds up the same.

    >>> kept_of(State.CAPTURED, 1000, 400), kept_of(State.PAST_DUE, 1000, 0)
    (600, 0)
    """
    return captured - lost if state in KEEPING else 0


def with_invoice(context: DecisionContext, decision: Decision) -> Decision:
    """Add to a decision that lets a payment pay more of its invoice what that means for the invoice, if others pay it
    too."""
    payment = context.payment
    if not payment.has_sibling:
        return decision
    state = TRANSITIONS[context.state, decision.event] if decision.event else context.state
    captured = amounts_after({"captured": payment.captured}, decision.movements).get("captured", payment.captured)
    lost = decision.payment.get("lost", payment.lost)
    more = kept_of(state, captured, lost) - kept_of(context.state, payment.captured, payment.lost)
    return replace(decision, effects=(*decision.effects, RecountInvoice(more))) if more > 0 else decision


def require_chargeable(position: InvoicePosition, minor: int) -> None:
    """Refuse a second live collection of an invoice, and an amount that is not owed.

    Raises CollectionInProgress or AmountAboveOpen."""
    require_no_live_payment(position)
    require_unpaid(position)
    left = f"{decimal_text(position.outstanding, position.currency)} {position.currency}"
    if position.is_dunned and minor != position.outstanding:
        raise AmountAboveOpen(f"this invoice is past due; pay all that is outstanding, {left}")
    if minor > position.outstanding:
        raise AmountAboveOpen(f"{left} is outstanding on this invoice; send that or less")


def require_unpaid(position: InvoicePosition) -> None:
    """Refuse to collect an invoice that is paid. Raises AmountAboveOpen."""
    if not position.outstanding:
        raise AmountAboveOpen("nothing is outstanding on this invoice: it is paid")


def require_no_live_payment(position: InvoicePosition) -> None:
    """Refuse while a payment is collecting the invoice: two at once could charge twice."""
    if position.live_payment is not None:
        raise CollectionInProgress(
            f"payment {position.live_payment} is collecting this invoice; wait for it or cancel it",
            payment_id=position.live_payment,
        )


def require_amount_change(position: InvoicePosition, minor: int) -> None:
    """Refuse a new amount that a payment under way, a dunning case or collected money contradicts."""
    if minor != position.amount and position.is_dunned:
        raise Conflict("a payment of this invoice is in dunning; cancel that payment first, which stops its collection")
    if minor != position.amount and position.live_payment is not None:
        raise CollectionInProgress(
            f"payment {position.live_payment} is collecting this invoice; wait until it has ended",
            payment_id=position.live_payment,
        )
    if minor < position.collected:
        least = decimal_text(position.collected, position.currency)
        raise AmountAboveOpen(f"{least} {position.currency} is collected already; send that or more")


def due_of_case(
    case: CaseState, position: InvoicePosition, amount: int, *, is_subscription_canceled: bool
) -> InvoicePaidOtherwise | CancelRequested | RetryDue | GraceEnded:
    """Return what is due on a dunning case of a payment of `amount`, in minor units."""
    stop = reason_to_stop_dunning(position, amount, is_subscription_canceled=is_subscription_canceled)
    if stop is not None:
        return stop
    return RetryDue() if case is CaseState.RETRYING else GraceEnded()


def waits_for_customer(state: State) -> bool:
    """Tell whether only the customer moves the payment on, so that it can be ended without a loss."""
    return state is State.REQUIRES_ACTION


def gives_way_to_dunning(
    state: State, action: str | None, paused_since: datetime | None, now: datetime, voided_at: datetime | None = None
) -> bool:
    """Tell whether the payment that collects an invoice is ended, so that dunning can go on.

    `action`: what its customer is asked to do. `paused_since`: since when dunning is due and waits for other payments.
    `voided_at`: when its last void began. One that was refused is asked for again after a day.

    Money may be moving unless it waits for its customer. One that is payable without an end gives way at once, any
    other after three days.

    >>> noon = datetime(2026, 11, 28, 12)
    >>> gives_way_to_dunning(State.REQUIRES_ACTION, "pay_by_invoice", noon, noon)
    True
    >>> [gives_way_to_dunning(State.REQUIRES_ACTION, "redirect", noon, noon + timedelta(days=age)) for age in (1, 3)]
    [False, True]
    >>> gives_way_to_dunning(State.REQUIRES_ACTION, "pay_by_invoice", noon, noon, voided_at=noon - timedelta(hours=1))
    False
    """
    if not waits_for_customer(state) or (voided_at is not None and now < voided_at + _BETWEEN_VOIDS):
        return False
    has_no_end = ACTION_PATIENCE.get(action or "") == timedelta.max
    return has_no_end or (paused_since is not None and now >= paused_since + _LONGEST_PAUSE)


def require_still_owed(position: InvoicePosition, amount: int, *, is_subscription_canceled: bool) -> None:
    """Refuse to charge a payment that has waited for a person and whose debt has ended meanwhile. Raises Conflict.

    >>> paid = InvoicePosition(amount=1000, currency="EUR", collected=1000, live_payment="pay_2", is_dunned=False)
    >>> require_still_owed(paid, 1000, is_subscription_canceled=False)
    Traceback (most recent call last):
    ...
    domain.errors.Conflict: this invoice was paid otherwise while this payment waited; reject it
    """
    match reason_to_stop_dunning(position, amount, is_subscription_canceled=is_subscription_canceled):
        case InvoicePaidOtherwise():
            raise Conflict("this invoice was paid otherwise while this payment waited; reject it")
        case CancelRequested():
            raise Conflict(
                "the subscription was canceled while this payment waited; reject it, and if the money is owed all the "
                "same, collect it by a payment without the subscription"
            )


def reason_to_stop_dunning(
    position: InvoicePosition, amount: int, *, is_subscription_canceled: bool
) -> InvoicePaidOtherwise | CancelRequested | None:
    """Return why a dunned payment of `amount` is not tried again; None while its debt is still owed.

    >>> paid = InvoicePosition(amount=1000, currency="EUR", collected=1000, live_payment=None, is_dunned=True)
    >>> reason_to_stop_dunning(paid, 1000, is_subscription_canceled=False)
    InvoicePaidOtherwise(paid_by=None, by=None, cause=None)
    """
    if position.outstanding < amount:
        return InvoicePaidOtherwise()
    return CancelRequested() if is_subscription_canceled else None
