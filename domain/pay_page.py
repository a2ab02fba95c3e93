"""What a customer who opens the page of a debt sees, and by which key their payment is one and the same."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from domain.invoice import InvoicePosition, waits_for_customer
from domain.payment import CLOSED_UNPAID, IN_DUNNING, State

_UNPAID = CLOSED_UNPAID | IN_DUNNING | {State.BLOCKED}


class View(StrEnum):
    """What the page shows."""

    PAID = "paid"
    CANCELED = "canceled"
    # The customer chooses how to pay.
    CHOICE = "choice"
    # They enter a method in the provider's front end.
    FRONT_END = "front_end"
    # They confirm at their bank, or approve at the provider.
    CONFIRMATION = "confirmation"
    # They have been told where to send the money.
    TRANSFER = "transfer"
    UNDER_WAY = "under_way"


# From these pages the customer may go back to the choice, which cancels the open payment.
LEAVABLE = frozenset({View.FRONT_END, View.CONFIRMATION, View.TRANSFER})


@dataclass(frozen=True, slots=True)
class OpenPayment:
    """The payment that is collecting the invoice. `redirect_url`: where its customer goes on. `is_ending`: a cancel of
    it is under way."""

    state: State
    is_client_confirmed: bool = False
    redirect_url: str | None = None
    is_ending: bool = False


def view_of(
    position: InvoicePosition, open_payment: OpenPayment | None, *, is_canceled: bool, has_just_returned: bool
) -> View:
    """Return what the page shows of an invoice.

    `is_canceled`: the invoice's subscription has ended. `has_just_returned`: the customer comes from the bank or
    provider, so that what was asked of them is probably done, and is only not booked yet.

    >>> owed = InvoicePosition(1000, "EUR", collected=0, live_payment="pay_1", is_dunned=False)
    >>> bank = OpenPayment(State.REQUIRES_ACTION, redirect_url="https://bank.example")
    >>> [str(view_of(owed, bank, is_canceled=False, has_just_returned=back)) for back in (False, True)]
    ['confirmation', 'under_way']
    """
    if not position.outstanding:
        return View.PAID
    if open_payment is None:
        return View.CANCELED if is_canceled else View.CHOICE
    if has_just_returned or open_payment.is_ending or not waits_for_customer(open_payment.state):
        return View.UNDER_WAY
    if open_payment.is_client_confirmed:
        return View.FRONT_END
    return View.CONFIRMATION if open_payment.redirect_url else View.TRANSFER


def was_refused(newest: State | None) -> bool:
    """Tell whether the invoice's newest payment has brought no money.

    >>> was_refused(State.PAST_DUE), was_refused(State.CAPTURED), was_refused(None)
    (True, False, False)
    """
    return newest in _UNPAID


def charge_key(invoice_id: str, position: InvoicePosition, payments: int) -> str:
    """Return the idempotency key under which an invoice is charged from its page.

    `payments`: how many the invoice has had. The key changes only when one of them was tried and has ended, or another
    amount is owed: two tabs, two links, a double click and a reload have the same.

    >>> owed = InvoicePosition(1000, "EUR", collected=0, live_payment=None, is_dunned=False)
    >>> charge_key("inv", owed, 1) == charge_key("inv", owed, 1) != charge_key("inv", owed, 2)
    True
    """
    parts = (invoice_id, str(position.outstanding), position.currency, str(payments))
    return f"pay-page-{hashlib.sha256(chr(31).join(parts).encode()).hexdigest()}"
