"""Afterpay's disputes as they are read. Afterpay takes the money of a dispute when it is lost, and shows no movements.

Source: Afterpay's OpenAPI of Disputes, read 2026-11-28."""

from __future__ import annotations

from datetime import UTC, datetime

from domain.disputes import DisputeStatus, ShownDispute
from domain.errors import InvalidAmount
from domain.money import Money
from gateways.failures import CallFailed, FailureKind, MalformedResponse
from gateways.provider_model import ProviderModel, Text, Word

_STATUSES = {
    "needs_response": DisputeStatus.OPEN,
    "under_review": DisputeStatus.OPEN,
    "won": DisputeStatus.WON,
    "lost": DisputeStatus.LOST,
    # The merchant gave the money back, or released it, which the payment itself shows.
    "merchant_refunded": DisputeStatus.CLOSED,
    "merchant_voided": DisputeStatus.CLOSED,
}


class Dispute(ProviderModel):
    """A dispute. `order`: the token of its payment. `responseDueBy`: in seconds since 1970, as text."""

    id: Text
    order: Text
    amount: Text
    reason: str | None = None
    status: Word = None
    responseDueBy: str | None = None


class DisputePage(ProviderModel):
    """A page of a list of disputes. `total`: how many there are on all pages."""

    data: list[Dispute]
    total: int


def shown_dispute(dispute: Dispute, currency: str) -> ShownDispute:
    """Return a dispute as it is compared with the books. `currency`: the account's.

    Raises CallFailed for an unknown status."""
    status = _STATUSES.get(dispute.status or "")
    if status is None:
        raise CallFailed(dispute.in_doubt("status").reason, FailureKind.UNKNOWN)
    try:
        amount = Money.parse(dispute.amount, currency).minor
    except InvalidAmount:
        raise MalformedResponse("Dispute.amount") from None
    return ShownDispute(
        dispute.id,
        dispute.order,
        status,
        amount,
        amount if status is DisputeStatus.LOST else 0,
        False,
        dispute.reason or "unknown",
        _instant(dispute.responseDueBy) if status is DisputeStatus.OPEN else None,
    )


def _instant(seconds: str | None) -> str | None:
    """Return the deadline as text, if it can be read: the rest must not become unreadable by it.

    >>> _instant("1664239810"), _instant("soon")
    ('2022-09-27T00:50:10+00:00', None)
    """
    is_readable = seconds is not None and seconds.isascii() and seconds.isdigit() and len(seconds) <= 11
    return datetime.fromtimestamp(int(seconds), UTC).isoformat() if is_readable and seconds else None
