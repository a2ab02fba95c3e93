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
from tests.integration.scene import LOST, POOR, WHOLE, Scene, order
from tests.patience import patient
from worker.celery import app

pytestmark = pytest.mark.postgres


# --- confirms that come late ----------------------------------------------------------------------------


def test_a_confirm_that_arrives_after_the_cancel_takes_no_money(scene: Scene) -> None:
    orders = _orders(scene)
    first = _doubted_and_not_found(scene)

    scene.post(f"/{first}/cancel")
    assert scene.call("POST", f"/{first}/cancel", {}).status_code == 409  # not ended here while it is there
    scene.rest()  # the message of the retry is among it, and finds nothing to do
    assert (scene.state(first), scene.intent_status(first)) == ("canceled", "canceled")
    second = scene.pay()
    scene.rest()
    assert scene.state(second) == "captured"

    late = _confirm_late(scene, first, orders[0])
    assert isinstance(late, InDoubt)
    assert scene.moved() == [("charge", WHOLE)]


def test_a_retry_after_doubt_is_the_same_confirm_to_the_provider(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    keys, orders = _confirm_keys(monkeypatch), _orders(scene)
    payment_id = _doubted_and_not_found(scene)
    scene.rest()
    late = _confirm_late(scene, payment_id, orders[0])

    [attempt] = scene.attempts(payment_id)
    assert isinstance(late, Approved)
    assert keys == [f"{attempt.id}-confirm"] * 3
    assert (scene.state(payment_id), scene.moved()) == ("captured", [("charge", WHOLE)])


def _doubted_and_not_found(scene: Scene) -> str:
    """Return a payment whose confirm was lost on its way, so that a look-up finds it unconfirmed; not yet retried."""
    scene.fail("payment_intents.confirm", "reset_before")
    payment_id = scene.pay()
    scene.work()
    assert scene.state(payment_id) == "in_doubt"
    scene.move_clock(seconds=2)
    scene.sweep()
    scene.work()
    assert (scene.state(payment_id), [publish.task for publish in scene.messages]) == ("accepted", [CHARGE])
    return payment_id


def _orders(scene: Scene) -> list[AttemptRequest]:
    """Return a list that will hold what the gateway is told to charge."""
    seen: list[AttemptRequest] = []
    charge = scene.gateway.charge

    def overheard(attempt: AttemptRequest, save_reference: Any) -> Any:
        seen.append(attempt)
        return charge(attempt, save_reference)

    scene.gateway.charge = overheard  # type: ignore[method-assign]
    return seen


def _confirm_late(scene: Scene, payment_id: str, attempt: AttemptRequest) -> Any:
    """Let the first confirm arrive at last: the same intent, parameters and key."""
    reference = scene.attempts(payment_id)[0].provider_reference
    return scene.gateway.charge(replace(attempt, reference=reference), lambda _: None)


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


def test_who_lost_the_lease_before_the_confirm_does_not_confirm(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = _confirm_keys(monkeypatch)
    payment_id = scene.pay()
    scene.meanwhile("charge", lambda: _lose_the_lease(scene, payment_id))
    scene.work()
    assert keys == []

    scene.rest()
    assert (scene.state(payment_id), scene.moved()) == ("captured", [("charge", WHOLE)])


def test_who_lost_the_lease_of_a_known_intent_does_not_confirm(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    payment_id = _doubted_and_not_found(scene)
    keys = _confirm_keys(monkeypatch)
    scene.meanwhile("charge", lambda: _lose_the_lease(scene, payment_id))
    scene.work()
    assert keys == []

    scene.pass_time(minutes=1)
    assert (scene.state(payment_id), scene.moved()) == ("captured", [("charge", WHOLE)])


@pytest.mark.parametrize("operation", ["capture", "refunds"])
def test_who_was_paused_before_the_call_does_not_make_it(
    scene: Scene, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = scene.pay(capture=operation == "refunds")
    scene.rest()
    before = scene.moved()
    scene.post(f"/{payment_id}/{operation}", key="once")
    _pause_at(scene, "operation.claimed", payment_id, monkeypatch)
    scene.work()
    assert (scene.moved(), scene.attempts(payment_id)[-1].status) == (before, "due")

    scene.pass_time(minutes=1)
    moved = {"capture": ("capture", WHOLE), "refunds": ("refund", WHOLE)}
    assert scene.moved() == [*before, moved[operation]]


def _lose_the_lease(scene: Scene, payment_id: str) -> None:
    """Let the lease of the newest attempt end, and another worker look the attempt up."""
    scene.move_clock(seconds=LEASE.total_seconds() + 1)
    scene.run(RECONCILE, scene.attempts(payment_id)[-1].id)


def _pause_at(scene: Scene, point: str, payment_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Freeze the process at a point of its way for longer than a lease: its own clock goes on as well."""
    clock = FrozenTime()
    monkeypatch.setattr("runtime.leases.time", clock)
    monkeypatch.setattr("tasks.execute.time", clock)

    def reach(name: str) -> None:
        if name == point:
            monkeypatch.setattr("tasks.execute.reach", lambda _: None)
            clock.seconds += LEASE.total_seconds() + 1
            _lose_the_lease(scene, payment_id)

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
def test_a_late_webhook_of_a_closed_attempt_leaves_the_pending_one_alone(scene: Scene, event_type: str) -> None:
    payment_id = scene.subscribe("inv", **scene.saved_bank_account())
    late = _end_the_first_attempt(scene, payment_id, event_type)
    scene.pass_time(days=3, minutes=1)
    assert scene.state(payment_id) == "pending"
    _assert_changes_nothing(scene, payment_id, late)

    scene.bank_says(scene.attempts(payment_id)[1].provider_reference, "success")
    scene.pass_time(minutes=1)
    assert (scene.state(payment_id), scene.moved()) == ("captured", [("charge", WHOLE)])


@pytest.mark.parametrize("event_type", ["payment_intent.payment_failed", "payment_intent.canceled"])
def test_a_late_webhook_of_a_closed_attempt_leaves_the_one_in_flight_alone(scene: Scene, event_type: str) -> None:
    payment_id = scene.subscribe("inv", scene.scripted_card("insufficient_funds", "success"))
    late = _end_the_first_attempt(scene, payment_id, event_type)
    scene.meanwhile("charge", lambda: _assert_changes_nothing(scene, payment_id, late))
    scene.pass_time(days=3, minutes=1)

    assert (scene.state(payment_id), scene.case(payment_id).state) == ("captured", "recovered")
    assert scene.moved() == [("charge", WHOLE)]


def _end_the_first_attempt(scene: Scene, payment_id: str, event_type: str) -> Any:
    """Let dunning hear of the first attempt's failure before the webhook; return the webhook that is late."""
    reference = scene.attempts(payment_id)[0].provider_reference
    if scene.state(payment_id) == "pending":
        scene.bank_says(reference, "failure")
        scene.pass_time(minutes=1)
    assert scene.state(payment_id) == "past_due"
    if event_type == "payment_intent.canceled":
        scene.provider("POST", f"/v1/payment_intents/{reference}/cancel")
    return scene.told(event_type, reference)


def _assert_changes_nothing(scene: Scene, payment_id: str, late: Any) -> None:
    before = (scene.payment(payment_id), scene.attempts(payment_id), scene.case(payment_id))
    assert scene.deliver_and_rest(late).status == "applied"
    assert (scene.payment(payment_id), scene.attempts(payment_id), scene.case(payment_id)) == before


def test_a_capture_that_surfaces_on_a_closed_attempt_is_noted_and_not_added(scene: Scene) -> None:
    payment_id = scene.subscribe("inv", scene.scripted_card("insufficient_funds", "success"))
    scene.pass_time(days=3, minutes=1)
    assert scene.payment(payment_id).captured == WHOLE

    first = scene.attempts(payment_id)[0].provider_reference
    scene.provider("POST", f"/v1/payment_intents/{first}/confirm", {"payment_method": "pm_card_visa"})
    for event_id in ("evt_once", "evt_again"):
        scene.deliver_and_rest(scene.told("payment_intent.succeeded", first) | {"id": event_id})

    assert scene.moved() == [("charge", WHOLE)] * 2
    assert (scene.payment(payment_id).captured, scene.state(payment_id)) == (WHOLE, "captured")
    assert scene.event_names(payment_id).count("charge_duplicated") == 1


# --- refunds --------------------------------------------------------------------------------------------


def test_a_stale_answer_about_a_refund_does_not_count_it_twice(scene: Scene) -> None:
    payment_id = scene.pay(card="pm_card_pendingRefund")
    scene.rest()
    scene.fail("refunds.create", "reset_after")
    scene.post(f"/{payment_id}/refunds", {"amount": "4.00"}, key="once")
    scene.rest()
    refund_id = scene.sandbox.state.ledger.movements[-1].object

    def settle_and_tell() -> None:
        scene.bank_says(refund_id, "success")
        scene.deliver_and_rest(scene.told("refund.updated", refund_id))
        assert scene.payment(payment_id).refunded == 400

    # The first worker learns "pending"; before it writes that, the second one writes "succeeded".
    scene.meanwhile("retrieve", settle_and_tell, after_answer=True)
    stale = scene.deliver_and_rest(scene.told("refund.created", refund_id))
    assert (stale.status, stale.tries) == ("stored", 1)
    for _ in range(3):
        scene.pass_time(minutes=5)
    assert (scene.payment(payment_id).refunded, scene.attempts(payment_id)[-1].status) == (400, "succeeded")
    assert scene.event_names(payment_id).count("refunded_partly") == 1


def test_two_events_of_one_dashboard_refund_adopt_it_once(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    payment_id = scene.pay()
    scene.rest()
    refund_id = _refund_in_dashboard(scene, payment_id, 300)
    scene.provider("POST", f"/v1/refunds/{refund_id}", {"metadata[note]": "seen"})
    rows = [scene.deliver(scene.told(f"refund.{what}", refund_id)) for what in ("created", "updated")]
    scene.messages.clear()

    # Both have looked for the refund, and have not found it, before either of them adopts it.
    both_looked, adopt = threading.Barrier(2, timeout=patient(10)), tasks.webhooks.adopt_refund
    monkeypatch.setattr(tasks.webhooks, "adopt_refund", lambda *given: both_looked.wait() < 2 and adopt(*given))
    _at_once([lambda row=row: scene.run(WEBHOOK, row) for row in rows])
    monkeypatch.undo()
    monkeypatch.setattr(app, "runtime", lambda: scene.runtime)
    scene.pass_time(minutes=1)

    assert [row.amount for row in scene.attempts(payment_id) if row.verb == "refund"] == [300]
    assert scene.payment(payment_id).refunded == 300
    assert {scene.hook(row).status for row in rows} == {"applied"}


def test_a_refund_that_comes_before_its_charge_is_recorded_waits_for_it(scene: Scene) -> None:
    scene.fail("payment_intents.confirm", "reset_after")
    payment_id = scene.pay()
    scene.rest()
    assert scene.state(payment_id) == "in_doubt"
    row = scene.deliver(scene.told("refund.created", _refund_in_dashboard(scene, payment_id, 300)))
    scene.messages.clear()

    for seconds in (1, 2, 4, 8):
        _assert_postponed(scene, row, timedelta(seconds=seconds))
    assert scene.payment(payment_id).refunded == 0
    for _ in range(2):
        scene.pass_time(minutes=1)
    assert (scene.state(payment_id), scene.payment(payment_id).refunded) == ("partially_refunded", 300)
    assert scene.hook(row).status == "applied"


def _assert_postponed(scene: Scene, row_id: str, pause: timedelta) -> None:
    """Let a worker try an event, and see that it is tried again after the pause."""
    before = scene.now()
    scene.run(WEBHOOK, row_id)
    assert before + pause <= scene.hook(row_id).due_at <= scene.now() + pause


def _refund_in_dashboard(scene: Scene, payment_id: str, amount: int) -> str:
    reference = scene.attempts(payment_id)[0].provider_reference
    return str(scene.provider("POST", "/v1/refunds", {"payment_intent": reference, "amount": amount})["id"])


def _at_once(works: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# --- dunning beside other payments ----------------------------------------------------------------------


def test_a_worker_whose_clock_lags_behind_keeps_the_days(scene: Scene) -> None:
    payment_id = scene.subscribe("inv", scene.scripted_card("insufficient_funds", "insufficient_funds", "success"))
    first_failed_at = scene.case(payment_id).first_failed_at
    scene.move_clock(days=6.9)
    scene.sweep()
    scene.work()
    scene.offset -= timedelta(days=6.9)  # the worker that charges has not heard of it
    scene.rest()

    retry = scene.attempts(payment_id)[1]
    assert retry.finished_at >= retry.created_at
    assert scene.case(payment_id).due_at - first_failed_at == timedelta(days=14)


def test_who_pays_during_dunning_pays_all_that_is_open(scene: Scene) -> None:
    dunned = scene.subscribe("inv", POOR)
    part = scene.call("POST", "/process", order("inv", "pm_card_visa") | {"amount": "1.00"})
    assert (part.status_code, part.json["type"]) == (422, "amount_above_open")
    lowered = scene.call("PUT", "/invoices/inv", {"user_id": "user", "amount": "1.00", "currency": "EUR"})
    assert lowered.status_code == 409
    assert (scene.state(dunned), scene.case(dunned).state, scene.subscription()) == ("past_due", "retrying", "past_due")

    paid = scene.pay("inv")
    scene.rest()
    assert (scene.state(paid), scene.state(dunned), scene.case(dunned).state) == ("captured", "canceled", "recovered")
    assert scene.subscription() == "active"
    scene.pass_time(days=30)
    assert scene.moved() == [("charge", WHOLE)]


def test_grace_does_not_end_while_another_payment_is_live(scene: Scene) -> None:
    dunned = scene.subscribe("inv", LOST)
    other = scene.pay("inv", scene.bank_account(), payment_method="sepa_debit")
    scene.rest()
    scene.pass_time(days=8)
    assert (scene.state(other), scene.state(dunned), scene.subscription()) == ("pending", "in_grace", "past_due")

    scene.bank_says(scene.attempts(other)[0].provider_reference, "success")
    scene.deliver_and_rest(scene.told("payment_intent.succeeded", scene.attempts(other)[0].provider_reference))
    assert (scene.state(other), scene.state(dunned), scene.subscription()) == ("captured", "canceled", "active")


def test_grace_ends_when_the_other_payment_came_to_nothing(scene: Scene) -> None:
    dunned = scene.subscribe("inv", LOST)
    other = scene.pay("inv", scene.bank_account(), payment_method="sepa_debit")
    scene.rest()
    scene.pass_time(days=8)
    scene.bank_says(scene.attempts(other)[0].provider_reference, "failure")
    scene.deliver_and_rest(scene.told("payment_intent.payment_failed", scene.attempts(other)[0].provider_reference))
    scene.pass_time(minutes=2)
    assert (scene.state(dunned), scene.subscription(), scene.moved()) == ("uncollectible", "canceled", [])


def test_a_canceled_subscription_is_not_charged_by_another_case(scene: Scene) -> None:
    scene.subscribe("ending", LOST)
    scene.pass_time(days=6)
    other = scene.subscribe("other", scene.scripted_card("insufficient_funds", "success"))
    scene.pass_time(days=2)
    assert (scene.subscription(), scene.state(other)) == ("canceled", "past_due")

    scene.pass_time(days=2)
    assert (scene.state(other), scene.subscription(), scene.moved()) == ("canceled", "canceled", [])


def test_a_retry_that_is_open_already_is_not_charged_once_the_subscription_is_canceled(scene: Scene) -> None:
    ending = scene.subscribe("ending", LOST)
    scene.pass_time(days=4)
    other = scene.subscribe("other", scene.scripted_card("insufficient_funds", "success"))
    scene.move_clock(days=4)
    scene.run(DUNNING, other)
    scene.run(DUNNING, ending)
    assert (scene.subscription(), [publish.task for publish in scene.messages]) == ("canceled", [CHARGE])

    scene.rest()
    assert (scene.state(other), scene.moved()) == ("canceled", [])


def test_a_subscription_stays_past_due_until_its_last_case_has_recovered(scene: Scene) -> None:
    first = scene.subscribe("first", scene.scripted_card("insufficient_funds", "success"))
    scene.pass_time(days=1)
    second = scene.subscribe("second", scene.scripted_card("insufficient_funds", "success"))
    scene.pass_time(days=2, minutes=1)
    assert (scene.state(first), scene.state(second)) == ("captured", "past_due")
    assert scene.subscription() == "past_due"

    scene.pass_time(days=1)
    assert (scene.state(second), scene.subscription()) == ("captured", "active")
    assert scene.moved() == [("charge", WHOLE)] * 2
