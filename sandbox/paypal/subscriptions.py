"""The bodies of subscriptions, of their payments and of saved accounts in events. The sandbox has no API for them: only
a test sends events about them.

Schema subscription [spec]. The v1 sale and its refunds follow captured events: reversals and refunds carry a negative
total and no subscription.
"""

from __future__ import annotations

from datetime import timedelta

from sandbox.clock import iso_seconds
from sandbox.paypal.money import money
from sandbox.paypal.objects import PAYER, Json, new_id

# The status of a subscription after each event; a failed payment leaves it ACTIVE.
STATUSES = {
    "BILLING.SUBSCRIPTION.CREATED": "APPROVAL_PENDING",
    "BILLING.SUBSCRIPTION.ACTIVATED": "ACTIVE",
    "BILLING.SUBSCRIPTION.UPDATED": "ACTIVE",
    "BILLING.SUBSCRIPTION.EXPIRED": "EXPIRED",
    "BILLING.SUBSCRIPTION.CANCELLED": "CANCELLED",
    "BILLING.SUBSCRIPTION.SUSPENDED": "SUSPENDED",
    "BILLING.SUBSCRIPTION.PAYMENT.FAILED": "ACTIVE",
}
SALES = {
    "PAYMENT.SALE.COMPLETED": "completed",
    "PAYMENT.SALE.PENDING": "pending",
    "PAYMENT.SALE.DENIED": "denied",
    "PAYMENT.SALE.REFUNDED": "completed",
    "PAYMENT.SALE.REVERSED": "completed",
}
TOKENS = (
    "VAULT.PAYMENT-TOKEN.CREATED",
    "VAULT.PAYMENT-TOKEN.DELETED",
    "VAULT.PAYMENT-TOKEN.DELETION-INITIATED",
)
NAMES = (*STATUSES, *SALES, *TOKENS)
FEE = 1230
RETRY_AFTER = timedelta(days=5)


def resource(type: str, id: str, now: float, base_url: str, order_id: str | None) -> tuple[str, Json]:
    """Return the resource type and the resource of an event: a subscription, its payment, or a saved account.

    `id`: the subscription's or the account's. `order_id`: the order that saved the account.
    """
    if type in STATUSES:
        return "subscription", subscription(type, id, now, base_url)
    if type in SALES:
        return "sale", sale(type, id, now, base_url)
    return "payment_token", token(type, id, base_url, order_id)


def subscription(type: str, id: str, now: float, base_url: str) -> Json:
    """Return a subscription after an event of this type."""
    is_failed = type.endswith("FAILED")
    billing: Json = {
        "outstanding_balance": money(FEE if is_failed else 0, "USD"),
        "failed_payments_count": int(is_failed),
        "next_billing_time": iso_seconds(now + timedelta(days=30).total_seconds()),
    }
    if is_failed:
        billing["last_failed_payment"] = {
            "amount": money(FEE, "USD"),
            "time": iso_seconds(now),
            "reason_code": "PAYER_CANNOT_PAY",
            # The name in captured events; the schema has next_payment_retry_time.
            "next_payment_retry_date": iso_seconds(now + RETRY_AFTER.total_seconds()),
        }
    return {
        "id": id,
        "plan_id": "P-5ML4271244454362WXNWU5NQ",
        "status": STATUSES[type],
        "status_update_time": iso_seconds(now),
        "start_time": iso_seconds(now),
        "quantity": "1",
        "subscriber": {name: PAYER[name] for name in ("name", "email_address", "payer_id")},
        "billing_info": billing,
        "create_time": iso_seconds(now),
        "update_time": iso_seconds(now),
        "links": [{"href": f"{base_url}/v1/billing/subscriptions/{id}", "rel": "self", "method": "GET"}],
    }


def sale(type: str, subscription_id: str, now: float, base_url: str) -> Json:
    """Return a payment of a subscription, or its refund or reversal."""
    id, total = new_id(), money(FEE, "USD")["value"]
    body: Json = {"id": id, "state": SALES[type], "create_time": iso_seconds(now), "update_time": iso_seconds(now)}
    if type in ("PAYMENT.SALE.REFUNDED", "PAYMENT.SALE.REVERSED"):
        body["amount"] = {"total": f"-{total}", "currency": "USD"}
        body |= {"sale_id": new_id()} if type.endswith("REFUNDED") else {"reason_code": "CHARGEBACK"}
        return body | {"links": [{"href": f"{base_url}/v1/payments/refund/{id}", "rel": "self", "method": "GET"}]}
    return body | {
        "amount": {"total": total, "currency": "USD", "details": {"subtotal": total}},
        "payment_mode": "INSTANT_TRANSFER",
        "protection_eligibility": "ELIGIBLE",
        "transaction_fee": {"value": "0.43", "currency": "USD"},
        "billing_agreement_id": subscription_id,
        "links": [{"href": f"{base_url}/v1/payments/sale/{id}", "rel": "self", "method": "GET"}],
    }


def token(type: str, id: str, base_url: str, order_id: str | None) -> Json:
    """Return a saved account; a deleted one has only its ids."""
    body: Json = {"id": id, "customer": {"id": "customer_4029352050"}}
    if not type.endswith("CREATED"):
        return body
    account = {name: PAYER[name] for name in ("name", "email_address", "payer_id")}
    own = f"{base_url}/v3/vault/payment-tokens/{id}"
    return {
        **body,
        **({"metadata": {"order_id": order_id}} if order_id else {}),
        "payment_source": {"paypal": account},
        "links": [{"href": own, "rel": "self", "method": "GET"}, {"href": own, "rel": "delete", "method": "DELETE"}],
    }
