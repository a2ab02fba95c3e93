"""What both Coinbase gateways do with an answer. Knows no operation."""

from __future__ import annotations

from typing import Any

from domain.errors import InvalidAmount, UnknownCurrency
from domain.money import Money
from domain.outcome import InDoubt, NotSent, Outcome
from gateways.base import AttemptRequest
from gateways.failures import CallFailed, FailureKind
from gateways.json_api import ProviderResponse


def json_of(response: ProviderResponse) -> dict[str, Any]:
    """Return the JSON object of a good answer; raise CallFailed if it is something else."""
    if not response.fields:
        raise CallFailed("malformed_response", FailureKind.UNKNOWN)
    return response.fields


def is_another(thing: Any, attempt: AttemptRequest) -> bool:
    """Tell whether an answer is about another object than that of the order, which may not be known yet."""
    asked = attempt.charge_reference or attempt.reference
    return asked is not None and thing["id"] != asked


def outcome_of_transition(failure: CallFailed, reference: str) -> Outcome:
    """Return the outcome of a call that is refused when the object has moved on: then the look-up decides."""
    if failure.kind is FailureKind.NOT_EXECUTED:
        return NotSent(failure.reason, reference=reference)
    return InDoubt(failure.reason, reference)


def minor_units(amount: Any, currency: str) -> int | None:
    """Return an amount in minor units; None for one that is none, or that the currency cannot express."""
    try:
        return Money.parse(amount, currency).minor
    except (InvalidAmount, UnknownCurrency):
        return None
