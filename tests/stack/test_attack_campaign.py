"""The campaign that tests cards at each door: what it calls a breach. No system starts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stack.attack_round import SHARED, Plan, Round

PLAN = Plan(strangers=100, customers=40, most=10, seed=1)
HELD = Round("process", "ip", 100, 10, 10, {"too_many_attempts": 90}, 0, 40, 40, {}, 5.0)


def test_a_door_that_held_is_no_problem() -> None:
    assert list(HELD.problems(PLAN)) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"let_through": 11, "calls": 11, "codes": {"too_many_attempts": 89}}, "11 strangers were let through"),
        ({"let_through": 0, "calls": 0, "codes": {"too_many_attempts": 100}}, "0 strangers were let through"),
        ({"calls": 11}, "11 calls of the provider for 10 strangers"),
        ({"paid": 39, "unpaid": {"review": 1}}, "only 39 of 40 customers paid"),
        ({"unexplained": 1}, "1 blocked payments do not say why"),
        ({"codes": {"too_many_attempts": 89}}, "are not all the other strangers"),
    ],
)
def test_every_breach_is_named(change: dict[str, object], problem: str) -> None:
    [found] = replace(HELD, **change).problems(PLAN)  # type: ignore[arg-type]
    assert problem in found


def test_rounds_share_nothing_with_each_other() -> None:
    shared = [tuple(common(own).values()) for own in range(1, 13) for common in SHARED.values()]
    assert len(set(shared)) == len(shared)
