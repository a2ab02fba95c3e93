"""A payment, an attempt and a decline, as the unit tests of decisions start from them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from domain.decision import Policy
from domain.decline import Decline, DeclineClass
from domain.outcome import Declined
from domain.payment import Attempt, AttemptStatus, Payment, State, Verb

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
POLICY = Policy()


def new_payment(**changes: Any) -> Payment:
    """Return an accepted payment of 1000."""
    given: dict[str, Any] = {
        "id": "pay_1",
        "state": State.ACCEPTED,
        "amount": 1000,
        "authorized": 0,
        "captured": 0,
        "refunded": 0,
        "is_off_session": False,
        "is_client_confirmed": False,
        "subscription_id": None,
        "created_at": NOW,
    }
    return Payment(**(given | changes))


def new_attempt(verb: Verb = Verb.CHARGE, status: AttemptStatus = AttemptStatus.OPEN, **changes: Any) -> Attempt:
    """Return an attempt that a worker has begun."""
    given: dict[str, Any] = {"id": "at_1", "amount": 1000, "lookups": 0, "retries": 0, "claims": 1, "created_at": NOW}
    return Attempt(verb=verb, status=status, **(given | changes))


def declined(decline_class: DeclineClass = DeclineClass.SOFT, reference: str | None = "pi_1") -> Declined:
    """Return a decline of that class."""
    return Declined(reference, Decline("card_declined", decline_class, "insufficient_funds"))
