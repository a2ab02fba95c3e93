"""What can make a payment move, besides a provider's outcome: commands of people and processes, and dates."""

from __future__ import annotations

from dataclasses import dataclass

from domain.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Started:
    """A worker has claimed the attempt and is about to call the provider."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """The fraud score forbids the charge."""


@dataclass(frozen=True, slots=True)
class ReviewRequired:
    """The fraud score asks for a person."""


@dataclass(frozen=True, slots=True)
class ReviewDecided:
    """An operator has looked."""

    is_approved: bool


@dataclass(frozen=True, slots=True)
class OperationRequested:
    """A capture, void or refund was asked for; its attempt was stored beside this."""


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """Stop a payment of which nothing is under way at the provider."""


@dataclass(frozen=True, slots=True)
class RetryDue:
    """The day of the next dunning retry has come."""


@dataclass(frozen=True, slots=True)
class GraceEnded:
    """The last day of grace is over."""


@dataclass(frozen=True, slots=True)
class InvoicePaidOtherwise:
    """Another payment has collected the invoice that dunning is after."""


Command = (
    Started
    | Blocked
    | ReviewRequired
    | ReviewDecided
    | OperationRequested
    | CancelRequested
    | RetryDue
    | GraceEnded
    | InvoicePaidOtherwise
)
Trigger = Command | Outcome
