"""Money: integer minor units and an ISO 4217 code. No float ever holds an amount."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

from iso4217 import Currency

from domain.errors import InvalidAmount, UnknownCurrency

# A plain decimal: no exponent, no sign, no thousands separator.
# 14 digits keep every amount, with up to four decimals, inside a BIGINT.
_PLAIN = re.compile(r"\d{1,14}(?:\.\d{1,6})?", re.ASCII)


# ISO 4217 of 2026-01-01 by decimals, and what left it since 2023 (list three: ANG BGN CUC HRK SLL ZWL). The list loses
# codes every year; what is stored in one is read by this table.
_ONCE_LISTED = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE "
    "CHF CHW CNY COP COU CRC CUC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD "
    "HNL HRK HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP "
    "MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR "
    "SDG SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED "
    "VES WST XAD XCD XCG YER ZAR ZMW ZWG ZWL",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
_DECIMALS = {code: digits for digits, codes in _ONCE_LISTED.items() for code in codes.split()}


@cache
def exponent(currency: str) -> int:
    """Return the number of decimals that ISO 4217 gives a currency for new payments. Raises UnknownCurrency.

    >>> exponent("EUR"), exponent("JPY"), exponent("KWD")
    (2, 0, 3)
    """
    try:
        digits = Currency(currency).exponent
    except ValueError:
        digits = None
    if digits is None:
        raise UnknownCurrency("currency is not an ISO 4217 currency; send three letters such as EUR")
    return int(digits)


def decimals(currency: str) -> int:
    """Return the number of decimals of a currency, also after it has left the list. Raises UnknownCurrency.

    >>> decimals("EUR"), decimals("BGN"), decimals("JPY")
    (2, 2, 0)
    """
    digits = _DECIMALS.get(currency)
    return exponent(currency) if digits is None else digits


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An amount in minor units (cents, fils, yen) of one currency."""

    minor: int
    currency: str

    @classmethod
    def parse(cls, amount: str | int | Decimal, currency: str) -> Money:
        """Parse a decimal string, an integer or a Decimal. Raises InvalidAmount for what the currency cannot express.

        Whether new payments may be made in the currency is asked where a request is read.

        >>> Money.parse("12.30", "EUR")
        Money(minor=1230, currency='EUR')
        >>> Money.parse("12.5", "JPY")
        Traceback (most recent call last):
        ...
        domain.errors.InvalidAmount: amount has more decimals than JPY has (0)
        """
        digits = decimals(currency)
        text = _written_out(amount)
        if isinstance(amount, bool | float) or not _PLAIN.fullmatch(text):
            raise InvalidAmount('amount must be a positive decimal such as "12.30"')
        whole, _, fraction = text.partition(".")
        if len(fraction.rstrip("0")) > digits:
            raise InvalidAmount(f"amount has more decimals than {currency} has ({digits})")
        minor = int(whole + fraction[:digits].ljust(digits, "0"))
        if minor <= 0:
            raise InvalidAmount("amount must be above zero")
        return cls(minor, currency)

    def __str__(self) -> str:
        return decimal_text(self.minor, self.currency)


def canonical_amount(amount: str | int | Decimal) -> str:
    """Return the one text that stands for all ways to write an amount; what is no amount stays as it is.

    >>> canonical_amount("12.30"), canonical_amount(Decimal("12.3")), canonical_amount("012.3000")
    ('12.3', '12.3', '12.3')
    >>> canonical_amount(100), canonical_amount(Decimal("1e2")), canonical_amount("much")
    ('100', '100', 'much')
    """
    text = _written_out(amount)
    if not _PLAIN.fullmatch(text):
        return text
    whole, _, fraction = text.partition(".")
    return f"{whole.lstrip('0') or '0'}.{fraction.rstrip('0')}".rstrip(".")


def _written_out(amount: str | int | Decimal) -> str:
    # Written out, 1e999999999 would fill the memory, so a number that large or small stays in its short form.
    is_written_out = isinstance(amount, Decimal) and abs(amount.adjusted()) < 20
    return format(amount, "f") if is_written_out else str(amount)


def decimal_text(minor: int, currency: str) -> str:
    """Return minor units as a decimal string, as the API shows amounts.

    >>> decimal_text(1230, "EUR"), decimal_text(5, "JPY"), decimal_text(1, "KWD"), decimal_text(-30, "EUR")
    ('12.30', '5', '0.001', '-0.30')
    """
    digits = decimals(currency)
    if not digits:
        return str(minor)
    whole, fraction = divmod(abs(minor), 10**digits)
    return f"{'-' if minor < 0 else ''}{whole}.{fraction:0{digits}d}"
