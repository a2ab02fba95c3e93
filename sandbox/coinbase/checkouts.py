"""Owns the checkouts of Coinbase Business and their money: states, the customer's payment, expiry, refunds.

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
# Coinbase asks for https; a sandbox is also used by a product on the same machine.
_ADDRESSES = ("https://", "http://127.0.0.1", "http://localhost")
# The share that Coinbase keeps; the real one depends on the account.
_FEE = Decimal("0.01")


class Invalid(Exception):
    """A request that is at fault; the text says how."""


@dataclass
class Checkout:
    """One checkout as it is shown. `is_refunded_slowly`: its refunds wait to be settled by a test."""

    body: Json
    is_refunded_slowly: bool = False

    @property
    def id(self) -> str:
        """Return its id: 24 hexadecimal digits."""
        return str(self.body["id"])

    @property
    def currency(self) -> str:
        """Return what it is priced in."""
        return str(self.body["fiatCurrency"])

    @property
    def price(self) -> Decimal:
        """Return what the customer was asked for."""
        return Decimal(self.body["fiatAmount"])

    def refunded(self, *statuses: str) -> Decimal:
        """Return what the refunds in these statuses add up to, in the price's currency."""
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
        """Return a checkout, if there is one of that id."""
        return self._checkouts.get(id)

    def create(self, asked: Mapping[str, Any], page: str) -> Json:
        """Open a checkout; raise Invalid for what the API refuses."""
        price = _price(asked)
        _check_texts(asked)
        id, now = secrets.token_hex(12), self._sandbox.clock.now()
        body = {
            "id": id,
            "url": f"{page}/{id}",
            **_in_usdc(price, asked["currency"]),
            "network": "base",
            "address": "0x" + secrets.token_hex(20),
            "tokenAddress": "0x" + secrets.token_hex(20),
            "status": "ACTIVE",
            "description": asked.get("description", ""),
            "metadata": dict(asked.get("metadata") or {}),
            "successRedirectUrl": asked.get("successRedirectUrl", ""),
            "failRedirectUrl": asked.get("failRedirectUrl", ""),
            "refunds": [],
            "createdAt": iso_seconds(now),
            "updatedAt": iso_seconds(now),
            "expiresAt": iso_seconds(now + EXPIRES_AFTER_SECONDS),
        }
        checkout = self._checkouts[id] = Checkout(body)
        self._sandbox.scheduler.run_at(now + EXPIRES_AFTER_SECONDS, lambda: self._expire(checkout))
        return body

    def deactivate(self, checkout: Checkout) -> Json:
        """Close a checkout that nobody has begun to pay."""
        if checkout.body["status"] != "ACTIVE":
            raise Invalid(f"Checkout is {checkout.body['status']} and cannot be deactivated.")
        self._move(checkout, "DEACTIVATED")
        return checkout.body

    def refund(self, checkout: Checkout, asked: Mapping[str, Any]) -> Json:
        """Begin a refund. Unverified: that it has to be in the currency of the price."""
        amount = amounts.read(asked.get("amount"))
        if checkout.body["status"] not in ("COMPLETED", "PARTIALLY_REFUNDED"):
            raise Invalid(f"Checkout is {checkout.body['status']} and cannot be refunded.")
        if amount is None or asked.get("currency") != checkout.currency or len(str(asked.get("reason", ""))) > 500:
            raise Invalid("amount, currency or reason is invalid.")
        if checkout.refunded("PENDING", "COMPLETED") + amount > checkout.price:
            raise Invalid("Refund amount exceeds the refundable amount.")
        refund = {
            "id": secrets.token_hex(12),
            "checkoutId": checkout.id,
            **_in_usdc(amount, checkout.currency),
            "exchangeRate": str(amounts.DOLLARS[checkout.currency]),
            "status": "PENDING",
            "reason": asked.get("reason", ""),
        }
        checkout.body["refunds"].append(refund)
        self._checkout_of_refund[refund["id"]] = checkout.id
        self._later(lambda: self.settle(refund["id"], is_good=True), is_by_hand=checkout.is_refunded_slowly)
        return checkout.body

    def decide(self, id: str, decision: str) -> str | None:
        """Do what the customer decided on the page; return where he is sent.

        Who cancels has only left: the checkout stays open, and he may come back to it."""
        checkout = self._checkouts[id]
        if checkout.body["status"] == "ACTIVE" and decision != "cancel":
            self._move(checkout, "PROCESSING")
            self._later(
                lambda: self.settle(id, is_good=decision != "decline"),
                is_by_hand=decision == "pay_slowly",
                is_at_once=decision == "decline",
            )
        is_good = decision in ("approve", "pay_slowly")
        return checkout.body["successRedirectUrl" if is_good else "failRedirectUrl"] or None

    def settle(self, id: str, *, is_good: bool) -> bool:
        """End the payment of a checkout, or a refund, that is under way; return whether there was one."""
        checkout = self._checkouts.get(self._checkout_of_refund.get(id, id))
        if checkout is None:
            return False
        if checkout.id == id and checkout.body["status"] == "PROCESSING":
            self._settle_payment(checkout, is_good)
            return True
        refund = next((each for each in checkout.body["refunds"] if each["id"] == id), None)
        if refund is None or refund["status"] != "PENDING":
            return False
        self._settle_refund(checkout, refund, is_good)
        return True

    def _settle_payment(self, checkout: Checkout, is_good: bool) -> None:
        if not is_good:
            self._move(checkout, "FAILED", "checkout.payment.failed")
            return
        total = Decimal(checkout.body["amount"])
        fee = (total * _FEE).quantize(Decimal("0.01"))
        settlement = {"totalAmount": total, "feeAmount": fee, "netAmount": total - fee, "currency": "USDC"}
        checkout.body["settlement"] = {name: str(value) for name, value in settlement.items()}
        checkout.body["transactionHash"] = "0x" + secrets.token_hex(32)
        self._record("charge", checkout, checkout.id, checkout.price)
        self._move(checkout, "COMPLETED", "checkout.payment.success")

    def _settle_refund(self, checkout: Checkout, refund: Json, is_good: bool) -> None:
        refund.update(status="COMPLETED" if is_good else "FAILED", completedAt=iso_seconds(self._sandbox.clock.now()))
        if not is_good:
            self._move(checkout, checkout.body["status"], "checkout.refund.failed", refund["id"])
            return
        refund["transactionHash"] = "0x" + secrets.token_hex(32)
        given = checkout.refunded("COMPLETED")
        checkout.body["refundedAmount"] = _in_usdc(given, checkout.currency)["amount"]
        self._record("refund", checkout, refund["id"], Decimal(refund["fiatAmount"]))
        status = "REFUNDED" if given == checkout.price else "PARTIALLY_REFUNDED"
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

    def _later(self, settle: Any, *, is_by_hand: bool, is_at_once: bool = False) -> None:
        seconds = self._sandbox.settings.async_settle_seconds
        if is_by_hand:
            return
        if is_at_once or seconds is None:
            settle()
        else:
            self._sandbox.scheduler.run_at(self._sandbox.clock.now() + seconds, settle)

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
        "amount": amounts.write(usdc, "USDC"),
        "currency": "USDC",
        "fiatAmount": amounts.write(amount, currency),
        "fiatCurrency": currency,
    }


def _price(asked: Mapping[str, Any]) -> Decimal:
    amount, currency = amounts.read(asked.get("amount")), asked.get("currency")
    if currency not in PRICED_IN:
        raise Invalid(f"currency must be one of {', '.join(PRICED_IN)}.")
    if amount is None or not LEAST <= amount <= MOST or amount != round(amount, 2):
        raise Invalid("amount must be a decimal from 0.01 to 100000000 with at most 2 decimals.")
    return amount


def _check_texts(asked: Mapping[str, Any]) -> None:
    metadata = asked.get("metadata") or {}
    if asked.get("network", "base") != "base" or len(str(asked.get("description", ""))) > 500:
        raise Invalid("network or description is invalid.")
    if not isinstance(metadata, dict) or len(metadata) > 20:
        raise Invalid("metadata must be an object of at most 20 keys.")
    if not all(isinstance(value, str) and len(value) <= 100 for value in metadata.values()):
        raise Invalid("metadata may have texts of at most 100 characters.")
    for name in ("successRedirectUrl", "failRedirectUrl"):
        address = str(asked.get(name, "https://"))
        if not address.startswith(_ADDRESSES) or len(address) > 2048:
            raise Invalid(f"{name} must be an https address of at most 2048 characters.")
