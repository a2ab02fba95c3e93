"""A customer's cash balance at a provider: money that came by bank transfer and fits no payment, until it is used."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from domain.attention import Reason
from domain.idempotency_key import FailedResponse, KeyState, is_spent, may_be_renewed, state_after
from domain.movement import Movement, MovementKind

# Tries of one return before a person is asked again. They take about half an hour; providers keep keys for a day.
MOST_RETURN_TRIES = 10
# Stripe forgets a key after a day: a call under it would then give back what has come since.
_RETURN_LASTS = timedelta(hours=23)


class BalanceStatus(StrEnum):
    """How a balance waits. It is no column: the amounts of a balance say it."""

    EMPTY = "empty"
    HELD = "held"  # money that a person decides on, or that is missing
    RETURNING = "returning"  # a person has asked to give it back


@dataclass(frozen=True, slots=True)
class ShownBalance:
    """A balance as its provider shows it, in minor units. `reference`: the provider's id of the transaction that made
    it what it is, or of the customer where there is none. `at`: when that was, where the provider shows it."""

    available: int
    reference: str
    at: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class BalanceChange:
    """What a reading of a balance books, and what it does to the attention list."""

    movements: tuple[Movement, ...] = ()
    opens: Reason | None = None
    closes: Reason | None = None


def change_of(booked: int, shown: ShownBalance) -> BalanceChange:
    """Return what follows from a balance that is shown. `booked`: the balance in our books.

    A balance below zero is money that a bank has taken back after it had paid for something: a person has to know.

    >>> came = change_of(0, ShownBalance(1230, "ccsbtxn_1"))
    >>> [(movement.kind.value, movement.amount) for movement in came.movements], came.opens.value
    ([('unmatched_receipt', 1230)], 'unmatched_receipt')
    >>> used = change_of(1230, ShownBalance(0, "ccsbtxn_2"))
    >>> [(movement.kind.value, movement.amount) for movement in used.movements], used.closes.value
    ([('unmatched_use', -1230)], 'unmatched_receipt')
    >>> change_of(0, ShownBalance(-1230, "ccsbtxn_3")).opens.value
    'unmatched_receipt'
    >>> change_of(5, ShownBalance(5, "ccsbtxn_3"))
    BalanceChange(movements=(), opens=None, closes=None)
    """
    difference = shown.available - booked
    if not difference:
        return BalanceChange()
    has_come = difference > 0
    kind = MovementKind.UNMATCHED_RECEIPT if has_come else MovementKind.UNMATCHED_USE
    return BalanceChange(
        (Movement(kind, difference, shown.reference, moved_at=shown.at),),
        opens=Reason.UNMATCHED_RECEIPT if shown.available < 0 or (has_come and shown.available) else None,
        closes=None if shown.available else Reason.UNMATCHED_RECEIPT,
    )


def has_spent_key(response: FailedResponse, tries: int) -> bool:
    """Tell whether a return whose call failed gets a new key, if a reading shows that nothing was given back.

    As for a refund, a failure that the provider has stored is not enough: only tries that outlast every call are.

    >>> has_spent_key(FailedResponse.STORED_FAILURE, 1), has_spent_key(FailedResponse.STORED_FAILURE, 6)
    (False, True)
    >>> has_spent_key(FailedResponse.NONE, 6)
    False
    """
    state = state_after(KeyState.USABLE, response)
    return is_spent(state) and may_be_renewed(state, is_refund=True, lookups=tries)


def gives_up_return(tries: int) -> bool:
    """Tell whether a return whose outcome stays unknown after so many tries is left to a person again.

    >>> gives_up_return(1), gives_up_return(MOST_RETURN_TRIES)
    (False, True)
    """
    return tries >= MOST_RETURN_TRIES


def is_return_over(due_at: datetime, now: datetime) -> bool:
    """Tell whether a return has waited so long for a worker that its key may be forgotten: a person decides again."""
    return now - due_at >= _RETURN_LASTS
