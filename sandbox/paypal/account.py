"""Owns what happens to an order's money: approval, capture, authorization, void, refund, and the bank's late answers.

https://developer.paypal.com/docs/api/orders/v2 and payments/v2. An order is COMPLETED also when the capture inside was
declined [docs].
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sandbox.clock import iso_seconds
from sandbox.ledger import MovementKind
from sandbox.paypal import objects
from sandbox.paypal.errors import refused, unprocessable
from sandbox.paypal.events import EventLog
from sandbox.paypal.money import minor_of
from sandbox.paypal.objects import Json, Order, Payment
from sandbox.state import Sandbox

PROVIDER = "paypal"
# An authorization can be captured for 29 days [docs].
AUTHORIZATION_LASTS = timedelta(days=29)
# At most 15 percent or 75 dollars more than was authorized may be captured [docs].
MOST_MORE = 7500
TAKEN = ("COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED")
SAVED_PREFIX = "sandbox_"
# After these the buyer chooses other funding [docs]; that the order then waits for him again is unverified.
SEND_BACK = ("INSTRUMENT_DECLINED", "PAYER_ACTION_REQUIRED", "REDIRECT_PAYER_FOR_ALTERNATE_FUNDING")


class Account:
    """The merchant's account: orders by id, payments by id, and the books."""

    def __init__(self, sandbox: Sandbox, log: EventLog) -> None:
        self.sandbox = sandbox
        self.log = log
        self.orders: dict[str, Order] = {}
        self.payments: dict[str, tuple[Order, Payment]] = {}
        self._invoices: set[tuple[str, str]] = set()

    @property
    def now(self) -> float:
        """Return the sandbox's time."""
        return self.sandbox.clock.now()

    # --- the order ---

    def create(self, body: Json, base_url: str) -> Order:
        """Make an order; with a saved account in it, it is paid at once."""
        intent, units = body.get("intent"), body.get("purchase_units")
        if intent not in ("CAPTURE", "AUTHORIZE"):
            raise refused(400, "INVALID_PARAMETER_VALUE", "/intent")
        if not isinstance(units, list) or not units:
            raise refused(400, "MISSING_REQUIRED_PARAMETER", "/purchase_units")
        unit = units[0]
        for name in ("custom_id", "invoice_id"):
            if not 0 < len(str(unit.get(name, "x"))) <= 127:
                raise refused(400, "INVALID_STRING_LENGTH", f"/purchase_units/@reference_id=='default'/{name}")
        amount = minor_of(unit.get("amount"))
        source = (body.get("payment_source") or {}).get("paypal")
        order = Order(
            id=objects.new_id(),
            intent=intent,
            amount=amount,
            currency=unit["amount"]["currency_code"],
            unit={"reference_id": "default", **unit},
            base_url=base_url,
            create_time=iso_seconds(self.now),
            experience=(source or {}).get("experience_context") or {},
            has_source=source is not None,
            status="CREATED" if source is None else "PAYER_ACTION_REQUIRED",
        )
        if source is not None and source.get("vault_id"):
            self._use_saved(order, source["vault_id"])
            self.pay(order, {}, "")
        self.orders[order.id] = order
        return order

    def decide(self, order: Order, decision: str) -> str | None:
        """Let the buyer act on PayPal's page; return where he goes next."""
        if decision == "cancel":
            return self._back(order, "cancel_url")
        if order.status in ("CREATED", "PAYER_ACTION_REQUIRED"):
            if decision == "decline":
                order.course = "5100"
            order.status, order.is_approved = "APPROVED", True
            self._tell("CHECKOUT.ORDER.APPROVED", order)
        return self._back(order, "return_url")

    def pay(self, order: Order, source: Json, key: str) -> None:
        """Capture or authorize an order."""
        saved = (source.get("payment_source") or {}).get("paypal", {}).get("vault_id")
        if order.status == "COMPLETED":
            raise unprocessable(f"ORDER_ALREADY_{'CAPTURED' if order.intent == 'CAPTURE' else 'AUTHORIZED'}")
        if saved:
            self._use_saved(order, saved)
        if order.status != "APPROVED":
            raise unprocessable("ORDER_NOT_APPROVED")
        self._take_invoice("payment", order.unit.get("invoice_id"))
        try:
            self._run(order, key)
        except BaseException:
            self._invoices.discard(("payment", str(order.unit.get("invoice_id"))))
            raise

    def _use_saved(self, order: Order, vault_id: str) -> None:
        if not vault_id.startswith(SAVED_PREFIX):
            raise unprocessable("TOKEN_ID_NOT_FOUND")
        order.course = vault_id.removeprefix(SAVED_PREFIX)
        order.status, order.is_approved, order.has_source = "APPROVED", True, True

    def _run(self, order: Order, key: str) -> None:
        course = order.course
        is_code = len(course) == 4
        self.sandbox.ledger.attempt(
            self.now, object=order.id, result=course, idempotency_key=key or None, metadata=order.metadata
        )
        if course not in ("COMPLETED", "PENDING", "REFUND_PENDING") and not is_code:
            raise self._refused(order, course)
        order.status = "COMPLETED"
        if order.intent == "AUTHORIZE":
            self._authorize(order, course if is_code else None, key)
        else:
            self._capture_order(order, course if is_code else None, course == "PENDING", key)
        self._tell("CHECKOUT.ORDER.COMPLETED", order)

    def _refused(self, order: Order, issue: str) -> Exception:
        """Return the refusal; the order can be approved anew, or tried again as it is."""
        saved = not order.experience
        if issue in SEND_BACK:
            order.course = order.course if saved else "COMPLETED"
            is_action = issue == "PAYER_ACTION_REQUIRED" or not saved
            order.status = "PAYER_ACTION_REQUIRED" if is_action else "CREATED"
            link = {"href": order.hosted_url, "rel": "redirect", "method": "GET"}
            return unprocessable(issue, links=[link])
        if saved:
            order.status, order.is_approved = "CREATED", False
        return unprocessable(issue)

    def _capture_order(self, order: Order, code: str | None, is_pending: bool, key: str) -> None:
        status = "DECLINED" if code else "PENDING" if is_pending else "COMPLETED"
        made = objects.capture(order, status, order.amount, self.now, order.unit, order.id, is_final=True)
        if code:
            made.body["processor_response"] = {"response_code": code}
        if is_pending:
            made.body["status_details"] = {"reason": "ECHECK"}
        self._keep(order, made)
        if status == "COMPLETED":
            self._book("charge", order, made, order.amount, key)
        self._tell(f"PAYMENT.CAPTURE.{status}", order, made)

    def _authorize(self, order: Order, code: str | None, key: str) -> None:
        expires_at = self.now + AUTHORIZATION_LASTS.total_seconds()
        made = objects.authorization(order, "DENIED" if code else "CREATED", self.now, expires_at)
        if code:
            made.body["processor_response"] = {"response_code": code}
        self._keep(order, made)
        if code is None:
            self._book("authorization", order, made, order.amount, key)
            self.sandbox.scheduler.run_at(expires_at, lambda: self._expire(order, made))
        self._tell("PAYMENT.AUTHORIZATION.CREATED", order, made)

    # --- authorizations ---

    def capture(self, order: Order, held: Payment, body: Json, key: str) -> Payment:
        """Capture an authorization, whole or in part."""
        if held.status == "CAPTURED" or (held.status == "PARTIALLY_CAPTURED" and self._is_final(order, held)):
            raise unprocessable("AUTHORIZATION_ALREADY_CAPTURED")
        if held.status in ("VOIDED", "DENIED"):
            raise unprocessable(f"AUTHORIZATION_{held.status}")
        taken = sum(made.amount for made in order.of("captures") if made.parent == held.id)
        amount = held.amount - taken
        if body.get("amount"):
            amount = minor_of(body["amount"], whole_issue="DECIMALS_NOT_SUPPORTED")
            if body["amount"]["currency_code"] != order.currency:
                raise unprocessable("AUTH_CAPTURE_CURRENCY_MISMATCH")
        if taken + amount > held.amount + min(held.amount * 15 // 100, MOST_MORE):
            raise unprocessable("MAX_CAPTURE_AMOUNT_EXCEEDED")
        self._take_invoice("payment", body.get("invoice_id"))
        names = {"custom_id": order.unit.get("custom_id"), "invoice_id": body.get("invoice_id")}
        is_final = bool(body.get("final_capture"))
        made = objects.capture(order, "COMPLETED", amount, self.now, names, held.id, is_final=is_final)
        self._keep(order, made)
        self._book("capture", order, made, amount, key)
        left = held.amount - taken - amount
        held.become("CAPTURED" if left <= 0 else "PARTIALLY_CAPTURED", self.now)
        if is_final and left > 0:
            self._book("void", order, held, left, key)
        self._tell("PAYMENT.CAPTURE.COMPLETED", order, made)
        return made

    def void(self, order: Order, held: Payment, key: str | None) -> None:
        """Release an authorization."""
        if held.status == "VOIDED":
            raise unprocessable("PREVIOUSLY_VOIDED")
        if held.status in ("CAPTURED", "PARTIALLY_CAPTURED"):
            raise unprocessable("PREVIOUSLY_CAPTURED")
        if held.status != "CREATED":
            raise unprocessable("CANNOT_BE_VOIDED")
        held.become("VOIDED", self.now)
        self._book("void", order, held, held.amount, key)
        self._tell("PAYMENT.AUTHORIZATION.VOIDED", order, held)

    def _expire(self, order: Order, held: Payment) -> None:
        if held.status == "CREATED":
            self.void(order, held, None)

    def _is_final(self, order: Order, held: Payment) -> bool:
        return any(made.body["final_capture"] for made in order.of("captures") if made.parent == held.id)

    # --- refunds ---

    def refund(self, order: Order, captured: Payment, body: Json, key: str) -> Payment:
        """Give back the rest of a capture, or the given part of it."""
        if captured.status == "PENDING":
            raise unprocessable("PENDING_CAPTURE")
        if captured.status not in TAKEN:
            raise unprocessable("REFUND_NOT_ALLOWED")
        left = captured.amount - self._given_back(order, captured)
        if not left:
            raise unprocessable("CAPTURE_FULLY_REFUNDED")
        amount = left
        if body.get("amount"):
            amount = minor_of(body["amount"], whole_issue="DECIMALS_NOT_SUPPORTED")
            if body["amount"]["currency_code"] != order.currency:
                raise unprocessable("REFUND_CAPTURE_CURRENCY_MISMATCH")
        if amount > left:
            raise unprocessable("REFUND_AMOUNT_EXCEEDED")
        self._take_invoice("refund", body.get("invoice_id"))
        status = "PENDING" if order.course == "REFUND_PENDING" else "COMPLETED"
        # A refund that is not named is called what its capture is.
        made = objects.refund(order, captured, status, amount, self.now, captured.names | body)
        self._keep(order, made)
        if status == "COMPLETED":
            self._complete_refund(order, made, key)
        return made

    def _complete_refund(self, order: Order, made: Payment, key: str | None) -> None:
        captured = self.payments[made.parent][1]
        made.become("COMPLETED", self.now)
        self._book("refund", order, made, made.amount, key)
        is_whole = self._given_back(order, captured, "COMPLETED") == captured.amount
        captured.become("REFUNDED" if is_whole else "PARTIALLY_REFUNDED", self.now)
        self._tell("PAYMENT.CAPTURE.REFUNDED", order, made)

    def _given_back(self, order: Order, captured: Payment, *statuses: str) -> int:
        counted = statuses or ("COMPLETED", "PENDING")
        refunds = [made for made in order.of("refunds") if made.parent == captured.id]
        return sum(made.amount for made in refunds if made.status in counted)

    # --- the bank's late answer ---

    def settle(self, order: Order, payment: Payment, *, is_success: bool) -> None:
        """Bring a pending capture or refund to its end."""
        if payment.kind == "refunds":
            if is_success:
                self._complete_refund(order, payment, None)
            else:
                payment.become("FAILED", self.now, reason="ECHECK")
            return
        payment.become("COMPLETED" if is_success else "DECLINED", self.now)
        if is_success:
            self._book("charge", order, payment, payment.amount, None)
        self._tell(f"PAYMENT.CAPTURE.{payment.status}", order, payment)

    # --- books and events ---

    def _keep(self, order: Order, payment: Payment) -> None:
        order.payments.append(payment)
        self.payments[payment.id] = (order, payment)

    def _take_invoice(self, kind: str, invoice_id: Any) -> None:
        if invoice_id is None:
            return
        if (kind, str(invoice_id)) in self._invoices:
            raise unprocessable("DUPLICATE_INVOICE_ID")
        self._invoices.add((kind, str(invoice_id)))

    def _book(self, kind: MovementKind, order: Order, payment: Payment, amount: int, key: str | None) -> None:
        self.sandbox.ledger.record(
            self.now,
            PROVIDER,
            kind,
            object=payment.id,
            parent=order.id,
            amount=amount,
            currency=order.currency,
            metadata=order.metadata,
            idempotency_key=key or None,
        )

    def _tell(self, type: str, order: Order, payment: Payment | None = None) -> None:
        if payment is None:
            self.log.emit(type, "checkout-order", order.shown(), order.id)
        elif payment.kind == "refunds":
            self.log.emit(type, "refund", payment.body, payment.id)
        else:
            resource = objects.with_relations(order, payment)
            self.log.emit(type, payment.kind.removesuffix("s"), resource, payment.id, order.id)

    def _back(self, order: Order, name: str) -> str | None:
        address = order.experience.get(name)
        if not address:
            return None
        payer = f"&PayerID={objects.PAYER['payer_id']}" if name == "return_url" else ""
        return f"{address}{'&' if '?' in address else '?'}token={order.id}{payer}"
