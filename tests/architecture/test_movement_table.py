"""No movement of money is dropped without a word: every kind in every state is booked, known, or left to a person."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from domain.commands import RetryDue
from domain.movement import MovementKind
from domain.movement_examples import examples
from domain.movement_table import Verdict, cell, page, row_of
from domain.payment import State

from .source import ROOT


def test_every_cell_is_filled_and_no_movement_is_dropped() -> None:
    empty = [f"{kind} of {state}" for kind, state in product(MovementKind, State) if not cell(kind, state)]
    dropped = [
        f"{kind} of a payment that is {state}: {row.shown}"
        for kind, state in product(MovementKind, State)
        for row in cell(kind, state)
        if row.verdict is Verdict.DROPPED
    ]
    assert (empty, dropped) == ([], [])


def test_what_is_known_says_why() -> None:
    rows = [row for kind, state in product(MovementKind, State) for row in cell(kind, state)]
    assert [row for row in rows if row.verdict in (Verdict.KNOWN, Verdict.PERSON) and not row.follows] == []


@pytest.mark.parametrize("kind", [kind for kind in MovementKind if kind is not MovementKind.FEE])
def test_every_kind_is_booked_in_some_state_as_what_it_is(kind: MovementKind) -> None:
    booked = [row for state in State for row in cell(kind, state) if row.verdict is Verdict.BOOKED]
    assert any(f"`{kind}` " in row.follows for row in booked)


def test_a_decision_that_says_nothing_is_seen() -> None:
    [example, *_] = examples(MovementKind.DISPUTE, State.CAPTURED)
    assert row_of(example).verdict is Verdict.BOOKED
    assert row_of(replace(example, trigger=RetryDue())).verdict is Verdict.DROPPED


def test_the_page_is_up_to_date() -> None:
    page_now = (ROOT / "docs" / "movements.md").read_text(encoding="utf-8")
    assert page() == page_now, "renew it: python -m domain.movement_table > docs/movements.md"
