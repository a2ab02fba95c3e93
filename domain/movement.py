"""Movements of money, which are the books: every amount of a payment is a sum of its movements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from domain.money import Money
from domain.outcome import Approved
from domain.payment import HOLDING, LATE_AUTHORIZATION, State, Verb


class MovementKind(StrEnum):
    """What moved. Amounts have a sign: money that comes to us, or is held for us, is positive."""

    AUTHORIZATION = "authorization"  # held at the customer's bank
    RELEASE = "release"  # no longer held; positive: it was held still, and is captured after all
    CHARGE = "charge"  # held and taken at once
    CAPTURE = "capture"  # taken of what was held
    RECEIPT = "receipt"  # came, and does not match what was asked: a person decides
    DUPLICATE = "duplicate"  # taken a second time
    DUPLICATE_REFUND = "duplicate_refund"  # given back of what was taken a second time
    DUPLICATE_REFUND_FAILURE = "duplicate_refund_failure"
    REVERSAL = "reversal"  # a debit that its bank or payer took back
    DISPUTE = "dispute"  # taken back until a dispute is decided, and for good if it is lost
    DISPUTE_RETURN = "dispute_return"  # given back to us after a dispute
    REFUND = "refund"  # given back
    REFUND_FAILURE = "refund_failure"  # a refund that came back, because the bank could not pay it out
    UNMATCHED_RECEIPT = "unmatched_receipt"  # came from a customer and fits no payment
    UNMATCHED_USE = "unmatched_use"  # went from there to a payment, or back to the customer
    FEE = "fee"  # what the provider keeps for a charge; no part of the payment's amounts


@dataclass(frozen=True, slots=True)
class Movement:
    """One movement. `amount`: signed, in minor units. `provider_id`: the provider's id of it. `currency`: the payment's
    if None; only a fee may have another. `provider`: the attempt's if None.

    Where the provider has no id for the movement itself, it is the id of the object that moved: one object makes one
    movement of a kind, and further ones are counted (`name_of_time`). A receipt is named by its object and the sum that
    has come so far.

    `moved_at`: when the money moved by the provider's own account; None where it shows no time of this movement."""

    kind: MovementKind
    amount: int
    provider_id: str
    currency: str | None = None
    provider: str | None = None
    moved_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ShownFee:
    """What the provider keeps for a charge, a refund or a dispute. `reference`: of the object that shows it. `fee`: in
    its own currency; negative for a fee that is given back. `at`: when it was kept, where the provider shows that."""

    reference: str
    fee: Money
    at: datetime | None = field(default=None, compare=False)

    @property
    def movement(self) -> Movement:
        """The movement of the fee."""
        return Movement(MovementKind.FEE, -self.fee.minor, self.reference, self.fee.currency, moved_at=self.at)


def name_of_time(reference: str, time: int) -> str:
    """Return the name of a movement that an object of the provider may make several times: its own the first time.

    >>> name_of_time("re_1", 1), name_of_time("re_1", 2)
    ('re_1', 're_1/2')
    """
    return reference if time <= 1 else f"{reference}/{time}"


# Which movements add up to an amount of the payment, and with which sign.
_AMOUNTS: dict[str, dict[MovementKind, int]] = {
    "authorized": {MovementKind.AUTHORIZATION: 1, MovementKind.CHARGE: 1},
    "captured": {MovementKind.CHARGE: 1, MovementKind.CAPTURE: 1},
    "refunded": {MovementKind.REFUND: -1, MovementKind.REFUND_FAILURE: -1},
    "received": {MovementKind.RECEIPT: 1},
    "reversed": {MovementKind.REVERSAL: -1, MovementKind.DISPUTE: -1, MovementKind.DISPUTE_RETURN: -1},
    "duplicated": {
        MovementKind.DUPLICATE: 1,
        MovementKind.DUPLICATE_REFUND: 1,
        MovementKind.DUPLICATE_REFUND_FAILURE: 1,
    },
}
AMOUNTS = tuple(_AMOUNTS)


def amounts_after(before: Mapping[str, Any], movements: Iterable[Movement]) -> dict[str, int]:
    """Return the amounts of a payment that movements change, as they are afterwards.

    >>> refund = Movement(MovementKind.REFUND, -500, "re_1")
    >>> amounts_after({"captured": 1230, "refunded": 100}, [refund])
    {'refunded': 600}
    """
    changed: dict[str, int] = {}
    for movement in movements:
        for name, signs in _AMOUNTS.items():
            if movement.kind in signs:
                changed[name] = changed.get(name, before.get(name, 0)) + signs[movement.kind] * movement.amount
    return changed


def amounts_of(sums: Mapping[MovementKind, int]) -> dict[str, int]:
    """Return every amount of a payment from the sum of its movements of each kind.

    >>> amounts_of({MovementKind.CHARGE: 1230, MovementKind.REFUND: -500})["refunded"]
    500
    """
    return {name: sum(sign * sums.get(kind, 0) for kind, sign in signs.items()) for name, signs in _AMOUNTS.items()}


def movements_of_capture(held: int, outcome: Approved, *, is_held: bool) -> tuple[Movement, ...]:
    """Return the movements of money that was captured. `held`: the authorizations that are booked already. `is_held`:
    they still stand, so that the provider releases what it does not capture.

    >>> taken = movements_of_capture(0, Approved("pi_1", authorized=1230, captured=1230), is_held=False)
    >>> [(movement.kind.value, movement.amount) for movement in taken]
    [('charge', 1230)]
    >>> part = movements_of_capture(1230, Approved("pi_1", authorized=1230, captured=500), is_held=True)
    >>> [(movement.kind.value, movement.amount) for movement in part]
    [('capture', 500), ('release', -730)]
    >>> [movement.amount for movement in movements_of_capture(0, Approved("pi_1", 1230, 500), is_held=False)]
    [1230, 500, -730]
    """
    authorized, captured = outcome.authorized, outcome.captured
    if held == 0 and authorized <= captured:
        return (Movement(MovementKind.CHARGE, captured, outcome.reference, moved_at=outcome.at),)
    total = max(held, authorized)
    # The provider's time is that of the capture; it shows none of what came before, or was released with it.
    missing = Movement(MovementKind.AUTHORIZATION, total - held, outcome.reference)
    capture = Movement(MovementKind.CAPTURE, captured, outcome.reference, moved_at=outcome.at)
    release = Movement(MovementKind.RELEASE, captured - total if is_held or held == 0 else 0, outcome.reference)
    return tuple(movement for movement in (missing, capture, release) if movement.amount)


def may_be_booked(captured: int, verb: Verb) -> bool:
    """Tell whether the outcome of an attempt may show money that is booked already, perhaps by another attempt."""
    return captured > 0 and verb is not Verb.REFUND


def may_be_beside_holder(state: State, verb: Verb, reason: str | None) -> bool:
    """Tell whether the outcome of an attempt may show money of another object than the one whose money is held.

    >>> may_be_beside_holder(State.AUTHORIZED, Verb.CAPTURE, None)
    False
    """
    return state in HOLDING and (verb.is_collecting or reason == LATE_AUTHORIZATION)
