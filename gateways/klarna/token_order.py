"""The order of a customer token as an attempt's reference, while its id is unknown because Klarna's response was lost.

Klarna finds no order by a merchant's reference (Order Management v1, read 2026-11-28). It repeats the response to a
call under the same idempotency key, for 24 hours (docs.klarna.com, integration resilience, read 2026-11-28)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gateways.base import AttemptRequest

# Orders have UUIDs: no id of an order begins like this.
_PREFIX = "token-order"
# Less than Klarna's 24 hours: the first call came some time before it was missed.
_KEY_IS_KEPT = timedelta(hours=23)


@dataclass(frozen=True, slots=True)
class TokenOrder:
    """An order that may have been placed for an attempt. `missed_at`: when its response was missed."""

    attempt_id: str
    missed_at: datetime

    @classmethod
    def missed(cls, attempt: AttemptRequest) -> TokenOrder:
        """Return the order whose response an attempt misses."""
        return cls.of(attempt.reference) or cls(attempt.attempt_id, attempt.claimed_at)

    @classmethod
    def of(cls, reference: str | None) -> TokenOrder | None:
        """Return the order that a reference names; None for any other reference.

        >>> TokenOrder.of("token-order/at_1/1795867200").attempt_id
        'at_1'
        >>> TokenOrder.of("f3392f8b-6116-4073-ab96-e330819e2c07") is None
        True
        """
        prefix, _, rest = (reference or "").partition("/")
        attempt_id, _, seconds = rest.partition("/")
        return cls(attempt_id, datetime.fromtimestamp(int(seconds), UTC)) if prefix == _PREFIX else None

    @property
    def reference(self) -> str:
        """The reference that names this order."""
        return f"{_PREFIX}/{self.attempt_id}/{int(self.missed_at.timestamp())}"

    def may_be_asked_for(self, now: datetime) -> bool:
        """Tell whether Klarna still keeps the key: after that the same call would place a second order."""
        return now < self.missed_at + _KEY_IS_KEPT
