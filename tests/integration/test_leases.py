"""Calls that come late, and workers that lose their lease in the middle of one: no money moves twice."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text, update

from domain.attention import Reason
from domain.decision import LEASE
from domain.outcome import Approved, InDoubt, NotSent
from gateways.base import AttemptRequest
from models import transition
from models.attempts import renew_leases
from models.attention import open_entry
from models.change import Change
from models.session import read, transact
from models.tables import attempts, attention, events, payments
from models.task_messages import CHARGE, RECONCILE
from models.transition_locks import lock_attempt, lock_payment
from models.webhook_matching import adopt_refund
from runtime.leases import LeaseKeeper
from stack.process import wait_until
from tests.determinism import FrozenTime
from tests.patience import patient
from tests.provider import sent_keys
from tests.system import AMOUNT, System

pytestmark = pytest.mark.postgres


# --- confirms that come late ----------------------------------------------------------------------------


def test_a_confirm_that_arrives_after_the_cancel_moves_no_money(system: System) -> None:
    charge_requests = _charge_requests(system)
    first = _unconfirmed_after_doubt(system)

    system.request(f"/{first}/cancel")
    assert system.call("POST", f"/{first}/cancel", {}).status_code == 409  # not ended here while it is there
    system.run_until_idle()  # the message of the retry is among it, and finds nothing to do
    assert (system.state(first), system.provider.intent_status(first)) == ("canceled", "canceled")
    second = system.pay()
    system.run_until_idle()
    assert system.state(second) == "captured"

    late = _confirm_late(system, first, charge_requests[0])
    assert isinstance(late, InDoubt)
    assert system.provider.movements() == [("charge", AMOUNT)]


def test_a_retry_after_doubt_is_the_same_confirm_to_the_provider(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, charge_requests = sent_keys(monkeypatch, "/confirm"), _charge_requests(system)
    payment_id = _unconfirmed_after_doubt(system)
    system.run_until_idle()
    late = _confirm_late(system, payment_id, charge_requests[0])

    [attempt] = system.attempts(payment_id)
    assert isinstance(late, Approved)
    assert keys == [f"{attempt.id}-confirm"] * 3
    assert (system.state(payment_id), system.provider.movements()) == ("captured", [("charge", AMOUNT)])


def _unconfirmed_after_doubt(system: System) -> str:
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


def _charge_requests(system: System) -> list[AttemptRequest]:
    """Return a list that will hold the requests of the gateway's charges."""
    seen: list[AttemptRequest] = []
    charge = system.gateway.charge

    def charge_and_note(attempt: AttemptRequest, save_reference: Any) -> Any:
        seen.append(attempt)
        return charge(attempt, save_reference)

    system.gateway.charge = charge_and_note  # type: ignore[method-assign]
    return seen


def _confirm_late(system: System, payment_id: str, attempt: AttemptRequest) -> Any:
    """Let the first confirm arrive at last: the same intent, parameters and key."""
    reference = system.attempts(payment_id)[0].provider_reference
    return system.gateway.charge(replace(attempt, reference=reference), lambda _: None)


# --- leases that were lost ------------------------------------------------------------------------------


def test_a_worker_that_lost_its_lease_does_not_confirm(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = sent_keys(monkeypatch, "/confirm")
    payment_id = system.pay()
    system.during_next("charge", lambda: _lose_the_lease(system, payment_id))
    system.run_published()
    assert keys == []

    system.run_until_idle()
    assert (system.state(payment_id), system.provider.movements()) == ("captured", [("charge", AMOUNT)])


def test_a_worker_that_lost_the_lease_of_a_known_intent_does_not_confirm(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = _unconfirmed_after_doubt(system)
    keys = sent_keys(monkeypatch, "/confirm")
    system.during_next("charge", lambda: _lose_the_lease(system, payment_id))
    system.run_published()
    assert keys == []

    system.advance(minutes=1)
    assert (system.state(payment_id), system.provider.movements()) == ("captured", [("charge", AMOUNT)])


@pytest.mark.parametrize("point", ["charge.claimed", "charge.created", "charge.reference_saved"])
def test_a_worker_that_was_paused_before_the_confirm_does_not_confirm(
    system: System, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = sent_keys(monkeypatch, "/confirm")
    payment_id = system.pay()
    _pause_at(system, point, payment_id, monkeypatch)
    system.run_published()
    assert (keys, system.provider.movements()) == ([], [])

    system.advance(minutes=1)
    assert (system.state(payment_id), system.provider.movements()) == ("captured", [("charge", AMOUNT)])
    assert keys == [f"{system.attempts(payment_id)[0].id}-confirm"]


@pytest.mark.parametrize("operation", ["capture", "refunds"])
def test_a_worker_that_was_paused_before_a_capture_or_refund_does_not_send_it(
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


def test_a_lease_that_ends_is_doubt(system: System) -> None:
    payment_id = system.pay()
    [attempt] = system.attempts(payment_id)
    system.during_next("charge", _die)
    with pytest.raises(KeyboardInterrupt):
        system.run(CHARGE, attempt.id)
    system.move_clock(seconds=LEASE.total_seconds() + 1)
    during: list[tuple[str, str]] = []
    system.during_next(
        "retrieve", lambda: during.append((system.state(payment_id), system.attempts(payment_id)[0].status))
    )
    system.run(RECONCILE, attempt.id)
    assert during == [("in_doubt", "in_doubt")]
    [doubt] = system.rows(events, events.c.name == "charge_in_doubt")
    assert (doubt.payment_id, doubt.data) == (payment_id, {"reason": "worker_lost"})


def test_a_look_up_leaves_a_living_worker_alone(system: System) -> None:
    payment_id = system.pay()
    [attempt] = system.attempts(payment_id)
    system.during_next("charge", lambda: system.run(RECONCILE, attempt.id))
    system.run(CHARGE, attempt.id)
    assert system.state(payment_id) == "captured"
    assert "charge_in_doubt" not in system.event_names(payment_id)


def test_a_look_up_that_was_overtaken_writes_nothing(system: System) -> None:
    system.provider.fail("payment_intents.confirm", "reset_before")
    payment_id = system.pay()
    system.run_published()
    [attempt] = system.attempts(payment_id)

    def look_up_elsewhere() -> None:
        own = system.runtime
        system.runtime = replace(own, leases=LeaseKeeper(system.engine, system.clock))
        system.provider.fail("payment_intents.retrieve", "error_before")
        _lose_the_lease(system, payment_id)
        system.runtime = own

    # The first look-up reads that nothing is confirmed; before it writes that, the second one learns nothing.
    system.during_next("retrieve", look_up_elsewhere, after_response=True)
    system.move_clock(seconds=2)
    system.run(RECONCILE, attempt.id)
    assert (system.state(payment_id), system.attempts(payment_id)[0].status) == ("in_doubt", "in_doubt")
    assert system.attempts(payment_id)[0].lookups == 1


# --- leases that are renewed ----------------------------------------------------------------------------


def test_a_locked_attempt_keeps_no_other_from_its_lease(system: System) -> None:
    first, second = (system.attempts(system.pay(invoice))[0] for invoice in ("first", "second"))
    held, later = [(row.id, row.fencing_token) for row in (first, second)], system.now() + LEASE
    with system.engine.begin() as elsewhere:
        elsewhere.execute(select(attempts).where(attempts.c.id == first.id).with_for_update())
        assert transact(system.engine, renew_leases, held, later) == held[1:]
    assert sorted(transact(system.engine, renew_leases, held, later)) == sorted(held)


def test_only_a_lease_that_is_still_held_is_renewed(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SteppedTime()
    monkeypatch.setattr("runtime.leases.time", clock)
    keeper = LeaseKeeper(system.engine, system.clock)
    own, taken = (system.attempts(system.pay(invoice))[0] for invoice in ("own", "taken"))
    with keeper.hold(own.id, own.fencing_token) as held, keeper.hold(taken.id, taken.fencing_token + 1) as lost:
        for _ in range(2):
            clock.step(seconds=LEASE.total_seconds() / 2 + 1)
        assert (held.is_held, lost.is_held) == (True, False)


def test_the_thread_that_renews_ends_when_no_lease_is_held(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.leases._RENEW_SECONDS", 0)
    keeper, before = LeaseKeeper(system.engine, system.clock), set(threading.enumerate())
    [attempt] = system.attempts(system.pay())
    for _ in range(2):
        with keeper.hold(attempt.id, attempt.fencing_token):
            [thread] = set(threading.enumerate()) - before
        thread.join(timeout=patient(10))
        assert not thread.is_alive()


class SteppedTime(FrozenTime):
    """A monotonic clock that a test moves; a thread that sleeps wakes up with each step."""

    def __init__(self) -> None:
        super().__init__()
        self._sleeping, self._woken = threading.Semaphore(0), threading.Semaphore(0)

    def sleep(self, _seconds: float) -> None:
        """Wait for the next step."""
        self._sleeping.release()
        self._woken.acquire()

    def step(self, seconds: float) -> None:
        """Move the clock, wake the thread, and wait until it sleeps again."""
        assert self._sleeping.acquire(timeout=patient(10))
        self.seconds += seconds
        self._woken.release()
        assert self._sleeping.acquire(timeout=patient(10))
        self._sleeping.release()


def _die() -> None:
    raise KeyboardInterrupt


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


# --- locks that had to wait -----------------------------------------------------------------------------


def test_who_waited_for_a_payment_sees_what_was_done_meanwhile(system: System) -> None:
    payment_id = system.pay(capture=False)
    system.run_until_idle()
    [attempt] = system.attempts(payment_id)
    with ThreadPoolExecutor(1) as pool, system.engine.begin() as first:
        change = Change(first, system.now() + timedelta(seconds=1), system.runtime.policy, "test")
        lock_payment(first, payment_id)
        waiting = pool.submit(transact, system.engine, lock_attempt, attempt.id)
        wait_for_a_blocked_session(system)
        open_entry(change, Reason.CAPTURE_REFUSED, payment_id=payment_id)
        first.execute(update(payments).where(payments.c.id == payment_id).values(updated_at=change.now))
        first.commit()
        assert waiting.result(timeout=patient(30)).open_entries == 1


def test_who_waited_for_a_payment_sees_a_refund_that_was_adopted_meanwhile(system: System) -> None:
    payment_id = system.pay()
    system.run_until_idle()
    [charge] = system.attempts(payment_id)
    refunded = Approved("re_elsewhere", refunded=500)
    with ThreadPoolExecutor(1) as pool, system.engine.begin() as first:
        change = Change(first, system.now() + timedelta(seconds=1), system.runtime.policy, "test")
        lock_payment(first, payment_id)
        waiting = pool.submit(transact, system.engine, lock_attempt, charge.id)
        wait_for_a_blocked_session(system)
        adopt_refund(change, "stripe", "re_elsewhere", refunded, charge.provider_reference, None)
        first.commit()
        seen = waiting.result(timeout=patient(30))
    assert (seen.open_entries, seen.has_other_due_attempt) == (1, True)


def test_a_change_of_the_same_instant_is_seen_as_well(system: System) -> None:
    payment_id = system.pay(capture=False)
    system.run_until_idle()
    system.request(f"/{payment_id}/capture", Idempotency_Key="capture")
    [held, capture] = system.attempts(payment_id)
    with ThreadPoolExecutor(1) as pool, system.engine.begin() as first:
        change = Change(first, system.payment(payment_id).updated_at, system.runtime.policy, "test")
        lock_payment(first, payment_id)
        waiting = pool.submit(transact, system.engine, lock_attempt, held.id)
        wait_for_a_blocked_session(system)
        transition.apply(change, capture.id, NotSent("refused", is_retryable=False))
        first.commit()
        assert waiting.result(timeout=patient(30)).open_entries == 1


def test_what_ends_a_doubt_ends_the_entry_that_was_opened_while_it_waited(system: System) -> None:
    """The doubt that opens the entry is no news: it changes nothing of the payment itself."""
    system.provider.fail("payment_intents.confirm", "reset_after")
    payment_id = system.pay()
    system.run_published()
    [attempt] = system.attempts(payment_id)
    taken = Approved(attempt.provider_reference, authorized=AMOUNT, captured=AMOUNT)
    with ThreadPoolExecutor(1) as pool, system.engine.begin() as first:
        change = Change(first, system.now() + timedelta(hours=2), system.runtime.policy, "test")
        transition.apply(change, attempt.id, InDoubt("no_response"))
        waiting = pool.submit(system.runtime.change, "test", transition.apply, attempt.id, taken)
        wait_for_a_blocked_session(system)
        first.commit()
        waiting.result(timeout=patient(30))
    [entry] = system.rows(attention)
    assert (system.state(payment_id), entry.reason, entry.resolution) == ("captured", "doubt", "ended")


def wait_for_a_blocked_session(system: System) -> None:
    """Wait until a session of the test's database waits for a lock."""
    blocked = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    assert wait_until(lambda: read(system.engine, lambda connection: connection.scalar(blocked)), patient(30), 0.05)
