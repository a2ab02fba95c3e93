"""The roads of docs/architecture.md name every product file that a running system enters on them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.file_trace import SHARED_FILES, files_on_the_map, traced_files
from tests.system import System

pytestmark = pytest.mark.postgres

ACCEPT, CHARGE = "Road 1: accept a payment", "Road 2: charge a payment"
WEBHOOK, REFUND = "Road 3: apply a webhook", "Road 4: refund a payment"
DOUBT = "Road 5: resolve doubt, and retry"


def missing(steps: Callable[[], object], *roads: str) -> list[str]:
    """Return the files that the steps enter and the page does not name on these roads."""
    with traced_files() as entered:
        steps()
    headings = (SHARED_FILES, *(f"### {road}" for road in roads))
    return sorted(map(str, entered.difference(*map(files_on_the_map, headings))))


@pytest.fixture(autouse=True)
def _warm(system: System) -> None:
    """Charge once before: the first task of a process also reads the settings and fills caches."""
    system.pay("warm")
    system.run_until_idle()


def test_accepting_a_payment(system: System) -> None:
    assert missing(lambda: system.pay("inv"), ACCEPT) == []


def test_charging_a_payment(system: System) -> None:
    payment_id = system.pay("inv")
    assert missing(system.run_published, CHARGE) == []
    assert system.state(payment_id) == "captured"


def test_a_webhook_with_news(system: System) -> None:
    payment_id = system.pay("inv", system.provider.bank_account(), payment_method="sepa_debit")
    system.run_until_idle()
    reference = str(system.attempts(payment_id)[0].provider_reference)
    system.provider.decide_at_bank(reference, "success")
    event = system.provider.event("payment_intent.succeeded", reference)

    def deliver_and_apply() -> None:
        system.deliver(event)
        system.run_published()

    assert missing(deliver_and_apply, WEBHOOK) == []
    assert system.state(payment_id) == "captured"


def test_refunding_a_payment(system: System) -> None:
    payment_id = system.pay("inv")
    system.run_until_idle()

    def refund() -> None:
        system.request(f"/{payment_id}/refunds", Idempotency_Key="refund")
        system.run_published()

    assert missing(refund, REFUND) == []
    assert system.state(payment_id) == "refunded"


def test_resolving_doubt(system: System) -> None:
    payment_id = system.pay("inv")
    system.provider.fail("payment_intents.confirm", "reset_after")
    system.run_published()
    assert system.state(payment_id) == "in_doubt"
    system.move_clock(seconds=5)

    def sweep_and_look_up() -> None:
        system.sweep()
        system.run_published()

    assert missing(sweep_and_look_up, DOUBT) == []
    assert system.state(payment_id) == "captured"


def test_a_dunning_retry(system: System) -> None:
    payment_id = system.subscribe("inv", system.provider.scripted_card("insufficient_funds", "success"))
    system.move_clock(days=3, seconds=5)

    def sweep_and_retry() -> None:
        system.sweep()
        system.run_published()

    assert missing(sweep_and_retry, DOUBT) == []
    assert missing(system.run_published, CHARGE, DOUBT) == []
    assert system.state(payment_id) == "captured"


def test_the_comparison_sees_a_file_that_is_not_named(system: System) -> None:
    assert "models/accept_payment.py" in missing(lambda: system.pay("inv"), REFUND)
