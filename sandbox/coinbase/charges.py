"""The charges of Coinbase Commerce: the timeline, payments on simulated networks, and expiry.

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
from sandbox.coinbase.errors import InvalidRequest
from sandbox.coinbase.events import EventLog, Json
from sandbox.coinbase.signatures import commerce_headers
from sandbox.ids import random_text
from sandbox.state import Sandbox

EVENTS = ("charge:created", "charge:pending", "charge:confirmed", "charge:failed", "charge:delayed", "charge:resolved")
# Unverified: the event of a wrong amount; here it is charge:failed.
_EVENT_OF = {
    "PENDING": "charge:pending",
    "COMPLETED": "charge:confirmed",
    "FAILED": "charge:failed",
    "EXPIRED": "charge:failed",
    "UNRESOLVED": "charge:failed",
    "RESOLVED": "charge:resolved",
}
EXPIRES_AFTER_SECONDS = 3600.0
# The coin and the required confirmations of each network [docs, for bitcoin and ethereum].
NETWORKS = {"bitcoin": ("BTC", 1), "ethereum": ("ETH", 8), "tether": ("USDT", 8), "usdc": ("USDC", 8)}
# The share of the price that the customer pays by mistake, in percent.
_SHARES = {"pay_too_little": 60, "pay_too_much": 150}


@dataclass
class Charge:
    """One charge; `body` is its API representation. `ends_as`: status and context after the pending payment."""

    body: Json
    ends_as: tuple[str, str | None] = field(default=("COMPLETED", None))

    @property
    def id(self) -> str:
        """Return the id, a UUID; the short code is for people."""
        return str(self.body["id"])

    @property
    def status(self) -> str:
        """Return the status of the timeline's last entry."""
        return str(self.body["timeline"][-1]["status"])

    @property
    def currency(self) -> str:
        """Return the currency of the price."""
        return str(self.body["pricing"]["local"]["currency"])

    @property
    def received(self) -> Decimal:
        """Return the sum of the confirmed payments, in the currency of the price."""
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
        """Return the charge with this id or code, or None."""
        return self._charges.get(self._id_of_code.get(id_or_code, id_or_code))

    def create(self, request: Mapping[str, Any], page: str) -> Json:
        """Create a charge with a fixed price; raise InvalidRequest as the API refuses."""
        price, currency = _price(request)
        now, code = self._sandbox.clock.now(), random_text(8)
        body = {
            "id": str(uuid.uuid4()),
            "resource": "charge",
            "code": code,
            "name": request["name"],
            "description": request["description"],
            "hosted_url": f"{page}/{code}",
            "created_at": iso_seconds(now),
            "expires_at": iso_seconds(now + EXPIRES_AFTER_SECONDS),
            "timeline": [{"time": iso_seconds(now), "status": "NEW"}],
            "metadata": dict(request.get("metadata") or {}),
            "redirect_url": request.get("redirect_url", ""),
            "cancel_url": request.get("cancel_url", ""),
            "pricing_type": "fixed_price",
            "pricing": {"local": _money(price, currency)}
            | {network: _money(_coins(price, currency, coin), coin) for network, (coin, _) in NETWORKS.items()},
            "payments": [],
            "addresses": {network: _new_address(network) for network in NETWORKS},
        }
        charge = self._charges[body["id"]] = Charge(body)
        self._id_of_code[code] = charge.id
        self._sandbox.scheduler.run_at(now + EXPIRES_AFTER_SECONDS, lambda: self._expire(charge))
        self._emit(charge, "charge:created")
        return body

    def cancel(self, charge: Charge) -> Json:
        """Cancel a charge without a payment."""
        if charge.status != "NEW":
            raise InvalidRequest(f"Charge is {charge.status} and cannot be canceled.")
        self._move(charge, "CANCELED")
        return charge.body

    def resolve(self, charge: Charge) -> Json:
        """Accept the confirmed payments although they are not the price."""
        if charge.status != "UNRESOLVED":
            raise InvalidRequest(f"Charge is {charge.status} and cannot be resolved.")
        self._record(charge)
        self._move(charge, "RESOLVED")
        return charge.body

    def decide(self, id: str, decision: str) -> str | None:
        """Execute the customer's decision on the page and return the URL of the redirect.

        After the customer's cancel the charge stays open until the merchant cancels it or it expires.
        """
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

    def finish(self, charge: Charge, *, is_success: bool) -> bool:
        """Finish the pending payment; return False if there is none."""
        if charge.status not in ("PENDING", "EXPIRED") or not charge.body["payments"]:
            return False
        payment = charge.body["payments"][-1]
        payment["status"] = "CONFIRMED" if is_success else "FAILED"
        if not is_success:
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
        charge.ends_as = _final_status(decision, is_late=is_late)
        charge.body["payments"].append(self._payment(charge, _SHARES.get(decision, 100)))
        # A late payment leaves the charge EXPIRED until its confirmation makes it UNRESOLVED.
        if not is_late:
            self._move(charge, "PENDING")
        seconds = self._sandbox.settings.async_settle_seconds
        if decision == "pay_slowly":
            return
        if seconds is None:
            self.finish(charge, is_success=True)
        else:
            self._sandbox.scheduler.run_at(self._sandbox.clock.now() + seconds, lambda: self._finish_later(charge))

    def _finish_later(self, charge: Charge) -> None:
        self.finish(charge, is_success=True)

    def _payment(self, charge: Charge, share: int) -> Json:
        """Return an unconfirmed payment in ether of this share of the price, in percent."""
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
            self._emit(charge, type)

    def _emit(self, charge: Charge, type: str) -> None:
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


def _final_status(decision: str, *, is_late: bool) -> tuple[str, str | None]:
    if is_late:
        return "UNRESOLVED", "DELAYED"
    contexts = {"pay_too_little": "UNDERPAID", "pay_too_much": "OVERPAID"}
    return ("UNRESOLVED", contexts[decision]) if decision in contexts else ("COMPLETED", None)


def _price(request: Mapping[str, Any]) -> tuple[Decimal, str]:
    missing = [name for name in ("name", "description", "pricing_type", "local_price") if not request.get(name)]
    if missing:
        raise InvalidRequest(f"{missing[0]} is missing.")
    if request["pricing_type"] != "fixed_price" or not isinstance(request["local_price"], dict):
        raise InvalidRequest("The sandbox supports fixed_price only.")
    price, currency = amounts.parse(request["local_price"].get("amount")), request["local_price"].get("currency")
    if price is None or not isinstance(currency, str) or len(currency) != 3:
        raise InvalidRequest("local_price is invalid.")
    if not isinstance(request.get("metadata") or {}, dict) or len(str(request["description"])) > 500:
        raise InvalidRequest("metadata or description is invalid.")
    return price, currency


def _money(amount: Decimal, currency: str) -> Json:
    return {"amount": amounts.decimal_text(amount, currency), "currency": currency}


def _coins(amount: Decimal, currency: str, coin: str) -> Decimal:
    return amounts.convert(amount, currency, coin)


def _new_address(network: str) -> str:
    return "bc1q" + secrets.token_hex(19) if network == "bitcoin" else "0x" + secrets.token_hex(20)
