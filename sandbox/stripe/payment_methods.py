"""PaymentMethods: creation from tokens and bank accounts, attaching, detaching, and the customer that may use one.

https://docs.stripe.com/api/payment_methods. A detached method cannot be attached or detached again; the refusal has no
code [run]. Raw card numbers are refused with 402 and type invalid_request_error [run].
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sandbox.stripe import objects
from sandbox.stripe.account import Account, Method
from sandbox.stripe.errors import CardError, InvalidParameter, InvalidRequest, Json, missing
from sandbox.stripe.events import NO_REQUEST, Cause
from sandbox.stripe.ids import fingerprint_of, new_fingerprint, new_id
from sandbox.stripe.instruments import (
    PM_CARD,
    SUCCESS,
    US_ACCOUNTS,
    US_METHODS,
    Behaviour,
    iban_behaviour,
    magic_card,
    script,
)
from sandbox.stripe.listing import expansion
from sandbox.stripe.params import (
    Schema,
    integer,
    mapping,
    merge_metadata,
    metadata,
    one_of,
    opaque,
    text,
    unsettable_text,
)

RAW_CARD_MESSAGE = (
    "Sending credit card numbers directly to the Stripe API is generally unsafe. To continue processing "
    "use Stripe.js, the Stripe mobile bindings, or Stripe Elements."
)
SPENT_MESSAGE = (
    "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, "
    "shared with a connected account without Customer attachment, or was detached from a Customer. It may "
    "not be used again. To use a PaymentMethod multiple times, you must attach it to a Customer first."
)
# Methods that redirect the customer to another site; the sandbox stores no details of them.
REDIRECT_TYPES = ("klarna", "afterpay_clearpay")
TYPES = ("card", "customer_balance", "sepa_debit", "us_bank_account", *REDIRECT_TYPES)
# The billing details that a redirect method requires (its page in the documentation).
NEEDED_DETAILS = {
    "klarna": ("email", "address.country"),
    "afterpay_clearpay": ("email", "name", "address.line1", "address.postal_code", "address.country"),
}

BILLING_DETAILS = mapping(
    {
        "address": mapping(dict.fromkeys(objects.EMPTY_ADDRESS, unsettable_text)),
        "email": unsettable_text,
        "name": unsettable_text,
        "phone": unsettable_text,
        "tax_id": unsettable_text,
    }
)
_CARD = mapping(
    {
        "token": text,
        "number": text,
        "cvc": text,
        "exp_month": integer,
        "exp_year": integer,
        "networks": opaque,
    }
)
_SEPA_DEBIT = mapping({"iban": text}, required=("iban",))
_US_BANK_ACCOUNT = mapping(
    {
        "account_holder_type": one_of("company", "individual"),
        "account_number": text,
        "account_type": one_of("checking", "savings"),
        "financial_connections_account": text,
        "routing_number": text,
    }
)
# `payment_method_data` of an intent has no `card` [sdk]: a card comes as a token or a PaymentMethod.
DATA_FIELDS: Schema = {
    "type": one_of(*TYPES),
    "allow_redisplay": text,
    "customer_balance": opaque,
    "billing_details": BILLING_DETAILS,
    "metadata": metadata,
    "radar_options": opaque,
    "sepa_debit": _SEPA_DEBIT,
    "us_bank_account": _US_BANK_ACCOUNT,
    **dict.fromkeys(REDIRECT_TYPES, opaque),
}
PAYMENT_METHOD_DATA = mapping(DATA_FIELDS, required=("type",))
CREATE_FIELDS: Schema = {**DATA_FIELDS, "card": _CARD, "expand": expansion}


def create(account: Account, data: Mapping[str, Any]) -> Method:
    """Create a method from the parameters of a create or from `payment_method_data`."""
    if data.get("type") is None:
        raise InvalidParameter("Missing required param: type.", code="parameter_missing", param="type")
    type = data["type"]
    attributes = {
        "billing_details": objects.billing_details(data.get("billing_details")),
        "metadata": merge_metadata({}, data.get("metadata", {})),
        "allow_redisplay": data.get("allow_redisplay", "unspecified"),
    }
    if type == "card":
        return _from_card(account, data.get("card", {}), attributes)
    if type == "sepa_debit":
        return _from_iban(account, data.get("sepa_debit", {}), attributes)
    if type == "us_bank_account":
        return _from_us_account(account, data.get("us_bank_account", {}), attributes)
    if type == "customer_balance":
        return _store(account, type, {}, SUCCESS, **attributes)
    for detail in NEEDED_DETAILS[type]:
        _require(attributes["billing_details"], detail)
    return _store(account, type, {}, Behaviour(authentication="always"), **attributes)


def from_token(account: Account, token: str) -> Method | None:
    """Create a method from a magic token such as `pm_card_visa`; return None for any other id."""
    if token in US_METHODS:
        number, behaviour = US_METHODS[token]
        details = objects.us_bank_account(number, "110000000", fingerprint_of("110000000", number))
        return _store(account, "us_bank_account", details, behaviour)
    if not token.startswith(PM_CARD) or magic_card(token) is None:
        return None
    return _from_card(account, {"token": token}, {})


def scripted(account: Account, entries: list[str | Mapping[str, Any]], brand: str = "visa") -> Method:
    """Create a reusable card with a number of its own, whose issuer decides each successive confirm by the next
    entry."""
    method = _from_card(account, {"token": f"{PM_CARD}{brand}"}, {})
    method.body["card"]["fingerprint"] = new_fingerprint()
    method.script = script(entries)
    method.is_reusable = True
    return method


def resolve(account: Account, id: str) -> Method:
    """Return the method of an id, or a new one for a magic token."""
    return from_token(account, id) or account.method(id)


def check_usable(method: Method, customer: str | None) -> None:
    """Refuse a method that cannot pay for an intent of this customer, or of no customer."""
    owner = method.body["customer"]
    if method.is_reusable and owner is None:
        return
    # Without a customer a method pays once; this keeps a product from charging a card that it did not save.
    if method.is_detached or (method.is_used and owner is None):
        raise InvalidRequest(SPENT_MESSAGE, param="payment_method")
    if owner is not None and customer is None:
        raise InvalidRequest(
            f"The provided PaymentMethod belongs to the Customer {owner}. Please include the Customer "
            "in the `customer` parameter on the PaymentIntent.",
            param="payment_method",
        )
    if owner is not None and customer != owner:
        raise InvalidRequest(
            f"The customer does not have a payment method with the ID {method.body['id']}. The "
            "payment method must be attached to the customer.",
            param="payment_method",
        )


def attach(account: Account, id: str, customer: str, cause: Cause) -> Method:
    """Attach a method to a customer. For a magic token or a scripted card the customer gets a new method like it."""
    account.customer(customer)
    method = from_token(account, id) or account.method(id, status=404)
    if method.is_reusable:
        method = _copy(account, method)
    if method.is_detached or (method.is_used and method.body["customer"] is None):
        raise InvalidRequest(
            "This PaymentMethod was previously used without being attached to a Customer or was "
            "detached from a Customer, and may not be used again."
        )
    if method.body["customer"] not in (None, customer):
        raise InvalidRequest("The payment method you provided has already been attached to a customer.")
    decline = method.behaviour.decline
    if decline is not None and not method.behaviour.is_attachable:
        raise CardError(decline.error(charge=None, payment_method=None))
    method.body["customer"] = customer
    account.emit("payment_method.attached", method.body, cause)
    return method


def detach(account: Account, id: str, cause: Cause) -> Method:
    """Detach a method from its customer for good."""
    method = account.method(id, status=404)
    customer = method.body["customer"]
    if customer is None:
        raise InvalidRequest(
            "The payment method you provided is not attached to a customer so detachment is impossible."
        )
    method.body["customer"] = None
    method.is_detached = True
    settings = account.customers[customer].get("invoice_settings", {})
    if settings.get("default_payment_method") == id:
        settings["default_payment_method"] = None
    account.emit("payment_method.detached", method.body, cause, previous={"customer": customer})
    return method


def update_card(account: Account, id: str, changes: Json, *, is_automatic: bool) -> Method:
    """Change a saved card, as the networks' account updater or an API call does."""
    method = account.method(id, status=404)
    if method.body["type"] != "card":
        raise InvalidRequest("Only a card is updated.")
    previous = {name: method.body["card"][name] for name in changes}
    method.body["card"] |= changes
    type = "payment_method.automatically_updated" if is_automatic else "payment_method.updated"
    account.emit(type, method.body, NO_REQUEST, previous={"card": previous})
    return method


def method_of(account: Account, customer: str, id: str, *, param: str, status: int = 400) -> Method:
    """Return a method of this customer; raise InvalidRequest for any other id."""
    method = account.methods.get(id)
    if method is None or method.body["customer"] != customer:
        raise InvalidRequest(
            f"The customer does not have a payment method with the ID {id}. The payment method must be attached to "
            "the customer.",
            code="resource_missing",
            param=param,
            status=status,
        )
    return method


def methods_of(account: Account, customer: str) -> list[Json]:
    """Return the methods of a customer, oldest first."""
    return [method.body for method in account.methods.values() if method.body["customer"] == customer]


def _from_card(account: Account, data: Mapping[str, Any], attributes: Json) -> Method:
    if "number" in data:
        raise InvalidRequest(RAW_CARD_MESSAGE, status=402)
    token = str(data.get("token", ""))
    if not token:
        raise InvalidParameter("Missing required param: card[token].", code="parameter_missing", param="card[token]")
    card = magic_card(token)
    if card is None:
        raise missing("token", token, param="card[token]")
    printed, behaviour = card
    details = objects.card(
        printed.brand,
        printed.last4,
        printed.funding,
        fingerprint_of(printed.brand, printed.country, printed.last4),
        country=printed.country,
        checks=dict(behaviour.checks),
        is_3ds_supported=behaviour.authentication != "unsupported",
    )
    return _store(account, "card", details, behaviour, **attributes)


def _from_iban(account: Account, data: Mapping[str, Any], attributes: Json) -> Method:
    iban = re.sub(r"\s", "", str(data.get("iban", ""))).upper()
    if not re.fullmatch(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}", iban):
        raise InvalidParameter(
            "The IBAN you provided is not valid.", code="invalid_bank_account_iban", param="sepa_debit[iban]"
        )
    for detail in ("name", "email"):
        _require(attributes["billing_details"], detail)
    return _store(
        account, "sepa_debit", objects.sepa_debit(iban, fingerprint_of(iban)), iban_behaviour(iban), **attributes
    )


def _require(details: Json, path: str) -> None:
    value: Any = details
    for name in path.split("."):
        value = value[name]
    if value is None:
        full = f"billing_details[{path.replace('.', '][')}]"
        raise InvalidParameter(f"Missing required param: {full}.", code="parameter_missing", param=full)


def _from_us_account(account: Account, data: Mapping[str, Any], attributes: Json) -> Method:
    fields = dict(data)
    number, routing = fields.pop("account_number", None), fields.pop("routing_number", None)
    if number is None or routing is None:
        raise InvalidParameter(
            "Missing required param: us_bank_account[account_number].",
            code="parameter_missing",
            param="us_bank_account[account_number]",
        )
    details = objects.us_bank_account(number, routing, fingerprint_of(routing, number), **fields)
    behaviour = US_ACCOUNTS.get(number, Behaviour(is_verified=False))
    return _store(account, "us_bank_account", details, behaviour, **attributes)


def _store(account: Account, type: str, details: Json, behaviour: Behaviour, **attributes: Any) -> Method:
    method = Method(objects.payment_method(new_id("pm_"), account.now, type, details, **attributes), behaviour)
    account.methods[method.body["id"]] = method
    return method


def _copy(account: Account, method: Method) -> Method:
    copy = _store(account, "card", method.body["card"], method.behaviour)
    copy.script = method.script
    copy.is_reusable = True
    return copy
