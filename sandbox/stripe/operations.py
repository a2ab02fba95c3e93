"""Owns the table of Stripe's operations: name, address, parameters, and the function that executes each.

Names are those of the official package (`payment_intents.create`); faults are ordered by them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.stripe import API_VERSION, customers, intents, payment_methods, refunds
from sandbox.stripe.account import Account
from sandbox.stripe.confirmation import verify_microdeposits
from sandbox.stripe.errors import Json, missing
from sandbox.stripe.events import Cause
from sandbox.stripe.listing import LIST_FIELDS, PAGE_FIELDS, SEARCH_FIELDS, expansion, listed, searched
from sandbox.stripe.params import Schema, boolean, list_of, merge_metadata, metadata, one_of, text
from sandbox.stripe.settlement import cancel, capture


@dataclass(frozen=True)
class Call:
    """One request as an operation sees it: ids from the address, parameters, the cause, and the sandbox's
    address."""

    ids: Mapping[str, str]
    given: Mapping[str, Any]
    cause: Cause
    base_url: str


@dataclass(frozen=True)
class Operation:
    """One operation. `check` refuses contradictory parameters before execution begins."""

    name: str
    method: str
    rule: str
    run: Callable[[Account, Call], Json]
    fields: Schema
    required: tuple[str, ...] = ()
    check: Callable[[Mapping[str, Any]], None] = lambda given: None


_READ: Schema = {"expand": expansion}


def _create_intent(account: Account, call: Call) -> Json:
    return intents.create(account, call.given, call.cause, call.base_url)


def _retrieve_intent(account: Account, call: Call) -> Json:
    return account.intent(call.ids["intent"]).body


def _update_intent(account: Account, call: Call) -> Json:
    return intents.update(account, account.intent(call.ids["intent"]), call.given)


def _confirm_intent(account: Account, call: Call) -> Json:
    intent = account.intent(call.ids["intent"])
    return intents.confirm_existing(account, intent, call.given, call.cause, call.base_url)


def _capture_intent(account: Account, call: Call) -> Json:
    intent = account.intent(call.ids["intent"])
    capture(account, intent, call.given, call.cause)
    return intent.body


def _cancel_intent(account: Account, call: Call) -> Json:
    intent = account.intent(call.ids["intent"])
    cancel(account, intent, call.given.get("cancellation_reason"), call.cause)
    return intent.body


def _verify_intent(account: Account, call: Call) -> Json:
    intent = account.intent(call.ids["intent"])
    verify_microdeposits(account, intent, call.given, call.cause)
    return intent.body


def _list_intents(account: Account, call: Call) -> Json:
    bodies = (intent.body for intent in account.intents.values())
    return listed(bodies, call.given, "/v1/payment_intents", "customer", "customer_account")


def _search_intents(account: Account, call: Call) -> Json:
    indexed_until = account.sandbox.clock.now() - account.sandbox.settings.search_lag_seconds
    bodies = (intent.body for intent in account.intents.values() if intent.created_at <= indexed_until)
    return searched(bodies, call.given, "/v1/payment_intents/search")


def _retrieve_charge(account: Account, call: Call) -> Json:
    id = call.ids["charge"]
    if id not in account.charges:
        raise missing("charge", id, status=404)
    return account.charges[id]


def _list_charges(account: Account, call: Call) -> Json:
    intent = account.intents.get(call.given.get("payment_intent", ""))
    charges = intent.charges if intent is not None else account.charges.values()
    return listed(charges, call.given, "/v1/charges", "payment_intent", "customer", "transfer_group")


def _list_refunds(account: Account, call: Call) -> Json:
    intent = account.intents.get(call.given.get("payment_intent", ""))
    found = intent.refunds if intent is not None else account.refunds.values()
    return listed(found, call.given, "/v1/refunds", "payment_intent", "charge")


def _create_method(account: Account, call: Call) -> Json:
    return payment_methods.create(account, call.given).body


def _attach_method(account: Account, call: Call) -> Json:
    return payment_methods.attach(account, call.ids["method"], call.given["customer"], call.cause).body


def _detach_method(account: Account, call: Call) -> Json:
    return payment_methods.detach(account, call.ids["method"], call.cause).body


def _retrieve_method(account: Account, call: Call) -> Json:
    method = payment_methods.from_token(account, call.ids["method"])
    return (method or account.method(call.ids["method"], status=404)).body


def _list_methods(account: Account, call: Call) -> Json:
    customer = call.ids.get("customer") or call.given.get("customer")
    url = f"/v1/customers/{customer}/payment_methods" if "customer" in call.ids else "/v1/payment_methods"
    if customer is None:
        return listed((), call.given, url)
    account.customer(customer, status=404 if "customer" in call.ids else 400)
    return listed(payment_methods.owned_by(account, customer), call.given, url, "type", "allow_redisplay")


def _list_events(account: Account, call: Call) -> Json:
    given = dict(call.given)
    types = given.pop("types", None) or ([given["type"]] if "type" in given else None)
    is_delivered = given.get("delivery_success")
    found = (
        {"id": event.id, "created": event.created}
        for event in account.log.events.values()
        if (types is None or event.type in types)
        and (is_delivered is None or is_delivered == (not event.undelivered))
    )
    page = listed(found, given, "/v1/events")
    # Only what the page shows is unpacked: a long run has very many events.
    return page | {"data": [account.log.events[entry["id"]].body(API_VERSION) for entry in page["data"]]}


def _retrieve_event(account: Account, call: Call) -> Json:
    event = account.log.events.get(call.ids["event"])
    if event is None:
        raise missing("event", call.ids["event"], status=404)
    return event.body(API_VERSION)


def _create_endpoint(account: Account, call: Call) -> Json:
    shown = {name: call.given[name] for name in ("api_version", "description") if name in call.given}
    shown["metadata"] = merge_metadata({}, call.given.get("metadata", {}))
    endpoint = account.log.add_endpoint(call.given["url"], call.given["enabled_events"], **shown)
    return endpoint.body | {"secret": endpoint.secret}


def _endpoint(account: Account, call: Call) -> Json:
    id = call.ids["endpoint"]
    if id not in account.log.endpoints:
        raise missing("webhook endpoint", id, param="webhook_endpoint", status=404)
    return account.log.endpoints[id].body


def _update_endpoint(account: Account, call: Call) -> Json:
    body = _endpoint(account, call)
    body.update(
        {name: call.given[name] for name in ("description", "enabled_events", "url") if name in call.given}
    )
    body["metadata"] = merge_metadata(body["metadata"], call.given.get("metadata", {}))
    if "disabled" in call.given:
        body["status"] = "disabled" if call.given["disabled"] else "enabled"
    return body


def _delete_endpoint(account: Account, call: Call) -> Json:
    id = _endpoint(account, call)["id"]
    del account.log.endpoints[id]
    return {"id": id, "object": "webhook_endpoint", "deleted": True}


def _list_endpoints(account: Account, call: Call) -> Json:
    return listed(
        (endpoint.body for endpoint in account.log.endpoints.values()), call.given, "/v1/webhook_endpoints"
    )


def _retrieve_mandate(account: Account, call: Call) -> Json:
    id = call.ids["mandate"]
    if id not in account.mandates:
        raise missing("mandate", id, status=404)
    return account.mandates[id]


_INTENT = "/v1/payment_intents/<intent>"
_METHOD = "/v1/payment_methods/<method>"
_CUSTOMER = "/v1/customers/<customer>"
_ENDPOINT = "/v1/webhook_endpoints/<endpoint>"
_METHOD_LIST: Schema = {**PAGE_FIELDS, "type": one_of(*payment_methods.TYPES), "allow_redisplay": text}
_ENDPOINT_FIELDS: Schema = {
    "description": text,
    "enabled_events": list_of(text),
    "expand": expansion,
    "metadata": metadata,
    "url": text,
}

OPERATIONS = (
    Operation(
        "payment_intents.create",
        "POST",
        "/v1/payment_intents",
        _create_intent,
        intents.CREATE_FIELDS,
        ("amount", "currency"),
        intents.check_create,
    ),
    Operation(
        "payment_intents.list",
        "GET",
        "/v1/payment_intents",
        _list_intents,
        {**LIST_FIELDS, "customer": text, "customer_account": text},
    ),
    Operation(
        "payment_intents.search",
        "GET",
        "/v1/payment_intents/search",
        _search_intents,
        SEARCH_FIELDS,
        ("query",),
    ),
    Operation("payment_intents.retrieve", "GET", _INTENT, _retrieve_intent, {**_READ, "client_secret": text}),
    Operation("payment_intents.update", "POST", _INTENT, _update_intent, intents.UPDATE_FIELDS),
    Operation(
        "payment_intents.confirm", "POST", f"{_INTENT}/confirm", _confirm_intent, intents.CONFIRM_FIELDS
    ),
    Operation(
        "payment_intents.capture", "POST", f"{_INTENT}/capture", _capture_intent, intents.CAPTURE_FIELDS
    ),
    Operation("payment_intents.cancel", "POST", f"{_INTENT}/cancel", _cancel_intent, intents.CANCEL_FIELDS),
    Operation(
        "payment_intents.verify_microdeposits",
        "POST",
        f"{_INTENT}/verify_microdeposits",
        _verify_intent,
        intents.VERIFY_FIELDS,
    ),
    Operation(
        "refunds.create",
        "POST",
        "/v1/refunds",
        lambda account, call: refunds.create(account, call.given, call.cause),
        refunds.CREATE_FIELDS,
    ),
    Operation(
        "refunds.list",
        "GET",
        "/v1/refunds",
        _list_refunds,
        {**LIST_FIELDS, "payment_intent": text, "charge": text},
    ),
    Operation(
        "refunds.retrieve",
        "GET",
        "/v1/refunds/<refund>",
        lambda account, call: refunds.retrieve(account, call.ids["refund"]),
        _READ,
    ),
    Operation(
        "refunds.update",
        "POST",
        "/v1/refunds/<refund>",
        lambda account, call: refunds.update(account, call.ids["refund"], call.given, call.cause),
        refunds.UPDATE_FIELDS,
    ),
    Operation(
        "charges.list",
        "GET",
        "/v1/charges",
        _list_charges,
        {**LIST_FIELDS, "payment_intent": text, "customer": text, "transfer_group": text},
    ),
    Operation("charges.retrieve", "GET", "/v1/charges/<charge>", _retrieve_charge, _READ),
    Operation(
        "payment_methods.create",
        "POST",
        "/v1/payment_methods",
        _create_method,
        payment_methods.CREATE_FIELDS,
        ("type",),
    ),
    Operation(
        "payment_methods.list",
        "GET",
        "/v1/payment_methods",
        _list_methods,
        {**_METHOD_LIST, "customer": text, "customer_account": text},
    ),
    Operation("payment_methods.retrieve", "GET", _METHOD, _retrieve_method, _READ),
    Operation(
        "payment_methods.attach",
        "POST",
        f"{_METHOD}/attach",
        _attach_method,
        {**_READ, "customer": text, "customer_account": text},
        ("customer",),
    ),
    Operation("payment_methods.detach", "POST", f"{_METHOD}/detach", _detach_method, _READ),
    Operation(
        "customers.create",
        "POST",
        "/v1/customers",
        lambda account, call: customers.create(account, call.given, call.cause),
        customers.CREATE_FIELDS,
    ),
    Operation(
        "customers.list",
        "GET",
        "/v1/customers",
        lambda account, call: listed(
            (body for body in account.customers.values() if not body.get("deleted")),
            call.given,
            "/v1/customers",
            "email",
        ),
        {**LIST_FIELDS, "email": text, "test_clock": text},
    ),
    Operation(
        "customers.retrieve",
        "GET",
        _CUSTOMER,
        lambda account, call: customers.retrieve(account, call.ids["customer"]),
        _READ,
    ),
    Operation(
        "customers.update",
        "POST",
        _CUSTOMER,
        lambda account, call: customers.update(account, call.ids["customer"], call.given, call.cause),
        customers.UPDATE_FIELDS,
    ),
    Operation(
        "customers.delete",
        "DELETE",
        _CUSTOMER,
        lambda account, call: customers.delete(account, call.ids["customer"], call.cause),
        {},
    ),
    Operation(
        "customers.payment_methods.list", "GET", f"{_CUSTOMER}/payment_methods", _list_methods, _METHOD_LIST
    ),
    Operation(
        "events.list",
        "GET",
        "/v1/events",
        _list_events,
        {**LIST_FIELDS, "delivery_success": boolean, "type": text, "types": list_of(text)},
    ),
    Operation("events.retrieve", "GET", "/v1/events/<event>", _retrieve_event, _READ),
    Operation(
        "webhook_endpoints.create",
        "POST",
        "/v1/webhook_endpoints",
        _create_endpoint,
        {**_ENDPOINT_FIELDS, "api_version": text, "connect": boolean},
        ("enabled_events", "url"),
    ),
    Operation("webhook_endpoints.list", "GET", "/v1/webhook_endpoints", _list_endpoints, PAGE_FIELDS),
    Operation("webhook_endpoints.retrieve", "GET", _ENDPOINT, _endpoint, _READ),
    Operation(
        "webhook_endpoints.update",
        "POST",
        _ENDPOINT,
        _update_endpoint,
        {**_ENDPOINT_FIELDS, "disabled": boolean},
    ),
    Operation("webhook_endpoints.delete", "DELETE", _ENDPOINT, _delete_endpoint, {}),
    Operation("mandates.retrieve", "GET", "/v1/mandates/<mandate>", _retrieve_mandate, _READ),
)
