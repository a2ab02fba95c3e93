"""Owns the faults that a test injects: which operation goes wrong, how, how often. It executes no operation
itself."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Container
from dataclasses import dataclass
from typing import Any, Literal, get_args

FaultKind = Literal[
    "latency", "timeout_after", "error_before", "error_after", "reset_before", "reset_after", "rate_limit"
]
FAULT_KINDS: tuple[str, ...] = get_args(FaultKind)

# Longer than any client of the product waits for an answer in a test, short enough not to outlive the test
# run.
DEFAULT_SECONDS = 30.0


class AnswerLost(Exception):
    """The client gets no answer: the server holds the connection for `seconds` and then drops it."""

    def __init__(self, *, seconds: float = 0.0, is_reset: bool = False) -> None:
        super().__init__("the answer was lost on purpose")
        self.seconds = seconds
        self.is_reset = is_reset


@dataclass
class Fault:
    """One order to go wrong: on `operation` ("*" is every one, "klarna.*" all of a provider), `times` times
    (None is for ever), at `rate`."""

    id: str
    operation: str
    fault: FaultKind
    times: int | None = 1
    rate: float = 1.0
    seconds: float = DEFAULT_SECONDS
    hits: int = 0

    def __post_init__(self) -> None:
        self._is_over = threading.Event()

    def covers(self, operation: str) -> bool:
        """Tell whether this fault still applies to the operation."""
        is_meant = self.operation == operation or (
            self.operation.endswith("*") and operation.startswith(self.operation[:-1])
        )
        return is_meant and (self.times is None or self.hits < self.times)

    def delay(self) -> None:
        """Hold the call before it is executed if this fault says so: for its seconds, or until it is cleared."""
        if self.fault == "latency":
            self._is_over.wait(self.seconds)

    def end(self) -> None:
        """Let the calls go on that it delays."""
        self._is_over.set()

    def lose_answer(self, moment: Literal["before", "after"]) -> None:
        """Drop the connection if this fault says so for the moment before or after execution."""
        if self.fault == f"reset_{moment}":
            raise AnswerLost(is_reset=True)
        if self.fault == "timeout_after" and moment == "after":
            raise AnswerLost(seconds=self.seconds)


class Faults:
    """The faults now in force; guarded by the state's lock."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._faults: list[Fault] = []
        self._numbers = itertools.count(1)

    def add(self, operation: str, fault: FaultKind, **how: Any) -> Fault:
        """Put a fault in force and return it."""
        added = Fault(f"fault_{next(self._numbers)}", operation, fault, **how)
        self._faults.append(added)
        return added

    def clear(self) -> None:
        """Take every fault out of force; calls that one of them delays go on."""
        for fault in self._faults:
            fault.end()
        self._faults.clear()

    def all(self) -> list[Fault]:
        """Return the faults in force and those used up, oldest first."""
        return list(self._faults)

    def draw(self, operation: str, *, without: Container[str] = ()) -> Fault | None:
        """Return the oldest fault that strikes this call, and count the hit."""
        for fault in self._faults:
            if fault.fault in without or not fault.covers(operation) or self._dice.random() >= fault.rate:
                continue
            fault.hits += 1
            return fault
        return None
