"""Saved payment methods belong to one user of one application."""

from __future__ import annotations

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
