"""Says what each kind of movement does in each state, by deciding on an example of each: nothing here is a rule.

`python -m domain.movement_table > docs/movements.md` writes the page. A test keeps it up to date, and refuses a
movement that would be dropped without a word."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple

from domain.cash_balance import ShownBalance, change_of
from domain.decision import Decision, Policy
from domain.effects import AddAttempt, Effect, GiveUpHold, MarkSubscription, OpenAttention, RecountLoss, SaveCase
from domain.errors import IllegalTransition
from domain.invoice import kept_of
from domain.movement import MovementKind, amounts_after
from domain.movement_examples import NOON, Example, example_balance, examples
from domain.payment import Payment, State, Verb
from domain.state_machine import decide, target


class Verdict(StrEnum):
    """What becomes of a movement."""

    BOOKED = "booked"
    GIVEN_BACK = "given back"  # held money that is not kept: a void releases it
    ENDED = "nothing moved"  # the payment ends, and no money was booked that could move
    KNOWN = "known"  # it is in the books already, or is no money of the payment
    PERSON = "left to a person"
    CONTRADICTS = "contradicts"
    DROPPED = "dropped"


class Row(NamedTuple):
    """One example of a movement and what follows from it."""

    shown: str
    verdict: Verdict
    follows: str


_PAGE = """# What a movement does

Derived from the decisions in `domain` by `python -m domain.movement_table > docs/movements.md`: of every kind of
movement and every state of a payment, examples are decided on, of 1000, for a subscription. Nothing decides by this
page. Each kind is explained in `domain/movement.py`, each state in [states](states.md).

| what becomes of it | means |
|---|---|
| booked | the movement is in the books, in the same transaction as all that follows |
| given back | held money that nobody asked for any more: a void releases it |
| nothing moved | the payment ends; nothing of it was booked that could move |
| known | the books have it already, or it is no money of this payment |
| left to a person | nothing is booked, and an entry of the attention list is opened |
| contradicts | it cannot follow from the state, and is not applied: {contradicting} |

"Opens" and "closes": the invoice is outstanding by more or by less afterwards. "List" names the entries of the
attention list that are opened.
{sections}"""
_CONTRADICTING = "a webhook ends as the entry `webhook_contradicting`, a look-up or the comparison in the log"
_SECTION = """
## {kind}

| state | what the provider shows | becomes | what follows |
|---|---|---|---|
{rows}
"""
_LATER = timedelta(hours=2)


def cell(kind: MovementKind, state: State) -> tuple[Row, ...]:
    """Return what follows from each example of a kind of movement in a state.

    >>> [row.verdict.value for row in cell(MovementKind.CHARGE, State.PROCESSING)]
    ['booked']
    """
    balance = example_balance(kind)
    if balance is not None:
        return (_row_of_balance(*balance),)
    return tuple(row_of(example) for example in examples(kind, state))


def row_of(example: Example) -> Row:
    """Decide on an example, and say what follows.

    >>> from domain.commands import RetryDue
    >>> [example] = examples(MovementKind.DISPUTE, State.ACCEPTED)[:1]
    >>> row_of(replace(example, trigger=RetryDue())).verdict.value
    'dropped'
    """
    if example.trigger is None:
        return Row(example.shown, Verdict.KNOWN, example.known or "")
    try:
        decision = decide(example.payment, example.attempt, example.trigger, NOON + _LATER, Policy())
    except IllegalTransition:
        return Row(example.shown, Verdict.CONTRADICTS, "")
    verdict = _verdict(decision, example)
    if decision is None or verdict is Verdict.KNOWN:
        return Row(example.shown, verdict, example.known or "")
    return Row(example.shown, verdict, "; ".join(_follows(decision, example)))


def _verdict(decision: Decision | None, example: Example) -> Verdict:
    if decision is not None and decision.movements:
        return Verdict.BOOKED
    effects = decision.effects if decision is not None else ()
    if any(isinstance(effect, AddAttempt) and effect.verb is Verb.VOID for effect in effects):
        return Verdict.GIVEN_BACK
    if any(isinstance(effect, OpenAttention) for effect in effects):
        return Verdict.PERSON
    if example.known is None:
        return Verdict.DROPPED
    return Verdict.KNOWN if decision is None or decision.event is None else Verdict.ENDED


def _follows(decision: Decision, example: Example) -> Iterator[str]:
    payment = example.payment
    state = _state_after(payment, decision)
    if decision.movements:
        yield ", ".join(f"`{moved.kind}` {moved.amount}" for moved in decision.movements)
    if state is not payment.state:
        yield f"the payment is `{state}`{_without_subscription(example, state)}"
    more = _kept_after(payment, decision, state) - kept_of(payment.state, payment.captured, payment.lost)
    if more:
        yield f"the invoice {'closes' if more > 0 else 'opens'} by {abs(more)}"
    for effect in decision.effects:
        text = _text_of(effect)
        if text:
            yield text


def _state_after(payment: Payment, decision: Decision) -> State:
    return payment.state if decision.event is None else target(payment.state, decision.event)


def _without_subscription(example: Example, state: State) -> str:
    """Return in which state the same payment is that belongs to no subscription, if that is another one."""
    alone = replace(example.payment, subscription_id=None, is_off_session=False, case=None)
    if example.trigger is None:
        return ""
    decision = decide(alone, example.attempt, example.trigger, NOON + _LATER, Policy())
    other = alone.state if decision is None else _state_after(alone, decision)
    return "" if other is state else f" (`{other}` without a subscription)"


def _kept_after(payment: Payment, decision: Decision, state: State) -> int:
    before = {"captured": payment.captured}
    captured = (before | amounts_after(before, decision.movements))["captured"]
    return kept_of(state, captured, decision.payment.get("lost", payment.lost))


def _text_of(effect: Effect) -> str:
    match effect:
        case SaveCase(case=case):
            return f"dunning is `{case.state}`"
        case MarkSubscription(status=status):
            return f"the subscription is `{status}`"
        case OpenAttention(reason=reason):
            return f"list: `{reason}`"
        case AddAttempt(verb=Verb.VOID):
            return "a void is sent"
        case GiveUpHold():
            return "what was held before is released"
        case RecountLoss():
            return "what a bank has taken back before is counted again"
    return ""


def _row_of_balance(shown: str, booked: int, balance: ShownBalance) -> Row:
    change = change_of(booked, balance)
    moved = ", ".join(f"`{movement.kind}` {movement.amount}" for movement in change.movements)
    reason = f"; list: `{change.opens}`" if change.opens else ""
    return Row(shown, Verdict.BOOKED, f"{moved} on the customer's cash balance, no payment changes{reason}")


def page() -> str:
    """Return the whole of docs/movements.md."""
    return _PAGE.format(contradicting=_CONTRADICTING, sections="".join(_section(kind) for kind in MovementKind))


def _section(kind: MovementKind) -> str:
    states: dict[Row, list[State]] = {}
    for state in State:
        for row in cell(kind, state):
            states.setdefault(row, []).append(state)
    return _SECTION.format(kind=kind, rows="\n".join(_line(states[row], row) for row in states))


def _line(states: list[State], row: Row) -> str:
    names = "every state" if len(states) == len(State) else ", ".join(f"`{state}`" for state in states)
    return f"| {names} | {row.shown} | {row.verdict} | {row.follows} |"


if __name__ == "__main__":
    sys.stdout.write(page())
