"""Nothing that needs a person is invisible: each such thing is an entry of the attention list until it has ended."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from requests.adapters import HTTPAdapter
from sqlalchemy import Row

from domain.attention import Reason
from domain.decision import LEASE
from domain.errors import IllegalTransition
from domain.outcome import AmountMismatch, NotSent
from domain.state_machine import ReviewRequired
from gateways.failures import MalformedResponse
from gateways.stripe.gateway import StripeGateway
from models import attention_actions, transition
from models.attention import open_entry
from models.movements import differences
from models.session import read
from models.tables import attempts, attention, dunning_cases, events, webhook_events
from models.task_messages import COMPARE, DUNNING, RECONCILE, WEBHOOK
from tests.system import AMOUNT, READ_SECONDS, System

pytestmark = pytest.mark.postgres

NOTE = "checked by hand"


def entries(system: System, *, is_open: bool = True) -> list[Row[Any]]:
    """Return the entries that are open, or those that are closed."""
    closed_at = attention.c.closed_at
    return system.rows(attention, closed_at.is_(None) if is_open else closed_at.is_not(None))


def reasons(system: System) -> list[str]:
    """Return the reasons of the open entries."""
    return [row.reason for row in entries(system)]


def resolve(system: System, action: str, **more: Any) -> Any:
    """Let an operator decide on the one open entry; return the response."""
    assert len(entries(system)) == 1
    [entry] = entries(system)
    body = {"action": action, "note": NOTE} | more
    key = f"{action}-{len(system.rows(events))}"
    return system.post(f"/admin/attention/{entry.id}/resolve", body, caller="operator", Idempotency_Key=key)


def event_data(system: System, name: str) -> list[dict[str, Any]]:
    """Return what the events of a name record."""
    return [row.data for row in system.rows(events, events.c.name == name)]


# --- duplicates ---


def test_money_that_was_taken_twice_is_given_back_by_one_decision(
    system: System, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        payment_id = system.pay_twice()
    assert reasons(system) == ["duplicate"]
    [entry] = entries(system)
    assert (entry.reason, entry.payment_id, entry.amount, entry.currency) == ("duplicate", payment_id, AMOUNT, "EUR")
    assert len([line for line in caplog.messages if line.startswith(f"attention {entry.id}")]) == 1

    response = resolve(system, "give_back")
    assert (response.status_code, response.json["closed_at"]) == (202, None)
    again = resolve(system, "give_back")
    assert (again.status_code, "under way" in again.text) == (422, True)
    system.run_until_idle()
    payment = system.payment(payment_id)
    assert (payment.state, payment.captured, payment.refunded, payment.duplicated) == ("captured", AMOUNT, 0, 0)
    assert read(system.engine, lambda connection: list(differences(connection))) == []
    assert system.provider.movements() == [("charge", AMOUNT), ("charge", AMOUNT), ("refund", AMOUNT)]
    [closed] = entries(system, is_open=False)
    assert (closed.resolution, closed.note, closed.closed_by) == ("give_back", NOTE, "worker")
    assert [row["reason"] for row in event_data(system, "attention_closed")] == ["duplicate"]
    assert reasons(system) == []


def test_the_good_charge_is_refunded_while_the_second_one_is_given_back(system: System) -> None:
    payment_id = system.pay_twice()
    assert resolve(system, "give_back").status_code == 202
    system.request(f"/{payment_id}/refunds", Idempotency_Key="all")
    system.run_until_idle()
    payment = system.payment(payment_id)
    assert (payment.state, payment.refunded, payment.duplicated) == ("refunded", AMOUNT, 0)
    assert system.provider.movements() == [("charge", AMOUNT)] * 2 + [("refund", AMOUNT)] * 2


def test_a_duplicate_is_closed_by_hand_only_if_it_is_written_off(system: System) -> None:
    payment_id = system.pay_twice()
    assert reasons(system) == ["duplicate"]
    refused = resolve(system, "close")
    assert (refused.status_code, "give_back" in refused.text) == (409, True)
    assert event_data(system, "attention_decided") == []
    closed = resolve(system, "close", write_off=True)
    assert (closed.status_code, closed.json["resolution"]) == (200, "write_off")
    assert system.payment(payment_id).duplicated == AMOUNT
    assert [row["note"] for row in event_data(system, "attention_decided")] == [NOTE]


def test_a_duplicate_that_is_refunded_elsewhere_leaves_the_list_by_itself(system: System) -> None:
    payment_id = system.pay_twice()
    refund = system.provider.call("POST", "/v1/refunds", {"payment_intent": system.reference(payment_id)})["id"]
    system.deliver_and_run(system.provider.event("refund.created", refund))
    system.advance(minutes=1)
    assert reasons(system) == ["refund_elsewhere"]
    assert [(row.reason, row.resolution) for row in entries(system, is_open=False)] == [("duplicate", "ended")]
    assert resolve(system, "close").status_code == 200


def pay_three_times(system: System) -> str:
    """Return a payment whose debt was collected by a retry, and by both charges before it after all."""
    card = system.provider.scripted_card("insufficient_funds", "insufficient_funds", "success")
    payment_id = system.subscribe("inv", card)
    system.advance(days=3, minutes=1)
    system.advance(days=4, minutes=1)
    assert system.state(payment_id) == "captured"
    for attempt in system.attempts(payment_id)[:2]:
        path = f"/v1/payment_intents/{attempt.provider_reference}/confirm"
        system.provider.call("POST", path, {"payment_method": "pm_card_visa"})
        system.deliver_and_run(system.provider.event("payment_intent.succeeded", attempt.provider_reference))
    assert system.payment(payment_id).duplicated == 2 * AMOUNT
    return payment_id


def test_an_entry_names_each_of_several_duplicates_and_all_that_is_at_stake(system: System) -> None:
    payment_id = pay_three_times(system)
    [entry] = entries(system)
    shown = system.get(f"/admin/attention/{entry.id}", caller="operator").json
    references = [attempt.provider_reference for attempt in system.attempts(payment_id)[:2]]
    assert shown["amount_at_stake"] == "24.60"
    assert shown["details"] == [{"reference": reference, "amount": "12.30"} for reference in references]
    assert "details" not in shown["data"]
    resolve(system, "give_back")
    system.run_until_idle()
    assert (system.payment(payment_id).duplicated, reasons(system)) == (0, [])


# --- money that does not match, and reviews ---


def mismatched(system: System) -> str:
    """Return a payment of which the provider holds too little."""
    payment_id = system.pay()
    attempt_id = system.attempts(payment_id)[0].id
    system.runtime.change("test", transition.apply, attempt_id, AmountMismatch("pi_x", 600, "underpaid"))
    assert system.state(payment_id) == "amount_mismatch"
    return payment_id


def test_money_that_does_not_match_is_released_by_a_decision(system: System) -> None:
    payment_id = mismatched(system)
    [entry] = entries(system)
    assert (entry.reason, entry.amount) == ("amount_mismatch", 600)
    refused = resolve(system, "close", write_off=True)
    assert (refused.status_code, "accept or release" in refused.text) == (409, True)
    response = resolve(system, "release")
    assert (response.status_code, response.json["resolution"]) == (200, "release")
    assert (response.json["closed_by"], system.state(payment_id)) == ("operator:operator", "canceled")


def test_money_that_does_not_match_is_accepted_and_leaves_the_list_when_it_is_taken(system: System) -> None:
    payment_id = mismatched(system)
    response = resolve(system, "accept")
    assert (response.status_code, response.json["closed_at"]) == (202, None)
    assert [row.verb for row in system.attempts(payment_id)] == ["charge", "capture"]
    assert reasons(system) == ["amount_mismatch"]


def shown_actions(system: System) -> list[str]:
    """Return what the one open entry offers, in the list and alone."""
    [entry] = system.get("/admin/attention?open=1", caller="operator").json["entries"]
    shown: list[str] = system.get(f"/admin/attention/{entry['id']}", caller="operator").json["actions"]
    assert shown == entry["actions"]
    return shown


def test_an_entry_offers_what_the_state_of_its_payment_allows(system: System) -> None:
    waiting = mismatched(system)
    assert shown_actions(system) == ["accept", "release"]
    system.request(f"/{waiting}/review", {"decision": "reject"}, caller="operator")

    late = system.pay("late")
    system.request(f"/{late}/cancel")
    attempt_id = system.attempts(late)[0].id
    system.runtime.change("test", transition.apply, attempt_id, AmountMismatch("pi_y", AMOUNT, "delayed"))
    assert shown_actions(system) == ["accept", "close"]
    resolve(system, "close", write_off=True)

    taken = system.pay("taken")
    system.run_until_idle()
    given = {"payment_id": taken, "amount": AMOUNT, "currency": "EUR"}
    system.runtime.change("test", open_entry, Reason.AMOUNT_MISMATCH, **given)
    assert shown_actions(system) == ["close"]
    for action in ("accept", "release"):
        refused = resolve(system, action)
        assert (refused.status_code, "refund what is too much, and close this entry" in refused.text) == (409, True)
    assert resolve(system, "close").status_code == 200


def test_a_review_by_the_older_request_closes_the_entry_too(system: System) -> None:
    payment_id = mismatched(system)
    system.request(f"/{payment_id}/review", {"decision": "reject"}, caller="operator")
    assert reasons(system) == []


def test_money_that_comes_after_the_end_of_its_payment_is_on_the_list(system: System) -> None:
    payment_id = system.pay()
    system.request(f"/{payment_id}/cancel")
    attempt_id = system.attempts(payment_id)[0].id
    system.runtime.change("test", transition.apply, attempt_id, AmountMismatch("pi_x", AMOUNT, "delayed"))
    assert (system.state(payment_id), reasons(system)) == ("canceled", ["amount_mismatch"])
    assert "by hand" in resolve(system, "release").text
    assert "write_off" in resolve(system, "close").text
    assert resolve(system, "close", write_off=True).status_code == 200


@pytest.mark.parametrize(("action", "state"), [("accept", "captured"), ("release", "canceled")])
def test_a_payment_in_review_is_decided_on_the_list(system: System, action: str, state: str) -> None:
    payment_id = system.pay()
    system.messages.clear()
    system.runtime.change("test", transition.apply, system.attempts(payment_id)[0].id, ReviewRequired())
    assert reasons(system) == ["review"]
    assert resolve(system, action).status_code == 200
    system.run_until_idle()
    assert (system.state(payment_id), reasons(system)) == (state, [])


# --- doubt ---


def test_a_doubt_of_more_than_an_hour_is_on_the_list_until_it_ends(system: System) -> None:
    system.provider.fail("payment_intents.confirm", "reset_after")
    system.provider.fail("payment_intents.retrieve", "error_before", times=None)
    payment_id = system.pay()
    system.run_until_idle()
    system.advance(minutes=50)
    assert (system.state(payment_id), reasons(system)) == ("in_doubt", [])
    for _ in range(3):
        system.advance(minutes=6)
    assert reasons(system) == ["doubt"]
    refused = resolve(system, "close")
    assert (refused.status_code, "look_again" in refused.text) == (409, True)

    system.provider.heal()
    assert resolve(system, "look_again").status_code == 202
    system.run_until_idle()
    assert (system.state(payment_id), reasons(system)) == ("captured", [])
    [closed] = entries(system, is_open=False)
    assert closed.resolution == "look_again"


# --- refused voids and captures ---


def refused_operation(system: System, operation: str) -> str:
    """Return an authorized payment whose capture or void the provider has refused."""
    payment_id = system.pay(capture=False)
    system.run_until_idle()
    system.request(f"/{payment_id}/{operation}")
    system.messages.clear()
    outcome = NotSent("refused", is_retryable=False)
    system.runtime.change("test", transition.apply, system.attempts(payment_id)[1].id, outcome)
    assert system.state(payment_id) == "authorized"
    return payment_id


@pytest.mark.parametrize(
    ("operation", "reason", "state"),
    [("cancel", "void_refused", "voided"), ("capture", "capture_refused", "captured")],
)
def test_a_refused_operation_is_asked_for_once_more(system: System, operation: str, reason: str, state: str) -> None:
    payment_id = refused_operation(system, operation)
    assert reasons(system) == [reason]
    assert resolve(system, "look_again").status_code == 202
    busy = resolve(system, "look_again")
    assert (busy.status_code, "under way" in busy.text) == (409, True)
    system.run_until_idle()
    assert (system.state(payment_id), reasons(system)) == (state, [])


def test_a_refused_void_leaves_the_list_when_the_money_is_captured(system: System) -> None:
    payment_id = refused_operation(system, "cancel")
    system.request(f"/{payment_id}/capture")
    system.run_until_idle()
    assert (system.state(payment_id), reasons(system)) == ("captured", [])


# --- webhooks ---


def test_a_webhook_that_contradicts_the_books_is_on_the_list(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    payment_id = system.pay()
    system.run_until_idle()
    row_id = system.deliver(system.provider.event("payment_intent.succeeded", system.reference(payment_id)))
    with monkeypatch.context() as patch:
        patch.setattr(transition, "changes_anything", contradict)
        for _ in range(11):
            system.advance(minutes=5, seconds=10)
    [entry] = entries(system)
    assert (system.webhook(row_id).status, entry.reason) == ("contradicting", "webhook_contradicting")
    shown = system.get(f"/admin/attention/{entry.id}", caller="operator").json
    assert (shown["payment"]["id"], shown["webhook"]["status"]) == (payment_id, "contradicting")
    assert resolve(system, "replay").status_code == 202
    system.run_until_idle()
    assert (system.webhook(row_id).status, reasons(system)) == ("applied", [])


def contradict(*_: Any) -> Any:
    raise IllegalTransition("no such event in this state")


def test_a_webhook_that_could_not_be_read_can_be_replayed(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    payment_id = system.pay()
    row_id = unreadable(system, payment_id, monkeypatch)
    assert resolve(system, "replay").status_code == 202
    system.run_until_idle()
    assert (system.webhook(row_id).status, reasons(system)) == ("applied", [])


def refuse_to_read(*_: Any) -> Any:
    raise MalformedResponse("status")


def unreadable(system: System, payment_id: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let a webhook about a payment come that a gateway cannot read; return the id of its row."""
    system.run_until_idle()
    row_id = system.deliver(system.provider.event("payment_intent.succeeded", system.reference(payment_id)))
    with monkeypatch.context() as patch:
        patch.setattr(system.gateway, "read_webhook", refuse_to_read)
        system.run_until_idle()
    [entry] = entries(system)
    assert (system.webhook(row_id).status, entry.reason, entry.webhook_event_id) == (
        "unreadable",
        "webhook_unreadable",
        row_id,
    )
    return row_id


def test_a_replayed_webhook_that_still_cannot_be_read_stays_on_the_list(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    row_id = unreadable(system, system.pay(), monkeypatch)
    before = entries(system)
    monkeypatch.setattr(system.gateway, "read_webhook", refuse_to_read)
    assert resolve(system, "replay").status_code == 202
    system.run_until_idle()
    assert system.webhook(row_id).status == "unreadable"
    assert [row.id for row in entries(system)] == [row.id for row in before]


# --- bugs of our own ---


def fail(*_: Any, **__: Any) -> Any:
    raise ZeroDivisionError


def failing(system: System, task: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Any, Any]:
    """Return a row whose task fails until the patch is undone, its table and the column of its id."""
    if task == DUNNING:
        payment_id = system.subscribe("inv", system.provider.scripted_card("insufficient_funds", "success"))
        system.move_clock(days=3, minutes=1)
        monkeypatch.setattr("tasks.dunning.due_of_case", fail)
        return payment_id, dunning_cases, dunning_cases.c.payment_id
    if task == WEBHOOK:
        payment_id = system.pay()
        system.run_until_idle()
        row_id = system.deliver(system.provider.event("payment_intent.succeeded", system.reference(payment_id)))
        monkeypatch.setattr(system.gateway, "read_webhook", fail)
        return row_id, webhook_events, webhook_events.c.id
    system.provider.fail("payment_intents.confirm", "reset_after")
    payment_id = system.pay()
    system.run_until_idle()
    monkeypatch.setattr(system.gateway, "retrieve", fail)
    return system.attempts(payment_id)[0].id, attempts, attempts.c.id


@pytest.mark.parametrize("task", [RECONCILE, WEBHOOK, DUNNING])
def test_a_row_whose_task_fails_again_and_again_is_on_the_list(
    system: System, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, task: str
) -> None:
    with monkeypatch.context() as patch:
        row_id, table, key = failing(system, task, patch)
        system.messages.clear()
        pauses = []
        for number in range(5):
            assert reasons(system) == [], number
            system.move_clock(minutes=1)
            with pytest.raises(ZeroDivisionError):
                system.run(task, row_id)
            pauses.append(system.rows(table, key == row_id)[0].due_at - system.now())
    assert pauses == sorted(set(pauses))
    assert "failed 5 times, now by ZeroDivisionError" in caplog.text
    assert reasons(system) == ["failing_row"]
    [entry] = entries(system)
    assert (entry.reason, entry.data["row"], entry.data["error"]) == ("failing_row", row_id, "ZeroDivisionError")
    assert resolve(system, "look_again").status_code == 202
    system.run_until_idle()
    assert reasons(system) == []


def test_an_entry_is_open_once(system: System) -> None:
    payment_id = mismatched(system)
    given = {"payment_id": payment_id, "amount": 1, "currency": "EUR"}
    system.runtime.change("test", open_entry, Reason.AMOUNT_MISMATCH, **given)
    assert reasons(system) == ["amount_mismatch"]


# --- credentials ---


def with_wrong_key(system: System) -> None:
    """Let Stripe refuse our key from now on."""
    url = system.sandbox.url
    system.runtime.gateways["stripe"] = StripeGateway("sk_wrong", (), url, READ_SECONDS)


def test_credentials_that_a_provider_refuses_are_one_entry_until_it_accepts_them_again(system: System) -> None:
    good = system.runtime.gateways["stripe"]
    with_wrong_key(system)
    waiting = [system.pay("a"), system.pay("b")]
    system.run_until_idle()
    [entry] = entries(system)
    assert (entry.reason, entry.provider, entry.payment_id) == ("credentials_refused", "stripe", None)
    shown = system.get(f"/admin/attention/{entry.id}", caller="operator").json
    assert (shown["provider"], shown["actions"]) == ("stripe", ["look_again", "close"])

    system.runtime.gateways["stripe"] = good
    system.advance(seconds=10)
    assert [system.state(payment_id) for payment_id in waiting] == ["captured"] * 2
    assert (reasons(system), [row.resolution for row in entries(system, is_open=False)]) == ([], ["ended"])


def test_what_waits_for_credentials_goes_on_when_a_person_says_so(system: System) -> None:
    good = system.runtime.gateways["stripe"]
    with_wrong_key(system)
    payment_id = system.pay()
    system.run_until_idle()
    for _ in range(4):
        system.advance(seconds=30)
    assert system.attempts(payment_id)[0].due_at > system.now() + LEASE
    system.runtime.gateways["stripe"] = good
    assert resolve(system, "look_again").status_code == 202
    system.run_until_idle()
    assert (system.state(payment_id), reasons(system)) == ("captured", [])


def test_an_entry_about_credentials_is_closed_by_a_person_and_opened_by_the_next_refusal(system: System) -> None:
    with_wrong_key(system)
    system.pay("a")
    system.run_until_idle()
    assert resolve(system, "close").status_code == 200
    assert reasons(system) == []
    system.pay("b")
    system.run_until_idle()
    assert reasons(system) == ["credentials_refused"]


def test_a_key_that_only_the_comparison_finds_refused_is_an_entry_until_it_works(system: System) -> None:
    good = system.runtime.gateways["stripe"]
    system.run(COMPARE)
    with_wrong_key(system)
    for _ in range(2):
        system.move_clock(minutes=10)
        system.run(COMPARE)
        [entry] = entries(system)
        assert (entry.reason, entry.provider) == ("credentials_refused", "stripe")

    system.runtime.gateways["stripe"] = good
    system.run(COMPARE)
    assert (reasons(system), [row.resolution for row in entries(system, is_open=False)]) == ([], ["ended"])


def test_a_key_that_may_not_list_events_is_no_refused_key(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    system.run(COMPARE)
    forbid(monkeypatch, "/v1/events")
    system.move_clock(minutes=10)
    system.run(COMPARE)
    assert reasons(system) == []


def test_a_key_that_may_read_and_not_charge_stays_on_the_list(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    system.run(COMPARE)
    forbid(monkeypatch, "/v1/payment_intents")
    system.pay()
    system.run_until_idle()
    assert reasons(system) == ["credentials_refused"]
    system.move_clock(minutes=10)
    system.run(COMPARE)
    assert reasons(system) == ["credentials_refused"]


def forbid(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """Let our key lack the permission for an address."""
    genuine = HTTPAdapter.send

    def send(adapter: HTTPAdapter, request: Any, **how: Any) -> Any:
        response = genuine(adapter, request, **how)
        if path in request.path_url:
            response._content = b'{"error": {"type": "invalid_request_error", "message": "no permission"}}'
            response.status_code = 403
        return response

    monkeypatch.setattr(HTTPAdapter, "send", send)


def test_a_provider_that_is_down_has_refused_nothing_and_accepts_nothing(system: System) -> None:
    system.provider.fail("payment_intents.create", "error_before", times=1)
    system.pay("a")
    system.run_until_idle()
    assert reasons(system) == []
    with_wrong_key(system)
    system.advance(seconds=10)
    assert reasons(system) == ["credentials_refused"]
    url = "http://127.0.0.1:9"
    system.runtime.gateways["stripe"] = StripeGateway("sk_wrong", (), url, READ_SECONDS)
    system.advance(seconds=30)
    assert reasons(system) == ["credentials_refused"]


def test_an_intent_that_is_refused_for_our_credentials_asks_a_person(system: System) -> None:
    system.call("PUT", "/invoices/inv", {"user_id": "user", "amount": "12.30", "currency": "EUR"})
    with_wrong_key(system)
    assert system.post("/stripe-intent", {"invoice_id": "inv"}).status_code == 502
    assert reasons(system) == ["credentials_refused"]


def test_a_look_up_notices_refused_credentials_as_well(system: System) -> None:
    system.provider.fail("payment_intents.confirm", "reset_before")
    system.pay()
    system.run_until_idle()
    with_wrong_key(system)
    system.advance(seconds=2)
    assert reasons(system) == ["credentials_refused"]


# --- voids that never go through ---


def refuse(*_: Any) -> Any:
    return NotSent("not_allowed", is_retryable=False)


def test_a_cancel_that_is_refused_for_days_is_on_the_list_until_it_goes_through(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    system.provider.fail("payment_intents.confirm", "reset_before")
    payment_id = system.pay()
    system.run_published()
    with monkeypatch.context() as patch:
        patch.setattr(system.gateway, "charge", lambda *_: NotSent("rate_limited"))
        system.advance(seconds=2)
        system.request(f"/{payment_id}/cancel")
        patch.setattr(system.gateway, "void", refuse)
        for _ in range(60):
            system.advance(minutes=30)
        assert reasons(system) == ["void_refused"]
        [void] = [row for row in system.attempts(payment_id) if row.verb == "void"]
        assert (system.state(payment_id), void.status) == ("accepted", "due")
        assert timedelta() < void.due_at - system.now() < timedelta(minutes=10)
    assert resolve(system, "look_again").status_code == 202
    system.run_until_idle()
    system.advance(minutes=1)
    assert (system.state(payment_id), reasons(system)) == ("canceled", [])
    assert system.provider.movements() == []


# --- a process that is killed while it carries out a decision ---


class ProcessDied(BaseException):
    """The process is gone."""


def taken_twice(system: System) -> str:
    return system.pay_twice()


def taken_and_contradicted(system: System) -> str:
    payment_id = system.pay()
    system.run_until_idle()
    about = {"payment_id": payment_id, "amount": AMOUNT, "currency": "EUR"}
    data = {"attempt": system.attempts(payment_id)[0].id}
    system.runtime.change("test", open_entry, Reason.CHARGE_CONTRADICTING, data=data, **about)
    return payment_id


def given_back_elsewhere(system: System) -> str:
    payment_id = system.pay()
    system.run_until_idle()
    about = {"payment_id": payment_id, "amount": 500, "currency": "EUR"}
    system.runtime.change("test", open_entry, Reason.REFUND_ELSEWHERE, **about)
    return payment_id


DECISIONS = pytest.mark.parametrize(
    ("situation", "action", "money"),
    [
        (taken_twice, "give_back", (0, 0, 0)),
        (taken_and_contradicted, "reopen", (0, AMOUNT, AMOUNT)),
        (given_back_elsewhere, "close", (0, 0, 0)),
    ],
)


@DECISIONS
@pytest.mark.parametrize("last_step", ["decide_entry", "store_response"])
def test_a_process_that_dies_before_a_decision_is_stored_leaves_nothing_of_it(
    system: System, monkeypatch: pytest.MonkeyPatch, situation: Any, action: str, money: Any, last_step: str
) -> None:
    payment_id = situation(system)
    [entry] = entries(system)
    carry_out = getattr(attention_actions, last_step)

    def die(*given: Any) -> None:
        carry_out(*given)
        raise ProcessDied

    before = system.dump()
    with monkeypatch.context() as patch:
        patch.setattr(attention_actions, last_step, die)
        with pytest.raises(ProcessDied):
            decide(system, entry, action)
    assert (system.dump(), system.messages) == (before, [])
    assert_done_once(system, payment_id, entry, action, money)


@DECISIONS
def test_a_decision_is_carried_out_although_the_process_dies_before_it_tells_the_broker(
    system: System, monkeypatch: pytest.MonkeyPatch, situation: Any, action: str, money: Any
) -> None:
    def die(_: Any) -> None:
        raise ProcessDied

    payment_id = situation(system)
    [entry] = entries(system)
    mute = replace(system.runtime, publish=die)
    extensions = system.client.application.extensions
    with monkeypatch.context() as patch:
        patch.setitem(extensions, "celeriac", replace(extensions["celeriac"], runtime=mute))
        with pytest.raises(ProcessDied):
            decide(system, entry, action)
    assert_done_once(system, payment_id, entry, action, money)


def decide(system: System, entry: Any, action: str) -> Any:
    """Let an operator decide on an entry, always under the same key."""
    body = {"action": action, "note": NOTE}
    return system.post(f"/admin/attention/{entry.id}/resolve", body, caller="operator", Idempotency_Key="decision")


def assert_done_once(system: System, payment_id: str, entry: Any, action: str, money: Any) -> None:
    """Send the same decision three times, and see that it is carried out once."""
    responses = [decide(system, entry, action) for _ in range(3)]
    assert {(each.status_code, each.data) for each in responses} == {(responses[0].status_code, responses[0].data)}
    assert responses[0].status_code in (200, 202)
    assert responses[-1].headers["Idempotent-Replayed"] == "true"
    system.run_until_idle()
    system.advance(seconds=40)
    payment = system.payment(payment_id)
    assert (payment.duplicated, payment.lost, payment.reversed) == money
    assert [row.verb for row in system.attempts(payment_id)].count("refund") == (1 if action == "give_back" else 0)
    assert [row["resolution"] for row in event_data(system, "attention_decided")] == [action]
    assert [row["reason"] for row in event_data(system, "attention_closed")] == [entry.reason]
    assert entries(system) == []
    assert read(system.engine, lambda connection: list(differences(connection))) == []
