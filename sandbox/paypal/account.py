"""The merchant's account: approval, capture, authorization, void and refund of orders, and results that come later.

https://developer.paypal.com/docs/api/orders/v2 and payments/v2. An order is COMPLETED also when its
capture is declined [docs].
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
from sandbox.paypal.vault import Vault
from sandbox.state import Sandbox

PROVIDER = "paypal"
# An authorization can be captured for 29 days [docs].
AUTHORIZATION_LIFETIME = timedelta(days=29)
# A capture may exceed the authorization by 15 percent or 75 dollars, whichever is less [docs].
MOST_OVERCAPTURE = 7500
REFUNDABLE = ("COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED")
VAULT_ID_PREFIX = "sandbox_"
# After these issues the buyer chooses another funding source [docs]. That the order then waits for a new approval is
# unverified.
BUYER_CAN_FIX = ("INSTRUMENT_DECLINED", "PAYER_ACTION_REQUIRED", "REDIRECT_PAYER_FOR_ALTERNATE_FUNDING")


class Account:
    """The merchant's orders and payments by id, and the operations on them."""

    def __init__(self, sandbox: Sandbox, log: EventLog) -> None:
        self.sandbox = sandbox
        self.log = log
        self.orders: dict[str, Order] = {}
        self.payments: dict[str, tuple[Order, Payment]] = {}
        self.vault = Vault(sandbox, log)
        # By the id of the capture.
        self.disputes: dict[str, Json] = {}
        self._invoices: set[tuple[str, str]] = set()

    @property
    def now(self) -> float:
        """Return the sandbox's time."""
        return self.sandbox.clock.now()

    # --- the order ---

    def create(self, body: Json, base_url: str) -> Order:
        """Create an order. With a saved account as its payment source, it is paid immediately."""
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
            self._use_vaulted(order, source["vault_id"])
            self.pay(order, {}, "")
        self.orders[order.id] = order
        return order

    def decide(self, order: Order, decision: str) -> str | None:
        """Execute the buyer's decision on PayPal's page and return the URL of the redirect."""
        if decision == "cancel":
            return self._return_url(order, "cancel_url")
        if order.status in ("CREATED", "PAYER_ACTION_REQUIRED"):
            if decision == "decline":
                order.scenario = "5100"
            order.status, order.is_approved = "APPROVED", True
            self._emit("CHECKOUT.ORDER.APPROVED", order)
        return self._return_url(order, "return_url")

    def pay(self, order: Order, source: Json, key: str) -> None:
        """Capture or authorize an order."""
        vault_id = (source.get("payment_source") or {}).get("paypal", {}).get("vault_id")
        if order.status == "COMPLETED":
            raise unprocessable(f"ORDER_ALREADY_{'CAPTURED' if order.intent == 'CAPTURE' else 'AUTHORIZED'}")
        if vault_id:
            self._use_vaulted(order, vault_id)
        if order.status != "APPROVED":
            raise unprocessable("ORDER_NOT_APPROVED")
        self._reserve_invoice_id("payment", order.unit.get("invoice_id"))
        try:
            self._collect(order, key)
        except BaseException:
            # A refused payment must not block its invoice id for the next try.
            self._invoices.discard(("payment", str(order.unit.get("invoice_id"))))
            raise

    def _use_vaulted(self, order: Order, vault_id: str) -> None:
        saved = self.vault.tokens.get(vault_id)
        if saved is None and not vault_id.startswith(VAULT_ID_PREFIX):
            raise unprocessable("TOKEN_ID_NOT_FOUND")
        order.scenario = saved.scenario if saved else vault_id.removeprefix(VAULT_ID_PREFIX)
        order.status, order.is_approved, order.has_source = "APPROVED", True, True

    def _collect(self, order: Order, key: str) -> None:
        scenario = order.scenario
        # Every processor response code has four characters, and no issue is that short.
        is_code = len(scenario) == 4
        self.sandbox.ledger.attempt(
            self.now, object=order.id, result=scenario, idempotency_key=key or None, metadata=order.metadata
        )
        if scenario not in ("COMPLETED", "PENDING", "REFUND_PENDING") and not is_code:
            raise self._issue_refusal(order, scenario)
        order.status = "COMPLETED"
        if order.intent == "AUTHORIZE":
            self._authorize(order, scenario if is_code else None, key)
        else:
            self._capture_order(order, scenario if is_code else None, scenario == "PENDING", key)
        self._emit("CHECKOUT.ORDER.COMPLETED", order)

    def _issue_refusal(self, order: Order, issue: str) -> Exception:
        """Return the refusal with this issue, and open the order for a new approval or another try."""
        # Only an order that a buyer approves on a page has an experience context.
        is_vaulted = not order.experience
        if issue in BUYER_CAN_FIX:
            order.scenario = order.scenario if is_vaulted else "COMPLETED"
            needs_buyer = issue == "PAYER_ACTION_REQUIRED" or not is_vaulted
            order.status = "PAYER_ACTION_REQUIRED" if needs_buyer else "CREATED"
            link = {"href": order.hosted_url, "rel": "redirect", "method": "GET"}
            return unprocessable(issue, links=[link])
        if is_vaulted:
            order.status, order.is_approved = "CREATED", False
        return unprocessable(issue)

    def _capture_order(self, order: Order, code: str | None, is_pending: bool, key: str) -> None:
        status = "DECLINED" if code else "PENDING" if is_pending else "COMPLETED"
        payment = objects.capture(order, status, order.amount, self.now, order.unit, order.id, is_final=True)
        if code:
            payment.body["processor_response"] = {"response_code": code}
        if is_pending:
            payment.body["status_details"] = {"reason": "ECHECK"}
        self._store(order, payment)
        if status == "COMPLETED":
            self._record("charge", order, payment, order.amount, key)
        self._emit(f"PAYMENT.CAPTURE.{status}", order, payment)

    def _authorize(self, order: Order, code: str | None, key: str) -> None:
        expires_at = self.now + AUTHORIZATION_LIFETIME.total_seconds()
        payment = objects.authorization(order, "DENIED" if code else "CREATED", self.now, expires_at)
        if code:
            payment.body["processor_response"] = {"response_code": code}
        self._store(order, payment)
        if code is None:
            self._record("authorization", order, payment, order.amount, key)
            self.sandbox.scheduler.run_at(expires_at, lambda: self._expire(order, payment))
        self._emit("PAYMENT.AUTHORIZATION.CREATED", order, payment)

    # --- authorizations ---

    def capture(self, order: Order, authorization: Payment, body: Json, key: str) -> Payment:
        """Capture an authorization, whole or in part."""
        is_closed = authorization.status == "PARTIALLY_CAPTURED" and self._has_final_capture(order, authorization)
        if authorization.status == "CAPTURED" or is_closed:
            raise unprocessable("AUTHORIZATION_ALREADY_CAPTURED")
        if authorization.status in ("VOIDED", "DENIED"):
            raise unprocessable(f"AUTHORIZATION_{authorization.status}")
        captured_amount = sum(payment.amount for payment in order.of("captures") if payment.parent == authorization.id)
        amount = authorization.amount - captured_amount
        if body.get("amount"):
            amount = minor_of(body["amount"], whole_issue="DECIMALS_NOT_SUPPORTED")
            if body["amount"]["currency_code"] != order.currency:
                raise unprocessable("AUTH_CAPTURE_CURRENCY_MISMATCH")
        if captured_amount + amount > authorization.amount + min(authorization.amount * 15 // 100, MOST_OVERCAPTURE):
            raise unprocessable("MAX_CAPTURE_AMOUNT_EXCEEDED")
        self._reserve_invoice_id("payment", body.get("invoice_id"))
        references = {"custom_id": order.unit.get("custom_id"), "invoice_id": body.get("invoice_id")}
        is_final = bool(body.get("final_capture"))
        payment = objects.capture(order, "COMPLETED", amount, self.now, references, authorization.id, is_final=is_final)
        self._store(order, payment)
        self._record("capture", order, payment, amount, key)
        remaining = authorization.amount - captured_amount - amount
        authorization.become("CAPTURED" if remaining <= 0 else "PARTIALLY_CAPTURED", self.now)
        if is_final and remaining > 0:
            # A final capture releases the rest.
            self._record("void", order, authorization, remaining, key)
        self._emit("PAYMENT.CAPTURE.COMPLETED", order, payment)
        return payment

    def void(self, order: Order, authorization: Payment, key: str | None) -> None:
        """Void an authorization."""
        if authorization.status == "VOIDED":
            raise unprocessable("PREVIOUSLY_VOIDED")
        if authorization.status in ("CAPTURED", "PARTIALLY_CAPTURED"):
            raise unprocessable("PREVIOUSLY_CAPTURED")
        if authorization.status != "CREATED":
            raise unprocessable("CANNOT_BE_VOIDED")
        authorization.become("VOIDED", self.now)
        self._record("void", order, authorization, authorization.amount, key)
        self._emit("PAYMENT.AUTHORIZATION.VOIDED", order, authorization)

    def _expire(self, order: Order, authorization: Payment) -> None:
        if authorization.status == "CREATED":
            self.void(order, authorization, None)

    def _has_final_capture(self, order: Order, authorization: Payment) -> bool:
        captures = [payment for payment in order.of("captures") if payment.parent == authorization.id]
        return any(capture.body["final_capture"] for capture in captures)

    # --- refunds ---

    def refund(self, order: Order, captured: Payment, body: Json, key: str) -> Payment:
        """Refund a part of a capture, or without an amount all that remains of it."""
        if captured.status == "PENDING":
            raise unprocessable("PENDING_CAPTURE")
        if captured.status not in REFUNDABLE:
            raise unprocessable("REFUND_NOT_ALLOWED")
        remaining = self.unrefunded(order, captured)
        if not remaining:
            raise unprocessable("CAPTURE_FULLY_REFUNDED")
        amount = remaining
        if body.get("amount"):
            amount = minor_of(body["amount"], whole_issue="DECIMALS_NOT_SUPPORTED")
            if body["amount"]["currency_code"] != order.currency:
                raise unprocessable("REFUND_CAPTURE_CURRENCY_MISMATCH")
        if amount > remaining:
            raise unprocessable("REFUND_AMOUNT_EXCEEDED")
        self._reserve_invoice_id("refund", body.get("invoice_id"))
        status = "PENDING" if order.scenario == "REFUND_PENDING" else "COMPLETED"
        # A refund without references of its own has those of its capture.
        payment = objects.refund(order, captured, status, amount, self.now, captured.references | body)
        self._store(order, payment)
        if status == "COMPLETED":
            self._complete_refund(order, payment, key)
        return payment

    def _complete_refund(self, order: Order, payment: Payment, key: str | None) -> None:
        captured = self.payments[payment.parent][1]
        payment.become("COMPLETED", self.now)
        self._record("refund", order, payment, payment.amount, key)
        captured.become(self._refunded_status(order, captured), self.now)
        self._emit("PAYMENT.CAPTURE.REFUNDED", order, payment)

    def reverse(self, order: Order, captured: Payment, amount: int) -> None:
        """Take back money of a capture for a dispute. PayPal shows it as a refund, which has no references.

        Its event is sent beside those of the dispute, whose `money_movements` name no refund (captured events)."""
        payment = objects.refund(order, captured, "COMPLETED", amount, self.now, {})
        payment.body["note_to_payer"] = "Payment reversed"
        self._store(order, payment)
        captured.become(self._refunded_status(order, captured), self.now)
        self.log.emit("PAYMENT.CAPTURE.REVERSED", "refund", payment.body, payment.id)

    def unrefunded(self, order: Order, captured: Payment) -> int:
        """Return what of a capture is not given back, in minor units."""
        return captured.amount - self._refunded_amount(order, captured)

    def _refunded_status(self, order: Order, captured: Payment) -> str:
        is_whole = self._refunded_amount(order, captured, "COMPLETED") == captured.amount
        return "REFUNDED" if is_whole else "PARTIALLY_REFUNDED"

    def _refunded_amount(self, order: Order, captured: Payment, *statuses: str) -> int:
        counted = statuses or ("COMPLETED", "PENDING")
        refunds = [payment for payment in order.of("refunds") if payment.parent == captured.id]
        return sum(payment.amount for payment in refunds if payment.status in counted)

    # --- results that come later ---

    def finish_pending(self, order: Order, payment: Payment, *, is_success: bool) -> None:
        """Finish a pending capture or refund."""
        if payment.kind == "refunds":
            if is_success:
                self._complete_refund(order, payment, None)
            else:
                payment.become("FAILED", self.now, reason="ECHECK")
            return
        payment.become("COMPLETED" if is_success else "DECLINED", self.now)
        if is_success:
            self._record("charge", order, payment, payment.amount, None)
        self._emit(f"PAYMENT.CAPTURE.{payment.status}", order, payment)

    # --- storage, ledger and events ---

    def _store(self, order: Order, payment: Payment) -> None:
        order.payments.append(payment)
        self.payments[payment.id] = (order, payment)

    def _reserve_invoice_id(self, kind: str, invoice_id: Any) -> None:
        if invoice_id is None:
            return
        if (kind, str(invoice_id)) in self._invoices:
            raise unprocessable("DUPLICATE_INVOICE_ID")
        self._invoices.add((kind, str(invoice_id)))

    def _record(self, kind: MovementKind, order: Order, payment: Payment, amount: int, key: str | None) -> None:
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

    def _emit(self, type: str, order: Order, payment: Payment | None = None) -> None:
        if payment is None:
            self.log.emit(type, "checkout-order", order.body(), order.id)
        elif payment.kind == "refunds":
            self.log.emit(type, "refund", payment.body, payment.id)
        else:
            # The event of a pending capture names its order only in the link `up` (captured events).
            is_bare = type == "PAYMENT.CAPTURE.PENDING"
            resource = payment.body if is_bare else objects.with_relations(order, payment)
            self.log.emit(type, payment.kind.removesuffix("s"), resource, payment.id, order.id)

    def _return_url(self, order: Order, name: str) -> str | None:
        url = order.experience.get(name)
        if not url:
            return None
        payer = f"&PayerID={objects.PAYER['payer_id']}" if name == "return_url" else ""
        return f"{url}{'&' if '?' in url else '?'}token={order.id}{payer}"
