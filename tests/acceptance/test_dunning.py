"""Dunning with two beats and two workers: each retry on its day, charged once; grace ends once, on the right day."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from tests.acceptance.harness import DAY_SECONDS, Deployment, Json, eventually, subscription_body
from tests.conftest import OpenDeployment

pytestmark = [pytest.mark.acceptance, pytest.mark.postgres, pytest.mark.timeout(600)]

ALWAYS_POOR = "pm_card_visa_chargeDeclinedInsufficientFunds"
STOLEN = "pm_card_visa_chargeDeclinedStolenCard"
# Longer than any wait of these tests on any machine, and far shorter than a day.
HOUR_SECONDS = 3600


@pytest.fixture(scope="module")
def dunning_deployment(open_deployment: OpenDeployment) -> Iterator[Deployment]:
    """Two workers and two beats, whose clock these tests move."""
    with open_deployment() as deployment:
        deployment.start_sandbox()
        for number in (1, 2):
            deployment.worker(f"worker{number}")
            deployment.beat(f"beat{number}")
        deployment.web()
        yield deployment


def test_three_weeks_of_dunning_follow_the_plan(dunning_deployment: Deployment) -> None:
    """One customer has money on day 7, one never, one pays otherwise; a beat and a worker die on the way."""
    deployment = dunning_deployment
    recovering = _subscribe(deployment, deployment.provider.card("insufficient_funds", "insufficient_funds", "success"))
    lost = _subscribe(deployment, ALWAYS_POOR)
    paying = _subscribe(deployment, ALWAYS_POOR)
    started = {payment["id"]: _parsed(payment["attempts"][0]["settled_at"]) for payment in (recovering, lost)}
    for payment in (recovering, lost):
        assert _next_retry(payment) - started[payment["id"]] == timedelta(days=3)
        assert deployment.merchant.subscription_status(payment["subscription_id"]) == "incomplete"

    _pay_otherwise(deployment, paying)

    retry_at = started[lost["id"]].timestamp() + 3 * DAY_SECONDS
    deployment.provider.advance(seconds=retry_at - deployment.provider.now() - HOUR_SECONDS)
    _let_a_sweep_pass(deployment)
    assert len(deployment.provider.tries(lost["id"])) == 1
    deployment.provider.advance(seconds=HOUR_SECONDS + 10)
    for payment in (recovering, lost):
        again = _wait_for_failures(deployment, payment["id"], 2)
        assert _next_retry(again) - started[payment["id"]] == timedelta(days=7)

    _kill(deployment, "beat1")
    _advance(deployment, 4)
    _kill(deployment, "worker1")
    deployment.merchant.wait(recovering["id"], "captured", seconds=60)
    deployment.assert_charged_once(recovering["id"])
    assert deployment.merchant.subscription_status(recovering["subscription_id"]) == "active"
    again = _wait_for_failures(deployment, lost["id"], 3)
    assert _next_retry(again) - started[lost["id"]] == timedelta(days=14)

    _advance(deployment, 7)
    in_grace = deployment.merchant.wait(lost["id"], "in_grace")
    last_failed_at = _parsed(in_grace["attempts"][-1]["settled_at"])
    ends_at = _parsed(in_grace["dunning"]["grace_ends_at"])
    assert ends_at - last_failed_at == timedelta(days=7)
    assert deployment.merchant.subscription_status(lost["subscription_id"]) == "incomplete"

    deployment.provider.advance(seconds=ends_at.timestamp() - deployment.provider.now() - HOUR_SECONDS)
    _let_a_sweep_pass(deployment)
    assert deployment.merchant.payment(lost["id"])["status"] == "in_grace"
    deployment.provider.advance(seconds=HOUR_SECONDS + 10)
    deployment.merchant.wait(lost["id"], "uncollectible")
    assert deployment.merchant.subscription_status(lost["subscription_id"]) == "canceled"
    assert deployment.events(lost["id"]).count("grace_expired") == 1

    _assert_tried_on_days(deployment, recovering["id"], 0, 3, 7)
    _assert_tried_on_days(deployment, lost["id"], 0, 3, 7, 14)
    assert len(deployment.provider.tries(paying["id"])) == 1
    assert deployment.assert_books_agree(lost["id"])["captured_amount"] == "0.00"

    _advance(deployment, 30)
    _let_a_sweep_pass(deployment)
    _assert_tried_on_days(deployment, lost["id"], 0, 3, 7, 14)
    deployment.assert_charged_once(recovering["id"])


def test_a_hard_decline_is_never_tried_again(dunning_deployment: Deployment) -> None:
    deployment = dunning_deployment
    payment = deployment.merchant.pay(subscription_body(STOLEN), "in_grace")
    assert deployment.merchant.subscription_status(payment["subscription_id"]) == "incomplete"
    _advance(deployment, 8)
    deployment.merchant.wait(payment["id"], "uncollectible")
    _advance(deployment, 14)
    _let_a_sweep_pass(deployment)
    assert len(deployment.provider.tries(payment["id"])) == 1
    assert deployment.merchant.subscription_status(payment["subscription_id"]) == "canceled"
    assert deployment.events(payment["id"]).count("grace_expired") == 1


def test_a_charge_that_needs_authentication_is_not_retried_without_the_customer(dunning_deployment: Deployment) -> None:
    deployment = dunning_deployment
    payment = deployment.merchant.pay(subscription_body("pm_card_authenticationRequired"), "in_grace")
    assert payment["failure_code"] == "authentication_required"
    assert deployment.merchant.subscription_status(payment["subscription_id"]) == "incomplete"
    _advance(deployment, 4)
    _let_a_sweep_pass(deployment)
    assert len(deployment.merchant.payment(payment["id"])["attempts"]) == 1
    assert deployment.provider.movements(payment["id"]) == []


def test_a_system_that_was_down_skips_the_missed_days(dunning_deployment: Deployment) -> None:
    deployment = dunning_deployment
    payment = _subscribe(deployment, deployment.provider.card("insufficient_funds", "insufficient_funds", "success"))
    _advance(deployment, 6.9)
    again = _wait_for_failures(deployment, payment["id"], 2)
    first_failed_at = _parsed(payment["attempts"][0]["settled_at"])
    assert _next_retry(again) - first_failed_at == timedelta(days=14)
    _advance(deployment, 7.2)
    deployment.merchant.wait(payment["id"], "captured")
    deployment.assert_charged_once(payment["id"])


def test_a_retry_whose_response_is_lost_is_not_charged_twice(dunning_deployment: Deployment) -> None:
    deployment = dunning_deployment
    payment = _subscribe(deployment, deployment.provider.card("insufficient_funds", "success"))
    deployment.provider.fault("payment_intents.confirm", "reset_after")
    _advance(deployment, 3)
    deployment.merchant.wait(payment["id"], "captured")
    deployment.provider.behave()
    deployment.assert_charged_once(payment["id"])
    assert len(deployment.provider.tries(payment["id"])) == 2


def _subscribe(deployment: Deployment, token: str) -> Json:
    """Make a subscription's payment that fails; return it."""
    return deployment.merchant.pay(subscription_body(token), "past_due")


def _pay_otherwise(deployment: Deployment, payment: Json) -> None:
    """Let the customer pay the invoice with another card; dunning is over then."""
    body = subscription_body("pm_card_visa") | {"amount": payment["amount"], "off_session": False}
    body |= {name: payment[name] for name in ("invoice_id", "user_id", "subscription_id")}
    paid = deployment.merchant.pay(body)
    deployment.assert_charged_once(paid["id"])
    shown = deployment.merchant.wait(payment["id"], "canceled")
    assert shown["dunning"]["status"] == "recovered"
    assert deployment.merchant.subscription_status(payment["subscription_id"]) == "active"


def _kill(deployment: Deployment, name: str) -> None:
    """Kill -9 a process and start it again."""
    process = next(process for process in deployment.processes if process.name == name)
    process.send(signal.SIGKILL)
    eventually(lambda: not process.is_running(), f"the death of {name}")
    process.start()


def _advance(deployment: Deployment, days: float) -> None:
    """Move the clock as an operator does."""
    assert "clock is at" in deployment.command("sandbox", "advance", "--days", str(days))


def _let_a_sweep_pass(deployment: Deployment) -> None:
    """Wait until the workers have been through a whole sweep that began after now."""
    before = deployment.sweeps()
    eventually(lambda: deployment.sweeps() >= before + 3, "three more sweeps")


def _wait_for_failures(deployment: Deployment, payment_id: str, failures: int) -> Json:
    return deployment.merchant.wait_for(
        payment_id,
        lambda shown: shown["status"] == "past_due" and _declines(shown) == failures,
        f"past_due after {failures} failures",
        seconds=60,
    )


def _declines(shown: Json) -> int:
    return sum(attempt["status"] == "declined" for attempt in shown["attempts"])


def _assert_tried_on_days(deployment: Deployment, payment_id: str, *days: int) -> None:
    """Assert when the issuer was asked, by the provider's ledger."""
    at = [row["at"] for row in deployment.provider.tries(payment_id)]
    assert len(at) == len(days)
    for (earlier, later), (first, second) in zip(pairwise(at), pairwise(days), strict=True):
        assert abs(later - earlier - (second - first) * DAY_SECONDS) < HOUR_SECONDS


def _next_retry(shown: Json) -> datetime:
    return _parsed(shown["dunning"]["next_retry_at"])


def _parsed(instant: str) -> datetime:
    return datetime.fromisoformat(instant)
