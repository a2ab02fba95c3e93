"""Stripe's minor units, which differ from ISO 4217's for some currencies."""

from __future__ import annotations

from domain.errors import UnknownCurrency
from domain.money import Money, decimals
from gateways.failures import MalformedResponse

# Stripe's minor units that differ from ISO 4217 (docs.stripe.com/currencies): Ariary is sent whole, Krona
# and Shilling with two decimals that must be zero.
_STRIPE_DECIMALS = {"MGA": 0, "ISK": 2, "UGX": 2}


def _stripe_decimals(currency: str) -> int:
    return _STRIPE_DECIMALS.get(currency, decimals(currency))


def to_stripe(money: Money) -> int:
    """Return Stripe's minor units.

    >>> to_stripe(Money(500, "ISK")), to_stripe(Money(500, "MGA")), to_stripe(Money(500, "EUR"))
    (50000, 5, 500)
    """
    shift = _stripe_decimals(money.currency) - decimals(money.currency)
    return money.minor * 10**shift if shift >= 0 else money.minor // 10**-shift


def from_stripe(amount: int, currency: str) -> int:
    """Return ISO 4217 minor units of an amount as Stripe writes it; the currency in either case.

    Raises MalformedResponse for a currency that ISO 4217 has never listed.

    >>> from_stripe(50000, "isk"), from_stripe(5, "mga"), from_stripe(500, "eur")
    (500, 500, 500)
    """
    code = currency.upper()
    try:
        shift = _stripe_decimals(code) - decimals(code)
    except UnknownCurrency:
        raise MalformedResponse("currency") from None
    return amount // 10**shift if shift >= 0 else amount * 10**-shift
