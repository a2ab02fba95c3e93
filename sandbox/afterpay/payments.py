"""Owns the payments: their states, their money, and what may be done to them when.

AUTH_APPROVED, then PARTIALLY_CAPTURED, CAPTURED or VOIDED; a release to zero makes a captured payment CAPTURED and
any other VOIDED [spec]. An authorization ends by itself after 13 days [docs]."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

from sandbox.afterpay import PROVIDER
from sandbox.afterpay.amounts import minor, money
from sandbox.afterpay.checkouts import Checkout
from sandbox.afterpay.errors import invalid, invalid_amount, precondition_failed, refusal
from sandbox.amounts import written
from sandbox.clock import fine_stamp
from sandbox.ledger import MovementKind
from sandbox.service import Json
from sandbox.state import Sandbox

AUTHORIZATION_SECONDS = 13 * 86_400.0
REFUNDABLE_SECONDS = 120 * 86_400.0
REVERSIBLE_SECONDS = 600.0
# "Asynchronous" [spec]: how much later is a guess.
REVERSAL_SECONDS = 5.0
LEAST_CAPTURE = 100
_DETAILS = ("consumer", "billing", "shipping", "courier", "items", "discounts", "taxAmount", "shippingAmount")


@dataclass
class Payment:
    """One order at Afterpay, in minor units of `currency`."""

    id: str
    checkout: Checkout
    created_at: float
    state: str
    reference: str | None
    open: int = 0
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
        """Tell whether Afterpay refused it."""
        return self.state in ("AUTH_DECLINED", "CAPTURE_DECLINED")

    def body(self) -> Json:
        """Return the payment as it is answered."""
        request = self.checkout.request
        return {
            "id": self.id,
            "token": self.checkout.token,
            "status": "DECLINED" if self.is_declined else "APPROVED",
            "created": fine_stamp(self.created_at),
            "originalAmount": money(self.checkout.amount, self.currency),
            "openToCaptureAmount": money(self.open, self.currency),
            "paymentState": self.state,
            "merchantReference": self.reference,
            "refunds": self.refunds,
            "orderDetails": {name: request[name] for name in _DETAILS if name in request},
            "events": self.events,
        }


class Payments:
    """Carries out what is asked of payments, and writes the books."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def pay(self, checkout: Checkout, reference: Any, key: str | None, *, is_at_once: bool) -> Payment:
        """Make the payment of a confirmed checkout: captured at once or authorized, or declined."""
        number = str(100_000_000_000 + secrets.randbelow(900_000_000_000))
        payment = Payment(number, checkout, self._now, "", reference or checkout.request.get("merchantReference"))
        verb = "CAPTURE" if is_at_once else "AUTH"
        result = "declined" if checkout.is_refused else "approved"
        self._sandbox.ledger.attempt(
            self._now, object=number, result=result, idempotency_key=key, metadata=checkout.metadata
        )
        if checkout.is_refused:
            payment.state = f"{verb}_DECLINED"
            self._add_event(payment, payment.state, checkout.amount)
        elif is_at_once:
            payment.state, payment.captured = "CAPTURED", checkout.amount
            self._add_event(payment, "CAPTURED", checkout.amount)
            self._record(payment, "charge", checkout.amount, key)
        else:
            self._authorize(payment, key)
        return payment

    def capture(self, payment: Payment, given: Json) -> Payment:
        """Take a part or all of what is open."""
        self._check_capturable(payment)
        amount = minor(given.get("amount"), payment.currency)
        reference = given.get("paymentEventMerchantReference")
        if reference is not None and len(str(reference)) > 128:
            raise invalid("paymentEventMerchantReference must be at most 128 characters")
        if amount < LEAST_CAPTURE:
            raise invalid_amount("The capture amount is less than the minimum of 1.00.")
        if amount > payment.open:
            raise invalid_amount("The capture amount exceeds the open to capture amount.")
        payment.open -= amount
        payment.captured += amount
        payment.state = "PARTIALLY_CAPTURED" if payment.open else "CAPTURED"
        payment.reference = given.get("merchantReference") or payment.reference
        self._add_event(payment, "CAPTURED", amount, reference=reference)
        self._record(payment, "capture", amount, given.get("requestId"), attempt_id=reference)
        return payment

    def void(self, payment: Payment, given: Json) -> Payment:
        """Release a part or all of what is open."""
        amount = minor(given["amount"], payment.currency) if given.get("amount") else payment.open
        if amount > payment.open or not amount:
            shown = [f"{payment.currency} {written(each)}" for each in (amount, payment.open)]
            raise invalid_amount(f"Void amount {shown[0]} exceeded open to capture amount {shown[1]}.")
        self._release(payment, amount, "VOIDED", given.get("requestId"))
        return payment

    def refund(self, payment: Payment, given: Json) -> Json:
        """Give captured money back."""
        if payment.is_declined or not payment.captured:
            raise precondition_failed("The order is not eligible for a refund.")
        amount = minor(given.get("amount"), payment.currency)
        for name, most in (("requestId", 64), ("merchantReference", 85), ("refundMerchantReference", 128)):
            if given.get(name) is not None and len(str(given[name])) > most:
                raise invalid(f"{name} must be at most {most} characters")
        if self._now > payment.created_at + REFUNDABLE_SECONDS:
            raise refusal(422, "refund_timelimit_exceeded", "The refund exceeds the time limit of 120 days.")
        if not amount or amount > payment.captured - payment.refunded:
            raise invalid_amount("The refund amount exceeds the amount available.")
        payment.refunded += amount
        refund = self._add_refund(payment, amount, given)
        self._record(
            payment,
            "refund",
            amount,
            given.get("requestId"),
            refund["refundId"],
            given.get("refundMerchantReference"),
        )
        return refund

    def reverse(self, payment: Payment) -> None:
        """Cancel a young order, a little later."""
        if payment.is_reversed:
            raise precondition_failed("Payment reversal previously processed")
        self.refuse_while_reversed(payment)
        if payment.state not in ("AUTH_APPROVED", "CAPTURED") or payment.refunded:
            raise precondition_failed("Payment not eligible for a reversal")
        if self._now > payment.created_at + REVERSIBLE_SECONDS:
            raise precondition_failed("Order outside reversal window")
        payment.is_being_reversed = True
        self._sandbox.agenda.at(self._now + REVERSAL_SECONDS, lambda: self._finish_reversal(payment))

    def refuse_while_reversed(self, payment: Payment) -> None:
        """Raise the refusal of a payment whose reversal is under way."""
        if payment.is_being_reversed:
            raise precondition_failed("Order in pending reversal, no captures/auth accepted")

    @property
    def _now(self) -> float:
        return self._sandbox.clock.now()

    def _authorize(self, payment: Payment, key: str | None) -> None:
        amount, expires_at = payment.checkout.amount, self._now + AUTHORIZATION_SECONDS
        payment.state, payment.open = "AUTH_APPROVED", amount
        self._add_event(payment, "AUTH_APPROVED", amount, expires=fine_stamp(expires_at))
        self._record(payment, "authorization", amount, key)
        self._sandbox.agenda.at(expires_at, lambda: self._expire(payment))

    def _expire(self, payment: Payment) -> None:
        if payment.open:
            payment.is_expired = True
            self._release(payment, payment.open, "EXPIRED", None)

    def _release(self, payment: Payment, amount: int, event: str, key: str | None) -> None:
        payment.open -= amount
        if not payment.open:
            payment.state = "CAPTURED" if payment.captured else "VOIDED"
        self._add_event(payment, event, amount)
        self._add_refund(payment, amount, {})
        self._record(payment, "void", amount, key)

    def _finish_reversal(self, payment: Payment) -> None:
        payment.is_being_reversed, payment.is_reversed = False, True
        kind: MovementKind = "refund" if payment.captured else "void"
        amount = payment.captured or payment.open
        payment.state, payment.open, payment.refunded = "VOIDED", 0, payment.captured
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
        event = {
            "id": secrets.token_hex(14),
            "created": fine_stamp(self._now),
            "expires": expires,
            "type": kind,
            "amount": money(amount, payment.currency),
            "paymentEventMerchantReference": reference,
        }
        payment.events.append(event)

    def _add_refund(self, payment: Payment, amount: int, given: Json) -> Json:
        names = ("requestId", "merchantReference", "refundMerchantReference")
        refund: Json = {name: given[name] for name in names if name in given}
        refund |= {
            "amount": money(amount, payment.currency),
            "refundId": str(secrets.randbelow(10**12)),
            "refundedAt": fine_stamp(self._now),
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
