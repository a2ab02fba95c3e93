"""The money of a charge itself is compared with what its provider shows, from the reading that shows its refunds."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from domain.outcome import Approved
from domain.payment import Verb
from models.movements import differences
from models.session import read, transact
from models.tables import attention, movements
from models.task_messages import COMPARE
from sandbox.afterpay.api import Afterpay
from sandbox.coinbase.business import CoinbaseBusiness
from sandbox.klarna.api import Klarna
from sandbox.paypal.api import PayPal
from sandbox.stripe.api import Stripe
from tests.integration.test_comparison import METHODS, compare_after, held, hide_events, request_elsewhere, taken
from tests.system import AMOUNT, System

pytestmark = pytest.mark.postgres


def at_rest(system: System, provider: str) -> tuple[str, Any]:
    """Return a captured payment and its gateway; no webhook arrives, and no list shows an event."""
    hide_events(system)
    payment_id, gateway = taken(system, provider)
    system.run_until_idle()
    system.run(COMPARE)
    return payment_id, gateway


def entries(system: System) -> list[tuple[str, str | None, int | None]]:
    """Return the open entries: reason, payment and amount."""
    rows = system.rows(attention, attention.c.closed_at.is_(None))
    return [(row.reason, row.payment_id, row.amount) for row in rows]


def undo(system: System, provider: str, reference: str) -> None:
    """Let a provider show a charge as if it had never taken anything."""
    simulated = system.sandbox.state.provider_of
    match provider:
        case "stripe":
            intent = simulated(Stripe).account.intents[reference]
            error = {"type": "card_error", "code": "card_declined"}
            intent.body.update(status="requires_payment_method", amount_received=0, last_payment_error=error)
        case "paypal":
            order = simulated(PayPal).account.orders[reference]
            order.of("captures")[0].body["status"] = "DECLINED"
        case "klarna":
            placed = simulated(Klarna)._orders.by_id[reference]
            placed.captured, placed.status = 0, "CANCELLED"
        case "afterpay":
            payment = simulated(Afterpay)._by_token[reference]
            payment.state = "VOIDED"
        case "coinbase":
            checkout = simulated(CoinbaseBusiness).checkouts.find(reference)
            assert checkout is not None
            checkout.body["status"] = "EXPIRED"


def forget(system: System, provider: str, reference: str) -> None:
    """Let a provider have no such charge any more."""
    simulated = system.sandbox.state.provider_of
    charges: dict[str, Any] = {
        "stripe": lambda: simulated(Stripe).account.intents,
        "paypal": lambda: simulated(PayPal).account.orders,
        "klarna": lambda: simulated(Klarna)._orders.by_id,
        "afterpay": lambda: simulated(Afterpay)._by_token,
        "coinbase": lambda: simulated(CoinbaseBusiness).checkouts._checkouts,
    }[provider]()
    del charges[reference]


PROVIDERS = ["stripe", *METHODS]


@pytest.mark.parametrize("happens", [undo, forget])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_charge_that_its_provider_does_not_show_as_taken_is_left_to_a_person_once(
    system: System, provider: str, happens: Any
) -> None:
    payment_id, _ = at_rest(system, provider)
    happens(system, provider, system.reference(payment_id))
    compare_after(system, 1.1)
    assert entries(system) == [("charge_contradicting", payment_id, AMOUNT)]
    assert system.state(payment_id) == "captured"
    [entry] = system.rows(attention)
    [detail] = entry.data["details"]
    assert (detail["attempt"], detail["amount"]) == (system.attempts(payment_id)[0].id, AMOUNT)
    body = {"action": "close", "note": "the provider has lost it, the bank has it"}
    path = f"/admin/attention/{entry.id}/resolve"
    assert system.post(path, body, caller="operator", Idempotency_Key="close").status_code == 200
    compare_after(system, 2)
    assert entries(system) == []


def test_such_a_charge_may_be_reopened(system: System) -> None:
    payment_id, _ = at_rest(system, "stripe")
    undo(system, "stripe", system.reference(payment_id))
    compare_after(system, 1.1)
    [entry] = system.rows(attention)
    body = {"action": "reopen", "note": "the provider says that the money never came"}
    path = f"/admin/attention/{entry.id}/resolve"
    assert system.post(path, body, caller="operator", Idempotency_Key="reopen").status_code == 200
    assert (system.state(payment_id), entries(system)) == ("reversed", [])
    compare_after(system, 2)
    assert entries(system) == []


def test_a_charge_of_which_less_is_there_than_is_booked_is_left_to_a_person(system: System) -> None:
    payment_id, _ = at_rest(system, "klarna")
    system.sandbox.state.provider_of(Klarna)._orders.by_id[system.reference(payment_id)].captured = 700
    compare_after(system, 1.1)
    assert entries(system) == [("charge_contradicting", payment_id, AMOUNT)]


def test_what_a_charge_has_taken_beside_what_is_booked_is_booked(system: System) -> None:
    payment_id, _ = at_rest(system, "klarna")
    system.sandbox.state.provider_of(Klarna)._orders.by_id[system.reference(payment_id)].captured = AMOUNT + 500
    compare_after(system, 1.1)
    assert [(reason, subject) for reason, subject, _ in entries(system)] == [("duplicate", payment_id)]
    assert system.payment(payment_id).received == AMOUNT + 500
    assert read(system.engine, lambda connection: list(differences(connection))) == []
    compare_after(system, 2)
    assert len(system.rows(attention)) == 1


def test_a_charge_that_takes_more_while_it_is_read_agrees(system: System) -> None:
    payment_id, gateway = at_rest(system, "klarna")
    genuine = gateway.read_charge

    def read_charge(request: Any) -> Any:
        shown = genuine(request)
        system.sandbox.state.provider_of(Klarna)._orders.by_id[request.charge_reference].captured = AMOUNT + 500
        further = update(movements).where(movements.c.payment_id == payment_id).values(amount=AMOUNT + 500)
        transact(system.engine, lambda connection: connection.execute(further))
        return shown

    gateway.read_charge = read_charge
    system.move_clock(days=1, hours=2)
    system.run(COMPARE)
    assert entries(system) == []


@pytest.mark.parametrize("provider", ["stripe", "paypal", "klarna", "afterpay"])
def test_the_charge_that_a_part_was_captured_of_agrees(system: System, provider: str) -> None:
    payment_id, gateway = held(system, provider)
    assert isinstance(gateway.capture(request_elsewhere(system, payment_id, Verb.CAPTURE, 500)), Approved)
    compare_after(system, 1.1)
    system.request(f"/{payment_id}/refunds", {"amount": "5.00"}, Idempotency_Key="all")
    system.run_until_idle()
    compare_after(system, 2)
    assert (system.state(payment_id), entries(system)) == ("refunded", [])


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_charge_that_a_provider_does_not_show_yet_is_no_contradiction(system: System, provider: str) -> None:
    payment_id, _ = at_rest(system, provider)
    forget(system, provider, system.reference(payment_id))
    system.run(COMPARE, system.attempts(payment_id)[0].id)
    assert entries(system) == []


def test_an_outage_is_no_contradiction(system: System) -> None:
    payment_id, _ = at_rest(system, "stripe")
    undo(system, "stripe", system.reference(payment_id))
    system.provider.fail("payment_intents.retrieve", "error_before", times=None)
    compare_after(system, 1.1)
    assert entries(system) == []
    system.provider.heal()
    hide_events(system)
    compare_after(system, 0.1)
    assert entries(system) == [("charge_contradicting", payment_id, AMOUNT)]


def test_a_status_that_nobody_knows_is_no_contradiction_and_hides_no_refund(system: System) -> None:
    payment_id, gateway = at_rest(system, "stripe")
    gateway.refund(request_elsewhere(system, payment_id, Verb.REFUND, 500))
    system.sandbox.state.provider_of(Stripe).account.intents[system.reference(payment_id)].body["status"] = "new_word"
    compare_after(system, 1.1)
    assert system.payment(payment_id).refunded == 500
    assert [reason for reason, *_ in entries(system)] == ["refund_elsewhere"]


def test_more_refunds_than_a_charge_shows_at_once_are_all_booked(system: System) -> None:
    payment_id, gateway = at_rest(system, "stripe")
    for _ in range(12):
        gateway.refund(request_elsewhere(system, payment_id, Verb.REFUND, 100))
    compare_after(system, 1.1)
    assert system.payment(payment_id).refunded == 1200
