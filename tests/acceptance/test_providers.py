"""Every provider through the whole system: approved, declined, walked away from, told late, given back, killed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.harness import READY_SECONDS, Deployment, Json, eventually, hosted_body, unique
from tests.conftest import OpenDeployment

pytestmark = [pytest.mark.acceptance, pytest.mark.postgres]

HOSTED = ("paypal", "klarna", "afterpay", "cryptocurrency", "bitcoin")
# We move the money: there is a moment between the customer's approval and the charge.
COMPLETED_BY_US = ("paypal", "klarna", "afterpay")
REFUNDS = ["refund", "refund"]
# The provider has charged, and nobody knows yet. With Stripe a test of its own kills at every point.
ANSWERED = "charge.responded"
LAST_MOMENT = ("paypal", "charge.reference_saved")


def open_payment(deployment: Deployment, method: str, **more: object) -> Json:
    """Return a payment whose customer is on the provider's page."""
    return deployment.merchant.pay(hosted_body(method, **more), "requires_action")


@pytest.mark.parametrize("method", HOSTED)
def test_an_approved_payment_is_charged_once_though_its_webhook_is_late(deployment: Deployment, method: str) -> None:
    deployment.provider.disturb(paused=True)
    payment = open_payment(deployment, method)
    deployment.provider.visit(payment, "approve")
    deployment.merchant.wait(payment["id"], "captured")
    deployment.assert_charged_once(payment["id"])
    deployment.provider.disturb(paused=False, reorder=True, duplicate=2)
    eventually(lambda: not deployment.provider.deliveries()["pending"], "all webhooks delivered")
    deployment.assert_charged_once(payment["id"])


@pytest.mark.parametrize("method", HOSTED)
def test_a_webhook_or_a_look_up_is_enough_when_the_customer_does_not_return(
    deployment: Deployment, method: str
) -> None:
    payment = open_payment(deployment, method)
    deployment.provider.decide(payment, "approve")
    if method == "afterpay":  # tells nobody; the look of the first minute finds it
        deployment.provider.advance(seconds=90)
    deployment.merchant.wait(payment["id"], "captured")
    deployment.assert_charged_once(payment["id"])


@pytest.mark.parametrize("method", HOSTED)
def test_a_declined_payment_moves_nothing(deployment: Deployment, method: str) -> None:
    payment = open_payment(deployment, method)
    deployment.provider.visit(payment, "decline")
    statuses = ("declined", "requires_action") if method == "paypal" else ("declined",)
    shown = deployment.merchant.wait_for(
        payment["id"],
        lambda found: found["status"] in statuses and found["updated_at"] > payment["updated_at"],
        "declined, or sent back to choose another funding",
    )
    assert deployment.provider.movements(shown["id"]) == []


@pytest.mark.parametrize("method", HOSTED)
def test_a_customer_who_does_not_return_is_waited_for_and_can_be_canceled(deployment: Deployment, method: str) -> None:
    payment = open_payment(deployment, method)
    deployment.merchant.operate(payment["id"], "cancel")
    deployment.merchant.wait(payment["id"], "canceled")
    assert deployment.provider.movements(payment["id"]) == []
    body = hosted_body(method, invoice_id=payment["invoice_id"])
    again = deployment.merchant.send("POST", "/process", body, idempotency_key=unique("key"))
    assert again.status_code in (202, 409)  # the invoice is another user's, not blocked


@pytest.mark.parametrize("method", ["paypal", "klarna", "afterpay", "cryptocurrency"])
def test_two_partial_refunds_add_up(deployment: Deployment, method: str) -> None:
    payment = open_payment(deployment, method)
    deployment.provider.visit(payment, "approve")
    deployment.merchant.wait(payment["id"], "captured")
    for amount in ("10.00", "14.90"):
        deployment.merchant.operate(payment["id"], "refunds", {"amount": amount})
    deployment.merchant.wait(payment["id"], "refunded")
    assert deployment.assert_books_agree(payment["id"])["refunded_amount"] == payment["amount"]
    assert deployment.provider.movements(payment["id"])[-3:] in (["charge", *REFUNDS], ["capture", *REFUNDS])


@pytest.mark.parametrize("method", COMPLETED_BY_US)
def test_a_part_of_an_authorization_is_captured_and_the_rest_released(deployment: Deployment, method: str) -> None:
    payment = open_payment(deployment, method, capture=False)
    deployment.provider.visit(payment, "approve")
    deployment.merchant.wait(payment["id"], "authorized")
    deployment.merchant.operate(payment["id"], "capture", {"amount": "14.90"})
    deployment.merchant.wait(payment["id"], "captured")
    assert deployment.assert_books_agree(payment["id"])["captured_amount"] == "14.90"


def kill_one(deployment: Deployment, point: str) -> None:
    """Let a worker take what comes, and die at the point; then let another come."""
    dying = deployment.worker(f"dying-{point}", CELERIAC_FAILPOINT=point)
    eventually(lambda: not dying.is_running(), f"death at {point}", READY_SECONDS)
    deployment.worker(f"after-{point}")


@pytest.fixture
def idle_deployment(open_deployment: OpenDeployment) -> Iterator[Deployment]:
    """A deployment in which no worker runs yet."""
    with open_deployment() as deployment:
        deployment.start_sandbox().beat()
        deployment.web()
        yield deployment


@pytest.mark.parametrize("method", COMPLETED_BY_US)
def test_a_worker_that_dies_before_the_page_exists_leaves_one_payment(idle_deployment: Deployment, method: str) -> None:
    accepted = idle_deployment.merchant.process(hosted_body(method))
    kill_one(idle_deployment, "charge.created")
    payment = idle_deployment.merchant.wait(accepted["id"], "requires_action", seconds=READY_SECONDS)
    idle_deployment.provider.visit(payment, "approve")
    idle_deployment.merchant.wait(payment["id"], "captured")
    idle_deployment.assert_charged_once(payment["id"])


@pytest.mark.parametrize(("method", "point"), [*((method, ANSWERED) for method in COMPLETED_BY_US), LAST_MOMENT])
def test_a_worker_that_dies_around_the_charge_charges_once(
    idle_deployment: Deployment, method: str, point: str
) -> None:
    first = idle_deployment.worker("first")
    payment = open_payment(idle_deployment, method)
    first.kill()
    idle_deployment.provider.visit(payment, "approve")
    kill_one(idle_deployment, point)
    idle_deployment.merchant.wait(payment["id"], "captured", seconds=READY_SECONDS)
    idle_deployment.assert_charged_once(payment["id"])


# --- money that does not match ---------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["pay_too_little", "pay_too_much", "pay_too_late"])
@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_an_operator_decides_on_money_that_does_not_match(deployment: Deployment, way: str, decision: str) -> None:
    payment = open_payment(deployment, "bitcoin")
    deployment.provider.visit(payment, way)
    held = deployment.merchant.wait(payment["id"], "amount_mismatch")
    assert held["failure_code"] in ("underpaid", "overpaid", "delayed")
    assert held["captured_amount"] == "0.00"
    deployment.operator.operate(payment["id"], "review", {"decision": decision})
    shown = deployment.merchant.wait(payment["id"], "captured" if decision == "approve" else "canceled")
    assert shown["captured_amount"] == (held["received_amount"] if decision == "approve" else "0.00")
    deployment.assert_books_agree(payment["id"])
    refused = deployment.operator.send("POST", f"/{payment['id']}/review", {"decision": decision})
    assert refused.status_code == 409


# --- one that is down -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two_ways(open_deployment: OpenDeployment) -> Iterator[Deployment]:
    """A deployment in which Klarna can be had from Klarna and through Stripe."""
    with open_deployment() as deployment:
        deployment.start_sandbox().worker()
        deployment.beat()
        deployment.web()
        yield deployment


def test_an_outage_reroutes_new_payments_and_keeps_the_doubtful_one(two_ways: Deployment) -> None:
    """New payments flow over the other provider, the doubtful one waits, and traffic returns by itself."""
    deployment = two_ways
    in_doubt = open_payment(deployment, "klarna")
    assert in_doubt["provider"] == "klarna"
    assert [choice["provider"] for choice in in_doubt["route"]] == ["klarna", "stripe"]

    deployment.provider.fault("klarna.*", "reset_before", times=None)
    deployment.provider.decide(in_doubt, "approve")
    rerouted = [deployment.merchant.process(hosted_body("klarna"))["id"] for _ in range(12)]
    for payment_id in rerouted:
        shown = deployment.merchant.wait(payment_id, "requires_action")
        assert shown["provider"] == "stripe"
        deployment.provider.visit(shown, "approve")
        deployment.merchant.wait(payment_id, "captured")
        deployment.assert_charged_once(payment_id)
    first = deployment.merchant.payment(rerouted[0])
    tried = [(attempt["provider"], attempt["status"]) for attempt in first["attempts"]]
    assert tried == [("klarna", "failed"), ("stripe", "succeeded")]
    assert deployment.events(rerouted[0]).count("charge_rerouted") == 1
    opened = deployment.rows("SELECT data FROM events WHERE name = 'breaker_opened'")
    assert {row["data"]["provider"] for row in opened} == {"klarna"}

    def is_barred() -> bool:
        late = deployment.merchant.payment(deployment.merchant.process(hosted_body("klarna"))["id"])
        return (late["provider"], late["route"][-1]["reason"]) == ("stripe", "preferred; fails now")

    # The way is barred for seconds only, after which the next payment probes it and has it barred again.
    eventually(is_barred, "a payment that does not even try Klarna")

    deployment.provider.behave()
    deployment.provider.advance(seconds=90)
    deployment.merchant.wait(in_doubt["id"], "captured", seconds=READY_SECONDS)
    deployment.assert_charged_once(in_doubt["id"])
    assert deployment.merchant.payment(in_doubt["id"])["provider"] == "klarna"

    def is_back() -> bool:
        found = deployment.merchant.wait(deployment.merchant.process(hosted_body("klarna"))["id"], "requires_action")
        return bool(found["provider"] == "klarna")

    eventually(is_back, "payments at Klarna again", READY_SECONDS)
