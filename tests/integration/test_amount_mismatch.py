"""Money of another amount than was asked: booked as what it is, and decided by a person."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Row

from domain.money import Money
from models.tables import attention
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


def paid_with_another_amount(system: System) -> tuple[str, str]:
    """Return a payment whose intent the front end has paid with 10.00 instead of 12.30, and the intent's id."""
    system.call("PUT", "/invoices/inv", {"user_id": "user", "amount": "12.30", "currency": "EUR"})
    intent = system.request("/stripe-intent", {"invoice_id": "inv"})
    reference = system.reference(intent["payment_id"])
    system.provider.call("POST", f"/v1/payment_intents/{reference}", {"amount": PAID})
    back = {"payment_method": "pm_card_visa", "return_url": "https://shop.example/back"}
    system.provider.call("POST", f"/v1/payment_intents/{reference}/confirm", back)
    return intent["payment_id"], reference


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
    charge = system.gateway.charge

    def of_another_amount(attempt: Any, save_reference: Any) -> Any:
        return charge(replace(attempt, money=Money(PAID, "EUR")), save_reference)

    system.gateway.charge = of_another_amount
    payment_id = system.pay(capture=False)
    system.run_until_idle()
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
