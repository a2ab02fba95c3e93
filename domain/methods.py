"""Payment methods and where each can be used: one dated capability table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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
    `maximum`: in the minor unit of the currency; `maxima` of currencies where it differs; `steps`: the
    multiple that an amount must be, where that is not one minor unit."""

    provider: str
    currencies: frozenset[str] | None
    maximum: int
    is_capturable_later: bool
    maxima: Mapping[str, int] = field(default_factory=dict)
    steps: Mapping[str, int] = field(default_factory=dict)


# Stripe takes at most eight digits (API reference, amount, read 2026-11-23). Bank debits settle in one
# step: there is no authorization to capture later.
_STRIPE_MAXIMUM = 99_999_999
# Krona and shilling travel with two decimals, ariary whole, three decimals in tens (docs.stripe.com/currencies).
_STRIPE_MAXIMA = {"ISK": 999_999, "UGX": 999_999}
_STRIPE_STEPS = {"MGA": 100, **dict.fromkeys(("BHD", "JOD", "KWD", "OMR", "TND"), 10)}
_CARD = Capability("stripe", None, _STRIPE_MAXIMUM, True, _STRIPE_MAXIMA, _STRIPE_STEPS)
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
    if money.minor % (step := found.steps.get(money.currency, 1)):
        raise InvalidAmount(f"{found.provider} takes {money.currency} in steps of {decimal_text(step, money.currency)}")
    maximum = found.maxima.get(money.currency, found.maximum)
    if money.minor > maximum:
        most = decimal_text(maximum, money.currency)
        raise InvalidAmount(f"amount is above {most} {money.currency}, the most that {found.provider} takes")
    return found
