"""Customers. The response to a read of a deleted customer is 200 with only id, object and `deleted` [run].

https://docs.stripe.com/api/customers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.stripe import objects, payment_methods
from sandbox.stripe.account import Account
from sandbox.stripe.errors import InvalidRequest, Json, missing
from sandbox.stripe.events import Cause
from sandbox.stripe.ids import new_id
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

_ADDRESS = mapping(dict.fromkeys(objects.EMPTY_ADDRESS, unsettable_text))
SHARED_FIELDS: Schema = {
    "address": _ADDRESS,
    "balance": integer,
    "business_name": unsettable_text,
    "cash_balance": mapping(
        {"settings": mapping({"reconciliation_mode": one_of("automatic", "manual", "merchant_default")})}
    ),
    "description": unsettable_text,
    "email": unsettable_text,
    "expand": expansion,
    "individual_name": unsettable_text,
    "invoice_prefix": text,
    "invoice_settings": mapping(
        {
            "custom_fields": opaque,
            "default_payment_method": unsettable_text,
            "footer": unsettable_text,
            "rendering_options": opaque,
        }
    ),
    "metadata": metadata,
    "name": unsettable_text,
    "next_invoice_sequence": integer,
    "phone": unsettable_text,
    "preferred_locales": opaque,
    "shipping": opaque,
    "source": text,
    "tax": opaque,
    "tax_exempt": one_of("exempt", "none", "reverse"),
    "validate": opaque,
}
UPDATE_FIELDS: Schema = {**SHARED_FIELDS, "default_source": text}
CREATE_FIELDS: Schema = {**SHARED_FIELDS, "payment_method": text, "tax_id_data": opaque, "test_clock": text}

# Parameters that the object repeats; the other ones have no effect on payments.
ECHOED_FIELDS = (
    "address",
    "balance",
    "business_name",
    "description",
    "email",
    "individual_name",
    "name",
    "phone",
    "preferred_locales",
    "shipping",
    "tax_exempt",
)


def create(account: Account, params: Mapping[str, Any], cause: Cause) -> Json:
    """Create a customer and attach the payment method of the request, if it has one."""
    customer = objects.customer(new_id("cus_"), account.now, **_echoed(params))
    customer["metadata"] = merge_metadata({}, params.get("metadata", {}))
    account.customers[customer["id"]] = customer
    if "payment_method" in params:
        payment_methods.attach(account, params["payment_method"], customer["id"], cause)
    customer["invoice_settings"] |= _settings(account, customer["id"], params)
    _set_reconciliation(account, customer["id"], params)
    account.emit("customer.created", customer, cause)
    return customer


def retrieve(account: Account, id: str) -> Json:
    """Return a customer, deleted or not; raise InvalidRequest for an unknown id."""
    if id not in account.customers:
        raise missing("customer", id, status=404)
    return account.customers[id]


def update(account: Account, id: str, params: Mapping[str, Any], cause: Cause) -> Json:
    """Update a customer."""
    customer = account.customer(id, param="id", status=404)
    changes = _echoed(params) | {
        "metadata": merge_metadata(customer["metadata"], params.get("metadata", {})),
        "invoice_settings": customer["invoice_settings"] | _settings(account, id, params),
    }
    _set_reconciliation(account, id, params)
    previous = {name: customer.get(name) for name, value in changes.items() if customer.get(name) != value}
    customer.update(changes)
    account.emit("customer.updated", customer, cause, previous=previous)
    return customer


def delete(account: Account, id: str, cause: Cause) -> Json:
    """Delete a customer and detach the customer's payment methods for good."""
    customer = account.customer(id, param="id", status=404)
    if any(account.cash.get(id, {}).values()):
        raise InvalidRequest("This customer cannot be deleted because it has a positive cash balance.")
    for method in payment_methods.methods_of(account, id):
        payment_methods.detach(account, method["id"], cause)
    account.emit("customer.deleted", customer, cause)
    account.customers[id] = {"id": id, "object": "customer", "deleted": True}
    return account.customers[id]


def _set_reconciliation(account: Account, id: str, params: Mapping[str, Any]) -> None:
    mode = params.get("cash_balance", {}).get("settings", {}).get("reconciliation_mode")
    if mode == "merchant_default":
        account.reconciliation.pop(id, None)
    elif mode is not None:
        account.reconciliation[id] = mode


def _settings(account: Account, id: str, params: Mapping[str, Any]) -> Json:
    settings: Json = params.get("invoice_settings", {})
    if (default := settings.get("default_payment_method")) is not None:
        name = "invoice_settings[default_payment_method]"
        payment_methods.method_of(account, id, default, param=name)
    return settings


def _echoed(params: Mapping[str, Any]) -> Json:
    return {name: params[name] for name in ECHOED_FIELDS if name in params}
