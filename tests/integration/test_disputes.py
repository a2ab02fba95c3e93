"""Returned debits and disputes: the invoice is open again, the subscription past due, and a won dispute gives back."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from domain.attention import Reason
from domain.disputes import DisputeStatus, ShownDispute
from gateways.base import GatewayError
from models.attention import open_entry
from models.disputes import apply_dispute
from models.movements import differences
from models.session import read
from models.tables import attention, disputes, movements
from models.task_messages import COMPARE
from sandbox.stripe.api import Stripe
from tests.system import AMOUNT, System

pytestmark = pytest.mark.postgres


@pytest.fixture(autouse=True)
def _the_books_are_sums(system: System) -> Iterator[None]:
    yield
    assert read(system.engine, lambda connection: list(differences(connection))) == []


def dispute(system: System, payment_id: str, reason: str) -> str:
    """Dispute a payment's charge; return the dispute's id."""
    path = f"intents/{system.reference(payment_id)}/dispute"
    return str(system.provider.control(path, {"reason": reason})["id"])


def events_of(system: System, reference: str) -> list[Any]:
    """Return the events about a dispute, oldest first."""
    found = system.provider.call("GET", "/v1/events?limit=100")["data"]
    return [event for event in reversed(found) if event["data"]["object"]["id"] == reference]


def booked(system: System, payment_id: str) -> list[tuple[str, int]]:
    """Return the movements of a payment."""
    return [(row.kind, row.amount) for row in system.rows(movements, movements.c.payment_id == payment_id)]


def debited(system: System, **changes: Any) -> str:
    """Return a captured debit."""
    payment_id = system.pay(**(system.provider.saved_bank_account() | changes))
    system.run_until_idle()
    system.provider.decide_at_bank(system.reference(payment_id), "success")
    system.deliver_and_run(system.provider.event("payment_intent.succeeded", system.reference(payment_id)))
    assert system.state(payment_id) == "captured"
    return payment_id


def test_a_returned_debit_opens_its_invoice_again(system: System) -> None:
    payment_id = debited(system)
    for event in events_of(system, dispute(system, payment_id, "incorrect_account_details")):
        system.deliver_and_run(event)
    # Its customer is asked to pay, and not charged without being there.
    assert system.state(payment_id) == "in_grace"
    assert system.dunning_case(payment_id).state == "in_grace"
    assert booked(system, payment_id) == [("charge", AMOUNT), ("reversal", -AMOUNT)]
    assert all(row.moved_at for row in system.rows(movements)), "Stripe shows the time of both"
    assert system.get("/invoices/inv").json["open_amount"] == "12.30"
    shown = system.get(f"/{payment_id}").json
    assert (shown["reversed_amount"], shown["net_amount"]) == ("12.30", "0.00")
    assert system.post(f"/{payment_id}/refunds", Idempotency_Key="no").status_code == 409

    again = system.pay()
    system.run_until_idle()
    assert (system.state(again), system.get("/invoices/inv").json["open_amount"]) == ("captured", "0.00")
    assert (system.state(payment_id), system.dunning_case(payment_id).state) == ("canceled", "recovered")


@pytest.mark.parametrize(
    ("reason", "state", "status"),
    [
        ("insufficient_funds", "past_due", "past_due"),
        ("incorrect_account_details", "in_grace", "past_due"),
        ("debit_not_authorized", "in_grace", "past_due"),
    ],
)
def test_a_returned_debit_of_a_subscription_goes_to_dunning(
    system: System, reason: str, state: str, status: str
) -> None:
    payment_id = debited(system, subscription_id="sub", off_session=True)
    assert system.subscription_status() == "active"
    for event in events_of(system, dispute(system, payment_id, reason)):
        system.deliver_and_run(event)
    assert (system.state(payment_id), system.subscription_status()) == (state, status)


def test_a_retry_of_a_returned_debit_pays_the_invoice_again(system: System) -> None:
    payment_id = debited(system, subscription_id="sub", off_session=True)
    for event in events_of(system, dispute(system, payment_id, "insufficient_funds")):
        system.deliver_and_run(event)
    system.advance(days=3, minutes=1)
    system.provider.decide_at_bank(str(system.attempts(payment_id)[1].provider_reference), "success")
    system.advance(minutes=2)
    payment = system.payment(payment_id)
    assert (payment.state, payment.captured, payment.reversed) == ("captured", 2 * AMOUNT, AMOUNT)
    invoice = system.get("/invoices/inv").json
    assert (invoice["open_amount"], invoice["collected_amount"]) == ("0.00", "12.30")
    assert system.subscription_status() == "active"
    system.request(f"/{payment_id}/refunds", Idempotency_Key="all")
    system.run_until_idle()
    assert (system.state(payment_id), system.payment(payment_id).refunded) == ("refunded", AMOUNT)


def test_an_open_dispute_takes_the_money_and_keeps_the_invoice_paid(system: System) -> None:
    payment_id = system.pay()
    system.run_until_idle()
    for event in events_of(system, dispute(system, payment_id, "fraudulent")):
        system.deliver_and_run(event)
    assert (system.state(payment_id), system.payment(payment_id).reversed) == ("captured", AMOUNT)
    assert system.get("/invoices/inv").json["open_amount"] == "0.00"
    assert [row.closed_at for row in system.rows(attention, attention.c.reason == "dispute")] == [None]
    assert system.post(f"/{payment_id}/refunds", Idempotency_Key="no").status_code == 422


@pytest.mark.parametrize("result", ["won", "lost"])
@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[::5])
def test_a_dispute_ends_the_same_in_whatever_order_its_events_come(
    system: System, order: tuple[int, ...], result: str
) -> None:
    payment_id = system.pay()
    system.run_until_idle()
    reference = dispute(system, payment_id, "fraudulent")
    system.provider.control(f"disputes/{reference}/close", {"result": result})
    events = events_of(system, reference)
    for index in order:
        if index < len(events):
            system.deliver_and_run(events[index])
    is_won = result == "won"
    assert system.state(payment_id) == ("captured" if is_won else "reversed")
    assert system.get("/invoices/inv").json["open_amount"] == ("0.00" if is_won else "12.30")
    assert system.payment(payment_id).reversed == (0 if is_won else AMOUNT)
    [row] = system.rows(disputes)
    assert (row.status, row.payment_id) == (result, payment_id)


def test_a_dispute_that_is_won_late_gives_the_payment_back(system: System) -> None:
    payment_id = system.pay()
    system.run_until_idle()
    for event in events_of(system, dispute(system, payment_id, "fraudulent")):
        system.deliver_and_run(event)
    [row] = system.rows(disputes)
    system.provider.control(f"disputes/{row.reference}/close", {"result": "won"})
    for event in events_of(system, row.reference):
        system.deliver_and_run(event)
    assert (system.state(payment_id), system.payment(payment_id).reversed) == ("captured", 0)
    assert [row.closed_at is None for row in system.rows(attention)] == [False]
    assert booked(system, payment_id) == [("charge", AMOUNT), ("dispute", -AMOUNT), ("dispute_return", AMOUNT)]


@pytest.mark.parametrize("is_told", [True, False])
def test_a_dispute_that_is_lost_before_the_capture_is_booked_opens_the_invoice_with_it(
    system: System, is_told: bool
) -> None:
    payment_id = system.pay(capture=False)
    system.run_until_idle()
    reference = system.reference(payment_id)
    system.provider.call("POST", f"/v1/payment_intents/{reference}/capture")
    lost = dispute(system, payment_id, "fraudulent")
    system.provider.control(f"disputes/{lost}/close", {"result": "lost"})
    for event in events_of(system, lost):
        system.deliver_and_run(event)
    assert (system.state(payment_id), system.payment(payment_id).lost) == ("authorized", AMOUNT)
    if is_told:
        system.deliver_and_run(system.provider.event("payment_intent.succeeded", reference))
    else:
        system.advance(days=7, hours=2)
    payment = system.payment(payment_id)
    assert (payment.state, payment.captured, payment.lost) == ("reversed", AMOUNT, AMOUNT)
    assert payment.failure_code == "fraudulent"
    assert system.get("/invoices/inv").json["open_amount"] == "12.30"


def test_a_debit_that_is_returned_before_it_is_booked_goes_to_dunning_once(system: System) -> None:
    account = system.provider.saved_bank_account() | {"subscription_id": "sub", "off_session": True}
    payment_id = system.pay(**account)
    system.run_until_idle()
    reference = system.reference(payment_id)
    system.provider.decide_at_bank(reference, "success")
    for event in events_of(system, dispute(system, payment_id, "insufficient_funds")):
        system.deliver_and_run(event)
    assert system.state(payment_id) == "pending"
    system.deliver_and_run(system.provider.event("payment_intent.succeeded", reference))
    assert (system.state(payment_id), system.subscription_status()) == ("past_due", "past_due")

    system.advance(days=3, minutes=1)
    system.provider.decide_at_bank(str(system.attempts(payment_id)[1].provider_reference), "success")
    system.advance(minutes=2)
    payment = system.payment(payment_id)
    assert (payment.state, payment.captured, payment.lost) == ("captured", 2 * AMOUNT, AMOUNT)
    assert (system.get("/invoices/inv").json["open_amount"], system.subscription_status()) == ("0.00", "active")


def test_the_entry_of_several_disputes_is_closed_with_the_last(system: System) -> None:
    payment_id = system.pay()
    system.run_until_idle()
    about = system.reference(payment_id)
    first = ShownDispute("dp_1", about, DisputeStatus.OPEN, 500, 500, is_return=False, reason="general")
    opened = [first, replace(first, reference="dp_2")]
    for shown in opened:
        system.runtime.change("test", apply_dispute, "stripe", shown)
    for shown, is_open in zip(opened, (True, False), strict=True):
        won = replace(shown, status=DisputeStatus.WON, withdrawn=0)
        system.runtime.change("test", apply_dispute, "stripe", won)
        assert [row.closed_at is None for row in system.rows(attention)] == [is_open]


def lose_part(
    system: System, payment_id: str, minor: int, status: DisputeStatus = DisputeStatus.LOST, name: str = "dp_1"
) -> None:
    """Let a dispute about so much of a charge take it for good, or give it back."""
    withdrawn = minor if status is DisputeStatus.LOST else 0
    shown = ShownDispute(name, system.reference(payment_id), status, minor, withdrawn, False, reason="general")
    system.runtime.change("test", apply_dispute, "stripe", shown)


def partly_lost(system: System) -> list[tuple[str | None, int | None, bool]]:
    """Return the entries about parts that are lost: payment, amount, and whether they are open."""
    rows = system.rows(attention, attention.c.reason == "partly_lost")
    return [(row.payment_id, row.amount, row.closed_at is None) for row in rows]


def test_a_dispute_that_is_lost_about_a_part_is_told_until_it_is_won(system: System) -> None:
    payment_id = system.subscribe("inv", "pm_card_visa")
    lose_part(system, payment_id, 500)
    assert partly_lost(system) == [(payment_id, 500, True)]
    assert (system.state(payment_id), system.subscription_status()) == ("captured", "past_due")
    assert system.get("/invoices/inv").json["open_amount"] == "5.00"
    system.advance(days=20)
    assert len(system.attempts(payment_id)) == 1, "nothing is charged by itself"
    lose_part(system, payment_id, 500, DisputeStatus.WON)
    assert partly_lost(system) == [(payment_id, 500, False)]
    assert (system.state(payment_id), system.subscription_status()) == ("captured", "active")


def test_a_part_that_is_lost_is_settled_by_another_payment_of_the_invoice(system: System) -> None:
    payment_id = system.subscribe("inv", "pm_card_visa")
    lose_part(system, payment_id, 500)
    again = system.pay("inv", amount="5.00", subscription_id="sub")
    system.run_until_idle()
    assert (system.state(again), system.get("/invoices/inv").json["open_amount"]) == ("captured", "0.00")
    assert partly_lost(system) == [(payment_id, 500, False)]
    assert system.subscription_status() == "active"


def test_the_rest_of_a_charge_that_is_lost_too_ends_the_entry_of_the_part(system: System) -> None:
    payment_id = system.pay()
    system.run_until_idle()
    lose_part(system, payment_id, 500)
    lose_part(system, payment_id, AMOUNT - 500, name="dp_2")
    assert (system.state(payment_id), partly_lost(system)) == ("reversed", [(payment_id, 500, False)])


def test_the_fee_of_a_dispute_is_booked_once_and_is_no_part_of_what_it_takes(system: System) -> None:
    payment_id = system.pay()
    system.run_until_idle()
    events = events_of(system, opened := dispute(system, payment_id, "fraudulent"))
    [taken] = system.sandbox.state.provider_of(Stripe).account.disputes[opened]["balance_transactions"]
    taken |= {"fee": 1500, "net": taken["amount"] - 1500}
    for event in events:
        system.deliver_and_run(event)
    system.run(COMPARE)
    for _ in range(2):
        system.move_clock(days=1, hours=2)
        system.run(COMPARE)
    kept = [(row.amount, row.attempt_id) for row in system.rows(movements, movements.c.provider_id == taken["id"])]
    assert kept == [(-1500, None)]
    assert system.payment(payment_id).reversed == AMOUNT
    kinds = [kind for kind, _ in booked(system, payment_id)]
    assert kinds.count("fee") == 2, "that of the charge is booked too"


def test_who_has_disputed_a_card_payment_is_not_charged_again(system: System) -> None:
    payment_id = system.subscribe("inv", system.provider.scripted_card("success", "success"))
    assert system.state(payment_id) == "captured"
    reference = dispute(system, payment_id, "product_not_received")
    system.provider.control(f"disputes/{reference}/close", {"result": "lost"})
    for event in events_of(system, reference):
        system.deliver_and_run(event)
    assert (system.state(payment_id), system.subscription_status()) == ("in_grace", "past_due")
    system.advance(days=4)
    assert system.provider.movements() == [("charge", AMOUNT)]


def test_a_dispute_without_webhooks_is_booked_by_the_comparison(system: System) -> None:
    payment_id = system.pay()
    system.run_until_idle()
    system.provider.fail("events.list", "error_before", times=None)
    system.run(COMPARE)
    reference = dispute(system, payment_id, "fraudulent")
    system.provider.control(f"disputes/{reference}/close", {"result": "lost"})
    system.move_clock(days=1, hours=2)
    system.run(COMPARE)
    assert (system.state(payment_id), ("dispute", -AMOUNT) in booked(system, payment_id)) == ("reversed", True)


def test_a_late_webhook_of_the_charge_does_not_book_reversed_money_again(system: System) -> None:
    payment_id = debited(system)
    for event in events_of(system, dispute(system, payment_id, "incorrect_account_details")):
        system.deliver_and_run(event)
    late = system.provider.event("payment_intent.succeeded", system.reference(payment_id)) | {"id": "evt_late"}
    assert system.deliver_and_run(late).status == "applied"
    assert (system.state(payment_id), len(booked(system, payment_id))) == ("in_grace", 2)


def test_a_dispute_that_cannot_be_read_is_read_again(system: System) -> None:
    payment_id = system.pay()
    system.run_until_idle()
    reference = dispute(system, payment_id, "fraudulent")
    system.provider.control(f"disputes/{reference}/close", {"result": "lost"})
    system.provider.fail("disputes.retrieve", "error_before")
    row = system.deliver_and_run(events_of(system, reference)[-1])
    assert (row.status, system.state(payment_id)) == ("stored", "captured")
    system.advance(seconds=10)
    assert system.state(payment_id) == "reversed"


@pytest.mark.parametrize("is_dunned", [False, True])
def test_a_refund_that_was_under_way_when_its_payment_was_reversed_is_booked(system: System, is_dunned: bool) -> None:
    payment_id = debited(system, **({"subscription_id": "sub", "off_session": True} if is_dunned else {}))
    system.provider.fail("refunds.create", "reset_after")
    system.request(f"/{payment_id}/refunds", {"amount": "5.00"}, Idempotency_Key="part")
    system.provider.fail("refunds.list", "error_before", times=None)
    system.run_until_idle()
    for event in events_of(system, dispute(system, payment_id, "insufficient_funds")):
        system.deliver_and_run(event)
    reversed_state = system.state(payment_id)
    assert reversed_state == ("past_due" if is_dunned else "in_grace")
    system.provider.heal()
    system.advance(minutes=10)
    assert system.attempts(payment_id)[1].status == "succeeded"
    assert (system.state(payment_id), ("refund", -500) in booked(system, payment_id)) == (reversed_state, True)


def test_a_dispute_that_cannot_be_looked_up_for_a_day_is_shown_to_a_person(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(reference: str) -> Any:
        raise GatewayError("unknown_word")

    payment_id = system.pay()
    system.run_until_idle()
    [event] = [
        each for each in events_of(system, dispute(system, payment_id, "fraudulent")) if "created" in each["type"]
    ]
    with monkeypatch.context() as patch:
        patch.setattr(system.gateway, "read_dispute", refuse)
        row = system.deliver_and_run(event)
        system.advance(hours=23)
        assert system.rows(attention) == []
        system.advance(hours=2)
    entries = system.rows(attention)
    assert [(entry.reason, entry.webhook_event_id) for entry in entries] == [("webhook_waiting", row.id)]
    system.advance(minutes=10)
    assert system.webhook(row.id).status == "applied"
    assert [entry.reason for entry in system.rows(attention, attention.c.closed_at.is_(None))] == ["dispute"]


# --- a charge whose money is gone without a dispute ---


def failed_event(system: System, payment_id: str, name: str) -> dict[str, Any]:
    """Return the event of a failed payment, as Stripe shows the intent now."""
    intent = dict(system.sandbox.state.provider_of(Stripe).account.intents[system.reference(payment_id)].body)
    declined = {"type": "card_error", "code": "payment_intent_payment_attempt_failed"}
    shown = intent | {"status": "requires_payment_method", "amount_received": 0, "last_payment_error": declined}
    event = {"id": name, "object": "event", "type": "payment_intent.payment_failed", "livemode": False}
    return event | {"data": {"object": shown}}


def test_a_charge_that_failed_after_it_was_booked_is_left_to_a_person(system: System) -> None:
    payment_id = debited(system)
    event = failed_event(system, payment_id, "evt_failed")
    system.sandbox.state.provider_of(Stripe).account.intents[system.reference(payment_id)].body.update(
        event["data"]["object"]
    )
    for name in ("evt_failed", "evt_again"):
        assert system.deliver_and_run(event | {"id": name}).status == "applied"
    assert (system.state(payment_id), booked(system, payment_id)) == ("captured", [("charge", AMOUNT)])
    entries = system.rows(attention)
    assert [(row.reason, row.payment_id, row.amount) for row in entries] == [
        ("charge_contradicting", payment_id, AMOUNT)
    ]
    [entry] = entries
    shown = system.get(f"/admin/attention/{entry.id}", caller="operator").json
    assert (shown["actions"], shown["amount_at_stake"]) == (["reopen", "accept", "close"], "12.30")
    assert "charge_contradicted" in system.event_names(payment_id)


def contradicted(system: System, **changes: Any) -> tuple[str, Any]:
    """Return a captured debit whose money the provider no longer shows, and its entry of the attention list."""
    payment_id = debited(system, **changes)
    event = failed_event(system, payment_id, "evt_failed")
    system.sandbox.state.provider_of(Stripe).account.intents[system.reference(payment_id)].body.update(
        event["data"]["object"]
    )
    system.deliver_and_run(event)
    [entry] = system.rows(attention)
    return payment_id, entry


def reopen(system: System, entry: Any, key: str = "reopen") -> Any:
    body = {"action": "reopen", "note": "the bank says that nothing came"}
    return system.post(f"/admin/attention/{entry.id}/resolve", body, caller="operator", Idempotency_Key=key)


def test_a_person_reopens_a_charge_whose_money_is_gone(system: System) -> None:
    payment_id, entry = contradicted(system)
    assert [reopen(system, entry).status_code for _ in range(2)] == [200, 200]
    payment = system.payment(payment_id)
    assert (payment.state, payment.lost, payment.reversed) == ("reversed", AMOUNT, AMOUNT)
    [_, reversal] = system.rows(movements, movements.c.payment_id == payment_id)
    name = f"{system.reference(payment_id)}/reopened"
    assert (reversal.kind, reversal.amount, reversal.provider_id) == ("reversal", -AMOUNT, name)
    assert system.get("/invoices/inv").json["open_amount"] == "12.30"
    assert system.rows(attention, attention.c.closed_at.is_(None)) == []
    assert "attention_decided" in system.event_names(payment_id)
    assert reopen(system, entry, "once more").status_code == 409

    again = system.pay()
    system.run_until_idle()
    assert (system.state(again), system.get("/invoices/inv").json["open_amount"]) == ("captured", "0.00")


def test_the_subscription_of_a_reopened_charge_is_past_due_and_not_charged_by_itself(system: System) -> None:
    payment_id, entry = contradicted(system, subscription_id="sub")
    assert reopen(system, entry).status_code == 200
    assert (system.state(payment_id), system.subscription_status()) == ("in_grace", "past_due")


def test_a_charge_of_which_all_is_given_back_cannot_be_reopened(system: System) -> None:
    payment_id, entry = contradicted(system)
    for event in events_of(system, dispute(system, payment_id, "incorrect_account_details")):
        system.deliver_and_run(event)
    assert system.state(payment_id) == "in_grace"
    response = reopen(system, entry)
    assert response.status_code == 409
    assert system.payment(payment_id).reversed == AMOUNT


def test_a_charge_is_not_reopened_while_a_refund_of_its_money_is_under_way(system: System) -> None:
    payment_id, entry = contradicted(system)
    system.provider.fail("refunds.create", "reset_after")
    system.provider.fail("refunds.list", "error_before", times=None)
    system.request(f"/{payment_id}/refunds", {"amount": "5.00"}, Idempotency_Key="part")
    system.run_until_idle()
    refused = reopen(system, entry)
    assert (refused.status_code, "a refund of this payment is under way" in refused.text) == (409, True)
    assert books(system, payment_id) == ("captured", 0, 0)

    system.provider.heal()
    system.advance(minutes=10)
    assert system.payment(payment_id).refunded == 500
    assert reopen(system, entry).status_code == 200
    assert books(system, payment_id) == ("reversed", AMOUNT - 500, AMOUNT - 500)


def test_a_charge_is_reopened_while_a_refund_of_another_one_is_under_way(system: System) -> None:
    payment_id = system.pay_twice()
    [duplicate] = system.rows(attention)
    body = {"action": "give_back", "note": "told the customer"}
    path = f"/admin/attention/{duplicate.id}/resolve"
    assert system.post(path, body, caller="operator", Idempotency_Key="back").status_code == 202
    charge = system.attempts(payment_id)[1]
    about = {"payment_id": payment_id, "amount": AMOUNT, "currency": "EUR", "data": {"attempt": charge.id}}
    system.runtime.change("test", open_entry, Reason.CHARGE_CONTRADICTING, **about)
    [entry] = system.rows(attention, attention.c.reason == "charge_contradicting")
    assert reopen(system, entry).status_code == 200
    payment = system.payment(payment_id)
    assert (payment.lost, payment.duplicated) == (AMOUNT, AMOUNT)


def test_a_dispute_about_a_reopened_charge_takes_the_money_once(system: System) -> None:
    payment_id, entry = contradicted(system)
    reopen(system, entry)
    for event in events_of(system, dispute(system, payment_id, "incorrect_account_details")):
        system.deliver_and_run(event)
    payment = system.payment(payment_id)
    assert (payment.state, payment.lost, payment.reversed) == ("reversed", AMOUNT, AMOUNT)
    assert system.get("/invoices/inv").json["open_amount"] == "12.30"
    assert sorted((row.status, row.lost) for row in system.rows(disputes)) == [("closed", 0), ("lost", AMOUNT)]


@pytest.mark.parametrize("inquired", ["before", "after"])
def test_an_inquiry_leaves_a_reopened_charge_to_the_person_until_it_takes_money(system: System, inquired: str) -> None:
    payment_id, entry = contradicted(system)
    inquiry = ShownDispute(
        "dp_1", system.reference(payment_id), DisputeStatus.OPEN, AMOUNT, 0, is_return=False, reason="fraudulent"
    )
    steps = [lambda: show(system, inquiry), lambda: reopen(system, entry)]
    for step in steps if inquired == "before" else reversed(steps):
        step()
    assert books(system, payment_id) == ("reversed", AMOUNT, AMOUNT)

    show(system, replace(inquiry, withdrawn=AMOUNT))
    assert books(system, payment_id) == ("captured", 0, AMOUNT)  # as any that is open
    show(system, replace(inquiry, withdrawn=AMOUNT, status=DisputeStatus.LOST))
    assert books(system, payment_id) == ("reversed", AMOUNT, AMOUNT)


def show(system: System, dispute: ShownDispute) -> None:
    system.runtime.change("comparison", apply_dispute, "stripe", dispute)


def books(system: System, payment_id: str) -> tuple[str, int, int]:
    payment = system.payment(payment_id)
    return payment.state, payment.lost, payment.reversed


def test_a_reopened_charge_whose_money_is_there_after_all_is_left_to_a_person_who_takes_it_back(
    system: System,
) -> None:
    account = system.sandbox.state.provider_of(Stripe).account
    payment_id, entry = contradicted(system)
    reopen(system, entry)
    intent = account.intents[system.reference(payment_id)]
    intent.body.update({"status": "succeeded", "amount_received": AMOUNT, "last_payment_error": None})
    again = system.provider.event("payment_intent.succeeded", system.reference(payment_id)) | {"id": "evt_after_all"}
    assert system.deliver_and_run(again).status == "applied"
    entries = system.rows(attention, attention.c.closed_at.is_(None))
    assert [entry.reason for entry in entries] == ["charge_contradicting"]
    [entry] = entries
    assert system.state(payment_id) == "reversed"
    assert reopen(system, entry, "lost once more").status_code == 409
    body = {"action": "accept", "note": "it is in the dashboard"}
    resolved = system.post(f"/admin/attention/{entry.id}/resolve", body, caller="operator", Idempotency_Key="accept")
    assert resolved.status_code == 200
    payment = system.payment(payment_id)
    assert (payment.state, payment.lost, payment.reversed) == ("captured", 0, 0)
    assert system.get("/invoices/inv").json["open_amount"] == "0.00"


def test_an_older_failure_of_a_charge_that_has_succeeded_needs_nobody(system: System) -> None:
    payment_id = debited(system)
    assert system.deliver_and_run(failed_event(system, payment_id, "evt_old")).status == "applied"
    assert (system.state(payment_id), system.rows(attention)) == ("captured", [])
    assert "charge_contradicted" not in system.event_names(payment_id)


@pytest.mark.parametrize("first", ["refund", "dispute", "comparison"])
@pytest.mark.parametrize("kind", ["dispute", "return"])
def test_a_refund_made_elsewhere_before_a_lost_dispute_is_booked_in_whatever_order(
    system: System, first: str, kind: str
) -> None:
    payment_id = debited(system) if kind == "return" else system.pay()
    system.run_until_idle()
    system.run(COMPARE)
    params = {"payment_intent": system.reference(payment_id), "amount": 500}
    refund = system.provider.call("POST", "/v1/refunds", params)["id"]
    reference = dispute(system, payment_id, "incorrect_account_details" if kind == "return" else "fraudulent")
    if kind == "dispute":
        system.provider.control(f"disputes/{reference}/close", {"result": "lost"})
    told = {
        "refund": [system.provider.event("refund.created", refund), *events_of(system, reference)],
        "dispute": [*events_of(system, reference), system.provider.event("refund.created", refund)],
        "comparison": [],
    }[first]
    system.provider.fail("events.list", "error_before", times=None)
    for event in told:
        system.deliver_and_run(event)
        system.advance(seconds=10)
    system.move_clock(days=1, hours=2)
    system.run(COMPARE)
    system.advance(seconds=10)
    payment = system.payment(payment_id)
    # Stripe takes the whole charge, whatever was refunded of it.
    assert (payment.refunded, payment.reversed, payment.lost) == (500, AMOUNT, AMOUNT)
    state = "in_grace" if kind == "return" else "reversed"
    assert (payment.state, system.get("/invoices/inv").json["open_amount"]) == (state, "12.30")
