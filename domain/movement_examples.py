"""Examples of every kind of movement in every state of a payment, on which `domain.movement_table` lets decide."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from domain.cash_balance import ShownBalance
from domain.commands import DisputeSeen, Trigger
from domain.decline import Decline, DeclineClass
from domain.dunning.case import CaseState
from domain.movement import MovementKind
from domain.outcome import AmountMismatch, Approved, Declined
from domain.payment import (
    COLLECTED,
    HOLDING,
    IN_DUNNING,
    Attempt,
    AttemptStatus,
    DunningCase,
    Holder,
    Payment,
    State,
    Verb,
)

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
_AMOUNT, _PART, _MORE = 1000, 600, 1400
_FAILED = Declined("re_1", Decline("expired_or_canceled_card", DeclineClass.HARD))


@dataclass(frozen=True, slots=True)
class Example:
    """What a provider shows of a payment. `shown`: in words. `trigger`: None where no decision is asked.

    `known`: why nothing is to be booked. None: it is news, and must not be dropped."""

    shown: str
    payment: Payment
    attempt: Attempt | None
    trigger: Trigger | None
    known: str | None = None


# How the attempt that charges stands.
_STATUS: dict[State, AttemptStatus] = {
    **dict.fromkeys((State.ACCEPTED, State.REVIEW), AttemptStatus.DUE),
    State.PROCESSING: AttemptStatus.OPEN,
    State.REQUIRES_ACTION: AttemptStatus.ACTION_REQUIRED,
    State.PENDING: AttemptStatus.PENDING,
    State.IN_DOUBT: AttemptStatus.IN_DOUBT,
    **dict.fromkeys(COLLECTED | HOLDING | {State.REVERSED}, AttemptStatus.SUCCEEDED),
    **dict.fromkeys((State.VOIDED, State.CANCELED, State.EXPIRED, State.BLOCKED), AttemptStatus.CANCELED),
    State.FAILED: AttemptStatus.FAILED,
    **dict.fromkeys(IN_DUNNING | {State.DECLINED, State.UNCOLLECTIBLE}, AttemptStatus.DECLINED),
}
_CASES = {
    State.PAST_DUE: DunningCase(CaseState.RETRYING, NOON, retry=1, due_at=NOON),
    State.IN_GRACE: DunningCase(CaseState.IN_GRACE, NOON, retry=3, due_at=NOON, grace_ends_at=NOON),
    State.UNCOLLECTIBLE: DunningCase(CaseState.EXHAUSTED, NOON, retry=3),
}
# They may have been captured, and were taken back since.
_TAKEN_BACK = IN_DUNNING | {State.UNCOLLECTIBLE, State.CANCELED, State.REVERSED}
# A payment of these states has taken money.
_TOOK = COLLECTED | {State.REVERSED}
_NOTHING_TO_REFUND = "nothing was taken that could be given back"


def _payment(state: State, *, captured: int | None = None, **changes: Any) -> Payment:
    """Return a payment in this state. `captured`: of 1000, by default what the state says."""
    taken = (_AMOUNT if state in _TOOK else 0) if captured is None else captured
    given: dict[str, Any] = {
        "id": "pay_1",
        "state": state,
        "amount": _AMOUNT,
        "authorized": _AMOUNT if taken or state is State.AUTHORIZED else 0,
        "captured": taken,
        "refunded": {State.REFUNDED: taken, State.PARTIALLY_REFUNDED: min(taken, 400)}.get(state, 0),
        "received": _PART if state is State.AMOUNT_MISMATCH else 0,
        "lost": taken if state in _TAKEN_BACK else 0,
        "is_off_session": True,
        "is_client_confirmed": False,
        "subscription_id": "sub_1",
        "created_at": NOON,
        "case": _CASES.get(state),
        "taken": frozenset({"at_1", "pi_1"}) if taken else frozenset(),
    }
    return Payment(**(given | changes))


def _attempt(verb: Verb, status: AttemptStatus, number: int = 1, amount: int = _AMOUNT, **changes: Any) -> Attempt:
    return Attempt(f"at_{number}", verb, status, amount, 0, 0, 0, NOON, is_known_to_provider=True, **changes)


def _own(state: State, verb: Verb = Verb.CHARGE) -> Attempt:
    """Return the attempt that charges, or that holds the money."""
    return _attempt(verb, _STATUS[state])


def _beside(state: State) -> Payment:
    """Return a payment that another attempt is about than the one whose money it holds."""
    holder = Holder("at_1", "stripe", "pi_1") if state in HOLDING else None
    return _payment(state, other_holder=holder)


_OTHER = _attempt(Verb.AUTHORIZE, AttemptStatus.IN_DOUBT, number=2)


def _authorization(state: State) -> Iterator[Example]:
    if state not in _TOOK | HOLDING:
        whole, part = (Approved("pi_1", authorized=amount) for amount in (_AMOUNT, _PART))
        yield Example("holds what was asked", _payment(state), _own(state, Verb.AUTHORIZE), whole)
        yield Example("holds another amount", _payment(state), _own(state, Verb.AUTHORIZE), part)
    other = Approved("pi_2", authorized=_AMOUNT)
    yield Example("another object holds it as well", _beside(state), _OTHER, other)


def _release(state: State) -> Iterator[Example]:
    known = None if state in _TOOK | HOLDING else "nothing is held"
    if state is State.REVERSED:
        known = "the money is taken back already"
    payment = _holding(state)
    gone = Approved("pi_1", voided=True)
    yield Example("what it held is released", payment, _own(state, Verb.AUTHORIZE), gone, known)
    for verb in (Verb.CAPTURE, Verb.VOID):
        operation = _attempt(verb, AttemptStatus.IN_DOUBT, number=2)
        yield Example(f"the same, seen by a {verb}", payment, operation, gone, known)


def _holding(state: State) -> Payment:
    """Return a payment that holds money where its state says so: another amount than was asked, if it waits for a
    person."""
    payment = _payment(state)
    return replace(payment, authorized=_PART, received=0) if state is State.AMOUNT_MISMATCH else payment


def _charge(state: State) -> Iterator[Example]:
    known = "the same money is booked" if state in _TOOK else None
    taken = Approved("pi_1", authorized=_AMOUNT, captured=_AMOUNT)
    yield Example("took what was asked", _payment(state), _own(state), taken, known)


def _capture(state: State) -> Iterator[Example]:
    """A part was captured before, where money was taken."""
    payment = _payment(state, captured=_PART) if state in _TOOK else _holding(state)
    for captured, words in ((_AMOUNT, "captured all of it"), (800, "captured a part of it")):
        outcome = Approved("pi_1", authorized=payment.authorized or _AMOUNT, captured=captured)
        yield Example(words, payment, _own(state, Verb.AUTHORIZE), outcome)
        for verb in (Verb.CAPTURE, Verb.VOID):
            operation = _attempt(verb, AttemptStatus.IN_DOUBT, number=2)
            yield Example(f"{words}, seen by a {verb}", payment, operation, outcome)


def _receipt(state: State) -> Iterator[Example]:
    received = 700
    known = "less than what is booked of it" if state in _TOOK else None
    shown = AmountMismatch("pi_1", received, "underpaid")
    yield Example("received less than was asked", _payment(state), _own(state), shown, known)
    more = AmountMismatch("pi_1", _MORE, "overpaid")
    yield Example("received more than was asked", _payment(state), _own(state), more)
    other = AmountMismatch("pi_2", received, "underpaid")
    yield Example("another object received money as well", _beside(state), _OTHER, other)
    if state not in _TOOK | HOLDING | IN_DUNNING | {State.BLOCKED, State.REVIEW}:
        held = _payment(state, received=_PART)
        succeeded = _attempt(Verb.CHARGE, AttemptStatus.SUCCEEDED)
        yield Example("received more than it had before", held, succeeded, shown)


def _duplicate(state: State) -> Iterator[Example]:
    if state not in _TOOK | HOLDING:
        first = "nothing was taken before, so it is a `charge`"
        yield Example("another object took it as well", _payment(state), None, None, first)
        return
    taken = Approved("pi_2", authorized=_AMOUNT, captured=_AMOUNT)
    yield Example("another object took it as well", _beside(state), _OTHER, taken)
    closed = replace(_OTHER, status=AttemptStatus.DECLINED)
    yield Example("the same, and it was declined before", _beside(state), closed, taken)
    if state in _TOOK:
        twice = replace(_payment(state), duplicated=_PART, duplicate_taken=_PART, taken=frozenset({"pi_1", "pi_2"}))
        known = replace(_OTHER, status=AttemptStatus.SUCCEEDED)
        yield Example("that object takes more later", twice, known, taken)


def _duplicate_refund(state: State) -> Iterator[Example]:
    payment = _payment(state, captured=_AMOUNT, duplicated=_AMOUNT) if state in _TAKEN_BACK else None
    refund = _attempt(Verb.REFUND, AttemptStatus.IN_DOUBT, number=3, is_of_duplicate=True)
    given = Approved("re_1", refunded=_AMOUNT)
    yield Example("what was taken twice is given back", payment or _payment(state, duplicated=_AMOUNT), refund, given)


def _duplicate_refund_failure(state: State) -> Iterator[Example]:
    refund = _attempt(Verb.REFUND, AttemptStatus.SUCCEEDED, number=3, is_of_duplicate=True)
    yield Example("that could not be paid out", _payment(state), refund, _FAILED)


def _taken_back(state: State) -> Payment:
    return _payment(state, captured=_AMOUNT) if state in _TAKEN_BACK else _payment(state)


def _refund(state: State) -> Iterator[Example]:
    for amount, words in ((_PART, "600 is given back"), (300, "300 is given back")):
        refund = _attempt(Verb.REFUND, AttemptStatus.IN_DOUBT, number=3, amount=amount)
        yield Example(words, _taken_back(state), refund, Approved("re_1", refunded=amount))
    failed = _attempt(Verb.REFUND, AttemptStatus.FAILED, number=3, amount=300)
    yield Example("300 is given back after all", _taken_back(state), failed, Approved("re_1", refunded=300))


def _refund_failure(state: State) -> Iterator[Example]:
    payment = _taken_back(state)
    refunded = replace(payment, refunded=payment.refunded or (300 if payment.captured else 0))
    for amount in sorted({300, refunded.refunded} - {0}):
        refund = _attempt(Verb.REFUND, AttemptStatus.SUCCEEDED, number=3, amount=amount)
        yield Example(f"{amount} of {refunded.refunded} could not be paid out", refunded, refund, _FAILED)


def _reversal(state: State) -> Iterator[Example]:
    yield _disputed(state, "a debit is returned", _AMOUNT, _AMOUNT, is_return=True)
    yield _disputed(state, "a part of a debit is returned", 400, 400, is_return=True)


def _dispute(state: State) -> Iterator[Example]:
    yield _disputed(state, "an open dispute takes it", _AMOUNT, 0)
    yield _disputed(state, "a lost dispute takes it", _AMOUNT, _AMOUNT)
    yield _disputed(state, "a lost dispute takes a part", 400, 400)


def _dispute_return(state: State) -> Iterator[Example]:
    yield _disputed(state, "a dispute is won", -_AMOUNT, 0)
    yield _disputed(state, "a lost dispute is won after all", -_AMOUNT, -_AMOUNT)


def _disputed(state: State, shown: str, withdrawn: int, lost: int, *, is_return: bool = False) -> Example:
    payment = _taken_back(state)
    if lost > 0 and state in _TAKEN_BACK:
        payment = replace(payment, captured=2 * _AMOUNT, authorized=2 * _AMOUNT)
    reason = "insufficient_funds" if is_return else "fraudulent"
    return Example(shown, payment, None, DisputeSeen("dp_1", withdrawn, lost, is_return=is_return, reason=reason))


def _fee(state: State) -> Iterator[Example]:
    known = "booked by the comparison, beside the amounts of the payment" if state in _TOOK else None
    words = "kept a fee of a charge"
    nothing = "no charge was taken that it could be kept of"
    yield Example(words, _payment(state), None, None, known or nothing)


_EXAMPLES: dict[MovementKind, Callable[[State], Iterator[Example]]] = {
    MovementKind.AUTHORIZATION: _authorization,
    MovementKind.RELEASE: _release,
    MovementKind.CHARGE: _charge,
    MovementKind.CAPTURE: _capture,
    MovementKind.RECEIPT: _receipt,
    MovementKind.DUPLICATE: _duplicate,
    MovementKind.DUPLICATE_REFUND: _duplicate_refund,
    MovementKind.DUPLICATE_REFUND_FAILURE: _duplicate_refund_failure,
    MovementKind.REVERSAL: _reversal,
    MovementKind.DISPUTE: _dispute,
    MovementKind.DISPUTE_RETURN: _dispute_return,
    MovementKind.REFUND: _refund,
    MovementKind.REFUND_FAILURE: _refund_failure,
    MovementKind.FEE: _fee,
}


def examples(kind: MovementKind, state: State) -> tuple[Example, ...]:
    """Return examples of what a provider may show of a payment in this state when money of this kind moves."""
    return tuple(_EXAMPLES[kind](state))


def example_balance(kind: MovementKind) -> tuple[str, int, ShownBalance] | None:
    """Return an example of money that fits no payment: in words, what is booked of the balance, and what is shown."""
    match kind:
        case MovementKind.UNMATCHED_RECEIPT:
            return "a customer's transfer fits no payment", 0, ShownBalance(_PART, "ccsbtxn_1")
        case MovementKind.UNMATCHED_USE:
            return "it is used, or returned", _PART, ShownBalance(0, "ccsbtxn_2")
    return None
