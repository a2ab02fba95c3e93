"""Writes amounts and days as readers of a language write them. A kept library of locales is not worth two languages."""

from __future__ import annotations

from datetime import datetime

from domain.payment_methods import PaymentMethod

LANGUAGES = ("en", "de")
_MONTHS = {
    "en": "January February March April May June July August September October November December".split(),
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember".split(),
}
_KINDS = {
    "en": {
        PaymentMethod.SEPA_DEBIT: "Direct debit",
        PaymentMethod.ACH_DEBIT: "Direct debit",
        PaymentMethod.APPLE_PAY: "Apple Pay",
        PaymentMethod.GOOGLE_PAY: "Google Pay",
        PaymentMethod.PAYPAL: "PayPal",
        "": "Card",
    },
    "de": {
        PaymentMethod.SEPA_DEBIT: "Lastschrift",
        PaymentMethod.ACH_DEBIT: "Lastschrift",
        PaymentMethod.APPLE_PAY: "Apple Pay",
        PaymentMethod.GOOGLE_PAY: "Google Pay",
        PaymentMethod.PAYPAL: "PayPal",
        "": "Karte",
    },
}
_BRANDS = {"visa": "Visa", "mastercard": "Mastercard", "amex": "American Express", "discover": "Discover"}
_ENDS_IN = {"en": "{name} ending in {last4}", "de": "{name} mit der Endung {last4}"}


def amount_text(amount: str, currency: str, language: str) -> str:
    """Return an amount as people read it. `amount`: decimal text with a point, as `domain.money` writes it.

    >>> amount_text("1234.50", "EUR", "en"), amount_text("1234.50", "EUR", "de"), amount_text("500", "JPY", "de")
    ('1,234.50 EUR', '1.234,50 EUR', '500 JPY')
    """
    whole, _, part = amount.partition(".")
    separator, point = (",", ".") if language == "en" else (".", ",")
    grouped = f"{int(whole):,}".replace(",", separator)
    return f"{grouped}{point if part else ''}{part} {currency}"


def day_text(at: datetime, language: str) -> str:
    """Return a day as people read it; `at` is in their zone.

    >>> day_text(datetime(2026, 3, 5), "en"), day_text(datetime(2026, 3, 5), "de")
    ('5 March 2026', '5. März 2026')
    """
    dot = "." if language == "de" else ""
    return f"{at.day}{dot} {_MONTHS[language][at.month - 1]} {at.year}"


def method_text(language: str, kind: str, brand: str | None, last4: str | None) -> str:
    """Return how a saved method is called. `brand`: the card's, or the bank's name.

    >>> method_text("en", "credit_card", "visa", "4242"), method_text("de", "paypal", None, None)
    ('Visa ending in 4242', 'PayPal')
    """
    is_card = kind in (PaymentMethod.CREDIT_CARD, PaymentMethod.DEBIT_CARD, PaymentMethod.STRIPE)
    known = _KINDS[language]
    name = known[""] if is_card else known.get(kind, kind.replace("_", " ").title())
    if brand is not None:
        shown = _BRANDS.get(brand, brand.title() if brand.islower() else brand)
        name = shown if is_card else f"{name} {shown}"
    return name if last4 is None else _ENDS_IN[language].format(name=name, last4=last4)
