"""Stripe's bank debits in the sandbox: SEPA and ACH, which finish days later."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from sandbox.server import RunningSandbox
from sandbox.state import Settings
from tests.sandbox.receiver import wait_until
from tests.sandbox.stripe_client import DAY, ONLINE_MANDATE, Bench


def debit(bench: Bench, iban: str = "AT611904300234573201", **params: Any) -> stripe.PaymentIntent:
    data = {
        "type": "sepa_debit",
        "sepa_debit": {"iban": iban},
        "billing_details": {"name": "A", "email": "a@example.com"},
    }
    given = {"mandate_data": ONLINE_MANDATE, **params}
    return bench.create(
        currency="eur",
        allowed_payment_method_types=["sepa_debit"],
        payment_method_data=data,
        confirm=True,
        **given,
    )


@pytest.mark.parametrize(
    ("iban", "status", "movements"),
    [
        ("AT611904300234573201", "succeeded", [("charge", 1000)]),
        ("AT861904300235473202", "requires_payment_method", []),
    ],
)
def test_a_sepa_debit_finishes_by_the_sandbox_clock(
    own: Bench, iban: str, status: str, movements: list[tuple[str, int]]
) -> None:
    intent = debit(own, iban)
    assert (intent.status, own.retrieve(intent.id).latest_charge.status) == ("processing", "pending")
    assert own.movements(intent.id) == []
    own.control("POST", "clock", {"advance_seconds": 3 * DAY - 60})
    assert own.retrieve(intent.id).status == "processing"
    own.control("POST", "clock", {"advance_seconds": 61})
    assert own.retrieve(intent.id).status == status
    assert own.movements(intent.id) == movements
    assert "payment_intent.processing" in own.events(intent.id)


@pytest.mark.parametrize(("result", "status"), [("success", "succeeded"), ("failure", "requires_payment_method")])
def test_a_debit_is_finished_by_the_control_route_and_only_once(own: Bench, result: str, status: str) -> None:
    intent = debit(own)
    assert own.control("POST", f"intents/{intent.id}/settle", {"result": result})["status"] == status
    own.control("POST", "clock", {"advance_seconds": 10 * DAY})
    assert own.retrieve(intent.id).status == status
    assert own.book(intent.id)["charges"] == (1 if result == "success" else 0)


def test_debits_finish_in_real_time_if_the_setting_says_so() -> None:
    with RunningSandbox(Settings(async_settle_seconds=0.05)) as running:
        bench = Bench(running)
        intent = debit(bench)
        wait_until(lambda: bench.retrieve(intent.id).status == "succeeded", "the debit settles by itself")


def test_a_debit_without_mandate_is_refused_and_stays_open(bench: Bench) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        debit(bench, mandate_data=None, metadata={"case": "no-mandate"})
    assert refusal.value.http_status == 400
    left = bench.client.v1.payment_intents.search({"query": "metadata['case']:'no-mandate'"}).data
    assert [intent.status for intent in left] == ["requires_confirmation"]


def test_ach_is_verified_by_microdeposits(own: Bench) -> None:
    data = {
        "type": "us_bank_account",
        "billing_details": {"name": "A"},
        "us_bank_account": {"routing_number": "110000000", "account_number": "000222222227"},
    }
    intent = own.create(
        allowed_payment_method_types=["us_bank_account"],
        payment_method_data=data,
        confirm=True,
        mandate_data=ONLINE_MANDATE,
    )
    assert intent.next_action.type == "verify_with_microdeposits"
    with pytest.raises(stripe.InvalidRequestError):
        own.client.v1.payment_intents.verify_microdeposits(intent.id, {"descriptor_code": "SM0000"})
    verified = own.client.v1.payment_intents.verify_microdeposits(intent.id, {"descriptor_code": "SM11AA"})
    assert verified.status == "processing"
    own.control("POST", "clock", {"advance_seconds": 4 * DAY + 1})
    after = own.retrieve(intent.id)
    assert (after.status, after.last_payment_error.code) == ("requires_payment_method", "insufficient_funds")
