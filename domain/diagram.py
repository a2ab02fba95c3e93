"""Draws the state machines of payments, dunning cases and subscriptions.

`python -m domain.diagram > docs/states.md`; a test keeps the page up to date."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from domain.dunning.case import (
    CASE_TRANSITIONS,
    FIRST_PAID_BESIDE_DEBT,
    SUBSCRIPTION_TRANSITIONS,
    CaseState,
    SubscriptionStatus,
)
from domain.payment import IN_PROGRESS, LIVE, State
from domain.transitions import TRANSITIONS

_PAGE = """# States

Drawn from the transition tables in `domain/transitions.py` and `domain/dunning/case.py` by
`python -m domain.diagram > docs/states.md`.

## Payments

The first table says what each state means; the last one has the events that leave the state as it is.

```mermaid
{diagram}
```

| state | meaning | moves by itself within moments | live: collects its invoice |
|---|---|---|---|
{states}

| state | recorded without leaving it |
|---|---|
{staying}

## Dunning cases

A debt that is left by a failed payment has one case, with or without a subscription.

```mermaid
{cases}
```

| state | meaning |
|---|---|
{case_states}

## Subscriptions

```mermaid
{subscriptions}
```

| status | meaning |
|---|---|
{statuses}
"""


_MEANINGS = {
    State.ACCEPTED: "stored and due; a worker charges it next",
    State.PROCESSING: "a worker calls the provider",
    State.REQUIRES_ACTION: "waits for the customer: 3-D Secure, the provider's page, a transfer, or the money of an "
    "invoice",
    State.PENDING: "the provider has accepted it; the bank decides within days",
    State.IN_DOUBT: "was sent, and nobody knows the outcome yet; it is looked up",
    State.REVIEW: "waits for an operator, because of the fraud rules; nothing is charged",
    State.AMOUNT_MISMATCH: "the provider holds another amount than was asked; an operator decides",
    State.AUTHORIZED: "the money is held, and waits for a capture or a cancel",
    State.CAPTURED: "the money is taken, in whole or in part",
    State.PARTIALLY_REFUNDED: "a part of it was given back",
    State.REFUNDED: "all of it was given back",
    State.REVERSED: "the bank took it back for good: a returned debit or a lost dispute",
    State.VOIDED: "the authorization was released",
    State.CANCELED: "stopped before money was taken, or its invoice was paid otherwise",
    State.EXPIRED: "the customer did not act in time, or the authorization ended",
    State.DECLINED: "the bank or the provider refused; nothing was charged",
    State.BLOCKED: "the fraud rules refused; nothing was charged",
    State.FAILED: "the request was refused or could not be made; nothing was charged",
    State.PAST_DUE: "it was declined while its customer was away; dunning tries it again",
    State.IN_GRACE: "dunning has given up its retries; the customer may still pay",
    State.UNCOLLECTIBLE: "dunning ended without money; its policy says what becomes of the subscription",
}
_CASE_MEANINGS = {
    CaseState.RETRYING: "the next try is planned, or under way",
    CaseState.IN_GRACE: "nothing more is tried by itself; the customer may still pay",
    CaseState.RECOVERED: "the debt is paid, by whichever payment; it begins again if that money is taken back",
    CaseState.EXHAUSTED: "grace has ended without money, or the customer has withdrawn their consent",
    CaseState.STOPPED: "a person or an application has stopped the collection",
}
_STATUS_MEANINGS = {
    SubscriptionStatus.INCOMPLETE: "nothing was ever paid",
    SubscriptionStatus.ACTIVE: "its payments are up to date",
    SubscriptionStatus.PAST_DUE: "a payment has failed and is owed",
    SubscriptionStatus.PAUSED: "grace has ended, and its policy pauses it until its debt is paid",
    SubscriptionStatus.UNPAID: "grace has ended, and its policy leaves it unpaid",
    SubscriptionStatus.CANCELED: "it has ended for good",
}


def mermaid() -> str:
    """Return the diagram in Mermaid syntax, with one arrow for all events between two states."""
    arrows: dict[tuple[State, State], list[str]] = defaultdict(list)
    for (state, event), to in TRANSITIONS.items():
        if state is not to:
            arrows[state, to].append(event)
    lines = ["stateDiagram-v2", "    [*] --> accepted: payment_accepted"]
    lines += [f"    {state} --> {to}: {', '.join(sorted(events))}" for (state, to), events in sorted(arrows.items())]
    return "\n".join(lines)


def mermaid_of_cases() -> str:
    """Return the diagram of dunning cases in Mermaid syntax."""
    arrows: dict[tuple[str, CaseState], list[str]] = defaultdict(list)
    for (state, event), to in CASE_TRANSITIONS.items():
        arrows[state or "[*]", to].append(event)
    lines = [f"    {state} --> {to}: {', '.join(sorted(events))}" for (state, to), events in sorted(arrows.items())]
    return "\n".join(["stateDiagram-v2", *lines])


def mermaid_of_subscriptions() -> str:
    """Return the diagram of subscriptions in Mermaid syntax."""
    arrows = [(state, to) for to, states in SUBSCRIPTION_TRANSITIONS.items() for state in states]
    arrows.append(FIRST_PAID_BESIDE_DEBT)
    lines = [f"    {state} --> {to}" for state, to in sorted(arrows)]
    return "\n".join(["stateDiagram-v2", f"    [*] --> {SubscriptionStatus.INCOMPLETE}", *lines])


def page() -> str:
    """Return the whole of docs/states.md."""
    staying: dict[State, list[str]] = defaultdict(list)
    for (state, event), to in TRANSITIONS.items():
        if state is to:
            staying[state].append(f"`{event}`")
    return _PAGE.format(
        diagram=mermaid(),
        states="\n".join(_row(state) for state in State),
        staying="\n".join(f"| `{state}` | {', '.join(sorted(events))} |" for state, events in staying.items()),
        cases=mermaid_of_cases(),
        case_states=_meanings(_CASE_MEANINGS),
        subscriptions=mermaid_of_subscriptions(),
        statuses=_meanings(_STATUS_MEANINGS),
    )


def _meanings(meanings: Mapping[Any, str]) -> str:
    return "\n".join(f"| `{word}` | {meaning} |" for word, meaning in meanings.items())


def _row(state: State) -> str:
    return f"| `{state}` | {_MEANINGS[state]} | {_tick(state in IN_PROGRESS)} | {_tick(state in LIVE)} |"


def _tick(is_so: bool) -> str:
    return "yes" if is_so else ""


if __name__ == "__main__":
    sys.stdout.write(page())
