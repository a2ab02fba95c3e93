"""Races of payments whose customer acts at the provider, each in its exact order; found by a review."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from domain.outcome import AmountMismatch, Approved, CustomerApproved, InDoubt
from models import transition
from models.api_keys import Role, create_key
from models.provider_customers import save_customer
from models.session import transact
from models.task_messages import DUNNING, RECONCILE
from tests.integration.scene import POOR, Scene, order

pytestmark = pytest.mark.postgres
HOSTED = {"payment_method_token": None, "email": "ada@example.com"}


def serve(scene: Scene, provider: str) -> tuple[Any, Any]:
    """Let the scene have one more provider; return its bench and its gateway."""
    bench = importlib.import_module(f"tests.contract.benches.{provider}").ProviderBench(scene.sandbox)
    gateway = bench.gateway()
    scene.runtime.gateways[provider] = gateway
    return bench, gateway


def opened(scene: Scene, method: str, currency: str) -> str:
    """Return a payment that waits for its customer."""
    payment_id = scene.pay(payment_method=method, currency=currency, **HOSTED)
    scene.rest()
    assert scene.state(payment_id) == "requires_action"
    return payment_id


def reference(scene: Scene, payment_id: str) -> str:
    return str(scene.attempts(payment_id)[0].provider_reference)


def come_back(scene: Scene, payment_id: str) -> None:
    """Be the customer on his way back."""
    scene.call("GET", f"/returns/{scene.attempts(payment_id)[0].id}", {})


def review(scene: Scene, payment_id: str, decision: str) -> int:
    """Decide as an operator; return the status of the answer."""
    if "operator" not in scene.keys:
        now = scene.now()
        scene.keys["operator"] = transact(
            scene.engine, lambda connection: create_key(connection, Role.OPERATOR, "operator", "test", now)
        )
    path = f"/{payment_id}/review"
    return scene.call("POST", path, {"decision": decision}, "operator").status_code


# --- a charge that may still be running -----------------------------------------------------------------


def test_nobody_cancels_a_charge_that_may_still_be_running(scene: Scene) -> None:
    bench, gateway = serve(scene, "afterpay")
    payment_id = opened(scene, "afterpay", bench.currency)
    bench.let_customer_act(reference(scene, payment_id), is_good=True)
    charge, late = gateway.charge, []

    def timed_out(order: Any, save_reference: Any) -> Any:
        late.append(order)
        return InDoubt("no_answer", order.reference)

    gateway.charge = timed_out
    come_back(scene, payment_id)
    scene.rest()
    assert scene.state(payment_id) == "in_doubt"
    scene.move_clock(seconds=4)
    scene.sweep()
    scene.work()  # the look: nothing is to be seen yet
    assert scene.state(payment_id) == "processing"
    assert scene.call("POST", f"/{payment_id}/cancel", {}).status_code == 409

    gateway.charge = charge
    assert isinstance(charge(late[0], lambda _: None), Approved)  # the first call ends
    scene.rest()
    scene.pass_time(minutes=10)
    assert (scene.state(payment_id), scene.moved()) == ("captured", [("charge", 1230)])


def test_looks_that_follow_one_another_do_not_throw_each_other_away(scene: Scene) -> None:
    bench, gateway = serve(scene, "paypal")
    payment_id = opened(scene, "paypal", bench.currency)
    retrieve, looks = gateway.retrieve, []

    def impatient(order: Any) -> Any:
        looks.append(order)
        for _ in range(3 if len(looks) == 1 else 0):
            come_back(scene, payment_id)
            scene.work()
        return retrieve(order)

    gateway.retrieve = impatient
    come_back(scene, payment_id)
    scene.rest()
    assert len(looks) == 1
    assert scene.attempts(payment_id)[0].lookups == 1


# --- money that does not match --------------------------------------------------------------------------


def held(scene: Scene, way: str = "pay_too_little") -> tuple[str, Any]:
    """Return a payment that waits for an operator, and its gateway."""
    bench, gateway = serve(scene, "coinbase_commerce")
    payment_id = opened(scene, "bitcoin", bench.currency)
    bench.decide(reference(scene, payment_id), way)
    bench.let_bank_decide(reference(scene, payment_id), is_good=True)
    come_back(scene, payment_id)
    scene.rest()
    assert scene.state(payment_id) == "amount_mismatch"
    return payment_id, gateway


def test_an_application_does_not_decide_on_money_that_does_not_match(scene: Scene) -> None:
    payment_id, gateway = held(scene)
    capture, responses = gateway.capture, []

    def meanwhile(order: Any) -> Any:
        responses.append(scene.call("POST", f"/{payment_id}/cancel", {}).status_code)
        return capture(order)

    gateway.capture = meanwhile
    assert review(scene, payment_id, "approve") == 202
    scene.rest()
    assert responses == [409]
    payment = scene.payment(payment_id)
    assert (payment.state, payment.captured) == ("captured", payment.authorized)
    assert scene.moved() == [("charge", payment.captured)]


def test_what_is_accepted_is_what_has_come_by_then(scene: Scene) -> None:
    payment_id, gateway = held(scene)
    gateway.capture = lambda order: Approved(order.charge_reference, authorized=1000, captured=1000)
    assert review(scene, payment_id, "approve") == 202
    scene.rest()
    payment = scene.payment(payment_id)
    assert (payment.state, payment.captured, payment.authorized) == ("captured", 1000, 1000)


def test_nothing_is_decided_before_anything_is_confirmed(scene: Scene) -> None:
    bench, gateway = serve(scene, "coinbase_commerce")
    payment_id = opened(scene, "bitcoin", bench.currency)
    gateway.retrieve = lambda order: AmountMismatch(order.reference, 0, "delayed")
    come_back(scene, payment_id)
    scene.rest()
    assert scene.state(payment_id) == "amount_mismatch"
    assert [review(scene, payment_id, decision) for decision in ("approve", "reject")] == [409, 409]
    gateway.retrieve = lambda order: AmountMismatch(order.reference, 700, "underpaid")
    assert scene.call("POST", f"/{payment_id}/cancel", {}).status_code == 409


def test_money_that_came_after_the_end_can_still_be_accepted(scene: Scene) -> None:
    bench, gateway = serve(scene, "coinbase_commerce")
    payment_id = opened(scene, "bitcoin", bench.currency)
    scene.post(f"/{payment_id}/cancel")
    scene.rest()
    assert scene.state(payment_id) == "canceled"
    charge = scene.attempts(payment_id)[0]
    late = AmountMismatch(charge.provider_reference, 1230, "delayed")
    tell(scene, charge.id, late)
    assert (scene.state(payment_id), scene.payment(payment_id).received) == ("canceled", 1230)
    assert scene.event_names(payment_id)[-1] == "payment_unresolved"
    assert review(scene, payment_id, "reject") == 409
    gateway.capture = lambda order: Approved(order.charge_reference, authorized=1230, captured=1230)
    assert review(scene, payment_id, "approve") == 202
    scene.rest()
    assert (scene.state(payment_id), scene.payment(payment_id).captured) == ("captured", 1230)


def test_a_second_payment_into_one_charge_is_told_once(scene: Scene) -> None:
    payment_id, _ = held(scene)
    review(scene, payment_id, "approve")
    scene.rest()
    charge = scene.attempts(payment_id)[0]
    for _ in range(3):
        tell(scene, charge.id, AmountMismatch(charge.provider_reference, 9000, "multiple"))
    assert scene.event_names(payment_id).count("charge_duplicated") == 1
    assert scene.state(payment_id) == "captured"


def tell(scene: Scene, attempt_id: str, outcome: Any) -> None:
    """Apply what a webhook's look-up has found."""
    scene.runtime.change("test", transition.apply, attempt_id, outcome)


# --- the rest -------------------------------------------------------------------------------------------


def test_a_retry_waits_for_what_is_being_let_go(scene: Scene) -> None:
    payment_id = scene.subscribe("inv", POOR)
    first = scene.attempts(payment_id)[0]
    tell(scene, first.id, CustomerApproved(first.provider_reference))
    assert [(row.verb, row.status) for row in scene.attempts(payment_id)] == [("charge", "canceled"), ("void", "due")]
    assert scene.attempts(payment_id)[1].provider_reference == first.provider_reference
    scene.move_clock(days=3)
    scene.run(DUNNING, payment_id)  # no unique index is violated
    assert len(scene.attempts(payment_id)) == 2


def test_another_users_customer_is_not_charged(scene: Scene) -> None:
    now = scene.now()
    transact(
        scene.engine,
        lambda connection: save_customer(connection, "other", "somebody", "stripe", "cus_theirs", now),
    )
    refused = scene.call("POST", "/process", order("inv", "pm_card_visa") | {"customer_token": "cus_theirs"})
    assert (refused.status_code, refused.json["type"]) == (404, "not_found")


def test_a_look_at_a_provider_that_was_switched_off_waits(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    bench, gateway = serve(scene, "paypal")
    payment_id = opened(scene, "paypal", bench.currency)
    del scene.runtime.gateways["paypal"]
    scene.pass_time(minutes=2)
    scene.run(RECONCILE, scene.attempts(payment_id)[0].id)
    assert "not configured" in caplog.text
    scene.runtime.gateways["paypal"] = gateway
    bench.let_customer_act(reference(scene, payment_id), is_good=True)
    scene.pass_time(minutes=2)
    assert scene.state(payment_id) == "captured"
