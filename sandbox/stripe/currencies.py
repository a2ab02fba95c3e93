"""The rules for amounts: the supported currencies, the limits of a charge, and last digits that must be zero.

https://docs.stripe.com/currencies (minimum amounts, zero-decimal and three-decimal currencies), read 2026-11-23.
"""

from __future__ import annotations

from sandbox.stripe.errors import InvalidParameter

SUPPORTED = frozenset(
    """
    aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp byn bzd
    cad cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel ghs gip gmd gnf
    gtq gyd hkd hnl htg huf idr ils inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr
    lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd omr pab pen
    pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle sos srd std szl thb tjs tnd
    top try ttd twd tzs uah ugx usd uyu uzs vnd vuv wst xaf xcd xcg xof xpf yer zar zmw
    """.split()
)

# Minor units. In other currencies the minimum is about 0.50 US dollars at the daily rate; the sandbox takes 50 units.
SMALLEST = {
    "aed": 200,
    "bgn": 100,
    "czk": 1500,
    "dkk": 250,
    "gbp": 30,
    "hkd": 400,
    "huf": 17500,
    "mxn": 1000,
    "myr": 200,
    "nok": 300,
    "pln": 200,
    "ron": 200,
    "sek": 300,
    "thb": 1000,
}
SMALLEST_ELSEWHERE = 50
LARGEST = 99_999_999

ZERO_DECIMAL = frozenset("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split())
THREE_DECIMAL = frozenset("bhd jod kwd omr tnd".split())
# The last digit of a three-decimal amount must be 0. ISK and UGX have two decimals here, which must be 00.
STEP = {**dict.fromkeys(THREE_DECIMAL, 10), "isk": 100, "ugx": 100}


def read_currency(value: object, name: str) -> str:
    """Validate an ISO currency code in either case and return it in lower case."""
    code = str(value).lower()
    if code not in SUPPORTED:
        raise InvalidParameter(
            f"Invalid currency: {code}. Stripe currently supports these currencies: {', '.join(sorted(SUPPORTED))}",
            param=name,
        )
    return code


def decimals(currency: str) -> int:
    """Return the number of decimal places of a currency in Stripe's minor units, which for some are not ISO 4217's.

    >>> decimals("eur"), decimals("jpy"), decimals("kwd"), decimals("isk")
    (2, 0, 3, 2)
    """
    return 0 if currency in ZERO_DECIMAL else 3 if currency in THREE_DECIMAL else 2


def check_amount(amount: int, currency: str) -> None:
    """Refuse an amount that Stripe does not charge in the currency."""
    smallest = SMALLEST.get(currency, SMALLEST_ELSEWHERE)
    if amount < smallest:
        raise InvalidParameter(
            f"Amount must be at least {smallest} in the minor unit of {currency}",
            code="amount_too_small",
            param="amount",
        )
    if amount > LARGEST:
        raise InvalidParameter(
            f"Amount must be no more than {LARGEST} in the minor unit of {currency}",
            code="amount_too_large",
            param="amount",
        )
    check_step(amount, currency, "amount")


def check_step(amount: int, currency: str, param: str) -> None:
    """Refuse an amount that is no multiple of the currency's step, also where it is a part of a charge."""
    step = STEP.get(currency, 1)
    if amount % step:
        raise InvalidParameter(f"Amounts in {currency} must be divisible by {step}", param=param)
