"""Customers: how a user is reached, and what stops mail to them."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select

from models.tables import events

from .api_system import ApiSystem, assert_problem, unique

ADA = {
    "email": "ada@example.com",
    "name": "Ada Lovelace",
    "language": "de",
    "time_zone": "Europe/Berlin",
    "country": "DE",
}


def put(api: ApiSystem, user: str, caller: str = "shop", **changes: Any) -> Any:
    return api.call("PUT", f"/customers/{user}", ADA | changes, caller=caller)


def test_a_customer_is_made_shown_and_replaced(api: ApiSystem) -> None:
    user = unique("user")
    made = put(api, user)
    assert made.status_code == 201
    assert {name: made.json[name] for name in ADA} == ADA
    assert (made.json["user_id"], made.json["application"], made.json["mail_status"]) == (user, "shop", "ok")
    assert api.get(f"/customers/{user}").json == made.json

    replaced = api.call("PUT", f"/customers/{user}", {"email": "ada@example.org"})
    assert replaced.status_code == 200
    assert replaced.json["created_at"] == made.json["created_at"]
    assert [replaced.json[name] for name in ADA] == ["ada@example.org", None, None, None, None]


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("email", "ada", "must be an address"),
        ("email", "ada@example.com, eve@example.com", "must be an address"),
        ("email", "ada@example.com\r\nBcc: eve@example.com", "must be an address"),
        ("email", '"ada lovelace"@example.com', "must be an address"),
        ("email", "ada@-example.com", "must be an address"),
        ("email", "ädä@example.com", "must be an address"),
        ("email", "@", "must be an address"),
        ("email", 5, "must be a text"),
        ("name", "Ada\r\nBcc: eve@example.com", "must be a name on one line"),
        ("name", " ", "must be a name on one line"),
        ("language", "fr", "must be 'en' or 'de'"),
        ("time_zone", "Europe/Berlin2", "must be a time zone such as"),
        ("time_zone", "../../etc/passwd", "must be a time zone such as"),
        ("country", "UK", "must be a country's two letters"),
        ("country", "Germany", "must be a country's two letters"),
        ("phone", "1", "unknown field"),
    ],
)
def test_what_a_mail_could_break_on_is_refused(api: ApiSystem, field: str, value: Any, reason: str) -> None:
    user = unique("user")
    detail = assert_problem(put(api, user, **{field: value}), 422, "invalid_request")
    assert detail.startswith(f"{field}: {reason}")
    assert len(str(value)) < 5 or str(value) not in detail
    assert_problem(api.get(f"/customers/{user}"), 404, "not_found")


def test_customers_of_two_applications_are_kept_apart(api: ApiSystem) -> None:
    user = unique("user")
    put(api, user)
    assert_problem(api.get(f"/customers/{user}", caller="other"), 404, "not_found")
    assert api.get(f"/customers/{user}", caller="operator").json["application"] == "shop"
    assert put(api, user, caller="other", email="eve@example.com").status_code == 201
    assert_problem(api.get(f"/customers/{user}", caller="operator"), 409, "ambiguous_name")
    assert api.get(f"/customers/{user}?application=other", caller="operator").json["email"] == "eve@example.com"
    assert api.get(f"/customers/{user}").json["email"] == ADA["email"]


def mark(api: ApiSystem, user: str, status: Any, caller: str = "operator") -> Any:
    return api.post(f"/admin/customers/{user}/mail-status?application=shop", {"status": status}, caller=caller)


def test_a_bounce_is_recorded_once_and_ends_with_a_new_address(api: ApiSystem) -> None:
    user = unique("user")
    put(api, user)
    of_user = select(func.count()).select_from(events).where(events.c.data["user_id"].as_string() == user)
    for _ in range(2):
        assert mark(api, user, "bounced").json["mail_status"] == "bounced"
    assert api.query(of_user)[0][0] == 1
    assert put(api, user).json["mail_status"] == "bounced"
    assert put(api, user, email="ada@example.net").json["mail_status"] == "ok"
    assert mark(api, user, "complained").json["mail_status"] == "complained"
    assert mark(api, user, "ok").json["mail_status"] == "ok"


def test_only_an_operator_marks_an_address_and_only_with_a_known_word(api: ApiSystem) -> None:
    user = unique("user")
    assert_problem(mark(api, user, "bounced"), 404, "not_found")
    put(api, user)
    assert_problem(mark(api, user, "bounced", caller="shop"), 403, "forbidden")
    assert_problem(mark(api, user, "gone"), 422, "invalid_request")
    assert_problem(api.get(f"/customers/{user}", caller=None), 401, "unauthorized")
