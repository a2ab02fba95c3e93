"""The confirm of an intent: the choice of the method, authentication by its holder, and the response.

https://docs.stripe.com/api/payment_intents/confirm and
https://docs.stripe.com/payments/3d-secure/authentication-flow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.stripe import bank_transfers, objects, payment_methods
from sandbox.stripe.account import Account, ConfirmAttempt, Intent, Method
from sandbox.stripe.capture_and_cancel import unexpected_state
from sandbox.stripe.charging import (
    decline_for_authentication,
    fail_authentication,
    fail_without_charge,
    request_authorization,
    submit_debit,
)
from sandbox.stripe.declines import NOT_HANDLED, Decline
from sandbox.stripe.errors import CardError, InvalidRequest, Json
from sandbox.stripe.events import Cause
from sandbox.stripe.ids import new_id
from sandbox.stripe.instruments import Behaviour

CONFIRMABLE = ("requires_payment_method", "requires_confirmation", "requires_action")
BANK_DEBITS = ("sepa_debit", "us_bank_account")

# Micro-deposit values that verify a test account [run for the descriptor; the amounts are unverified].
MICRODEPOSIT_DESCRIPTOR = "SM11AA"
MICRODEPOSIT_AMOUNTS = [32, 45]

MANDATE_MISSING = (
    "This payment requires a mandate: provide `mandate_data`, or confirm off-session with a payment "
    "method that was set up for future usage."
)
RETURN_URL_MISSING = (
    "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. Because some "
    "of these payment methods might redirect your customer off of your page, you must provide a "
    "`return_url`. If you don't want to accept redirect-based payment methods, set "
    "`automatic_payment_methods[enabled]` to `true` and `automatic_payment_methods[allow_redirects]` to "
    "`never` when creating Setup Intents and Payment Intents."
)


def check_return_url(body: Json, params: Mapping[str, Any]) -> None:
    """Refuse a confirm without `return_url` if the Dashboard's methods can redirect the customer."""
    automatic = body["automatic_payment_methods"]
    might_redirect = automatic is not None and automatic["enabled"] and automatic["allow_redirects"] == "always"
    if might_redirect and not params.get("return_url") and not params.get("off_session"):
        raise InvalidRequest(RETURN_URL_MISSING)


def choose_method(account: Account, body: Json, params: Mapping[str, Any]) -> Method | None:
    """Return the request's method, or else the intent's own, if the intent allows its type."""
    method = resolve_method(account, body, params)
    if method is not None:
        _check_type(method, body)
    return method


def resolve_method(account: Account, body: Json, params: Mapping[str, Any]) -> Method | None:
    """Return the request's method, or else the intent's own, if the intent's customer may use it."""
    if "payment_method_data" in params:
        method = payment_methods.create(account, params["payment_method_data"])
    elif params.get("payment_method") or body["payment_method"]:
        method = payment_methods.resolve(account, params.get("payment_method") or body["payment_method"])
    else:
        return None
    payment_methods.check_usable(method, body["customer"])
    return method


def confirm(account: Account, intent: Intent, params: Mapping[str, Any], cause: Cause, base_url: str) -> None:
    """Confirm the intent with its method; raise CardError for an immediate decline."""
    body = intent.body
    if body["status"] not in CONFIRMABLE:
        raise unexpected_state(intent, "confirmed", CONFIRMABLE)
    if params.get("amount_to_confirm", body["amount"]) != body["amount"]:
        raise InvalidRequest(
            "`amount_to_confirm` does not match the amount of the PaymentIntent.", param="amount_to_confirm"
        )
    check_return_url(body, params)
    method = choose_method(account, body, params)
    if method is None:
        raise InvalidRequest(
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can either "
            "update the PaymentIntent with a payment method and then confirm it again, or confirm it again "
            "directly with a payment method or ConfirmationToken.",
            code="payment_intent_unexpected_state",
            payment_intent=body,
        )
    is_off_session = params.get("off_session") not in (None, False)
    if method.body["type"] in payment_methods.REDIRECT_TYPES:
        _check_redirect(body, method, params, is_off_session)
    intent.attempt = None
    body.update(payment_method=method.body["id"], status="requires_confirmation", next_action=None)
    if method.body["type"] in BANK_DEBITS:
        store_mandate(account, method, params, is_off_session=is_off_session)
        attempt = ConfirmAttempt(method, method.next_behaviour(), cause, is_off_session)
        _confirm_debit(account, intent, attempt, base_url)
    elif method.body["type"] == "customer_balance":
        attempt = ConfirmAttempt(method, method.next_behaviour(), cause, is_off_session)
        bank_transfers.begin(account, intent, attempt, base_url)
    else:
        attempt = ConfirmAttempt(method, method.next_behaviour(), cause, is_off_session)
        refusal = _confirm_card(account, intent, attempt, params, base_url)
        if refusal is not None:
            raise CardError(body["last_payment_error"], payment_intent=body)


def authenticate(account: Account, intent: Intent, *, is_success: bool) -> None:
    """Finish the customer's action: the 3-D Secure challenge, or the approval on the site of a redirect method."""
    attempt = intent.attempt
    if intent.body["status"] != "requires_action" or attempt is None:
        raise unexpected_state(intent, "authenticated", ("requires_action",))
    # The customer's action is not an API request, but the ledger records the idempotency key of the confirm.
    attempt.cause = Cause(None, attempt.cause.idempotency_key)
    intent.attempt = None
    if not is_success:
        fail_authentication(account, intent, attempt)
        return
    attempt.three_d_secure = objects.three_d_secure("authenticated", "challenge")
    attempt.method.is_set_up = attempt.method.is_set_up or intent.body["setup_future_usage"] == "off_session"
    request_authorization(account, intent, attempt)


def verify_microdeposits(account: Account, intent: Intent, params: Mapping[str, Any], cause: Cause) -> None:
    """Verify a US bank account and submit its debit."""
    attempt = intent.attempt
    action = intent.body["next_action"] or {}
    if attempt is None or action.get("type") != "verify_with_microdeposits":
        raise unexpected_state(intent, "verified", ("requires_action",))
    is_right = (
        params.get("descriptor_code") == MICRODEPOSIT_DESCRIPTOR
        or sorted(params.get("amounts", [])) == MICRODEPOSIT_AMOUNTS
    )
    if not is_right:
        raise InvalidRequest(
            "The microdeposit values provided do not match.",
            code="payment_method_microdeposit_verification_amounts_mismatch",
        )
    attempt.cause = cause
    submit_debit(account, intent, attempt)


def _check_type(method: Method, body: Json) -> None:
    type = method.body["type"]
    if type not in body["payment_method_types"]:
        raise InvalidRequest(
            f"The PaymentMethod provided ({type}) is not allowed for this PaymentIntent. Please attach a "
            f"PaymentMethod of one of the following types: {', '.join(body['payment_method_types'])}.",
            param="payment_method",
        )
    if type in (*BANK_DEBITS, "customer_balance") and body["capture_method"] == "manual":
        raise InvalidRequest(f"The payment method type {type} does not support manual capture.", param="capture_method")


def _check_redirect(body: Json, method: Method, params: Mapping[str, Any], is_off_session: bool) -> None:
    type = method.body["type"]
    if is_off_session:
        raise InvalidRequest(
            f"The payment method type {type} cannot be used without its customer.", param="off_session"
        )
    if not params.get("return_url"):
        raise InvalidRequest(
            f"A `return_url` must be provided when confirming with the payment method type {type}.",
            code="parameter_missing",
            param="return_url",
        )
    if type == "afterpay_clearpay" and not body["shipping"]:
        raise InvalidRequest(
            f"Missing required param: shipping. {type} needs a shipping address.",
            code="parameter_missing",
            param="shipping",
        )


def store_mandate(account: Account, method: Method, params: Mapping[str, Any], *, is_off_session: bool) -> None:
    """Store the customer's consent to a debit. Without consent the intent stays in requires_confirmation [run]."""
    if "mandate_data" in params:
        mandate = objects.mandate(new_id("mandate_"), method.body, params["mandate_data"]["customer_acceptance"])
        account.mandates[mandate["id"]] = mandate
        method.mandate = mandate["id"]
        return
    mandate_id = params.get("mandate")
    if mandate_id is None and is_off_session:
        mandate_id = method.mandate
    has_mandate = mandate_id in account.mandates and account.mandates[mandate_id]["status"] != "inactive"
    if not has_mandate:
        raise InvalidRequest(MANDATE_MISSING, code="payment_intent_mandate_invalid", param="mandate_data")


def _confirm_debit(account: Account, intent: Intent, attempt: ConfirmAttempt, base_url: str) -> None:
    options = intent.body["payment_method_options"].get("us_bank_account") or {}
    is_verified = attempt.behaviour.is_verified or attempt.method.is_set_up
    if is_verified or options.get("verification_method") == "instant":
        submit_debit(account, intent, attempt)
        return
    _require_action(
        account,
        intent,
        attempt,
        {
            "type": "verify_with_microdeposits",
            "verify_with_microdeposits": {
                "arrival_date": account.now + 2 * 24 * 3600,
                "hosted_verification_url": f"{base_url}/_sandbox/microdeposits/{intent.body['id']}",
                "microdeposit_type": "descriptor_code",
            },
        },
    )


def _confirm_card(
    account: Account, intent: Intent, attempt: ConfirmAttempt, params: Mapping[str, Any], base_url: str
) -> Decline | None:
    card_options = intent.body["payment_method_options"].get("card") or {}
    requested = card_options.get("request_three_d_secure", "automatic")
    if not _needs_authentication(attempt, requested):
        if requested in ("any", "challenge"):
            attempt.three_d_secure = _without_challenge(attempt.behaviour)
        return request_authorization(account, intent, attempt)
    if attempt.is_off_session:
        return decline_for_authentication(account, intent, attempt)
    if params.get("error_on_requires_action"):
        fail_without_charge(account, intent, attempt, NOT_HANDLED)
        return NOT_HANDLED
    _require_action(account, intent, attempt, _redirect(intent, params.get("return_url"), base_url))
    return None


def _needs_authentication(attempt: ConfirmAttempt, requested: str) -> bool:
    """Tell whether the cardholder must authenticate. With "any" the issuer may approve without a challenge."""
    behaviour: Behaviour = attempt.behaviour
    needed = {
        **dict.fromkeys(("unsupported", "unenrolled", "failing"), False),
        "optional": requested == "challenge" and not attempt.is_off_session,
        "always": True,
        "unless_set_up": not attempt.method.is_set_up,
        "on_session": not attempt.is_off_session,
    }
    return needed[behaviour.authentication]


def _without_challenge(behaviour: Behaviour) -> Json | None:
    """Return how an authentication that the merchant requests ends without the cardholder."""
    match behaviour.authentication:
        case "unsupported":
            return None
        case "unenrolled":
            return objects.three_d_secure("attempt_acknowledged")
        case "failing":
            return objects.three_d_secure("processing_error")
    return objects.three_d_secure("authenticated", "frictionless")


def _redirect(intent: Intent, return_url: str | None, base_url: str) -> Json:
    id, secret = intent.body["id"], intent.body["client_secret"]
    url = f"{base_url}/_sandbox/3ds/{id}?payment_intent_client_secret={secret}"
    if return_url is None:
        # Without a URL to return to, Stripe.js shows the challenge.
        return {
            "type": "use_stripe_sdk",
            "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": url, "source": new_id("src_")},
        }
    return {"type": "redirect_to_url", "redirect_to_url": {"url": url, "return_url": return_url}}


def _require_action(account: Account, intent: Intent, attempt: ConfirmAttempt, next_action: Json) -> None:
    intent.attempt = attempt
    intent.body.update(status="requires_action", next_action=next_action)
    account.emit("payment_intent.requires_action", intent.body, attempt.cause)
