"""Orders, authorizations, captures and refunds, and their bodies in responses.

Schemas order, authorization, capture and refund [spec].
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sandbox.clock import iso_seconds
from sandbox.ids import random_text
from sandbox.paypal.money import money

Json = dict[str, Any]

SELLER_PROTECTION = {
    "status": "ELIGIBLE",
    "dispute_categories": ["ITEM_NOT_RECEIVED", "UNAUTHORIZED_TRANSACTION"],
}
PAYER = {
    "name": {"given_name": "John", "surname": "Doe"},
    "email_address": "buyer@example.com",
    "payer_id": "QYR5Z8XDVJNXQ",
    "address": {"country_code": "US"},
}
# Roughly PayPal's fee.
FEE_TEN_THOUSANDTHS = 349


def new_id() -> str:
    """Return an id in PayPal's format, such as 5O190127TN364715T."""
    return random_text(17)


@dataclass
class Payment:
    """An authorization, a capture or a refund. `parent`: the id of the order, authorization or capture above it."""

    kind: str
    body: Json
    amount: int
    parent: str = ""

    @property
    def id(self) -> str:
        """Return its id."""
        return str(self.body["id"])

    @property
    def status(self) -> str:
        """Return its status."""
        return str(self.body["status"])

    @property
    def references(self) -> Json:
        """Return the merchant's references."""
        return {name: self.body[name] for name in ("custom_id", "invoice_id") if name in self.body}

    def become(self, status: str, now: float, **details: Any) -> None:
        """Change the status; `details` replaces the status details."""
        self.body["status"] = status
        self.body["update_time"] = iso_seconds(now)
        self.body.pop("status_details", None)
        if details:
            self.body["status_details"] = details


@dataclass
class Order:
    """An order with its one purchase unit and all its payments."""

    id: str
    intent: str
    amount: int
    currency: str
    unit: Json
    base_url: str
    create_time: str
    status: str = "CREATED"
    experience: Json = field(default_factory=dict)
    has_source: bool = False
    is_approved: bool = False
    scenario: str = "COMPLETED"
    payments: list[Payment] = field(default_factory=list)

    @property
    def metadata(self) -> dict[str, str]:
        """Return the merchant's references for the ledger."""
        named = {"payment_id": self.unit.get("custom_id"), "attempt_id": self.unit.get("invoice_id")}
        return {name: str(value) for name, value in named.items() if value}

    def of(self, kind: str) -> list[Payment]:
        """Return the authorizations, captures or refunds."""
        return [payment for payment in self.payments if payment.kind == kind]

    def body(self) -> Json:
        """Return the order as the API shows it now."""
        unit = dict(self.unit)
        kinds = ("authorizations", "captures", "refunds")
        paid = {kind: [payment.body for payment in self.of(kind)] for kind in kinds}
        if self.payments:
            unit["payments"] = {kind: bodies for kind, bodies in paid.items() if bodies}
        body: Json = {
            "id": self.id,
            "intent": self.intent,
            "status": self.status,
            "purchase_units": [unit],
            "create_time": self.create_time,
            "links": self._links(),
        }
        if self.has_source or self.is_approved:
            payer = PAYER if self.is_approved else {}
            account = {"account_id": PAYER["payer_id"], "account_status": "VERIFIED"} if self.is_approved else {}
            public = {key: payer[key] for key in ("name", "email_address", "address") if key in payer}
            body["payment_source"] = {"paypal": account | public}
        if self.is_approved:
            body["payer"] = PAYER
        return body

    def _links(self) -> list[Json]:
        own = f"{self.base_url}/v2/checkout/orders/{self.id}"
        links = [{"href": own, "rel": "self", "method": "GET"}]
        if self.status == "PAYER_ACTION_REQUIRED":
            links.append({"href": self.hosted_url, "rel": "payer-action", "method": "GET"})
        if self.status == "CREATED":
            links.append({"href": self.hosted_url, "rel": "approve", "method": "GET"})
        if self.status in ("CREATED", "APPROVED"):
            links.append({"href": own, "rel": "update", "method": "PATCH"})
            name = self.intent.lower()
            links.append({"href": f"{own}/{name}", "rel": name, "method": "POST"})
        return links

    @property
    def hosted_url(self) -> str:
        """Return the page on which the buyer approves."""
        return f"{self.base_url}/hosted/{self.id}"


def _new(order: Order, kind: str, status: str, amount: int, now: float, references: Json) -> Json:
    named = {name: references[name] for name in ("custom_id", "invoice_id") if references.get(name)}
    times = {"create_time": iso_seconds(now), "update_time": iso_seconds(now)}
    return {"id": new_id(), "status": status, "amount": money(amount, order.currency), **named, **times}


def _links(order: Order, kind: str, id: str, up: str, *actions: str) -> list[Json]:
    own = f"{order.base_url}/v2/payments/{kind}/{id}"
    more = [{"href": f"{own}/{name}", "rel": name, "method": "POST"} for name in actions]
    return [{"href": own, "rel": "self", "method": "GET"}, *more, {"href": up, "rel": "up", "method": "GET"}]


def authorization(order: Order, status: str, now: float, expires_at: float) -> Payment:
    """Return a new authorization of an order's amount."""
    body = _new(order, "authorizations", status, order.amount, now, order.unit)
    up = f"{order.base_url}/v2/checkout/orders/{order.id}"
    body |= {
        "seller_protection": SELLER_PROTECTION,
        "expiration_time": iso_seconds(expires_at),
        "links": _links(order, "authorizations", body["id"], up, "capture", "void", "reauthorize"),
    }
    return Payment("authorizations", body, order.amount, order.id)


def capture(
    order: Order, status: str, amount: int, now: float, references: Json, parent: str, *, is_final: bool
) -> Payment:
    """Return a new capture, of an order or of one of its authorizations."""
    body = _new(order, "captures", status, amount, now, references)
    fee = amount * FEE_TEN_THOUSANDTHS // 10_000
    kind = "checkout/orders" if parent == order.id else "payments/authorizations"
    body |= {
        "final_capture": is_final,
        "seller_protection": SELLER_PROTECTION,
        "seller_receivable_breakdown": {
            "gross_amount": money(amount, order.currency),
            "paypal_fee": money(fee, order.currency),
            "net_amount": money(amount - fee, order.currency),
        },
        "links": _links(order, "captures", body["id"], f"{order.base_url}/v2/{kind}/{parent}", "refund"),
    }
    return Payment("captures", body, amount, parent)


def refund(order: Order, captured: Payment, status: str, amount: int, now: float, references: Json) -> Payment:
    """Return a new refund of a capture."""
    body = _new(order, "refunds", status, amount, now, references)
    up = f"{order.base_url}/v2/payments/captures/{captured.id}"
    body |= {
        "seller_payable_breakdown": {
            "gross_amount": money(amount, order.currency),
            "paypal_fee": money(0, order.currency),
            "net_amount": money(amount, order.currency),
        },
        "links": _links(order, "refunds", body["id"], up),
    }
    if status == "PENDING":
        body["status_details"] = {"reason": "ECHECK"}
    return Payment("refunds", body, amount, captured.id)


def with_relations(order: Order, payment: Payment) -> Json:
    """Return a payment with the ids of its order and authorization, as its own endpoint and its events show it."""
    related = {"order_id": order.id}
    if payment.kind == "captures" and payment.parent != order.id:
        related["authorization_id"] = payment.parent
    return payment.body | {"supplementary_data": {"related_ids": related}}
