"""Reads what a payment shows of who pays and with what, before anything is locked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from domain.check_results import CheckResults
from domain.fraud import payer
from domain.fraud.entities import Subject
from domain.money import Money
from models.tables import attempts, instruments, payments


@dataclass(frozen=True, slots=True)
class ScoringRequest:
    """What is to be scored. The subject and the places are personal data: they are hashed or compared, and stored
    nowhere. `has_fingerprint`: the card is known by more than a token. `results`: of an authorization, once they have
    come."""

    application: str
    money: Money
    method: str
    subject: Subject
    is_off_session: bool = False
    has_fingerprint: bool = False
    billing_country: str | None = None
    card_country: str | None = None
    results: CheckResults = field(default_factory=CheckResults)


_scored_columns = [
    payments.c[name]
    for name in ("id", "application", "user_id", "amount", "currency", "method", "method_token", "state", "payer")
]
_scored: Any = (
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
)
_of_attempt = _scored.where(attempts.c.id == bindparam("attempt_id"))
_of_payment = _scored.where(payments.c.id == bindparam("payment_id")).order_by(attempts.c.number.desc()).limit(1)


def find_for_scoring(connection: Connection, attempt_id: str) -> Row[Any] | None:
    """Return an attempt with what is scored of its payment. Locks nothing."""
    row: Row[Any] | None = connection.execute(_of_attempt, {"attempt_id": attempt_id}).one_or_none()
    return row


def find_payment_for_scoring(connection: Connection, payment_id: str) -> Row[Any] | None:
    """Return what is scored of a payment, with its newest attempt. Locks nothing."""
    row: Row[Any] | None = connection.execute(_of_payment, {"payment_id": payment_id}).one_or_none()
    return row


def scoring_request(row: Row[Any]) -> ScoringRequest:
    """Return what is to be scored of a payment."""
    told: Mapping[str, Any] = row.payer or {}
    return ScoringRequest(
        row.application,
        Money(row.amount, row.currency),
        row.method,
        payer.subject_of(row.user_id, told, row.method_token, row.instrument_fingerprint),
        is_off_session=row.is_off_session,
        has_fingerprint=bool((told.get("card") or {}).get("fingerprint") or row.instrument_fingerprint),
        billing_country=payer.billing_country(told),
        card_country=payer.card_country(told),
    )
