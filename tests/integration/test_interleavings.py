"""Races that a review found, each in its exact order: late calls, late and stale webhooks, two workers at once.

What is true is what the provider's ledger says, and what our tables say beside it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import requests

import tasks.webhooks
from domain.decision import LEASE
from domain.outcome import Approved, InDoubt
from gateways.base import AttemptRequest
from models.task_messages import CHARGE, DUNNING, RECONCILE, WEBHOOK
from tests.patience import patient
from tests.system import AMOUNT, INSUFFICIENT_FUNDS, LOST_CARD, System, payment_request
from worker.celery import app

pytestmark = pytest.mark.postgres


# --- confirms that come late ----------------------------------------------------------------------------


def test_a_confirm_that_arrives_after_the_cancel_takes_no_money(system: System) -> None:
    orders = _orders(system)
    first = _doubted_and_not_found(system)

    system.request(f"/{first}/cancel")
    assert system.call("POST", f"/{first}/cancel", {}).status_code == 409  # not ended here while it is there
    system.run_until_idle()  # the message of the retry is among it, and finds nothing to do
    assert (system.state(first), system.provider.intent_status(first)) == ("canceled", "canceled")
    second = system.pay()
    system.run_until_idle()
    assert system.state(second) == "captured"

    late = _confirm_late(system, first, orders[0])
    assert isinstance(late, InDoubt)
    assert system.provider.movements() == [("charge", AMOUNT)]


def test_a_retry_after_doubt_is_the_same_confirm_to_the_provider(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, orders = _confirm_keys(monkeypatch), _orders(system)
    payment_id = _doubted_and_not_found(system)
    system.run_until_idle()
    late = _confirm_late(system, payment_id, orders[0])

    [attempt] = system.attempts(payment_id)
    assert isinstance(late, Approved)
    assert keys == [f"{attempt.id}-confirm"] * 3
    assert (system.state(payment_id), system.provider.movements()) == ("captured", [("charge", AMOUNT)])


def _doubted_and_not_found(system: System) -> str:
    """Return a payment whose confirm was lost on its way, so that a look-up finds it unconfirmed; not yet retried."""
    system.provider.fail("payment_intents.confirm", "reset_before")
    payment_id = system.pay()
    system.run_published()
    assert system.state(payment_id) == "in_doubt"
    system.move_clock(seconds=2)
    system.sweep()
    system.run_published()
    assert (system.state(payment_id), [publish.task for publish in system.messages]) == ("accepted", [CHARGE])
    return payment_id


def _orders(system: System) -> list[AttemptRequest]:
    """Return a list that will hold what the gateway is told to charge."""
    seen: list[AttemptRequest] = []
    charge = system.gateway.charge

    def overheard(attempt: AttemptRequest, save_reference: Any) -> Any:
        seen.append(attempt)
        return charge(attempt, save_reference)

    system.gateway.charge = overheard  # type: ignore[method-assign]
    return seen


def _confirm_late(system: System, payment_id: str, attempt: AttemptRequest) -> Any:
    """Let the first confirm arrive at last: the same intent, parameters and key."""
    reference = system.attempts(payment_id)[0].provider_reference
    return system.gateway.charge(replace(attempt, reference=reference), lambda _: None)


def _confirm_keys(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that will hold the idempotency key of every confirm that leaves this process."""
    keys: list[str] = []
    send = requests.Session.send

    def overheard(self: requests.Session, request: requests.PreparedRequest, **how: Any) -> requests.Response:
        if str(request.url).endswith("/confirm"):
            keys.append(str(request.headers["Idempotency-Key"]))
        return send(self, request, **how)

    monkeypatch.setattr(requests.Session, "send", overheard)
    return keys


# --- leases that were lost ------------------------------------------------------------------------------


def test_who_lost_the_lease_before_the_confirm_does_not_confirm(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = _confirm_keys(monkeypatch)
    payment_id = system.pay()
    system.during_next("charge", lambda: _lose_the_lease(system, payment_id))
    system.run_published()
    assert keys == []

    system.run_until_idle()
    assert (system.state(payment_id), system.provider.movements()) == ("captured", [("charge", AMOUNT)])


def test_who_lost_the_lease_of_a_known_intent_does_not_confirm(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    payment_id = _doubted_and_not_found(system)
    keys = _confirm_keys(monkeypatch)
    system.during_next("charge", lambda: _lose_the_lease(system, payment_id))
    system.run_published()
    assert keys == []

    system.advance(minutes=1)
    assert (system.state(payment_id), system.provider.movements()) == ("captured", [("charge", AMOUNT)])


@pytest.mark.parametrize("operation", ["capture", "refunds"])
def test_who_was_paused_before_the_call_does_not_make_it(
    system: System, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = system.pay(capture=operation == "refunds")
    system.run_until_idle()
    before = system.provider.movements()
    system.request(f"/{payment_id}/{operation}", Idempotency_Key="once")
    _pause_at(system, "operation.claimed", payment_id, monkeypatch)
    system.run_published()
    assert (system.provider.movements(), system.attempts(payment_id)[-1].status) == (before, "due")

    system.advance(minutes=1)
    moved = {"capture": ("capture", AMOUNT), "refunds": ("refund", AMOUNT)}
    assert system.provider.movements() == [*before, moved[operation]]


def _lose_the_lease(system: System, payment_id: str) -> None:
    """Let the lease of the newest attempt end, and another worker look the attempt up."""
    system.move_clock(seconds=LEASE.total_seconds() + 1)
    system.run(RECONCILE, system.attempts(payment_id)[-1].id)


def _pause_at(system: System, point: str, payment_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Freeze the process at a point of its way for longer than a lease: its own clock goes on as well."""
    clock = FrozenTime()
    monkeypatch.setattr("runtime.leases.time", clock)
    monkeypatch.setattr("tasks.execute.time", clock)

    def reach(name: str) -> None:
        if name == point:
            monkeypatch.setattr("tasks.execute.reach", lambda _: None)
            clock.seconds += LEASE.total_seconds() + 1
            _lose_the_lease(system, payment_id)

    monkeypatch.setattr("tasks.execute.reach", reach)


class FrozenTime:
    """A monotonic clock that a test moves; nobody wakes up from its sleep."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, _seconds: float) -> None:
        threading.Event().wait()


# --- webhooks about attempts that are closed ------------------------------------------------------------


@pytest.mark.parametrize("event_type", ["payment_intent.payment_failed", "payment_intent.canceled"])
def test_a_late_webhook_of_a_closed_attempt_leaves_the_pending_one_alone(system: System, event_type: str) -> None:
    payment_id = system.subscribe("inv", **system.provider.saved_bank_account())
    late = _end_the_first_attempt(system, payment_id, event_type)
    system.advance(days=3, minutes=1)
    assert system.state(payment_id) == "pending"
    _assert_changes_nothing(system, payment_id, late)

    system.provider.decide_at_bank(system.attempts(payment_id)[1].provider_reference, "success")
    system.advance(minutes=1)
    assert (system.state(payment_id), system.provider.movements()) == ("captured", [("charge", AMOUNT)])


@pytest.mark.parametrize("event_type", ["payment_intent.payment_failed", "payment_intent.canceled"])
def test_a_late_webhook_of_a_closed_attempt_leaves_the_one_in_flight_alone(system: System, event_type: str) -> None:
    payment_id = system.subscribe("inv", system.provider.scripted_card("insufficient_funds", "success"))
    late = _end_the_first_attempt(system, payment_id, event_type)
    system.during_next("charge", lambda: _assert_changes_nothing(system, payment_id, late))
    system.advance(days=3, minutes=1)

    assert (system.state(payment_id), system.dunning_case(payment_id).state) == ("captured", "recovered")
    assert system.provider.movements() == [("charge", AMOUNT)]


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


def test_a_capture_that_surfaces_on_a_closed_attempt_is_noted_and_not_added(system: System) -> None:
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


# --- refunds --------------------------------------------------------------------------------------------


def test_a_stale_answer_about_a_refund_does_not_count_it_twice(system: System) -> None:
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

    # Both have looked for the refund, and have not found it, before either of them adopts it.
    both_looked, adopt = threading.Barrier(2, timeout=patient(10)), tasks.webhooks.adopt_refund
    monkeypatch.setattr(tasks.webhooks, "adopt_refund", lambda *given: both_looked.wait() < 2 and adopt(*given))
    _at_once([lambda row=row: system.run(WEBHOOK, row) for row in rows])
    monkeypatch.undo()
    monkeypatch.setattr(app, "runtime", lambda: system.runtime)
    system.advance(minutes=1)

    assert [row.amount for row in system.attempts(payment_id) if row.verb == "refund"] == [300]
    assert system.payment(payment_id).refunded == 300
    assert {system.webhook(row).status for row in rows} == {"applied"}


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


def test_who_pays_during_dunning_pays_all_that_is_open(system: System) -> None:
    dunned = system.subscribe("inv", INSUFFICIENT_FUNDS)
    part = system.call("POST", "/process", payment_request("inv", "pm_card_visa") | {"amount": "1.00"})
    assert (part.status_code, part.json["type"]) == (422, "amount_above_open")
    lowered = system.call("PUT", "/invoices/inv", {"user_id": "user", "amount": "1.00", "currency": "EUR"})
    assert lowered.status_code == 409
    assert (system.state(dunned), system.dunning_case(dunned).state, system.subscription_status()) == (
        "past_due",
        "retrying",
        "past_due",
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
        "past_due",
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


def test_grace_ends_when_the_other_payment_came_to_nothing(system: System) -> None:
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
