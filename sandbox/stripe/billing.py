"""Events about what this sandbox does not run: subscriptions of Stripe Billing and their invoices, cards of the older
API that expire; and mandates that end. A test sends them.

Bodies: the fields of the Subscription, Invoice and Card objects that tell how they stand [sdk]."""

from __future__ import annotations

from typing import Any

from sandbox.stripe.account import Account
from sandbox.stripe.errors import InvalidRequest, Json
from sandbox.stripe.events import NO_REQUEST
from sandbox.stripe.ids import new_id

SUBSCRIPTION_TYPES = tuple(
    f"customer.subscription.{word}" for word in ("created", "updated", "deleted", "paused", "resumed")
)
INVOICE_TYPES = ("invoice.paid", "invoice.payment_failed")
EXPIRING = "customer.source.expiring"
TYPES = (*SUBSCRIPTION_TYPES, *INVOICE_TYPES, EXPIRING)
# The status of a subscription after an event that leaves no other choice.
_STATUSES = {
    "customer.subscription.created": "incomplete",
    "customer.subscription.deleted": "canceled",
    "customer.subscription.paused": "paused",
    "customer.subscription.resumed": "active",
}


def emit(account: Account, id: str, type: str, status: Any, customer: Any) -> Json:
    """Emit an event of one of `TYPES` and return its object. `id`: of the subscription, or of the card."""
    if type == EXPIRING:
        body = _card(id, customer)
    elif type in INVOICE_TYPES:
        body = _invoice(account, id, customer, is_paid=type == "invoice.paid")
    else:
        body = _subscription(account, id, customer, str(status or _STATUSES.get(type, "active")))
    account.emit(type, body, NO_REQUEST)
    return body


def update_mandate(account: Account, method_id: str, status: str) -> Json:
    """Change the status of a method's mandate, as its bank or its payer does."""
    found = account.mandates.get(account.method(method_id, status=404).mandate or "")
    if found is None:
        raise InvalidRequest("This PaymentMethod has no mandate.")
    previous, found["status"] = {"status": found["status"]}, status
    account.emit("mandate.updated", found, NO_REQUEST, previous=previous)
    return found


def _subscription(account: Account, id: str, customer: Any, status: str) -> Json:
    is_over = status in ("canceled", "incomplete_expired")
    return {
        "id": id,
        "object": "subscription",
        "cancel_at_period_end": False,
        "collection_method": "charge_automatically",
        "created": account.now,
        "currency": "eur",
        "customer": customer or "cus_of_billing",
        "default_payment_method": None,
        "ended_at": account.now if is_over else None,
        "items": {"object": "list", "data": [], "has_more": False, "url": f"/v1/subscription_items?subscription={id}"},
        "latest_invoice": None,
        "livemode": False,
        "metadata": {},
        "pause_collection": None,
        "start_date": account.now,
        "status": status,
    }


def _invoice(account: Account, subscription: str, customer: Any, *, is_paid: bool) -> Json:
    details: Json = {"metadata": {}, "subscription": subscription, "subscription_proration_date": None}
    return {
        "id": new_id("in_"),
        "object": "invoice",
        "amount_due": 1230,
        "amount_paid": 1230 if is_paid else 0,
        "amount_remaining": 0 if is_paid else 1230,
        "attempt_count": 1,
        "attempted": True,
        "billing_reason": "subscription_cycle",
        "collection_method": "charge_automatically",
        "created": account.now,
        "currency": "eur",
        "customer": customer or "cus_of_billing",
        "customer_email": "jo@example.org",
        "livemode": False,
        "metadata": {},
        "next_payment_attempt": None if is_paid else account.now + 3 * 24 * 3600,
        "parent": {"quote_details": None, "subscription_details": details, "type": "subscription_details"},
        "status": "paid" if is_paid else "open",
        "total": 1230,
    }


def _card(id: str, customer: Any) -> Json:
    return {
        "id": id,
        "object": "card",
        "address_city": None,
        "address_country": None,
        "address_line1": None,
        "address_line2": None,
        "address_state": None,
        "address_zip": None,
        "brand": "Visa",
        "country": "US",
        "customer": customer,
        "exp_month": 12,
        "exp_year": 2030,
        "funding": "credit",
        "last4": "4242",
        "metadata": {},
        "name": "Jo Example",
    }
