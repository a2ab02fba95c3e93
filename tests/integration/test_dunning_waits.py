"""Dunning beside other payments of the same invoice: what a customer begins pauses it only so long."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update

from domain.outcome import Approved, NotSent
from domain.payment import LATE_AUTHORIZATION, AttemptStatus, Verb
from models import transition
from models.attempts import add_attempt
from models.change import Change
from models.session import transact
from models.tables import attempts, attention
from models.transition_locks import lock_payment
from tests.system import AMOUNT, INSUFFICIENT_FUNDS, System, payment_request

pytestmark = pytest.mark.postgres


def test_an_invoice_that_nobody_pays_does_not_stop_dunning(system: System) -> None:
    payment_id = system.subscribe("inv", INSUFFICIENT_FUNDS)
    by_invoice = payment_request("inv", "pm_card_visa") | {"payment_method": "invoice"}
    del by_invoice["payment_method_token"]
    other = system.accept(by_invoice)["id"]
    system.run_until_idle()
    system.advance(days=2)
    assert (system.state(other), len(system.attempts(payment_id))) == ("requires_action", 1)

    system.advance(days=1)
    system.advance(minutes=1)
    assert (system.state(other), len(system.attempts(payment_id))) == ("canceled", 2)
    assert system.dunning_case(payment_id).paused_since is None
    for _ in range(19):
        system.advance(days=1)
    assert (system.state(payment_id), system.subscription_status()) == ("uncollectible", "canceled")


def test_a_checkout_each_day_pauses_a_retry_for_three_days(system: System) -> None:
    payment_id = system.subscribe("inv", INSUFFICIENT_FUNDS)
    system.advance(days=2, hours=12)
    checkouts = []
    for day in range(6):
        checkouts.append(_open_checkout(system, day))
        for _ in range(23):
            system.advance(hours=1)
        assert len(system.attempts(payment_id)) == (1 if day < 3 else 2)
        system.post(f"/{checkouts[-1]}/cancel", {})
        system.run_until_idle()
    assert system.state(checkouts[3]) == "canceled"


def test_a_checkout_that_is_paid_in_time_ends_dunning(system: System) -> None:
    payment_id = system.subscribe("inv", INSUFFICIENT_FUNDS)
    system.advance(days=2, hours=12)
    checkout = _open_checkout(system, 0)
    system.advance(hours=13)
    assert system.dunning_case(payment_id).paused_since is not None
    intent = system.attempts(checkout)[0].provider_reference
    method = {"payment_method": "pm_card_visa", "return_url": "https://shop.example/paid"}
    system.provider.call("POST", f"/v1/payment_intents/{intent}/confirm", method)
    system.advance(hours=6)
    assert (system.state(checkout), system.state(payment_id)) == ("captured", "canceled")
    assert system.subscription_status() == "active"


def test_a_checkout_that_the_provider_does_not_cancel_is_asked_for_once_a_day(system: System) -> None:
    system.subscribe("inv", INSUFFICIENT_FUNDS)
    by_invoice = payment_request("inv", "pm_card_visa") | {"payment_method": "invoice"}
    del by_invoice["payment_method_token"]
    other = system.accept(by_invoice)["id"]
    system.run_until_idle()
    gateway = system.runtime.gateways["manual"]
    gateway.void = lambda *_: NotSent("refused", is_retryable=False)  # type: ignore[method-assign]
    system.advance(days=3, minutes=1)
    for _ in range(10):
        system.advance(minutes=1)
    assert [(row.verb, row.status) for row in system.attempts(other)][1:] == [("void", "failed")]
    assert [entry.reason for entry in system.rows(attention)] == ["void_refused"]

    system.advance(days=1)
    assert len(system.attempts(other)) == 3


def test_a_void_of_the_payment_itself_takes_no_time_from_a_customer_who_begins_to_pay(system: System) -> None:
    payment_id = system.subscribe("inv", INSUFFICIENT_FUNDS)
    void = _open_void(system, payment_id)
    for _ in range(6):
        system.advance(days=1)
    case = system.dunning_case(payment_id)
    assert (case.paused_since, case.due_at > system.now(), len(system.attempts(payment_id))) == (None, True, 2)

    checkout = _open_checkout(system, 0)
    _end(system, void)
    system.advance(minutes=2)
    assert system.dunning_case(payment_id).paused_since is not None
    system.advance(hours=5)
    assert (system.state(checkout), len(system.attempts(payment_id))) == ("requires_action", 2)


def test_a_void_of_the_payment_itself_gives_a_customer_no_more_time(system: System) -> None:
    payment_id = system.subscribe("inv", INSUFFICIENT_FUNDS)
    system.advance(days=2, hours=12)
    checkout = _open_checkout(system, 0)
    system.advance(hours=13)
    paused_since = system.dunning_case(payment_id).paused_since
    system.post(f"/{checkout}/cancel", {})
    system.run_until_idle()
    _open_void(system, payment_id)
    system.advance(hours=5)
    assert system.dunning_case(payment_id).paused_since == paused_since is not None


def _open_void(system: System, payment_id: str) -> str:
    """Let a hold of the payment be released that surfaced late, and its outcome be unknown for days."""

    def open_void(change: Change) -> str:
        payment = lock_payment(change.connection, payment_id)
        columns = {"reason": LATE_AUTHORIZATION, "provider_reference": "pi_late", "status": AttemptStatus.IN_DOUBT}
        return add_attempt(change, payment, Verb.VOID, AMOUNT, **columns).row_id

    void: str = system.runtime.change("test", open_void)
    rest = update(attempts).where(attempts.c.id == void).values(due_at=system.now() + timedelta(days=90))
    transact(system.engine, lambda connection: connection.execute(rest))
    return void


def _end(system: System, void: str) -> None:
    system.runtime.change("test", transition.apply, void, Approved("pi_late", voided=True))


def _open_checkout(system: System, day: int) -> str:
    """Open an intent for the front end, as a customer does who begins to pay."""
    intent = system.request("/stripe-intent", {"invoice_id": "inv"}, Idempotency_Key=f"day-{day}")
    return str(intent["payment_id"])
