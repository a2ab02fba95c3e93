"""Draws the state machine: `python -m domain.diagram > docs/states.md`. A test keeps the page up to date."""

from __future__ import annotations

import sys
from collections import defaultdict

from domain.payment import IN_PROGRESS, LIVE, TRANSITIONS, State

_PAGE = """# Payment states

Drawn from the transition table in `domain/payment.py` by `python -m domain.diagram > docs/states.md`.
Events that leave the state as it is are in the second table.

```mermaid
{diagram}
```

| state | moves by itself within moments | live: collects its invoice |
|---|---|---|
{states}

| state | recorded without leaving it |
|---|---|
{staying}
"""


def mermaid() -> str:
    """Return the diagram in Mermaid syntax, with one arrow for all events between two states."""
    arrows: dict[tuple[State, State], list[str]] = defaultdict(list)
    for (state, event), to in TRANSITIONS.items():
        if state is not to:
            arrows[state, to].append(event)
    lines = ["stateDiagram-v2", "    [*] --> accepted: payment_accepted"]
    lines += [f"    {state} --> {to}: {', '.join(sorted(events))}" for (state, to), events in sorted(arrows.items())]
    return "\n".join(lines)


def page() -> str:
    """Return the whole of docs/states.md."""
    staying: dict[State, list[str]] = defaultdict(list)
    for (state, event), to in TRANSITIONS.items():
        if state is to:
            staying[state].append(f"`{event}`")
    return _PAGE.format(
        diagram=mermaid(),
        states="\n".join(f"| `{state}` | {_tick(state in IN_PROGRESS)} | {_tick(state in LIVE)} |" for state in State),
        staying="\n".join(f"| `{state}` | {', '.join(sorted(events))} |" for state, events in staying.items()),
    )


def _tick(is_so: bool) -> str:
    return "yes" if is_so else ""


if __name__ == "__main__":
    sys.stdout.write(page())
