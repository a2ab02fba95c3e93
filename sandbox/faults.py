"""Fault injection: which operation fails, how and how often. The caller executes the operation and the fault."""

from __future__ import annotations

import difflib
import itertools
import random
import threading
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

FaultKind = Literal[
    "latency",
    "timeout_after",
    "error_before",
    "error_after",
    "error_stored",
    "reset_before",
    "reset_after",
    "rate_limit",
]
FAULT_KINDS: Mapping[FaultKind, str] = {
    "latency": "the operation starts after `seconds`",
    "timeout_after": "the operation is executed; the connection is held for `seconds` and then closed",
    "error_before": "the response is a 500 and nothing is executed",
    "error_after": "the operation is executed and the response is a 500",
    "error_stored": "as error_before, and a call with the same idempotency key gets the same response for a day",
    "reset_before": "the connection is reset and nothing is executed",
    "reset_after": "the operation is executed and the connection is reset",
    "rate_limit": "the response is a 429 and nothing is executed",
}

# Longer than any read time-out of the product in a test, short enough not to outlive the test run.
DEFAULT_SECONDS = 30.0


class UnknownFault(ValueError):
    """The fault or the operation does not exist; the message lists the faults, or names the nearest operation."""


class ResponseLost(Exception):
    """The client gets no response: the server holds the connection for `seconds` and then drops it."""

    def __init__(self, *, seconds: float = 0.0, is_reset: bool = False) -> None:
        super().__init__("an injected fault drops the response")
        self.seconds = seconds
        self.is_reset = is_reset


@dataclass
class Fault:
    """One injected fault.

    `operation`: a name, or a prefix and `*` such as `klarna.*`, with or without the provider's name. `times`: how many
    calls fail, None for all. `rate`: the share of calls that fail. `hits`: the calls that have failed.
    """

    id: str
    operation: str
    fault: FaultKind
    times: int | None = 1
    rate: float = 1.0
    seconds: float = DEFAULT_SECONDS
    hits: int = 0

    def __post_init__(self) -> None:
        self._is_over = threading.Event()

    def applies_to(self, names: Iterable[str]) -> bool:
        """Tell whether the fault covers the operation with these names and is not used up."""
        is_covered = any(matches(self.operation, name) for name in names)
        return is_covered and (self.times is None or self.hits < self.times)

    def delay(self) -> None:
        """Hold the call before it is executed, if this fault is a latency: for its seconds, or until it ends."""
        if self.fault == "latency":
            self._is_over.wait(self.seconds)

    def end(self) -> None:
        """Let the calls go on that the fault delays."""
        self._is_over.set()

    def drop_response(self, moment: Literal["before", "after"]) -> None:
        """Raise ResponseLost if the fault drops the connection at this moment of the execution."""
        if self.fault == f"reset_{moment}":
            raise ResponseLost(is_reset=True)
        if self.fault == "timeout_after" and moment == "after":
            raise ResponseLost(seconds=self.seconds)


class Faults:
    """The injected faults, oldest first; guarded by the state's lock."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        # Stripe's operations have the names of its official package, so that their provider is not part of them. For a
        # pattern they have a second name.
        self._names: dict[str, tuple[str, ...]] = {}
        self._faults: list[Fault] = []
        self._numbers = itertools.count(1)

    def register_operations(self, provider: str, operations: Iterable[str]) -> None:
        """Make a provider's operations known, so that a fault can be injected into them."""
        for name in operations:
            self._names[name] = (name,) if name.startswith(f"{provider}.") else (name, f"{provider}.{name}")

    def add(self, operation: str, fault: FaultKind, **options: Any) -> Fault:
        """Inject a fault and return it; raise UnknownFault for a kind or an operation that does not exist.

        A misspelt name would otherwise never match a call, and the test would prove nothing.
        """
        if fault not in FAULT_KINDS:
            raise UnknownFault(f"there is no fault {fault!r}; the faults are: {', '.join(FAULT_KINDS)}")
        names = [name for names in self._names.values() for name in names]
        if not any(matches(operation, name) for name in names):
            nearest = "".join(f", the nearest is {name}" for name in difflib.get_close_matches(operation, names, 1))
            raise UnknownFault(
                f"there is no operation {operation!r}{nearest}; use a name such as klarna.orders.read, a prefix such as"
                " klarna.*, or * (see GET /_sandbox/operations)"
            )
        added = Fault(f"fault_{next(self._numbers)}", operation, fault, **options)
        self._faults.append(added)
        return added

    def clear(self) -> None:
        """Remove every fault; calls that a latency delays go on."""
        for fault in self._faults:
            fault.end()
        self._faults.clear()

    def all(self) -> list[Fault]:
        """Return every fault, also those that are used up, oldest first."""
        return list(self._faults)

    def take(self, operation: str, *, without: Container[str] = ()) -> Fault | None:
        """Return the oldest fault that hits this call and count the hit; `without` names kinds to leave out."""
        for fault in self._faults:
            if (
                fault.fault in without
                or not fault.applies_to(self._names[operation])
                or self._rng.random() >= fault.rate
            ):
                continue
            fault.hits += 1
            return fault
        return None


def matches(pattern: str, operation: str) -> bool:
    """Tell whether a name, or a prefix and `*`, covers an operation.

    >>> matches("*", "klarna.orders.read"), matches("klarna.*", "klarna.orders.read"), matches("klarna", "klarna.x")
    (True, True, False)
    """
    return pattern == operation or (pattern.endswith("*") and operation.startswith(pattern[:-1]))
