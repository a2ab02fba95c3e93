"""What PayPal's refusals and processor codes mean for an attempt: closed tables, and nothing else.

Sources: PayPal's OpenAPI of Orders 2.13 and Payments 2.5, which lists the issues of each operation, and the server SDK
2.4.0 for the processor codes, read 2026-11-23. Which issues are hard and which soft is ours: PayPal does not say."""

from __future__ import annotations

from typing import Any

from domain.decline import Decline, DeclineClass, classify
from domain.outcome import AuthenticationRequired, Declined, Outcome
from gateways.failures import CallFailed, FailureKind, reason_word
from gateways.json_api import ProviderResponse

_SEVERITY = list(DeclineClass)
# A longer one is no code, and cannot be kept.
_LONGEST_ADVICE = 20

# The buyer can go back to PayPal and choose other funding; while he is away it is a decline of this class.
SEND_BACK = {
    "INSTRUMENT_DECLINED": DeclineClass.SOFT,
    "ORDER_NOT_APPROVED": DeclineClass.NEEDS_CUSTOMER,
    "PAYER_ACTION_REQUIRED": DeclineClass.NEEDS_CUSTOMER,
    "REDIRECT_PAYER_FOR_ALTERNATE_FUNDING": DeclineClass.SOFT,
}
DECLINES = {
    # the buyer's own limit, and what our account may receive: another day, or a smaller amount
    "TRANSACTION_LIMIT_EXCEEDED": DeclineClass.SOFT,
    "TRANSACTION_RECEIVING_LIMIT_EXCEEDED": DeclineClass.SOFT,
    "CARD_EXPIRED": DeclineClass.NEEDS_CUSTOMER,
    "ORDER_EXPIRED": DeclineClass.NEEDS_CUSTOMER,
    "REFERENCED_CARD_EXPIRED": DeclineClass.NEEDS_CUSTOMER,
    "AGREEMENT_ALREADY_CANCELLED": DeclineClass.CONSENT_WITHDRAWN,
    **dict.fromkeys(
        """
    ALIAS_DECLINED_BY_PROCESSOR BILLING_AGREEMENT_NOT_FOUND COMPLIANCE_VIOLATION DECLINED_DUE_TO_RELATED_TXN
    MAX_NUMBER_OF_PAYMENT_ATTEMPTS_EXCEEDED PAYEE_BLOCKED_TRANSACTION PAYER_ACCOUNT_LOCKED_OR_CLOSED
    PAYER_ACCOUNT_RESTRICTED PAYER_CANNOT_PAY PAYMENT_SOURCE_CANNOT_BE_USED PAYMENT_SOURCE_DECLINED_BY_PROCESSOR
    PAYMENT_SOURCE_INFO_CANNOT_BE_VERIFIED TOKEN_EXPIRED TOKEN_ID_NOT_FOUND TRANSACTION_BLOCKED_BY_PAYEE
    TRANSACTION_REFUSED
    """.split(),
        DeclineClass.HARD,
    ),
}
# Done already, on its way, or in another state than we thought: PayPal's books decide.
_LOOK_UP = frozenset(
    """
    AUTHORIZATION_ALREADY_CAPTURED AUTHORIZATION_DENIED AUTHORIZATION_EXPIRED AUTHORIZATION_VOIDED CANNOT_BE_VOIDED
    CAPTURE_FULLY_REFUNDED DUPLICATE_INVOICE_ID INVALID_RESOURCE_ID ORDER_ALREADY_AUTHORIZED ORDER_ALREADY_CAPTURED
    ORDER_COMPLETED_OR_VOIDED ORDER_COMPLETION_IN_PROGRESS PREVIOUSLY_CAPTURED PREVIOUSLY_VOIDED
    PREVIOUS_REQUEST_IN_PROGRESS
    """.split()
)
# Not executed because something else comes first.
_LATER = frozenset({"PENDING_CAPTURE"})
# The request or our own account is at fault: the same call will always be refused.
_REFUSED = frozenset(
    """
    ACTION_DOES_NOT_MATCH_INTENT AMOUNT_CANNOT_BE_SPECIFIED AMOUNT_MISMATCH APPLE_PAY_AMOUNT_MISMATCH
    AUTHORIZATION_AMOUNT_EXCEEDED AUTHORIZATION_CURRENCY_MISMATCH AUTH_CAPTURE_CURRENCY_MISMATCH
    AUTH_CAPTURE_NOT_ENABLED BANK_NOT_SUPPORTED_FOR_VERIFICATION BILLING_ADDRESS_INVALID
    BILLING_AGREEMENT_ID_MISMATCH BLIK_ONE_CLICK_MISSING_REQUIRED_PARAMETER CANCEL_URL_REQUIRED CANNOT_BE_NEGATIVE
    CANNOT_BE_ZERO_OR_NEGATIVE CARD_BRAND_NOT_SUPPORTED CARD_EXPIRY_REQUIRED CARD_NUMBER_REQUIRED CITY_REQUIRED
    CONSENT_NEEDED CRYPTOGRAM_REQUIRED CURRENCY_MISMATCH CURRENCY_NOT_SUPPORTED_FOR_BANK DECIMALS_NOT_SUPPORTED
    DECIMAL_PRECISION DOMESTIC_TRANSACTION_REQUIRED DONATION_ITEMS_NOT_SUPPORTED DUPLICATE_REFERENCE_ID
    EMV_DATA_REQUIRED GOOGLE_PAY_GATEWAY_MERCHANT_ID_MISMATCH IBAN_COUNTRY_NOT_SUPPORTED IDENTIFIER_NOT_FOUND
    INCOMPATIBLE_PARAMETER_VALUE INVALID_ACCOUNT_STATUS INVALID_ARRAY_MAX_ITEMS INVALID_ARRAY_MIN_ITEMS
    INVALID_COUNTRY_CODE INVALID_CURRENCY_CODE INVALID_EXPIRY_DATE INVALID_FX_RATE_ID INVALID_GOOGLE_PAY_TOKEN
    INVALID_IBAN INVALID_PARAMETER_SYNTAX INVALID_PARAMETER_VALUE INVALID_PAYEE_PRICING_TIER_ID INVALID_PAYER_ID
    INVALID_PICKUP_ADDRESS INVALID_PLATFORM_FEES_ACCOUNT INVALID_PLATFORM_FEES_AMOUNT
    INVALID_PREVIOUS_TRANSACTION_REFERENCE INVALID_SECURITY_CODE_LENGTH INVALID_STRING_LENGTH
    INVALID_STRING_MAX_LENGTH ITEM_TOTAL_MISMATCH ITEM_TOTAL_REQUIRED MALFORMED_REQUEST_JSON
    MAX_AUTHORIZATION_COUNT_EXCEEDED MAX_CAPTURE_AMOUNT_EXCEEDED MAX_CAPTURE_COUNT_EXCEEDED
    MAX_NUMBER_OF_REFUNDS_EXCEEDED MAX_VALUE_EXCEEDED MERCHANT_INITIATED_WITH_AUTHENTICATION_RESULTS
    MERCHANT_INITIATED_WITH_MULTIPLE_PURCHASE_UNITS MERCHANT_INITIATED_WITH_SECURITY_CODE
    MISMATCHED_VAULT_ID_TO_PAYMENT_SOURCE MISSING_CRYPTOGRAM MISSING_PICKUP_ADDRESS MISSING_PREVIOUS_REFERENCE
    MISSING_REQUIRED_PARAMETER MULTIPLE_ITEM_CATEGORIES MULTIPLE_SHIPPING_ADDRESS_NOT_SUPPORTED
    MULTIPLE_SHIPPING_OPTION_SELECTED MULTIPLE_SHIPPING_TYPE_NOT_SUPPORTED MULTI_CURRENCY_ORDER
    NOT_ELIGIBLE_FOR_PAYPAL_TRANSACTION_ID_PROCESSING NOT_ELIGIBLE_FOR_PNREF_PROCESSING
    NOT_ELIGIBLE_FOR_TOKEN_PROCESSING NOT_ENABLED_FOR_APPLE_PAY NOT_ENABLED_FOR_BANK_PROCESSING
    NOT_ENABLED_FOR_CARD_PROCESSING NOT_ENABLED_FOR_GOOGLE_PAY NOT_ENABLED_TO_VAULT_PAYMENT_SOURCE NOT_SUPPORTED
    ONE_OF_PARAMETERS_REQUIRED ONLY_ONE_BANK_SOURCE_ALLOWED ORDER_CANNOT_BE_SAVED ORDER_COMPLETE_ON_PAYMENT_APPROVAL
    PARTIAL_REFUND_NOT_ALLOWED PAYEE_ACCOUNT_INVALID PAYEE_ACCOUNT_LOCKED_OR_CLOSED PAYEE_ACCOUNT_RESTRICTED
    PAYEE_FX_RATE_ID_CURRENCY_MISMATCH PAYEE_FX_RATE_ID_EXPIRED PAYEE_NOT_ENABLED_FOR_BANK_PROCESSING
    PAYEE_NOT_ENABLED_FOR_CARD_PROCESSING PAYEE_PRICING_TIER_ID_NOT_ENABLED PAYMENT_SOURCE_MISMATCH
    PAYMENT_SOURCE_NOT_SUPPORTED PAYMENT_TYPE_NOT_SUPPORTED_FOR_INTENT PAYPAL_REQUEST_ID_REQUIRED
    PAYPAL_TRANSACTION_ID_EXPIRED PAYPAL_TRANSACTION_ID_NOT_FOUND PERMISSION_DENIED
    PERMISSION_DENIED_FOR_DONATION_ITEMS PLATFORM_FEES_NOT_SUPPORTED PLATFORM_FEE_EXCEEDED PLATFORM_FEE_NOT_ENABLED
    PLATFORM_FEE_PAYEE_CANNOT_BE_SAME_AS_PAYER PNREF_EXPIRED PNREF_NOT_FOUND POSTAL_CODE_REQUIRED
    PREFERRED_PAYMENT_SOURCE_MISMATCH PREFERRED_SHIPPING_OPTION_AMOUNT_MISMATCH
    PREVIOUS_TRANSACTION_REFERENCE_HAS_CHARGEBACK PREVIOUS_TRANSACTION_REFERENCE_VOIDED REFERENCE_ID_REQUIRED
    REFUND_AMOUNT_EXCEEDED REFUND_AMOUNT_TOO_LOW REFUND_CAPTURE_CURRENCY_MISMATCH REFUND_FAILED_INSUFFICIENT_FUNDS
    REFUND_IS_RESTRICTED REFUND_NOT_ALLOWED REFUND_NOT_PERMITTED_DUE_TO_CHARGEBACK REFUND_TIME_LIMIT_EXCEEDED
    REQUIRED_PARAMETER_FOR_CUSTOMER_INITIATED_PAYMENT RETURN_URL_REQUIRED SAVE_ORDER_NOT_SUPPORTED
    SETUP_ERROR_FOR_BANK SHIPPING_ADDRESS_INVALID SHIPPING_OPTIONS_NOT_SUPPORTED SHIPPING_OPTION_NOT_SELECTED
    SHIPPING_TYPE_NOT_SUPPORTED_FOR_CLIENT TAX_TOTAL_MISMATCH TAX_TOTAL_REQUIRED TRANSACTION_DISPUTED
    UNSUPPORTED_INTENT UNSUPPORTED_INTENT_FOR_PAYMENT_SOURCE UNSUPPORTED_PAYMENT_INSTRUCTION
    UNSUPPORTED_PROCESSING_INSTRUCTION UNSUPPORTED_SHIPPING_TYPE VAULT_INSTRUCTION_DUPLICATED
    VAULT_INSTRUCTION_REQUIRED
    """.split()
)
ISSUES: dict[str, DeclineClass | FailureKind] = {
    **SEND_BACK,
    **DECLINES,
    **dict.fromkeys(_LOOK_UP, FailureKind.UNKNOWN),
    **dict.fromkeys(_LATER, FailureKind.NOT_EXECUTED),
    **dict.fromkeys(_REFUSED, FailureKind.AT_FAULT),
}

_CODES = {
    DeclineClass.SOFT: """
        0000 0100 0500 0800 0960 1000 5100 5120 5200 5900 5920 7600 8000 8100 8110 8220 9100 9600 0R00 PPAX PPER PPIF
        PPNT PPSC PPSD PPDI PPVE PPS6
    """,
    DeclineClass.NEEDS_CUSTOMER: """
        00N7 1380 1382 5110 5130 5170 5190 5400 5500 5650 5930 7700 7710 7900 0890 PCVV PCNR PPAD PPAV PPC2 PPD3 PPEF
        PPEX PPAR PPDV
    """,
    DeclineClass.HARD: """
        0390 0580 0880 10BR 1300 1310 1312 1317 1320 1330 1335 1340 1350 1352 1360 1370 1384 1390 1393 5135 5140 5150
        5160 5180 5210 5700 5710 5800 5910 5950 6300 7800 8010 8020 8030 9500 9510 9520 9530 9540 PP06 PPRN PPAB PPAE
        PPAG PPAI PPAU PPBG PPCE PPCO PPCR PPCT PPCU PPDC PPDT PPEL PPFE PPFI PPFR PPFV PPGR PPH1 PPII PPIM PPIT PPLR
        PPLS PPMB PPMC PPMD PPNC PPNL PPNM PPPH PPPI PPPM PPQC PPRE PPRF PPRR PPS0 PPS1 PPS2 PPS3 PPS4 PPS5 PPSE PPTE
        PPTF PPTI PPTR PPTT PPTV PPUA PPUC PPUE PPUI PPUP PPUR PPVC PPVT
    """,
}
RESPONSE_CODES = {code: decline_class for decline_class, codes in _CODES.items() for code in codes.split()}
# Visa's advice says something else under the same numbers: this payment, or the whole agreement, was stopped.
_VISA_ADVICE = {
    "02": DeclineClass.HARD,
    "03": DeclineClass.CONSENT_WITHDRAWN,
    "21": DeclineClass.CONSENT_WITHDRAWN,
}
# Reasons of a refused capture or authorization that name no processor.
_REASONS = {"DECLINED_BY_RISK_FRAUD_FILTERS": DeclineClass.HARD}


def issue_of(response: ProviderResponse) -> str:
    """Return the short stable word for a refusal: its issue, its name, or its status."""
    body = response.fields
    details = body.get("details") if isinstance(body.get("details"), list) else []
    found = [detail.get("issue") for detail in details or () if isinstance(detail, dict)]
    words = [reason_word(given, "") for given in (*found, body.get("name"), body.get("error"))]
    return next((known for known in words if known in ISSUES), next(filter(None, words), f"http_{response.status}"))


def is_missing(response: ProviderResponse) -> bool:
    """Tell whether PayPal says in its own words that there is no such object: another server's 404 proves nothing."""
    is_its_own = response.fields.get("name") == "RESOURCE_NOT_FOUND" or issue_of(response) == "INVALID_RESOURCE_ID"
    return response.status == 404 and is_its_own


def outcome_of_refusal(response: ProviderResponse, reference: str | None) -> Outcome:
    """Return what a refused call says about its attempt, the buyer being away."""
    issue = issue_of(response)
    meaning = _meaning(response.status, issue)
    if isinstance(meaning, DeclineClass):
        return _declined(issue, meaning, reference)
    return CallFailed(issue, meaning).outcome(reference)


def _meaning(status: int, issue: str) -> DeclineClass | FailureKind:
    if status in (401, 429):
        return FailureKind.NOT_EXECUTED
    if not 400 <= status < 500:
        return FailureKind.UNKNOWN
    return ISSUES.get(issue, FailureKind.AT_FAULT if status in (400, 403, 415) else FailureKind.UNKNOWN)


def decline_of(thing: Any) -> Decline:
    """Return why PayPal shows a capture or an authorization as refused. Raises what MALFORMED lists."""
    response = thing.get("processor_response") or {}
    code, advice = _code(response.get("response_code")), _code(response.get("payment_advice_code"))
    reason = _code((thing.get("status_details") or {}).get("reason"))
    advice = advice if advice and len(advice) <= _LONGEST_ADVICE else None
    is_visa = (thing.get("network_transaction_reference") or {}).get("network") == "VISA"
    said = (
        RESPONSE_CODES.get(str(code)),
        _REASONS.get(str(reason)),
        _VISA_ADVICE.get(str(advice)) if is_visa else classify("", network_advice_code=advice),
    )
    strictest = max((known for known in said if known), key=_SEVERITY.index, default=DeclineClass.SOFT)
    return Decline(thing["status"], strictest, decline_code=code or reason, network_advice_code=advice)


def _code(given: object) -> str | None:
    return reason_word(given, "") or None


def _declined(issue: str, decline_class: DeclineClass, reference: str | None) -> Outcome:
    decline = Decline(issue, decline_class)
    return (AuthenticationRequired if issue == "PAYER_ACTION_REQUIRED" else Declined)(reference, decline)
