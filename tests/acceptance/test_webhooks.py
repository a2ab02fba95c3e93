"""Webhooks may come twice, thrice, in any order, forged, late or never: the end is the same."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import requests
import stripe

from tests.acceptance.harness import (
    API,
    HTTP_SECONDS,
    READ_SECONDS,
    WEBHOOK_SECRET,
    House,
    Json,
    eventually,
    order,
    reference,
    sepa_order,
    unique,
)

pytestmark = [pytest.mark.acceptance, pytest.mark.postgres]
CHALLENGED = "pm_card_authenticationRequired"


def captured_later(house: House) -> str:
    """Authorize and capture in part."""
    payment = house.merchant.pay(order(amount="80.00", capture=False), "authorized")
    house.merchant.operate(payment["id"], "capture", {"amount": "55.00"})
    return str(house.merchant.wait(payment["id"], "captured")["id"])


def refunded_twice(house: House) -> str:
    """Charge, and give back in two parts."""
    payment = house.merchant.pay(order(amount="30.00"))
    for amount in ("10.00", "20.00"):
        house.merchant.operate(payment["id"], "refunds", {"amount": amount})
    return str(house.merchant.wait(payment["id"], "refunded")["id"])


def released(house: House) -> str:
    """Authorize and cancel."""
    payment = house.merchant.pay(order(capture=False), "authorized")
    house.merchant.operate(payment["id"], "cancel")
    return str(house.merchant.wait(payment["id"], "voided")["id"])


def declined(house: House) -> str:
    """Decline."""
    return str(house.merchant.pay(order("pm_card_chargeDeclined"), "declined")["id"])


COURSES: list[Callable[[House], str]] = [captured_later, refunded_twice, released, declined]


@pytest.mark.parametrize("course", COURSES, ids=lambda course: course.__name__)
def test_three_copies_in_reverse_order_change_nothing(house: House, course: Callable[[House], str]) -> None:
    house.provider.disturb(paused=True, duplicate=3, reorder=True)
    payment_id = course(house)
    at_rest, told = house.merchant.payment(payment_id), house.events(payment_id)
    _let_all_be_delivered(house)
    assert house.merchant.payment(payment_id) == at_rest
    assert house.events(payment_id) == told
    _assert_each_kept_once(house, payment_id)
    house.assert_books_agree(payment_id)


@pytest.mark.parametrize("kind", ["sepa", "3ds"])
def test_a_payment_that_webhooks_settle_is_settled_once(house: House, kind: str) -> None:
    house.provider.disturb(paused=True, duplicate=3, reorder=True)
    payment = _waiting_sepa(house) if kind == "sepa" else _waiting_3ds(house)
    (house.provider.settle if kind == "sepa" else house.provider.authenticate)(reference(payment))
    _let_all_be_delivered(house)
    house.merchant.wait(payment["id"], "captured")
    house.assert_charged_once(payment["id"])
    assert house.events(payment["id"]).count("charge_approved") == 1
    _assert_each_kept_once(house, payment["id"])


def test_sepa_settles_by_webhook(house: House) -> None:
    payment = _waiting_sepa(house)
    house.provider.settle(reference(payment))
    house.merchant.wait(payment["id"], "captured")
    house.assert_charged_once(payment["id"])
    assert _actor_of(house, payment["id"], "charge_approved") == "webhook:stripe"


def test_sepa_that_the_bank_refuses_is_declined(house: House) -> None:
    payment = _waiting_sepa(house)
    house.provider.settle(reference(payment), "failure")
    house.merchant.wait(payment["id"], "declined")
    assert house.provider.movements(payment["id"]) == []
    house.assert_books_agree(payment["id"])


def test_3ds_settles_by_webhook(house: House) -> None:
    payment = _waiting_3ds(house)
    assert payment["next_action"]["redirect_url"].startswith(house.provider.url)
    house.provider.authenticate(reference(payment))
    house.merchant.wait(payment["id"], "captured")
    house.assert_charged_once(payment["id"])
    assert _actor_of(house, payment["id"], "charge_approved") == "webhook:stripe"


def test_3ds_that_the_customer_fails_is_declined(house: House) -> None:
    payment = _waiting_3ds(house)
    house.provider.authenticate(reference(payment), "failure")
    house.merchant.wait(payment["id"], "declined")
    assert house.provider.movements(payment["id"]) == []


def test_an_intent_of_a_front_end_settles_by_webhook(house: House) -> None:
    invoice_id = unique("inv")
    invoice = {"user_id": unique("user"), "amount": "12.50", "currency": "EUR"}
    assert house.merchant.send("PUT", f"/invoices/{invoice_id}", invoice).status_code == 201
    opened = house.merchant.send("POST", "/stripe-intent", {"invoice_id": invoice_id}).json()
    intent = opened["client_secret"].split("_secret_")[0]
    form = {"payment_method": "pm_card_visa", "return_url": "https://shop.example/thanks"}
    house.provider.call("POST", f"/v1/payment_intents/{intent}/confirm", data=form)
    house.merchant.wait(opened["payment_id"], "captured")
    house.assert_charged_once(opened["payment_id"])


@pytest.mark.parametrize("kind", ["sepa", "3ds"])
def test_a_lost_webhook_is_made_up_for_by_a_look_up(house: House, kind: str) -> None:
    house.provider.disturb(drop_rate=1)
    payment = _waiting_sepa(house) if kind == "sepa" else _waiting_3ds(house)
    (house.provider.settle if kind == "sepa" else house.provider.authenticate)(reference(payment))
    assert house.merchant.payment(payment["id"])["status"] in ("pending", "requires_action")
    house.provider.advance(seconds=90)
    house.merchant.wait(payment["id"], "captured")
    house.assert_charged_once(payment["id"])
    assert _kept(house, payment["id"]) == []


def test_a_refund_made_in_the_dashboard_is_in_our_books(house: House) -> None:
    payment = house.merchant.pay(order(amount="30.00"))
    form = {"payment_intent": reference(payment), "amount": "700"}
    house.provider.disturb(duplicate=3)
    house.provider.call("POST", "/v1/refunds", data=form)
    house.merchant.wait(payment["id"], "partially_refunded")
    _let_all_be_delivered(house)
    assert house.assert_books_agree(payment["id"])["refunded_amount"] == "7.00"
    assert house.events(payment["id"]).count("refunded_partly") == 1


def test_a_refund_that_fails_later_is_taken_back(house: House) -> None:
    payment = house.merchant.pay(order("pm_card_refundFail", amount="30.00"))
    house.merchant.operate(payment["id"], "refunds", {"amount": "7.00"})
    made = house.merchant.wait(payment["id"], "partially_refunded")["attempts"][-1]["provider_reference"]
    house.provider.call("POST", f"/_sandbox/refunds/{made}/settle", json={"result": "failure"})
    house.merchant.wait(payment["id"], "captured")
    assert house.assert_books_agree(payment["id"])["refunded_amount"] == "0.00"


def test_a_forged_signature_leaves_nothing_but_the_fact(house: House) -> None:
    before = len(_refusals(house))
    event_id = unique("evt")
    response = _deliver(house, _event(event_id, "payment_intent.succeeded"), secret="whsec_forged")
    assert response.status_code == 400
    assert response.headers["Content-Type"] == "application/problem+json"
    assert house.rows("SELECT id FROM webhook_events WHERE event_id = %s", event_id) == []
    eventually(lambda: len(_refusals(house)) == before + 1, "the record of a refused webhook")
    assert set(_refusals(house)[-1]["data"]) == {"provider", "reason"}


def test_an_old_signature_is_refused(house: House) -> None:
    event_id = unique("evt")
    body = _event(event_id, "payment_intent.succeeded")
    assert _deliver(house, body, age_seconds=301 + 60).status_code == 400
    assert house.rows("SELECT id FROM webhook_events WHERE event_id = %s", event_id) == []
    assert _deliver(house, body, age_seconds=200).status_code == 200


def test_an_event_of_an_unknown_type_is_kept_and_ignored(house: House) -> None:
    event_id = unique("evt")
    body = _event(event_id, "climate.order.delivered")
    assert [_deliver(house, body).status_code for _ in range(2)] == [200, 200]
    query = "SELECT status FROM webhook_events WHERE event_id = %s"
    eventually(lambda: house.rows(query, event_id) == [{"status": "ignored"}], "an ignored event")


def test_an_event_about_somebody_elses_object_is_ignored(house: House) -> None:
    form = {"amount": "900", "currency": "eur", "payment_method": "pm_card_visa", "confirm": "true"}
    form |= {"allowed_payment_method_types[]": "card"}
    intent = house.provider.call("POST", "/v1/payment_intents", data=form)["id"]
    query = "SELECT status FROM webhook_events WHERE payload LIKE %s AND type = 'payment_intent.succeeded'"
    eventually(lambda: house.rows(query, f"%{intent}%") == [{"status": "ignored"}], "an ignored event")


def test_webhooks_that_come_while_the_call_is_in_flight_do_no_harm(house: House) -> None:
    house.provider.fault("payment_intents.confirm", "timeout_after", seconds=0.75 * READ_SECONDS)
    payment = house.merchant.pay(order())
    _let_all_be_delivered(house)
    house.assert_charged_once(payment["id"])
    assert house.events(payment["id"]).count("charge_approved") == 1


def _waiting_sepa(house: House) -> Json:
    return house.merchant.pay(sepa_order(house.provider), "pending")


def _waiting_3ds(house: House) -> Json:
    return house.merchant.pay(order(CHALLENGED, return_url="https://shop.example/thanks"), "requires_action")


def _let_all_be_delivered(house: House) -> None:
    """End the mischief, newest first, and wait until each stored event was dealt with."""
    house.provider.disturb(paused=False)
    eventually(lambda: house.provider.deliveries()["pending"] == 0, "the delivery of all webhooks")
    query = "SELECT count(*) AS waiting FROM webhook_events WHERE status = 'stored'"
    eventually(lambda: house.rows(query) == [{"waiting": 0}], "an end of all stored webhooks")


def _kept(house: House, payment_id: str) -> list[Json]:
    query = "SELECT event_id, status FROM webhook_events WHERE payload LIKE %s ORDER BY id"
    return house.rows(query, f"%{payment_id}%")


def _assert_each_kept_once(house: House, payment_id: str) -> None:
    kept = _kept(house, payment_id)
    assert kept
    assert len({row["event_id"] for row in kept}) == len(kept)
    assert {row["status"] for row in kept} <= {"applied", "ignored"}


def _actor_of(house: House, payment_id: str, event: str) -> str:
    [row] = house.rows("SELECT actor FROM events WHERE payment_id = %s AND name = %s", payment_id, event)
    return str(row["actor"])


def _refusals(house: House) -> list[Json]:
    return house.rows("SELECT data FROM events WHERE name = 'webhook_refused' ORDER BY id")


def _event(event_id: str, kind: str) -> bytes:
    thing = {"id": "thing_unknown", "object": kind.rpartition(".")[0]}
    return json.dumps(
        {"id": event_id, "object": "event", "type": kind, "livemode": False, "data": {"object": thing}}
    ).encode()


def _deliver(house: House, body: bytes, *, secret: str = WEBHOOK_SECRET, age_seconds: float = 0) -> requests.Response:
    """Deliver a webhook signed as the provider signs it."""
    stamp = int(house.provider.now() - age_seconds)
    signature = stripe.WebhookSignature._compute_signature(f"{stamp}.{body.decode()}", secret)
    headers = {"Stripe-Signature": f"t={stamp},v1={signature}", "Content-Type": "application/json"}
    return requests.post(f"{house.web_url}{API}/webhooks/stripe", data=body, headers=headers, timeout=HTTP_SECONDS)
