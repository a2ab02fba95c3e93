"""Dunning with two beats and two workers: each retry on its day, charged once; grace ends once, on the right day."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from tests.acceptance.harness import DAY_SECONDS, House, Json, eventually, subscription_order
from tests.conftest import OpenHouse

pytestmark = [pytest.mark.acceptance, pytest.mark.postgres, pytest.mark.timeout(600)]

ALWAYS_POOR = "pm_card_visa_chargeDeclinedInsufficientFunds"
STOLEN = "pm_card_visa_chargeDeclinedStolenCard"
# Longer than any wait of these tests on any machine, and far shorter than a day.
HOUR_SECONDS = 3600


@pytest.fixture(scope="module")
def dunning_house(open_house: OpenHouse) -> Iterator[House]:
    """Two workers and two beats, whose clock these tests move."""
    with open_house() as house:
        house.start_sandbox()
        for number in (1, 2):
            house.worker(f"worker{number}")
            house.beat(f"beat{number}")
        house.web()
        yield house


def test_three_weeks(dunning_house: House) -> None:
    """One customer has money on day 7, one never, one pays otherwise; a beat and a worker die on the way."""
    house = dunning_house
    recovering = _subscribe(house, house.provider.card("insufficient_funds", "insufficient_funds", "success"))
    lost = _subscribe(house, ALWAYS_POOR)
    paying = _subscribe(house, ALWAYS_POOR)
    started = {payment["id"]: _parsed(payment["attempts"][0]["settled_at"]) for payment in (recovering, lost)}
    for payment in (recovering, lost):
        assert _next_retry(payment) - started[payment["id"]] == timedelta(days=3)
        assert house.merchant.subscription_status(payment["subscription_id"]) == "past_due"

    _pay_otherwise(house, paying)

    retry_at = started[lost["id"]].timestamp() + 3 * DAY_SECONDS
    house.provider.advance(seconds=retry_at - house.provider.now() - HOUR_SECONDS)
    _let_a_sweep_pass(house)
    assert len(house.provider.tries(lost["id"])) == 1
    house.provider.advance(seconds=HOUR_SECONDS + 10)
    for payment in (recovering, lost):
        again = _wait_for_failures(house, payment["id"], 2)
        assert _next_retry(again) - started[payment["id"]] == timedelta(days=7)

    _kill(house, "beat1")
    _advance(house, 4)
    _kill(house, "worker1")
    house.merchant.wait(recovering["id"], "captured", seconds=60)
    house.assert_charged_once(recovering["id"])
    assert house.merchant.subscription_status(recovering["subscription_id"]) == "active"
    again = _wait_for_failures(house, lost["id"], 3)
    assert _next_retry(again) - started[lost["id"]] == timedelta(days=14)

    _advance(house, 7)
    in_grace = house.merchant.wait(lost["id"], "in_grace")
    last_failed_at = _parsed(in_grace["attempts"][-1]["settled_at"])
    ends_at = _parsed(in_grace["dunning"]["grace_ends_at"])
    assert ends_at - last_failed_at == timedelta(days=7)
    assert house.merchant.subscription_status(lost["subscription_id"]) == "past_due"

    house.provider.advance(seconds=ends_at.timestamp() - house.provider.now() - HOUR_SECONDS)
    _let_a_sweep_pass(house)
    assert house.merchant.payment(lost["id"])["status"] == "in_grace"
    house.provider.advance(seconds=HOUR_SECONDS + 10)
    house.merchant.wait(lost["id"], "uncollectible")
    assert house.merchant.subscription_status(lost["subscription_id"]) == "canceled"
    assert house.events(lost["id"]).count("grace_expired") == 1

    _assert_tried_on_days(house, recovering["id"], 0, 3, 7)
    _assert_tried_on_days(house, lost["id"], 0, 3, 7, 14)
    assert len(house.provider.tries(paying["id"])) == 1
    assert house.assert_books_agree(lost["id"])["captured_amount"] == "0.00"

    _advance(house, 30)
    _let_a_sweep_pass(house)
    _assert_tried_on_days(house, lost["id"], 0, 3, 7, 14)
    house.assert_charged_once(recovering["id"])


def test_a_hard_decline_is_never_tried_again(dunning_house: House) -> None:
    house = dunning_house
    payment = house.merchant.pay(subscription_order(STOLEN), "in_grace")
    assert house.merchant.subscription_status(payment["subscription_id"]) == "past_due"
    _advance(house, 8)
    house.merchant.wait(payment["id"], "uncollectible")
    _advance(house, 14)
    _let_a_sweep_pass(house)
    assert len(house.provider.tries(payment["id"])) == 1
    assert house.merchant.subscription_status(payment["subscription_id"]) == "canceled"
    assert house.events(payment["id"]).count("grace_expired") == 1


def test_a_customer_who_has_to_authenticate_is_not_charged_behind_his_back(dunning_house: House) -> None:
    house = dunning_house
    payment = house.merchant.pay(subscription_order("pm_card_authenticationRequired"), "in_grace")
    assert payment["failure_code"] == "authentication_required"
    assert house.merchant.subscription_status(payment["subscription_id"]) == "past_due"
    _advance(house, 4)
    _let_a_sweep_pass(house)
    assert len(house.merchant.payment(payment["id"])["attempts"]) == 1
    assert house.provider.movements(payment["id"]) == []


def test_a_system_that_was_down_makes_up_for_no_missed_day(dunning_house: House) -> None:
    house = dunning_house
    payment = _subscribe(house, house.provider.card("insufficient_funds", "insufficient_funds", "success"))
    _advance(house, 6.9)
    again = _wait_for_failures(house, payment["id"], 2)
    first_failed_at = _parsed(payment["attempts"][0]["settled_at"])
    assert _next_retry(again) - first_failed_at == timedelta(days=14)
    _advance(house, 7.2)
    house.merchant.wait(payment["id"], "captured")
    house.assert_charged_once(payment["id"])


def test_a_retry_whose_answer_is_lost_is_not_made_again(dunning_house: House) -> None:
    house = dunning_house
    payment = _subscribe(house, house.provider.card("insufficient_funds", "success"))
    house.provider.fault("payment_intents.confirm", "reset_after")
    _advance(house, 3)
    house.merchant.wait(payment["id"], "captured")
    house.provider.behave()
    house.assert_charged_once(payment["id"])
    assert len(house.provider.tries(payment["id"])) == 2


def _subscribe(house: House, token: str) -> Json:
    """Make a subscription's payment that fails; return it."""
    return house.merchant.pay(subscription_order(token), "past_due")


def _pay_otherwise(house: House, payment: Json) -> None:
    """Let the customer pay the invoice with another card; dunning is over then."""
    body = subscription_order("pm_card_visa") | {"amount": payment["amount"], "off_session": False}
    body |= {name: payment[name] for name in ("invoice_id", "user_id", "subscription_id")}
    paid = house.merchant.pay(body)
    house.assert_charged_once(paid["id"])
    shown = house.merchant.wait(payment["id"], "canceled")
    assert shown["dunning"]["status"] == "recovered"
    assert house.merchant.subscription_status(payment["subscription_id"]) == "active"


def _kill(house: House, name: str) -> None:
    """Kill -9 a process and start it again."""
    process = next(process for process in house.processes if process.name == name)
    process.send(signal.SIGKILL)
    eventually(lambda: not process.is_running(), f"the death of {name}")
    process.start()


def _advance(house: House, days: float) -> None:
    """Move the clock as an operator does."""
    assert "clock is at" in house.command("sandbox", "advance", "--days", str(days))


def _let_a_sweep_pass(house: House) -> None:
    """Wait until the workers have been through a whole sweep that began after now."""
    before = house.sweeps()
    eventually(lambda: house.sweeps() >= before + 3, "three more sweeps")


def _wait_for_failures(house: House, payment_id: str, failures: int) -> Json:
    return house.merchant.wait_for(
        payment_id,
        lambda shown: shown["status"] == "past_due" and _declines(shown) == failures,
        f"past_due after {failures} failures",
        seconds=60,
    )


def _declines(shown: Json) -> int:
    return sum(attempt["status"] == "declined" for attempt in shown["attempts"])


def _assert_tried_on_days(house: House, payment_id: str, *days: int) -> None:
    """Assert when the issuer was asked, by the provider's ledger."""
    at = [row["at"] for row in house.provider.tries(payment_id)]
    assert len(at) == len(days)
    for (earlier, later), (first, second) in zip(pairwise(at), pairwise(days), strict=True):
        assert abs(later - earlier - (second - first) * DAY_SECONDS) < HOUR_SECONDS


def _next_retry(shown: Json) -> datetime:
    return _parsed(shown["dunning"]["next_retry_at"])


def _parsed(instant: str) -> datetime:
    return datetime.fromisoformat(instant)
