"""PaymentIntents as resources: their parameters, creation and update.

https://docs.stripe.com/api/payment_intents. Parameters: the annotations of the Python package 16.1.0, in which
`payment_method_types` is no longer a request parameter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.stripe import bank_transfers, objects, payment_methods
from sandbox.stripe.account import Account, Intent
from sandbox.stripe.confirmation import check_return_url, choose_method, confirm
from sandbox.stripe.currencies import check_amount, read_currency
from sandbox.stripe.errors import InvalidParameter, InvalidRequest, Json
from sandbox.stripe.events import Cause
from sandbox.stripe.ids import new_client_secret, new_id
from sandbox.stripe.listing import expansion
from sandbox.stripe.params import (
    Schema,
    boolean,
    integer,
    list_of,
    mapping,
    merge_metadata,
    metadata,
    one_of,
    opaque,
    positive,
    text,
    unsettable_text,
)


def _off_session(value: Any, name: str) -> bool | str:
    return str(value) if value in ("one_off", "recurring") else boolean(value, name)


_IF_AVAILABLE = one_of("if_available", "never")
_USAGE_OF_METHOD = one_of("none", "off_session", "on_session")
_METHOD_OPTIONS = mapping(
    {
        "card": mapping(
            {
                "capture_method": one_of("manual"),
                "cvc_token": text,
                "installments": opaque,
                "mandate_options": opaque,
                "moto": boolean,
                "network": text,
                "request_extended_authorization": _IF_AVAILABLE,
                "request_incremental_authorization": _IF_AVAILABLE,
                "request_multicapture": _IF_AVAILABLE,
                "request_overcapture": _IF_AVAILABLE,
                "request_three_d_secure": one_of("any", "automatic", "challenge"),
                "require_cvc_recollection": boolean,
                "setup_credential_usage": text,
                "setup_future_usage": _USAGE_OF_METHOD,
                "statement_descriptor_suffix_kana": text,
                "statement_descriptor_suffix_kanji": text,
                "stored_credential_usage": text,
                "three_d_secure": opaque,
            }
        ),
        "customer_balance": bank_transfers.METHOD_OPTIONS,
        "sepa_debit": mapping({"mandate_options": opaque, "setup_future_usage": _USAGE_OF_METHOD, "target_date": text}),
        "us_bank_account": mapping(
            {
                "financial_connections": opaque,
                "mandate_options": opaque,
                "networks": opaque,
                "setup_future_usage": _USAGE_OF_METHOD,
                "target_date": text,
                "transaction_purpose": text,
                "verification_method": one_of("automatic", "instant", "microdeposits"),
            }
        ),
        **dict.fromkeys(payment_methods.REDIRECT_TYPES, opaque),
    }
)
MANDATE_DATA = mapping(
    {
        "customer_acceptance": mapping(
            {
                "accepted_at": integer,
                "offline": opaque,
                "type": one_of("offline", "online"),
                "online": mapping({"ip_address": text, "user_agent": text}, required=("ip_address", "user_agent")),
            },
            required=("type",),
        ),
    },
    required=("customer_acceptance",),
)

_ANY_TIME: Schema = {
    "allowed_payment_method_types": list_of(text),
    "amount_details": opaque,
    "capture_method": one_of("automatic", "automatic_async", "manual"),
    "excluded_payment_method_types": list_of(text),
    "expand": expansion,
    "hooks": opaque,
    "payment_details": opaque,
    "payment_method": text,
    "payment_method_data": payment_methods.PAYMENT_METHOD_DATA,
    "payment_method_options": _METHOD_OPTIONS,
    "receipt_email": unsettable_text,
    "setup_future_usage": one_of("off_session", "on_session"),
    "shipping": opaque,
}
_CREATE_OR_UPDATE: Schema = {
    "amount": positive,
    "application_fee_amount": integer,
    "currency": read_currency,
    "customer": text,
    "customer_account": text,
    "description": unsettable_text,
    "metadata": metadata,
    "payment_method_configuration": text,
    "statement_descriptor": text,
    "statement_descriptor_suffix": text,
    "transfer_data": opaque,
    "transfer_group": text,
}
_WITH_CONFIRM: Schema = {
    "error_on_requires_action": boolean,
    "mandate": text,
    "mandate_data": MANDATE_DATA,
    "off_session": _off_session,
    "return_url": text,
}
_CONFIRM_ONLY: Schema = {"confirmation_token": text, "radar_options": opaque, "use_stripe_sdk": boolean}

CREATE_FIELDS: Schema = {
    **_ANY_TIME,
    **_CREATE_OR_UPDATE,
    **_WITH_CONFIRM,
    **_CONFIRM_ONLY,
    "automatic_payment_methods": mapping(
        {"allow_redirects": one_of("always", "never"), "enabled": boolean}, required=("enabled",)
    ),
    "confirm": boolean,
    "confirmation_method": one_of("automatic", "manual"),
    "on_behalf_of": text,
}
UPDATE_FIELDS: Schema = {**_ANY_TIME, **_CREATE_OR_UPDATE}
CONFIRM_FIELDS: Schema = {**_ANY_TIME, **_WITH_CONFIRM, **_CONFIRM_ONLY, "amount_to_confirm": positive}
CAPTURE_FIELDS: Schema = {
    "amount_details": opaque,
    "amount_to_capture": positive,
    "application_fee_amount": integer,
    "expand": expansion,
    "final_capture": boolean,
    "hooks": opaque,
    "metadata": metadata,
    "payment_details": opaque,
    "statement_descriptor": text,
    "statement_descriptor_suffix": text,
    "transfer_data": opaque,
}
CANCEL_FIELDS: Schema = {
    "cancellation_reason": one_of("abandoned", "duplicate", "fraudulent", "requested_by_customer"),
    "expand": expansion,
}
VERIFY_FIELDS: Schema = {"amounts": list_of(integer), "descriptor_code": text, "expand": expansion}

# Parameters that the object repeats.
_ECHOED_FIELDS = (
    "allowed_payment_method_types",
    "amount",
    "application_fee_amount",
    "capture_method",
    "currency",
    "customer",
    "customer_account",
    "description",
    "excluded_payment_method_types",
    "on_behalf_of",
    "receipt_email",
    "setup_future_usage",
    "shipping",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_data",
    "transfer_group",
    "confirmation_method",
)
# Parameters that can change also after a payment.
_ALWAYS_UPDATABLE = frozenset({"metadata", "description", "receipt_email", "shipping", "expand", "transfer_group"})
_OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")

# The bank debit among the Dashboard's methods, by currency.
_BANK_DEBIT_OF = {"eur": "sepa_debit", "usd": "us_bank_account"}


def check_create(params: Mapping[str, Any]) -> None:
    """Refuse contradictory parameters of a create; nothing is executed or stored."""
    check_amount(params["amount"], params["currency"])
    if not params.get("confirm"):
        for name in _WITH_CONFIRM:
            if name in params:
                raise InvalidParameter(f"You can only set `{name}` when `confirm` is true.", param=name)
    if "allowed_payment_method_types" in params and params.get("automatic_payment_methods", {}).get("enabled"):
        raise InvalidParameter(
            "You may only specify one of these parameters: automatic_payment_methods, allowed_payment_method_types."
        )


def create(account: Account, params: Mapping[str, Any], cause: Cause, base_url: str) -> Json:
    """Create an intent and, with `confirm`, confirm it immediately.

    A declined confirm raises, but the intent stays; its id is only in the error [run].
    """
    id = new_id("pi_")
    body = objects.payment_intent(id, account.now, client_secret=new_client_secret(id))
    if "customer" in params:
        account.customer(params["customer"])
    if "allowed_payment_method_types" not in params:
        automatic = {
            "allow_redirects": "always",
            "enabled": True,
            **params.get("automatic_payment_methods", {}),
        }
        body["automatic_payment_methods"] = automatic
    _apply(body, params)
    if params.get("confirm"):
        check_return_url(body, params)
    method = choose_method(account, body, params)
    if method is not None:
        body.update(payment_method=method.body["id"], status="requires_confirmation")
    # Stored only now, so that a refusal of the parameters above leaves no intent behind.
    intent = Intent(body, account.sandbox.clock.now())
    account.intents[id] = intent
    account.emit("payment_intent.created", body, cause)
    if params.get("confirm"):
        handled = ("payment_method", "payment_method_data")
        confirm(
            account,
            intent,
            {name: value for name, value in params.items() if name not in handled},
            cause,
            base_url,
        )
    return body


def update(account: Account, intent: Intent, params: Mapping[str, Any]) -> Json:
    """Update an intent; outside the open statuses only parameters that do not affect money."""
    body = intent.body
    if body["status"] not in _OPEN and not params.keys() <= _ALWAYS_UPDATABLE:
        raise InvalidRequest(
            f"This PaymentIntent could not be updated because it has a status of {body['status']}.",
            code="payment_intent_unexpected_state",
            payment_intent=body,
        )
    if "amount" in params or "currency" in params:
        check_amount(params.get("amount", body["amount"]), params.get("currency", body["currency"]))
    if "customer" in params:
        account.customer(params["customer"])
    _apply(body, params)
    is_new_method = "payment_method" in params or "payment_method_data" in params
    method = choose_method(account, body, params) if is_new_method else None
    if method is not None:
        intent.attempt = None
        body.update(payment_method=method.body["id"], status="requires_confirmation", next_action=None)
    return body


def confirm_existing(account: Account, intent: Intent, params: Mapping[str, Any], cause: Cause, base_url: str) -> Json:
    """Apply the parameters of the request to an intent and confirm it."""
    if intent.body["status"] in _OPEN:
        _apply(intent.body, params)
    confirm(account, intent, params, cause, base_url)
    return intent.body


def _apply(body: Json, params: Mapping[str, Any]) -> None:
    body.update({name: params[name] for name in _ECHOED_FIELDS if name in params})
    body["metadata"] = merge_metadata(body["metadata"], params.get("metadata", {}))
    options = body["payment_method_options"]
    for type, changes in params.get("payment_method_options", {}).items():
        options[type] = {**options.get(type, {}), **changes} if isinstance(changes, dict) else changes
    body["payment_method_types"] = body["allowed_payment_method_types"] or _dashboard_types(body)


def _dashboard_types(body: Json) -> list[str]:
    automatic = body["automatic_payment_methods"]
    if not automatic["enabled"]:
        return ["card"]
    debit = _BANK_DEBIT_OF.get(body["currency"])
    redirects = payment_methods.REDIRECT_TYPES if automatic["allow_redirects"] == "always" else ()
    types = ["card", *([debit] if debit else []), *redirects]
    return [type for type in types if type not in (body["excluded_payment_method_types"] or [])]
