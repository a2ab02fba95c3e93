"""SetupIntents: preparing a payment method for later payments of its customer, without a charge.

https://docs.stripe.com/api/setup_intents. The statuses are those of a PaymentIntent without capture. A cancel or
confirm of a closed SetupIntent is refused with `setup_intent_unexpected_state` [run].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.stripe import payment_methods
from sandbox.stripe.account import Account, Method, Setup
from sandbox.stripe.confirmation import (
    BANK_DEBITS,
    MICRODEPOSIT_AMOUNTS,
    MICRODEPOSIT_DESCRIPTOR,
    resolve_method,
    store_mandate,
)
from sandbox.stripe.declines import AUTHENTICATION_FAILURE_MESSAGE
from sandbox.stripe.errors import CardError, InvalidParameter, InvalidRequest, Json, doc_url, missing
from sandbox.stripe.events import Cause
from sandbox.stripe.ids import new_client_secret, new_id
from sandbox.stripe.intents import MANDATE_DATA
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
    text,
)

OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")
FAILED = "setup_intent_authentication_failure"

_ANY_TIME: Schema = {
    "allowed_payment_method_types": list_of(text),
    "expand": expansion,
    "payment_method": text,
    "payment_method_data": payment_methods.PAYMENT_METHOD_DATA,
    "payment_method_options": opaque,
}
_WITH_CONFIRM: Schema = {"mandate_data": MANDATE_DATA, "return_url": text, "use_stripe_sdk": boolean}
CREATE_FIELDS: Schema = {
    **_ANY_TIME,
    **_WITH_CONFIRM,
    "attach_to_self": boolean,
    "automatic_payment_methods": mapping(
        {"allow_redirects": one_of("always", "never"), "enabled": boolean}, required=("enabled",)
    ),
    "confirm": boolean,
    "confirmation_token": text,
    "customer": text,
    "description": text,
    "excluded_payment_method_types": list_of(text),
    "metadata": metadata,
    "on_behalf_of": text,
    "usage": one_of("off_session", "on_session"),
}
CONFIRM_FIELDS: Schema = {**_ANY_TIME, **_WITH_CONFIRM, "confirmation_token": text}
CANCEL_FIELDS: Schema = {
    "cancellation_reason": one_of("abandoned", "duplicate", "requested_by_customer"),
    "expand": expansion,
}
VERIFY_FIELDS: Schema = {"amounts": list_of(integer), "descriptor_code": text, "expand": expansion}


@dataclass(frozen=True)
class ConfirmRequest:
    """One request to confirm: its parameters, its cause, and the sandbox's base URL."""

    params: Mapping[str, Any]
    cause: Cause
    base_url: str


def check_create(params: Mapping[str, Any]) -> None:
    """Refuse parameters that Stripe accepts only together with `confirm`."""
    for name in ("mandate_data", "return_url"):
        if name in params and not params.get("confirm"):
            raise InvalidParameter(f"You can only set `{name}` when `confirm` is true.", param=name)


def create(account: Account, request: ConfirmRequest) -> Json:
    """Create a SetupIntent and, with `confirm`, confirm it immediately."""
    params = request.params
    if "customer" in params:
        account.customer(params["customer"])
    body = _new_setup(account, params)
    setup = Setup(body)
    method = _choose_method(account, body, params)
    if method is not None:
        body.update(payment_method=method.body["id"], status="requires_confirmation")
    account.setups[body["id"]] = setup
    account.emit("setup_intent.created", body, request.cause)
    if params.get("confirm"):
        handled = ("payment_method", "payment_method_data")
        others = {name: value for name, value in params.items() if name not in handled}
        confirm(account, setup, ConfirmRequest(others, request.cause, request.base_url))
    return body


def retrieve(account: Account, id: str) -> Setup:
    """Return a SetupIntent; raise InvalidRequest for an unknown id."""
    if id not in account.setups:
        raise missing("setupintent", id, param="intent", status=404)
    return account.setups[id]


def confirm(account: Account, setup: Setup, request: ConfirmRequest) -> Json:
    """Set the method up; raise CardError for an immediate decline."""
    body = setup.body
    _check_open(setup, "confirmed")
    method = _choose_method(account, body, request.params)
    if method is None:
        raise InvalidRequest(
            "You cannot confirm this SetupIntent because it's missing a payment method.",
            code="setup_intent_unexpected_state",
            setup_intent=body,
        )
    body.update(payment_method=method.body["id"], status="requires_confirmation", next_action=None)
    body["latest_attempt"] = new_id("setatt_")
    if method.body["type"] in BANK_DEBITS:
        store_mandate(account, method, request.params, is_off_session=False)
        body["mandate"] = method.mandate
    decline = method.next_behaviour().decline
    if decline is not None and not method.behaviour.is_attachable:
        error = decline.error(charge=None, payment_method=method.body)
        _fail(account, setup, error, request.cause)
        raise CardError(error, setup_intent=body)
    setup.method = method
    action = _action(account, setup, method, request)
    if action is None:
        _succeed(account, setup, request.cause)
    else:
        body.update(status="requires_action", next_action=action)
        account.emit("setup_intent.requires_action", body, request.cause)
    return body


def authenticate(account: Account, setup: Setup, *, is_success: bool, cause: Cause) -> None:
    """Finish the 3-D Secure challenge of the method."""
    action = setup.body["next_action"] or {}
    if action.get("type") not in ("redirect_to_url", "use_stripe_sdk"):
        raise _unexpected_state(setup, "authenticated", ("requires_action",))
    if is_success:
        _succeed(account, setup, cause)
        return
    error: Json = {"type": "invalid_request_error", "code": FAILED, "doc_url": doc_url(FAILED)}
    tried = {"payment_method": dict(setup.method.body)} if setup.method else {}
    _fail(account, setup, error | {"message": AUTHENTICATION_FAILURE_MESSAGE} | tried, cause)


def verify_microdeposits(account: Account, setup: Setup, params: Mapping[str, Any], cause: Cause) -> Json:
    """Verify a US bank account."""
    if (setup.body["next_action"] or {}).get("type") != "verify_with_microdeposits":
        raise _unexpected_state(setup, "verified", ("requires_action",))
    is_right = params.get("descriptor_code") == MICRODEPOSIT_DESCRIPTOR
    if not is_right and sorted(params.get("amounts", [])) != MICRODEPOSIT_AMOUNTS:
        raise InvalidRequest(
            "The microdeposit values provided do not match.",
            code="payment_method_microdeposit_verification_amounts_mismatch",
        )
    _succeed(account, setup, cause)
    return setup.body


def cancel(account: Account, setup: Setup, reason: str | None, cause: Cause) -> Json:
    """Cancel an open SetupIntent."""
    _check_open(setup, "canceled")
    setup.body.update(status="canceled", cancellation_reason=reason, next_action=None)
    account.emit("setup_intent.canceled", setup.body, cause)
    return setup.body


def _choose_method(account: Account, body: Json, params: Mapping[str, Any]) -> Method | None:
    method = resolve_method(account, body, params)
    if method is not None and method.body["type"] not in body["payment_method_types"]:
        raise InvalidRequest(
            f"The PaymentMethod provided ({method.body['type']}) is not allowed for this SetupIntent.",
            param="payment_method",
        )
    return method


def _action(account: Account, setup: Setup, method: Method, request: ConfirmRequest) -> Json | None:
    id, base = setup.body["id"], request.base_url
    if not method.behaviour.is_verified and not method.is_set_up:
        details = {
            "arrival_date": account.now + 2 * 24 * 3600,
            "hosted_verification_url": f"{base}/_sandbox/setups/{id}",
            "microdeposit_type": "descriptor_code",
        }
        return {"type": "verify_with_microdeposits", "verify_with_microdeposits": details}
    if method.behaviour.authentication not in ("always", "unless_set_up", "on_session"):
        return None
    url = f"{base}/_sandbox/setups/{id}"
    if return_url := request.params.get("return_url"):
        return {"type": "redirect_to_url", "redirect_to_url": {"url": url, "return_url": return_url}}
    details = {"type": "three_d_secure_redirect", "stripe_js": url, "source": new_id("src_")}
    return {"type": "use_stripe_sdk", "use_stripe_sdk": details}


def _succeed(account: Account, setup: Setup, cause: Cause) -> None:
    body, method = setup.body, setup.method
    if method is None:
        raise AssertionError(f"bug: {body['id']} sets nothing up")
    method.is_set_up = method.is_set_up or body["usage"] == "off_session"
    if body["customer"] is not None and method.body["customer"] is None:
        method.body["customer"] = body["customer"]
        account.emit("payment_method.attached", method.body, cause)
    body.update(status="succeeded", next_action=None, last_setup_error=None)
    account.emit("setup_intent.succeeded", body, cause)


def _fail(account: Account, setup: Setup, error: Json, cause: Cause) -> None:
    setup.method = None
    setup.body.update(status="requires_payment_method", payment_method=None, next_action=None, last_setup_error=error)
    account.emit("setup_intent.setup_failed", setup.body, cause)


def _check_open(setup: Setup, done: str) -> None:
    if setup.body["status"] not in OPEN:
        raise _unexpected_state(setup, done, OPEN)


def _unexpected_state(setup: Setup, done: str, allowed: tuple[str, ...]) -> InvalidRequest:
    return InvalidRequest(
        f"This SetupIntent could not be {done} because it has a status of {setup.body['status']}. Only a "
        f"SetupIntent with one of the following statuses may be {done}: {', '.join(allowed)}.",
        code="setup_intent_unexpected_state",
        setup_intent=setup.body,
    )


def _new_setup(account: Account, params: Mapping[str, Any]) -> Json:
    id = new_id("seti_")
    types = params.get("allowed_payment_method_types")
    return {
        "id": id,
        "object": "setup_intent",
        "allowed_payment_method_types": types,
        "application": None,
        "automatic_payment_methods": None if types else {"allow_redirects": "always", "enabled": True},
        "cancellation_reason": None,
        "client_secret": new_client_secret(id),
        "created": account.now,
        "customer": params.get("customer"),
        "customer_account": None,
        "description": params.get("description"),
        "excluded_payment_method_types": None,
        "flow_directions": None,
        "last_setup_error": None,
        "latest_attempt": None,
        "livemode": False,
        "mandate": None,
        "metadata": merge_metadata({}, params.get("metadata", {})),
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": params.get("payment_method_options", {}),
        "payment_method_types": types or ["card", *BANK_DEBITS],
        "single_use_mandate": None,
        "status": "requires_payment_method",
        "usage": params.get("usage", "off_session"),
    }
