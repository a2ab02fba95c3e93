"""Codes of Klarna, Afterpay and Coinbase. They are no card networks, and say little about why."""

from __future__ import annotations

from domain.declines.classes import DeclineReason, merged, rows

KLARNA = merged(
    rows(
        "docs.klarna.com, error codes; place an order of a customer token",
        "2026-11-28",
        {
            DeclineReason.BANK: "payment_method_failed",
            DeclineReason.ACTION: "unavailable_payment_method",
            DeclineReason.REFUSED: "rejected",
            DeclineReason.UNUSABLE: "token_cancelled token_suspended",
        },
    ),
    # Our words for the end of a hosted page, and of an order that Klarna reviewed.
    rows(
        "docs.klarna.com, Hosted Payment Page sessions and order notifications",
        "2026-11-28",
        {DeclineReason.REFUSED: "fraud_rejected page_error page_failed"},
    ),
)
AFTERPAY = rows(
    "Afterpay's OpenAPI of payments, payment states",
    "2026-11-23",
    {DeclineReason.REFUSED: "AUTH_DECLINED CAPTURE_DECLINED"},
)
# A payment on a blockchain fails or expires. The codes of mandates are those of Payment Acceptance.
COINBASE = rows(
    "docs.cdp.coinbase.com, checkouts and payment sessions",
    "2026-11-23",
    {
        DeclineReason.TECHNICAL: "insufficient_liquidity timed_out",
        DeclineReason.LIMIT: "daily_amount_limit_exceeded",
        DeclineReason.FUNDS: "insufficient_balance",
        DeclineReason.ACTION: "authorization_expired",
        DeclineReason.REFUSED: "payment_failed refund_failed mandate_policy_violation",
        DeclineReason.CONSENT: "mandate_expired mandate_revoked",
    },
)
