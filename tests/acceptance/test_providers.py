"""Every provider through the whole system: approved, declined, walked away from, told late, given back, killed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.harness import READY_SECONDS, House, Json, eventually, hosted_order
from tests.conftest import OpenHouse

pytestmark = [pytest.mark.acceptance, pytest.mark.postgres]

HOSTED = ("paypal", "klarna", "afterpay", "cryptocurrency", "bitcoin")
# We move the money: there is a moment between the customer's approval and the charge.
COMPLETED_BY_US = ("paypal", "klarna", "afterpay")
REFUNDS = ["refund", "refund"]
# The provider has charged, and nobody knows yet. With Stripe a test of its own kills at every point.
ANSWERED = "charge.responded"
LAST_MOMENT = ("paypal", "charge.reference_saved")


def open_payment(house: House, method: str, **more: object) -> Json:
    """Return a payment whose customer is on the provider's page."""
    return house.merchant.pay(hosted_order(method, **more), "requires_action")


@pytest.mark.parametrize("method", HOSTED)
def test_an_approved_payment_is_charged_once_and_told_late(house: House, method: str) -> None:
    house.provider.disturb(paused=True)
    payment = open_payment(house, method)
    house.provider.visit(payment, "approve")
    house.merchant.wait(payment["id"], "captured")
    house.assert_charged_once(payment["id"])
    house.provider.disturb(paused=False, reorder=True, duplicate=2)
    eventually(lambda: not house.provider.deliveries()["pending"], "all webhooks delivered")
    house.assert_charged_once(payment["id"])


@pytest.mark.parametrize("method", HOSTED)
def test_a_webhook_or_a_look_is_enough_when_the_customer_does_not_come_back(house: House, method: str) -> None:
    payment = open_payment(house, method)
    house.provider.decide(payment, "approve")
    if method == "afterpay":  # tells nobody; the look of the first minute finds it
        house.provider.advance(seconds=90)
    house.merchant.wait(payment["id"], "captured")
    house.assert_charged_once(payment["id"])


@pytest.mark.parametrize("method", HOSTED)
def test_a_declined_payment_moves_nothing(house: House, method: str) -> None:
    payment = open_payment(house, method)
    house.provider.visit(payment, "decline")
    statuses = ("declined", "requires_action") if method == "paypal" else ("declined",)
    shown = house.merchant.wait_for(
        payment["id"],
        lambda found: found["status"] in statuses and found["updated_at"] > payment["updated_at"],
        "declined, or sent back to choose another funding",
    )
    assert house.provider.movements(shown["id"]) == []


@pytest.mark.parametrize("method", HOSTED)
def test_who_walks_away_is_waited_for_and_can_be_let_go(house: House, method: str) -> None:
    payment = open_payment(house, method)
    house.merchant.operate(payment["id"], "cancel")
    house.merchant.wait(payment["id"], "canceled")
    assert house.provider.movements(payment["id"]) == []
    again = house.merchant.send("POST", "/process", hosted_order(method, invoice_id=payment["invoice_id"]))
    assert again.status_code in (202, 409)  # the invoice is another user's, not blocked


@pytest.mark.parametrize("method", ["paypal", "klarna", "afterpay", "cryptocurrency"])
def test_a_refund_in_two_parts(house: House, method: str) -> None:
    payment = open_payment(house, method)
    house.provider.visit(payment, "approve")
    house.merchant.wait(payment["id"], "captured")
    for amount in ("10.00", "14.90"):
        house.merchant.operate(payment["id"], "refunds", {"amount": amount})
    house.merchant.wait(payment["id"], "refunded")
    assert house.assert_books_agree(payment["id"])["refunded_amount"] == payment["amount"]
    assert house.provider.movements(payment["id"])[-3:] in (["charge", *REFUNDS], ["capture", *REFUNDS])


@pytest.mark.parametrize("method", COMPLETED_BY_US)
def test_held_money_is_captured_in_part_and_the_rest_let_go(house: House, method: str) -> None:
    payment = open_payment(house, method, capture=False)
    house.provider.visit(payment, "approve")
    house.merchant.wait(payment["id"], "authorized")
    house.merchant.operate(payment["id"], "capture", {"amount": "14.90"})
    house.merchant.wait(payment["id"], "captured")
    assert house.assert_books_agree(payment["id"])["captured_amount"] == "14.90"


def kill_one(house: House, point: str) -> None:
    """Let a worker take what comes, and die at the point; then let another come."""
    dying = house.worker(f"dying-{point}", CELERIAC_FAILPOINT=point)
    eventually(lambda: not dying.is_running(), f"death at {point}", READY_SECONDS)
    house.worker(f"after-{point}")


@pytest.fixture
def idle_house(open_house: OpenHouse) -> Iterator[House]:
    """A house in which no worker runs yet."""
    with open_house() as house:
        house.start_sandbox().beat()
        house.web()
        yield house


@pytest.mark.parametrize("method", COMPLETED_BY_US)
def test_a_worker_that_dies_before_the_page_is_known_leaves_one_payment(idle_house: House, method: str) -> None:
    accepted = idle_house.merchant.process(hosted_order(method))
    kill_one(idle_house, "charge.created")
    payment = idle_house.merchant.wait(accepted["id"], "requires_action", seconds=READY_SECONDS)
    idle_house.provider.visit(payment, "approve")
    idle_house.merchant.wait(payment["id"], "captured")
    idle_house.assert_charged_once(payment["id"])


@pytest.mark.parametrize(("method", "point"), [*((method, ANSWERED) for method in COMPLETED_BY_US), LAST_MOMENT])
def test_a_worker_that_dies_around_the_charge_charges_once(idle_house: House, method: str, point: str) -> None:
    first = idle_house.worker("first")
    payment = open_payment(idle_house, method)
    first.kill()
    idle_house.provider.visit(payment, "approve")
    kill_one(idle_house, point)
    idle_house.merchant.wait(payment["id"], "captured", seconds=READY_SECONDS)
    idle_house.assert_charged_once(payment["id"])


# --- money that does not match ---------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["pay_too_little", "pay_too_much", "pay_too_late"])
@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_an_operator_decides_on_money_that_does_not_match(house: House, way: str, decision: str) -> None:
    payment = open_payment(house, "bitcoin")
    house.provider.visit(payment, way)
    held = house.merchant.wait(payment["id"], "amount_mismatch")
    assert held["failure_code"] in ("underpaid", "overpaid", "delayed")
    assert held["captured_amount"] == "0.00"
    house.operator.operate(payment["id"], "review", {"decision": decision})
    shown = house.merchant.wait(payment["id"], "captured" if decision == "approve" else "canceled")
    assert shown["captured_amount"] == (held["received_amount"] if decision == "approve" else "0.00")
    house.assert_books_agree(payment["id"])
    refused = house.operator.send("POST", f"/{payment['id']}/review", {"decision": decision})
    assert refused.status_code == 409


# --- one that is down -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two_ways(open_house: OpenHouse) -> Iterator[House]:
    """A house in which Klarna can be had from Klarna and through Stripe."""
    with open_house() as house:
        house.start_sandbox().worker()
        house.beat()
        house.web()
        yield house


def test_a_provider_that_is_down_for_a_minute(two_ways: House) -> None:
    """New payments flow over the other provider, the doubtful one waits, and traffic returns by itself."""
    house = two_ways
    in_doubt = open_payment(house, "klarna")
    assert in_doubt["provider"] == "klarna"
    assert [choice["provider"] for choice in in_doubt["route"]] == ["klarna", "stripe"]

    house.provider.fault("klarna.*", "reset_before", times=None)
    house.provider.decide(in_doubt, "approve")
    rerouted = [house.merchant.process(hosted_order("klarna"))["id"] for _ in range(12)]
    for payment_id in rerouted:
        shown = house.merchant.wait(payment_id, "requires_action")
        assert shown["provider"] == "stripe"
        house.provider.visit(shown, "approve")
        house.merchant.wait(payment_id, "captured")
        house.assert_charged_once(payment_id)
    first = house.merchant.payment(rerouted[0])
    tried = [(attempt["provider"], attempt["status"]) for attempt in first["attempts"]]
    assert tried == [("klarna", "failed"), ("stripe", "succeeded")]
    assert house.events(rerouted[0]).count("charge_rerouted") == 1
    opened = house.rows("SELECT data FROM events WHERE name = 'breaker_opened'")
    assert {row["data"]["provider"] for row in opened} == {"klarna"}

    def is_barred() -> bool:
        late = house.merchant.payment(house.merchant.process(hosted_order("klarna"))["id"])
        return (late["provider"], late["route"][-1]["reason"]) == ("stripe", "preferred; fails now")

    # The way is barred for seconds only, after which the next payment probes it and has it barred again.
    eventually(is_barred, "a payment that does not even try Klarna")

    house.provider.behave()
    house.provider.advance(seconds=90)
    house.merchant.wait(in_doubt["id"], "captured", seconds=READY_SECONDS)
    house.assert_charged_once(in_doubt["id"])
    assert house.merchant.payment(in_doubt["id"])["provider"] == "klarna"

    def is_back() -> bool:
        found = house.merchant.wait(house.merchant.process(hosted_order("klarna"))["id"], "requires_action")
        return bool(found["provider"] == "klarna")

    eventually(is_back, "payments at Klarna again", READY_SECONDS)
