"""The books: every movement that the provider shows is booked once, and every amount is the sum of its movements."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pytest
from sqlalchemy import update

from models.movements import Difference, differences
from models.session import read, transact
from models.tables import movements, payments
from tests.system import AMOUNT, System

pytestmark = pytest.mark.postgres


@pytest.fixture(autouse=True)
def _the_books_are_sums(system: System) -> Iterator[None]:
    yield
    assert found(system) == []


def found(system: System) -> list[Difference]:
    """Return the amounts that are not the sums of their movements."""
    return read(system.engine, lambda connection: list(differences(connection)))


def booked(system: System, payment_id: str) -> list[tuple[str, int]]:
    """Return the movements of a payment, in the order in which they were booked."""
    return [(row.kind, row.amount) for row in system.rows(movements, movements.c.payment_id == payment_id)]


def test_a_charge_and_its_refunds_are_movements_with_the_provider_s_ids(system: System) -> None:
    payment_id = system.pay()
    system.run_until_idle()
    system.request(f"/{payment_id}/refunds", {"amount": "5.00"}, Idempotency_Key="part")
    system.run_until_idle()
    charge, refund = system.rows(movements)
    attempts = system.attempts(payment_id)
    assert (charge.kind, charge.amount, charge.provider_id) == ("charge", AMOUNT, attempts[0].provider_reference)
    assert (refund.kind, refund.amount, refund.provider_id) == ("refund", -500, attempts[1].provider_reference)
    assert {(row.provider, row.currency, row.source) for row in (charge, refund)} == {("stripe", "EUR", "worker")}


def test_movements_have_the_provider_s_time_beside_ours(system: System) -> None:
    system.sandbox.state.clock.advance(30)
    payment_id = system.pay()
    system.run_until_idle()
    system.request(f"/{payment_id}/refunds", {"amount": "5.00"}, Idempotency_Key="part")
    system.run_until_idle()
    rows, shown = system.rows(movements), system.get(f"/{payment_id}").json["movements"]
    ledger = [int(row.at) for row in system.sandbox.state.ledger.movements]
    assert [int(row.moved_at.timestamp()) for row in rows] == ledger
    assert all(row.booked_at < row.moved_at for row in rows), "the provider's clock is ahead of ours"
    assert [datetime.fromisoformat(each["moved_at"]) for each in shown] == [row.moved_at for row in rows]


def test_a_capture_of_a_hold_has_the_time_of_the_event_that_tells_of_it(system: System) -> None:
    payment_id = system.pay(capture=False)
    system.run_until_idle()
    reference = system.reference(payment_id)
    system.sandbox.state.clock.advance(3600)
    system.provider.call("POST", f"/v1/payment_intents/{reference}/capture", {"amount_to_capture": "1000"})
    system.deliver_and_run(system.provider.event("payment_intent.succeeded", reference))
    times = {row.kind: row.moved_at for row in system.rows(movements)}
    ledger = {row.kind: int(row.at) for row in system.sandbox.state.ledger.movements}
    assert {kind: int(at.timestamp()) for kind, at in times.items() if at} == {
        "authorization": ledger["authorization"],
        "capture": ledger["capture"],
    }
    assert times["release"] is None, "Stripe shows no time of what a capture releases"


def test_an_authorization_is_captured_in_part_and_the_rest_is_released(system: System) -> None:
    payment_id = system.pay(capture=False)
    system.run_until_idle()
    system.request(f"/{payment_id}/capture", {"amount": "10.00"})
    system.run_until_idle()
    assert booked(system, payment_id) == [("authorization", AMOUNT), ("capture", 1000), ("release", -230)]


def test_an_authorization_that_is_voided_is_released(system: System) -> None:
    payment_id = system.pay(capture=False)
    system.run_until_idle()
    system.request(f"/{payment_id}/cancel")
    system.run_until_idle()
    assert booked(system, payment_id) == [("authorization", AMOUNT), ("release", -AMOUNT)]


def test_a_refund_that_fails_at_the_bank_comes_back(system: System) -> None:
    payment_id = system.pay(card="pm_card_refundFail")
    system.run_until_idle()
    system.request(f"/{payment_id}/refunds", {"amount": "5.00"}, Idempotency_Key="part")
    system.run_until_idle()
    refund = str(system.attempts(payment_id)[1].provider_reference)
    system.provider.decide_at_bank(refund, "failure")
    system.deliver_and_run(system.provider.event("refund.failed", refund))
    assert booked(system, payment_id) == [("charge", AMOUNT), ("refund", -500), ("refund_failure", 500)]


@pytest.mark.parametrize("is_after_response", [False, True])
def test_a_charge_that_surfaces_closes_no_other_charge_that_is_under_way(
    system: System, *, is_after_response: bool
) -> None:
    payment_id = system.subscribe("inv", system.provider.scripted_card("insufficient_funds", "success"))
    first = system.reference(payment_id)

    def pay_late() -> None:
        system.provider.call("POST", f"/v1/payment_intents/{first}/confirm", {"payment_method": "pm_card_visa"})
        system.deliver_and_run(system.provider.event("payment_intent.succeeded", first))

    system.during_next("charge", pay_late, after_response=is_after_response)
    system.advance(days=3, minutes=1)
    system.advance(minutes=10)
    assert system.provider.movements() == [("charge", AMOUNT)] * 2
    assert booked(system, payment_id) == [("charge", AMOUNT), ("duplicate", AMOUNT)]
    assert (system.payment(payment_id).captured, system.payment(payment_id).duplicated) == (AMOUNT, AMOUNT)
    assert [(row.status, row.due_at) for row in system.attempts(payment_id)] == [("succeeded", None)] * 2

    system.request(f"/{payment_id}/refunds", Idempotency_Key="all")
    system.run_until_idle()
    given_back = [
        system.provider.call("GET", f"/v1/refunds?payment_intent={row.provider_reference}")["data"]
        for row in system.attempts(payment_id)[:2]
    ]
    assert [len(refunds) for refunds in given_back] == [1, 0], "the second charge is given back as what it is"


def test_a_debit_that_ends_after_its_payment_is_shown(system: System) -> None:
    """The first debit is paid after all while the retry waits at the bank, whose webhook is lost."""
    account = system.provider.saved_bank_account()
    payment_id = system.subscribe("inv", **account)
    first = system.reference(payment_id)
    system.provider.decide_at_bank(first, "failure")
    system.advance(minutes=1)
    system.advance(days=3, minutes=1)
    assert system.state(payment_id) == "pending"
    again = {"payment_method": account["card"], "mandate_data[customer_acceptance][type]": "offline"}
    system.provider.call("POST", f"/v1/payment_intents/{first}/confirm", again)
    system.provider.decide_at_bank(first, "success")
    system.deliver_and_run(system.provider.event("payment_intent.succeeded", first))
    assert system.state(payment_id) == "captured"

    system.provider.decide_at_bank(str(system.attempts(payment_id)[1].provider_reference), "success")
    system.advance(hours=7)
    assert system.provider.movements() == [("charge", AMOUNT)] * 2
    assert booked(system, payment_id) == [("charge", AMOUNT), ("duplicate", AMOUNT)]


def test_a_late_event_of_a_captured_authorization_is_no_duplicate(system: System) -> None:
    payment_id = system.pay(capture=False)
    system.run_until_idle()
    system.request(f"/{payment_id}/capture")
    system.run_until_idle()
    event = system.provider.event("payment_intent.succeeded", system.reference(payment_id))
    assert system.deliver_and_run(event).status == "applied"
    assert booked(system, payment_id) == [("authorization", AMOUNT), ("capture", AMOUNT)]
    assert "charge_duplicated" not in system.event_names(payment_id)


def test_money_that_a_late_void_has_booked_is_no_duplicate(system: System) -> None:
    payment_id = system.pay(card="pm_card_authenticationRequired")
    system.run_until_idle()
    system.move_clock(days=1, minutes=1)
    system.sweep()
    system.run_published()  # the look-up finds that the customer took too long: a void is due
    assert [row.verb for row in system.attempts(payment_id)] == ["charge", "void"]
    reference = system.reference(payment_id)
    system.provider.control(f"intents/{reference}/authenticate", {"result": "success"})
    event = system.provider.event("payment_intent.succeeded", reference)
    for number in range(2):
        system.deliver_and_run(event | {"id": f"evt_{number}"})
    system.advance(hours=1)
    assert system.provider.movements() == [("charge", AMOUNT)]
    assert booked(system, payment_id) == [("charge", AMOUNT)]
    assert "charge_duplicated" not in system.event_names(payment_id)


def test_an_amount_that_is_not_the_sum_of_its_movements_is_found(system: System) -> None:
    payment_id = system.pay()
    system.run_until_idle()
    wrong = update(payments).where(payments.c.id == payment_id)
    transact(system.engine, lambda connection: connection.execute(wrong.values(refunded=1)))
    assert found(system) == [Difference(payment_id, "refunded", 1, 0, "EUR")]
    transact(system.engine, lambda connection: connection.execute(wrong.values(refunded=0)))


def test_sums_that_no_float_can_hold_are_exact(system: System) -> None:
    payment_id = system.pay()
    system.run_until_idle()
    large = 2**53 + 1
    for changed in (update(payments).values(authorized=large, captured=large), update(movements).values(amount=large)):
        transact(system.engine, lambda connection, changed=changed: connection.execute(changed))
    assert system.payment(payment_id).captured == large
    assert system.get("/invoices/inv").json["collected_amount"] == "90071992547409.93"
    assert found(system) == []
