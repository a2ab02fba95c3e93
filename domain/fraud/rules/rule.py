"""The form of a rule: a pure function from the facts to a number, and the sentence that an operator reads.

A rule has no points of its own: a rule set gives them by the number. None means that the number is not known; then the
rule adds nothing and is stored as unavailable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from domain.fraud.facts import Facts


class Direction(IntEnum):
    """How points may go with the value, if whoever fits them asks for curves that a person expects."""

    FALLING = -1
    FREE = 0
    RISING = 1


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule. `sentence`: why it fired, with `{value}` where the number stands. `is_late`: its number comes with the
    provider's response only, so that an authorization is scored once more."""

    name: str
    value: Callable[[Facts], int | None]
    sentence: str
    direction: Direction = Direction.RISING
    is_late: bool = False

    def explain(self, value: int) -> str:
        """Return the sentence for a number."""
        return self.sentence.format(value=value)


def yes(is_so: bool | None) -> int | None:
    """Return 1 or 0 for what is or is not so; None where that is not known.

    >>> yes(True), yes(None)
    (1, None)
    """
    return None if is_so is None else int(is_so)
