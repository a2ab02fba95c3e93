"""Stripe's idempotency keys in the sandbox, also under injected faults."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import stripe

from tests.sandbox.stripe_client import CARD, DAY, Bench


def test_a_replay_gets_the_first_response_and_executes_nothing(bench: Bench) -> None:
    params = {"amount": 1000, "currency": "usd", **CARD, "payment_method": "pm_card_visa", "confirm": True}
    first = bench.client.v1.payment_intents.create(params, {"idempotency_key": "replay-1"})
    second = bench.client.v1.payment_intents.create(params, {"idempotency_key": "replay-1"})
    assert second.to_dict() == first.to_dict()
    assert "Idempotent-Replayed" not in first.last_response.headers
    assert second.last_response.headers["Idempotent-Replayed"] == "true"
    assert second.last_response.headers["Original-Request"] == first.last_response.request_id
    assert second.last_response.request_id != first.last_response.request_id
    assert bench.movements(first.id) == [("charge", 1000)]


def test_a_decline_is_replayed_too(bench: Bench) -> None:
    intent = bench.create()
    ids = []
    for _ in range(2):
        with pytest.raises(stripe.CardError) as refusal:
            bench.client.v1.payment_intents.confirm(
                intent.id, {"payment_method": "pm_card_chargeDeclined"}, {"idempotency_key": f"d-{intent.id}"}
            )
        ids.append(refusal.value.error.charge)
    assert ids[0] == ids[1]
    assert bench.attempts(intent.id) == ["generic_decline"]


def test_a_key_is_bound_to_its_parameters_and_endpoint(bench: Bench) -> None:
    options = {"idempotency_key": "bound-1"}
    params = {"amount": 1000, "currency": "usd", **CARD}
    bench.client.v1.payment_intents.create(params, options)
    for other in (
        lambda: bench.client.v1.payment_intents.create({**params, "amount": 1001}, options),
        lambda: bench.client.v1.customers.create({}, options),
    ):
        with pytest.raises(stripe.IdempotencyError) as refusal:
            other()
        error = refusal.value
        assert (error.http_status, error.error.type, error.code) == (400, "idempotency_error", None)


def test_a_refused_validation_is_not_kept(bench: Bench) -> None:
    options = {"idempotency_key": "validation-1"}
    with pytest.raises(stripe.InvalidRequestError):
        bench.client.v1.payment_intents.create({"amount": 1, "currency": "usd"}, options)
    assert bench.client.v1.payment_intents.create({"amount": 100, "currency": "usd"}, options).amount == 100


def test_two_simultaneous_requests_with_one_key_conflict(bench: Bench) -> None:
    intent = bench.create()
    bench.control(
        "POST",
        "faults",
        {"operation": "payment_intents.confirm", "fault": "latency", "seconds": 1.0, "times": 1},
    )

    def confirm(_: int) -> str:
        try:
            return (
                bench.another_client()
                .v1.payment_intents.confirm(
                    intent.id, {"payment_method": "pm_card_visa"}, {"idempotency_key": f"twin-{intent.id}"}
                )
                .status
            )
        except stripe.APIError as conflict:
            return f"{conflict.http_status} {conflict.error.code}"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(confirm, range(2))) == ["409 idempotency_key_in_use", "succeeded"]
    assert bench.book(intent.id)["charges"] == 1


def test_keys_are_forgotten_after_a_day(own: Bench) -> None:
    params, options = {"amount": 1000, "currency": "usd"}, {"idempotency_key": "day-1"}
    first = own.client.v1.payment_intents.create(params, options)
    own.control("POST", "clock", {"advance_seconds": DAY - 60})
    assert own.client.v1.payment_intents.create(params, options).id == first.id
    own.control("POST", "clock", {"advance_seconds": 61})
    assert own.client.v1.payment_intents.create(params, options).id != first.id


def order_fault(bench: Bench, fault: str, **how: Any) -> None:
    bench.control("POST", "faults", {"operation": "payment_intents.confirm", "fault": fault, **how})


def confirm_once(bench: Bench, intent: str, key: str = "fault") -> stripe.PaymentIntent:
    return bench.another_client().v1.payment_intents.confirm(
        intent, {"payment_method": "pm_card_visa"}, {"idempotency_key": f"{key}-{intent}"}
    )


@pytest.mark.parametrize("fault", ["timeout_after", "reset_after"])
def test_a_call_whose_response_is_lost_is_executed_once_and_can_be_repeated(bench: Bench, fault: str) -> None:
    intent = bench.create()
    order_fault(bench, fault, seconds=0.1)
    with pytest.raises(stripe.APIConnectionError):
        confirm_once(bench, intent.id)
    assert bench.retrieve(intent.id).status == "succeeded"
    again = confirm_once(bench, intent.id)
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert bench.movements(intent.id) == [("charge", 1000)]


def test_a_stored_500_is_final_for_its_key(bench: Bench) -> None:
    intent = bench.create()
    order_fault(bench, "error_after")
    for _ in range(2):
        with pytest.raises(stripe.APIError) as failure:
            confirm_once(bench, intent.id)
        assert failure.value.http_status == 500
    assert failure.value.headers["Idempotent-Replayed"] == "true"
    assert bench.retrieve(intent.id).status == "succeeded"
    assert bench.movements(intent.id) == [("charge", 1000)]


def test_a_stored_500_can_hide_that_nothing_was_executed(bench: Bench) -> None:
    intent = bench.create()
    order_fault(bench, "error_stored")
    for _ in range(2):
        with pytest.raises(stripe.APIError) as failure:
            confirm_once(bench, intent.id)
    assert failure.value.headers["Idempotent-Replayed"] == "true"
    assert bench.retrieve(intent.id).status == "requires_payment_method"
    assert confirm_once(bench, intent.id, key="another").status == "succeeded"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("error_before", stripe.APIError),
        ("reset_before", stripe.APIConnectionError),
        ("rate_limit", stripe.RateLimitError),
    ],
)
def test_what_was_not_executed_is_not_kept(bench: Bench, fault: str, error: type[Exception]) -> None:
    intent = bench.create()
    order_fault(bench, fault)
    with pytest.raises(error):
        confirm_once(bench, intent.id)
    assert bench.retrieve(intent.id).status == "requires_payment_method"
    assert confirm_once(bench, intent.id).status == "succeeded"


def test_faults_are_counted_listed_and_cleared(bench: Bench) -> None:
    order_fault(bench, "error_before", times=None)
    order_fault(bench, "error_before", times=2, rate=0.0)
    intent = bench.create()
    for _ in range(3):
        with pytest.raises(stripe.APIError):
            confirm_once(bench, intent.id)
    assert [fault["hits"] for fault in bench.control("GET", "faults")["faults"]] == [3, 0]
    bench.control("DELETE", "faults")
    assert confirm_once(bench, intent.id).status == "succeeded"
