"""Owns the rules for amounts: which currencies exist, the smallest charge, and the last digits that must be
zero.

https://docs.stripe.com/currencies (minimum amounts, zero-decimal and three-decimal currencies), read
2026-11-23.
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

# Minor units. Everywhere else about 0.50 US dollars; 50 units is a plain stand-in for the daily rate.
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

# The last digit of three-decimal amounts must be 0; ISK and UGX are sent with two decimals that must be 00.
STEP = {"bhd": 10, "jod": 10, "kwd": 10, "omr": 10, "tnd": 10, "isk": 100, "ugx": 100}


def read_currency(value: object, name: str) -> str:
    """Read an ISO currency code, in either case."""
    code = str(value).lower()
    if code not in SUPPORTED:
        raise InvalidParameter(
            f"Invalid currency: {code}. Stripe currently supports these currencies: {', '.join(sorted(SUPPORTED))}",
            param=name,
        )
    return code


def check_amount(amount: int, currency: str) -> None:
    """Refuse an amount that cannot be charged in the currency."""
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
    step = STEP.get(currency, 1)
    if amount % step:
        raise InvalidParameter(f"Amounts in {currency} must be divisible by {step}", param="amount")
