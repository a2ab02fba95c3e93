"""Declines: the error code, decline code, advice code, network code and message of each kind.

Codes and parameters: https://docs.stripe.com/declines/codes and https://docs.stripe.com/testing. A decline has an
advice code only if test mode sends it [run]. The network codes are the ISO 8583 response codes that issuers use for the
case (unverified for test mode).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sandbox.stripe.errors import Json, doc_url

DEFAULT_MESSAGE = "Your card was declined."


@dataclass(frozen=True)
class Decline:
    """One kind of decline. `is_blocked`: Radar declines before the request to the issuer."""

    decline_code: str
    code: str = "card_declined"
    message: str = DEFAULT_MESSAGE
    param: str | None = None
    advice_code: str | None = None
    network_decline_code: str | None = None
    network_advice_code: str | None = None
    is_blocked: bool = False

    def error(self, *, charge: str | None, payment_method: Json | None) -> Json:
        """Return the error object of a 402 body and of `last_payment_error`."""
        optional = {
            "advice_code": self.advice_code,
            "charge": charge,
            "network_advice_code": self.network_advice_code,
            "network_decline_code": self.network_decline_code,
            "param": self.param,
            "payment_method": payment_method and dict(payment_method),
        }
        return {
            "type": "card_error",
            "code": self.code,
            "decline_code": self.decline_code,
            "doc_url": doc_url(self.code),
            "message": self.message,
            **{name: value for name, value in optional.items() if value is not None},
        }

    def outcome(self) -> Json:
        """Return the `outcome` of the failed charge (https://docs.stripe.com/api/charges/object)."""
        return {
            "advice_code": self.advice_code,
            "network_advice_code": self.network_advice_code,
            "network_decline_code": self.network_decline_code,
            "network_status": "not_sent_to_network" if self.is_blocked else "declined_by_network",
            "reason": "highest_risk_level" if self.is_blocked else self.decline_code,
            "risk_level": "highest" if self.is_blocked else "normal",
            "seller_message": "Stripe blocked this payment as too risky."
            if self.is_blocked
            else "The bank did not return any further details with this decline.",
            "type": "blocked" if self.is_blocked else "issuer_declined",
        }


def _own_code(code: str, message: str, **fields: Any) -> Decline:
    return Decline(code, code=code, message=message, **fields)


_CVC_MESSAGE = "Your card's security code is incorrect."

# The declines that differ from a plain `card_declined`.
_TABLE: dict[str, Decline] = {
    decline.decline_code: decline
    for decline in (
        Decline("generic_decline", advice_code="try_again_later", network_decline_code="05"),
        Decline(
            "insufficient_funds",
            message="Your card has insufficient funds.",
            advice_code="try_again_later",
            network_decline_code="51",
        ),
        Decline("lost_card", advice_code="do_not_try_again", network_decline_code="41"),
        Decline("stolen_card", advice_code="do_not_try_again", network_decline_code="43"),
        Decline("fraudulent", network_decline_code="59"),
        Decline("do_not_honor", network_decline_code="05"),
        Decline(
            "card_velocity_exceeded",
            network_decline_code="61",
            message="Your card was declined for making repeated attempts too frequently or exceeding its amount limit.",
        ),
        Decline("issuer_not_available", network_decline_code="91"),
        Decline("pickup_card", network_decline_code="04"),
        Decline("invalid_account", network_decline_code="14"),
        Decline("card_not_supported", message="Your card is not supported."),
        Decline("currency_not_supported", message="Your card does not support this currency."),
        _own_code(
            "expired_card",
            "Your card has expired.",
            param="exp_month",
            advice_code="confirm_card_data",
            network_decline_code="54",
        ),
        _own_code(
            "incorrect_cvc",
            _CVC_MESSAGE,
            param="cvc",
            advice_code="confirm_card_data",
            network_decline_code="N7",
        ),
        _own_code("invalid_cvc", _CVC_MESSAGE, param="cvc"),
        _own_code(
            "processing_error",
            "An error occurred while processing your card. Try again in a little bit.",
            advice_code="try_again_later",
            network_decline_code="96",
        ),
        _own_code("incorrect_number", "Your card number is incorrect.", param="number"),
        _own_code("invalid_number", "Your card number is not a valid credit card number.", param="number"),
        _own_code("invalid_expiry_month", "Your card's expiration month is invalid.", param="exp_month"),
        _own_code("invalid_expiry_year", "Your card's expiration year is invalid.", param="exp_year"),
        _own_code("incorrect_zip", "The zip code you supplied failed validation.", param="address_zip"),
        _own_code("authentication_required", "Your card was declined. This transaction requires authentication."),
    )
}

# The other codes of that page; each is a plain `card_declined`.
_PLAIN_CODES = """
    approve_with_id authentication_not_handled call_issuer do_not_try_again duplicate_transaction incorrect_address
    incorrect_pin invalid_amount invalid_pin merchant_blacklist mobile_device_authentication_required
    new_account_information_available no_action_taken not_permitted offline_pin_required online_or_offline_pin_required
    pin_try_exceeded previously_declined_do_not_retry reenter_transaction restricted_card
    revocation_of_all_authorizations revocation_of_authorization security_violation service_not_allowed
    stop_payment_order testmode_decline transaction_not_allowed try_again_later withdrawal_count_limit_exceeded
""".split()
DECLINE_CODES = (*_TABLE, *_PLAIN_CODES)

# Radar's default rules block payments of the highest risk before the request to the issuer
# (https://docs.stripe.com/testing).
BLOCKED = Decline("fraudulent", is_blocked=True)

# With `error_on_requires_action` no request reaches the issuer [run].
NOT_HANDLED = Decline(
    "authentication_not_handled",
    code="authentication_required",
    message=_TABLE["authentication_required"].message,
)

# The customer fails or cancels 3-D Secure; the issuer does not decline (https://docs.stripe.com/error-codes).
AUTHENTICATION_FAILURE = "payment_intent_authentication_failure"
AUTHENTICATION_FAILURE_MESSAGE = (
    "The provided PaymentMethod has failed authentication. You can provide payment_method_data or a new "
    "PaymentMethod to attempt to fulfill this PaymentIntent again."
)


def decline(decline_code: str, **overrides: Any) -> Decline:
    """Return the decline of a code; an unknown code gives a plain `card_declined` with that decline code."""
    return replace(_TABLE.get(decline_code, Decline(decline_code)), **overrides)
