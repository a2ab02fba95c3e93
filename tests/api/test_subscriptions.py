"""Subscriptions: made and changed like invoices, shown to their application, ended once."""

from __future__ import annotations

from typing import Any

import pytest

from .api_system import ApiSystem, assert_problem, unique


def put(api: ApiSystem, subscription: str, caller: str = "shop", **changes: Any) -> Any:
    body = {"user_id": "user-1", "plan": "gold", "amount": "10", "currency": "EUR"} | changes
    return api.call("PUT", f"/subscriptions/{subscription}", body, caller=caller)


def test_a_subscription_is_made_shown_and_changed(api: ApiSystem) -> None:
    subscription = unique("sub")
    made = put(api, subscription, policy="standard")
    assert (made.status_code, made.json["status"], made.json["plan"]) == (201, "incomplete", "gold")
    assert (made.json["amount"], made.json["policy"], made.json["retried_by"]) == ("10.00", "standard", "celeriac")
    assert api.get(f"/subscriptions/{subscription}").json == made.json

    before = api.row_counts()
    again = put(api, subscription, policy="standard")
    assert (again.status_code, again.json, api.row_counts()) == (200, made.json, before)
    changed = put(api, subscription, amount="12.50", retried_by="provider")
    assert (changed.json["amount"], changed.json["retried_by"]) == ("12.50", "provider")
    assert changed.json["policy"] is None
    assert api.row_counts()["events"] == before["events"] + 1


def test_a_subscription_names_the_one_of_the_provider_that_bills_it(api: ApiSystem) -> None:
    subscription, other, reference = unique("sub"), unique("sub"), unique("sub_stripe")
    bound = {"retried_by": "provider", "provider": "stripe", "provider_reference": reference}
    made = put(api, subscription, **bound)
    assert (made.status_code, made.json | bound) == (201, made.json)
    # What is left out stays; the same is no news.
    before = api.row_counts()
    for same in (put(api, subscription, **bound), put(api, subscription, retried_by="provider")):
        assert (same.json | bound, api.row_counts()) == (same.json, before)
    refused = put(api, other, **bound)
    assert_problem(refused, 409, "conflict")
    assert api.row_counts() == before
    again = put(api, subscription)
    assert (again.json["provider"], again.json["provider_reference"]) == (None, None)
    assert put(api, other, **bound).status_code == 201


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"policy": "unheard_of"}, "policy must be one of: standard"),
        ({"retried_by": "nobody"}, "retried_by"),
        ({"plan": ""}, "plan: must not be empty"),
        ({"amount": "0"}, "amount"),
        ({"currency": "XXX"}, "currency"),
        ({"trial": 7}, "trial: unknown field"),
        ({"provider_reference": "sub_1", "retried_by": "provider"}, "provider and provider_reference together"),
        ({"provider": "stripe", "retried_by": "provider"}, "provider and provider_reference together"),
        ({"provider": "stripe", "provider_reference": "sub_1"}, "needs retried_by: provider"),
        ({"provider": "klarna", "provider_reference": "s", "retried_by": "provider"}, "provider"),
        ({"provider": "paypal", "provider_reference": "I-1", "retried_by": "provider"}, "paypal is not configured"),
    ],
    ids=str,
)
def test_what_a_subscription_cannot_be_is_refused_and_nothing_changes(
    api: ApiSystem, changes: dict[str, Any], sentence: str
) -> None:
    before = api.row_counts()
    refused = put(api, unique("sub"), **changes)
    assert (refused.status_code, sentence in refused.json["detail"]) == (422, True), refused.text
    assert api.row_counts() == before


def test_user_and_currency_of_a_subscription_stay(api: ApiSystem) -> None:
    subscription = unique("sub")
    put(api, subscription)
    assert_problem(put(api, subscription, user_id="user-2"), 409, "invoice_mismatch")
    assert_problem(put(api, subscription, currency="USD"), 409, "invoice_mismatch")


def test_a_subscription_belongs_to_its_application(api: ApiSystem) -> None:
    subscription = unique("sub")
    put(api, subscription)
    assert put(api, subscription, caller="other", plan="silver").status_code == 201
    assert api.get(f"/subscriptions/{subscription}").json["plan"] == "gold"
    assert_problem(put(api, subscription, caller="operator"), 403, "forbidden")
    only_here = unique("sub")
    put(api, only_here)
    for path in ("cancel-preview", "cancel"):
        method = "GET" if path == "cancel-preview" else "POST"
        refused = api.call(method, f"/subscriptions/{only_here}/{path}", {}, caller="other")
        assert_problem(refused, 404, "not_found")


def test_an_operator_ends_a_subscription_which_takes_no_payment_then(api: ApiSystem) -> None:
    subscription = unique("sub")
    shown = api.process_and_run(subscription_id=subscription)
    preview = api.get(f"/subscriptions/{subscription}/cancel-preview", caller="operator").json
    assert (preview["becomes"], preview["payments"]) == ("canceled", [])
    ended = api.post(f"/subscriptions/{subscription}/cancel", {"reason": "by phone"}, caller="operator")
    assert (ended.status_code, ended.json["subscription"]["status"]) == (200, "canceled")
    refused = api.process(subscription_id=subscription, user_id=shown["user_id"])
    assert_problem(refused, 409, "conflict")
    assert_problem(put(api, subscription, user_id=shown["user_id"]), 409, "conflict")
