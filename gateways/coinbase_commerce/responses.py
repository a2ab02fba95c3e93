"""What a charge of Coinbase Commerce means for an attempt, and the money that it has received.

The status of a charge is the last entry of its timeline, in the words of 2018 and in those of the on-chain protocol of
2024. Sources: docs.cdp.coinbase.com/commerce and the official package coinbase-commerce, read 2026-11-23."""

from __future__ import annotations

import re
from decimal import ROUND_DOWN, Decimal
from typing import Annotated, Any

from pydantic import Field

from domain.decline import decline_by
from domain.money import decimals
from domain.outcome import ActionRequired, AmountMismatch, Approved, Declined, InDoubt, NotSent, Outcome, Pending
from domain.payment import Verb
from domain.payment_methods import PaymentMethod
from gateways.base import AttemptRequest
from gateways.coinbase.amounts import minor_units
from gateways.coinbase.responses import attempt_in, is_other_object, present
from gateways.failures import MalformedResponse
from gateways.provider_model import End, ProviderModel, Text, Word

# The addresses of a charge, by the names that Commerce gives networks and tokens.
_NETWORKS = {
    PaymentMethod.BITCOIN: ("bitcoin",),
    PaymentMethod.ETHEREUM: ("ethereum",),
    PaymentMethod.USDT: ("tether", "usdt"),
}
# Why a charge is unresolved. Any other word counts as "other": a person decides in every case.
_CONTEXTS = frozenset("underpaid overpaid delayed multiple manual other".split())
# The statuses of a payment on a network: whether its money has arrived. The protocol of 2024 writes them in lower case.
_IS_RECEIVED = {"CONFIRMED": True, "PENDING": False, "FAILED": False}
# A received amount is converted at the moment's rate, and may have more decimals than the currency.
_DECIMAL = re.compile(r"\d{1,14}(?:\.\d{1,18})?", re.ASCII)


class LocalAmount(ProviderModel):
    """An amount in the currency of the price."""

    amount: str
    currency: Text


class Pricing(ProviderModel):
    """The price, which only a charge of a fixed price has."""

    local: LocalAmount | None = None


class PaymentValue(ProviderModel):
    """The value of a payment on a network."""

    local: LocalAmount | None = None


class Payment(ProviderModel):
    """A payment on a network."""

    status: Word = None
    value: PaymentValue | None = None

    @property
    def local(self) -> LocalAmount | None:
        """The amount in the currency of the price, if it is known."""
        return self.value.local if self.value else None


class TimelineEntry(ProviderModel):
    """A change of status. `context`: why the charge is unresolved. `at`: its time."""

    status: Word = None
    context: Word = None
    at: End = Field(default=None, alias="time")


class ChargeId(ProviderModel):
    """The identity of a new charge, which is stored even where the rest of the response is malformed."""

    id: Text


class Charge(ProviderModel):
    """A charge. What only some statuses need is optional here, or not checked, and their readers require it."""

    id: Text
    timeline: Annotated[list[TimelineEntry], Field(min_length=1)]
    hosted_url: Text | None = None
    addresses: dict[str, Any] | None = None
    pricing: Pricing | None = None
    payments: list[Any] | None = None
    expires_at: End = None

    @property
    def price(self) -> LocalAmount | None:
        """The fixed price, if there is one."""
        return self.pricing.local if self.pricing else None

    @property
    def last(self) -> TimelineEntry:
        """The entry that says how the charge stands."""
        return self.timeline[-1]


class ChargePage(ProviderModel):
    """A page of the list of charges, some of which belong to other systems."""

    data: list[dict[str, Any]]


def find_charge(data: Any, attempt: AttemptRequest) -> dict[str, Any] | None:
    """Return the charge of a page that names the attempt, not yet checked; None if there is none."""
    for charge in ChargePage.parse({"data": data}).data:
        if attempt_in(charge.get("metadata")) == attempt.attempt_id:
            return charge
    return None


def outcome_of_charge(charge: Charge, attempt: AttemptRequest) -> Outcome:
    """Return what a charge says about its payment, or about an operation on it. Raises MalformedResponse."""
    if is_other_object(charge.id, attempt):
        return InDoubt("another_object", attempt.charge_reference or attempt.reference)
    match charge.last.status:
        case "NEW" | "SIGNED":
            return ActionRequired(charge.id, _next_action(charge, attempt), charge.expires_at)
        case "PENDING":
            return Pending(charge.id)
        case "COMPLETED":
            return _completed(charge, attempt)
        case "RESOLVED":
            return _resolved(charge, attempt)
        case "UNRESOLVED":
            return _unresolved(charge, attempt)
        case "EXPIRED" | "CANCELED":
            return Approved(charge.id, voided=True)
        case "FAILED":
            return Declined(charge.id, decline_by("coinbase_commerce", "payment_failed"))
    return charge.last.in_doubt("status", charge.id)


def _next_action(charge: Charge, attempt: AttemptRequest) -> dict[str, str]:
    action = {"type": "redirect", "redirect_url": present(charge.hosted_url, "Charge.hosted_url")}
    addresses = charge.addresses or {}
    for network in _NETWORKS.get(attempt.method, ()):
        address = addresses.get(network)
        if isinstance(address, str):
            return action | {"network": network, "address": address}
    return action


def _completed(charge: Charge, attempt: AttemptRequest) -> Outcome:
    """Return the price: Commerce completes a charge when it has received the price, within its own tolerance."""
    price = present(charge.price, "Charge.pricing.local")
    currency = attempt.money.currency
    if price.currency != currency:
        return InDoubt("amount_differs", charge.id)
    minor = minor_units(price.amount, currency, "Charge.pricing.local.amount")
    return attempt.compared(Approved(charge.id, authorized=minor, captured=minor, at=charge.last.at))


def _resolved(charge: Charge, attempt: AttemptRequest) -> Outcome:
    received = _received(charge, attempt.money.currency)
    if isinstance(received, InDoubt):
        return received
    if received == 0:
        return InDoubt("amount_differs", charge.id)
    return Approved(charge.id, authorized=received, captured=received, at=charge.last.at)


def _unresolved(charge: Charge, attempt: AttemptRequest) -> Outcome:
    if attempt.verb is Verb.CAPTURE:
        return NotSent("not_executed", reference=charge.id)
    received = _received(charge, attempt.money.currency)
    if isinstance(received, InDoubt):
        return received
    context = (charge.last.context or "").lower()
    if context not in _CONTEXTS:
        charge.last.log_unknown("context")
        context = "other"
    return AmountMismatch(charge.id, received, context, charge.last.at)


def _received(charge: Charge, currency: str) -> int | InDoubt:
    """Return the received amount in minor units, rounded down, so that no more is booked than has arrived."""
    total = Decimal(0)
    for each in present(charge.payments, "Charge.payments"):
        payment = Payment.parse(each)
        is_received = _IS_RECEIVED.get((payment.status or "").upper())
        if is_received is None:
            return payment.in_doubt("status", charge.id)
        if not is_received:
            continue
        value = present(payment.local, "Payment.value.local")
        if value.currency != currency:
            return InDoubt("amount_differs", charge.id)
        if not _DECIMAL.fullmatch(value.amount):
            raise MalformedResponse("Payment.value.local.amount")
        total += Decimal(value.amount)
    return int(total.scaleb(decimals(currency)).to_integral_value(ROUND_DOWN))
