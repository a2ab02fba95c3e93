"""Money of another amount than was asked: booked as what it is, and decided by a person."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Row

from domain.money import Money
from domain.outcome import Pending
from models.ends import rows_without_end
from models.session import read
from models.tables import attention
from models.task_messages import COMPARE
from tests.system import AMOUNT, Json, System

pytestmark = pytest.mark.postgres
PAID = 1000


def entries(system: System) -> list[Row[Any]]:
    return system.rows(attention, attention.c.closed_at.is_(None))


def decide(system: System, action: str, **how: Any) -> Any:
    """Decide on the one open entry; return the response."""
    [entry] = entries(system)
    body = {"action": action, "note": "looked at it", **how}
    return system.post(f"/admin/attention/{entry.id}/resolve", body, caller="operator", Idempotency_Key=action)


def opened_with_another_amount(system: System, invoice: str = "inv") -> tuple[str, str]:
    """Return a payment of 12.30 whose intent the front end can pay with 10.00, and the intent's id."""
    system.call("PUT", f"/invoices/{invoice}", {"user_id": "user", "amount": "12.30", "currency": "EUR"})
    intent = system.request("/stripe-intent", {"invoice_id": invoice})
    reference = system.reference(intent["payment_id"])
    system.provider.call("POST", f"/v1/payment_intents/{reference}", {"amount": PAID})
    return intent["payment_id"], reference


def confirm_in_front_end(system: System, reference: str) -> None:
    """Pay an intent."""
    back = {"payment_method": "pm_card_visa", "return_url": "https://shop.example/back"}
    system.provider.call("POST", f"/v1/payment_intents/{reference}/confirm", back)


def paid_with_another_amount(system: System, invoice: str = "inv") -> tuple[str, str]:
    """Return a payment whose intent the front end has paid with 10.00 instead of 12.30, and the intent's id."""
    payment_id, reference = opened_with_another_amount(system, invoice)
    confirm_in_front_end(system, reference)
    return payment_id, reference


def held_with_another_amount(system: System, amount: int = PAID) -> str:
    """Return a payment of 12.30 whose intent holds another amount."""
    charge = system.gateway.charge

    def of_another_amount(attempt: Any, save_reference: Any) -> Any:
        system.gateway.charge = charge
        return charge(replace(attempt, money=Money(amount, "EUR")), save_reference)

    system.gateway.charge = of_another_amount
    payment_id = system.pay(capture=False)
    system.run_until_idle()
    assert system.state(payment_id) == "amount_mismatch"
    return payment_id


def capture_in_dashboard(system: System, payment_id: str, minor: int) -> None:
    """Capture a payment's intent beside us."""
    path = f"/v1/payment_intents/{system.reference(payment_id)}/capture"
    system.provider.call("POST", path, {"amount_to_capture": minor})


def hear(system: System, event: str, reference: str) -> None:
    system.deliver_and_run(system.provider.event(event, reference))


def invoice(system: System) -> Json:
    shown: Json = system.get("/invoices/inv").json
    return shown


@pytest.mark.parametrize("is_told", [True, False])
def test_an_intent_that_is_paid_with_another_amount_waits_for_a_person_who_accepts_it(
    system: System, is_told: bool
) -> None:
    payment_id, reference = paid_with_another_amount(system)
    if is_told:
        hear(system, "payment_intent.succeeded", reference)
    else:
        system.advance(minutes=2)
    payment = system.payment(payment_id)
    assert (payment.state, payment.received, payment.captured) == ("amount_mismatch", PAID, 0)
    [entry] = entries(system)
    assert (entry.reason, entry.amount) == ("amount_mismatch", PAID)

    assert decide(system, "accept").status_code == 202
    system.run_until_idle()
    system.advance(seconds=2)
    payment = system.payment(payment_id)
    assert (payment.state, payment.captured, entries(system)) == ("captured", PAID, [])
    assert invoice(system)["open_amount"] == "2.30"
    assert system.provider.movements() == [("charge", PAID)]


@pytest.mark.parametrize(
    ("action", "state", "movements"),
    [
        ("accept", "captured", [("authorization", PAID), ("capture", PAID)]),
        ("release", "voided", [("authorization", PAID), ("void", PAID)]),
    ],
)
def test_a_hold_of_another_amount_is_captured_or_released_by_a_person(
    system: System, action: str, state: str, movements: list[tuple[str, int]]
) -> None:
    payment_id = held_with_another_amount(system)
    payment = system.payment(payment_id)
    assert (payment.state, payment.authorized, payment.failure_code) == ("amount_mismatch", PAID, "other_amount")
    assert [(entry.reason, entry.amount) for entry in entries(system)] == [("amount_mismatch", PAID)]
    assert [system.post(f"/{payment_id}/{verb}").status_code for verb in ("cancel", "capture")] == [409, 409]

    assert decide(system, action).status_code == 202
    system.run_until_idle()
    assert (system.state(payment_id), entries(system)) == (state, [])
    assert system.provider.movements() == movements


def test_a_person_may_give_up_on_an_intent_that_is_paid_with_another_amount(system: System) -> None:
    payment_id, reference = paid_with_another_amount(system)
    hear(system, "payment_intent.succeeded", reference)
    assert decide(system, "release").status_code == 200
    assert (system.state(payment_id), entries(system)) == ("canceled", [])
    assert invoice(system)["open_amount"] == "12.30"


def test_a_cancel_that_comes_after_the_other_amount_was_paid_finds_it(system: System) -> None:
    payment_id, _ = paid_with_another_amount(system)
    system.request(f"/{payment_id}/cancel")
    system.run_until_idle()
    system.advance(seconds=2)
    assert (system.state(payment_id), system.payment(payment_id).received) == ("amount_mismatch", PAID)
    assert [(row.verb, row.status) for row in system.attempts(payment_id)] == [
        ("charge", "canceled"),
        ("void", "failed"),
    ]
    decide(system, "accept")
    system.run_until_idle()
    system.advance(seconds=2)
    assert (system.state(payment_id), system.payment(payment_id).captured) == ("captured", PAID)


def test_a_cancel_during_which_another_amount_is_paid_accepts_nothing(system: System) -> None:
    payment_id, reference = opened_with_another_amount(system)
    system.request(f"/{payment_id}/cancel")

    def pay_and_hear() -> None:
        confirm_in_front_end(system, reference)
        hear(system, "payment_intent.succeeded", reference)

    system.during_next("void", pay_and_hear)
    system.run_until_idle()
    system.advance(minutes=1)
    payment = system.payment(payment_id)
    assert (payment.state, payment.received, payment.captured) == ("amount_mismatch", PAID, 0)
    # On a slow machine the webhook's look-up times out, and the void itself finds the money: its charge has ended then.
    charge, void = system.attempts(payment_id)
    assert (charge.verb, void.verb, void.status) == ("charge", "void", "failed")
    assert charge.status in ("succeeded", "canceled")
    assert [(entry.reason, entry.amount) for entry in entries(system)] == [("amount_mismatch", PAID)]
    decide(system, "accept")
    system.run_until_idle()
    system.advance(seconds=2)
    assert (system.state(payment_id), system.payment(payment_id).captured) == ("captured", PAID)


@pytest.mark.parametrize("order", ["call first", "webhook first"])
def test_a_capture_beside_one_of_the_dashboard_is_booked_as_what_was_captured(system: System, order: str) -> None:
    payment_id = system.pay(capture=False)
    system.run_until_idle()
    reference = system.reference(payment_id)
    system.request(f"/{payment_id}/capture", {"amount": "5.00"}, Idempotency_Key="capture")
    system.provider.call("POST", f"/v1/payment_intents/{reference}/capture")
    if order == "webhook first":
        captures, system.messages[:] = list(system.messages), []
        hear(system, "payment_intent.succeeded", reference)
        system.messages.extend(captures)
    system.run_until_idle()
    system.advance(seconds=2)
    hear(system, "payment_intent.succeeded", reference)

    payment = system.payment(payment_id)
    assert (payment.state, payment.captured) == ("captured", AMOUNT)
    assert [(row.verb, row.status) for row in system.attempts(payment_id)] == [
        ("authorize", "succeeded"),
        ("capture", "failed"),
    ]
    [entry] = entries(system)
    assert (entry.reason, entry.amount) == ("amount_mismatch", AMOUNT)
    assert "refund" in decide(system, "accept").json["detail"]

    system.request(f"/{payment_id}/refunds", {"amount": "7.30"}, Idempotency_Key="too much")
    system.run_until_idle()
    assert decide(system, "close").status_code == 200
    assert system.provider.movements()[-1] == ("refund", 730)


@pytest.mark.parametrize("captured", [1500, AMOUNT, 500])
@pytest.mark.parametrize("order", ["webhook first", "call first", "look-up first"])
def test_a_release_that_meets_a_capture_of_the_dashboard_books_that_and_says_so(
    system: System, order: str, captured: int
) -> None:
    payment_id = held_with_another_amount(system, 1500)
    reference = system.reference(payment_id)
    if order == "look-up first":
        system.provider.fail("payment_intents.cancel", "error_before", times=None)
    assert decide(system, "release").status_code == 202
    if order == "call first":
        system.during_next("void", lambda: capture_in_dashboard(system, payment_id, captured))
    else:
        capture_in_dashboard(system, payment_id, captured)
    if order == "webhook first":
        voids, system.messages[:] = list(system.messages), []
        hear(system, "payment_intent.succeeded", reference)
        system.messages.extend(voids)
    system.run_until_idle()
    system.advance(days=7, minutes=61)
    system.provider.heal()
    system.advance(minutes=10)
    hear(system, "payment_intent.succeeded", reference)

    payment = system.payment(payment_id)
    assert (payment.state, payment.captured) == ("captured", captured)
    assert [amount for kind, amount in system.provider.movements() if kind == "capture"] == [captured]
    assert [(row.verb, row.status) for row in system.attempts(payment_id)][-1] == ("void", "failed")
    assert [(entry.reason, entry.amount) for entry in entries(system)] == [("amount_mismatch", captured)]
    assert decide(system, "close").status_code == 200
    assert read(system.engine, rows_without_end) == []


def test_an_acceptance_that_meets_another_capture_of_the_dashboard_says_so(system: System) -> None:
    payment_id = held_with_another_amount(system)
    assert decide(system, "accept").status_code == 202
    capture_in_dashboard(system, payment_id, 400)
    system.run_until_idle()
    system.advance(seconds=2)
    payment = system.payment(payment_id)
    assert (payment.state, payment.captured) == ("captured", 400)
    assert [(entry.reason, entry.amount) for entry in entries(system)] == [("amount_mismatch", 400)]


@pytest.mark.parametrize("is_told", [True, False])
def test_a_hold_of_another_amount_that_expires_leaves_the_list_with_its_payment(system: System, is_told: bool) -> None:
    payment_id = held_with_another_amount(system)
    system.move_clock(days=7, minutes=1)
    if is_told:
        hear(system, "payment_intent.canceled", system.reference(payment_id))
    else:
        system.advance(hours=2)
    assert (system.state(payment_id), entries(system), invoice(system)["open_amount"]) == ("expired", [], "12.30")
    assert system.provider.movements() == [("authorization", PAID), ("void", PAID)]


def test_a_look_up_that_shows_nothing_new_does_not_end_the_look_ups_of_a_hold(system: System) -> None:
    payment_id = held_with_another_amount(system)
    system.move_clock(days=7, hours=2)
    reference = system.reference(payment_id)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(system.gateway, "retrieve", lambda attempt: Pending(reference))
        system.sweep()
        system.run_until_idle()
    assert system.state(payment_id) == "amount_mismatch"
    system.advance(days=1)
    assert (system.state(payment_id), entries(system)) == ("expired", [])


def test_the_comparison_finds_what_the_dashboard_captured_of_a_hold_of_another_amount(system: System) -> None:
    payment_id = held_with_another_amount(system)
    system.run(COMPARE)
    capture_in_dashboard(system, payment_id, PAID)
    system.advance(days=1, minutes=1)
    system.run(COMPARE)
    system.run_until_idle()
    assert (system.state(payment_id), system.payment(payment_id).received) == ("amount_mismatch", PAID)
    assert decide(system, "accept").status_code == 202
    system.run_until_idle()
    system.advance(seconds=2)
    assert (system.state(payment_id), system.payment(payment_id).captured, entries(system)) == ("captured", PAID, [])
