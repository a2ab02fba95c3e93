"""What PayPal tells beside its orders: disputes, subscriptions that it runs by itself, saved accounts.

Codes, references and amounts only: whatever does not look like one stays out. Sources: developer.paypal.com, webhook
event names, Disputes v1; PayPal's OpenAPI of Subscriptions v1 and Payment Method Tokens v3; read 2026-11-23."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from gateways.base import SideEvent, WebhookEvent

# Neither a name with its spaces nor an e-mail address.
_PLAIN = re.compile(r"[\w.:+-]{1,127}", re.ASCII)
# As PayPal writes amounts: what is reversed has a sign.
_DECIMAL = re.compile(r"-?\d{1,20}(?:\.\d{1,6})?", re.ASCII)
# How a resolved dispute ended. Who pays after the other codes (such as RESOLVED_WITH_PAYOUT) they do not say.
_ENDED = {"RESOLVED_SELLER_FAVOUR": "dispute_won", "RESOLVED_BUYER_FAVOUR": "dispute_lost"}


def event_of_side_event(kind: str, resource: Any) -> WebhookEvent | None:
    """Return the fact that an event of this type tells; None for an unknown type, or for a thing without an id."""
    known = _KINDS.get(kind)
    return known[0](known[1], resource) if known is not None else None


def _of_dispute(name: str, dispute: Any) -> WebhookEvent | None:
    transaction = (dispute.get("disputed_transactions") or [{}])[0]
    outcome = _part(dispute, "dispute_outcome", "outcome_code")
    data = {
        "reference": dispute.get("dispute_id"),
        "reason": dispute.get("reason"),
        "status": dispute.get("status"),
        "stage": dispute.get("dispute_life_cycle_stage"),
        "outcome": outcome,
        "transaction": _part(transaction, "seller_transaction_id"),
        "evidence_due_at": dispute.get("seller_response_due_date"),
    } | _amount(dispute.get("dispute_amount"), "value", "currency_code")
    name = _ENDED.get(str(outcome), name) if name == "dispute_closed" else name
    ours = _texts({"attempt": _part(transaction, "invoice_number"), "payment": _part(transaction, "custom")})
    return _told(name, data, attempt_id=ours.get("attempt"), payment_id=ours.get("payment"))


def _of_subscription(name: str, subscription: Any) -> WebhookEvent | None:
    data = {"reference": subscription.get("id"), "status": subscription.get("status")}
    if name == "subscription_payment_failed":
        failed = _part(subscription, "billing_info", "last_failed_payment")
        # Documented by the first name, sent by the second.
        retry_at = _part(failed, "next_payment_retry_time") or _part(failed, "next_payment_retry_date")
        data |= {"reason": _part(failed, "reason_code"), "next_retry_at": retry_at}
        data |= _amount(_part(failed, "amount"), "value", "currency_code")
    return _told(name, data)


def _of_sale(name: str, sale: Any) -> WebhookEvent | None:
    """A payment of a subscription, or a refund of one, which names its sale."""
    data = {
        "reference": sale.get("id"),
        "subscription": sale.get("billing_agreement_id"),
        "sale": sale.get("sale_id"),
        "status": sale.get("state"),
        "reason": sale.get("reason_code"),
    } | _amount(sale.get("amount"), "total", "currency")
    return _told(name, data)


def _of_token(name: str, token: Any) -> WebhookEvent | None:
    """A saved account, by the order with which it was saved. The token itself can be charged, and is left out."""
    attempt = _texts({"id": _part(token, "metadata", "order_id")}).get("id", "")
    return WebhookEvent(
        attempt, None, None, side_event=SideEvent(name, _texts({"customer": _part(token, "customer", "id")}))
    )


# By the type of the event: who reads its resource, and what it tells.
_KINDS: dict[str, tuple[Callable[[str, Any], WebhookEvent | None], str]] = {
    "CUSTOMER.DISPUTE.CREATED": (_of_dispute, "dispute_opened"),
    "CUSTOMER.DISPUTE.UPDATED": (_of_dispute, "dispute_updated"),
    "CUSTOMER.DISPUTE.RESOLVED": (_of_dispute, "dispute_closed"),
    "BILLING.SUBSCRIPTION.CREATED": (_of_subscription, "subscription_created"),
    "BILLING.SUBSCRIPTION.ACTIVATED": (_of_subscription, "subscription_activated"),
    "BILLING.SUBSCRIPTION.UPDATED": (_of_subscription, "subscription_updated"),
    "BILLING.SUBSCRIPTION.EXPIRED": (_of_subscription, "subscription_expired"),
    "BILLING.SUBSCRIPTION.CANCELLED": (_of_subscription, "subscription_cancelled"),
    "BILLING.SUBSCRIPTION.SUSPENDED": (_of_subscription, "subscription_suspended"),
    "BILLING.SUBSCRIPTION.PAYMENT.FAILED": (_of_subscription, "subscription_payment_failed"),
    "PAYMENT.SALE.COMPLETED": (_of_sale, "subscription_sale_completed"),
    "PAYMENT.SALE.REFUNDED": (_of_sale, "subscription_sale_refunded"),
    "PAYMENT.SALE.REVERSED": (_of_sale, "subscription_sale_reversed"),
    "PAYMENT.SALE.PENDING": (_of_sale, "subscription_sale_pending"),
    "PAYMENT.SALE.DENIED": (_of_sale, "subscription_sale_denied"),
    "VAULT.PAYMENT-TOKEN.CREATED": (_of_token, "payment_method_saved"),
    "VAULT.PAYMENT-TOKEN.DELETED": (_of_token, "payment_method_removed"),
}


def _told(
    name: str, data: dict[str, Any], *, attempt_id: str | None = None, payment_id: str | None = None
) -> WebhookEvent | None:
    known = _texts(data)
    if "reference" not in known:
        return None
    return WebhookEvent("", attempt_id, None, side_event=SideEvent(name, known), payment_id=payment_id)


def _amount(money: Any, value: str, currency: str) -> dict[str, Any]:
    amount = _part(money, value)
    is_amount = isinstance(amount, str) and _DECIMAL.fullmatch(amount)
    return {"amount": amount, "currency": _part(money, currency)} if is_amount else {}


def _part(thing: Any, *names: str) -> Any:
    """Return what lies that deep in a document; None where there is nothing."""
    for name in names:
        thing = thing.get(name) if isinstance(thing, dict) else None
    return thing


def _texts(data: dict[str, Any]) -> dict[str, str]:
    return {name: text for name, text in data.items() if isinstance(text, str) and _PLAIN.fullmatch(text)}
