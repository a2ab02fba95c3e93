"""Accepting and reading payments: what is stored, replayed, paged, waited for, and kept apart."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import select

from domain.state_machine import Blocked, ReviewRequired
from models import transition
from models.session import transact
from models.tables import events, idempotency_keys

from .edge import Edge, assert_problem, payment, unique

WRITTEN = {"payments": 1, "attempts": 1, "events": 1, "invoices": 1}


def written(edge: Edge, before: dict[str, int]) -> dict[str, int]:
    """Return by how many rows each table has grown since."""
    return {name: count - before[name] for name, count in edge.rows().items() if count != before[name]}


# --- accepting ---


def test_a_payment_is_accepted_and_announced_once(edge: Edge) -> None:
    before = edge.rows()
    response = edge.pay(metadata={"order": "42"}, amount="12.3")

    assert response.status_code == 202
    shown = response.json
    assert (shown["status"], shown["amount"], shown["currency"]) == ("accepted", "12.30", "EUR")
    assert (shown["metadata"], shown["capture"], shown["off_session"]) == ({"order": "42"}, True, False)
    assert response.headers["Location"].endswith(f"/api/v1/payments/{shown['id']}")
    assert edge.get(f"/{shown['id']}").json == shown
    assert written(edge, before) == WRITTEN
    assert [publish.task for publish in edge.messages] == ["payments.charge"]
    assert [publish.row_id for publish in edge.messages] == [shown["attempts"][0]["id"]]


def test_each_acceptance_writes_its_event(edge: Edge) -> None:
    shown = edge.pay().json
    (event,) = edge.found(select(events).where(events.c.payment_id == shown["id"]))
    assert (event.name, event.from_state, event.to_state) == ("payment_accepted", None, "accepted")
    assert (event.actor, event.attempt_id) == ("app:shop", shown["attempts"][0]["id"])


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        ('"12.30"', "EUR", "12.30"),
        ("12.30", "EUR", "12.30"),
        ("12", "eur", "12.00"),
        ('"0.10"', "EUR", "0.10"),
        ("1.100000", "EUR", "1.10"),
        ("1e2", "EUR", "100.00"),
        ('"500"', "JPY", "500"),
        ('"1.230"', "KWD", "1.230"),
        ("0.07", "EUR", "0.07"),
        ("999999.99", "USD", "999999.99"),
    ],
)
def test_amounts_are_exact(edge: Edge, amount: str, currency: str, shown: str) -> None:
    raw = json.dumps(payment(amount="AMOUNT", currency=currency)).replace('"AMOUNT"', amount)
    response = edge.post("/process", raw)
    assert (response.status_code, response.json["amount"]) == (202, shown)


def test_a_subscription_is_off_session_unless_said_otherwise(edge: Edge) -> None:
    assert edge.pay(subscription_id=unique("sub")).json["off_session"] is True
    assert edge.pay(subscription_id=unique("sub"), off_session=False).json["off_session"] is False
    assert edge.pay(off_session=True).json["off_session"] is True


def test_a_subscription_is_shown_to_its_application_only(edge: Edge) -> None:
    subscription = unique("sub")
    edge.pay(subscription_id=subscription)
    assert edge.get(f"/subscriptions/{subscription}").json["status"] == "active"
    assert_problem(edge.get(f"/subscriptions/{subscription}", caller="other"), 404, "not_found")


def test_a_subscription_of_somebody_else_is_refused_and_nothing_is_written(edge: Edge) -> None:
    subscription = unique("sub")
    edge.pay(subscription_id=subscription)
    before = edge.rows()
    assert_problem(edge.pay(subscription_id=subscription), 409, "invoice_mismatch")
    assert_problem(edge.pay(subscription_id=subscription, caller="other"), 409, "invoice_mismatch")
    assert edge.rows() == before


# --- one live collection ---


def test_an_invoice_has_one_live_collection(edge: Edge) -> None:
    first = edge.pay().json
    again = {"invoice_id": first["invoice_id"], "user_id": first["user_id"]}
    before = edge.rows()
    assert first["id"] in assert_problem(edge.pay(**again), 409, "collection_in_progress")
    assert edge.rows() == before


def test_after_a_decline_the_invoice_can_be_paid_again(edge: Edge) -> None:
    declined = edge.paid(payment_method_token="pm_card_visa_chargeDeclined")
    assert declined["status"] == "declined"
    again = edge.paid(invoice_id=declined["invoice_id"], user_id=declined["user_id"])
    assert again["status"] == "captured"


def test_no_more_is_taken_than_is_open(edge: Edge) -> None:
    invoice = {"invoice_id": unique("inv"), "user_id": unique("user")}
    edge.call("PUT", f"/invoices/{invoice['invoice_id']}", {**UPSERT, "user_id": invoice["user_id"]})
    assert edge.paid(**invoice, amount="60")["status"] == "captured"
    before = edge.rows()
    assert "40.00 EUR" in assert_problem(edge.pay(**invoice, amount="40.01"), 422, "amount_above_open")
    assert edge.rows() == before
    assert edge.paid(**invoice, amount="40")["status"] == "captured"
    assert "nothing is outstanding" in assert_problem(edge.pay(**invoice, amount="0.01"), 422, "amount_above_open")


UPSERT = {"user_id": "u", "amount": "100", "currency": "EUR"}


@pytest.mark.parametrize("changes", [{"user_id": "somebody-else"}, {"currency": "USD"}], ids=str)
def test_a_payment_must_fit_its_invoice(edge: Edge, changes: dict[str, Any]) -> None:
    paid = edge.paid()
    same = {"invoice_id": paid["invoice_id"], "user_id": paid["user_id"]}
    before = edge.rows()
    assert_problem(edge.pay(**(same | changes)), 409, "invoice_mismatch")
    assert edge.rows() == before


def test_an_invoice_of_another_application_is_not_found(edge: Edge) -> None:
    paid = edge.paid()
    before = edge.rows()
    response = edge.pay(invoice_id=paid["invoice_id"], user_id=paid["user_id"], caller="other")
    assert_problem(response, 404, "not_found")
    assert edge.rows() == before


# --- idempotency ---


def test_a_repeated_key_gets_the_same_answer(edge: Edge) -> None:
    body, key = payment(), unique("key")
    first = edge.post("/process", body, Idempotency_Key=key)
    rows = edge.rows()
    edge.work()
    second = edge.post("/process", body, Idempotency_Key=f'"{key}"')

    assert (second.status_code, second.json) == (first.status_code, first.json)
    assert second.headers["Location"] == first.headers["Location"]
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert (edge.rows()["payments"], edge.messages) == (rows["payments"], [])


def test_a_repeated_key_with_another_body_is_refused(edge: Edge) -> None:
    body, key = payment(), unique("key")
    edge.post("/process", body, Idempotency_Key=key)
    before = edge.rows()
    for other in (body | {"amount": "12.31"}, body | {"metadata": {"a": 1}}, payment()):
        assert_problem(edge.post("/process", other, Idempotency_Key=key), 422, "idempotency_key_reused")
    assert edge.rows() == before


def test_a_key_whose_first_request_still_runs(edge: Edge) -> None:
    body, key = payment(), unique("key")
    edge.post("/process", body, Idempotency_Key=key)
    unfinished = idempotency_keys.update().where(idempotency_keys.c.key == key).values(status=None)
    transact(edge.engine, lambda connection: connection.execute(unfinished).rowcount)
    assert_problem(edge.post("/process", body, Idempotency_Key=key), 409, "idempotency_key_in_use")


def test_keys_of_two_applications_do_not_meet(edge: Edge) -> None:
    key = unique("key")
    mine = edge.pay(Idempotency_Key=key)
    theirs = edge.pay(Idempotency_Key=key, caller="other")
    assert (mine.status_code, theirs.status_code) == (202, 202)
    assert mine.json["id"] != theirs.json["id"]


def test_a_refused_request_does_not_use_its_key_up(edge: Edge) -> None:
    invoice, user, key = unique("inv"), unique("user"), unique("key")
    live = edge.pay(invoice_id=invoice, user_id=user, payment_method_token="pm_card_visa_chargeDeclined")
    assert_problem(edge.pay(invoice_id=invoice, user_id=user, Idempotency_Key=key), 409, "collection_in_progress")
    edge.work()
    assert edge.shown(live.json["id"])["status"] == "declined"
    assert edge.pay(invoice_id=invoice, user_id=user, Idempotency_Key=key).status_code == 202


def test_without_a_key_each_request_is_its_own(edge: Edge) -> None:
    assert edge.pay().json["id"] != edge.pay().json["id"]


# --- reading ---


def test_somebody_elses_payment_looks_like_an_unknown_one(edge: Edge) -> None:
    mine = edge.pay().json["id"]
    for method, path in [("GET", ""), ("POST", "/capture"), ("POST", "/cancel"), ("POST", "/refunds")]:
        before = edge.rows()
        theirs = edge.call(method, f"/{mine}{path}", caller="other", Idempotency_Key=unique("key"))
        unknown = edge.call(method, f"/pay_none{path}", caller="other", Idempotency_Key=unique("key"))
        assert_problem(theirs, 404, "not_found")
        assert theirs.json == unknown.json
        assert edge.rows() == before


def test_pages_hold_everything_once_and_in_order(edge: Edge) -> None:
    invoice, user = unique("inv"), unique("user")
    body = {**UPSERT, "user_id": user}
    edge.call("PUT", f"/invoices/{invoice}", body)
    made = [edge.paid(invoice_id=invoice, user_id=user, amount="1")["id"] for _ in range(5)]

    seen, cursor = [], ""
    while cursor is not None:
        page = edge.get(f"/?invoice_id={invoice}&limit=2" + (f"&cursor={cursor}" if cursor else "")).json
        assert len(page["payments"]) <= 2
        seen += [shown["id"] for shown in page["payments"]]
        cursor = page["next_cursor"]
    assert seen == sorted(made)


def test_a_full_last_page_has_no_cursor(edge: Edge) -> None:
    invoice = edge.paid()["invoice_id"]
    page = edge.get(f"/?invoice_id={invoice}&limit=1").json
    assert (len(page["payments"]), page["next_cursor"]) == (1, None)


def test_the_list_shows_own_payments_only(edge: Edge) -> None:
    invoice = edge.paid()["invoice_id"]
    assert edge.get(f"/?invoice_id={invoice}", caller="other").json == {"payments": [], "next_cursor": None}
    assert len(edge.get(f"/?invoice_id={invoice}", caller="operator").json["payments"]) == 1


# --- waiting ---


@pytest.mark.parametrize("prefer", ["wait=5", "respond-async, wait=5", "wait = 5", "foo;wait=5"])
def test_a_caller_may_wait_for_the_rest(edge: Edge, prefer: str) -> None:
    edge.is_worker_up = True
    response = edge.pay(Prefer=prefer)
    assert (response.status_code, response.json["status"]) == (200, "captured")
    assert response.headers["Preference-Applied"] == "wait=5"
    assert response.headers["Location"].endswith(response.json["id"])


@pytest.mark.parametrize("prefer", ["wait=0", "wait=", "wait=-1", "wait=x", "await=5", "respond-async", ""])
def test_a_preference_that_is_none_is_ignored(edge: Edge, prefer: str) -> None:
    response = edge.pay(Prefer=prefer)
    assert response.status_code == 202
    assert "Preference-Applied" not in response.headers


def test_nobody_waits_longer_than_half_a_minute(edge: Edge) -> None:
    edge.is_worker_up = True
    assert edge.pay(Prefer="wait=3600").headers["Preference-Applied"] == "wait=30"


def test_who_waited_in_vain_gets_the_acceptance(edge: Edge) -> None:
    response = edge.pay(Prefer="wait=1")
    assert (response.status_code, response.json["status"]) == (202, "accepted")


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
        ({"payment_method_token": "pm_none"}, 500, "provider_error", "resource_missing"),
    ],
    ids=str,
)
def test_a_refusal_that_was_waited_for(edge: Edge, changes: dict[str, Any], status: int, kind: str, code: str) -> None:
    edge.is_worker_up = True
    unique_ids = {name: unique(value) for name, value in changes.items() if name == "subscription_id"}
    response = edge.pay(**(changes | unique_ids), Prefer="wait=5")
    assert_problem(response, status, kind)
    assert response.json["code"] == code
    assert response.json["payment"]["id"] == response.json["payment_id"]


@pytest.mark.parametrize(
    ("command", "kind"), [(Blocked(), "fraud_blocked"), (ReviewRequired(), "review_required")], ids=str
)
def test_a_screened_payment_that_was_waited_for(edge: Edge, command: Any, kind: str) -> None:
    body, key = payment(), unique("key")
    shown = edge.post("/process", body, Idempotency_Key=key).json
    edge.runtime.change("test", transition.apply, shown["attempts"][0]["id"], command)
    response = edge.post("/process", body, Idempotency_Key=key, Prefer="wait=5")
    assert_problem(response, 403, kind)


# --- processes ---


def test_alive_and_ready(edge: Edge) -> None:
    assert edge.call("GET", "//healthz", caller=None).json == {"status": "ok"}
    ready = edge.call("GET", "//readyz", caller=None)
    assert (ready.status_code, ready.json["checks"]) == (200, {"database": True, "broker": True})


def test_without_the_broker_it_is_not_ready_but_accepts(edge: Edge) -> None:
    edge.broker_error = ConnectionError("refused")
    ready = edge.call("GET", "//readyz", caller=None)
    assert (ready.status_code, ready.json["checks"]) == (503, {"database": True, "broker": False})
    assert edge.pay().status_code == 202
