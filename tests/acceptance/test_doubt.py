"""Whatever happens to an answer of the provider: never failed wrongly, never charged twice, settled by look-up."""

from __future__ import annotations

import pytest

from tests.acceptance.harness import (
    LOST_SECONDS,
    Json,
    RunningSystem,
    at_once,
    eventually,
    payment_body,
    reference,
    unique,
)
from tests.conftest import OpenSystem

pytestmark = [pytest.mark.acceptance, pytest.mark.postgres]

# What may happen to a call: its answer is lost after the provider has acted, the provider acts only after its caller
# has given up, or it never acts.
LOST_RESPONSES = {"timeout_after": {"seconds": LOST_SECONDS}, "reset_after": {}, "error_after": {}}
EXECUTED_LATE = {"latency": {"seconds": LOST_SECONDS}}
NOT_EXECUTED = {"error_before": {}, "reset_before": {}, "rate_limit": {}}
FAULTS = LOST_RESPONSES | EXECUTED_LATE | NOT_EXECUTED


@pytest.mark.parametrize("operation", ["payment_intents.create", "payment_intents.confirm"])
def test_a_charge_is_made_once_whatever_happens_to_the_call(system: RunningSystem, operation: str) -> None:
    _order_faults(system, operation, FAULTS)
    payments = at_once(lambda _: system.merchant.pay(payment_body()), len(FAULTS))
    assert system.provider.fault_hits() == len(FAULTS)
    for payment in payments:
        system.assert_charged_once(payment["id"])
        assert not {"charge_failed", "charge_declined"} & set(system.events(payment["id"]))


def test_a_lost_response_is_doubt_until_the_look_up(system: RunningSystem) -> None:
    system.provider.disturb(paused=True)
    _order_faults(system, "payment_intents.confirm", LOST_RESPONSES)
    for payment in at_once(lambda _: system.merchant.pay(payment_body()), len(LOST_RESPONSES)):
        system.assert_charged_once(payment["id"])
        assert system.events(payment["id"])[-2:] == ["charge_in_doubt", "charge_approved"]


def test_a_call_that_is_executed_late_is_doubt_first(system: RunningSystem) -> None:
    """A look-up that comes before the provider acts finds nothing, and the same call is made again."""
    system.provider.disturb(paused=True)
    _order_faults(system, "payment_intents.confirm", EXECUTED_LATE)
    payment = system.merchant.pay(payment_body())
    system.assert_charged_once(payment["id"])
    events = system.events(payment["id"])
    assert "charge_in_doubt" in events
    assert events[-1] == "charge_approved"


def test_doubt_blocks_every_other_collection_of_the_invoice(system: RunningSystem) -> None:
    system.provider.disturb(paused=True)
    system.provider.fault("payment_intents.confirm", "reset_after")
    system.provider.fault("payment_intents.retrieve", "error_before", times=2)
    body = payment_body()
    payment = system.merchant.process(body)
    system.merchant.wait(payment["id"], "in_doubt")
    refused = system.merchant.send("POST", "/process", body, idempotency_key=unique("key"))
    assert (refused.status_code, refused.json()["type"]) == (409, "collection_in_progress")
    system.merchant.wait(payment["id"], "captured")
    system.assert_charged_once(payment["id"])


def test_a_decline_whose_response_is_lost_is_a_decline(system: RunningSystem) -> None:
    system.provider.fault("payment_intents.confirm", "reset_after")
    payment = system.merchant.pay(payment_body("pm_card_chargeDeclined"), "declined")
    assert system.provider.movements(payment["id"]) == []
    assert len(system.provider.tries(payment["id"])) == 1
    system.assert_books_agree(payment["id"])


def test_a_refund_is_made_once_whatever_happens_to_the_call(system: RunningSystem) -> None:
    ids = _pay(system, "captured", amount="30.00")
    _operate(system, "refunds.create", ids, "refunds", {"amount": "12.00"})
    for payment_id in ids:
        assert system.provider.movements(payment_id) == ["charge", "refund"]
        shown = system.assert_books_agree(payment_id)
        assert (shown["status"], shown["refunded_amount"]) == ("partially_refunded", "12.00")


def test_a_capture_is_made_once_whatever_happens_to_the_call(system: RunningSystem) -> None:
    ids = _pay(system, "authorized", amount="80.00", capture=False)
    _operate(system, "payment_intents.capture", ids, "capture", {"amount": "55.00"})
    for payment_id in ids:
        assert system.provider.movements(payment_id).count("capture") == 1
        shown = system.assert_books_agree(payment_id)
        assert (shown["status"], shown["captured_amount"]) == ("captured", "55.00")


def test_a_cancellation_releases_once_whatever_happens_to_the_call(system: RunningSystem) -> None:
    ids = _pay(system, "authorized", capture=False)
    _operate(system, "payment_intents.cancel", ids, "cancel", {})
    for payment_id in ids:
        assert system.provider.movements(payment_id) == ["authorization", "void"]
        assert system.assert_books_agree(payment_id)["status"] == "voided"


def test_two_refunds_whose_responses_are_lost_are_two_refunds(system: RunningSystem) -> None:
    payment = system.merchant.pay(payment_body(amount="30.00"))
    system.provider.fault("refunds.create", "reset_after", times=2)
    for amount in ("10.00", "5.00"):
        system.merchant.operate(payment["id"], "refunds", {"amount": amount})
    _wait_until_nothing_is_in_flight(system, payment["id"])
    assert system.provider.movements(payment["id"]) == ["charge", "refund", "refund"]
    assert system.assert_books_agree(payment["id"])["refunded_amount"] == "15.00"


def test_a_payment_waits_for_a_provider_that_is_down(open_system: OpenSystem) -> None:
    with open_system() as system:
        system.worker_with_beat()
        system.web()
        payment = system.merchant.process(payment_body())
        eventually(lambda: "charge_not_sent" in system.events(payment["id"]), "a call that reached nobody")
        assert system.merchant.payment(payment["id"])["status"] in ("accepted", "processing")
        system.start_sandbox()
        system.merchant.wait(payment["id"], "captured")
        system.assert_charged_once(payment["id"])


def test_an_intent_of_a_lost_create_is_never_confirmed(system: RunningSystem) -> None:
    system.provider.fault("payment_intents.create", "reset_after")
    payment = system.merchant.pay(payment_body())
    charged = [row for row in system.provider.books() if row["captured"] and _is_of(row, payment["id"])]
    assert [row["object"] for row in charged] == [reference(payment)]
    system.assert_charged_once(payment["id"])


def _is_of(row: Json, payment_id: str) -> bool:
    return row["metadata"].get("payment_id") == payment_id


def _order_faults(system: RunningSystem, operation: str, faults: dict[str, Json]) -> None:
    """Let each fault meet one call: as many payments as faults, at once, meet one each."""
    for fault, how in faults.items():
        system.provider.fault(operation, fault, **how)


def _pay(system: RunningSystem, status: str, **fields: object) -> list[str]:
    """Make a payment for each fault; return their ids."""
    return [
        payment["id"] for payment in at_once(lambda _: system.merchant.pay(payment_body(**fields), status), len(FAULTS))
    ]


def _operate(system: RunningSystem, call: str, ids: list[str], operation: str, body: Json) -> None:
    """Ask for an operation on each payment, let each call meet a fault, and wait for the end of it."""
    _order_faults(system, call, FAULTS)
    at_once(lambda number: system.merchant.operate(ids[number], operation, body), len(ids))
    for payment_id in ids:
        _wait_until_nothing_is_in_flight(system, payment_id)
    assert system.provider.fault_hits() == len(FAULTS)


def _wait_until_nothing_is_in_flight(system: RunningSystem, payment_id: str) -> None:
    moving = {"due", "open", "in_doubt", "pending"}
    system.merchant.wait_for(
        payment_id,
        lambda shown: not moving & {attempt["status"] for attempt in shown["attempts"]},
        "at rest with every attempt",
    )
