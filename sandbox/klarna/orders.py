"""Orders: placing, fraud review, capture, refund, cancel and release.

Order Management v1 [spec]. An authorization lasts 28 days [docs].
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sandbox.clock import iso_milliseconds
from sandbox.ids import random_text
from sandbox.klarna import purchases
from sandbox.klarna.callbacks import Callbacks
from sandbox.klarna.errors import bad_value, new_id, no_such_order, refusal
from sandbox.ledger import MovementKind
from sandbox.service import Json
from sandbox.state import Sandbox

AUTHORIZED_SECONDS = 28 * 24 * 3600.0
# 4 to 8 business hours [docs].
ASSESSED_AFTER_SECONDS = 6 * 3600.0
DECISIONS = {
    "accept": ("ACCEPTED", "FRAUD_RISK_ACCEPTED"),
    "reject": ("REJECTED", "FRAUD_RISK_REJECTED"),
    "stop": ("REJECTED", "FRAUD_RISK_STOPPED"),
}


@dataclass
class Order:
    """One order. `request`: the merchant's purchase. All amounts are in minor units."""

    request: Json
    created_at: float
    fraud_status: str
    id: str = field(default_factory=new_id)
    klarna_reference: str = field(default_factory=lambda: random_text(8))
    status: str = "AUTHORIZED"
    captured: int = 0
    refunded: int = 0
    remaining: int = 0
    captures: list[Json] = field(default_factory=list)
    refunds: list[Json] = field(default_factory=list)

    @property
    def amount(self) -> int:
        """Return the authorized amount."""
        return int(self.request["order_amount"])

    @property
    def currency(self) -> str:
        """Return the currency."""
        return str(self.request["purchase_currency"])

    @property
    def expires_at(self) -> float:
        """Return when the authorization ends."""
        return self.created_at + AUTHORIZED_SECONDS

    def body(self) -> Json:
        """Return the body of Order Management for this order."""
        address = self.request.get("billing_address", {})
        copied = ("merchant_reference1", "merchant_reference2", "merchant_data", "locale")
        return {
            "order_id": self.id,
            "klarna_reference": self.klarna_reference,
            "status": self.status,
            "fraud_status": self.fraud_status,
            "order_amount": self.amount,
            "original_order_amount": self.amount,
            "captured_amount": self.captured,
            "refunded_amount": self.refunded,
            "remaining_authorized_amount": self.remaining,
            "purchase_currency": self.currency,
            "purchase_country": self.request.get("purchase_country", "US"),
            "order_lines": self.request["order_lines"],
            "customer": {},
            "billing_address": address,
            "shipping_address": self.request.get("shipping_address", address),
            "created_at": iso_milliseconds(self.created_at),
            "expires_at": iso_milliseconds(self.expires_at),
            "captures": self.captures,
            "refunds": self.refunds,
            "shipping_info": [],
            "initial_payment_method": {"type": "INVOICE", "description": "Pay later"},
        } | {name: self.request[name] for name in copied if name in self.request}


class Orders:
    """All orders and the operations on them."""

    def __init__(self, sandbox: Sandbox, callbacks: Callbacks) -> None:
        self._sandbox = sandbox
        self._callbacks = callbacks
        self.by_id: dict[str, Order] = {}

    def place(self, request: Json, *, customer: str, key: str | None = None) -> Order:
        """Place an order, which authorizes its amount.

        `customer`: the e-mail or token, whose mark decides the review.
        """
        now = self._sandbox.clock.now()
        is_pending = "+pend-" in customer
        order = Order(request, now, "PENDING" if is_pending else "ACCEPTED")
        order.remaining = order.amount
        self.by_id[order.id] = order
        self._record("authorization", order, order.id, order.amount, key)
        self._sandbox.scheduler.run_at(order.expires_at, lambda: self._expire(order))
        if is_pending:
            decision = "reject" if "+pend-reject" in customer else "accept"
            wait = self._sandbox.settings.async_settle_seconds
            due_at = now + (ASSESSED_AFTER_SECONDS if wait is None else wait)
            self._sandbox.scheduler.run_at(due_at, lambda: self.decide_fraud(order, decision))
        return order

    def decide_fraud(self, order: Order, decision: str) -> None:
        """End the fraud review of an order; `stop` also revokes an earlier decision."""
        # The scheduled decision comes too late if a test has decided before.
        if order.fraud_status != "PENDING" and decision != "stop":
            return
        order.fraud_status, type = DECISIONS[decision]
        url = order.request.get("merchant_urls", {}).get("notification")
        self._callbacks.send(url, {"order_id": order.id, "event_type": type})

    def find(self, id: str) -> Order:
        """Return an order; raise a Refusal for an unknown id."""
        if id not in self.by_id:
            raise no_such_order(id)
        return self.by_id[id]

    def capture(self, order: Order, request: Json, key: str | None) -> str:
        """Capture a part or all of the remaining amount, and return the capture's id."""
        amount = _amount(request, "captured_amount")
        is_open = order.status in ("AUTHORIZED", "PART_CAPTURED") and order.fraud_status == "ACCEPTED"
        if not is_open or not 0 < amount <= order.remaining:
            raise refusal(403, "CAPTURE_NOT_ALLOWED", "Capture not allowed")
        capture: Json = {
            "capture_id": new_id(),
            "klarna_reference": f"{order.klarna_reference}-{len(order.captures) + 1}",
            "captured_amount": amount,
            "captured_at": iso_milliseconds(self._sandbox.clock.now()),
            "refunded_amount": 0,
            "order_lines": request.get("order_lines", []),
            "billing_address": order.request.get("billing_address", {}),
            "shipping_address": order.request.get("shipping_address", {}),
            "shipping_info": request.get("shipping_info", []),
        } | _reference_fields(request)
        order.captures.append(capture)
        order.captured += amount
        order.remaining -= amount
        order.status = "PART_CAPTURED" if order.remaining else "CAPTURED"
        self._record("capture", order, capture["capture_id"], amount, key)
        return str(capture["capture_id"])

    def refund(self, order: Order, request: Json, key: str | None) -> str:
        """Refund a part or all of the captured amount, and return the refund's id."""
        amount = _amount(request, "refunded_amount")
        if not 0 < amount <= order.captured - order.refunded:
            raise refusal(403, "REFUND_NOT_ALLOWED", "Refund not allowed")
        refund: Json = {
            "refund_id": new_id(),
            "refunded_amount": amount,
            "refunded_at": iso_milliseconds(self._sandbox.clock.now()),
            "credit_invoice": False,
            "order_lines": request.get("order_lines", []),
        } | _reference_fields(request)
        order.refunds.append(refund)
        order.refunded += amount
        self._record("refund", order, refund["refund_id"], amount, key)
        return str(refund["refund_id"])

    def cancel(self, order: Order, key: str | None) -> None:
        """Release the whole authorization."""
        if order.captures:
            raise refusal(403, "CANCEL_NOT_ALLOWED", "Order has previous captures. Cancel not possible")
        if order.status != "AUTHORIZED":
            raise refusal(403, "CANCEL_NOT_ALLOWED", f"Order is {order.status}")
        self._release(order, "CANCELLED", key)

    def release(self, order: Order, key: str | None) -> None:
        """Release the remaining amount of a partly captured order; its status CAPTURED afterwards is unverified."""
        if order.status != "PART_CAPTURED":
            message = "Order is fully captured. Remaining authorization cannot be released."
            raise refusal(403, "NOT_ALLOWED", message)
        self._release(order, "CAPTURED", key)

    def _expire(self, order: Order) -> None:
        if order.remaining:
            self._release(order, "CAPTURED" if order.captures else "EXPIRED", None)

    def _release(self, order: Order, status: str, key: str | None) -> None:
        order.status = status
        self._record("void", order, order.id, order.remaining, key)
        order.remaining = 0

    def _record(self, kind: MovementKind, order: Order, object: str, amount: int, key: str | None) -> None:
        self._sandbox.ledger.record(
            self._sandbox.clock.now(),
            "klarna",
            kind,
            object=object,
            parent=order.id,
            amount=amount,
            currency=order.currency,
            metadata=purchases.metadata(order.request),
            idempotency_key=key,
        )


def _amount(request: Json, name: str) -> int:
    value: Any = request.get(name)
    if not purchases.is_amount(value):
        raise bad_value(f"Bad value: {name}")
    return int(value)


def _reference_fields(request: Json) -> Json:
    texts: Json = {name: request[name] for name in ("reference", "description") if name in request}
    if not all(isinstance(text, str) and len(text) <= 255 for text in texts.values()):
        raise bad_value("Bad value: reference or description")
    return texts
