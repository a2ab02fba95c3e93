"""The ledger: every executed movement of money, in order, and every attempt that reached an issuer.

Append-only. The simulated providers write it and tests take it as the truth, so it decides nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import IO, Any, Literal

MovementKind = Literal["charge", "authorization", "capture", "void", "refund", "refund_failed"]


@dataclass(frozen=True)
class Movement:
    """One executed movement of money; `amount` is in minor units, `at` is by the sandbox clock."""

    seq: int
    at: float
    provider: str
    kind: MovementKind
    object: str
    parent: str
    amount: int
    currency: str
    metadata: dict[str, str]
    idempotency_key: str | None


@dataclass(frozen=True)
class Attempt:
    """One attempt that reached the issuer; `result` is the issuer's decision."""

    at: float
    object: str
    result: str
    idempotency_key: str | None
    metadata: dict[str, str]


@dataclass
class Totals:
    """The sums of all movements of one payment, in minor units."""

    authorized: int = 0
    captured: int = 0
    refunded: int = 0
    voided: int = 0
    charges: int = 0

    def add(self, kind: MovementKind, amount: int) -> None:
        """Add one movement; `charges` is the number of charges and authorizations."""
        if kind in ("charge", "authorization"):
            self.charges += 1
            self.authorized += amount
        if kind in ("charge", "capture"):
            self.captured += amount
        if kind == "void":
            self.voided += amount
        if kind == "refund":
            self.refunded += amount
        if kind == "refund_failed":
            self.refunded -= amount


@dataclass(frozen=True)
class Account:
    """One payment with its present status, for the books."""

    object: str
    provider: str
    currency: str
    metadata: dict[str, str]
    status: str


@dataclass
class Ledger:
    """The ledger of all providers; `copy`, if set, receives each row as a line of JSON as soon as it is written."""

    copy: IO[str] | None = None
    movements: list[Movement] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    _totals: dict[str, Totals] = field(default_factory=dict)

    def record(
        self,
        at: float,
        provider: str,
        kind: MovementKind,
        *,
        object: str,
        parent: str,
        amount: int,
        currency: str,
        metadata: dict[str, str],
        idempotency_key: str | None,
    ) -> None:
        """Append one executed movement of money."""
        movement = Movement(
            len(self.movements) + 1,
            at,
            provider,
            kind,
            object,
            parent,
            amount,
            currency,
            dict(metadata),
            idempotency_key,
        )
        self.movements.append(movement)
        self._totals.setdefault(parent, Totals()).add(kind, amount)
        self._write("movement", movement)

    def attempt(
        self, at: float, *, object: str, result: str, idempotency_key: str | None, metadata: dict[str, str]
    ) -> None:
        """Append one attempt that reached the issuer."""
        attempt = Attempt(at, object, result, idempotency_key, dict(metadata))
        self.attempts.append(attempt)
        self._write("attempt", attempt)

    def books(self, accounts: Iterable[Account]) -> list[dict[str, Any]]:
        """Return one row for each payment: its status, and the totals of its movements."""
        return [asdict(account) | asdict(self._totals.get(account.object, Totals())) for account in accounts]

    def _write(self, row: str, entry: Movement | Attempt) -> None:
        if self.copy is not None:
            self.copy.write(json.dumps({"row": row, **asdict(entry)}) + "\n")
            # A reader of the file, or a killed sandbox, must not miss a row.
            self.copy.flush()
