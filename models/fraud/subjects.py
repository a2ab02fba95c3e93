"""Reads what a payment shows of who pays and with what, before anything is locked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from domain.fraud.entities import Subject
from domain.fraud.facts import CheckResults
from domain.money import Money
from models.tables import attempts, instruments, payments


@dataclass(frozen=True, slots=True)
class ScoringRequest:
    """What is to be scored. The subject and the places are personal data: they are hashed or compared, and stored
    nowhere. `results`: of an authorization, once they have come."""

    application: str
    money: Money
    method: str
    subject: Subject
    is_off_session: bool = False
    billing_country: str | None = None
    card_country: str | None = None
    results: CheckResults = field(default_factory=CheckResults)


_scored_columns = [
    payments.c[name]
    for name in ("id", "application", "user_id", "amount", "currency", "method", "method_token", "state", "payer")
]
_select_scored: Any = (
    select(
        *_scored_columns,
        payments.c.is_off_session,
        attempts.c.claims.label("attempt_claims"),
        attempts.c.retries.label("attempt_retries"),
        attempts.c.provider_reference.label("attempt_provider_reference"),
        instruments.c.fingerprint.label("instrument_fingerprint"),
    )
    .join(attempts, attempts.c.payment_id == payments.c.id)
    .outerjoin(
        instruments,
        (instruments.c.application == payments.c.application)
        & (instruments.c.user_id == payments.c.user_id)
        & (instruments.c.provider == attempts.c.provider)
        & (instruments.c.token == payments.c.method_token),
    )
    .where(attempts.c.id == bindparam("attempt_id"))
)


def find_for_scoring(connection: Connection, attempt_id: str) -> Row[Any] | None:
    """Return an attempt with what is scored of its payment. Locks nothing."""
    row: Row[Any] | None = connection.execute(_select_scored, {"attempt_id": attempt_id}).one_or_none()
    return row


def scoring_request(row: Row[Any]) -> ScoringRequest:
    """Return what is to be scored of a payment."""
    payer: Mapping[str, Any] = row.payer or {}
    card: Mapping[str, Any] = payer.get("card") or {}
    billing: Mapping[str, Any] = payer.get("billing_address") or {}
    subject = Subject(
        user=row.user_id,
        card=card.get("fingerprint") or row.instrument_fingerprint or row.method_token,
        bin=card.get("bin"),
        ip=payer.get("ip_address"),
        device=payer.get("device_fingerprint"),
        email=payer.get("email"),
        address=" ".join(str(part) for _, part in sorted(billing.items()) if part),
        shared=payer.get("shared_entities") or {},
    )
    return ScoringRequest(
        row.application,
        Money(row.amount, row.currency),
        row.method,
        subject,
        is_off_session=row.is_off_session,
        billing_country=(billing.get("country") or "").upper() or None,
        card_country=card.get("country"),
    )
