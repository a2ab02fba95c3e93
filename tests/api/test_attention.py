"""The attention list over HTTP: who may read and decide, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from domain.attention import Reason
from domain.state_machine import ReviewRequired
from models import transition
from models.attention import open_entry

from .api_system import ApiSystem, assert_problem, unique


def entry_of(api: ApiSystem, reason: Reason = Reason.REFUND_ELSEWHERE, **payment: Any) -> tuple[str, str]:
    """Return a new entry about a captured payment, and the payment."""
    payment_id = api.process_and_run(**payment)["id"]
    given = {"payment_id": payment_id, "amount": 500, "currency": "EUR", "data": {"refund": "re_1"}}
    api.runtime.change("test", open_entry, reason, **given)
    [entry] = listed(api, payment_id)
    return entry["id"], payment_id


def listed(api: ApiSystem, payment_id: str, caller: str = "operator", query: str = "open=1") -> list[dict[str, Any]]:
    """Return the listed entries about a payment."""
    found, cursor = [], ""
    while cursor is not None:
        response = api.get(f"/admin/attention?{query}&limit=200{cursor}", caller=caller)
        assert response.status_code == 200, response.text
        found += response.json["entries"]
        cursor = f"&cursor={response.json['next_cursor']}" if response.json["next_cursor"] else None
    return [entry for entry in found if entry["payment_id"] == payment_id]


def resolve(api: ApiSystem, entry_id: str, caller: str = "operator", key: str | None = None, **body: Any) -> Any:
    given = {"action": "close", "note": "told the shop"} | body
    path = f"/admin/attention/{entry_id}/resolve"
    return api.post(path, given, caller=caller, Idempotency_Key=key or unique("key"))


def test_an_entry_shows_what_both_sides_show(api: ApiSystem) -> None:
    entry_id, payment_id = entry_of(api)
    shown = api.get(f"/admin/attention/{entry_id}", caller="operator").json
    assert (shown["reason"], shown["amount_at_stake"], shown["currency"]) == ("refund_elsewhere", "5.00", "EUR")
    assert (shown["actions"], shown["data"], shown["webhook"]) == (["close"], {"refund": "re_1"}, None)
    reference = shown["payment"]["attempts"][0]["provider_reference"]
    assert [(moved["kind"], moved["amount"], moved["provider_reference"]) for moved in shown["movements"]] == [
        ("charge", "12.30", reference)
    ]
    assert shown["payment"]["id"] == payment_id


def test_the_list_goes_on_where_a_page_ends(api: ApiSystem) -> None:
    known = [entry_of(api)[0] for _ in range(3)]
    found, cursor = [], ""
    while cursor is not None:
        page = api.get(f"/admin/attention?open=1&reason=refund_elsewhere&limit=1{cursor}", caller="operator").json
        found += [entry["id"] for entry in page["entries"]]
        cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"
    assert [entry_id for entry_id in found if entry_id in known] == known
    assert found == sorted(found)


def test_an_application_reads_its_own_entries_and_decides_nothing(api: ApiSystem) -> None:
    entry_id, payment_id = entry_of(api)
    assert [entry["id"] for entry in listed(api, payment_id, "shop")] == [entry_id]
    assert listed(api, payment_id, "other") == []
    assert api.get(f"/admin/attention/{entry_id}", caller="shop").status_code == 200
    assert_problem(api.get(f"/admin/attention/{entry_id}", caller="other"), 404, "not_found")
    before = api.row_counts()
    assert_problem(resolve(api, entry_id, "shop"), 403, "forbidden")
    assert_problem(api.post(f"/admin/attention/{entry_id}/resolve", {}, caller=None), 401, "unauthorized")
    assert api.row_counts() == before


@pytest.mark.parametrize("query", ["open=yes", "reason=late", "limit=0", "since=1", "cursor=x", "cursor=pay_1"])
def test_a_wrong_parameter_is_refused(api: ApiSystem, query: str) -> None:
    assert_problem(api.get(f"/admin/attention?{query}", caller="operator"), 422, "invalid_request")


def test_an_unknown_action_is_told_the_allowed_ones(api: ApiSystem) -> None:
    entry_id, _ = entry_of(api, Reason.CAPTURE_REFUSED)
    before = api.row_counts()
    for action in ("burn", "give_back"):
        detail = assert_problem(resolve(api, entry_id, action=action), 422, "invalid_request")
        assert "look_again, close" in detail
    assert_problem(resolve(api, entry_id, note=""), 422, "invalid_request")
    assert_problem(resolve(api, entry_id, action="look_again", write_off=True), 422, "invalid_request")
    keyless = api.post(f"/admin/attention/{entry_id}/resolve", {"action": "close", "note": "x"}, caller="operator")
    assert_problem(keyless, 400, "idempotency_key_required")
    assert_problem(resolve(api, "attn_none"), 404, "not_found")
    assert api.row_counts() == before


@pytest.mark.parametrize("caller", ["operator", "admin"])
def test_an_entry_is_closed_once_and_a_repeat_gets_the_same_response(api: ApiSystem, caller: str) -> None:
    entry_id, payment_id = entry_of(api)
    key = unique("key")
    first, second = resolve(api, entry_id, caller, key), resolve(api, entry_id, caller, key)
    assert (first.status_code, second.json) == (200, first.json)
    assert second.headers["Idempotent-Replayed"] == "true"
    assert (first.json["closed_by"], first.json["note"]) == (f"{caller}:{caller}", "told the shop")
    assert first.json["actions"] == []
    assert_problem(resolve(api, entry_id, caller, key, note="other"), 422, "idempotency_key_reused")
    assert "closed by" in assert_problem(resolve(api, entry_id, caller), 409, "conflict")
    assert api.event_names(payment_id)[-3:] == ["attention_opened", "attention_decided", "attention_closed"]
    assert (listed(api, payment_id), len(listed(api, payment_id, query="open=0"))) == ([], 1)


def test_what_cannot_be_repeated_says_what_to_do(api: ApiSystem) -> None:
    entry_id, _ = entry_of(api, Reason.DUPLICATE)
    assert "by hand" in assert_problem(resolve(api, entry_id, action="give_back"), 422, "amount_above_open")


def test_a_review_that_is_decided_elsewhere_leaves_the_list(api: ApiSystem) -> None:
    shown = api.process().json
    api.runtime.change("test", transition.apply, shown["attempts"][0]["id"], ReviewRequired())
    assert [entry["reason"] for entry in listed(api, shown["id"])] == ["review"]
    assert api.post(f"/{shown['id']}/cancel").json["status"] == "canceled"
    assert listed(api, shown["id"]) == []


def test_only_money_that_is_given_back_by_hand_is_written_off(api: ApiSystem) -> None:
    entry_id, _ = entry_of(api)
    before = api.row_counts()
    detail = assert_problem(resolve(api, entry_id, write_off=True), 422, "invalid_request")
    assert detail == "write_off is for entries of the reasons duplicate, overpaid, amount_mismatch; leave it out here"
    assert api.row_counts() == before


def test_readiness_counts_the_open_entries(api: ApiSystem) -> None:
    before = api.call("GET", "//readyz", caller=None).json["attention"]
    entry_id, _ = entry_of(api)
    ready = api.call("GET", "//readyz", caller=None)
    assert (ready.status_code, ready.json["attention"]) == (200, before + 1)
    resolve(api, entry_id)
    assert api.call("GET", "//readyz", caller=None).json["attention"] == before
