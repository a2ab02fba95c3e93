"""The state diagrams in the documentation are those that the transition tables draw."""

from __future__ import annotations

from domain.diagram import mermaid, mermaid_of_cases, mermaid_of_subscriptions
from domain.dunning.case import CASE_TRANSITIONS, SUBSCRIPTION_TRANSITIONS
from domain.payment import State
from domain.transitions import TRANSITIONS

from .source import ROOT

PAGE = (ROOT / "docs" / "states.md").read_text(encoding="utf-8")


def test_the_page_holds_the_diagram() -> None:
    for diagram in (mermaid(), mermaid_of_cases(), mermaid_of_subscriptions()):
        assert diagram in PAGE, "renew it: python -m domain.diagram > docs/states.md"


def test_the_diagram_shows_every_state_and_every_move() -> None:
    arrows = [line.split(":")[0].split(" --> ") for line in mermaid().splitlines() if " --> " in line]
    drawn = {(left.strip(), right.strip()) for left, right in arrows}
    assert {(str(state), str(to)) for (state, _), to in TRANSITIONS.items() if state is not to} == drawn - {
        ("[*]", "accepted")
    }
    assert {name for arrow in drawn for name in arrow} >= set(State)


def test_every_event_of_the_table_is_on_the_page() -> None:
    assert not [event for _, event in TRANSITIONS if event not in PAGE]


def test_the_diagrams_of_cases_and_subscriptions_show_every_move() -> None:
    cases, subscriptions = mermaid_of_cases(), mermaid_of_subscriptions()
    for (state, event), to in CASE_TRANSITIONS.items():
        arrow = next(line for line in cases.splitlines() if f"    {state or '[*]'} --> {to}: " in line)
        assert event in arrow
    moves = [f"    {state} --> {to}" for to, states in SUBSCRIPTION_TRANSITIONS.items() for state in states]
    assert set(moves) <= set(subscriptions.splitlines())
