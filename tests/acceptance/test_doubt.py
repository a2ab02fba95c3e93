"""Whatever happens to a response, no payment fails wrongly or is charged twice: a look-up decides."""

from __future__ import annotations

import pytest

from tests.acceptance.harness import (
    LOST_SECONDS,
    Deployment,
    Json,
    at_once,
    eventually,
    payment_body,
    reference,
    unique,
)
from tests.conftest import OpenDeployment

pytestmark = [pytest.mark.acceptance, pytest.mark.postgres]

# What may happen to a call: its response is lost after the provider has acted, the provider acts only after its caller
# has given up, or it never acts.
LOST_RESPONSES = {"timeout_after": {"seconds": LOST_SECONDS}, "reset_after": {}, "error_after": {}}
EXECUTED_LATE = {"latency": {"seconds": LOST_SECONDS}}
NOT_EXECUTED = {"error_before": {}, "reset_before": {}, "rate_limit": {}}
# A stored failure leaves a refund in doubt for minutes (tests/integration/test_stored_failures.py).
OF_OPERATIONS = LOST_RESPONSES | EXECUTED_LATE | NOT_EXECUTED
FAULTS = OF_OPERATIONS | {"error_stored": {}}


@pytest.mark.parametrize("operation", ["payment_intents.create", "payment_intents.confirm"])
def test_a_charge_is_made_once_whatever_happens_to_the_call(deployment: Deployment, operation: str) -> None:
    _order_faults(deployment, operation, FAULTS)
    payments = at_once(lambda _: deployment.merchant.pay(payment_body()), len(FAULTS))
    assert deployment.provider.fault_hits() == len(FAULTS)
    for payment in payments:
        deployment.assert_charged_once(payment["id"])
        assert not {"charge_failed", "charge_declined"} & set(deployment.events(payment["id"]))


def test_a_lost_response_is_doubt_until_the_look_up(deployment: Deployment) -> None:
    deployment.provider.disturb(paused=True)
    _order_faults(deployment, "payment_intents.confirm", LOST_RESPONSES)
    for payment in at_once(lambda _: deployment.merchant.pay(payment_body()), len(LOST_RESPONSES)):
        deployment.assert_charged_once(payment["id"])
        assert deployment.events(payment["id"])[-2:] == ["charge_in_doubt", "charge_approved"]


def test_a_call_that_is_executed_late_is_doubt_first(deployment: Deployment) -> None:
    """A look-up that comes before the provider acts finds nothing, and the same call is made again."""
    deployment.provider.disturb(paused=True)
    _order_faults(deployment, "payment_intents.confirm", EXECUTED_LATE)
    payment = deployment.merchant.pay(payment_body())
    deployment.assert_charged_once(payment["id"])
    events = deployment.events(payment["id"])
    assert "charge_in_doubt" in events
    assert events[-1] == "charge_approved"


def test_doubt_blocks_every_other_collection_of_the_invoice(deployment: Deployment) -> None:
    deployment.provider.disturb(paused=True)
    deployment.provider.fault("payment_intents.confirm", "reset_after")
    deployment.provider.fault("payment_intents.retrieve", "error_before", times=2)
    body = payment_body()
    payment = deployment.merchant.process(body)
    deployment.merchant.wait(payment["id"], "in_doubt")
    refused = deployment.merchant.send("POST", "/process", body, idempotency_key=unique("key"))
    assert (refused.status_code, refused.json()["type"]) == (409, "collection_in_progress")
    deployment.merchant.wait(payment["id"], "captured")
    deployment.assert_charged_once(payment["id"])


def test_a_decline_whose_response_is_lost_is_a_decline(deployment: Deployment) -> None:
    deployment.provider.fault("payment_intents.confirm", "reset_after")
    payment = deployment.merchant.pay(payment_body("pm_card_chargeDeclined"), "declined")
    assert deployment.provider.movements(payment["id"]) == []
    assert len(deployment.provider.tries(payment["id"])) == 1
    deployment.assert_books_agree(payment["id"])


def test_a_refund_is_made_once_whatever_happens_to_the_call(deployment: Deployment) -> None:
    ids = _pay(deployment, "captured", amount="30.00")
    _operate(deployment, "refunds.create", ids, "refunds", {"amount": "12.00"})
    for payment_id in ids:
        assert deployment.provider.movements(payment_id) == ["charge", "refund"]
        shown = deployment.assert_books_agree(payment_id)
        assert (shown["status"], shown["refunded_amount"]) == ("partially_refunded", "12.00")


def test_a_capture_is_made_once_whatever_happens_to_the_call(deployment: Deployment) -> None:
    ids = _pay(deployment, "authorized", amount="80.00", capture=False)
    _operate(deployment, "payment_intents.capture", ids, "capture", {"amount": "55.00"})
    for payment_id in ids:
        assert deployment.provider.movements(payment_id).count("capture") == 1
        shown = deployment.assert_books_agree(payment_id)
        assert (shown["status"], shown["captured_amount"]) == ("captured", "55.00")


def test_a_cancellation_releases_once_whatever_happens_to_the_call(deployment: Deployment) -> None:
    ids = _pay(deployment, "authorized", capture=False)
    _operate(deployment, "payment_intents.cancel", ids, "cancel", {})
    for payment_id in ids:
        assert deployment.provider.movements(payment_id) == ["authorization", "void"]
        assert deployment.assert_books_agree(payment_id)["status"] == "voided"


def test_two_refunds_whose_responses_are_lost_are_two_refunds(deployment: Deployment) -> None:
    payment = deployment.merchant.pay(payment_body(amount="30.00"))
    deployment.provider.fault("refunds.create", "reset_after", times=2)
    for amount in ("10.00", "5.00"):
        deployment.merchant.operate(payment["id"], "refunds", {"amount": amount})
    _wait_until_nothing_is_in_flight(deployment, payment["id"])
    assert deployment.provider.movements(payment["id"]) == ["charge", "refund", "refund"]
    assert deployment.assert_books_agree(payment["id"])["refunded_amount"] == "15.00"


def test_a_payment_waits_for_a_provider_that_is_down(open_deployment: OpenDeployment) -> None:
    with open_deployment() as deployment:
        deployment.worker_with_beat()
        deployment.web()
        payment = deployment.merchant.process(payment_body())
        eventually(lambda: "charge_not_sent" in deployment.events(payment["id"]), "a call that reached nobody")
        assert deployment.merchant.payment(payment["id"])["status"] in ("accepted", "processing")
        deployment.start_sandbox()
        deployment.merchant.wait(payment["id"], "captured")
        deployment.assert_charged_once(payment["id"])


def test_an_intent_of_a_lost_create_is_never_confirmed(deployment: Deployment) -> None:
    deployment.provider.fault("payment_intents.create", "reset_after")
    payment = deployment.merchant.pay(payment_body())
    charged = [row for row in deployment.provider.books() if row["captured"] and _is_of(row, payment["id"])]
    assert [row["object"] for row in charged] == [reference(payment)]
    deployment.assert_charged_once(payment["id"])


def _is_of(row: Json, payment_id: str) -> bool:
    return row["metadata"].get("payment_id") == payment_id


def _order_faults(deployment: Deployment, operation: str, faults: dict[str, Json]) -> None:
    """Let each fault meet one call: as many payments as faults, at once, meet one each."""
    for fault, how in faults.items():
        deployment.provider.fault(operation, fault, **how)


def _pay(deployment: Deployment, status: str, **fields: object) -> list[str]:
    """Make a payment for each fault; return their ids."""
    return [
        payment["id"]
        for payment in at_once(lambda _: deployment.merchant.pay(payment_body(**fields), status), len(OF_OPERATIONS))
    ]


def _operate(deployment: Deployment, call: str, ids: list[str], operation: str, body: Json) -> None:
    """Ask for an operation on each payment, let each call meet a fault, and wait for the end of it."""
    _order_faults(deployment, call, OF_OPERATIONS)
    at_once(lambda number: deployment.merchant.operate(ids[number], operation, body), len(ids))
    for payment_id in ids:
        _wait_until_nothing_is_in_flight(deployment, payment_id)
    assert deployment.provider.fault_hits() == len(OF_OPERATIONS)


def _wait_until_nothing_is_in_flight(deployment: Deployment, payment_id: str) -> None:
    moving = {"due", "open", "in_doubt", "pending"}
    deployment.merchant.wait_for(
        payment_id,
        lambda shown: not moving & {attempt["status"] for attempt in shown["attempts"]},
        "at rest with every attempt",
    )
