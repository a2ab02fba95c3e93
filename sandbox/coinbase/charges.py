"""Owns the charges of Coinbase Commerce and their money: the timeline, payments on made-up networks, expiry.

NEW → PENDING → COMPLETED; EXPIRED and CANCELED from NEW; UNRESOLVED (UNDERPAID, OVERPAID, DELAYED) → RESOLVED by the
merchant [docs]; FAILED as in the on-chain protocol. The state is the last entry of the timeline.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sandbox.clock import iso_seconds
from sandbox.coinbase import amounts
from sandbox.coinbase.events import EventLog, Json
from sandbox.coinbase.signatures import commerce_headers
from sandbox.ids import random_text
from sandbox.state import Sandbox

EVENTS = ("charge:created", "charge:pending", "charge:confirmed", "charge:failed", "charge:delayed", "charge:resolved")
# Unverified: which event tells of an amount that does not match; here it is the one of failure.
_EVENT_OF = {
    "PENDING": "charge:pending",
    "COMPLETED": "charge:confirmed",
    "FAILED": "charge:failed",
    "EXPIRED": "charge:failed",
    "UNRESOLVED": "charge:failed",
    "RESOLVED": "charge:resolved",
}
EXPIRES_AFTER_SECONDS = 3600.0
# Networks, their coins, and how many blocks have to stand behind a payment [docs, for bitcoin and ethereum].
NETWORKS = {"bitcoin": ("BTC", 1), "ethereum": ("ETH", 8), "tether": ("USDT", 8), "usdc": ("USDC", 8)}
# How much of the price a customer sends who does it wrong, in hundredths.
_SHARES = {"pay_too_little": 60, "pay_too_much": 150}


class Invalid(Exception):
    """A request that is at fault; the text says how."""


@dataclass
class Charge:
    """One charge as it is shown. `ends_as`: status and context once the payment under way is confirmed."""

    body: Json
    ends_as: tuple[str, str | None] = field(default=("COMPLETED", None))

    @property
    def id(self) -> str:
        """Return its id, a UUID; the code is what people read."""
        return str(self.body["id"])

    @property
    def status(self) -> str:
        """Return the last word of the timeline."""
        return str(self.body["timeline"][-1]["status"])

    @property
    def currency(self) -> str:
        """Return what it is priced in."""
        return str(self.body["pricing"]["local"]["currency"])

    @property
    def received(self) -> Decimal:
        """Return what was confirmed, in the price's currency."""
        confirmed = (each for each in self.body["payments"] if each["status"] == "CONFIRMED")
        return sum((Decimal(each["value"]["local"]["amount"]) for each in confirmed), Decimal(0))


class Charges:
    """All charges of the account, oldest first."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._charges: dict[str, Charge] = {}
        self._id_of_code: dict[str, str] = {}
        self.log = EventLog(sandbox, "coinbase_commerce", commerce_headers)

    def all(self) -> Iterable[Charge]:
        """Return every charge."""
        return self._charges.values()

    def find(self, id_or_code: str) -> Charge | None:
        """Return a charge, if there is one of that id or code."""
        return self._charges.get(self._id_of_code.get(id_or_code, id_or_code))

    def create(self, asked: Mapping[str, Any], page: str) -> Json:
        """Open a charge of a fixed price; raise Invalid for what the API refuses."""
        price, currency = _price(asked)
        now, code = self._sandbox.clock.now(), random_text(8)
        body = {
            "id": str(uuid.uuid4()),
            "resource": "charge",
            "code": code,
            "name": asked["name"],
            "description": asked["description"],
            "hosted_url": f"{page}/{code}",
            "created_at": iso_seconds(now),
            "expires_at": iso_seconds(now + EXPIRES_AFTER_SECONDS),
            "timeline": [{"time": iso_seconds(now), "status": "NEW"}],
            "metadata": dict(asked.get("metadata") or {}),
            "redirect_url": asked.get("redirect_url", ""),
            "cancel_url": asked.get("cancel_url", ""),
            "pricing_type": "fixed_price",
            "pricing": {"local": _money(price, currency)}
            | {network: _money(_coins(price, currency, coin), coin) for network, (coin, _) in NETWORKS.items()},
            "payments": [],
            "addresses": {network: _new_address(network) for network in NETWORKS},
        }
        charge = self._charges[body["id"]] = Charge(body)
        self._id_of_code[code] = charge.id
        self._sandbox.scheduler.run_at(now + EXPIRES_AFTER_SECONDS, lambda: self._expire(charge))
        self._tell(charge, "charge:created")
        return body

    def cancel(self, charge: Charge) -> Json:
        """Close a charge that nobody has begun to pay."""
        if charge.status != "NEW":
            raise Invalid(f"Charge is {charge.status} and cannot be canceled.")
        self._move(charge, "CANCELED")
        return charge.body

    def resolve(self, charge: Charge) -> Json:
        """Let the merchant take what came for what it is."""
        if charge.status != "UNRESOLVED":
            raise Invalid(f"Charge is {charge.status} and cannot be resolved.")
        self._record(charge)
        self._move(charge, "RESOLVED")
        return charge.body

    def decide(self, id: str, decision: str) -> str | None:
        """Do what the customer decided on the page; return where he is sent.

        Who cancels has only left: the charge stays open until the merchant cancels it, or it expires."""
        charge = self._charges[self._id_of_code.get(id, id)]
        if decision == "cancel":
            return charge.body["cancel_url"] or None
        if decision == "pay_too_late":
            self._expire(charge)
        if charge.status in ("NEW", "EXPIRED") and decision != "decline":
            self._pay(charge, decision)
        elif charge.status == "NEW":
            self._move(charge, "FAILED")
        return charge.body["cancel_url" if decision == "decline" else "redirect_url"] or None

    def settle(self, charge: Charge, *, is_good: bool) -> bool:
        """End the payment that is under way; return whether there was one."""
        if charge.status not in ("PENDING", "EXPIRED") or not charge.body["payments"]:
            return False
        payment = charge.body["payments"][-1]
        payment["status"] = "CONFIRMED" if is_good else "FAILED"
        if not is_good:
            self._move(charge, "FAILED")
            return True
        payment["block"]["confirmations_accumulated"] = payment["block"]["confirmations_required"]
        status, context = charge.ends_as
        if status == "COMPLETED":
            self._record(charge)
            charge.body["confirmed_at"] = iso_seconds(self._sandbox.clock.now())
        self._move(charge, status, context)
        return True

    def _pay(self, charge: Charge, decision: str) -> None:
        is_late = charge.status == "EXPIRED"
        charge.ends_as = _end(decision, is_late=is_late)
        charge.body["payments"].append(self._payment(charge, _SHARES.get(decision, 100)))
        if not is_late:
            self._move(charge, "PENDING")
        seconds = self._sandbox.settings.async_settle_seconds
        if decision == "pay_slowly":
            return
        if seconds is None:
            self.settle(charge, is_good=True)
        else:
            self._sandbox.scheduler.run_at(self._sandbox.clock.now() + seconds, lambda: self._settle_later(charge))

    def _settle_later(self, charge: Charge) -> None:
        self.settle(charge, is_good=True)

    def _payment(self, charge: Charge, share: int) -> Json:
        """Return a payment in ether of that many hundredths of the price, seen but in no full block."""
        local = Decimal(charge.body["pricing"]["local"]["amount"]) * share / 100
        coin, required = NETWORKS["ethereum"]
        block = {
            "height": 1_000_000 + len(self._charges),
            "hash": "0x" + secrets.token_hex(32),
            "confirmations_accumulated": 0,
            "confirmations_required": required,
        }
        return {
            "network": "ethereum",
            "transaction_id": "0x" + secrets.token_hex(32),
            "status": "PENDING",
            "detected_at": iso_seconds(self._sandbox.clock.now()),
            "value": {
                "local": _money(local, charge.currency),
                "crypto": _money(_coins(local, charge.currency, coin), coin),
            },
            "block": block,
        }

    def _expire(self, charge: Charge) -> None:
        if charge.status == "NEW":
            self._move(charge, "EXPIRED")

    def _move(self, charge: Charge, status: str, context: str | None = None) -> None:
        entry = {"time": iso_seconds(self._sandbox.clock.now()), "status": status}
        charge.body["timeline"].append(entry | {"context": context} if context else entry)
        type = "charge:delayed" if context == "DELAYED" else _EVENT_OF.get(status)
        if type is not None:
            self._tell(charge, type)

    def _tell(self, charge: Charge, type: str) -> None:
        now = iso_seconds(self._sandbox.clock.now())

        def body(id: str) -> Json:
            event = {"id": id, "resource": "event", "type": type, "api_version": "2018-03-22", "created_at": now}
            return {
                "id": str(uuid.uuid4()),
                "attempt_number": 1,
                "scheduled_for": now,
                "event": event | {"data": charge.body},
            }

        self.log.emit(type, (charge.id,), body)

    def _record(self, charge: Charge) -> None:
        self._sandbox.ledger.record(
            self._sandbox.clock.now(),
            "coinbase_commerce",
            "charge",
            object=charge.id,
            parent=charge.id,
            amount=amounts.minor_units(charge.received, charge.currency),
            currency=charge.currency,
            metadata=charge.body["metadata"],
            idempotency_key=None,
        )


def _end(decision: str, *, is_late: bool) -> tuple[str, str | None]:
    if is_late:
        return "UNRESOLVED", "DELAYED"
    contexts = {"pay_too_little": "UNDERPAID", "pay_too_much": "OVERPAID"}
    return ("UNRESOLVED", contexts[decision]) if decision in contexts else ("COMPLETED", None)


def _price(asked: Mapping[str, Any]) -> tuple[Decimal, str]:
    missing = [name for name in ("name", "description", "pricing_type", "local_price") if not asked.get(name)]
    if missing:
        raise Invalid(f"{missing[0]} is missing.")
    if asked["pricing_type"] != "fixed_price" or not isinstance(asked["local_price"], dict):
        raise Invalid("The sandbox knows fixed_price only.")
    price, currency = amounts.read(asked["local_price"].get("amount")), asked["local_price"].get("currency")
    if price is None or not isinstance(currency, str) or len(currency) != 3:
        raise Invalid("local_price is invalid.")
    if not isinstance(asked.get("metadata") or {}, dict) or len(str(asked["description"])) > 500:
        raise Invalid("metadata or description is invalid.")
    return price, currency


def _money(amount: Decimal, currency: str) -> Json:
    return {"amount": amounts.write(amount, currency), "currency": currency}


def _coins(amount: Decimal, currency: str, coin: str) -> Decimal:
    return amounts.convert(amount, currency, coin)


def _new_address(network: str) -> str:
    return "bc1q" + secrets.token_hex(19) if network == "bitcoin" else "0x" + secrets.token_hex(20)
