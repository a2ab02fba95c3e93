"""Sorts decline codes by what may be tried again. The table is data with a source and a date."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class DeclineClass(StrEnum):
    """What a decline means for the same instrument. Technical: no issuer was asked."""

    TECHNICAL = "technical"
    SOFT = "soft"
    NEEDS_CUSTOMER = "needs_customer"
    HARD = "hard"
    CONSENT_WITHDRAWN = "consent_withdrawn"


@dataclass(frozen=True, slots=True)
class Decline:
    """A decline: the provider's codes exactly as they came, and our class of them."""

    code: str
    decline_class: DeclineClass
    decline_code: str | None = None
    advice_code: str | None = None
    network_advice_code: str | None = None
    network_decline_code: str | None = None


# Stripe's published decline codes (docs.stripe.com/declines/codes, read 2026-11-23). Stripe gives no
# hard/soft split; ours follows Visa's category 1, Mastercard's advice codes and the codes that Stripe's
# own Smart Retries never tries again. An unknown code is soft: the number of retries limits the harm.
_CLASSES: dict[DeclineClass, frozenset[str]] = {
    DeclineClass.CONSENT_WITHDRAWN: frozenset(
        {"revocation_of_authorization", "revocation_of_all_authorizations", "stop_payment_order"}
    ),
    DeclineClass.HARD: frozenset(
        {
            "account_closed",
            "account_invalid",
            "account_number_invalid",
            "bank_account_restricted",
            "bank_account_unusable",
            "card_not_supported",
            "currency_not_supported",
            "debit_not_authorized",
            "do_not_try_again",
            "fraudulent",
            "highest_risk_level",
            "invalid_account",
            "lost_card",
            "merchant_blacklist",
            "no_account",
            "not_permitted",
            "payment_method_bank_account_blocked",
            "pickup_card",
            "pin_try_exceeded",
            "restricted_card",
            "security_violation",
            "sepa_unsupported_account",
            "stolen_card",
            "testmode_decline",
            "transaction_not_allowed",
            # Reasons of returned debits (docs.stripe.com/disputes/categories, read 2026-11-28).
            "bank_cannot_process",
            "customer_initiated",
            "incorrect_account_details",
        }
    ),
    DeclineClass.NEEDS_CUSTOMER: frozenset(
        {
            "authentication_not_handled",
            "authentication_required",
            "expired_card",
            "incorrect_address",
            "incorrect_cvc",
            "incorrect_number",
            "incorrect_pin",
            "incorrect_zip",
            "invalid_cvc",
            "invalid_expiry_month",
            "invalid_expiry_year",
            "invalid_number",
            "invalid_pin",
            "new_account_information_available",
            "offline_pin_required",
            "online_or_offline_pin_required",
            "payment_intent_authentication_failure",
            # A redirect or a microdeposit that came to nothing (docs.stripe.com/error-codes, read 2026-11-28).
            "payment_intent_payment_attempt_expired",
            "payment_intent_payment_attempt_failed",
            "payment_method_customer_decline",
            "payment_method_microdeposit_failed",
            "payment_method_microdeposit_verification_attempts_exceeded",
            "payment_method_microdeposit_verification_timeout",
            "payment_method_provider_decline",
        }
    ),
}
_CLASS_OF = {code: decline_class for decline_class, codes in _CLASSES.items() for code in codes}

# The issuer or the provider suspects fraud: whoever holds the card is not reminded of anything.
_RISK = frozenset({"fraudulent", "highest_risk_level", "merchant_blacklist", "security_violation"})

# Mastercard merchant advice codes that forbid or condition a retry (acquirers' notices, read 2026-11-23).
_NETWORK_ADVICE = {
    "01": DeclineClass.NEEDS_CUSTOMER,
    "03": DeclineClass.HARD,
    "04": DeclineClass.NEEDS_CUSTOMER,
    "05": DeclineClass.HARD,
    "21": DeclineClass.CONSENT_WITHDRAWN,
    "22": DeclineClass.HARD,
    "42": DeclineClass.HARD,
}
_ADVICE = {"do_not_try_again": DeclineClass.HARD, "confirm_card_data": DeclineClass.NEEDS_CUSTOMER}
_SEVERITY = list(DeclineClass)


def classify(
    code: str,
    decline_code: str | None = None,
    advice_code: str | None = None,
    network_advice_code: str | None = None,
) -> DeclineClass:
    """Return the strictest class that any of the codes asks for, so that no card is retried against advice.

    >>> classify("card_declined", "insufficient_funds").value
    'soft'
    >>> classify("card_declined", "generic_decline", "do_not_try_again").value
    'hard'
    >>> classify("expired_card", "expired_card", "confirm_card_data").value
    'needs_customer'
    """
    found = (
        _CLASS_OF.get(code),
        _CLASS_OF.get(decline_code or ""),
        _ADVICE.get(advice_code or ""),
        _NETWORK_ADVICE.get(network_advice_code or ""),
    )
    return max((known for known in found if known), key=_SEVERITY.index, default=DeclineClass.SOFT)


def is_risk(code: str) -> bool:
    """Tell whether a decline was about fraud, so that its customer gets no mail.

    >>> is_risk("fraudulent"), is_risk("lost_card")
    (True, False)
    """
    return code in _RISK
