"""A hold that surfaces beside the attempt that collects the debt is released; money that surfaces there is booked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from domain.payment import AttemptStatus, Verb
from gateways.stripe.gateway import StripeGateway
from models.attempts import add_attempt
from models.change import Change
from models.ends import rows_without_end
from models.movements import differences
from models.session import read
from models.tables import attention, movements
from models.task_messages import COMPARE
from models.transition_locks import lock_payment
from tests.integration.test_amount_mismatch import PAID, capture_in_dashboard, decide, hear, held_with_another_amount
from tests.provider import SECRET_KEY
from tests.system import AMOUNT, INSUFFICIENT_FUNDS, READ_SECONDS, System

pytestmark = pytest.mark.postgres


@pytest.fixture(autouse=True)
def _the_books_are_sums_and_nothing_waits_without_an_end(system: System) -> Iterator[None]:
    yield
    assert read(system.engine, lambda connection: list(differences(connection))) == []
    assert read(system.engine, rows_without_end) == []


def hold_late(system: System, reference: str, amount: int) -> None:
    """Let somebody hold money on an intent that was declined, and the webhook of that come."""
    path = f"/v1/payment_intents/{reference}"
    system.provider.call("POST", path, {"amount": amount, "capture_method": "manual"})
    system.provider.call("POST", f"{path}/confirm", {"payment_method": "pm_card_visa"})
    hear(system, "payment_intent.amount_capturable_updated", reference)


def booked(system: System, payment_id: str) -> list[tuple[str, int]]:
    """Return the movements of a payment."""
    return [(row.kind, row.amount) for row in system.rows(movements, movements.c.payment_id == payment_id)]


def open_entries(system: System) -> list[tuple[str, int]]:
    """Return why something stands on the attention list, and what is at stake."""
    return sorted((row.reason, row.amount) for row in system.rows(attention) if row.closed_at is None)


def test_a_hold_of_a_payment_that_has_ended_is_released_when_its_webhook_comes(system: System) -> None:
    payment_id = system.pay(card=INSUFFICIENT_FUNDS, capture=False)
    system.run_until_idle()
    hold_late(system, system.reference(payment_id), AMOUNT)
    assert system.state(payment_id) == "declined"
    assert system.provider.movements() == [("authorization", AMOUNT), ("void", AMOUNT)]


@pytest.mark.parametrize("held", [AMOUNT, PAID])
@pytest.mark.parametrize("retry", ["success", "insufficient_funds"])
@pytest.mark.parametrize("when", ["before the retry", "before its call", "after its call", "after the retry"])
def test_a_hold_that_surfaces_beside_a_retry_is_released(system: System, held: int, retry: str, when: str) -> None:
    payment_id = system.subscribe("inv", system.provider.scripted_card("insufficient_funds", retry))
    first = system.reference(payment_id)
    if when == "before the retry":
        hold_late(system, first, held)
    elif when != "after the retry":
        is_after = when == "after its call"
        system.during_next("charge", lambda: hold_late(system, first, held), after_response=is_after)
    system.advance(days=3, minutes=1)
    if when == "after the retry":
        hold_late(system, first, held)
    system.advance(minutes=10)

    is_paid = retry == "success"
    payment = system.payment(payment_id)
    assert (payment.state, payment.captured) == (("captured", AMOUNT) if is_paid else ("past_due", 0))
    expected = [("authorization", held), ("void", held), *([("charge", AMOUNT)] if is_paid else [])]
    assert sorted(system.provider.movements()) == sorted(expected)
    assert (booked(system, payment_id), open_entries(system)) == ([("charge", AMOUNT)] if is_paid else [], [])


def test_a_hold_is_released_although_it_cannot_be_looked_up_at_first(system: System) -> None:
    payment_id = system.subscribe("inv", system.provider.scripted_card("insufficient_funds", "success"))
    first = system.reference(payment_id)
    system.during_next("charge", lambda: hold_late(system, first, PAID))
    system.move_clock(days=3, minutes=1)
    system.sweep()
    system.run_until_idle()
    system.provider.fail("payment_intents.retrieve", "error_before", times=2)
    for _ in range(3):
        system.advance(minutes=6)
    assert sorted(system.provider.movements())[-1] == ("void", PAID)


def test_a_hold_beside_a_debit_that_is_pending_is_released_when_that_has_ended(system: System) -> None:
    payment_id = system.subscribe("inv", **system.provider.saved_bank_account())
    first = system.reference(payment_id)
    system.provider.decide_at_bank(first, "failure")
    system.advance(minutes=1)
    system.advance(days=3, minutes=1)
    path = f"/v1/payment_intents/{first}"
    system.provider.call("POST", path, {"allowed_payment_method_types[0]": "card"})
    hold_late(system, first, PAID)
    assert system.state(payment_id) == "pending"
    system.provider.decide_at_bank(str(system.attempts(payment_id)[1].provider_reference), "success")
    system.advance(hours=7)
    system.advance(minutes=10)
    assert (system.state(payment_id), booked(system, payment_id)) == ("captured", [("charge", AMOUNT)])
    assert sorted(system.provider.movements()) == [("authorization", PAID), ("charge", AMOUNT), ("void", PAID)]


# --- another object takes the money than the one that holds it ---


def intent_of_another_attempt(system: System, payment_id: str, provider: str = "stripe", **columns: Any) -> str:
    """Give a payment an attempt that has failed, whose intent can still be paid; return the intent's id."""
    automatic = {"enabled": "true", "allow_redirects": "never"}
    given = {f"automatic_payment_methods[{name}]": value for name, value in automatic.items()}
    body = {"amount": AMOUNT, "currency": "eur", "payment_method": "pm_card_visa", **given}
    reference = str(system.provider.call("POST", "/v1/payment_intents", body | columns.pop("params", {}))["id"])

    def add(change: Change) -> None:
        failed = {"status": AttemptStatus.FAILED, "provider": provider, "provider_reference": reference}
        payment = lock_payment(change.connection, payment_id)
        add_attempt(change, payment, Verb.AUTHORIZE, AMOUNT, **{"due_at": None} | failed | columns)

    system.runtime.change("test", add)
    return reference


def pay_other(system: System, reference: str) -> None:
    """Let somebody pay another attempt's intent, and the webhook of that come."""
    system.provider.call("POST", f"/v1/payment_intents/{reference}/confirm")
    waiting, system.messages[:] = list(system.messages), []
    hear(system, "payment_intent.succeeded", reference)
    system.messages.extend(waiting)


@pytest.mark.parametrize("operation", [None, "capture", "cancel"])
def test_money_beside_a_hold_is_booked_and_the_hold_is_released(system: System, operation: str | None) -> None:
    payment_id = system.pay(capture=False)
    system.run_until_idle()
    other = intent_of_another_attempt(system, payment_id)
    if operation:
        system.request(f"/{payment_id}/{operation}")
    pay_other(system, other)
    system.run_until_idle()
    system.advance(seconds=10)
    assert (system.state(payment_id), open_entries(system)) == ("captured", [("amount_mismatch", AMOUNT)])
    assert booked(system, payment_id) == [("authorization", AMOUNT), ("charge", AMOUNT), ("release", -AMOUNT)]
    assert system.provider.movements() == [("authorization", AMOUNT), ("charge", AMOUNT), ("void", AMOUNT)]

    system.run(COMPARE)
    system.advance(days=1, minutes=1)
    system.run(COMPARE)
    assert open_entries(system) == [("amount_mismatch", AMOUNT)]
    system.request(f"/{payment_id}/refunds", Idempotency_Key="all")
    system.run_until_idle()
    assert (system.state(payment_id), system.provider.movements()[-1]) == ("refunded", ("refund", AMOUNT))


@pytest.mark.parametrize("decision", [None, "accept", "release"])
def test_money_beside_a_hold_of_another_amount_is_booked_and_the_hold_is_released(
    system: System, decision: str | None
) -> None:
    payment_id = held_with_another_amount(system)
    other = intent_of_another_attempt(system, payment_id)
    if decision:
        assert decide(system, decision).status_code == 202
    pay_other(system, other)
    system.run_until_idle()
    system.advance(seconds=10)
    assert (system.state(payment_id), open_entries(system)) == ("captured", [("amount_mismatch", AMOUNT)])
    assert booked(system, payment_id) == [("authorization", PAID), ("charge", AMOUNT), ("release", -PAID)]
    assert system.provider.movements() == [("authorization", PAID), ("charge", AMOUNT), ("void", PAID)]


@pytest.mark.parametrize("decision", [None, "accept"])
def test_money_that_waits_for_a_person_is_given_back_when_another_object_has_paid(
    system: System, decision: str | None
) -> None:
    payment_id = held_with_another_amount(system)
    other = intent_of_another_attempt(system, payment_id)
    capture_in_dashboard(system, payment_id, PAID)
    hear(system, "payment_intent.succeeded", system.reference(payment_id))
    if decision:
        assert decide(system, decision).status_code == 202
    pay_other(system, other)
    system.run_until_idle()
    system.advance(seconds=10)
    payment = system.payment(payment_id)
    assert (payment.state, payment.captured, payment.received, payment.duplicated) == ("captured", AMOUNT, 0, PAID)
    assert open_entries(system) == [("amount_mismatch", AMOUNT), ("duplicate", PAID)]

    [duplicate] = system.rows(attention, attention.c.reason == "duplicate")
    body = {"action": "give_back", "note": "paid twice"}
    path = f"/admin/attention/{duplicate.id}/resolve"
    assert system.post(path, body, caller="operator", Idempotency_Key="back").status_code == 202
    system.run_until_idle()
    assert system.provider.movements()[-1] == ("refund", PAID)
    assert (system.payment(payment_id).duplicated, system.payment(payment_id).refunded) == (0, 0)


@pytest.mark.parametrize("held", [AMOUNT, PAID])
def test_a_second_hold_is_released_and_the_first_one_stays(system: System, held: int) -> None:
    payment_id = system.pay(capture=False) if held == AMOUNT else held_with_another_amount(system)
    system.run_until_idle()
    before = system.state(payment_id)
    other = intent_of_another_attempt(system, payment_id, params={"capture_method": "manual"})
    system.provider.call("POST", f"/v1/payment_intents/{other}/confirm")
    hear(system, "payment_intent.amount_capturable_updated", other)
    hear(system, "payment_intent.canceled", other)
    assert (system.state(payment_id), booked(system, payment_id)) == (before, [("authorization", held)])
    assert system.provider.movements() == [("authorization", held), ("authorization", AMOUNT), ("void", AMOUNT)]
    if held == AMOUNT:
        system.request(f"/{payment_id}/capture")
    else:
        assert decide(system, "accept").status_code == 202
    system.run_until_idle()
    assert (system.state(payment_id), system.provider.movements()[-1]) == ("captured", ("capture", held))


def test_a_late_hold_is_released_at_its_own_provider(system: System) -> None:
    class OtherGateway(StripeGateway):
        provider = "other"

    system.runtime.gateways["other"] = OtherGateway(SECRET_KEY, (), system.sandbox.url, READ_SECONDS)
    payment_id = system.pay(card=INSUFFICIENT_FUNDS, capture=False)
    system.run_until_idle()
    due = {"due_at": system.now(), "params": {"capture_method": "manual"}}
    other = intent_of_another_attempt(system, payment_id, "other", **due)
    system.provider.call("POST", f"/v1/payment_intents/{other}/confirm")
    system.advance(minutes=1)
    assert [(row.verb, row.provider) for row in system.attempts(payment_id)] == [
        ("authorize", "stripe"),
        ("authorize", "other"),
        ("void", "other"),
    ]
    assert system.provider.movements() == [("authorization", AMOUNT), ("void", AMOUNT)]
