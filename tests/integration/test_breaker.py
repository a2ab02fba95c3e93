"""A provider that fails again and again is left alone for a while, and gets its traffic back by itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.breaker import BreakerPolicy
from domain.fraud import FraudDecision
from domain.outcome import Outcome
from gateways.base import AttemptRequest, SaveReference
from models.tables import attention, breakers, events, fraud_assessments, payments
from stack.process import free_port
from tests.system import AMOUNT, INSUFFICIENT_FUNDS, System, stripe_gateway

pytestmark = pytest.mark.postgres
BREAKER = BreakerPolicy(failures=3)
CREATE = "payment_intents.create"


@pytest.fixture(autouse=True)
def opens_soon(system: System) -> None:
    """Let three failures in a row open a breaker."""
    system.runtime = replace(system.runtime, policy=replace(system.runtime.policy, breaker=BREAKER))


def test_enough_failures_in_a_row_open_the_breaker(system: System) -> None:
    hits = _fail_payments(system, 4)
    assert hits == 3  # the fourth was not sent
    assert [system.attempts(payment.id)[0].retries for payment in _payments(system)] == [1, 1, 1, 0]
    assert _breaker_events(system) == ["breaker_opened"]


def test_an_open_breaker_lets_one_probe_pass_and_closes_when_it_succeeds(system: System) -> None:
    _fail_payments(system, 3)
    system.provider.heal()
    system.move_clock(seconds=BREAKER.reset_after.total_seconds())
    first, second, third = (payment.id for payment in _payments(system))
    inside: list[str] = []

    def charge_the_second() -> None:
        system.run("payments.charge", system.attempts(second)[0].id)
        inside.append(system.state(second))

    system.during_next("charge", charge_the_second)
    system.run("payments.charge", system.attempts(first)[0].id)
    assert (system.state(first), inside) == ("captured", ["accepted"])  # barred while the probe was out
    assert _breaker_events(system) == ["breaker_opened", "breaker_closed"]

    system.run("payments.charge", system.attempts(third)[0].id)
    assert system.state(third) == "captured"
    system.advance(minutes=5)
    assert system.provider.movements() == [("charge", AMOUNT)] * 3


def test_a_failed_probe_opens_it_again(system: System) -> None:
    _fail_payments(system, 3)
    system.move_clock(seconds=BREAKER.reset_after.total_seconds())
    hits, probed_at = system.provider.fault_hits(), system.now()
    for payment in _payments(system):
        system.run("payments.charge", system.attempts(payment.id)[0].id)
    assert system.provider.fault_hits() == hits + 1
    assert system.rows(breakers)[0].opened_at >= probed_at
    assert _breaker_events(system) == ["breaker_opened"]


def test_a_probe_that_never_returns_blocks_others_only_for_a_while(system: System) -> None:
    _fail_payments(system, 3)
    system.provider.heal()
    system.move_clock(seconds=BREAKER.reset_after.total_seconds())

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    charge, system.gateway.charge = system.gateway.charge, die
    first, second, _third = (system.attempts(payment.id)[0].id for payment in _payments(system))
    with pytest.raises(KeyboardInterrupt):
        system.run("payments.charge", first)
    system.gateway.charge = charge
    system.run("payments.charge", second)
    assert system.provider.movements() == []
    system.advance(seconds=BREAKER.probe_lasts.total_seconds())
    system.advance(minutes=5)
    assert system.provider.movements() == [("charge", AMOUNT)] * 3


def test_an_outage_of_half_an_hour_fails_no_payment(system: System) -> None:
    _fail_payments(system, 12)
    for _ in range(6 * 30):
        system.advance(seconds=10)
    attempts = [system.attempts(payment.id)[0] for payment in _payments(system)]
    assert ({attempt.status for attempt in attempts}, sum(attempt.retries for attempt in attempts)) == ({"due"}, 3)

    system.provider.heal()
    for _ in range(12):
        system.advance(seconds=10)
    assert system.provider.movements() == [("charge", AMOUNT)] * 12


def test_a_charge_waits_for_a_provider_no_longer_than_an_hour(system: System) -> None:
    _fail_payments(system, 4)
    for _ in range(70):
        system.advance(minutes=1)
    assert {payment.state for payment in _payments(system)} == {"failed"}
    system.provider.heal()
    system.advance(hours=1)
    assert system.provider.movements() == []


def test_a_charge_that_waited_in_an_outage_is_verified_all_the_same(system: System) -> None:
    _fail_payments(system, 3)
    verified: list[bool] = []
    charge = system.gateway.charge

    def watched(attempt: AttemptRequest, save_reference: SaveReference) -> Outcome:
        verified.append(attempt.wants_authentication)
        return charge(attempt, save_reference)

    system.gateway.charge = watched  # type: ignore[method-assign]
    payment_id = system.pay("large", amount="1500.00", user_id="other")
    system.run_until_idle()
    assert (system.state(payment_id), verified) == ("accepted", [])
    [assessment] = system.rows(fraud_assessments, fraud_assessments.c.payment_id == payment_id)
    assert assessment.decision == FraudDecision.VERIFY

    system.provider.heal()
    for _ in range(12):
        system.advance(seconds=10)
    assert verified.count(True) == 1
    assert system.state(payment_id) == "captured"


@pytest.mark.parametrize("call", [CREATE, "payment_intents.confirm"])
@pytest.mark.parametrize("charge", ["first", "retry"])
def test_a_charge_that_waits_unsent_is_not_sent_once_its_invoice_is_paid(
    system: System, charge: str, call: str
) -> None:
    is_retry = charge == "retry"
    dunned = system.provider.scripted_card("insufficient_funds", "success")
    waiting = system.subscribe("inv", dunned) if is_retry else ""
    other = system.pay("inv", INSUFFICIENT_FUNDS)
    system.run_until_idle()
    system.provider.fail(call, "rate_limit", times=None)
    if is_retry:
        system.advance(days=3, minutes=1)
    else:
        waiting = system.pay("inv")
        system.run_until_idle()
    assert (system.state(waiting), system.state(other)) == ("accepted", "declined")

    system.provider.heal()
    first = system.reference(other)
    system.provider.call("POST", f"/v1/payment_intents/{first}/confirm", {"payment_method": "pm_card_visa"})
    system.deliver_and_run(system.provider.event("payment_intent.succeeded", first))
    assert system.state(other) == "captured"
    for _ in range(12):
        system.advance(seconds=10)
    system.advance(hours=1)
    assert system.state(waiting) == ("failed" if not is_retry and call != CREATE else "canceled")
    assert system.get("/invoices/inv").json["collected_amount"] == "12.30"
    assert system.provider.movements() == [("charge", AMOUNT)]
    assert not is_retry or system.subscription_status() == "active"


@pytest.mark.parametrize("operation", ["capture", "cancel", "refunds"])
def test_an_operation_that_waits_in_a_long_outage_is_shown_to_a_person(system: System, operation: str) -> None:
    payment_id = system.pay(capture=operation == "refunds")
    system.run_until_idle()
    system.runtime.gateways["stripe"] = stripe_gateway(f"http://127.0.0.1:{free_port()}")
    system.request(f"/{payment_id}/{operation}", Idempotency_Key="once")
    for _ in range(55):
        system.advance(minutes=1)
    assert system.rows(attention) == []
    for _ in range(20):
        system.advance(minutes=1)
    entries = system.rows(attention)
    assert [(row.reason, row.amount, row.closed_at) for row in entries] == [("operation_unsent", AMOUNT, None)]
    [entry] = entries
    assert _resolve(system, entry.id, "close") == 409

    system.runtime.gateways["stripe"] = system.gateway
    assert _resolve(system, entry.id, "look_again") == 202
    system.advance(minutes=2)
    assert system.attempts(payment_id)[-1].status == "succeeded"
    [entry] = system.rows(attention)
    assert entry.closed_at is not None


def _resolve(system: System, entry_id: str, action: str) -> int:
    body = {"action": action, "note": "asked the provider"}
    path = f"/admin/attention/{entry_id}/resolve"
    return system.post(path, body, caller="operator", Idempotency_Key=action).status_code


def test_a_success_resets_the_count_of_failures(system: System) -> None:
    _fail_payments(system, 2)
    system.provider.heal()
    system.pay("well")
    system.run_until_idle()
    assert _fail_payments(system, 2, "more") == 2
    assert _breaker_events(system) == []


@pytest.mark.parametrize("card", ["pm_card_visa_chargeDeclinedInsufficientFunds", "pm_none"])
def test_declines_and_requests_at_fault_are_no_failures_of_the_provider(system: System, card: str) -> None:
    for number in range(4):
        system.pay(f"inv{number}", card)
    system.run_until_idle()
    assert system.rows(breakers) == []


def _fail_payments(system: System, times: int, invoice: str = "inv") -> int:
    """Request so many payments while the provider responds with 500; return how many calls reached it."""
    system.provider.fail(CREATE, "error_before", times=None)
    for number in range(times):
        system.pay(f"{invoice}{number}")
    system.run_until_idle()
    return system.provider.fault_hits()


def _payments(system: System) -> list[object]:
    return system.rows(payments)


def _breaker_events(system: System) -> list[str]:
    return [row.name for row in system.rows(events) if row.name.startswith("breaker_")]
