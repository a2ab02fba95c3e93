"""The global brake: on while far more tries are declined than usual, off by itself, and open to known customers."""

from __future__ import annotations

from typing import Any

import pytest

from domain.fraud import RuleSet
from domain.fraud.brake import BrakeAction, BrakePolicy
from models.tables import attention, events, fraud_assessments
from models.task_messages import FRAUD_BRAKE
from sandbox.stripe.api import Stripe
from tests.system import System, payment_request

pytestmark = pytest.mark.postgres
DECLINED = "pm_card_visa_chargeDeclined"
NO_RULES = RuleSet("none", {})


def screen(system: System, action: BrakeAction = BrakeAction.REFUSE) -> None:
    system.screen_by(rule_set=NO_RULES, brake=BrakePolicy(least_tries=10, action=action))


def pay(system: System, invoice: str, user: str, token: str = "pm_card_visa", **body: Any) -> str:
    payment_id = str(system.accept(payment_request(invoice, token) | {"user_id": user} | body)["id"])
    system.run_until_idle()
    return payment_id


def attack(system: System, tries: int = 11) -> None:
    """Let strangers try cards that have nothing in common."""
    for number in range(tries):
        pay(system, f"attack-{number}-{system.now()}", f"attacker-{number}", DECLINED)


def brake_events(system: System) -> list[str]:
    return [row.name for row in system.rows(events, events.c.name.in_(["fraud_brake_on", "fraud_brake_off"]))]


def test_the_brake_goes_on_and_refuses_strangers_and_no_known_customer(system: System) -> None:
    screen(system)
    pay(system, "early", "known")
    system.advance(days=2)
    attack(system)
    assert brake_events(system) == ["fraud_brake_on"]

    refused, paid = pay(system, "late-1", "stranger"), pay(system, "late-2", "known")
    assert (system.state(refused), system.payment(refused).failure_code) == ("blocked", "fraud_brake")
    assert system.state(paid) == "captured"
    shown = system.get(f"/{refused}").json["fraud"]
    assert (shown["decision"], shown["reasons"][0]["rule"]) == ("block", "fraud_brake")


def test_the_brake_is_on_the_attention_list_until_it_goes_off_by_itself(
    system: System, caplog: pytest.LogCaptureFixture
) -> None:
    screen(system)
    attack(system, 14)
    [entry] = system.rows(attention)
    assert (entry.reason, entry.data, entry.closed_at) == (
        "fraud_brake",
        {"application": "shop", "action": "refuse"},
        None,
    )
    alarms = [record for record in caplog.records if record.levelname == "ERROR"]
    assert ["fraud brake of shop on" in record.getMessage() for record in alarms] == [True]

    system.move_clock(minutes=5)
    system.run(FRAUD_BRAKE)
    assert brake_events(system) == ["fraud_brake_on"]
    system.move_clock(minutes=20)
    system.run(FRAUD_BRAKE)
    assert brake_events(system) == ["fraud_brake_on", "fraud_brake_off"]
    assert system.rows(attention)[0].closed_at is not None
    assert system.state(pay(system, "late", "stranger")) == "captured"


def test_the_next_stranger_takes_a_calm_brake_off_without_any_beat(system: System) -> None:
    screen(system)
    attack(system)
    system.move_clock(minutes=25)
    assert system.state(pay(system, "late", "stranger")) == "captured"
    assert brake_events(system) == ["fraud_brake_on", "fraud_brake_off"]


def test_a_brake_that_challenges_asks_strangers_to_authenticate(system: System) -> None:
    screen(system, BrakeAction.CHALLENGE)
    attack(system)
    challenged = pay(system, "late", "stranger")
    known = system.sandbox.state.provider_of(Stripe).account
    intent = known.intents[system.reference(challenged)].body
    assert intent["payment_method_options"]["card"]["request_three_d_secure"] == "any"
    [first] = system.rows(
        fraud_assessments, fraud_assessments.c.payment_id == challenged, fraud_assessments.c.number == 1
    )
    assert first.decision == "verify"


def test_other_doors_are_closed_to_strangers_as_well(system: System) -> None:
    screen(system)
    attack(system)
    body = {"user_id": "stranger", "amount": "12.30", "currency": "EUR"}
    system.call("PUT", "/invoices/late", body)
    refused = [
        system.post("/stripe-intent", {"invoice_id": "late"}),
        system.post("/setup-intent", {"user_id": "stranger"}),
        system.post("/customers/stranger/payment-methods", {"payment_method_token": "pm_card_visa"}),
    ]
    assert [(each.status_code, each.json["code"]) for each in refused] == [(403, "fraud_brake")] * 3


def test_another_application_goes_on(system: System) -> None:
    screen(system)
    attack(system)
    body = payment_request("late", "pm_card_visa") | {"user_id": "stranger"}
    accepted = system.post("/process", body, caller="other", Idempotency_Key="late").json
    system.run_until_idle()
    assert system.state(accepted["id"]) == "captured"


def test_declines_that_are_usual_put_no_brake_on(system: System) -> None:
    screen(system)
    for number in range(4):
        pay(system, f"usual-{number}", f"user-{number}", DECLINED if number % 2 else "pm_card_visa")
    system.advance(days=1)
    for number in range(16):
        pay(system, f"today-{number}", f"today-{number}", "pm_card_visa" if number % 4 == 0 else DECLINED)
    assert brake_events(system) == []
