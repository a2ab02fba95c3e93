"""Dunning cases in a whole system: what opens, stops, closes and reopens one, and what that does to a subscription."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import update

from domain.decision import Policy
from domain.dunning.policy import DunningPolicy, EndAction, ResumeAnchor
from domain.dunning.segments import Segment
from domain.payment import AttemptStatus
from models.session import transact
from models.tables import customers, dunning_cases, events, subscriptions
from tests.provider import Json
from tests.system import AMOUNT, INSUFFICIENT_FUNDS, LOST_CARD, System

pytestmark = pytest.mark.postgres

CLOSED = "this case is closed: it is stopped; what is owed is paid by a payment of its invoice"
SUBSCRIPTION: Json = {"user_id": "user", "plan": "gold", "amount": "12.30", "currency": "EUR"}


def name_policy(system: System, monkeypatch: Any, **policy: Any) -> None:
    """Configure a policy `own`, and let the subscription `sub` name it."""
    use_policies(system, monkeypatch, own=DunningPolicy(**policy))
    assert put(system, policy="own").status_code == 201


def use_policies(system: System, monkeypatch: Any, **named: DunningPolicy) -> None:
    runtime = replace(system.runtime, policy=Policy(named_dunning=named))
    monkeypatch.setattr(system, "runtime", runtime)
    extensions = system.client.application.extensions
    monkeypatch.setitem(extensions, "celeriac", replace(extensions["celeriac"], runtime=runtime))


def put(system: System, **changes: Any) -> Any:
    return system.call("PUT", "/subscriptions/sub", SUBSCRIPTION | changes)


def case_id(system: System, payment_id: str) -> str:
    return str(system.dunning_case(payment_id).id)


def act(system: System, payment_id: str, action: str, **body: Any) -> Any:
    path = f"/admin/dunning/{case_id(system, payment_id)}/{action}"
    key = {"Idempotency_Key": secrets.token_hex(6)} if action == "retry-now" else {}
    return system.post(path, {"reason": "asked by phone"} | body, caller="operator", **key)


def case_state(system: System, payment_id: str) -> tuple[str, str]:
    return system.state(payment_id), system.dunning_case(payment_id).state


# --- which policy a case gets ---


@pytest.mark.parametrize(("holdout", "state"), [(0, "past_due"), (1, "in_grace")])
def test_a_case_gets_the_policy_of_its_segment_in_its_customers_morning(
    system: System, monkeypatch: Any, holdout: float, state: str
) -> None:
    patient = DunningPolicy((5,), attempts=1, window_days=1, name="patient")
    chosen = Segment("gold in Japan", patient, plans=frozenset({"gold"}), countries=frozenset({"JP"}), holdout=holdout)
    policy = replace(system.runtime.policy, dunning_segments=(chosen,))
    monkeypatch.setattr(system, "runtime", replace(system.runtime, policy=policy))
    system.call("PUT", "/customers/user", {"country": "JP", "time_zone": "Asia/Tokyo"})
    assert put(system).status_code == 201
    payment_id = system.subscribe("inv", INSUFFICIENT_FUNDS)
    case = system.dunning_case(payment_id)
    assert (case.segment, case.is_held_out, system.state(payment_id)) == ("gold in Japan", bool(holdout), state)
    assert case.policy_name == ("monitor_only" if holdout else "patient")
    if not holdout:
        morning = case.due_at.astimezone(ZoneInfo("Asia/Tokyo"))
        assert 7 <= morning.hour <= 10
        assert timedelta(days=5) <= case.due_at - case.first_failed_at <= timedelta(days=6)
    shown = system.get(f"/admin/dunning/{case.id}", caller="operator").json
    assert (shown["segment"], shown["is_held_out"]) == ("gold in Japan", bool(holdout))


def test_a_zone_that_the_database_has_lost_stops_no_case(system: System) -> None:
    system.call("PUT", "/customers/user", {"time_zone": "Asia/Tokyo"})
    lost = update(customers).values(time_zone="Atlantis/Capital")
    transact(system.engine, lambda connection: connection.execute(lost))
    assert system.state(system.subscribe("inv", INSUFFICIENT_FUNDS)) == "past_due"


# --- what a case is about ---


def test_an_invoice_without_a_subscription_is_retried_and_ends_open(system: System) -> None:
    payment_id = system.pay("inv", INSUFFICIENT_FUNDS, off_session=True)
    system.run_until_idle()
    case = system.dunning_case(payment_id)
    assert (case.id[:5], case.state, case.subscription_id, case.application) == ("case_", "retrying", None, "shop")
    assert (case.policy_name, case.policy["delays_days"]) == ("standard", [3, 7, 14])
    for _ in range(22):
        system.advance(days=1)
    assert case_state(system, payment_id) == ("uncollectible", "exhausted")
    assert [row.cause for row in system.attempts(payment_id)] == [None, *["dunning"] * 3]
    assert system.get("/invoices/inv").json["open_amount"] == "12.30"


def test_a_debit_that_fails_at_the_bank_opens_a_case(system: System) -> None:
    payment_id = system.pay("inv", system.provider.bank_account(), payment_method="sepa_debit")
    system.run_until_idle()
    assert system.state(payment_id) == "pending"
    system.provider.decide_at_bank(system.reference(payment_id), "failure")
    system.deliver_and_run(system.provider.event("payment_intent.payment_failed", system.reference(payment_id)))
    assert case_state(system, payment_id) == ("in_grace", "in_grace")


def test_a_second_payment_of_an_invoice_in_dunning_opens_no_second_case(system: System) -> None:
    dunned = system.subscribe("inv", INSUFFICIENT_FUNDS)
    other = system.subscribe("inv", INSUFFICIENT_FUNDS)
    assert (system.state(dunned), system.state(other)) == ("past_due", "declined")
    assert [row.payment_id for row in system.rows(dunning_cases)] == [dunned]
    assert system.attempts(other)[0].cause == "application"


# --- subscriptions ---


@pytest.mark.parametrize(
    ("changes", "state"), [({"off_session": False}, "declined"), ({"off_session": True}, "past_due")], ids=str
)
def test_a_subscription_is_incomplete_until_it_is_paid(system: System, changes: Json, state: str) -> None:
    first = system.subscribe("inv", INSUFFICIENT_FUNDS, **changes)
    assert (system.state(first), system.subscription_status()) == (state, "incomplete")
    system.subscribe("inv", "pm_card_visa", off_session=False)
    assert system.subscription_status() == "active"
    system.subscribe("next", INSUFFICIENT_FUNDS)
    assert system.subscription_status() == "past_due"


def test_a_canceled_or_blocked_first_payment_leaves_a_subscription_incomplete(system: System) -> None:
    canceled = system.pay("one", subscription_id="sub")
    system.post(f"/{canceled}/cancel", {})
    system.subscribe("two", "pm_card_visa", amount="200000.00")
    assert (system.state(canceled), system.subscription_status()) == ("canceled", "incomplete")


@pytest.mark.parametrize(
    ("action", "status"), [("cancel", "canceled"), ("pause", "paused"), ("unpaid", "unpaid"), ("keep", "past_due")]
)
def test_the_end_of_grace_follows_the_policy_of_the_case(
    system: System, monkeypatch: pytest.MonkeyPatch, action: str, status: str
) -> None:
    name_policy(system, monkeypatch, end_action=EndAction(action))
    system.subscribe("paid", "pm_card_visa")
    payment_id = system.subscribe("inv", LOST_CARD)
    # A changed policy holds for new cases only.
    use_policies(system, monkeypatch, own=DunningPolicy(end_action=EndAction.KEEP, grace_days=90))
    for _ in range(8):
        system.advance(days=1)
    assert (*case_state(system, payment_id), system.subscription_status()) == ("uncollectible", "exhausted", status)


@pytest.mark.parametrize("anchor", list(ResumeAnchor))
def test_a_paused_subscription_resumes_when_its_debt_is_paid(
    system: System, monkeypatch: pytest.MonkeyPatch, anchor: ResumeAnchor
) -> None:
    name_policy(system, monkeypatch, end_action=EndAction.PAUSE, resume_anchor=anchor)
    system.subscribe("paid", "pm_card_visa")
    payment_id = system.subscribe("inv", LOST_CARD)
    for _ in range(8):
        system.advance(days=1)
    [paused] = system.rows(subscriptions)
    assert (paused.status, paused.paused_at is not None) == ("paused", True)
    system.advance(days=5)
    # By a payment that does not name the subscription.
    system.pay("inv")
    system.run_until_idle()
    [resumed] = system.rows(subscriptions)
    assert (resumed.status, *case_state(system, payment_id)) == ("active", "uncollectible", "recovered")
    moved_by = (resumed.anchor_at - paused.anchor_at) // timedelta(days=1)
    assert (moved_by >= 5) == (anchor is ResumeAnchor.MOVED)
    recorded = system.rows(events, events.c.name == "subscription_active")[-1]
    assert (recorded.data["anchor"], recorded.data["paused_at"] is not None) == (anchor, True)


# --- three commands, three wishes ---


def test_a_stopped_collection_lets_the_amount_change_and_the_next_month_come(system: System) -> None:
    system.subscribe("paid", "pm_card_visa")
    payment_id = system.subscribe("inv", INSUFFICIENT_FUNDS)
    lowered = {"user_id": "user", "amount": "5.00", "currency": "EUR"}
    refused = system.call("PUT", "/invoices/inv", lowered)
    assert (refused.status_code, "in dunning" in refused.json["detail"]) == (409, True)
    assert system.post(f"/{payment_id}/cancel", {}).status_code == 202
    assert (*case_state(system, payment_id), system.subscription_status()) == ("canceled", "stopped", "past_due")
    assert system.call("PUT", "/invoices/inv", lowered).json["open_amount"] == "5.00"
    assert system.state(system.subscribe("next", "pm_card_visa")) == "captured"
    assert system.subscription_status() == "active"
    system.advance(days=30)
    assert len(system.attempts(payment_id)) == 1


def test_ending_a_subscription_stops_its_collections_as_the_preview_says(system: System) -> None:
    system.subscribe("paid", "pm_card_visa")
    dunned = system.subscribe("inv", INSUFFICIENT_FUNDS)
    waiting = system.pay("next", subscription_id="sub")
    preview = system.get("/subscriptions/sub/cancel-preview").json
    assert {each["payment_id"]: each["becomes"] for each in preview["payments"]} == {
        dunned: "stopped",
        waiting: "canceled",
    }
    assert system.state(dunned) == "past_due"
    ended = system.post("/subscriptions/sub/cancel", {"reason": "moved away"}, Idempotency_Key="end")
    assert (ended.status_code, ended.json["payments"]) == (200, preview["payments"])
    assert ended.json["subscription"]["status"] == "canceled"
    assert [case_state(system, dunned), system.state(waiting)] == [("canceled", "stopped"), "canceled"]
    again = system.post("/subscriptions/sub/cancel", {"reason": "moved away"}, Idempotency_Key="end")
    assert (again.json, again.headers["Idempotent-Replayed"]) == (ended.json, "true")
    assert system.post("/subscriptions/sub/cancel", {}).json["payments"] == []
    assert len(system.rows(events, events.c.name == "subscription_canceled")) == 1
    system.run_until_idle()
    system.advance(days=4)
    assert system.provider.movements() == [("charge", AMOUNT)]
    assert put(system).status_code == 409


# --- another door ---


def test_a_reversal_of_the_payment_that_closed_a_case_opens_it_again(system: System) -> None:
    system.subscribe("paid", "pm_card_visa")
    dunned = system.subscribe("inv", INSUFFICIENT_FUNDS)
    other = system.pay("inv", system.provider.bank_account(), payment_method="sepa_debit")
    system.run_until_idle()
    system.provider.decide_at_bank(system.reference(other), "success")
    system.deliver_and_run(system.provider.event("payment_intent.succeeded", system.reference(other)))
    assert (*case_state(system, dunned), system.subscription_status()) == ("canceled", "recovered", "active")

    path = f"intents/{system.reference(other)}/dispute"
    reference = system.provider.control(path, {"reason": "insufficient_funds"})["id"]
    told = system.provider.call("GET", "/v1/events?limit=100")["data"]
    for event in (event for event in reversed(told) if event["data"]["object"]["id"] == reference):
        system.deliver_and_run(event)
    assert (system.state(other), *case_state(system, dunned)) == ("reversed", "past_due", "retrying")
    assert system.subscription_status() == "past_due"
    assert [row.payment_id for row in system.rows(dunning_cases)] == [dunned]


# --- operators ---


def test_an_operator_sees_what_happened_and_what_happens_next(system: System) -> None:
    payment_id = system.subscribe("inv", INSUFFICIENT_FUNDS)
    shown = system.get(f"/admin/dunning/{case_id(system, payment_id)}", caller="operator").json
    assert (shown["status"], shown["next"]["what"]) == ("retrying", "retry")
    assert shown["next"]["at"] == system.get(f"/{payment_id}").json["dunning"]["next_retry_at"]
    assert "standard" in shown["next"]["why"]
    assert [event["name"] for event in shown["events"]][-1] == "retry_scheduled"
    assert shown["policy"]["delays_days"] == [3, 7, 14]
    listed = system.get("/admin/dunning?state=retrying", caller="operator").json["cases"]
    assert [case["id"] for case in listed] == [shown["id"]]
    assert system.get("/admin/dunning?state=stopped", caller="operator").json["cases"] == []
    assert system.get("/admin/dunning", caller="other").json["cases"] == []
    assert system.get(f"/admin/dunning/{shown['id']}", caller="other").status_code == 404


def test_an_operator_tries_now_and_the_plan_stays(system: System) -> None:
    payment_id = system.subscribe("inv", INSUFFICIENT_FUNDS)
    planned = system.dunning_case(payment_id)
    assert act(system, payment_id, "retry-now").status_code == 200
    assert act(system, payment_id, "retry-now").status_code == 409
    system.run_until_idle()
    assert [row.cause for row in system.attempts(payment_id)] == [None, "operator"]
    case = system.dunning_case(payment_id)
    assert (case.state, case.retry, case.due_at) == ("retrying", 1, planned.due_at)
    for _ in range(14):
        system.advance(days=1)
    system.advance(minutes=1)
    assert [row.cause for row in system.attempts(payment_id)][2:] == ["dunning"] * 3


def test_a_try_in_grace_that_succeeds_recovers_the_debt(system: System) -> None:
    script = (*["insufficient_funds"] * 5, "success")
    payment_id = system.subscribe("inv", system.provider.scripted_card(*script))
    for _ in range(15):
        system.advance(days=1)
    ends_at = system.dunning_case(payment_id).grace_ends_at
    act(system, payment_id, "retry-now")
    system.run_until_idle()
    case = system.dunning_case(payment_id)
    assert (*case_state(system, payment_id), case.grace_ends_at) == ("in_grace", "in_grace", ends_at)
    act(system, payment_id, "retry-now")
    system.run_until_idle()
    assert case_state(system, payment_id) == ("captured", "recovered")


def test_a_dead_card_is_not_tried_again_by_an_operator(system: System) -> None:
    payment_id = system.subscribe("inv", LOST_CARD)
    refused = act(system, payment_id, "retry-now")
    assert (refused.status_code, "not charged again" in refused.json["detail"]) == (409, True)
    assert len(system.attempts(payment_id)) == 1


def test_a_paused_case_waits_and_goes_on(system: System) -> None:
    payment_id = system.subscribe("inv", INSUFFICIENT_FUNDS)
    until = (system.now() + (system.dunning_case(payment_id).due_at - system.now()) * 2).isoformat()
    assert act(system, payment_id, "pause", until=until).json["paused_until"] is not None
    system.advance(days=3, minutes=1)
    assert len(system.attempts(payment_id)) == 1
    assert act(system, payment_id, "resume").json["paused_until"] is None
    assert act(system, payment_id, "resume").status_code == 409
    system.advance(seconds=5)
    assert [row.cause for row in system.attempts(payment_id)] == [None, "dunning"]
    assert {"dunning_paused", "dunning_resumed"} <= set(system.event_names(payment_id))


def test_a_longer_grace_ends_later(system: System) -> None:
    payment_id = system.subscribe("inv", LOST_CARD)
    ends_at = system.dunning_case(payment_id).grace_ends_at
    earlier = act(system, payment_id, "extend-grace", until=system.now().isoformat())
    assert earlier.status_code == 422
    later = (ends_at + (ends_at - system.now())).isoformat()
    assert act(system, payment_id, "extend-grace", until=later).status_code == 200
    system.advance(days=8)
    assert case_state(system, payment_id) == ("in_grace", "in_grace")
    system.advance(days=7)
    assert case_state(system, payment_id) == ("uncollectible", "exhausted")


def test_a_closed_case_refuses_and_nothing_changes(system: System) -> None:
    payment_id = system.subscribe("inv", INSUFFICIENT_FUNDS)
    assert act(system, payment_id, "stop").json["status"] == "stopped"
    before = system.dump()
    until = (system.now()).isoformat()
    for action, body in (
        ("stop", {}),
        ("pause", {"until": until}),
        ("resume", {}),
        ("retry-now", {}),
        ("extend-grace", {"until": until}),
    ):
        refused = act(system, payment_id, action, **body)
        assert (refused.status_code, refused.json["detail"]) == (409, CLOSED), action
    assert act(system, payment_id, "unheard-of").status_code == 404
    no_reason = system.post(f"/admin/dunning/{case_id(system, payment_id)}/stop", {}, caller="operator")
    assert no_reason.status_code == 422
    assert system.post(f"/admin/dunning/{case_id(system, payment_id)}/stop", {"reason": "x"}).status_code == 403
    assert system.dump() == before


def test_a_repeated_key_acts_once(system: System) -> None:
    payment_id = system.subscribe("inv", INSUFFICIENT_FUNDS)
    path = f"/admin/dunning/{case_id(system, payment_id)}/retry-now"
    assert system.post(path, {"reason": "asked"}, caller="operator").status_code == 400
    first = system.post(path, {"reason": "asked"}, caller="operator", Idempotency_Key="once")
    again = system.post(path, {"reason": "asked"}, caller="operator", Idempotency_Key="once")
    assert (again.json, again.headers["Idempotent-Replayed"]) == (first.json, "true")
    assert [row.status for row in system.attempts(payment_id)] == [AttemptStatus.DECLINED, AttemptStatus.DUE]


def test_what_is_due_is_run_now_once(system: System) -> None:
    retrying = system.subscribe("inv", INSUFFICIENT_FUNDS)
    in_grace = system.subscribe("other", LOST_CARD)
    system.move_clock(days=7, minutes=1)
    ran = system.post("/admin/dunning/process-retries", caller="operator")
    assert (ran.status_code, ran.json) == (202, {"published": 1})
    assert system.post("/admin/dunning/process-retries", caller="operator").json == {"published": 0}
    system.sweep()
    assert system.post("/admin/dunning/check-grace-periods", caller="operator").json == {"published": 0}
    assert system.post("/admin/dunning/check-grace-periods").status_code == 403
    system.run_until_idle()
    assert (len(system.attempts(retrying)), system.state(in_grace)) == (2, "uncollectible")
