"""Stripe's codes: of errors, declines, failed debits and returned debits, and its own advice.

Stripe publishes no hard or soft; the reasons are ours. They follow Visa's category 1, Mastercard's advice codes, and
the codes that Stripe's own Smart Retries never tries again."""

from __future__ import annotations

from domain.declines.classes import DeclineReason, merged, rows

_DECLINES = rows(
    "docs.stripe.com/declines/codes",
    "2026-11-23",
    {
        # The decline code beside it says why.
        None: "card_declined",
        DeclineReason.TECHNICAL: "issuer_not_available processing_error reenter_transaction try_again_later",
        DeclineReason.BANK: """
            approve_with_id call_issuer do_not_honor duplicate_transaction generic_decline invalid_amount
            no_action_taken service_not_allowed
        """,
        DeclineReason.LIMIT: "card_velocity_exceeded withdrawal_count_limit_exceeded",
        DeclineReason.FUNDS: "insufficient_funds",
        DeclineReason.AUTHENTICATION: """
            authentication_not_handled authentication_required mobile_device_authentication_required
            offline_pin_required online_or_offline_pin_required
        """,
        DeclineReason.DETAILS: """
            incorrect_address incorrect_cvc incorrect_number incorrect_pin incorrect_zip invalid_cvc
            invalid_expiry_month invalid_expiry_year invalid_number invalid_pin new_account_information_available
        """,
        DeclineReason.EXPIRED: "expired_card",
        DeclineReason.UNUSABLE: """
            card_not_supported currency_not_supported do_not_try_again not_permitted pin_try_exceeded restricted_card
            testmode_decline transaction_not_allowed
        """,
        DeclineReason.CLOSED: "invalid_account lost_card pickup_card stolen_card",
        DeclineReason.RISK: "fraudulent highest_risk_level merchant_blacklist security_violation",
        DeclineReason.CONSENT: "revocation_of_all_authorizations revocation_of_authorization stop_payment_order",
    },
)
_ERRORS = rows(
    "docs.stripe.com/error-codes",
    "2026-11-28",
    {
        DeclineReason.BANK: "card_decline_rate_limit_exceeded",
        # A redirect or a microdeposit that came to nothing.
        DeclineReason.ACTION: """
            payment_intent_payment_attempt_expired payment_intent_payment_attempt_failed
            payment_method_customer_decline payment_method_microdeposit_failed
            payment_method_microdeposit_verification_attempts_exceeded
            payment_method_microdeposit_verification_timeout payment_method_provider_decline
        """,
        DeclineReason.AUTHENTICATION: "payment_intent_authentication_failure setup_intent_authentication_failure",
        DeclineReason.UNUSABLE: """
            bank_account_restricted bank_account_unusable debit_not_authorized payment_method_bank_account_blocked
            sepa_unsupported_account
        """,
        DeclineReason.CLOSED: "account_closed account_invalid account_number_invalid no_account",
    },
)
_RETURNS = rows(
    "docs.stripe.com/disputes/categories",
    "2026-11-28",
    {DeclineReason.UNUSABLE: "bank_cannot_process customer_initiated incorrect_account_details"},
)
# Stripe itself has stopped the retries of a Visa card.
_BLOCKED = rows(
    "support.stripe.com, excessive retries of Visa payments",
    "2026-11-23",
    {DeclineReason.UNUSABLE: "previously_declined_do_not_retry"},
)
CODES = merged(_DECLINES, _ERRORS, _RETURNS, _BLOCKED)
ADVICE = rows(
    "docs.stripe.com/declines/codes, advice codes",
    "2026-11-23",
    {
        None: "try_again_later",
        DeclineReason.DETAILS: "confirm_card_data",
        DeclineReason.UNUSABLE: "do_not_try_again",
    },
)
