"""The history of a checkout, for operators: Coinbase Business only shows when it was created and last changed."""

from __future__ import annotations

from typing import Any

from gateways.coinbase.responses import CoinbaseModel, Refund
from gateways.provider_model import Text, Word


class CheckoutHistory(CoinbaseModel):
    """A checkout with its times (RFC 3339)."""

    status: Word = None
    created_at: Text
    updated_at: Text
    transaction_hash: str | None = None
    refunds: list[Refund] | None = None


def timeline_of_checkout(response: dict[str, Any]) -> list[dict[str, str]]:
    """Return the known states of a checkout, oldest first, and after them its refunds.

    Every row has `status` (lower-case), `time` (RFC 3339) and `context`: empty, or "refund". A row of a transfer also
    has `transaction` (the hash) and `network`. Raises MalformedResponse."""
    checkout = CheckoutHistory.parse(response)
    rows = [_row("ACTIVE", checkout.created_at)]
    if checkout.status != "ACTIVE":
        rows.append(_row(checkout.status, checkout.updated_at, checkout.transaction_hash))
    for refund in checkout.refunds or ():
        time = refund.completed_at or checkout.updated_at
        rows.append(_row(refund.status, time, refund.transaction_hash, "refund"))
    return rows


def _row(status: str | None, time: str, transaction: str | None = None, context: str = "") -> dict[str, str]:
    row = {"status": (status or "unknown").lower(), "time": time, "context": context}
    return row | {"transaction": transaction, "network": "base"} if transaction else row
