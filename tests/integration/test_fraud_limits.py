"""Hard limits of tries: exact however many come at once, given back where nothing was sent, and no burden on others."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from domain.fraud import RuleSet
from domain.fraud.limits import WAIT
from domain.fraud.rule_set import Curve
from models.tables import events, fraud_reservations, payments
from models.task_messages import CHARGE
from tests.system import System, payment_request

pytestmark = pytest.mark.postgres
DECLINED = "pm_card_visa_chargeDeclined"
_THREADS = 8
# Only limits speak.
NO_RULES = RuleSet("none", {})


def card(number: int) -> dict[str, Any]:
    return {"card": {"fingerprint": f"card-{number}"}}


def stranger(number: int, **shared: Any) -> dict[str, Any]:
    """Return what tells one stranger with a card of their own from others, and what they share."""
    bin = shared.pop("bin", None)
    facts: dict[str, Any] = {"user_id": f"stranger-{number}", **card(number), **shared}
    if bin is not None:
        facts["card"] |= {"bin": bin}
    return facts


def pay(system: System, invoice: str, token: str = "pm_card_visa", **body: Any) -> str:
    return str(system.accept(payment_request(invoice, token) | body)["id"])


def charge_at_once(system: System) -> None:
    """Let workers charge all that is published at the same time."""
    messages, system.messages[:] = list(system.messages), []
    with ThreadPoolExecutor(_THREADS) as workers:
        list(workers.map(lambda message: system.run(*message), messages))


def states(system: System) -> list[str]:
    return sorted(row.state for row in system.rows(payments))


def test_a_user_has_so_many_tries_a_day_and_not_one_more_however_many_come_at_once(system: System) -> None:
    system.screen_by(attempts_per_day=3)
    for number in range(8):
        pay(system, f"inv-{number}", **card(number))
    charge_at_once(system)
    assert states(system) == ["blocked"] * 5 + ["captured"] * 3
    assert len(system.provider.movements()) == 3


def test_a_card_has_so_many_tries_a_day_whoever_has_it(system: System) -> None:
    system.screen_by(attempts_per_day=3)
    for number in range(6):
        pay(system, f"inv-{number}", user_id=f"user-{number}", **card(1))
    charge_at_once(system)
    assert states(system) == ["blocked"] * 3 + ["captured"] * 3


def test_a_token_says_nothing_of_who_else_has_the_card(system: System) -> None:
    system.screen_by(attempts_per_day=1)
    for number in range(4):
        pay(system, f"inv-{number}", user_id=f"user-{number}")
    system.run_until_idle()
    assert states(system) == ["captured"] * 4


def test_the_view_says_why_a_try_was_refused_and_the_provider_hears_nothing_of_it(system: System) -> None:
    system.screen_by(attempts_per_day=1)
    pay(system, "inv-1")
    refused = pay(system, "inv-2")
    system.run_until_idle()
    shown = system.get(f"/{refused}").json
    assert (shown["status"], shown["failure_code"]) == ("blocked", "too_many_attempts")
    assert shown["fraud"]["decision"] == "block"
    [reason] = [each for each in shown["fraud"]["reasons"] if each["rule"] == "user_tries_limit"]
    assert (reason["points"], reason["value"]) == (0, 1)
    assert reason["sentence"] == "the limit is reached of 1 tries within a day by one user"
    assert len(system.provider.movements()) == 1
    [attempt] = system.attempts(refused)
    assert (attempt.claims, attempt.provider_reference) == (0, None)


def test_a_storm_of_refusals_is_one_event_with_a_number(system: System) -> None:
    system.screen_by(attempts_per_day=1)
    for number in range(6):
        pay(system, f"inv-{number}")
    system.run_until_idle()
    [event] = system.rows(events, events.c.name == "fraud_limit_reached")
    assert event.data == {"limit": "tries", "of": "user", "most": 1, "minutes": 1440, "refused_before": 0}
    system.advance(hours=25)
    for number in range(6, 9):
        pay(system, f"inv-{number}")
    system.run_until_idle()
    [_, again] = system.rows(events, events.c.name == "fraud_limit_reached")
    assert again.data["refused_before"] == 5


def test_a_day_later_there_is_room_again(system: System) -> None:
    system.screen_by(attempts_per_day=2)
    for number in range(2):
        pay(system, f"inv-{number}")
        system.run_until_idle()
        system.advance(hours=12)
    system.advance(hours=1)
    pay(system, "inv-3")
    pay(system, "inv-4")
    system.run_until_idle()
    assert states(system) == ["blocked"] + ["captured"] * 3


def test_a_try_that_was_proven_unsent_gives_its_slot_back(system: System) -> None:
    system.screen_by(attempts_per_day=1)
    unsent = pay(system, "inv-1", "pm_unknown")
    system.run_until_idle()
    assert (system.state(unsent), system.rows(fraud_reservations)) == ("failed", [])
    paid = pay(system, "inv-2")
    system.run_until_idle()
    assert system.state(paid) == "captured"


def test_a_try_that_waits_in_an_outage_keeps_its_slot_and_is_sent_later(system: System) -> None:
    system.screen_by(attempts_per_day=1)
    waiting = pay(system, "inv-1")
    system.provider.fail("payment_intents.create", "rate_limit")
    system.run_published()
    assert system.state(waiting) == "accepted"
    refused = pay(system, "inv-2")
    system.run_published()
    system.provider.heal()
    system.advance(minutes=10)
    assert (system.state(waiting), system.state(refused)) == ("captured", "blocked")


def test_a_repeat_of_a_request_is_no_further_try(system: System) -> None:
    system.screen_by(attempts_per_day=1)
    payment_id = pay(system, "inv-1")
    system.run_until_idle()
    for _ in range(3):
        system.run(CHARGE, system.attempts(payment_id)[0].id)
    assert system.state(payment_id) == "captured"
    assert len(system.rows(fraud_reservations)) == 1


def test_payments_of_absent_customers_use_up_nothing_and_are_not_limited(system: System) -> None:
    system.screen_by(attempts_per_day=1)
    for number in range(4):
        pay(system, f"inv-{number}", off_session=True)
    pay(system, "inv-5")
    system.run_until_idle()
    assert states(system) == ["captured"] * 5


def test_without_velocity_checks_there_are_no_limits(system: System) -> None:
    system.screen_by(attempts_per_day=1, is_velocity_checked=False)
    for number in range(3):
        pay(system, f"inv-{number}")
    system.run_until_idle()
    assert (states(system), system.rows(fraud_reservations)) == (["captured"] * 3, [])


SHARED = {
    "device": {"device_fingerprint": "device"},
    "ip": {"ip_address": "203.0.113.9"},
    "bin": {"bin": "42424242"},
    "merchant_account": {"shared_entities": {"merchant_account": "acct"}},
}


@pytest.mark.parametrize("kind", SHARED)
def test_strangers_who_share_something_try_so_many_cards_in_vain_and_no_more(system: System, kind: str) -> None:
    system.screen_by(rule_set=NO_RULES, most_strangers=4)
    for number in range(12):
        pay(system, f"inv-{number}", DECLINED, **stranger(number, **SHARED[kind]))
    charge_at_once(system)
    while "accepted" in states(system):
        system.advance(seconds=WAIT.total_seconds() + 1)
    assert states(system) == ["blocked"] * 8 + ["declined"] * 4


def test_numbered_addresses_are_one_stranger(system: System) -> None:
    system.screen_by(rule_set=NO_RULES, most_strangers=4)
    for number in range(9):
        pay(system, f"inv-{number}", **stranger(number, email=f"ada{number}@example.com"))
    charge_at_once(system)
    assert states(system) == ["blocked"] * 5 + ["captured"] * 4


@pytest.mark.parametrize("kind", ["bin", "merchant_account"])
def test_what_many_share_is_no_limit_to_those_who_pay(system: System, kind: str) -> None:
    system.screen_by(rule_set=NO_RULES, most_strangers=3)
    for number in range(12):
        pay(system, f"inv-{number}", **stranger(number, **SHARED[kind]))
    charge_at_once(system)
    while "accepted" in states(system):
        system.advance(seconds=WAIT.total_seconds() + 1)
    assert states(system) == ["captured"] * 12


def test_known_customers_of_an_attacked_office_go_on_paying(system: System) -> None:
    system.screen_by(rule_set=NO_RULES, most_strangers=3)
    office = {"ip_address": "203.0.113.9", "bin": "42424242"}
    for number in range(3):
        pay(system, f"early-{number}", **stranger(number, **office))
        system.run_until_idle()
    system.advance(days=2)
    for number in range(10, 20):
        pay(system, f"attack-{number}", DECLINED, **stranger(number, **office))
    system.run_until_idle()
    known = [pay(system, f"late-{number}", **stranger(number, **office)) for number in range(3)]
    system.run_until_idle()
    assert [system.state(payment_id) for payment_id in known] == ["captured"] * 3
    assert states(system).count("blocked") == 7


def test_guests_are_not_punished_as_one_person(system: System) -> None:
    system.screen_by()
    for number in range(15):
        pay(system, f"lost-{number}", DECLINED, user_id="guest", **card(number))
    system.run_until_idle()
    guests = [pay(system, f"inv-{number}", user_id="guest", **card(100 + number)) for number in range(20)]
    system.run_until_idle()
    assert {system.state(payment_id) for payment_id in guests} == {"captured"}


REVIEW = RuleSet("all to review", {"method_risk": Curve((0,), (60,))})


def test_payments_that_wait_for_a_person_hold_slots_so_that_an_attack_fills_no_list(system: System) -> None:
    system.screen_by(rule_set=REVIEW, most_strangers=3)
    asked = [pay(system, f"inv-{number}", **stranger(number, device_fingerprint="device")) for number in range(8)]
    system.run_until_idle()
    assert states(system) == ["blocked"] * 5 + ["review"] * 3

    waiting = [payment_id for payment_id in asked if system.state(payment_id) == "review"]
    decide(system, waiting[0], "reject")
    again = pay(system, "again", **stranger(9, device_fingerprint="device"))
    system.run_until_idle()
    assert system.state(again) == "review"
    decide(system, waiting[1], "approve")
    system.run_until_idle()
    assert system.state(waiting[1]) == "captured"


def decide(system: System, payment_id: str, decision: str) -> None:
    body = {"decision": decision}
    response = system.post(f"/{payment_id}/review", body, caller="operator")
    assert response.status_code == 202, response.text
