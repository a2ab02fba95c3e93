"""Owns the books: every executed movement of money, in order, and every try that reached an issuer.

Append-only. Written by the imitated providers, read by tests as the truth. It must not decide anything.
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
    """One try that reached the issuer, whatever the issuer said."""

    at: float
    object: str
    result: str
    idempotency_key: str | None
    metadata: dict[str, str]


@dataclass
class Totals:
    """What all movements of one payment add up to, in minor units."""

    authorized: int = 0
    captured: int = 0
    refunded: int = 0
    voided: int = 0
    charges: int = 0

    def add(self, kind: MovementKind, amount: int) -> None:
        """Count one movement; `charges` counts how often money was taken or reserved."""
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
    """One payment as its provider shows it now, to stand beside its totals in the books."""

    object: str
    provider: str
    currency: str
    metadata: dict[str, str]
    status: str


@dataclass
class Ledger:
    """The books of all providers; `copy`, if given, receives each row as a line of JSON when it is
    written."""

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
        """Append one try that reached the issuer."""
        attempt = Attempt(at, object, result, idempotency_key, dict(metadata))
        self.attempts.append(attempt)
        self._write("attempt", attempt)

    def books(self, accounts: Iterable[Account]) -> list[dict[str, Any]]:
        """Return one row a payment: what its provider says it is, and what its movements add up to."""
        return [asdict(account) | asdict(self._totals.get(account.object, Totals())) for account in accounts]

    def _write(self, row: str, entry: Movement | Attempt) -> None:
        if self.copy is not None:
            self.copy.write(json.dumps({"row": row, **asdict(entry)}) + "\n")
            self.copy.flush()
