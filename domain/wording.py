"""Writes amounts and days as readers of a language write them. A kept library of locales is not worth two languages."""

from __future__ import annotations

from datetime import datetime

LANGUAGES = ("en", "de")
_MONTHS = {
    "en": "January February March April May June July August September October November December".split(),
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember".split(),
}


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
