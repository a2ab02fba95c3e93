"""The brake before the doors at which a caller waits: intents and setups for a front end, methods that are saved."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from werkzeug.test import TestResponse

from domain.fraud import RuleSet
from models.tables import events, fraud_reservations, fraud_signals, payments
from sandbox.stripe.api import Stripe
from tests.acceptance.harness import HTTP_SECONDS
from tests.page_customer import Customer
from tests.provider import SECRET_KEY
from tests.system import System
from worker.commands.fraud_brake import read_brakes

pytestmark = pytest.mark.postgres
NO_RULES = RuleSet("none", {})
DECLINED = "pm_card_visa_chargeDeclined"
_THREADS = 8


def owe(system: System, invoice: str, user: str = "user", amount: str = "12.30") -> None:
    body = {"user_id": user, "amount": amount, "currency": "EUR"}
    assert system.call("PUT", f"/invoices/{invoice}", body).status_code in (200, 201)


def ask_for_intent(system: System, number: int, user: str = "user", **facts: Any) -> TestResponse:
    owe(system, f"inv-{number}", user)
    return system.post("/stripe-intent", {"invoice_id": f"inv-{number}", **facts})


def ask_for_setup(system: System, number: int, user: str = "user", **facts: Any) -> TestResponse:
    return system.post("/setup-intent", {"user_id": user, **facts})


def ask_to_save(system: System, number: int, user: str = "user", **facts: Any) -> TestResponse:
    body = {"payment_method_token": f"pm_card_{'visa' if number % 2 else 'mastercard'}", **facts}
    return system.post(f"/customers/{user}/payment-methods", body)


DOORS: dict[str, Callable[..., TestResponse]] = {
    "intent": ask_for_intent,
    "setup": ask_for_setup,
    "attach": ask_to_save,
}


def account(system: System) -> Any:
    return system.sandbox.state.provider_of(Stripe).account


def provider_objects(system: System, door: str) -> int:
    known = account(system)
    attached = sum(1 for method in known.methods.values() if method.body["customer"] is not None)
    return {"intent": len(known.intents), "setup": len(known.setups), "attach": attached}[door]


def confirm(system: System, secret: str, card: str) -> None:
    """Try a card in what a front end was offered, as the customer's browser does."""
    reference = secret.partition("_secret_")[0]
    kind = "setup_intents" if reference.startswith("seti_") else "payment_intents"
    requests.post(
        f"{system.sandbox.url}/v1/{kind}/{reference}/confirm",
        data={"payment_method": card, "return_url": "https://shop.example/back"},
        auth=(SECRET_KEY, ""),
        timeout=HTTP_SECONDS,
    )


@pytest.mark.parametrize("door", DOORS)
def test_of_requests_at_once_a_limit_lets_exactly_so_many_through(system: System, door: str) -> None:
    system.screen_by(rule_set=NO_RULES, attempts_per_day=3)
    system.request("/setup-intent", {"user_id": "other"})
    before = provider_objects(system, door)
    with ThreadPoolExecutor(_THREADS) as callers:
        responses = list(callers.map(lambda number: DOORS[door](system, number), range(8)))
    assert sorted(response.status_code for response in responses) == [201] * 3 + [403] * 5
    refused = next(response.json for response in responses if response.status_code == 403)
    assert (refused["type"], refused["code"]) == ("fraud_blocked", "too_many_attempts")
    assert provider_objects(system, door) - before == 3
    assert len(system.rows(events, events.c.name == "fraud_limit_reached")) == 1


@pytest.mark.parametrize("door", DOORS)
def test_strangers_on_one_device_are_stopped_at_every_door(system: System, door: str) -> None:
    system.screen_by(rule_set=NO_RULES, most_strangers=3)
    responses = [
        DOORS[door](
            system, number, f"stranger-{number}", device_fingerprint="device", card={"fingerprint": str(number)}
        )
        for number in range(6)
    ]
    assert [response.status_code for response in responses] == [201] * 3 + [403] * 3


@pytest.mark.parametrize("door", ["intent", "setup"])
def test_slots_in_flight_make_a_stranger_of_the_same_bank_wait(system: System, door: str) -> None:
    system.screen_by(rule_set=NO_RULES, most_strangers=3)

    def ask(number: int) -> TestResponse:
        card = {"bin": "42424242", "fingerprint": str(number)}
        return DOORS[door](system, number, f"stranger-{number}", ip_address=f"203.0.113.{number}", card=card)

    assert [ask(number).status_code for number in range(3)] == [201] * 3
    late = ask(4)
    assert (late.status_code, late.json["type"], late.headers["Retry-After"]) == (429, "try_later", "2")
    system.move_clock(minutes=11)
    assert ask(5).status_code == 201


def test_an_intent_is_scored_with_what_its_invoice_owes(system: System) -> None:
    system.screen_by()
    owe(system, "inv", amount="90000")
    refused = system.post("/stripe-intent", {"invoice_id": "inv"})
    assert refused.status_code == 403
    accepted = system.accept(
        {"invoice_id": "direct", "user_id": "user", "amount": "90000", "currency": "EUR"}
        | {"payment_method": "credit_card", "payment_method_token": "pm_card_visa"}
    )
    system.run_until_idle()
    assert (refused.status_code, refused.json["type"], system.state(accepted["id"])) == (
        403,
        "fraud_blocked",
        "blocked",
    )
    assert provider_objects(system, "intent") == 0
    assert [row.id for row in system.rows(payments)] == [accepted["id"]]
    [event] = system.rows(events, events.c.name == "fraud_door_blocked")
    assert event.data["reasons"] == ["amount", "over_limit", "user_first_payment", "method_risk"]


def test_a_score_that_wants_a_person_is_refused_and_one_to_verify_authenticates(system: System) -> None:
    system.screen_by()
    owe(system, "inv-1", amount="20000")
    refused = system.post("/stripe-intent", {"invoice_id": "inv-1"})
    assert (refused.status_code, refused.json["type"]) == (403, "review_required")
    owe(system, "inv-2", amount="1500")
    intent = system.request("/stripe-intent", {"invoice_id": "inv-2"})
    [stored] = account(system).intents.values()
    assert stored.body["payment_method_options"]["card"]["request_three_d_secure"] == "any"
    assert system.get(f"/{intent['payment_id']}").json["fraud"]["decision"] == "verify"


def test_cards_that_are_declined_on_one_intent_use_up_the_limit_and_end_it(system: System) -> None:
    system.screen_by(rule_set=NO_RULES, attempts_per_day=4)
    intent = ask_for_intent(system, 1).json
    declines = 0
    for _ in range(20):
        if system.provider.intent_status(intent["payment_id"]) == "canceled":
            break
        confirm(system, intent["client_secret"], DECLINED)
        declines += 1
        system.deliver_and_run(
            system.provider.event("payment_intent.payment_failed", system.reference(intent["payment_id"]))
        )
    assert declines == 4
    assert (system.state(intent["payment_id"]), system.payment(intent["payment_id"]).failure_code) == (
        "canceled",
        "too_many_attempts",
    )
    assert system.event_names(intent["payment_id"]).count("intent_exhausted") == 1
    kinds = [row.kind for row in system.rows(fraud_signals)]
    assert (kinds.count("try"), kinds.count("declined")) == (4, 4)
    assert ask_for_intent(system, 2).status_code == 403


def test_a_card_that_pays_after_declines_ends_nothing(system: System) -> None:
    system.screen_by(rule_set=NO_RULES, attempts_per_day=4)
    intent = ask_for_intent(system, 1).json
    for _ in range(3):
        confirm(system, intent["client_secret"], DECLINED)
        system.deliver_and_run(
            system.provider.event("payment_intent.payment_failed", system.reference(intent["payment_id"]))
        )
    confirm(system, intent["client_secret"], "pm_card_visa")
    system.deliver_and_run(system.provider.event("payment_intent.succeeded", system.reference(intent["payment_id"])))
    assert system.state(intent["payment_id"]) == "captured"
    assert ask_for_intent(system, 2).status_code == 403


def test_cards_that_are_declined_in_one_setup_use_up_the_limit_and_end_it(system: System) -> None:
    system.screen_by(rule_set=NO_RULES, attempts_per_day=4)
    setup = system.request("/setup-intent", {"user_id": "user"})
    declines = 0
    for _ in range(20):
        stored = account(system).setups[setup["setup_id"]]
        if stored.body["status"] == "canceled":
            break
        confirm(system, setup["client_secret"], DECLINED)
        declines += 1
        system.deliver_and_run(system.provider.event("setup_intent.setup_failed", setup["setup_id"]))
    assert declines == 4
    assert len(system.rows(events, events.c.name == "setup_exhausted")) == 1
    assert system.post("/setup-intent", {"user_id": "user"}).status_code == 403


def test_a_method_that_its_issuer_refuses_is_a_declined_try(system: System) -> None:
    system.screen_by(rule_set=NO_RULES)
    body = {"payment_method_token": DECLINED}
    assert system.post("/customers/user/payment-methods", body).status_code == 422
    assert [row.kind for row in system.rows(fraud_signals)] == ["try", "declined"]
    assert {row.state for row in system.rows(fraud_reservations)} == {"failed"}


def test_a_method_that_nobody_knows_uses_up_nothing(system: System) -> None:
    system.screen_by(rule_set=NO_RULES, attempts_per_day=1)
    assert system.post("/customers/user/payment-methods", {"payment_method_token": "pm_unknown"}).status_code == 404
    assert system.rows(fraud_reservations) == []
    assert ask_to_save(system, 1).status_code == 201


def test_a_setup_that_could_not_be_opened_uses_up_nothing(system: System) -> None:
    system.screen_by(rule_set=NO_RULES, attempts_per_day=1)
    system.provider.fail("setup_intents.create", "error_before")
    assert system.post("/setup-intent", {"user_id": "user"}).status_code == 502
    assert system.rows(fraud_reservations) == []
    assert ask_for_setup(system, 1).status_code == 201


def test_asking_again_for_the_same_intent_is_no_further_try(system: System) -> None:
    system.screen_by(rule_set=NO_RULES, attempts_per_day=1)
    assert [ask_for_intent(system, 1).status_code for _ in range(3)] == [201] * 3


def test_a_form_that_nobody_pays_with_holds_no_slot_for_long_and_makes_nobody_known(system: System) -> None:
    system.screen_by(rule_set=NO_RULES, attempts_per_day=1)
    assert [ask_for_intent(system, number).status_code for number in (1, 2)] == [201, 403]
    system.move_clock(minutes=11)
    assert ask_for_intent(system, 3).status_code == 201
    assert {row.kind for row in system.rows(fraud_signals)} == {"opened"}


@pytest.mark.parametrize("door", DOORS)
def test_without_fraud_detection_every_door_is_open(system: System, door: str) -> None:
    system.screen_by(is_enabled=False, attempts_per_day=1)
    assert [DOORS[door](system, number).status_code for number in range(3)] == [201] * 3
    assert system.rows(fraud_reservations) == []


def test_a_customer_on_the_pay_page_who_has_tried_enough_may_enter_no_further_card(system: System) -> None:
    system.screen_by(rule_set=NO_RULES, attempts_per_day=1)
    assert ask_for_intent(system, 1).status_code == 201
    owe(system, "debt")
    customer = Customer(system)
    customer.open(str(system.post("/invoices/debt/pay-link").json["url"]))
    page = customer.press("Continue to payment")
    assert (customer.status, "not possible here" in page.text) == (422, True)
    assert len(account(system).intents) == 1


def test_the_command_shows_what_was_refused(system: System) -> None:
    system.screen_by(rule_set=NO_RULES, attempts_per_day=1)
    for number in range(4):
        ask_for_intent(system, number)
    shown = system.runtime.read(read_brakes, system.runtime)
    assert shown == {"brakes": [], "refused": {"user": 3}}
