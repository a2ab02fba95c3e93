"""Accepting and reading payments: what is stored, replayed, paged, waited for, and kept apart."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import select

from domain.state_machine import Blocked, ReviewRequired
from models import transition
from models.tables import events

from .api_system import ApiSystem, assert_problem, payment, unique

WRITTEN = {"payments": 1, "attempts": 1, "events": 1, "invoices": 1, "idempotency_keys": 1}


def written(api: ApiSystem, before: dict[str, int]) -> dict[str, int]:
    """Return by how many rows each table has grown since."""
    return {name: count - before[name] for name, count in api.row_counts().items() if count != before[name]}


# --- accepting ---


def test_a_payment_is_accepted_and_announced_once(api: ApiSystem) -> None:
    before = api.row_counts()
    response = api.process(metadata={"order": "42"}, amount="12.3")

    assert response.status_code == 202
    shown = response.json
    assert (shown["status"], shown["amount"], shown["currency"]) == ("accepted", "12.30", "EUR")
    assert (shown["metadata"], shown["capture"], shown["off_session"]) == ({"order": "42"}, True, False)
    assert response.headers["Location"].endswith(f"/api/v1/payments/{shown['id']}")
    assert api.get(f"/{shown['id']}").json == shown
    assert written(api, before) == WRITTEN
    assert [publish.task for publish in api.messages] == ["payments.charge"]
    assert [publish.row_id for publish in api.messages] == [shown["attempts"][0]["id"]]


def test_each_acceptance_writes_its_event(api: ApiSystem) -> None:
    shown = api.process().json
    (event,) = api.query(select(events).where(events.c.payment_id == shown["id"]))
    assert (event.name, event.from_state, event.to_state) == ("payment_accepted", None, "accepted")
    assert (event.actor, event.attempt_id) == ("app:shop", shown["attempts"][0]["id"])


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        ('"12.30"', "EUR", "12.30"),
        ("12.30", "EUR", "12.30"),
        ("12", "eur", "12.00"),
        ('"0.60"', "EUR", "0.60"),
        ("1.100000", "EUR", "1.10"),
        ("1e2", "EUR", "100.00"),
        ('"500"', "JPY", "500"),
        ('"1.230"', "KWD", "1.230"),
        ("0.57", "EUR", "0.57"),
        ("999999.99", "USD", "999999.99"),
    ],
)
def test_amounts_are_exact(api: ApiSystem, amount: str, currency: str, shown: str) -> None:
    raw = json.dumps(payment(amount="AMOUNT", currency=currency)).replace('"AMOUNT"', amount)
    response = api.post("/process", raw, Idempotency_Key=unique("key"))
    assert response.status_code == 202, response.text
    assert response.json["amount"] == shown


def test_a_subscription_is_off_session_unless_said_otherwise(api: ApiSystem) -> None:
    assert api.process(subscription_id=unique("sub")).json["off_session"] is True
    assert api.process(subscription_id=unique("sub"), off_session=False).json["off_session"] is False
    assert api.process(off_session=True).json["off_session"] is True


def test_a_subscription_is_shown_to_its_application_only(api: ApiSystem) -> None:
    subscription = unique("sub")
    api.process(subscription_id=subscription)
    assert api.get(f"/subscriptions/{subscription}").json["status"] == "incomplete"
    api.run_published()
    assert api.get(f"/subscriptions/{subscription}").json["status"] == "active"
    assert_problem(api.get(f"/subscriptions/{subscription}", caller="other"), 404, "not_found")


def test_a_subscription_of_another_user_is_refused_and_nothing_is_written(api: ApiSystem) -> None:
    subscription = unique("sub")
    api.process(subscription_id=subscription)
    before = api.row_counts()
    assert_problem(api.process(subscription_id=subscription), 409, "invoice_mismatch")
    assert api.row_counts() == before


# --- one live collection ---


def test_an_invoice_has_one_live_collection(api: ApiSystem) -> None:
    first = api.process().json
    again = {"invoice_id": first["invoice_id"], "user_id": first["user_id"]}
    before = api.row_counts()
    assert first["id"] in assert_problem(api.process(**again), 409, "collection_in_progress")
    assert api.row_counts() == before


def test_after_a_decline_the_invoice_can_be_paid_again(api: ApiSystem) -> None:
    declined = api.process_and_run(payment_method_token="pm_card_visa_chargeDeclined")
    assert declined["status"] == "declined"
    again = api.process_and_run(invoice_id=declined["invoice_id"], user_id=declined["user_id"])
    assert again["status"] == "captured"


def test_no_more_is_charged_than_is_outstanding(api: ApiSystem) -> None:
    invoice = {"invoice_id": unique("inv"), "user_id": unique("user")}
    api.call("PUT", f"/invoices/{invoice['invoice_id']}", {**UPSERT, "user_id": invoice["user_id"]})
    assert api.process_and_run(**invoice, amount="60")["status"] == "captured"
    before = api.row_counts()
    assert "40.00 EUR" in assert_problem(api.process(**invoice, amount="40.01"), 422, "amount_above_open")
    assert api.row_counts() == before
    assert api.process_and_run(**invoice, amount="40")["status"] == "captured"
    assert "nothing is outstanding" in assert_problem(api.process(**invoice, amount="0.50"), 422, "amount_above_open")


UPSERT = {"user_id": "u", "amount": "100", "currency": "EUR"}


@pytest.mark.parametrize("changes", [{"user_id": "another-user"}, {"currency": "USD"}], ids=str)
def test_a_payment_must_fit_its_invoice(api: ApiSystem, changes: dict[str, Any]) -> None:
    paid = api.process_and_run()
    same = {"invoice_id": paid["invoice_id"], "user_id": paid["user_id"]}
    before = api.row_counts()
    assert_problem(api.process(**(same | changes)), 409, "invoice_mismatch")
    assert api.row_counts() == before


# --- reading ---


def test_a_payment_of_another_application_looks_like_an_unknown_one(api: ApiSystem) -> None:
    mine = api.process().json["id"]
    for method, path in [("GET", ""), ("POST", "/capture"), ("POST", "/cancel"), ("POST", "/refunds")]:
        before = api.row_counts()
        theirs = api.call(method, f"/{mine}{path}", caller="other", Idempotency_Key=unique("key"))
        unknown = api.call(method, f"/pay_none{path}", caller="other", Idempotency_Key=unique("key"))
        assert_problem(theirs, 404, "not_found")
        assert theirs.json == unknown.json
        assert api.row_counts() == before


def test_pages_hold_everything_once_and_in_order(api: ApiSystem) -> None:
    invoice, user = unique("inv"), unique("user")
    body = {**UPSERT, "user_id": user}
    api.call("PUT", f"/invoices/{invoice}", body)
    made = [api.process_and_run(invoice_id=invoice, user_id=user, amount="1")["id"] for _ in range(5)]

    seen, cursor = [], ""
    while cursor is not None:
        page = api.get(f"/?invoice_id={invoice}&limit=2" + (f"&cursor={cursor}" if cursor else "")).json
        assert len(page["payments"]) <= 2
        seen += [shown["id"] for shown in page["payments"]]
        cursor = page["next_cursor"]
    assert seen == sorted(made)


def test_a_full_last_page_has_no_cursor(api: ApiSystem) -> None:
    invoice = api.process_and_run()["invoice_id"]
    page = api.get(f"/?invoice_id={invoice}&limit=1").json
    assert (len(page["payments"]), page["next_cursor"]) == (1, None)


def test_the_list_shows_own_payments_only(api: ApiSystem) -> None:
    invoice = api.process_and_run()["invoice_id"]
    assert api.get(f"/?invoice_id={invoice}", caller="other").json == {"payments": [], "next_cursor": None}
    assert len(api.get(f"/?invoice_id={invoice}", caller="operator").json["payments"]) == 1


# --- waiting ---


@pytest.mark.parametrize("prefer", ["wait=5", "respond-async, wait=5", "wait = 5", "foo;wait=5"])
def test_a_caller_may_wait_for_the_result(api: ApiSystem, prefer: str) -> None:
    api.is_worker_up = True
    response = api.process(Prefer=prefer)
    assert (response.status_code, response.json["status"]) == (200, "captured")
    assert response.headers["Preference-Applied"] == "wait=5"
    assert response.headers["Location"].endswith(response.json["id"])


@pytest.mark.parametrize("prefer", ["wait=0", "wait=", "wait=-1", "wait=x", "await=5", "respond-async", ""])
def test_a_malformed_preference_is_ignored(api: ApiSystem, prefer: str) -> None:
    response = api.process(Prefer=prefer)
    assert response.status_code == 202
    assert "Preference-Applied" not in response.headers


def test_a_wait_lasts_half_a_minute_at_most(api: ApiSystem) -> None:
    api.is_worker_up = True
    assert api.process(Prefer="wait=3600").headers["Preference-Applied"] == "wait=30"


def test_a_wait_that_ends_without_a_result_returns_the_acceptance(api: ApiSystem) -> None:
    response = api.process(Prefer="wait=1")
    assert (response.status_code, response.json["status"]) == (202, "accepted")


def test_a_wait_that_ends_in_doubt_returns_the_payment_as_it_is_now(api: ApiSystem) -> None:
    body, key = payment(), unique("key")
    shown = api.post("/process", body, Idempotency_Key=key).json
    api.provider.fail("payment_intents.confirm", "reset_before", times=1)
    api.run_published()
    assert api.show(shown["id"])["status"] == "in_doubt"
    response = api.post("/process", body, Idempotency_Key=key, Prefer="wait=1")
    assert (response.status_code, response.json["status"]) == (202, "in_doubt")
    assert response.headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize(
    ("changes", "status", "kind", "code"),
    [
        ({"payment_method_token": "pm_card_visa_chargeDeclined"}, 400, "payment_declined", "generic_decline"),
        (
            {"payment_method_token": "pm_card_visa_chargeDeclined", "subscription_id": "sub"},
            400,
            "payment_declined",
            "generic_decline",
        ),
        (
            {"payment_method_token": "pm_card_visa_chargeDeclinedLostCard", "subscription_id": "sub"},
            400,
            "payment_declined",
            "lost_card",
        ),
        ({"payment_method_token": "pm_none"}, 422, "request_refused", "resource_missing"),
        ({"amount": "0.10", "currency": "KES"}, 422, "request_refused", "amount_too_small"),
    ],
    ids=str,
)
def test_a_waiting_caller_gets_the_refusal(
    api: ApiSystem, changes: dict[str, Any], status: int, kind: str, code: str
) -> None:
    api.is_worker_up = True
    unique_ids = {name: unique(value) for name, value in changes.items() if name == "subscription_id"}
    response = api.process(**(changes | unique_ids), Prefer="wait=5")
    assert_problem(response, status, kind)
    assert response.json["code"] == code
    assert response.json["payment"]["id"] == response.json["payment_id"]
    if kind == "request_refused":
        [field] = {"payment_method_token", "amount"} & changes.keys()
        assert response.json["param"] == response.json["payment"]["attempts"][0]["param"] == field
        assert field in response.json["detail"]
        assert ("at least 50" in response.json["detail"]) == (field == "amount")
        assert "pm_none" not in response.text


@pytest.mark.parametrize(
    ("command", "kind"), [(Blocked(), "fraud_blocked"), (ReviewRequired(), "review_required")], ids=str
)
def test_a_waiting_caller_gets_the_result_of_the_screening(api: ApiSystem, command: Any, kind: str) -> None:
    body, key = payment(), unique("key")
    shown = api.post("/process", body, Idempotency_Key=key).json
    api.runtime.change("test", transition.apply, shown["attempts"][0]["id"], command)
    response = api.post("/process", body, Idempotency_Key=key, Prefer="wait=5")
    assert_problem(response, 403, kind)


# --- processes ---


def test_the_health_pages_say_alive_and_ready(api: ApiSystem) -> None:
    assert api.call("GET", "//healthz", caller=None).json == {"status": "ok"}
    ready = api.call("GET", "//readyz", caller=None)
    assert (ready.status_code, ready.json["checks"]) == (200, {"database": True, "broker": True})


def test_without_the_broker_payments_are_accepted_and_the_process_is_not_ready(api: ApiSystem) -> None:
    api.broker_error = ConnectionError("refused")
    ready = api.call("GET", "//readyz", caller=None)
    assert (ready.status_code, ready.json["checks"]) == (503, {"database": True, "broker": False})
    assert api.process().status_code == 202
