"""The card networks' response codes and advice codes, and how long an advice code wants us to wait.

The networks' rule books are not public: acquirers, processors and gateways publish their rules. Where they differ, the
stricter one stands here."""

from __future__ import annotations

from datetime import timedelta

from domain.declines.classes import DeclineReason, merged, rows

VISA, MASTERCARD = "visa", "mastercard"

_ACQUIRERS = rows(
    "response codes and Visa's categories: checkout.com visa-response-codes, developers.tabapay.com, docs.evolve.com",
    "2026-11-23",
    {
        DeclineReason.TECHNICAL: "19 68 91 96",
        # 79 and 83 are Mastercard's life cycle and security: only the advice code beside them says more.
        DeclineReason.BANK: "05 79 83 86 93 N3 N4",
        DeclineReason.LIMIT: "61 65 75",
        DeclineReason.FUNDS: "51",
        DeclineReason.AUTHENTICATION: "1A 55 70",
        DeclineReason.DETAILS: "14 6P 82 N7",
        DeclineReason.EXPIRED: "54",
        DeclineReason.UNUSABLE: "57 62",
        DeclineReason.CLOSED: "04 07 41 43 46",
        DeclineReason.RISK: "59",
        DeclineReason.CONSENT: "R0 R1 R3",
    },
)
_SINCE_APRIL_2025 = rows(
    "Visa since April 2025: merchants.fiserv.com card-brand updates",
    "2026-11-28",
    {
        # The issuer does not support it, or blocks it.
        DeclineReason.UNUSABLE: "5C",
        # The cardholder blocks it.
        DeclineReason.CONSENT: "9G",
        # Invalid transaction and no such issuer: Visa reads both as 05.
        DeclineReason.BANK: "12 15",
    },
)
CODES = merged(_ACQUIRERS, _SINCE_APRIL_2025)
# Mastercard's merchant advice codes. 40, 41 and 43 tell a kind of card: a single-use number (41) pays once.
ADVICE = rows(
    "merchant advice codes: developers.tabapay.com, docs.payzu.com.br, docs.antom.com, PayPal server SDK 2.4.0",
    "2026-11-23",
    {
        None: "02 24 25 26 27 28 29 30 40 43",
        DeclineReason.DETAILS: "01 04",
        DeclineReason.REFUSED: "05 22 42",
        DeclineReason.UNUSABLE: "03 41",
        DeclineReason.CONSENT: "21",
    },
)
# Visa gives three of the numbers another meaning where PayPal shows them: the cardholder stops this payment, or all.
VISA_ADVICE = rows(
    "PayPal server SDK 2.4.0, payment_advice_code",
    "2026-11-23",
    {DeclineReason.STOPPED: "02", DeclineReason.CONSENT: "03 21"},
)
# How long Mastercard wants us to wait after an advice code (the same sources as ADVICE; 02: Everonet, read 2026-11-23).
WAITS = {
    "02": timedelta(hours=72),
    "24": timedelta(hours=1),
    "25": timedelta(hours=24),
    "26": timedelta(days=2),
    "27": timedelta(days=4),
    "28": timedelta(days=6),
    "29": timedelta(days=8),
    "30": timedelta(days=10),
}
