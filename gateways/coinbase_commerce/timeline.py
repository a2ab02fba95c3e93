"""The history of a charge, for operators: its changes of status and its payments with their confirmations."""

from __future__ import annotations

from typing import Any

from gateways.coinbase_commerce.responses import TimelineEntry
from gateways.provider_model import ProviderModel, Text, Word


class TimedEntry(TimelineEntry):
    """A change of status and its time (RFC 3339)."""

    time: Text


class Block(ProviderModel):
    """The block that holds a payment. Commerce leaves the counts out before it has any."""

    confirmations_accumulated: int | None = None
    confirmations_required: int | None = None


class NetworkPayment(ProviderModel):
    """A payment on a network, as a block explorer would show it."""

    status: Word = None
    network: Text
    transaction_id: Text
    detected_at: str | None = None
    block: Block | None = None


class ChargeHistory(ProviderModel):
    """A charge with its times and payments."""

    timeline: list[TimedEntry]
    payments: list[NetworkPayment] | None = None


def timeline_of_charge(data: Any) -> list[dict[str, str]]:
    """Return a row for each change of status, and after them one for each payment on a network.

    Every row has `status` (lower-case), `time` (RFC 3339) and `context`: empty, why a charge is unresolved, or
    "payment". A payment also has `network`, `transaction` (the hash) and, once a block holds it, `confirmations` and
    `required`: the number of blocks behind it, and the number that it needs. Raises MalformedResponse."""
    charge = ChargeHistory.parse(data)
    changes = [
        {"status": _status(entry), "time": entry.time, "context": (entry.context or "").lower()}
        for entry in charge.timeline
    ]
    return changes + [_payment_row(payment) for payment in charge.payments or ()]


def _status(shown: TimedEntry | NetworkPayment) -> str:
    return (shown.status or "unknown").lower()


def _payment_row(payment: NetworkPayment) -> dict[str, str]:
    row = {
        "status": _status(payment),
        "time": payment.detected_at or "",
        "context": "payment",
        "network": payment.network,
        "transaction": payment.transaction_id,
    }
    block = payment.block or Block()
    if block.confirmations_accumulated is None or block.confirmations_required is None:
        return row
    return row | {
        "confirmations": str(block.confirmations_accumulated),
        "required": str(block.confirmations_required),
    }
