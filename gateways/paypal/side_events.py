"""Reads the events beside PayPal's orders: disputes, subscriptions that PayPal runs itself, saved accounts.

A side event has codes, references and amounts only; any other text is dropped. Sources: developer.paypal.com, webhook
event names, Disputes v1; PayPal's OpenAPI of Subscriptions v1 and Payment Method Tokens v3; read 2026-11-23."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, StringConstraints

from domain.saved_method import ShownMethod
from gateways.base import SideEvent, WebhookEvent
from gateways.provider_model import ProviderModel, WordMark

# Neither a name with its spaces nor an e-mail address.
_PLAIN = re.compile(r"[A-Za-z0-9_.:+-]{1,127}")
# As PayPal writes amounts; a reversal has a minus sign.
_DECIMAL = re.compile(r"-?\d{1,20}(?:\.\d{1,6})?", re.ASCII)
# How a resolved dispute ended; the codes of the last line do not say who pays.
_ENDED = {
    "RESOLVED_SELLER_FAVOUR": "dispute_won",
    "RESOLVED_BUYER_FAVOUR": "dispute_lost",
    **dict.fromkeys("RESOLVED_WITH_PAYOUT CANCELED_BY_BUYER ACCEPTED DENIED NONE".split(), "dispute_closed"),
}


def read_side_event(type: str, resource: Any) -> WebhookEvent | None:
    """Return the side event of an event of this type; None for an unknown type, or a sale without a subscription.

    Raises MalformedResponse."""
    if type not in SIDE_EVENTS:
        return None
    read, name = SIDE_EVENTS[type]
    return read(name, resource)


# --- models -----------------------------------------------------------------------------------------


def _matching(pattern: re.Pattern[str]) -> BeforeValidator:
    def match(value: object) -> str | None:
        return value if isinstance(value, str) and pattern.fullmatch(value) else None

    return BeforeValidator(match)


# The object of the event: without its id the event says nothing.
Identifier = Annotated[str, StringConstraints(pattern=f"^{_PLAIN.pattern}$")]
# Values that only describe the object: one of another form is dropped, because it may be personal data.
Plain = Annotated[str | None, _matching(_PLAIN)]
PlainWord = Annotated[Plain, WordMark()]
DecimalText = Annotated[str | None, _matching(_DECIMAL)]


class Amount(ProviderModel):
    """An amount of a dispute or a subscription."""

    value: DecimalText = None
    currency_code: Plain = None


class DisputedTransaction(ProviderModel):
    """The capture that a dispute is about, with our ids where PayPal repeats them."""

    seller_transaction_id: Plain = None
    invoice_number: Plain = None
    custom: Plain = None


class DisputeOutcome(ProviderModel):
    """How a dispute ended."""

    outcome_code: PlainWord = None

    @property
    def event_name(self) -> str:
        """What the end of the dispute is called. An unknown code says no more than that it has ended."""
        if self.outcome_code not in _ENDED:
            self.log_unknown("outcome_code")
        return _ENDED.get(self.outcome_code or "", "dispute_closed")


class Dispute(ProviderModel):
    """A dispute."""

    dispute_id: Identifier
    reason: Plain = None
    status: Plain = None
    dispute_life_cycle_stage: Plain = None
    dispute_outcome: DisputeOutcome | None = None
    disputed_transactions: list[DisputedTransaction] | None = None
    seller_response_due_date: Plain = None
    dispute_amount: Amount | None = None


class FailedPayment(ProviderModel):
    """A subscription's last failed payment. PayPal documents `next_payment_retry_time` and sends the other name."""

    reason_code: Plain = None
    next_payment_retry_time: Plain = None
    next_payment_retry_date: Plain = None
    amount: Amount | None = None


class BillingInfo(ProviderModel):
    """The billing of a subscription."""

    last_failed_payment: FailedPayment | None = None


class Subscription(ProviderModel):
    """A subscription."""

    id: Identifier
    status: PlainWord = None
    billing_info: BillingInfo | None = None


class SaleAmount(ProviderModel):
    """An amount of a sale, which has older field names."""

    total: DecimalText = None
    currency: Plain = None


class Sale(ProviderModel):
    """A sale, which names its subscription if it is a payment of one, or money back from a sale, which never does."""

    id: Identifier
    billing_agreement_id: Plain = None
    sale_id: Plain = None
    state: Plain = None
    reason_code: Plain = None
    amount: SaleAmount | None = None


class Customer(ProviderModel):
    """The customer of a saved account."""

    id: Plain = None


class Metadata(ProviderModel):
    """The order with which an account was saved."""

    order_id: Plain = None


class SavedAccount(ProviderModel):
    """A saved account. Its own id can be charged and is not read; the hash of it was stored."""

    token_hash: Plain = None
    customer: Customer | None = None
    metadata: Metadata | None = None


# --- reading ----------------------------------------------------------------------------------------


def _read_dispute(name: str, resource: Any) -> WebhookEvent:
    dispute = Dispute.parse(resource)
    transaction = dispute.disputed_transactions[0] if dispute.disputed_transactions else DisputedTransaction()
    outcome = dispute.dispute_outcome or DisputeOutcome()
    data = {
        "reference": dispute.dispute_id,
        "reason": dispute.reason,
        "status": dispute.status,
        "stage": dispute.dispute_life_cycle_stage,
        "outcome": outcome.outcome_code,
        "transaction": transaction.seller_transaction_id,
        "evidence_due_at": dispute.seller_response_due_date,
        **_amount(dispute.dispute_amount),
    }
    name = outcome.event_name if name == "dispute_closed" else name
    event = _event(name, data, attempt_id=transaction.invoice_number, payment_id=transaction.custom)
    return replace(event, dispute=dispute.dispute_id)


def _read_subscription(name: str, resource: Any) -> WebhookEvent:
    subscription = Subscription.parse(resource)
    data = {"reference": subscription.id, "status": subscription.status}
    failed = subscription.billing_info.last_failed_payment if subscription.billing_info else None
    if name == "subscription_payment_failed" and failed is not None:
        retry_at = failed.next_payment_retry_time or failed.next_payment_retry_date
        data |= {"reason": failed.reason_code, "next_retry_at": retry_at, **_amount(failed.amount)}
    return _event(name, data)


def _read_payment_of_subscription(name: str, resource: Any) -> WebhookEvent | None:
    """Read a sale; None for one without a subscription, a single payment that another program has taken."""
    return _read_sale(name, resource) if Sale.parse(resource).billing_agreement_id else None


def _read_sale(name: str, resource: Any) -> WebhookEvent:
    sale = Sale.parse(resource)
    data = {
        "reference": sale.id,
        "subscription": sale.billing_agreement_id,
        "sale": sale.sale_id,
        "status": sale.state,
        "reason": sale.reason_code,
    }
    if sale.amount is not None and sale.amount.total is not None:
        data |= {"amount": sale.amount.total, "currency": sale.amount.currency}
    return _event(name, data)


def _read_saved_account(name: str, resource: Any) -> WebhookEvent:
    account = SavedAccount.parse(resource)
    order_id = account.metadata.order_id if account.metadata else None
    return _event(name, {"customer": account.customer.id if account.customer else None}, reference=order_id or "")


def removed_account(type: str, resource: Any, at: datetime | None) -> ShownMethod | None:
    """Return the saved account that an event of this type tells is removed, or about to be; None for any other event.

    `at`: when the event was created. Raises MalformedResponse."""
    if type not in _REMOVALS or at is None:
        return None
    hashed = SavedAccount.parse(resource).token_hash
    return ShownMethod(hashed, at, is_detached=True) if hashed else None


# By the type of an event: the reader of its resource, and the name of the side event.
SIDE_EVENTS: dict[str, tuple[Callable[[str, Any], WebhookEvent | None], str]] = {
    "CUSTOMER.DISPUTE.CREATED": (_read_dispute, "dispute_opened"),
    "CUSTOMER.DISPUTE.UPDATED": (_read_dispute, "dispute_updated"),
    "CUSTOMER.DISPUTE.RESOLVED": (_read_dispute, "dispute_closed"),
    "BILLING.SUBSCRIPTION.CREATED": (_read_subscription, "subscription_created"),
    "BILLING.SUBSCRIPTION.ACTIVATED": (_read_subscription, "subscription_activated"),
    "BILLING.SUBSCRIPTION.UPDATED": (_read_subscription, "subscription_updated"),
    "BILLING.SUBSCRIPTION.EXPIRED": (_read_subscription, "subscription_expired"),
    "BILLING.SUBSCRIPTION.CANCELLED": (_read_subscription, "subscription_cancelled"),
    "BILLING.SUBSCRIPTION.SUSPENDED": (_read_subscription, "subscription_suspended"),
    "BILLING.SUBSCRIPTION.PAYMENT.FAILED": (_read_subscription, "subscription_payment_failed"),
    "PAYMENT.SALE.COMPLETED": (_read_payment_of_subscription, "subscription_sale_completed"),
    "PAYMENT.SALE.REFUNDED": (_read_sale, "subscription_sale_refunded"),
    "PAYMENT.SALE.REVERSED": (_read_sale, "subscription_sale_reversed"),
    "PAYMENT.SALE.PENDING": (_read_payment_of_subscription, "subscription_sale_pending"),
    "PAYMENT.SALE.DENIED": (_read_payment_of_subscription, "subscription_sale_denied"),
    "VAULT.PAYMENT-TOKEN.CREATED": (_read_saved_account, "payment_method_saved"),
    "VAULT.PAYMENT-TOKEN.DELETED": (_read_saved_account, "payment_method_removed"),
    "VAULT.PAYMENT-TOKEN.DELETION-INITIATED": (_read_saved_account, "payment_method_removal_begun"),
}
_REMOVALS = ("VAULT.PAYMENT-TOKEN.DELETED", "VAULT.PAYMENT-TOKEN.DELETION-INITIATED")


def _event(
    name: str,
    data: dict[str, str | None],
    *,
    reference: str = "",
    attempt_id: str | None = None,
    payment_id: str | None = None,
) -> WebhookEvent:
    given = {key: value for key, value in data.items() if value is not None}
    return WebhookEvent(reference, attempt_id, None, side_event=SideEvent(name, given), payment_id=payment_id)


def _amount(amount: Amount | None) -> dict[str, str | None]:
    """Return an amount, if it is one: a currency alone says nothing."""
    if amount is None or amount.value is None:
        return {}
    return {"amount": amount.value, "currency": amount.currency_code}
