"""Payment methods and where each can be used: one dated capability table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from domain.errors import InvalidAmount, UnsupportedMethod
from domain.money import Money, decimal_text


class PaymentMethod(StrEnum):
    """How the customer pays. Stored as its lower-case text."""

    CREDIT_CARD = "credit_card"
    DEBIT_CARD = "debit_card"
    APPLE_PAY = "apple_pay"
    GOOGLE_PAY = "google_pay"
    SEPA_DEBIT = "sepa_debit"
    ACH_DEBIT = "ach_debit"
    STRIPE = "stripe"


@dataclass(frozen=True, slots=True)
class Capability:
    """What a provider can do with a method. `currencies` None: every currency that has a minor unit.
    `maximum`: in the minor unit of the currency."""

    provider: str
    currencies: frozenset[str] | None
    maximum: int
    is_capturable_later: bool


# Stripe takes at most eight digits (API reference, amount, read 2026-11-23). Bank debits settle in one
# step: there is no authorization to capture later.
_STRIPE_MAXIMUM = 99_999_999
_CARD = Capability("stripe", None, _STRIPE_MAXIMUM, is_capturable_later=True)
CAPABILITIES: dict[PaymentMethod, Capability] = {
    PaymentMethod.CREDIT_CARD: _CARD,
    PaymentMethod.DEBIT_CARD: _CARD,
    PaymentMethod.APPLE_PAY: _CARD,
    PaymentMethod.GOOGLE_PAY: _CARD,
    PaymentMethod.STRIPE: _CARD,
    PaymentMethod.SEPA_DEBIT: Capability("stripe", frozenset({"EUR"}), _STRIPE_MAXIMUM, False),
    PaymentMethod.ACH_DEBIT: Capability("stripe", frozenset({"USD"}), _STRIPE_MAXIMUM, False),
}


def capability(method: PaymentMethod, money: Money, *, is_capture_later: bool) -> Capability:
    """Return who can charge this, or refuse with what to send instead."""
    found = CAPABILITIES[method]
    if found.currencies is not None and money.currency not in found.currencies:
        raise UnsupportedMethod(f"{method} works only in {', '.join(sorted(found.currencies))}")
    if is_capture_later and not found.is_capturable_later:
        raise UnsupportedMethod(f"{method} cannot be authorized now and captured later; send capture: true")
    if money.minor > found.maximum:
        most = decimal_text(found.maximum, money.currency)
        raise InvalidAmount(f"amount is above {most} {money.currency}, the most that {found.provider} takes")
    return found
