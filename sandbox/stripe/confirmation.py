"""Owns the confirm of an intent: which method pays, whether its holder must act first, and what the caller is
told.

https://docs.stripe.com/api/payment_intents/confirm and
https://docs.stripe.com/payments/3d-secure/authentication-flow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.stripe import bank_transfers, objects, payment_methods
from sandbox.stripe.account import Account, Intent, Method, Trial
from sandbox.stripe.capture_and_cancel import unexpected_state
from sandbox.stripe.charging import (
    ask_bank,
    ask_issuer,
    demand_authentication,
    fail_authentication,
    refuse_unasked,
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


def check_return_url(body: Json, given: Mapping[str, Any]) -> None:
    """Refuse a confirm without `return_url` where the Dashboard's methods might redirect."""
    automatic = body["automatic_payment_methods"]
    might_redirect = automatic is not None and automatic["enabled"] and automatic["allow_redirects"] == "always"
    if might_redirect and not given.get("return_url") and not given.get("off_session"):
        raise InvalidRequest(RETURN_URL_MISSING)


def choose_method(account: Account, body: Json, given: Mapping[str, Any]) -> Method | None:
    """Return the method that the request names, fit to pay for the intent, or else the intent's own."""
    method = named_method(account, body, given)
    if method is not None:
        _check_type(method, body)
    return method


def named_method(account: Account, body: Json, given: Mapping[str, Any]) -> Method | None:
    """Return the method that the request names, or else the intent's own, usable for the intent's customer."""
    if "payment_method_data" in given:
        method = payment_methods.create(account, given["payment_method_data"])
    elif given.get("payment_method") or body["payment_method"]:
        method = payment_methods.resolve(account, given.get("payment_method") or body["payment_method"])
    else:
        return None
    payment_methods.check_usable(method, body["customer"])
    return method


def confirm(account: Account, intent: Intent, given: Mapping[str, Any], cause: Cause, base_url: str) -> None:
    """Try to collect the intent with its method. Raises `CardError` when the try fails at once."""
    body = intent.body
    if body["status"] not in CONFIRMABLE:
        raise unexpected_state(intent, "confirmed", CONFIRMABLE)
    if given.get("amount_to_confirm", body["amount"]) != body["amount"]:
        raise InvalidRequest(
            "`amount_to_confirm` does not match the amount of the PaymentIntent.", param="amount_to_confirm"
        )
    check_return_url(body, given)
    method = choose_method(account, body, given)
    if method is None:
        raise InvalidRequest(
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can either "
            "update the PaymentIntent with a payment method and then confirm it again, or confirm it again "
            "directly with a payment method or ConfirmationToken.",
            code="payment_intent_unexpected_state",
            payment_intent=body,
        )
    is_off_session = given.get("off_session") not in (None, False)
    if method.body["type"] in payment_methods.REDIRECT_TYPES:
        _check_redirect(body, method, given, is_off_session)
    intent.trial = None
    body.update(payment_method=method.body["id"], status="requires_confirmation", next_action=None)
    if method.body["type"] in BANK_DEBITS:
        settle_mandate(account, method, given, is_off_session=is_off_session)
        trial = Trial(method, method.next_behaviour(), cause, is_off_session)
        _confirm_debit(account, intent, trial, base_url)
    elif method.body["type"] == "customer_balance":
        trial = Trial(method, method.next_behaviour(), cause, is_off_session)
        bank_transfers.begin(account, intent, trial, base_url)
    else:
        trial = Trial(method, method.next_behaviour(), cause, is_off_session)
        refusal = _confirm_at_once(account, intent, trial, given, base_url)
        if refusal is not None:
            raise CardError(body["last_payment_error"], payment_intent=body)


def authenticate(account: Account, intent: Intent, *, is_success: bool) -> None:
    """End the customer's part of a confirm: 3-D Secure, or the other site of a redirect method."""
    trial = intent.trial
    if intent.body["status"] != "requires_action" or trial is None:
        raise unexpected_state(intent, "authenticated", ("requires_action",))
    # What the customer does is no request to the API, but the books want the key of the confirm.
    trial.cause = Cause(None, trial.cause.idempotency_key)
    intent.trial = None
    if not is_success:
        fail_authentication(account, intent, trial)
        return
    trial.flow = "challenge"
    trial.method.is_set_up = trial.method.is_set_up or intent.body["setup_future_usage"] == "off_session"
    ask_issuer(account, intent, trial)


def verify_microdeposits(account: Account, intent: Intent, given: Mapping[str, Any], cause: Cause) -> None:
    """End the verification of a US bank account; the debit goes to the bank."""
    trial = intent.trial
    action = intent.body["next_action"] or {}
    if trial is None or action.get("type") != "verify_with_microdeposits":
        raise unexpected_state(intent, "verified", ("requires_action",))
    is_right = (
        given.get("descriptor_code") == MICRODEPOSIT_DESCRIPTOR
        or sorted(given.get("amounts", [])) == MICRODEPOSIT_AMOUNTS
    )
    if not is_right:
        raise InvalidRequest(
            "The microdeposit values provided do not match.",
            code="payment_method_microdeposit_verification_amounts_mismatch",
        )
    trial.cause = cause
    ask_bank(account, intent, trial)


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


def _check_redirect(body: Json, method: Method, given: Mapping[str, Any], is_off_session: bool) -> None:
    type = method.body["type"]
    if is_off_session:
        raise InvalidRequest(
            f"The payment method type {type} cannot be used without its customer.", param="off_session"
        )
    if not given.get("return_url"):
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


def settle_mandate(account: Account, method: Method, given: Mapping[str, Any], *, is_off_session: bool) -> None:
    """Keep the customer's consent to a debit; without any the intent stays in requires_confirmation [run]."""
    if "mandate_data" in given:
        mandate = objects.mandate(new_id("mandate_"), method.body, given["mandate_data"]["customer_acceptance"])
        account.mandates[mandate["id"]] = mandate
        method.mandate = mandate["id"]
        return
    named = given.get("mandate")
    is_known = named in account.mandates if named else (method.mandate is not None and is_off_session)
    if not is_known:
        raise InvalidRequest(MANDATE_MISSING, code="payment_intent_mandate_invalid", param="mandate_data")


def _confirm_debit(account: Account, intent: Intent, trial: Trial, base_url: str) -> None:
    options = intent.body["payment_method_options"].get("us_bank_account") or {}
    is_verified = trial.behaviour.is_verified or trial.method.is_set_up
    if is_verified or options.get("verification_method") == "instant":
        ask_bank(account, intent, trial)
        return
    _require_action(
        account,
        intent,
        trial,
        {
            "type": "verify_with_microdeposits",
            "verify_with_microdeposits": {
                "arrival_date": account.now + 2 * 24 * 3600,
                "hosted_verification_url": f"{base_url}/_sandbox/microdeposits/{intent.body['id']}",
                "microdeposit_type": "descriptor_code",
            },
        },
    )


def _confirm_at_once(
    account: Account, intent: Intent, trial: Trial, given: Mapping[str, Any], base_url: str
) -> Decline | None:
    card_options = intent.body["payment_method_options"].get("card") or {}
    requested = card_options.get("request_three_d_secure", "automatic")
    if not _needs_holder(trial, requested):
        is_checked = requested in ("any", "challenge") and trial.behaviour.authentication != "unsupported"
        trial.flow = "frictionless" if is_checked else None
        return ask_issuer(account, intent, trial)
    if trial.is_off_session:
        return demand_authentication(account, intent, trial)
    if given.get("error_on_requires_action"):
        refuse_unasked(account, intent, trial, NOT_HANDLED)
        return NOT_HANDLED
    _require_action(account, intent, trial, _redirect(intent, given.get("return_url"), base_url))
    return None


def _needs_holder(trial: Trial, requested: str) -> bool:
    """Tell whether the card's holder must prove to be there. "any" lets a willing issuer wave it through."""
    behaviour: Behaviour = trial.behaviour
    needed = {
        "unsupported": False,
        "optional": requested == "challenge" and not trial.is_off_session,
        "always": True,
        "unless_set_up": not trial.method.is_set_up,
        "on_session": not trial.is_off_session,
    }
    return needed[behaviour.authentication]


def _redirect(intent: Intent, return_url: str | None, base_url: str) -> Json:
    id, secret = intent.body["id"], intent.body["client_secret"]
    url = f"{base_url}/_sandbox/3ds/{id}?payment_intent_client_secret={secret}"
    if return_url is None:
        # Without a place to come back to, the challenge is left to Stripe.js.
        return {
            "type": "use_stripe_sdk",
            "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": url, "source": new_id("src_")},
        }
    return {"type": "redirect_to_url", "redirect_to_url": {"url": url, "return_url": return_url}}


def _require_action(account: Account, intent: Intent, trial: Trial, next_action: Json) -> None:
    intent.trial = trial
    intent.body.update(status="requires_action", next_action=next_action)
    account.emit("payment_intent.requires_action", intent.body, trial.cause)
