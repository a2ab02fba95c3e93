"""What a checkout of Coinbase Business and its refunds mean for an attempt.

Source: docs.cdp.coinbase.com (coinbase-business/checkout-apis), read 2026-11-23."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from domain.comparison import ShownRefund
from domain.decline import decline_by
from domain.outcome import ActionRequired, Approved, Declined, InDoubt, Outcome, Pending
from gateways.base import AttemptRequest
from gateways.coinbase.amounts import minor_units
from gateways.failures import MalformedResponse
from gateways.provider_model import End, ProviderModel, Text, Word, instant_of

# The currencies that Coinbase converts to USDC; all of them have two decimals, and an amount may have no more.
CURRENCIES = frozenset({"EUR", "GBP", "SGD", "USD"})

Value = TypeVar("Value")


class CoinbaseModel(ProviderModel):
    """Fields in camel case, as Coinbase Business writes them."""

    model_config = ConfigDict(alias_generator=to_camel)


class CheckoutId(CoinbaseModel):
    """The identity of a new checkout, which is stored even where the rest of the response is malformed."""

    id: Text


class Checkout(CoinbaseModel):
    """A checkout as the attempt to collect reads it. `url` is only required while the customer may still pay.

    `updated_at`: of its last change, which is the payment until a refund follows."""

    id: Text
    status: Word = None
    url: Text | None = None
    amount: str
    currency: Text
    fiat_amount: str | None = None
    fiat_currency: str | None = None
    expires_at: End = None
    updated_at: End = None


class Refund(CoinbaseModel):
    """One refund of a checkout. `reason`: free text; for a refund of this system, its attempt's id."""

    id: Text
    status: Word = None
    reason: str | None = None
    amount: str | None = None
    currency: str | None = None
    fiat_amount: str | None = None
    fiat_currency: str | None = None
    completed_at: str | None = None
    transaction_hash: str | None = None


class CheckoutRefunds(CoinbaseModel):
    """A checkout as a refund reads it."""

    id: Text
    refunds: list[Refund] | None = None


class WrappedCheckout(CoinbaseModel):
    """The response to a refund."""

    checkout: dict[str, Any] | None = None


def refunded_checkout(response: dict[str, Any]) -> CheckoutRefunds:
    """Return the checkout of a response to a refund, which wraps it; a bare checkout is read too."""
    wrapped = WrappedCheckout.parse(response).checkout
    return CheckoutRefunds.parse(response if wrapped is None else wrapped)


def outcome_of_checkout(checkout: Checkout, attempt: AttemptRequest) -> Outcome:
    """Return what a checkout says about its payment. Its refunds do not change that."""
    if is_other_object(checkout.id, attempt):
        return InDoubt("another_object", attempt.charge_reference or attempt.reference)
    match checkout.status:
        case "ACTIVE":
            url = present(checkout.url, "Checkout.url")
            return ActionRequired(checkout.id, {"type": "redirect", "redirect_url": url}, checkout.expires_at)
        case "PROCESSING":
            return Pending(checkout.id)
        case "COMPLETED" | "PARTIALLY_REFUNDED" | "REFUNDED":
            return _outcome_of_paid(checkout, attempt)
        case "FAILED":
            return Declined(checkout.id, decline_by("coinbase", "payment_failed"))
        case "EXPIRED" | "DEACTIVATED":
            return Approved(checkout.id, voided=True)
    return checkout.in_doubt("status", checkout.id)


def outcome_of_refund(refund: Refund, attempt: AttemptRequest) -> Outcome:
    """Return how the refund of an attempt stands."""
    outcome = outcome_in_currency(refund, attempt.money.currency)
    if isinstance(outcome, Approved) and outcome.refunded != attempt.money.minor:
        return InDoubt("amount_differs", outcome.reference)
    return outcome


def outcome_in_currency(refund: Refund, currency: str) -> Outcome:
    """Return how a refund stands, with its amount in minor units of the currency of the checkout's price."""
    match refund.status:
        case "PENDING":
            return Pending(refund.id, refunding=_amount_in(refund, currency) or 0)
        case "COMPLETED":
            amount = _amount_in(refund, currency)
            if amount is None:
                return InDoubt("amount_differs", refund.id)
            return Approved(refund.id, refunded=amount, at=instant_of(refund.completed_at))
        case "FAILED":
            return Declined(refund.id, decline_by("coinbase", "refund_failed"))
    return refund.in_doubt("status", refund.id)


def shown_refunds(checkout: CheckoutRefunds, currency: str) -> list[ShownRefund]:
    """Return the refunds of a checkout, whoever made them, in minor units of its currency. Raises MalformedResponse."""
    refunds = checkout.refunds or ()
    return [ShownRefund(made.id, outcome_in_currency(made, currency), made.reason) for made in refunds]


def find_refund(checkout: CheckoutRefunds, attempt: AttemptRequest) -> Refund | None:
    """Return the refund with the attempt's reference, or the one that names the attempt; None if there is none."""
    for refund in checkout.refunds or ():
        if refund.id == attempt.reference or refund.reason == attempt.attempt_id:
            return refund
    return None


def attempt_in(metadata: Any) -> str | None:
    """Return the attempt that metadata names; None for those of another system, which may have any form."""
    attempt_id = metadata.get("attempt_id") if isinstance(metadata, dict) else None
    return attempt_id if isinstance(attempt_id, str) else None


def is_other_object(id: str, attempt: AttemptRequest) -> bool:
    """Tell whether a response is about another object than the attempt's, which has no reference before its charge."""
    expected = attempt.charge_reference or attempt.reference
    return expected is not None and id != expected


def present(value: Value | None, field: str) -> Value:
    """Return a value that is required in the state at hand. Raises MalformedResponse if it is missing."""
    if value is None:
        raise MalformedResponse(field)
    return value


def _outcome_of_paid(checkout: Checkout, attempt: AttemptRequest) -> Outcome:
    paid = _amount_in(checkout, attempt.money.currency)
    if paid is None:
        return InDoubt("amount_differs", checkout.id)
    at = checkout.updated_at if checkout.status == "COMPLETED" else None
    return attempt.compared(Approved(checkout.id, authorized=paid, captured=paid, at=at))


def _amount_in(priced: Checkout | Refund, currency: str) -> int | None:
    """Return the amount in the currency of the price, beside which Coinbase states it in USDC; None if it has none."""
    name = type(priced).__name__
    if currency not in CURRENCIES:
        return None
    if priced.fiat_currency == currency:
        field = f"{name}.fiatAmount"
        return minor_units(present(priced.fiat_amount, field), currency, field)
    if priced.currency == currency:
        field = f"{name}.amount"
        return minor_units(present(priced.amount, field), currency, field)
    return None
