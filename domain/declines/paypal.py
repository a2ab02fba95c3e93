"""PayPal's codes: issues of refused calls, reasons of a capture, and response codes of card processors.

PayPal does not say which are hard and which are soft: that split is our own."""

from __future__ import annotations

from domain.declines.classes import DeclineReason, merged, rows

_OPENAPI = "PayPal's OpenAPI of Orders 2.13 and Payments 2.5"
# The buyer can go back to PayPal and choose other funding. Without a buyer the issue is a decline.
SEND_BACK = rows(
    _OPENAPI,
    "2026-11-23",
    {
        DeclineReason.BANK: "INSTRUMENT_DECLINED REDIRECT_PAYER_FOR_ALTERNATE_FUNDING",
        DeclineReason.ACTION: "ORDER_NOT_APPROVED",
        DeclineReason.AUTHENTICATION: "PAYER_ACTION_REQUIRED",
    },
)
DECLINES = rows(
    _OPENAPI,
    "2026-11-23",
    {
        # Limits of the buyer and of our account: the payment may pass on another day, or with a smaller amount.
        DeclineReason.LIMIT: "TRANSACTION_LIMIT_EXCEEDED TRANSACTION_RECEIVING_LIMIT_EXCEEDED",
        DeclineReason.ACTION: "ORDER_EXPIRED",
        DeclineReason.EXPIRED: "CARD_EXPIRED REFERENCED_CARD_EXPIRED",
        DeclineReason.REFUSED: """
            ALIAS_DECLINED_BY_PROCESSOR COMPLIANCE_VIOLATION DECLINED_DUE_TO_RELATED_TXN
            MAX_NUMBER_OF_PAYMENT_ATTEMPTS_EXCEEDED PAYEE_BLOCKED_TRANSACTION PAYER_ACCOUNT_RESTRICTED
            PAYER_CANNOT_PAY PAYMENT_SOURCE_DECLINED_BY_PROCESSOR PAYMENT_SOURCE_INFO_CANNOT_BE_VERIFIED
            TRANSACTION_BLOCKED_BY_PAYEE TRANSACTION_REFUSED
        """,
        DeclineReason.UNUSABLE: """
            BILLING_AGREEMENT_NOT_FOUND PAYMENT_SOURCE_CANNOT_BE_USED TOKEN_EXPIRED TOKEN_ID_NOT_FOUND
        """,
        DeclineReason.CLOSED: "PAYER_ACCOUNT_LOCKED_OR_CLOSED",
        DeclineReason.CONSENT: "AGREEMENT_ALREADY_CANCELLED",
    },
)
# Of a capture or an authorization that was refused: the codes in it say why.
_STATUSES = rows(_OPENAPI, "2026-11-23", {None: "DECLINED DENIED FAILED CANCELLED"})
ISSUES = merged(SEND_BACK, DECLINES, _STATUSES)
# Reasons of a capture or authorization. The last one is PayPal's own: no processor has seen the payment.
REASONS = rows(
    _OPENAPI,
    "2026-11-23",
    {
        None: """
            BUYER_COMPLAINT CHARGEBACK ECHECK INTERNATIONAL_WITHDRAWAL OTHER PENDING_REVIEW
            RECEIVING_PREFERENCE_MANDATES_MANUAL_ACTION REFUNDED TRANSACTION_APPROVED_AWAITING_FUNDING UNILATERAL
            VERIFICATION_REQUIRED
        """,
        DeclineReason.RISK: "DECLINED_BY_RISK_FRAUD_FILTERS",
    },
)
RESPONSE_CODES = rows(
    "paypal-server-sdk 2.4.0, processor_response.response_code",
    "2026-11-23",
    {
        DeclineReason.TECHNICAL: "0960 5920 8000 8100 8110 8220 PPER PPNT",
        DeclineReason.UNKNOWN: "9600",
        DeclineReason.BANK: """
            0000 0100 0500 0800 0R00 1000 5100 5200 5900 7600 9100 PPDI PPIF PPS6 PPSC PPSD PPVE
        """,
        DeclineReason.LIMIT: "PPAX",
        DeclineReason.FUNDS: "5120",
        DeclineReason.ACTION: "5930",
        DeclineReason.AUTHENTICATION: "5650 7700 7710 PCNR PPAR PPD3 PPDV",
        DeclineReason.DETAILS: "00N7 0890 1380 1382 5110 5130 5170 5190 5500 7900 PCVV PPAD PPAV PPC2",
        DeclineReason.EXPIRED: "5400 PPEF PPEX",
        # Limits of attempts (5710 PPDT PPEL PPNL), data of the request, our own account, and refusals without a reason.
        DeclineReason.REFUSED: """
            0880 10BR 1300 1310 1312 1317 1320 1340 1350 1360 1370 1384 1390 1393 5210 5710 5800 5910 7800 8010 8020
            8030 PPAG PPAI PPAU PPBG PPCE PPCO PPCR PPDC PPDT PPEL PPFE PPFV PPGR PPH1 PPII PPIM PPIT PPLR PPLS PPMB
            PPMD PPNC PPNL PPNM PPPH PPPI PPQC PPRE PPRF PPRR PPS0 PPS1 PPS2 PPS3 PPS4 PPS5 PPTF PPTI PPTT PPUA PPUE
            PPUI PPUP PPUR PPVC PPVT
        """,
        DeclineReason.UNUSABLE: """
            0580 5135 5160 5180 5700 5950 9530 9540 PPAE PPCT PPCU PPFI PPFR PPMC PPPM PPRN PPSE PPTE PPTR PPTV PPUC
        """,
        DeclineReason.CLOSED: "0390 1330 1335 1352 5140 5150 6300 9520 PP06 PPAB",
        DeclineReason.RISK: "9500 9510",
    },
)
