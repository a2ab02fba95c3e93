"""The checkouts of Coinbase Business: states, the customer's payment, expiry and refunds.

ACTIVE → PROCESSING → COMPLETED or FAILED; EXPIRED and DEACTIVATED from ACTIVE; then PARTIALLY_REFUNDED and REFUNDED
[docs]. USDC on Base, priced in dollars, euros, pounds or Singapore dollars; single use.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sandbox.clock import iso_seconds
from sandbox.coinbase import amounts
from sandbox.coinbase.errors import InvalidRequest
from sandbox.coinbase.events import EventLog, Json
from sandbox.coinbase.signatures import hook0_headers
from sandbox.ledger import MovementKind
from sandbox.state import Sandbox

EVENTS = (
    "checkout.payment.success",
    "checkout.payment.failed",
    "checkout.payment.expired",
    "checkout.refund.success",
    "checkout.refund.failed",
)
PRICED_IN = ("USDC", "USD", "EUR", "SGD", "GBP")
LEAST, MOST = Decimal("0.01"), Decimal(100_000_000)
EXPIRES_AFTER_SECONDS = 24 * 3600.0
# Coinbase requires https. The sandbox also accepts a product on the same machine.
_URL_PREFIXES = ("https://", "http://127.0.0.1", "http://localhost")
# Coinbase's fee as a share of the amount; the real one depends on the account.
_FEE = Decimal("0.01")


@dataclass
class Checkout:
    """One checkout; `body` is its API representation. `is_refund_pending`: refunds wait until a test finishes them."""

    body: Json
    is_refund_pending: bool = False

    @property
    def id(self) -> str:
        """Return the id: 24 hexadecimal digits."""
        return str(self.body["id"])

    @property
    def currency(self) -> str:
        """Return the currency of the price."""
        return str(self.body["fiatCurrency"])

    @property
    def price(self) -> Decimal:
        """Return the price."""
        return Decimal(self.body["fiatAmount"])

    def refunded(self, *statuses: str) -> Decimal:
        """Return the sum of the refunds in these statuses, in the currency of the price."""
        refunds = (refund for refund in self.body["refunds"] if refund["status"] in statuses)
        return sum((Decimal(refund["fiatAmount"]) for refund in refunds), Decimal(0))


class Checkouts:
    """All checkouts of the account, oldest first."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._checkouts: dict[str, Checkout] = {}
        self._checkout_of_refund: dict[str, str] = {}
        self.log = EventLog(sandbox, "coinbase", hook0_headers)

    def all(self) -> Iterable[Checkout]:
        """Return every checkout."""
        return self._checkouts.values()

    def find(self, id: str) -> Checkout | None:
        """Return a checkout, or None for an unknown id."""
        return self._checkouts.get(id)

    def create(self, request: Mapping[str, Any], page: str) -> Json:
        """Create a checkout; raise InvalidRequest as the API refuses."""
        price = _price(request)
        _check_texts(request)
        id, now = secrets.token_hex(12), self._sandbox.clock.now()
        body = {
            "id": id,
            "url": f"{page}/{id}",
            **_in_usdc(price, request["currency"]),
            "network": "base",
            "address": "0x" + secrets.token_hex(20),
            "tokenAddress": "0x" + secrets.token_hex(20),
            "status": "ACTIVE",
            "description": request.get("description", ""),
            "metadata": dict(request.get("metadata") or {}),
            "successRedirectUrl": request.get("successRedirectUrl", ""),
            "failRedirectUrl": request.get("failRedirectUrl", ""),
            "refunds": [],
            "createdAt": iso_seconds(now),
            "updatedAt": iso_seconds(now),
            "expiresAt": iso_seconds(now + EXPIRES_AFTER_SECONDS),
        }
        checkout = self._checkouts[id] = Checkout(body)
        self._sandbox.scheduler.run_at(now + EXPIRES_AFTER_SECONDS, lambda: self._expire(checkout))
        return body

    def deactivate(self, checkout: Checkout) -> Json:
        """Deactivate a checkout without a payment."""
        if checkout.body["status"] != "ACTIVE":
            raise InvalidRequest(f"Checkout is {checkout.body['status']} and cannot be deactivated.")
        self._move(checkout, "DEACTIVATED")
        return checkout.body

    def refund(self, checkout: Checkout, request: Mapping[str, Any]) -> Json:
        """Start a refund. That it must be in the currency of the price is unverified."""
        amount = amounts.parse(request.get("amount"))
        if checkout.body["status"] not in ("COMPLETED", "PARTIALLY_REFUNDED"):
            raise InvalidRequest(f"Checkout is {checkout.body['status']} and cannot be refunded.")
        if amount is None or request.get("currency") != checkout.currency or len(str(request.get("reason", ""))) > 500:
            raise InvalidRequest("amount, currency or reason is invalid.")
        if checkout.refunded("PENDING", "COMPLETED") + amount > checkout.price:
            raise InvalidRequest("Refund amount exceeds the refundable amount.")
        refund = {
            "id": secrets.token_hex(12),
            "checkoutId": checkout.id,
            **_in_usdc(amount, checkout.currency),
            "exchangeRate": str(amounts.DOLLARS[checkout.currency]),
            "status": "PENDING",
            "reason": request.get("reason", ""),
        }
        checkout.body["refunds"].append(refund)
        self._checkout_of_refund[refund["id"]] = checkout.id
        self._finish_later(lambda: self.finish(refund["id"], is_success=True), is_manual=checkout.is_refund_pending)
        return checkout.body

    def decide(self, id: str, decision: str) -> str | None:
        """Execute the customer's decision on the page and return the URL of the redirect.

        After a cancel the checkout stays open, and the customer can come back.
        """
        checkout = self._checkouts[id]
        if checkout.body["status"] == "ACTIVE" and decision != "cancel":
            self._move(checkout, "PROCESSING")
            self._finish_later(
                lambda: self.finish(id, is_success=decision != "decline"),
                is_manual=decision == "pay_slowly",
                is_immediate=decision == "decline",
            )
        is_success = decision in ("approve", "pay_slowly")
        return checkout.body["successRedirectUrl" if is_success else "failRedirectUrl"] or None

    def finish(self, id: str, *, is_success: bool) -> bool:
        """Finish the pending payment of a checkout or a pending refund; return False if there is none."""
        checkout = self._checkouts.get(self._checkout_of_refund.get(id, id))
        if checkout is None:
            return False
        if checkout.id == id and checkout.body["status"] == "PROCESSING":
            self._finish_payment(checkout, is_success)
            return True
        refund = next((each for each in checkout.body["refunds"] if each["id"] == id), None)
        if refund is None or refund["status"] != "PENDING":
            return False
        self._finish_refund(checkout, refund, is_success)
        return True

    def _finish_payment(self, checkout: Checkout, is_success: bool) -> None:
        if not is_success:
            self._move(checkout, "FAILED", "checkout.payment.failed")
            return
        total = Decimal(checkout.body["amount"])
        fee = (total * _FEE).quantize(Decimal("0.01"))
        settlement = {"totalAmount": total, "feeAmount": fee, "netAmount": total - fee, "currency": "USDC"}
        checkout.body["settlement"] = {name: str(value) for name, value in settlement.items()}
        checkout.body["transactionHash"] = "0x" + secrets.token_hex(32)
        self._record("charge", checkout, checkout.id, checkout.price)
        self._move(checkout, "COMPLETED", "checkout.payment.success")

    def _finish_refund(self, checkout: Checkout, refund: Json, is_success: bool) -> None:
        refund.update(
            status="COMPLETED" if is_success else "FAILED", completedAt=iso_seconds(self._sandbox.clock.now())
        )
        if not is_success:
            self._move(checkout, checkout.body["status"], "checkout.refund.failed", refund["id"])
            return
        refund["transactionHash"] = "0x" + secrets.token_hex(32)
        refunded = checkout.refunded("COMPLETED")
        checkout.body["refundedAmount"] = _in_usdc(refunded, checkout.currency)["amount"]
        self._record("refund", checkout, refund["id"], Decimal(refund["fiatAmount"]))
        status = "REFUNDED" if refunded == checkout.price else "PARTIALLY_REFUNDED"
        self._move(checkout, status, "checkout.refund.success", refund["id"])

    def _expire(self, checkout: Checkout) -> None:
        if checkout.body["status"] == "ACTIVE":
            self._move(checkout, "EXPIRED", "checkout.payment.expired")

    def _move(self, checkout: Checkout, status: str, event: str | None = None, about: str | None = None) -> None:
        checkout.body.update(status=status, updatedAt=iso_seconds(self._sandbox.clock.now()))
        if event is not None:
            # A delivery is the checkout itself with the type beside it, without an id of the event [docs].
            ids = (checkout.id,) if about is None else (checkout.id, about)
            self.log.emit(event, ids, lambda id: {**checkout.body, "eventType": event})

    def _finish_later(self, finish: Any, *, is_manual: bool, is_immediate: bool = False) -> None:
        seconds = self._sandbox.settings.async_settle_seconds
        if is_manual:
            # A test finishes it by the control route.
            return
        if is_immediate or seconds is None:
            finish()
        else:
            self._sandbox.scheduler.run_at(self._sandbox.clock.now() + seconds, finish)

    def _record(self, kind: MovementKind, checkout: Checkout, object: str, amount: Decimal) -> None:
        self._sandbox.ledger.record(
            self._sandbox.clock.now(),
            "coinbase",
            kind,
            object=object,
            parent=checkout.id,
            amount=amounts.minor_units(amount, checkout.currency),
            currency=checkout.currency,
            metadata=checkout.body["metadata"],
            idempotency_key=None,
        )


def _in_usdc(amount: Decimal, currency: str) -> Json:
    usdc = amounts.convert(amount, currency, "USDC")
    return {
        "amount": amounts.decimal_text(usdc, "USDC"),
        "currency": "USDC",
        "fiatAmount": amounts.decimal_text(amount, currency),
        "fiatCurrency": currency,
    }


def _price(request: Mapping[str, Any]) -> Decimal:
    amount, currency = amounts.parse(request.get("amount")), request.get("currency")
    if currency not in PRICED_IN:
        raise InvalidRequest(f"currency must be one of {', '.join(PRICED_IN)}.")
    if amount is None or not LEAST <= amount <= MOST or amount != round(amount, 2):
        raise InvalidRequest("amount must be a decimal from 0.01 to 100000000 with at most 2 decimals.")
    return amount


def _check_texts(request: Mapping[str, Any]) -> None:
    metadata = request.get("metadata") or {}
    if request.get("network", "base") != "base" or len(str(request.get("description", ""))) > 500:
        raise InvalidRequest("network or description is invalid.")
    if not isinstance(metadata, dict) or len(metadata) > 20:
        raise InvalidRequest("metadata must be an object of at most 20 keys.")
    if not all(isinstance(value, str) and len(value) <= 100 for value in metadata.values()):
        raise InvalidRequest("metadata may have texts of at most 100 characters.")
    for name in ("successRedirectUrl", "failRedirectUrl"):
        address = str(request.get(name, "https://"))
        if not address.startswith(_URL_PREFIXES) or len(address) > 2048:
            raise InvalidRequest(f"{name} must be an https address of at most 2048 characters.")
