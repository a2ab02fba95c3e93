"""The operations on the account itself: its details, balance, events, webhook endpoints and mandates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any

from sandbox.stripe import API_VERSION
from sandbox.stripe.account import Account
from sandbox.stripe.errors import InvalidParameter, Json, missing
from sandbox.stripe.listing import LIST_FIELDS, PAGE_FIELDS, expansion, list_page
from sandbox.stripe.operation import READ, Call, Operation
from sandbox.stripe.params import Schema, boolean, list_of, merge_metadata, metadata, text

# https://docs.stripe.com/api/events/list [docs]: "going back up to 30 days", "up to 20 strings", "type or types".
EVENTS_KEPT = timedelta(days=30)
MOST_TYPES = 20


def _check_types(params: Mapping[str, Any]) -> None:
    if "type" in params and "types" in params:
        raise InvalidParameter("You may only specify one of these parameters: type, types.", param="types")
    if len(params.get("types", ())) > MOST_TYPES:
        raise InvalidParameter(f"Array too long: at most {MOST_TYPES} types.", param="types")


def _has_type(params: Mapping[str, Any]) -> Callable[[str], bool]:
    """Return a test for the types that are asked for. Only `type` may hold `*`, for any text."""
    if "types" in params:
        return lambda type: type in params["types"]
    return lambda type: fnmatchcase(type, params.get("type", "*"))


def _list_events(account: Account, call: Call) -> Json:
    params = call.params
    is_asked, is_delivered = _has_type(params), params.get("delivery_success")
    oldest = account.now - EVENTS_KEPT.total_seconds()
    events = (
        {"id": event.id, "created": event.created}
        for event in account.log.events.values()
        if event.created >= oldest
        and is_asked(event.type)
        and (is_delivered is None or is_delivered == (not event.undelivered))
    )
    page = list_page(events, params, "/v1/events")
    # Only the events of the page are unpacked: a long run has very many.
    return page | {"data": [account.log.events[entry["id"]].body(API_VERSION) for entry in page["data"]]}


def _retrieve_event(account: Account, call: Call) -> Json:
    event = account.log.events.get(call.ids["event"])
    if event is None:
        raise missing("event", call.ids["event"], status=404)
    return event.body(API_VERSION)


def _create_endpoint(account: Account, call: Call) -> Json:
    optional = {name: call.params[name] for name in ("api_version", "description") if name in call.params}
    optional["metadata"] = merge_metadata({}, call.params.get("metadata", {}))
    endpoint = account.log.add_endpoint(call.params["url"], call.params["enabled_events"], **optional)
    return endpoint.body | {"secret": endpoint.secret}


def _endpoint(account: Account, call: Call) -> Json:
    id = call.ids["endpoint"]
    if id not in account.log.endpoints:
        raise missing("webhook endpoint", id, param="webhook_endpoint", status=404)
    return account.log.endpoints[id].body


def _update_endpoint(account: Account, call: Call) -> Json:
    body = _endpoint(account, call)
    body.update({name: call.params[name] for name in ("description", "enabled_events", "url") if name in call.params})
    body["metadata"] = merge_metadata(body["metadata"], call.params.get("metadata", {}))
    if "disabled" in call.params:
        body["status"] = "disabled" if call.params["disabled"] else "enabled"
    return body


def _delete_endpoint(account: Account, call: Call) -> Json:
    id = _endpoint(account, call)["id"]
    del account.log.endpoints[id]
    return {"id": id, "object": "webhook_endpoint", "deleted": True}


def _list_endpoints(account: Account, call: Call) -> Json:
    return list_page(
        (endpoint.body for endpoint in account.log.endpoints.values()), call.params, "/v1/webhook_endpoints"
    )


def _retrieve_mandate(account: Account, call: Call) -> Json:
    id = call.ids["mandate"]
    if id not in account.mandates:
        raise missing("mandate", id, status=404)
    return account.mandates[id]


def _show_account(account: Account, call: Call) -> Json:
    return {
        "id": "acct_sandbox",
        "object": "account",
        "business_profile": {"name": "Celeriac Sandbox", "url": None},
        "business_type": None,
        "capabilities": {"card_payments": "active", "transfers": "active"},
        "charges_enabled": True,
        "country": "US",
        "default_currency": "usd",
        "details_submitted": True,
        "email": None,
        "metadata": {},
        "payouts_enabled": True,
        "settings": {"payments": {"statement_descriptor": "CELERIAC SANDBOX"}},
        "type": "standard",
    }


def _show_balance(account: Account, call: Call) -> Json:
    nothing = [{"amount": 0, "currency": "usd", "source_types": {"card": 0}}]
    return {"object": "balance", "available": nothing, "livemode": False, "pending": nothing}


_ENDPOINT = "/v1/webhook_endpoints/<endpoint>"
_ENDPOINT_FIELDS: Schema = {
    "description": text,
    "enabled_events": list_of(text),
    "expand": expansion,
    "metadata": metadata,
    "url": text,
}

OPERATIONS = (
    Operation("accounts.retrieve_current", "GET", "/v1/account", _show_account, READ),
    Operation("balance.retrieve", "GET", "/v1/balance", _show_balance, READ),
    Operation(
        "events.list",
        "GET",
        "/v1/events",
        _list_events,
        {**LIST_FIELDS, "delivery_success": boolean, "type": text, "types": list_of(text)},
        check=_check_types,
    ),
    Operation("events.retrieve", "GET", "/v1/events/<event>", _retrieve_event, READ),
    Operation(
        "webhook_endpoints.create",
        "POST",
        "/v1/webhook_endpoints",
        _create_endpoint,
        {**_ENDPOINT_FIELDS, "api_version": text, "connect": boolean},
        ("enabled_events", "url"),
    ),
    Operation("webhook_endpoints.list", "GET", "/v1/webhook_endpoints", _list_endpoints, PAGE_FIELDS),
    Operation("webhook_endpoints.retrieve", "GET", _ENDPOINT, _endpoint, READ),
    Operation(
        "webhook_endpoints.update",
        "POST",
        _ENDPOINT,
        _update_endpoint,
        {**_ENDPOINT_FIELDS, "disabled": boolean},
    ),
    Operation("webhook_endpoints.delete", "DELETE", _ENDPOINT, _delete_endpoint, {}),
    Operation("mandates.retrieve", "GET", "/v1/mandates/<mandate>", _retrieve_mandate, READ),
)
