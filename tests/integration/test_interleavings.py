"""Races, each in its exact order: late and stale webhooks, two workers at once, dunning beside other payments.

What is true is what the provider's ledger says, and what our tables say beside it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

import tasks.webhooks
from domain.payment import LATE_AUTHORIZATION, AttemptStatus, Verb
from models.attempts import add_attempt
from models.change import Change
from models.session import transact
from models.tables import attempts, events, movements
from models.task_messages import CHARGE, COMPARE, DUNNING, RECONCILE, WEBHOOK
from models.transition_locks import lock_payment
from sandbox.stripe.api import Stripe
from tests.patience import patient
from tests.system import AMOUNT, INSUFFICIENT_FUNDS, LOST_CARD, System, payment_request
from worker.celery import app

pytestmark = pytest.mark.postgres


# --- webhooks about attempts that are closed ------------------------------------------------------------


@pytest.mark.parametrize("event_type", ["payment_intent.payment_failed", "payment_intent.canceled"])
def test_a_late_webhook_of_a_closed_attempt_does_not_change_the_pending_attempt(
    system: System, event_type: str
) -> None:
    payment_id = system.subscribe("inv", **system.provider.saved_bank_account())
    late = _end_the_first_attempt(system, payment_id, event_type)
    system.advance(days=3, minutes=1)
    assert system.state(payment_id) == "pending"
    _assert_changes_nothing(system, payment_id, late)

    system.provider.decide_at_bank(system.attempts(payment_id)[1].provider_reference, "success")
    system.advance(minutes=1)
    assert (system.state(payment_id), system.provider.movements()) == ("captured", [("charge", AMOUNT)])


@pytest.mark.parametrize("event_type", ["payment_intent.payment_failed", "payment_intent.canceled"])
def test_a_late_webhook_of_a_closed_attempt_does_not_change_the_attempt_in_flight(
    system: System, event_type: str
) -> None:
    payment_id = system.subscribe("inv", system.provider.scripted_card("insufficient_funds", "success"))
    late = _end_the_first_attempt(system, payment_id, event_type)
    system.during_next("charge", lambda: _assert_changes_nothing(system, payment_id, late))
    system.advance(days=3, minutes=1)

    assert (system.state(payment_id), system.dunning_case(payment_id).state) == ("captured", "recovered")
    assert system.provider.movements() == [("charge", AMOUNT)]


def test_a_webhook_about_one_charge_is_not_taken_for_one_about_the_void_of_another(system: System) -> None:
    payment_id = system.subscribe("inv", system.provider.scripted_card("insufficient_funds", "success"))
    system.advance(days=3, minutes=1)
    first, second = (attempt.provider_reference for attempt in system.attempts(payment_id))
    system.provider.call("POST", f"/v1/payment_intents/{first}/confirm", {"payment_method": "pm_card_visa"})

    def open_void(change: Change) -> None:
        columns = {"reason": LATE_AUTHORIZATION, "provider_reference": second, "status": AttemptStatus.IN_DOUBT}
        add_attempt(change, lock_payment(change.connection, payment_id), Verb.VOID, AMOUNT, **columns)

    system.runtime.change("test", open_void)
    system.deliver_and_run(system.provider.event("payment_intent.succeeded", first))
    assert system.payment(payment_id).duplicated == AMOUNT


def _end_the_first_attempt(system: System, payment_id: str, event_type: str) -> Any:
    """Let dunning hear of the first attempt's failure before the webhook; return the webhook that is late."""
    reference = system.attempts(payment_id)[0].provider_reference
    if system.state(payment_id) == "pending":
        system.provider.decide_at_bank(reference, "failure")
        system.advance(minutes=1)
    assert system.state(payment_id) == "past_due"
    if event_type == "payment_intent.canceled":
        system.provider.call("POST", f"/v1/payment_intents/{reference}/cancel")
    return system.provider.event(event_type, reference)


def _assert_changes_nothing(system: System, payment_id: str, late: Any) -> None:
    before = (system.payment(payment_id), system.attempts(payment_id), system.dunning_case(payment_id))
    assert system.deliver_and_run(late).status == "applied"
    assert (system.payment(payment_id), system.attempts(payment_id), system.dunning_case(payment_id)) == before


def test_an_attempt_that_succeeds_after_a_decline_shows_the_decline_no_longer(system: System) -> None:
    payment_id = system.pay(card=INSUFFICIENT_FUNDS)
    system.run_until_idle()
    [declined] = system.get(f"/{payment_id}").json["attempts"]
    assert (declined["code"], declined["decline_code"]) == ("card_declined", "insufficient_funds")
    reference = system.reference(payment_id)
    system.provider.call("POST", f"/v1/payment_intents/{reference}/confirm", {"payment_method": "pm_card_visa"})
    system.deliver_and_run(system.provider.event("payment_intent.succeeded", reference))

    shown = system.get(f"/{payment_id}").json
    [succeeded] = shown["attempts"]
    assert (shown["status"], shown["failure_code"], succeeded["status"]) == ("captured", None, "succeeded")
    assert not [name for name in succeeded if name.endswith("code") or name == "decline_class"]
    [row] = system.attempts(payment_id)
    codes = ("code", "decline_class", "decline_code", "advice_code", "network_advice_code", "network_decline_code")
    assert [getattr(row, name) for name in codes] == [None] * len(codes)


def test_a_capture_that_surfaces_on_a_closed_attempt_is_recorded_and_not_added(system: System) -> None:
    payment_id = system.subscribe("inv", system.provider.scripted_card("insufficient_funds", "success"))
    system.advance(days=3, minutes=1)
    assert system.payment(payment_id).captured == AMOUNT

    first = system.attempts(payment_id)[0].provider_reference
    system.provider.call("POST", f"/v1/payment_intents/{first}/confirm", {"payment_method": "pm_card_visa"})
    for event_id in ("evt_once", "evt_again"):
        system.deliver_and_run(system.provider.event("payment_intent.succeeded", first) | {"id": event_id})

    assert system.provider.movements() == [("charge", AMOUNT)] * 2
    assert (system.payment(payment_id).captured, system.state(payment_id)) == (AMOUNT, "captured")
    assert system.event_names(payment_id).count("charge_duplicated") == 1


def test_an_event_that_was_applied_changes_nothing_when_its_message_comes_again(system: System) -> None:
    payment_id = system.pay(card="pm_card_pendingRefund")
    system.run_until_idle()
    system.request(f"/{payment_id}/refunds", {"amount": "4.00"}, Idempotency_Key="once")
    system.run_until_idle()
    refund_id = system.attempts(payment_id)[-1].provider_reference
    system.provider.decide_at_bank(refund_id, "success")
    row = system.deliver_and_run(system.provider.event("refund.updated", refund_id))
    assert (row.status, system.payment(payment_id).refunded) == ("applied", 400)

    stored = system.dump()
    for _ in range(2):
        system.run(WEBHOOK, row.id)
    assert (system.dump(), system.messages) == (stored, [])


def test_an_event_about_a_call_under_way_waits_for_it(system: System) -> None:
    payment_id, rows = system.pay(), []

    def deliver() -> None:
        event = system.provider.event("payment_intent.succeeded", system.reference(payment_id))
        rows.append(system.deliver_and_run(event))

    system.during_next("charge", deliver, after_response=True)
    system.run_published()
    assert [(row.status, row.tries) for row in rows] == [("stored", 1)]
    [approval] = system.rows(events, events.c.name == "charge_approved")
    assert (approval.payment_id, approval.actor) == (payment_id, "worker")
    system.advance(seconds=2)
    assert system.webhook(rows[0].id).status == "applied"


# --- refunds --------------------------------------------------------------------------------------------


def test_a_stale_response_about_a_refund_does_not_count_it_twice(system: System) -> None:
    payment_id = system.pay(card="pm_card_pendingRefund")
    system.run_until_idle()
    system.provider.fail("refunds.create", "reset_after")
    system.request(f"/{payment_id}/refunds", {"amount": "4.00"}, Idempotency_Key="once")
    system.run_until_idle()
    refund_id = system.sandbox.state.ledger.movements[-1].object

    def settle_and_tell() -> None:
        system.provider.decide_at_bank(refund_id, "success")
        system.deliver_and_run(system.provider.event("refund.updated", refund_id))
        assert system.payment(payment_id).refunded == 400

    # The first worker learns "pending"; before it writes that, the second one writes "succeeded".
    system.during_next("retrieve", settle_and_tell, after_response=True)
    stale = system.deliver_and_run(system.provider.event("refund.created", refund_id))
    assert (stale.status, stale.tries) == ("stored", 1)
    for _ in range(3):
        system.advance(minutes=5)
    assert (system.payment(payment_id).refunded, system.attempts(payment_id)[-1].status) == (400, "succeeded")
    assert system.event_names(payment_id).count("refunded_partly") == 1


def test_two_events_of_one_dashboard_refund_adopt_it_once(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    payment_id = system.pay()
    system.run_until_idle()
    refund_id = _refund_in_dashboard(system, payment_id, 300)
    system.provider.call("POST", f"/v1/refunds/{refund_id}", {"metadata[note]": "seen"})
    rows = [system.deliver(system.provider.event(f"refund.{what}", refund_id)) for what in ("created", "updated")]
    system.messages.clear()

    # Both search for the refund, and miss it, before either of them adopts it.
    both_searched, adopt = threading.Barrier(2, timeout=patient(10)), tasks.webhooks.adopt_refund
    monkeypatch.setattr(tasks.webhooks, "adopt_refund", lambda *given: both_searched.wait() < 2 and adopt(*given))
    _at_once([lambda row=row: system.run(WEBHOOK, row) for row in rows])
    monkeypatch.undo()
    monkeypatch.setattr(app, "runtime", lambda: system.runtime)
    system.advance(minutes=1)

    assert [row.amount for row in system.attempts(payment_id) if row.verb == "refund"] == [300]
    assert system.payment(payment_id).refunded == 300
    assert {system.webhook(row).status for row in rows} == {"applied"}


@pytest.mark.parametrize(
    ("booked", "ways"),
    [
        ("pending", ("webhook", "webhook")),
        ("pending", ("webhook", "look-up")),
        ("failed", ("webhook", "webhook")),
        ("failed", ("webhook", "comparison")),
        ("failed", ("comparison", "comparison")),
    ],
)
def test_two_workers_that_hear_at_once_that_a_refund_is_given_book_it_once(
    system: System, booked: str, ways: tuple[str, str]
) -> None:
    payment_id = system.pay(card="pm_card_pendingRefund")
    system.run_until_idle()
    system.request(f"/{payment_id}/refunds", {"amount": "4.00"}, Idempotency_Key="once")
    system.run_until_idle()
    charge, refund = system.attempts(payment_id)
    result, kind = ("failure", "failed") if booked == "failed" else ("success", "updated")
    system.provider.decide_at_bank(refund.provider_reference, result)
    told = system.provider.event(f"refund.{kind}", refund.provider_reference)
    if booked == "failed":
        system.deliver_and_run(told)
        system.sandbox.state.provider_of(Stripe).account.refunds[refund.provider_reference]["status"] = "succeeded"
        told["data"]["object"]["status"] = "succeeded"
    assert system.attempts(payment_id)[1].status == booked
    rows = [system.deliver(told | {"id": f"evt_{number}"}) for number in range(2)]
    transact(system.engine, lambda connection: connection.execute(update(attempts).values(due_at=system.now())))
    system.messages.clear()
    works = {"webhook": lambda row: system.run(WEBHOOK, row)}
    works["look-up"] = lambda _: system.run(RECONCILE, refund.id)
    works["comparison"] = lambda _: system.run(COMPARE, charge.id)

    with _responses_before_writes(system.gateway, "retrieve", "read_charge") as released:
        _at_once([lambda way=way, row=row: works[way](row) for way, row in zip(ways, rows, strict=True)])
    assert released.is_set()
    for row in rows:
        system.run(WEBHOOK, row)
    for _ in range(3):
        system.advance(minutes=5)
    assert system.payment(payment_id).refunded == 400
    given = system.rows(movements, movements.c.payment_id == payment_id, movements.c.kind == "refund")
    assert [row.amount for row in given] == [-400]
    assert (system.attempts(payment_id)[1].status, len(system.attempts(payment_id))) == ("succeeded", 2)
    assert {system.webhook(row).status for row in rows} == {"applied"}


@contextmanager
def _responses_before_writes(gateway: Any, *verbs: str) -> Iterator[threading.Event]:
    """Let two workers have the provider's response before either of them writes what it says."""
    both, released = threading.Barrier(2, timeout=patient(10)), threading.Event()

    def waiting(call: Callable[..., Any]) -> Callable[..., Any]:
        def respond(*given: Any) -> Any:
            response = call(*given)
            if not released.is_set():
                both.wait()
                released.set()
            return response

        return respond

    with pytest.MonkeyPatch.context() as patch:
        for verb in verbs:
            patch.setattr(gateway, verb, waiting(getattr(gateway, verb)))
        yield released


def test_a_refund_that_comes_before_its_charge_is_recorded_waits_for_it(system: System) -> None:
    system.provider.fail("payment_intents.confirm", "reset_after")
    payment_id = system.pay()
    system.run_until_idle()
    assert system.state(payment_id) == "in_doubt"
    row = system.deliver(system.provider.event("refund.created", _refund_in_dashboard(system, payment_id, 300)))
    system.messages.clear()

    for seconds in (1, 2, 4, 8):
        _assert_postponed(system, row, timedelta(seconds=seconds))
    assert system.payment(payment_id).refunded == 0
    for _ in range(2):
        system.advance(minutes=1)
    assert (system.state(payment_id), system.payment(payment_id).refunded) == ("partially_refunded", 300)
    assert system.webhook(row).status == "applied"


def _assert_postponed(system: System, row_id: str, pause: timedelta) -> None:
    """Let a worker try an event, and see that it is tried again after the pause."""
    before = system.now()
    system.run(WEBHOOK, row_id)
    assert before + pause <= system.webhook(row_id).due_at <= system.now() + pause


def _refund_in_dashboard(system: System, payment_id: str, amount: int) -> str:
    reference = system.attempts(payment_id)[0].provider_reference
    return str(system.provider.call("POST", "/v1/refunds", {"payment_intent": reference, "amount": amount})["id"])


def _at_once(works: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# --- dunning beside other payments ----------------------------------------------------------------------


def test_a_worker_whose_clock_lags_behind_keeps_the_days(system: System) -> None:
    payment_id = system.subscribe(
        "inv", system.provider.scripted_card("insufficient_funds", "insufficient_funds", "success")
    )
    first_failed_at = system.dunning_case(payment_id).first_failed_at
    system.move_clock(days=6.9)
    system.sweep()
    system.run_published()
    system.offset -= timedelta(days=6.9)  # the worker that charges has not heard of it
    system.run_until_idle()

    retry = system.attempts(payment_id)[1]
    assert retry.finished_at >= retry.created_at
    assert system.dunning_case(payment_id).due_at - first_failed_at == timedelta(days=14)


def test_a_payment_during_dunning_is_for_all_that_is_outstanding(system: System) -> None:
    dunned = system.subscribe("inv", INSUFFICIENT_FUNDS)
    body = payment_request("inv", "pm_card_visa") | {"amount": "1.00"}
    part = system.post("/process", body, Idempotency_Key="part")
    assert (part.status_code, part.json.get("type")) == (422, "amount_above_open")
    lowered = system.call("PUT", "/invoices/inv", {"user_id": "user", "amount": "1.00", "currency": "EUR"})
    assert lowered.status_code == 409
    assert (system.state(dunned), system.dunning_case(dunned).state, system.subscription_status()) == (
        "past_due",
        "retrying",
        "incomplete",
    )

    paid = system.pay("inv")
    system.run_until_idle()
    assert (system.state(paid), system.state(dunned), system.dunning_case(dunned).state) == (
        "captured",
        "canceled",
        "recovered",
    )
    assert system.subscription_status() == "active"
    system.advance(days=30)
    assert system.provider.movements() == [("charge", AMOUNT)]


def test_grace_does_not_end_while_another_payment_is_live(system: System) -> None:
    dunned = system.subscribe("inv", LOST_CARD)
    other = system.pay("inv", system.provider.bank_account(), payment_method="sepa_debit")
    system.run_until_idle()
    system.advance(days=8)
    assert (system.state(other), system.state(dunned), system.subscription_status()) == (
        "pending",
        "in_grace",
        "incomplete",
    )

    system.provider.decide_at_bank(system.attempts(other)[0].provider_reference, "success")
    system.deliver_and_run(
        system.provider.event("payment_intent.succeeded", system.attempts(other)[0].provider_reference)
    )
    assert (system.state(other), system.state(dunned), system.subscription_status()) == (
        "captured",
        "canceled",
        "active",
    )


def test_grace_ends_when_the_other_payment_fails(system: System) -> None:
    dunned = system.subscribe("inv", LOST_CARD)
    other = system.pay("inv", system.provider.bank_account(), payment_method="sepa_debit")
    system.run_until_idle()
    system.advance(days=8)
    system.provider.decide_at_bank(system.attempts(other)[0].provider_reference, "failure")
    system.deliver_and_run(
        system.provider.event("payment_intent.payment_failed", system.attempts(other)[0].provider_reference)
    )
    system.advance(minutes=2)
    assert (system.state(dunned), system.subscription_status(), system.provider.movements()) == (
        "uncollectible",
        "canceled",
        [],
    )


def test_a_canceled_subscription_is_not_charged_by_another_case(system: System) -> None:
    system.subscribe("ending", LOST_CARD)
    system.advance(days=6)
    other = system.subscribe("other", system.provider.scripted_card("insufficient_funds", "success"))
    system.advance(days=2)
    assert (system.subscription_status(), system.state(other)) == ("canceled", "past_due")

    system.advance(days=2)
    assert (system.state(other), system.subscription_status(), system.provider.movements()) == (
        "canceled",
        "canceled",
        [],
    )


def test_a_canceled_subscription_gets_no_retry(system: System) -> None:
    system.subscribe("ending", LOST_CARD)
    system.advance(days=6)
    other = system.subscribe("other", system.provider.scripted_card("insufficient_funds", "success"))
    system.advance(days=2)
    system.move_clock(days=2)
    system.run(DUNNING, other)
    assert (system.state(other), len(system.attempts(other)), system.messages) == ("canceled", 1, [])


def test_a_canceled_subscription_stays_canceled_when_an_old_invoice_is_paid(system: System) -> None:
    ended = system.subscribe("ending", LOST_CARD)
    system.advance(days=8)
    assert (system.state(ended), system.subscription_status()) == ("uncollectible", "canceled")
    first = system.reference(ended)
    system.provider.call("POST", f"/v1/payment_intents/{first}/confirm", {"payment_method": "pm_card_visa"})
    system.deliver_and_run(system.provider.event("payment_intent.succeeded", first))
    assert (system.state(ended), system.subscription_status()) == ("captured", "canceled")


def test_a_retry_that_is_open_already_is_not_charged_once_the_subscription_is_canceled(system: System) -> None:
    ending = system.subscribe("ending", LOST_CARD)
    system.advance(days=4)
    other = system.subscribe("other", system.provider.scripted_card("insufficient_funds", "success"))
    system.move_clock(days=4)
    system.run(DUNNING, other)
    system.run(DUNNING, ending)
    assert (system.subscription_status(), [publish.task for publish in system.messages]) == ("canceled", [CHARGE])

    system.run_until_idle()
    assert (system.state(other), system.provider.movements()) == ("canceled", [])


def test_a_retry_that_is_open_already_waits_while_another_payment_collects_the_invoice(system: System) -> None:
    dunned = system.subscribe("inv", system.provider.scripted_card("insufficient_funds", "success"))
    system.move_clock(days=3, minutes=1)
    system.run(DUNNING, dunned)
    [retry] = system.messages
    system.messages.clear()
    other = system.pay("inv", system.provider.bank_account(), payment_method="sepa_debit")
    system.run_until_idle()
    assert system.state(other) == "pending"

    system.run(*retry)
    assert (system.state(dunned), system.attempts(dunned)[-1].status) == ("past_due", "due")
    assert system.attempts(dunned)[-1].due_at > system.now()
    system.provider.decide_at_bank(system.reference(other), "success")
    system.deliver_and_run(system.provider.event("payment_intent.succeeded", system.reference(other)))
    system.advance(minutes=2)
    assert (system.state(dunned), system.provider.movements()) == ("canceled", [("charge", AMOUNT)])


def test_a_subscription_stays_past_due_until_its_last_case_has_recovered(system: System) -> None:
    first = system.subscribe("first", system.provider.scripted_card("insufficient_funds", "success"))
    system.advance(days=1)
    second = system.subscribe("second", system.provider.scripted_card("insufficient_funds", "success"))
    system.advance(days=2, minutes=1)
    assert (system.state(first), system.state(second)) == ("captured", "past_due")
    assert system.subscription_status() == "past_due"

    system.advance(days=1)
    assert (system.state(second), system.subscription_status()) == ("captured", "active")
    assert system.provider.movements() == [("charge", AMOUNT)] * 2


class WorkerDied(BaseException):
    """The process is gone."""


def test_a_webhook_that_comes_before_the_look_up_of_a_dead_worker_s_call_finds_it_in_doubt(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any) -> None:
        raise WorkerDied

    payment_id = system.pay()
    with monkeypatch.context() as patch:
        patch.setattr("tasks.execute.record", die)
        with pytest.raises(WorkerDied):
            system.run_until_idle()
    system.move_clock(seconds=16)
    event = system.provider.event("payment_intent.succeeded", system.reference(payment_id))
    assert system.deliver_and_run(event).status == "applied"
    assert system.event_names(payment_id)[1:] == ["charge_started", "charge_in_doubt", "charge_approved"]
