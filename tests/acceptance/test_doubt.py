"""Whatever happens to an answer of the provider: never failed wrongly, never charged twice, settled by look-up."""

from __future__ import annotations

import pytest

from tests.acceptance.harness import LOST_SECONDS, House, Json, at_once, eventually, order, reference, unique
from tests.conftest import OpenHouse

pytestmark = [pytest.mark.acceptance, pytest.mark.postgres]

# What may happen to a call: its answer is lost after the provider has acted, the provider acts only after its caller
# has given up, or it never acts.
LOST_ANSWERS = {"timeout_after": {"seconds": LOST_SECONDS}, "reset_after": {}, "error_after": {}}
EXECUTED_LATE = {"latency": {"seconds": LOST_SECONDS}}
NOT_EXECUTED = {"error_before": {}, "reset_before": {}, "rate_limit": {}}
FAULTS = LOST_ANSWERS | EXECUTED_LATE | NOT_EXECUTED


@pytest.mark.parametrize("operation", ["payment_intents.create", "payment_intents.confirm"])
def test_a_charge_is_made_once_whatever_happens_to_the_call(house: House, operation: str) -> None:
    _order_faults(house, operation, FAULTS)
    payments = at_once(lambda _: house.merchant.pay(order()), len(FAULTS))
    assert house.provider.fault_hits() == len(FAULTS)
    for payment in payments:
        house.assert_charged_once(payment["id"])
        assert not {"charge_failed", "charge_declined"} & set(house.events(payment["id"]))


def test_a_lost_answer_is_doubt_until_the_look_up(house: House) -> None:
    house.provider.disturb(paused=True)
    _order_faults(house, "payment_intents.confirm", LOST_ANSWERS)
    for payment in at_once(lambda _: house.merchant.pay(order()), len(LOST_ANSWERS)):
        house.assert_charged_once(payment["id"])
        assert house.events(payment["id"])[-2:] == ["charge_in_doubt", "charge_approved"]


def test_a_call_that_is_executed_late_is_doubt_first(house: House) -> None:
    """A look-up that comes before the provider acts finds nothing, and the same call is made again."""
    house.provider.disturb(paused=True)
    _order_faults(house, "payment_intents.confirm", EXECUTED_LATE)
    payment = house.merchant.pay(order())
    house.assert_charged_once(payment["id"])
    events = house.events(payment["id"])
    assert "charge_in_doubt" in events
    assert events[-1] == "charge_approved"


def test_doubt_blocks_every_other_collection_of_the_debt(house: House) -> None:
    house.provider.disturb(paused=True)
    house.provider.fault("payment_intents.confirm", "reset_after")
    house.provider.fault("payment_intents.retrieve", "error_before", times=2)
    body = order()
    payment = house.merchant.process(body)
    house.merchant.wait(payment["id"], "in_doubt")
    refused = house.merchant.send("POST", "/process", body, idempotency_key=unique("key"))
    assert (refused.status_code, refused.json()["type"]) == (409, "collection_in_progress")
    house.merchant.wait(payment["id"], "captured")
    house.assert_charged_once(payment["id"])


def test_a_decline_whose_answer_was_lost_is_a_decline(house: House) -> None:
    house.provider.fault("payment_intents.confirm", "reset_after")
    payment = house.merchant.pay(order("pm_card_chargeDeclined"), "declined")
    assert house.provider.movements(payment["id"]) == []
    assert len(house.provider.tries(payment["id"])) == 1
    house.assert_books_agree(payment["id"])


def test_a_refund_is_made_once_whatever_happens_to_the_call(house: House) -> None:
    ids = _pay(house, "captured", amount="30.00")
    _operate(house, "refunds.create", ids, "refunds", {"amount": "12.00"})
    for payment_id in ids:
        assert house.provider.movements(payment_id) == ["charge", "refund"]
        shown = house.assert_books_agree(payment_id)
        assert (shown["status"], shown["refunded_amount"]) == ("partially_refunded", "12.00")


def test_a_capture_is_made_once_whatever_happens_to_the_call(house: House) -> None:
    ids = _pay(house, "authorized", amount="80.00", capture=False)
    _operate(house, "payment_intents.capture", ids, "capture", {"amount": "55.00"})
    for payment_id in ids:
        assert house.provider.movements(payment_id).count("capture") == 1
        shown = house.assert_books_agree(payment_id)
        assert (shown["status"], shown["captured_amount"]) == ("captured", "55.00")


def test_a_cancellation_releases_once_whatever_happens_to_the_call(house: House) -> None:
    ids = _pay(house, "authorized", capture=False)
    _operate(house, "payment_intents.cancel", ids, "cancel", {})
    for payment_id in ids:
        assert house.provider.movements(payment_id) == ["authorization", "void"]
        assert house.assert_books_agree(payment_id)["status"] == "voided"


def test_two_refunds_whose_answers_were_lost_are_two_refunds(house: House) -> None:
    payment = house.merchant.pay(order(amount="30.00"))
    house.provider.fault("refunds.create", "reset_after", times=2)
    for amount in ("10.00", "5.00"):
        house.merchant.operate(payment["id"], "refunds", {"amount": amount})
    _wait_until_nothing_is_in_flight(house, payment["id"])
    assert house.provider.movements(payment["id"]) == ["charge", "refund", "refund"]
    assert house.assert_books_agree(payment["id"])["refunded_amount"] == "15.00"


def test_a_provider_that_is_down_is_waited_for(open_house: OpenHouse) -> None:
    with open_house() as house:
        house.worker_with_beat()
        house.web()
        payment = house.merchant.process(order())
        eventually(lambda: "charge_not_sent" in house.events(payment["id"]), "a call that reached nobody")
        assert house.merchant.payment(payment["id"])["status"] in ("accepted", "processing")
        house.start_sandbox()
        house.merchant.wait(payment["id"], "captured")
        house.assert_charged_once(payment["id"])


def test_an_intent_of_a_lost_create_is_never_confirmed(house: House) -> None:
    house.provider.fault("payment_intents.create", "reset_after")
    payment = house.merchant.pay(order())
    charged = [row for row in house.provider.books() if row["captured"] and _is_of(row, payment["id"])]
    assert [row["object"] for row in charged] == [reference(payment)]
    house.assert_charged_once(payment["id"])


def _is_of(row: Json, payment_id: str) -> bool:
    return row["metadata"].get("payment_id") == payment_id


def _order_faults(house: House, operation: str, faults: dict[str, Json]) -> None:
    """Let each fault meet one call: as many payments as faults, at once, meet one each."""
    for fault, how in faults.items():
        house.provider.fault(operation, fault, **how)


def _pay(house: House, status: str, **fields: object) -> list[str]:
    """Make a payment for each fault; return their ids."""
    return [payment["id"] for payment in at_once(lambda _: house.merchant.pay(order(**fields), status), len(FAULTS))]


def _operate(house: House, call: str, ids: list[str], operation: str, body: Json) -> None:
    """Ask for an operation on each payment, let each call meet a fault, and wait for the end of it."""
    _order_faults(house, call, FAULTS)
    at_once(lambda number: house.merchant.operate(ids[number], operation, body), len(ids))
    for payment_id in ids:
        _wait_until_nothing_is_in_flight(house, payment_id)
    assert house.provider.fault_hits() == len(FAULTS)


def _wait_until_nothing_is_in_flight(house: House, payment_id: str) -> None:
    moving = {"due", "open", "in_doubt", "pending"}
    house.merchant.wait_for(
        payment_id,
        lambda shown: not moving & {attempt["status"] for attempt in shown["attempts"]},
        "at rest with every attempt",
    )
