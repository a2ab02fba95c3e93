"""Owns the orders: what was placed, captured, refunded, released, and the fraud assessment.

Order Management v1 [spec]. An authorization lasts 28 days [docs].
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sandbox.clock import fine_stamp
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
class PlacedOrder:
    """One order. `asked` is what the merchant sent; amounts in minor units."""

    asked: Json
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
        """Return what was authorized."""
        return int(self.asked["order_amount"])

    @property
    def currency(self) -> str:
        """Return the currency."""
        return str(self.asked["purchase_currency"])

    @property
    def expires_at(self) -> float:
        """Return when the authorization ends."""
        return self.created_at + AUTHORIZED_SECONDS

    def body(self) -> Json:
        """Return the order as Order Management shows it."""
        address = self.asked.get("billing_address", {})
        passed = ("merchant_reference1", "merchant_reference2", "merchant_data", "locale")
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
            "purchase_country": self.asked.get("purchase_country", "US"),
            "order_lines": self.asked["order_lines"],
            "customer": {},
            "billing_address": address,
            "shipping_address": self.asked.get("shipping_address", address),
            "created_at": fine_stamp(self.created_at),
            "expires_at": fine_stamp(self.expires_at),
            "captures": self.captures,
            "refunds": self.refunds,
            "shipping_info": [],
            "initial_payment_method": {"type": "INVOICE", "description": "Pay later"},
        } | {name: self.asked[name] for name in passed if name in self.asked}


class Orders:
    """The orders of all merchants, and what may be done with them."""

    def __init__(self, sandbox: Sandbox, callbacks: Callbacks) -> None:
        self._sandbox = sandbox
        self._callbacks = callbacks
        self.placed: dict[str, PlacedOrder] = {}

    def place(self, asked: Json, *, customer: str, key: str | None = None) -> PlacedOrder:
        """Place an order: the money is held. `customer`: his e-mail or token, whose marks say what becomes of it."""
        now = self._sandbox.clock.now()
        is_pending = "+pend-" in customer
        order = PlacedOrder(asked, now, "PENDING" if is_pending else "ACCEPTED")
        order.remaining = order.amount
        self.placed[order.id] = order
        self._record("authorization", order, order.id, order.amount, key)
        self._sandbox.agenda.at(order.expires_at, lambda: self._expire(order))
        if is_pending:
            decision = "reject" if "+pend-reject" in customer else "accept"
            wait = self._sandbox.settings.async_settle_seconds
            due_at = now + (ASSESSED_AFTER_SECONDS if wait is None else wait)
            self._sandbox.agenda.at(due_at, lambda: self.assess(order, decision))
        return order

    def assess(self, order: PlacedOrder, decision: str) -> None:
        """End the fraud assessment of an order, or, with `stop`, take the answer back."""
        if order.fraud_status != "PENDING" and decision != "stop":
            return
        order.fraud_status, type = DECISIONS[decision]
        url = order.asked.get("merchant_urls", {}).get("notification")
        self._callbacks.tell(url, {"order_id": order.id, "event_type": type})

    def find(self, id: str) -> PlacedOrder:
        """Return an order, or raise the refusal of an unknown one."""
        if id not in self.placed:
            raise no_such_order(id)
        return self.placed[id]

    def capture(self, order: PlacedOrder, asked: Json, key: str | None) -> str:
        """Take some of what is held, and return the capture's id."""
        amount = _amount(asked, "captured_amount")
        is_open = order.status in ("AUTHORIZED", "PART_CAPTURED") and order.fraud_status == "ACCEPTED"
        if not is_open or not 0 < amount <= order.remaining:
            raise refusal(403, "CAPTURE_NOT_ALLOWED", "Capture not allowed")
        capture: Json = {
            "capture_id": new_id(),
            "klarna_reference": f"{order.klarna_reference}-{len(order.captures) + 1}",
            "captured_amount": amount,
            "captured_at": fine_stamp(self._sandbox.clock.now()),
            "refunded_amount": 0,
            "order_lines": asked.get("order_lines", []),
            "billing_address": order.asked.get("billing_address", {}),
            "shipping_address": order.asked.get("shipping_address", {}),
            "shipping_info": asked.get("shipping_info", []),
        } | _named(asked)
        order.captures.append(capture)
        order.captured += amount
        order.remaining -= amount
        order.status = "PART_CAPTURED" if order.remaining else "CAPTURED"
        self._record("capture", order, capture["capture_id"], amount, key)
        return str(capture["capture_id"])

    def refund(self, order: PlacedOrder, asked: Json, key: str | None) -> str:
        """Give back some of what was captured, and return the refund's id."""
        amount = _amount(asked, "refunded_amount")
        if not 0 < amount <= order.captured - order.refunded:
            raise refusal(403, "REFUND_NOT_ALLOWED", "Refund not allowed")
        refund: Json = {
            "refund_id": new_id(),
            "refunded_amount": amount,
            "refunded_at": fine_stamp(self._sandbox.clock.now()),
            "credit_invoice": False,
            "order_lines": asked.get("order_lines", []),
        } | _named(asked)
        order.refunds.append(refund)
        order.refunded += amount
        self._record("refund", order, refund["refund_id"], amount, key)
        return str(refund["refund_id"])

    def cancel(self, order: PlacedOrder, key: str | None) -> None:
        """Let the whole hold go."""
        if order.captures:
            raise refusal(403, "CANCEL_NOT_ALLOWED", "Order has previous captures. Cancel not possible")
        if order.status != "AUTHORIZED":
            raise refusal(403, "CANCEL_NOT_ALLOWED", f"Order is {order.status}")
        self._let_go(order, "CANCELLED", key)

    def release(self, order: PlacedOrder, key: str | None) -> None:
        """Let the rest of a partly captured order go; that its status then is CAPTURED is unverified."""
        if order.status != "PART_CAPTURED":
            message = "Order is fully captured. Remaining authorization cannot be released."
            raise refusal(403, "NOT_ALLOWED", message)
        self._let_go(order, "CAPTURED", key)

    def _expire(self, order: PlacedOrder) -> None:
        if order.remaining:
            self._let_go(order, "CAPTURED" if order.captures else "EXPIRED", None)

    def _let_go(self, order: PlacedOrder, status: str, key: str | None) -> None:
        order.status = status
        self._record("void", order, order.id, order.remaining, key)
        order.remaining = 0

    def _record(self, kind: MovementKind, order: PlacedOrder, object: str, amount: int, key: str | None) -> None:
        self._sandbox.ledger.record(
            self._sandbox.clock.now(),
            "klarna",
            kind,
            object=object,
            parent=order.id,
            amount=amount,
            currency=order.currency,
            metadata=purchases.metadata(order.asked),
            idempotency_key=key,
        )


def _amount(asked: Json, name: str) -> int:
    value: Any = asked.get(name)
    if not purchases.is_amount(value):
        raise bad_value(f"Bad value: {name}")
    return int(value)


def _named(asked: Json) -> Json:
    given: Json = {name: asked[name] for name in ("reference", "description") if name in asked}
    if not all(isinstance(text, str) and len(text) <= 255 for text in given.values()):
        raise bad_value("Bad value: reference or description")
    return given
