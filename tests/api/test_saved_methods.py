"""Saved payment methods belong to one user of one application."""

from __future__ import annotations

import pytest

from .api_system import ApiSystem, unique


def test_another_application_sees_and_changes_no_saved_method(api: ApiSystem) -> None:
    address = f"/customers/{unique('user')}/payment-methods"
    saved = api.post(address, {"payment_method_token": "pm_card_visa"})
    assert saved.status_code == 201, saved.text
    token = saved.json["payment_method_token"]
    elsewhere = api.get(address, caller="other")
    assert (elsewhere.json["customer_token"], elsewhere.json["payment_methods"]) == (None, [])
    refused = [
        api.call("DELETE", f"{address}/{token}", caller="other"),
        api.post(f"{address}/{token}/default", {}, caller="other"),
    ]
    assert [response.status_code for response in refused] == [404, 404]
    assert [method["payment_method_token"] for method in api.get(address).json["payment_methods"]] == [token]


@pytest.mark.parametrize(
    ("token", "status", "code", "sentence"),
    [
        ("pm_none", 404, "resource_missing", "no such"),
        ("pm_card_visa_chargeDeclined", 422, "card_declined", "Your card was declined"),
        ("pm_card_chargeDeclinedInsufficientFunds", 422, "card_declined", "Your card has insufficient funds"),
    ],
)
def test_a_method_that_cannot_be_saved_is_named_with_the_provider_s_sentence(
    api: ApiSystem, token: str, status: int, code: str, sentence: str
) -> None:
    refused = api.post(f"/customers/{unique('user')}/payment-methods", {"payment_method_token": token})
    assert (refused.status_code, refused.json["param"], refused.json["code"]) == (status, "payment_method_token", code)
    assert sentence in refused.json["detail"]
    assert token not in refused.text


def test_a_method_that_is_not_saved_is_named(api: ApiSystem) -> None:
    address = f"/customers/{unique('user')}/payment-methods"
    other = api.post(f"/customers/{unique('user')}/payment-methods", {"payment_method_token": "pm_card_visa"})
    assert api.post(address, {"payment_method_token": "pm_card_visa"}).status_code == 201
    for token in ("pm_none", other.json["payment_method_token"]):
        refused = [api.call("DELETE", f"{address}/{token}"), api.post(f"{address}/{token}/default", {})]
        found = [(response.status_code, response.json["param"]) for response in refused]
        assert found == [(404, "payment_method_token")] * 2
