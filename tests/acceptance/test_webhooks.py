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
    Json,
    RunningSystem,
    eventually,
    payment_body,
    reference,
    sepa_body,
    unique,
)

pytestmark = [pytest.mark.acceptance, pytest.mark.postgres]
CHALLENGED = "pm_card_authenticationRequired"


def captured_later(system: RunningSystem) -> str:
    """Authorize and capture in part."""
    payment = system.merchant.pay(payment_body(amount="80.00", capture=False), "authorized")
    system.merchant.operate(payment["id"], "capture", {"amount": "55.00"})
    return str(system.merchant.wait(payment["id"], "captured")["id"])


def refunded_twice(system: RunningSystem) -> str:
    """Charge, and give back in two parts."""
    payment = system.merchant.pay(payment_body(amount="30.00"))
    for amount in ("10.00", "20.00"):
        system.merchant.operate(payment["id"], "refunds", {"amount": amount})
    return str(system.merchant.wait(payment["id"], "refunded")["id"])


def released(system: RunningSystem) -> str:
    """Authorize and cancel."""
    payment = system.merchant.pay(payment_body(capture=False), "authorized")
    system.merchant.operate(payment["id"], "cancel")
    return str(system.merchant.wait(payment["id"], "voided")["id"])


def declined(system: RunningSystem) -> str:
    """Decline."""
    return str(system.merchant.pay(payment_body("pm_card_chargeDeclined"), "declined")["id"])


COURSES: list[Callable[[RunningSystem], str]] = [captured_later, refunded_twice, released, declined]


@pytest.mark.parametrize("course", COURSES, ids=lambda course: course.__name__)
def test_three_copies_in_reverse_order_change_nothing(
    system: RunningSystem, course: Callable[[RunningSystem], str]
) -> None:
    system.provider.disturb(paused=True, duplicate=3, reorder=True)
    payment_id = course(system)
    at_rest, told = system.merchant.payment(payment_id), system.events(payment_id)
    _let_all_be_delivered(system)
    assert system.merchant.payment(payment_id) == at_rest
    assert system.events(payment_id) == told
    _assert_each_kept_once(system, payment_id)
    system.assert_books_agree(payment_id)


@pytest.mark.parametrize("kind", ["sepa", "3ds"])
def test_a_payment_that_webhooks_decide_is_decided_once(system: RunningSystem, kind: str) -> None:
    system.provider.disturb(paused=True, duplicate=3, reorder=True)
    payment = _waiting_sepa(system) if kind == "sepa" else _waiting_3ds(system)
    (system.provider.settle if kind == "sepa" else system.provider.authenticate)(reference(payment))
    _let_all_be_delivered(system)
    system.merchant.wait(payment["id"], "captured")
    system.assert_charged_once(payment["id"])
    assert system.events(payment["id"]).count("charge_approved") == 1
    _assert_each_kept_once(system, payment["id"])


def test_a_webhook_completes_a_sepa_debit(system: RunningSystem) -> None:
    payment = _waiting_sepa(system)
    system.provider.settle(reference(payment))
    system.merchant.wait(payment["id"], "captured")
    system.assert_charged_once(payment["id"])
    assert _actor_of(system, payment["id"], "charge_approved") == "webhook:stripe"


def test_a_sepa_debit_that_the_bank_refuses_is_declined(system: RunningSystem) -> None:
    payment = _waiting_sepa(system)
    system.provider.settle(reference(payment), "failure")
    system.merchant.wait(payment["id"], "declined")
    assert system.provider.movements(payment["id"]) == []
    system.assert_books_agree(payment["id"])


def test_a_webhook_completes_3d_secure(system: RunningSystem) -> None:
    payment = _waiting_3ds(system)
    assert payment["next_action"]["redirect_url"].startswith(system.provider.url)
    system.provider.authenticate(reference(payment))
    system.merchant.wait(payment["id"], "captured")
    system.assert_charged_once(payment["id"])
    assert _actor_of(system, payment["id"], "charge_approved") == "webhook:stripe"


def test_a_failed_3d_secure_is_declined(system: RunningSystem) -> None:
    payment = _waiting_3ds(system)
    system.provider.authenticate(reference(payment), "failure")
    system.merchant.wait(payment["id"], "declined")
    assert system.provider.movements(payment["id"]) == []


def test_a_webhook_completes_an_intent_of_a_front_end(system: RunningSystem) -> None:
    invoice_id = unique("inv")
    invoice = {"user_id": unique("user"), "amount": "12.50", "currency": "EUR"}
    assert system.merchant.send("PUT", f"/invoices/{invoice_id}", invoice).status_code == 201
    opened = system.merchant.send("POST", "/stripe-intent", {"invoice_id": invoice_id}).json()
    intent = opened["client_secret"].split("_secret_")[0]
    form = {"payment_method": "pm_card_visa", "return_url": "https://shop.example/thanks"}
    system.provider.call("POST", f"/v1/payment_intents/{intent}/confirm", data=form)
    system.merchant.wait(opened["payment_id"], "captured")
    system.assert_charged_once(opened["payment_id"])


@pytest.mark.parametrize("kind", ["sepa", "3ds"])
def test_a_look_up_replaces_a_lost_webhook(system: RunningSystem, kind: str) -> None:
    system.provider.disturb(drop_rate=1)
    payment = _waiting_sepa(system) if kind == "sepa" else _waiting_3ds(system)
    (system.provider.settle if kind == "sepa" else system.provider.authenticate)(reference(payment))
    assert system.merchant.payment(payment["id"])["status"] in ("pending", "requires_action")
    system.provider.advance(seconds=90)
    system.merchant.wait(payment["id"], "captured")
    system.assert_charged_once(payment["id"])
    assert _kept(system, payment["id"]) == []


def test_a_refund_made_in_the_dashboard_is_booked(system: RunningSystem) -> None:
    payment = system.merchant.pay(payment_body(amount="30.00"))
    form = {"payment_intent": reference(payment), "amount": "700"}
    system.provider.disturb(duplicate=3)
    system.provider.call("POST", "/v1/refunds", data=form)
    system.merchant.wait(payment["id"], "partially_refunded")
    _let_all_be_delivered(system)
    assert system.assert_books_agree(payment["id"])["refunded_amount"] == "7.00"
    assert system.events(payment["id"]).count("refunded_partly") == 1


def test_a_refund_that_fails_later_is_reversed(system: RunningSystem) -> None:
    payment = system.merchant.pay(payment_body("pm_card_refundFail", amount="30.00"))
    system.merchant.operate(payment["id"], "refunds", {"amount": "7.00"})
    made = system.merchant.wait(payment["id"], "partially_refunded")["attempts"][-1]["provider_reference"]
    system.provider.call("POST", f"/_sandbox/refunds/{made}/settle", json={"result": "failure"})
    system.merchant.wait(payment["id"], "captured")
    assert system.assert_books_agree(payment["id"])["refunded_amount"] == "0.00"


def test_a_forged_signature_is_recorded_without_its_content(system: RunningSystem) -> None:
    before = len(_refusals(system))
    event_id = unique("evt")
    response = _deliver(system, _event(event_id, "payment_intent.succeeded"), secret="whsec_forged")
    assert response.status_code == 400
    assert response.headers["Content-Type"] == "application/problem+json"
    assert system.rows("SELECT id FROM webhook_events WHERE event_id = %s", event_id) == []
    eventually(lambda: len(_refusals(system)) == before + 1, "the record of a refused webhook")
    assert set(_refusals(system)[-1]["data"]) == {"provider", "reason"}


def test_an_old_signature_is_refused(system: RunningSystem) -> None:
    event_id = unique("evt")
    body = _event(event_id, "payment_intent.succeeded")
    assert _deliver(system, body, age_seconds=301 + 60).status_code == 400
    assert system.rows("SELECT id FROM webhook_events WHERE event_id = %s", event_id) == []
    assert _deliver(system, body, age_seconds=200).status_code == 200


def test_an_event_of_an_unknown_type_is_kept_and_ignored(system: RunningSystem) -> None:
    event_id = unique("evt")
    body = _event(event_id, "climate.order.delivered")
    assert [_deliver(system, body).status_code for _ in range(2)] == [200, 200]
    query = "SELECT status FROM webhook_events WHERE event_id = %s"
    eventually(lambda: system.rows(query, event_id) == [{"status": "ignored"}], "an ignored event")


def test_an_event_about_an_unknown_object_is_ignored(system: RunningSystem) -> None:
    form = {"amount": "900", "currency": "eur", "payment_method": "pm_card_visa", "confirm": "true"}
    form |= {"allowed_payment_method_types[]": "card"}
    intent = system.provider.call("POST", "/v1/payment_intents", data=form)["id"]
    query = "SELECT status FROM webhook_events WHERE payload LIKE %s AND type = 'payment_intent.succeeded'"
    eventually(lambda: system.rows(query, f"%{intent}%") == [{"status": "ignored"}], "an ignored event")


def test_webhooks_during_the_call_change_nothing(system: RunningSystem) -> None:
    system.provider.fault("payment_intents.confirm", "timeout_after", seconds=0.75 * READ_SECONDS)
    payment = system.merchant.pay(payment_body())
    _let_all_be_delivered(system)
    system.assert_charged_once(payment["id"])
    assert system.events(payment["id"]).count("charge_approved") == 1


def _waiting_sepa(system: RunningSystem) -> Json:
    return system.merchant.pay(sepa_body(system.provider), "pending")


def _waiting_3ds(system: RunningSystem) -> Json:
    return system.merchant.pay(payment_body(CHALLENGED, return_url="https://shop.example/thanks"), "requires_action")


def _let_all_be_delivered(system: RunningSystem) -> None:
    """End the mischief, newest first, and wait until each stored event was dealt with."""
    system.provider.disturb(paused=False)
    eventually(lambda: system.provider.deliveries()["pending"] == 0, "the delivery of all webhooks")
    query = "SELECT count(*) AS waiting FROM webhook_events WHERE status = 'stored'"
    eventually(lambda: system.rows(query) == [{"waiting": 0}], "an end of all stored webhooks")


def _kept(system: RunningSystem, payment_id: str) -> list[Json]:
    query = "SELECT event_id, status FROM webhook_events WHERE payload LIKE %s ORDER BY id"
    return system.rows(query, f"%{payment_id}%")


def _assert_each_kept_once(system: RunningSystem, payment_id: str) -> None:
    kept = _kept(system, payment_id)
    assert kept
    assert len({row["event_id"] for row in kept}) == len(kept)
    assert {row["status"] for row in kept} <= {"applied", "ignored"}


def _actor_of(system: RunningSystem, payment_id: str, event: str) -> str:
    [row] = system.rows("SELECT actor FROM events WHERE payment_id = %s AND name = %s", payment_id, event)
    return str(row["actor"])


def _refusals(system: RunningSystem) -> list[Json]:
    return system.rows("SELECT data FROM events WHERE name = 'webhook_refused' ORDER BY id")


def _event(event_id: str, kind: str) -> bytes:
    thing = {"id": "thing_unknown", "object": kind.rpartition(".")[0]}
    return json.dumps(
        {"id": event_id, "object": "event", "type": kind, "livemode": False, "data": {"object": thing}}
    ).encode()


def _deliver(
    system: RunningSystem, body: bytes, *, secret: str = WEBHOOK_SECRET, age_seconds: float = 0
) -> requests.Response:
    """Deliver a webhook signed as the provider signs it."""
    stamp = int(system.provider.now() - age_seconds)
    signature = stripe.WebhookSignature._compute_signature(f"{stamp}.{body.decode()}", secret)
    headers = {"Stripe-Signature": f"t={stamp},v1={signature}", "Content-Type": "application/json"}
    return requests.post(f"{system.web_url}{API}/webhooks/stripe", data=body, headers=headers, timeout=HTTP_SECONDS)
