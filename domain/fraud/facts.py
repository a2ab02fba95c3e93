"""Facts: everything that the rules may read of a payment. What is not known is None, and no rule guesses it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from domain.check_results import NOT_CHECKED, CheckResults
from domain.fraud.windows import NEVER_SEEN, History


class ListKind(StrEnum):
    """What an operator has said of an entity. Block beats allow."""

    ALLOW = "allow"
    BLOCK = "block"
    WATCH = "watch"


@dataclass(frozen=True, slots=True)
class Places:
    """Countries as two letters. `travel_kmh`: how fast the user would have come here from where they last paid.
    `is_anonymous`: the address on the internet belongs to a network that hides its users."""

    ip: str | None = None
    billing: str | None = None
    card: str | None = None
    distance_km: int | None = None
    travel_kmh: int | None = None
    is_anonymous: bool | None = None
    is_high_risk: bool | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a payment before it is charged, and once more when its results have come.

    `amount`: in hundredths of the base currency; None for a currency without a rate. `limit`: above it a payment is
    verified, in the same unit. `method`: how the customer pays. `history`: of each entity that is known, by its kind;
    None if history cannot be read. `is_shared_account`: the user stands for many people, such as guests. `email`: None
    if none is given; it is malformed or disposable as it says."""

    now: datetime
    amount: int | None
    limit: int
    method: str
    history: Mapping[str, History] | None = field(default_factory=dict)
    shared_kinds: tuple[str, ...] = ()
    is_shared_account: bool = False
    is_merchant_initiated: bool = False
    is_email_malformed: bool | None = None
    is_email_disposable: bool | None = None
    places: Places = Places()
    results: CheckResults = NOT_CHECKED
    lists: frozenset[ListKind] = frozenset()

    def of(self, kind: str) -> History | None:
        """Return the history of the payment's entity of a kind; None if it has none, or it cannot be read."""
        if self.history is None:
            return None
        return self.history.get(kind)

    def known(self, kind: str) -> History:
        """Return the history of an entity, empty if there is none."""
        return self.of(kind) or NEVER_SEEN
