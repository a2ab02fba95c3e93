"""What PayPal's refusals mean for an attempt: a closed table, and the look-ups in it. Which of them are declines, and
of which class, stands in `domain.declines.paypal`, with the processors' codes.

Source: PayPal's OpenAPI of Orders 2.13 and Payments 2.5, which lists the issues of each operation, read 2026-11-23."""

from __future__ import annotations

from domain.decline import Decline, DeclineClass, decline_by
from domain.declines import paypal
from domain.outcome import AuthenticationRequired, Declined, Outcome
from gateways.failures import CallFailed, FailureKind, reason_word
from gateways.json_api import ProviderResponse

_PAYPAL = "paypal"
# The buyer can go back to PayPal and choose other funding. Without a buyer the issue is a decline.
SEND_BACK = frozenset(paypal.SEND_BACK)
_DECLINES = {
    issue: row.reason.decline_class
    for issue, row in {**paypal.SEND_BACK, **paypal.DECLINES}.items()
    if row.reason is not None
}
# Executed already, under way, or in a state that we did not expect: PayPal's books decide.
_LOOK_UP = frozenset(
    """
    AUTHORIZATION_ALREADY_CAPTURED AUTHORIZATION_DENIED AUTHORIZATION_EXPIRED AUTHORIZATION_VOIDED CANNOT_BE_VOIDED
    CAPTURE_FULLY_REFUNDED DUPLICATE_INVOICE_ID INVALID_RESOURCE_ID ORDER_ALREADY_AUTHORIZED ORDER_ALREADY_CAPTURED
    ORDER_COMPLETED_OR_VOIDED ORDER_COMPLETION_IN_PROGRESS PREVIOUSLY_CAPTURED PREVIOUSLY_VOIDED
    PREVIOUS_REQUEST_IN_PROGRESS
    """.split()
)
# Not executed, because something else has to happen first: a later repeat may pass.
_LATER = frozenset({"PENDING_CAPTURE"})
# The request or our own account is at fault: every repeat is refused as well.
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
    **_DECLINES,
    **dict.fromkeys(_LOOK_UP, FailureKind.UNKNOWN),
    **dict.fromkeys(_LATER, FailureKind.NOT_EXECUTED),
    **dict.fromkeys(_REFUSED, FailureKind.AT_FAULT),
}


def issue_of(response: ProviderResponse) -> str:
    """Return the short stable word for a refusal: its issue, its name, or its status. Never raises."""
    body = response.fields
    details = body.get("details")
    issues = [each.get("issue") for each in details if isinstance(each, dict)] if isinstance(details, list) else []
    words = [reason_word(value, "") for value in (*issues, body.get("name"), body.get("error"))]
    in_table = next((word for word in words if word in ISSUES), None)
    return in_table or next(filter(None, words), f"http_{response.status}")


def is_missing(response: ProviderResponse) -> bool:
    """Tell whether PayPal says in its own words that there is no such object: another server's 404 proves nothing."""
    is_from_paypal = response.fields.get("name") == "RESOURCE_NOT_FOUND" or issue_of(response) == "INVALID_RESOURCE_ID"
    return response.status == 404 and is_from_paypal


def outcome_of_refusal(response: ProviderResponse, reference: str | None) -> Outcome:
    """Return what a refused call says about its attempt when the buyer cannot choose other funding."""
    issue = issue_of(response)
    meaning = _meaning(response.status, issue)
    if isinstance(meaning, DeclineClass):
        return _declined(issue, reference)
    return CallFailed(issue, meaning).outcome(reference)


def _meaning(status: int, issue: str) -> DeclineClass | FailureKind:
    if status in (401, 429):
        return FailureKind.NOT_EXECUTED
    if not 400 <= status < 500:
        return FailureKind.UNKNOWN
    return ISSUES.get(issue, FailureKind.AT_FAULT if status in (400, 403, 415) else FailureKind.UNKNOWN)


def _declined(issue: str, reference: str | None) -> Outcome:
    decline = decline_by(_PAYPAL, issue)
    return (AuthenticationRequired if issue == "PAYER_ACTION_REQUIRED" else Declined)(reference, decline)


def decline_with_codes(
    status: str, response_code: str | None, advice_code: str | None, reason: str | None, network: str | None
) -> Decline:
    """Return the decline of a refused capture or authorization; soft without any code. `network`: the card's."""
    also = paypal.REASONS.get(reason or "")
    return decline_by(
        _PAYPAL,
        status,
        decline_code=response_code or reason,
        network_advice_code=advice_code,
        network=network.lower() if network else None,
        also=also.reason if also else None,
    )
