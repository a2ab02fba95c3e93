"""Payments: their states, their amounts, and the operations that each state allows.

AUTH_APPROVED, then PARTIALLY_CAPTURED, CAPTURED or VOIDED. A void of the whole remaining amount makes a partly captured
payment CAPTURED and any other VOIDED [spec]. An authorization expires after 13 days [docs].
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

from sandbox.afterpay import PROVIDER
from sandbox.afterpay.amounts import minor, money
from sandbox.afterpay.checkouts import Checkout
from sandbox.afterpay.errors import invalid, invalid_amount, precondition_failed, refusal
from sandbox.amounts import decimal_text
from sandbox.clock import iso_milliseconds
from sandbox.ledger import MovementKind
from sandbox.service import Json
from sandbox.state import Sandbox

AUTHORIZATION_SECONDS = 13 * 86_400.0
REFUNDABLE_SECONDS = 120 * 86_400.0
REVERSIBLE_SECONDS = 600.0
# "Asynchronous" [spec]; the delay is a guess.
REVERSAL_SECONDS = 5.0
LEAST_CAPTURE = 100
_DETAILS = ("consumer", "billing", "shipping", "courier", "items", "discounts", "taxAmount", "shippingAmount")


@dataclass
class Payment:
    """One payment; amounts in minor units of `currency`. `open_amount` is authorized and not captured."""

    id: str
    checkout: Checkout
    created_at: float
    state: str
    reference: str | None
    open_amount: int = 0
    captured: int = 0
    refunded: int = 0
    events: list[Json] = field(default_factory=list)
    refunds: list[Json] = field(default_factory=list)
    is_expired: bool = False
    is_being_reversed: bool = False
    is_reversed: bool = False

    @property
    def currency(self) -> str:
        """Return the currency of the account."""
        return self.checkout.merchant.region.currency

    @property
    def is_declined(self) -> bool:
        """Tell whether Afterpay declined the payment."""
        return self.state in ("AUTH_DECLINED", "CAPTURE_DECLINED")

    def body(self) -> Json:
        """Return the body of a response with this payment."""
        request = self.checkout.request
        reference = {"merchantReference": self.reference} if self.reference is not None else {}
        return {
            "id": self.id,
            "token": self.checkout.token,
            "status": "DECLINED" if self.is_declined else "APPROVED",
            "created": iso_milliseconds(self.created_at),
            "originalAmount": money(self.checkout.amount, self.currency),
            "openToCaptureAmount": money(self.open_amount, self.currency),
            "paymentState": self.state,
            **reference,
            "refunds": self.refunds,
            "orderDetails": {name: request[name] for name in _DETAILS if name in request},
            "events": self.events,
        }


class Payments:
    """The operations on payments, which write the ledger."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def pay(self, checkout: Checkout, reference: Any, key: str | None, *, is_immediate: bool) -> Payment:
        """Pay a confirmed checkout: capture it immediately or authorize it, unless Afterpay declines."""
        number = str(100_000_000_000 + secrets.randbelow(900_000_000_000))
        payment = Payment(number, checkout, self._now, "", reference or checkout.request.get("merchantReference"))
        verb = "CAPTURE" if is_immediate else "AUTH"
        result = "declined" if checkout.will_be_declined else "approved"
        self._sandbox.ledger.attempt(
            self._now, object=number, result=result, idempotency_key=key, metadata=checkout.metadata
        )
        if checkout.will_be_declined:
            payment.state = f"{verb}_DECLINED"
            self._add_event(payment, payment.state, checkout.amount)
        elif is_immediate:
            payment.state, payment.captured = "CAPTURED", checkout.amount
            self._add_event(payment, "CAPTURED", checkout.amount)
            self._record(payment, "charge", checkout.amount, key)
        else:
            self._authorize(payment, key)
        return payment

    def capture(self, payment: Payment, body: Json) -> Payment:
        """Capture a part or all of the open amount."""
        self._check_capturable(payment)
        amount = minor(body.get("amount"), payment.currency)
        reference = body.get("paymentEventMerchantReference")
        if reference is not None and len(str(reference)) > 128:
            raise invalid("paymentEventMerchantReference must be at most 128 characters")
        if amount < LEAST_CAPTURE:
            raise invalid_amount("The capture amount is less than the minimum of 1.00.")
        if amount > payment.open_amount:
            raise invalid_amount("The capture amount exceeds the open to capture amount.")
        payment.open_amount -= amount
        payment.captured += amount
        payment.state = "PARTIALLY_CAPTURED" if payment.open_amount else "CAPTURED"
        payment.reference = body.get("merchantReference") or payment.reference
        self._add_event(payment, "CAPTURED", amount, reference=reference)
        self._record(payment, "capture", amount, body.get("requestId"), attempt_id=reference)
        return payment

    def void(self, payment: Payment, body: Json) -> Payment:
        """Release a part or all of the open amount."""
        amount = minor(body["amount"], payment.currency) if body.get("amount") else payment.open_amount
        if amount > payment.open_amount or not amount:
            texts = [f"{payment.currency} {decimal_text(each)}" for each in (amount, payment.open_amount)]
            raise invalid_amount(f"Void amount {texts[0]} exceeded open to capture amount {texts[1]}.")
        self._release(payment, amount, "VOIDED", body.get("requestId"))
        return payment

    def refund(self, payment: Payment, body: Json) -> Json:
        """Refund a part or all of the captured amount."""
        if payment.is_declined or not payment.captured:
            raise precondition_failed("The order is not eligible for a refund.")
        amount = minor(body.get("amount"), payment.currency)
        for name, most in (("requestId", 64), ("merchantReference", 85), ("refundMerchantReference", 128)):
            if body.get(name) is not None and len(str(body[name])) > most:
                raise invalid(f"{name} must be at most {most} characters")
        if self._now > payment.created_at + REFUNDABLE_SECONDS:
            raise refusal(422, "refund_timelimit_exceeded", "The refund exceeds the time limit of 120 days.")
        if not amount or amount > payment.captured - payment.refunded:
            raise invalid_amount("The refund amount exceeds the amount available.")
        payment.refunded += amount
        refund = self._add_refund(payment, amount, body)
        self._record(
            payment,
            "refund",
            amount,
            body.get("requestId"),
            refund["refundId"],
            body.get("refundMerchantReference"),
        )
        return refund

    def reverse(self, payment: Payment) -> None:
        """Start the reversal of a payment that is younger than ten minutes; it finishes a little later."""
        if payment.is_reversed:
            raise precondition_failed("Payment reversal previously processed")
        self.refuse_while_reversed(payment)
        if payment.state not in ("AUTH_APPROVED", "CAPTURED") or payment.refunded:
            raise precondition_failed("Payment not eligible for a reversal")
        if self._now > payment.created_at + REVERSIBLE_SECONDS:
            raise precondition_failed("Order outside reversal window")
        # Until the reversal finishes, every capture is refused, so that no money moves twice.
        payment.is_being_reversed = True
        self._sandbox.scheduler.run_at(self._now + REVERSAL_SECONDS, lambda: self._finish_reversal(payment))

    def refuse_while_reversed(self, payment: Payment) -> None:
        """Raise a Refusal while the reversal of the payment is pending."""
        if payment.is_being_reversed:
            raise precondition_failed("Order in pending reversal, no captures/auth accepted")

    @property
    def _now(self) -> float:
        return self._sandbox.clock.now()

    def _authorize(self, payment: Payment, key: str | None) -> None:
        amount, expires_at = payment.checkout.amount, self._now + AUTHORIZATION_SECONDS
        payment.state, payment.open_amount = "AUTH_APPROVED", amount
        self._add_event(payment, "AUTH_APPROVED", amount, expires=iso_milliseconds(expires_at))
        self._record(payment, "authorization", amount, key)
        self._sandbox.scheduler.run_at(expires_at, lambda: self._expire(payment))

    def _expire(self, payment: Payment) -> None:
        if payment.open_amount:
            payment.is_expired = True
            self._release(payment, payment.open_amount, "EXPIRED", None)

    def _release(self, payment: Payment, amount: int, event: str, key: str | None) -> None:
        payment.open_amount -= amount
        if not payment.open_amount:
            payment.state = "CAPTURED" if payment.captured else "VOIDED"
        self._add_event(payment, event, amount)
        self._add_refund(payment, amount, {})
        self._record(payment, "void", amount, key)

    def _finish_reversal(self, payment: Payment) -> None:
        payment.is_being_reversed, payment.is_reversed = False, True
        kind: MovementKind = "refund" if payment.captured else "void"
        amount = payment.captured or payment.open_amount
        payment.state, payment.open_amount, payment.refunded = "VOIDED", 0, payment.captured
        self._add_event(payment, "VOIDED", amount)
        self._add_refund(payment, amount, {})
        self._record(payment, kind, amount, None)

    def _check_capturable(self, payment: Payment) -> None:
        self.refuse_while_reversed(payment)
        if payment.is_declined:
            raise refusal(412, "invalid_state", "The order was declined.")
        if payment.is_expired:
            raise refusal(412, "payment_expired", "The payment auth has expired.")
        if payment.state == "VOIDED":
            raise refusal(412, "payment_voided", "The payment auth has been voided.")
        if payment.state == "CAPTURED":
            raise refusal(410, "payment_captured", "The payment has been captured.")

    def _add_event(
        self, payment: Payment, kind: str, amount: int, *, expires: str | None = None, reference: Any = None
    ) -> None:
        # Both are strings where they apply, and absent elsewhere: null is not in the schema [spec].
        optional = {"expires": expires, "paymentEventMerchantReference": reference}
        event = {
            "id": secrets.token_hex(14),
            "created": iso_milliseconds(self._now),
            "type": kind,
            "amount": money(amount, payment.currency),
            **{name: value for name, value in optional.items() if value is not None},
        }
        payment.events.append(event)

    def _add_refund(self, payment: Payment, amount: int, body: Json) -> Json:
        names = ("requestId", "merchantReference", "refundMerchantReference")
        refund: Json = {name: body[name] for name in names if name in body}
        refund |= {
            "amount": money(amount, payment.currency),
            "refundId": str(secrets.randbelow(10**12)),
            "refundedAt": iso_milliseconds(self._now),
        }
        payment.refunds.insert(0, refund)
        return refund

    def _record(
        self,
        payment: Payment,
        kind: MovementKind,
        amount: int,
        key: str | None,
        object: str | None = None,
        attempt_id: Any = None,
    ) -> None:
        metadata = payment.checkout.metadata | ({"attempt_id": str(attempt_id)} if attempt_id else {})
        self._sandbox.ledger.record(
            self._now,
            PROVIDER,
            kind,
            object=object or payment.id,
            parent=payment.checkout.token,
            amount=amount,
            currency=payment.currency,
            metadata=metadata,
            idempotency_key=key,
        )
