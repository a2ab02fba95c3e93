"""What a charge of Coinbase Commerce says of itself: outcome, money received, and how it went. Sends nothing.

The state of a charge is the last entry of its timeline: both the words of 2018 and those of the on-chain protocol
of 2024. Sources: docs.cdp.coinbase.com/commerce, read 2026-11-23."""

from __future__ import annotations

import re
from decimal import ROUND_DOWN, Decimal
from typing import Any

from domain.decline import Decline, DeclineClass
from domain.money import exponent
from domain.outcome import ActionRequired, AmountMismatch, Approved, Declined, InDoubt, NotSent, Outcome, Pending
from domain.payment import Verb
from domain.payment_methods import PaymentMethod
from gateways.base import AttemptRequest
from gateways.coinbase.amounts import is_another, minor_units
from gateways.json_api import text

# The addresses of a charge, by the names that Commerce gives networks and tokens.
_NETWORKS = {
    PaymentMethod.BITCOIN: ("bitcoin",),
    PaymentMethod.ETHEREUM: ("ethereum",),
    PaymentMethod.USDT: ("tether", "usdt"),
}
# Why a charge is unresolved. Another word counts as "other".
_CONTEXTS = frozenset("underpaid overpaid delayed multiple manual other".split())
# A payment that is not confirmed, or never will be, is nobody's money yet.
_NOT_RECEIVED = frozenset({"PENDING", "FAILED"})
# What was received is converted at the moment's rate, and may have more decimals than the currency.
_PLAIN = re.compile(r"\d{1,14}(?:\.\d{1,18})?", re.ASCII)


def outcome_of_charge(charge: Any, attempt: AttemptRequest) -> Outcome:
    """Return what a charge says about its payment, and about an operation on it."""
    if is_another(charge, attempt):
        return InDoubt("another_object", attempt.charge_reference or attempt.reference)
    reference, last = text(charge["id"]), charge["timeline"][-1]
    match last["status"]:
        case "NEW" | "SIGNED":
            return ActionRequired(reference, _next_action(charge, attempt))
        case "PENDING":
            return Pending(reference)
        case "COMPLETED":
            return _completed(charge, attempt, reference)
        case "RESOLVED":
            return _resolved(charge, attempt, reference)
        case "UNRESOLVED":
            return _unresolved(charge, attempt, reference)
        case "EXPIRED" | "CANCELED":
            return Approved(reference, voided=True)
        case "FAILED":
            return Declined(reference, Decline("payment_failed", DeclineClass.HARD))
    return InDoubt("unknown_status", reference)


def timeline_of_charge(charge: Any) -> list[dict[str, str]]:
    """Return a row for each change of status, and after them one for each payment on a network.

    Every row has `status` (lower-case), `time` (RFC 3339) and `context`: empty, why a charge is unresolved, or
    "payment". A payment also has `network`, `transaction` (the hash) and, once a block holds it, `confirmations` and
    `required`: how many blocks stand behind it, and how many have to."""
    changes = [
        {"status": _low(entry["status"]), "time": str(entry["time"]), "context": _low(entry.get("context") or "")}
        for entry in charge["timeline"]
    ]
    return changes + [_payment_row(payment) for payment in charge.get("payments") or ()]


def _completed(charge: Any, attempt: AttemptRequest, reference: str) -> Outcome:
    """Commerce completes a charge when what came is, within its tolerance, what was agreed."""
    price = charge["pricing"]["local"]
    currency = attempt.money.currency
    agreed = minor_units(price["amount"], currency) if price["currency"] == currency else None
    if agreed is None or (attempt.verb is Verb.CHARGE and agreed != attempt.money.minor):
        return InDoubt("amount_differs", reference)
    return Approved(reference, authorized=agreed, captured=agreed)


def _resolved(charge: Any, attempt: AttemptRequest, reference: str) -> Outcome:
    received = _received(charge, attempt.money.currency)
    if not received:
        return InDoubt("amount_differs", reference)
    return Approved(reference, authorized=received, captured=received)


def _unresolved(charge: Any, attempt: AttemptRequest, reference: str) -> Outcome:
    if attempt.verb is Verb.CAPTURE:
        return NotSent("not_executed", reference=reference)
    received = _received(charge, attempt.money.currency)
    if received is None:
        return InDoubt("amount_differs", reference)
    context = _low(charge["timeline"][-1].get("context") or "")
    return AmountMismatch(reference, received, context if context in _CONTEXTS else "other")


def _next_action(charge: Any, attempt: AttemptRequest) -> dict[str, str]:
    action = {"type": "redirect", "redirect_url": str(charge["hosted_url"])}
    addresses = charge.get("addresses") or {}
    for network in _NETWORKS.get(attempt.method, ()):
        if network in addresses:
            return action | {"network": network, "address": str(addresses[network])}
    return action


def _received(charge: Any, currency: str) -> int | None:
    """Return what came, in minor units, rounded down; None if it was counted in another currency."""
    total = Decimal(0)
    for payment in charge["payments"]:
        if payment["status"].upper() in _NOT_RECEIVED:
            continue
        value = payment["value"]["local"]
        if value["currency"] != currency or not _PLAIN.fullmatch(value["amount"]):
            return None
        total += Decimal(value["amount"])
    return int(total.scaleb(exponent(currency)).to_integral_value(ROUND_DOWN))


def _payment_row(payment: Any) -> dict[str, str]:
    row = {
        "status": _low(payment["status"]),
        "time": str(payment.get("detected_at") or ""),
        "context": "payment",
        "network": str(payment["network"]),
        "transaction": str(payment["transaction_id"]),
    }
    block = payment.get("block") or {}
    if "confirmations_accumulated" not in block:
        return row
    return row | {
        "confirmations": str(block["confirmations_accumulated"]),
        "required": str(block["confirmations_required"]),
    }


def _low(value: Any) -> str:
    return str(value).lower()
