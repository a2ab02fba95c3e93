"""A failure that the provider stores under the idempotency key of its call ends nothing: the next key succeeds.

Stripe stores a 500 and repeats it for a day (docs.stripe.com/error-low-level, read 2026-11-28)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.breaker import BreakerPolicy
from domain.idempotency_key import KeyState
from models.tables import events
from tests.contract.bench import PAYER
from tests.provider import sent_keys
from tests.system import AMOUNT, System

pytestmark = pytest.mark.postgres

HOSTED = {"payment_method_token": None} | PAYER
# Stripe: the request, the call that fails, its address, what it moves.
STRIPE = {
    "charge": ("", "payment_intents.confirm", "/confirm", ["charge"]),
    "subscription": ("", "payment_intents.confirm", "/confirm", ["charge"]),
    "capture": ("/capture", "payment_intents.capture", "/capture", ["authorization", "capture"]),
    "cancel": ("/cancel", "payment_intents.cancel", "/cancel", ["authorization", "void"]),
    "refunds": ("/refunds", "refunds.create", "/v1/refunds", ["charge", "refund"]),
}
# The others: the method, and the calls that have an idempotency key.
KEYED = [
    ("klarna", "klarna", "charge"),
    ("klarna", "klarna", "refund"),
    ("klarna", "klarna", "void"),
    ("klarna", "klarna", "capture"),
    ("afterpay", "afterpay", "refund"),
    ("afterpay", "afterpay", "void"),
    ("afterpay", "afterpay", "capture"),
    ("coinbase", "cryptocurrency", "create"),
    ("coinbase", "cryptocurrency", "refund"),
    ("paypal", "paypal", "create"),
    ("paypal", "paypal", "charge"),
    ("paypal", "paypal", "refund"),
    ("paypal", "paypal", "void"),
    ("paypal", "paypal", "capture"),
    ("afterpay", "afterpay", "charge"),
]


def wait(system: System, minutes: int) -> None:
    """Let sweeps and workers do what becomes due in this time."""
    for _ in range(minutes * 6):
        system.advance(seconds=10)


@pytest.mark.parametrize("request_of", STRIPE)
def test_stripe_gets_a_new_key_once_nothing_can_come_of_the_old_one(
    system: System, request_of: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, operation, address, movements = STRIPE[request_of]
    keys = sent_keys(monkeypatch, address)
    if not path:
        system.provider.fail(operation, "error_stored")
    subscription = {"subscription_id": "sub"} if request_of == "subscription" else {}
    payment_id = system.pay(capture=request_of in ("charge", "subscription", "refunds"), **subscription)
    system.run_until_idle()
    if path:
        system.provider.fail(operation, "error_stored")
        system.request(f"/{payment_id}{path}", Idempotency_Key="once")
    wait(system, 9)

    attempt = system.attempts(payment_id)[-1]
    assert (attempt.status, attempt.due_at, attempt.key_number) == ("succeeded", None, 1)
    assert [kind for kind, _ in system.provider.movements()] == movements
    # The first call, the repeat that brings the stored failure, and the call under the new key.
    assert keys == [keys[0], keys[0], f"{keys[0]}-1"]
    assert not subscription or system.subscription_status() == "active"


def test_a_stored_failure_is_no_failure_of_the_provider_now(system: System) -> None:
    policy = replace(system.runtime.policy, breaker=BreakerPolicy(failures=2))
    system.runtime = replace(system.runtime, policy=policy)
    system.provider.fail("payment_intents.confirm", "error_stored")
    payment_id = system.pay()
    system.run_until_idle()
    wait(system, 2)
    assert system.state(payment_id) == "captured"
    assert [row.name for row in system.rows(events) if row.name.startswith("breaker")] == []


@pytest.mark.parametrize(("provider", "method", "call"), KEYED)
def test_every_provider_gets_a_new_key_after_failures_that_outlast_every_call(
    system: System, provider: str, method: str, call: str
) -> None:
    bench, _ = system.add_provider(provider)
    operation = bench.calls[call]
    is_held = call in ("capture", "void")
    if call == "create":
        system.provider.fail(operation, "error_stored")
    payment_id = system.pay(payment_method=method, currency=bench.currency, capture=not is_held, **HOSTED)
    wait(system, 1)
    if call == "charge":
        system.provider.fail(operation, "error_stored")
    reference = system.reference(payment_id)
    bench.let_customer_act(reference, is_good=True)
    if provider == "coinbase":
        bench.let_bank_decide(reference, is_good=True)
    system.call("GET", f"/returns/{system.attempts(payment_id)[0].id}", {})
    wait(system, 1)
    if call in ("capture", "void", "refund"):
        system.provider.fail(operation, "error_stored")
        path = {"capture": "capture", "void": "cancel", "refund": "refunds"}[call]
        system.request(f"/{payment_id}/{path}", Idempotency_Key="once")
    wait(system, 20)
    if (provider, call) == ("coinbase", "refund"):
        bench.let_bank_decide(str(system.attempts(payment_id)[-1].provider_reference), is_good=True)
        system.advance(hours=1)

    state = {"void": "voided", "refund": "refunded"}.get(call, "captured")
    assert (system.state(payment_id), system.attempts(payment_id)[-1].status) == (state, "succeeded")
    moved = [kind for kind, amount in system.provider.movements() if kind in ("charge", "capture", "refund")]
    assert len(moved) == {"void": 0, "refund": 2}.get(call, 1)


def test_a_call_without_a_response_keeps_its_key(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = sent_keys(monkeypatch, "/confirm")
    system.provider.fail("payment_intents.confirm", "reset_before", times=3)
    payment_id = system.pay()
    wait(system, 3)
    assert system.state(payment_id) == "captured"
    assert len(keys) == 4
    assert len(set(keys)) == 1


def test_a_failed_refund_waits_until_its_look_ups_outlast_every_call(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No state of a charge keeps a partial refund from being made twice, so the look-ups have to prove more."""
    payment_id = system.pay()
    system.run_until_idle()
    keys = sent_keys(monkeypatch, "/v1/refunds")
    system.provider.fail("refunds.create", "error_stored")
    system.request(f"/{payment_id}/refunds", {"amount": "5.00"}, Idempotency_Key="once")
    wait(system, 1)
    refund = system.attempts(payment_id)[-1]
    assert (refund.status, refund.key_state, len(keys)) == ("in_doubt", KeyState.STORED, 2)
    wait(system, 8)
    assert system.attempts(payment_id)[-1].status == "succeeded"
    assert system.provider.movements() == [("charge", AMOUNT), ("refund", 500)]
