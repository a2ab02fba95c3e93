"""A provider's steps of a currency hold for parts too: whoever names an amount that it cannot move is told at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.bench import PAYER
from tests.system import System, running_system

HOSTED = {"payment_method_token": None} | PAYER
# Provider, currency, the whole amount, a part that the provider cannot move, one that it can, and the step.
STEPS = [
    ("stripe", "MGA", "5000.00", "10.50", "10.00", "1.00"),
    ("stripe", "KWD", "12.340", "0.005", "0.010", "0.010"),
    ("paypal", "HUF", "5000.00", "10.50", "10.00", "1.00"),
    ("paypal", "TWD", "5000.00", "10.50", "10.00", "1.00"),
]


@pytest.fixture
def system(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[System]:
    """A system on SQLite: nothing here happens at once."""
    with running_system(sqlite_url) as running:
        running.tasks_run_in(monkeypatch)
        yield running


def taken(system: System, provider: str, currency: str, amount: str, *, capture: bool) -> str:
    """Return a payment that is captured, or authorized."""
    changes: dict[str, Any] = {"currency": currency, "amount": amount, "capture": capture}
    if provider == "stripe":
        payment_id = system.pay(**changes)
        system.run_until_idle()
    else:
        bench, _ = system.add_provider(provider)
        payment_id = system.pay(payment_method=provider, **changes, **HOSTED)
        system.run_until_idle()
        bench.let_customer_act(system.reference(payment_id), is_good=True)
        system.advance(minutes=2)
    assert system.state(payment_id) == ("captured" if capture else "authorized")
    return payment_id


@pytest.mark.parametrize("verb", ["capture", "refunds"])
@pytest.mark.parametrize(("provider", "currency", "whole", "impossible", "possible", "step"), STEPS)
def test_a_part_that_the_provider_cannot_move_is_refused(
    system: System, provider: str, currency: str, whole: str, impossible: str, possible: str, step: str, verb: str
) -> None:
    payment_id = taken(system, provider, currency, whole, capture=verb == "refunds")
    before = system.row_counts()
    refused = system.post(f"/{payment_id}/{verb}", {"amount": impossible}, Idempotency_Key="impossible")
    assert refused.status_code == 422
    assert refused.json["type"] == "invalid_amount"
    assert f"{provider} takes {currency} in steps of {step}" in refused.json["detail"]
    assert system.row_counts() == before

    system.request(f"/{payment_id}/{verb}", {"amount": possible}, Idempotency_Key="possible")
    system.run_until_idle()
    system.advance(minutes=1)
    payment = system.payment(payment_id)
    shown = system.get(f"/{payment_id}").json
    if verb == "refunds":
        assert (shown["status"], shown["refunded_amount"]) == ("partially_refunded", possible)
        system.request(f"/{payment_id}/refunds", Idempotency_Key="rest")
        system.run_until_idle()
        assert system.payment(payment_id).refunded == payment.captured
    else:
        assert (shown["status"], shown["captured_amount"]) == ("captured", possible)
