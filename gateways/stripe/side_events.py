"""Stripe's disputes as side events: chargebacks of cards, and bank debits that come back after they had succeeded."""

from __future__ import annotations

from datetime import UTC, datetime

from domain.disputes import DisputeStatus, ShownDispute
from domain.money import decimal_text
from gateways.base import SideEvent
from gateways.failures import CallFailed, FailureKind
from gateways.provider_model import ProviderModel, Text, UnixTime, Word, from_unix
from gateways.stripe.fees import FeeTransaction, shown_fee
from gateways.stripe.money import from_stripe

_NAMES = {
    "charge.dispute.created": "dispute_opened",
    "charge.dispute.updated": "dispute_updated",
    "charge.dispute.funds_withdrawn": "dispute_updated",
    "charge.dispute.funds_reinstated": "dispute_updated",
    "charge.dispute.closed": "dispute_closed",
}
TYPES = frozenset(_NAMES)
# How a dispute ends. `warning_closed`: an inquiry that became none; `prevented`: refunded before it became one.
_ENDED = {
    "won": "dispute_won",
    "lost": "dispute_lost",
    "warning_closed": "dispute_closed",
    "prevented": "dispute_closed",
}
_FUNDS = {"charge.dispute.funds_withdrawn": "withdrawn", "charge.dispute.funds_reinstated": "reinstated"}

# A debit that its bank or payer takes back comes as a dispute that is lost from the start. These reasons are the banks'
# (docs.stripe.com/disputes/categories, support.stripe.com on ACH and SEPA disputes, read 2026-11-23).
_RETURN_REASONS = frozenset(
    {
        "bank_cannot_process",
        "check_returned",
        "customer_initiated",
        "debit_not_authorized",
        "incorrect_account_details",
        "insufficient_funds",
    }
)
_CARD_REASONS = frozenset(
    {
        "credit_not_processed",
        "duplicate",
        "fraudulent",
        "general",
        "noncompliant",
        "product_not_received",
        "product_unacceptable",
        "subscription_canceled",
        "unrecognized",
    }
)
_DEBITS = frozenset({"sepa_debit", "us_bank_account"})


class _Evidence(ProviderModel):
    due_by: UnixTime | None = None


class _Card(ProviderModel):
    network_reason_code: str | None = None


class _MethodDetails(ProviderModel):
    type: str | None = None
    card: _Card | None = None


class Dispute(ProviderModel):
    """A Dispute, in an event of one of `TYPES`."""

    id: Text
    status: Word = None
    reason: Word = None
    amount: int
    currency: Text
    evidence_details: _Evidence | None = None
    network_reason_code: str | None = None
    payment_method_details: _MethodDetails | None = None


class _BalanceTransaction(FeeTransaction):
    amount: int


class _IntentOfDispute(ProviderModel):
    id: Text


class DisputeWithMoney(Dispute):
    """A Dispute as it is read, with the transactions that took money from the account or gave it back."""

    payment_intent: _IntentOfDispute | str
    balance_transactions: list[_BalanceTransaction]


class DisputePage(ProviderModel):
    """The first page of a list of disputes."""

    data: list[DisputeWithMoney]


_STATUSES = {
    **dict.fromkeys(("needs_response", "under_review"), DisputeStatus.OPEN),
    **dict.fromkeys(("warning_needs_response", "warning_under_review"), DisputeStatus.OPEN),
    **dict.fromkeys(("warning_closed", "prevented"), DisputeStatus.CLOSED),
    "won": DisputeStatus.WON,
    "lost": DisputeStatus.LOST,
}


def shown_dispute(dispute: DisputeWithMoney) -> ShownDispute:
    """Return a dispute as it is compared with the books. Raises CallFailed for an unknown status.

    The transactions are in the currency of the account's balance, so only their direction counts."""
    status = _STATUSES.get(dispute.status or "")
    if status is None:
        raise CallFailed(dispute.in_doubt("status").reason, FailureKind.UNKNOWN)
    currency = dispute.currency.upper()
    amount = from_stripe(dispute.amount, currency)
    is_withdrawn = sum(moved.amount for moved in dispute.balance_transactions) < 0
    due_by = dispute.evidence_details and dispute.evidence_details.due_by
    intent = dispute.payment_intent
    return ShownDispute(
        dispute.id,
        intent if isinstance(intent, str) else intent.id,
        status,
        amount,
        amount if is_withdrawn else 0,
        _is_return(dispute),
        dispute.reason or "unknown",
        datetime.fromtimestamp(due_by, UTC).isoformat() if due_by and status is DisputeStatus.OPEN else None,
        at=from_unix(max((moved.created for moved in dispute.balance_transactions), default=None)),
        fees=tuple(fee for moved in dispute.balance_transactions for fee in shown_fee(moved)),
    )


def side_event_of(type: str, dispute: Dispute) -> SideEvent:
    """Return what an event about a dispute says. `type`: one of `TYPES`."""
    currency = dispute.currency.upper()
    due_by = dispute.evidence_details and dispute.evidence_details.due_by
    data = {
        "reference": dispute.id,
        "reason": dispute.reason,
        "status": dispute.status,
        "amount": decimal_text(from_stripe(dispute.amount, currency), currency),
        "currency": currency,
        "network_reason_code": _network_code(dispute),
        "funds": _FUNDS.get(type, ""),
        "evidence_due_at": datetime.fromtimestamp(due_by, UTC).isoformat() if due_by else "",
    }
    return SideEvent(_name(type, dispute), {name: text for name, text in data.items() if text})


def _name(type: str, dispute: Dispute) -> str:
    """Return the name of the side event. An unknown word says no more than the event's type."""
    if type == "charge.dispute.closed":
        if dispute.status in _ENDED:
            return _ENDED[dispute.status]
        dispute.log_unknown("status")
    if type == "charge.dispute.created" and _is_return(dispute):
        return "debit_returned"
    return _NAMES[type]


def _network_code(dispute: Dispute) -> str:
    """Return the card network's or the bank's own code, where there is one."""
    card = dispute.payment_method_details and dispute.payment_method_details.card
    return dispute.network_reason_code or (card and card.network_reason_code) or ""


def _is_return(dispute: Dispute) -> bool:
    method = dispute.payment_method_details and dispute.payment_method_details.type
    if method in _DEBITS or dispute.reason in _RETURN_REASONS:
        return True
    if dispute.reason not in _CARD_REASONS:
        dispute.log_unknown("reason")
    return False
