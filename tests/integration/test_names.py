"""Invoices, subscriptions and users of two applications that have the same names: dunning, reviews, fraud, races."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from domain.errors import CollectionInProgress
from domain.payment import State
from domain.routing import Choice
from models.accept_payment import accept_payment
from models.idempotency import Caller
from models.request_bodies import ProcessPayment
from models.session import transact
from models.tables import fraud_assessments, payments, subscriptions
from tests.patience import patient
from tests.system import INSUFFICIENT_FUNDS, LOST_CARD, Json, System, payment_request

pytestmark = pytest.mark.postgres

APPLICATIONS = ("shop", "other")
SUSPECT = "30000.00"


def pay(system: System, caller: str, card: str = "pm_card_visa", invoice: str = "inv", **fields: Any) -> str:
    """Let an application collect an invoice; return the payment's id once nothing more happens by itself."""
    body = payment_request(invoice, card) | fields
    payment_id = system.request("/process", body, caller=caller, Idempotency_Key=f"{invoice} {fields}")["id"]
    system.run_until_idle()
    return str(payment_id)


def subscribe_both(system: System, card: str = INSUFFICIENT_FUNDS) -> list[str]:
    """Let each application collect the invoice `inv` of its subscription `sub`."""
    return [pay(system, caller, card, subscription_id="sub") for caller in APPLICATIONS]


def statuses(system: System) -> Json:
    return {row.application: row.status for row in system.rows(subscriptions)}


def test_an_invoice_that_is_paid_otherwise_ends_the_dunning_of_its_own_application(system: System) -> None:
    shops, others = subscribe_both(system)
    pay(system, "shop")
    assert [system.state(one) for one in (shops, others)] == ["canceled", "past_due"]
    assert statuses(system) == {"shop": "active", "other": "incomplete"}


def test_a_retry_collects_although_the_other_application_is_being_paid(system: System) -> None:
    _, others = [pay(system, caller, recovering(system), subscription_id="sub") for caller in APPLICATIONS]
    assert system.post("/stripe-intent", {"invoice_id": "inv"}).status_code == 201
    system.advance(days=3, minutes=1)
    assert system.state(others) == "captured"
    assert statuses(system) == {"shop": "incomplete", "other": "active"}


def recovering(system: System) -> str:
    return system.provider.scripted_card("insufficient_funds", "success")


def test_a_subscription_that_ends_leaves_that_of_the_other_application(system: System) -> None:
    system.screen_by(is_velocity_checked=False, review_expires_after=timedelta(days=30))
    pay(system, "shop", LOST_CARD, subscription_id="sub")
    held = pay(system, "other", amount=SUSPECT, subscription_id="sub")
    for _ in range(8):
        system.advance(days=1)
    assert statuses(system) == {"shop": "canceled", "other": "incomplete"}
    pay(system, "shop")
    # Its own debt is owed, whatever became of the other one.
    approved = system.post(f"/{held}/review", {"decision": "approve"}, caller="operator")
    assert approved.status_code == 202
    system.run_until_idle()
    assert system.state(held) == "captured"
    refused = system.post(
        "/process", payment_request("next", "pm_card_visa") | {"subscription_id": "sub"}, Idempotency_Key="next"
    )
    assert (refused.status_code, refused.json["type"]) == (409, "conflict")
    pay(system, "other", invoice="next", subscription_id="sub")


def test_a_users_payments_are_counted_for_one_application(system: System) -> None:
    system.screen_by(attempts_per_day=1000)
    for number in range(5):
        pay(system, "shop", "pm_card_visa_chargeDeclined", invoice=f"inv-{number}")
    rules = {}
    for caller in APPLICATIONS:
        payment_id = pay(system, caller)
        is_first = (fraud_assessments.c.payment_id == payment_id) & (fraud_assessments.c.number == 1)
        [row] = system.rows(fraud_assessments, is_first)
        rules[caller] = [reason["rule"] for reason in row.reasons]
    assert "user_declines_hour" in rules["shop"]
    assert rules["other"] == ["user_first_payment", "method_risk"]


# --- at once ---


def test_of_requests_at_once_each_application_has_one_live_collection(system: System) -> None:
    request, now = (
        ProcessPayment.parse(payment_request("inv", "pm_card_visa") | {"subscription_id": "sub"}),
        system.now(),
    )

    def accept(number: int) -> str:
        application = APPLICATIONS[number % 2]
        caller, choices = Caller(application, f"app:{application}"), (Choice("stripe", "preferred"),)
        try:
            transact(system.engine, accept_payment, request, caller, f"key-{number}", now, choices)
        except CollectionInProgress:
            return f"{application} refused"
        return f"{application} accepted"

    with ThreadPoolExecutor(8) as pool:
        found = Counter(pool.map(accept, range(8)))
    assert found == {f"{name} accepted": 1 for name in APPLICATIONS} | {f"{name} refused": 3 for name in APPLICATIONS}


def test_the_index_alone_holds_back_a_second_collection_of_one_application(system: System) -> None:
    declined = {caller: pay(system, caller, "pm_card_visa_chargeDeclined") for caller in APPLICATIONS}

    def live(caller: str, name: str) -> Json:
        return system.payment(declined[caller])._asdict() | {"id": f"pay_{name}", "state": State.ACCEPTED}

    def collect(row: Json) -> None:
        transact(system.engine, lambda connection: connection.execute(insert(payments), row))

    with ThreadPoolExecutor(1) as pool, system.engine.connect() as first:
        first.execute(insert(payments), live("shop", "first"))
        # The other application does not even wait.
        collect(live("other", "theirs"))
        second = pool.submit(collect, live("shop", "second"))
        first.commit()
        with pytest.raises(IntegrityError, match="uq_payments_one_live_collection"):
            second.result(timeout=patient(30))
