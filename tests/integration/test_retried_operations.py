"""Captures, voids and refunds: a call that is lost is sent again as the same call, and amounts are exact."""

from __future__ import annotations

import pytest

from domain.outcome import NotSent
from models.task_messages import CAPTURE_VOID_REFUND
from tests.provider import sent_keys
from tests.system import AMOUNT, System

pytestmark = pytest.mark.postgres

# The request; the provider's address and operation, the ending of its idempotency key, what it moves.
OPERATIONS = {
    "capture": ("/capture", "payment_intents.capture", "-capture", ["authorization", "capture"]),
    "cancel": ("/cancel", "payment_intents.cancel", "-cancel", ["authorization", "void"]),
    "refunds": ("/v1/refunds", "refunds.create", "", ["charge", "refund"]),
}


@pytest.mark.parametrize("fault", ["reset_before", "reset_after", "error_after", "rate_limit"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_retried_call_carries_the_key_of_its_attempt(
    system: System, operation: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, name, ending, movements = OPERATIONS[operation]
    payment_id = system.pay(capture=operation == "refunds")
    system.run_until_idle()
    keys = sent_keys(monkeypatch, address)
    system.provider.fail(name, fault, times=2)
    system.request(f"/{payment_id}/{operation}", Idempotency_Key="once")
    system.run_until_idle()
    for _ in range(8):
        system.advance(minutes=1)

    [attempt] = [row for row in system.attempts(payment_id) if row.number == 2]
    assert (attempt.status, attempt.due_at) == ("succeeded", None)
    assert set(keys) == {attempt.id + ending}
    assert len(keys) >= (1 if fault.endswith("after") else 2)
    assert [kind for kind, _ in system.provider.movements()] == movements


def test_an_operation_that_has_ended_is_not_sent_again(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    payment_id = system.pay()
    system.run_until_idle()
    keys = sent_keys(monkeypatch, "/v1/refunds")
    system.request(f"/{payment_id}/refunds", Idempotency_Key="once")
    system.run_until_idle()
    refund = system.attempts(payment_id)[-1]
    for _ in range(2):
        system.run(CAPTURE_VOID_REFUND, refund.id)
    assert keys == [refund.id]


# Amounts of a payment: authorized, captured, refunded, left; and the first three in minor units.
CURRENCIES = {
    "JPY": ("500", "400", "150", "250", (500, 400, 150)),
    "EUR": ("12.30", "4.05", "1.01", "3.04", (1230, 405, 101)),
    "KWD": ("12.340", "10.050", "0.120", "9.930", (12340, 10050, 120)),
}


@pytest.mark.parametrize("currency", CURRENCIES)
def test_parts_are_captured_and_refunded_exactly(system: System, currency: str) -> None:
    whole, captured, refunded, left, minor = CURRENCIES[currency]
    payment_id = system.pay(capture=False, amount=whole, currency=currency)
    system.run_until_idle()
    system.request(f"/{payment_id}/capture", {"amount": captured})
    system.run_until_idle()
    system.request(f"/{payment_id}/refunds", {"amount": refunded}, Idempotency_Key="part")
    system.run_until_idle()
    moved = dict(system.provider.movements())
    assert (moved["authorization"], moved["capture"], moved["refund"]) == minor
    shown = system.get(f"/{payment_id}").json
    assert (shown["authorized_amount"], shown["captured_amount"]) == (whole, captured)
    assert (shown["status"], shown["refunded_amount"]) == ("partially_refunded", refunded)

    too_much = system.post(f"/{payment_id}/refunds", {"amount": captured}, Idempotency_Key="more")
    assert too_much.status_code == 422
    assert f"{left} {currency}" in too_much.json["detail"]
    system.request(f"/{payment_id}/refunds", Idempotency_Key="rest")
    system.run_until_idle()
    assert system.state(payment_id) == "refunded"


def test_refunds_that_are_pending_at_the_bank_count_as_given(system: System) -> None:
    payment_id = system.pay(card="pm_card_pendingRefund")
    system.run_until_idle()
    system.request(f"/{payment_id}/refunds", {"amount": "8.00"}, Idempotency_Key="first")
    system.run_until_idle()
    assert [(row.status, row.amount) for row in system.attempts(payment_id)[1:]] == [("pending", 800)]

    too_much = system.post(f"/{payment_id}/refunds", {"amount": "4.31"}, Idempotency_Key="second")
    assert too_much.status_code == 422
    assert "4.30 EUR" in too_much.json["detail"]
    system.request(f"/{payment_id}/refunds", Idempotency_Key="third")
    system.run_until_idle()
    assert sum(row.amount for row in system.attempts(payment_id)[1:]) == 1230
    nothing = system.post(f"/{payment_id}/refunds", Idempotency_Key="fourth")
    assert nothing.status_code == 422


def test_a_confirm_that_comes_after_its_retry_was_refused_charges_nothing(system: System) -> None:
    system.provider.fail("payment_intents.confirm", "reset_before")
    payment_id = system.pay()
    system.run_until_idle()
    charge = system.gateway.charge
    system.gateway.charge = lambda attempt, _: NotSent("resource_missing", False, attempt.reference)
    system.advance(seconds=2)
    system.advance(seconds=10)
    system.gateway.charge = charge
    assert [(row.verb, row.status) for row in system.attempts(payment_id)] == [
        ("charge", "failed"),
        ("void", "succeeded"),
    ]
    assert (system.state(payment_id), system.provider.intent_status(payment_id)) == ("failed", "canceled")

    system.pay()
    system.run_until_idle()
    assert system.provider.movements() == [("charge", AMOUNT)]
