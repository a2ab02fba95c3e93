"""Webhooks come twice, three times, in any order, forged, late or never: the payments end the same."""

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
    Deployment,
    Json,
    eventually,
    payment_body,
    reference,
    sepa_body,
    unique,
)

pytestmark = [pytest.mark.acceptance, pytest.mark.postgres]
CHALLENGED = "pm_card_authenticationRequired"


def captured_later(deployment: Deployment) -> str:
    """Authorize and capture in part."""
    payment = deployment.merchant.pay(payment_body(amount="80.00", capture=False), "authorized")
    deployment.merchant.operate(payment["id"], "capture", {"amount": "55.00"})
    return str(deployment.merchant.wait(payment["id"], "captured")["id"])


def refunded_twice(deployment: Deployment) -> str:
    """Charge, and give back in two parts."""
    payment = deployment.merchant.pay(payment_body(amount="30.00"))
    for amount in ("10.00", "20.00"):
        deployment.merchant.operate(payment["id"], "refunds", {"amount": amount})
    return str(deployment.merchant.wait(payment["id"], "refunded")["id"])


def released(deployment: Deployment) -> str:
    """Authorize and cancel."""
    payment = deployment.merchant.pay(payment_body(capture=False), "authorized")
    deployment.merchant.operate(payment["id"], "cancel")
    return str(deployment.merchant.wait(payment["id"], "voided")["id"])


def declined(deployment: Deployment) -> str:
    """Decline."""
    return str(deployment.merchant.pay(payment_body("pm_card_chargeDeclined"), "declined")["id"])


COURSES: list[Callable[[Deployment], str]] = [captured_later, refunded_twice, released, declined]


@pytest.mark.parametrize("course", COURSES, ids=lambda course: course.__name__)
def test_three_copies_in_reverse_order_change_nothing(
    deployment: Deployment, course: Callable[[Deployment], str]
) -> None:
    deployment.provider.disturb(paused=True, duplicate=3, reorder=True)
    payment_id = course(deployment)
    at_rest, told = deployment.merchant.payment(payment_id), deployment.events(payment_id)
    _let_all_be_delivered(deployment)
    assert deployment.merchant.payment(payment_id) == at_rest
    assert deployment.events(payment_id) == told
    _assert_each_kept_once(deployment, payment_id)
    deployment.assert_books_agree(payment_id)


@pytest.mark.parametrize("kind", ["sepa", "3ds"])
def test_a_payment_that_webhooks_decide_is_decided_once(deployment: Deployment, kind: str) -> None:
    deployment.provider.disturb(paused=True, duplicate=3, reorder=True)
    payment = _waiting_sepa(deployment) if kind == "sepa" else _waiting_3ds(deployment)
    (deployment.provider.settle if kind == "sepa" else deployment.provider.authenticate)(reference(payment))
    _let_all_be_delivered(deployment)
    deployment.merchant.wait(payment["id"], "captured")
    deployment.assert_charged_once(payment["id"])
    assert deployment.events(payment["id"]).count("charge_approved") == 1
    _assert_each_kept_once(deployment, payment["id"])


def test_a_webhook_completes_a_sepa_debit(deployment: Deployment) -> None:
    payment = _waiting_sepa(deployment)
    deployment.provider.settle(reference(payment))
    deployment.merchant.wait(payment["id"], "captured")
    deployment.assert_charged_once(payment["id"])
    assert _actor_of(deployment, payment["id"], "charge_approved") == "webhook:stripe"


def test_a_sepa_debit_that_the_bank_refuses_is_in_dunning(deployment: Deployment) -> None:
    payment = _waiting_sepa(deployment)
    deployment.provider.settle(reference(payment), "failure")
    deployment.merchant.wait(payment["id"], "in_grace")
    assert deployment.provider.movements(payment["id"]) == []
    deployment.assert_books_agree(payment["id"])


def test_a_webhook_completes_3d_secure(deployment: Deployment) -> None:
    payment = _waiting_3ds(deployment)
    assert payment["next_action"]["redirect_url"].startswith(deployment.provider.url)
    deployment.provider.authenticate(reference(payment))
    deployment.merchant.wait(payment["id"], "captured")
    deployment.assert_charged_once(payment["id"])
    assert _actor_of(deployment, payment["id"], "charge_approved") == "webhook:stripe"


def test_a_failed_3d_secure_is_declined(deployment: Deployment) -> None:
    payment = _waiting_3ds(deployment)
    deployment.provider.authenticate(reference(payment), "failure")
    deployment.merchant.wait(payment["id"], "declined")
    assert deployment.provider.movements(payment["id"]) == []


def test_a_webhook_completes_an_intent_of_a_front_end(deployment: Deployment) -> None:
    invoice_id = unique("inv")
    invoice = {"user_id": unique("user"), "amount": "12.50", "currency": "EUR"}
    assert deployment.merchant.send("PUT", f"/invoices/{invoice_id}", invoice).status_code == 201
    opened = deployment.merchant.send("POST", "/stripe-intent", {"invoice_id": invoice_id}).json()
    intent = opened["client_secret"].split("_secret_")[0]
    form = {"payment_method": "pm_card_visa", "return_url": "https://shop.example/thanks"}
    deployment.provider.call("POST", f"/v1/payment_intents/{intent}/confirm", data=form)
    deployment.merchant.wait(opened["payment_id"], "captured")
    deployment.assert_charged_once(opened["payment_id"])


@pytest.mark.parametrize("kind", ["sepa", "3ds"])
def test_a_look_up_replaces_a_lost_webhook(deployment: Deployment, kind: str) -> None:
    deployment.provider.disturb(drop_rate=1)
    payment = _waiting_sepa(deployment) if kind == "sepa" else _waiting_3ds(deployment)
    (deployment.provider.settle if kind == "sepa" else deployment.provider.authenticate)(reference(payment))
    assert deployment.merchant.payment(payment["id"])["status"] in ("pending", "requires_action")
    deployment.provider.advance(seconds=90)
    deployment.merchant.wait(payment["id"], "captured")
    deployment.assert_charged_once(payment["id"])
    # The comparison may fetch the event from the provider's list afterwards.
    query = "SELECT actor FROM events WHERE payment_id = %s AND to_state = 'captured' ORDER BY id LIMIT 1"
    assert deployment.rows(query, payment["id"]) == [{"actor": "worker"}]


def test_a_refund_made_in_the_dashboard_is_booked(deployment: Deployment) -> None:
    payment = deployment.merchant.pay(payment_body(amount="30.00"))
    form = {"payment_intent": reference(payment), "amount": "700"}
    deployment.provider.disturb(duplicate=3)
    deployment.provider.call("POST", "/v1/refunds", data=form)
    deployment.merchant.wait(payment["id"], "partially_refunded")
    _let_all_be_delivered(deployment)
    assert deployment.assert_books_agree(payment["id"])["refunded_amount"] == "7.00"
    assert deployment.events(payment["id"]).count("refunded_partly") == 1


def test_a_refund_that_fails_later_is_reversed(deployment: Deployment) -> None:
    payment = deployment.merchant.pay(payment_body("pm_card_refundFail", amount="30.00"))
    deployment.merchant.operate(payment["id"], "refunds", {"amount": "7.00"})
    made = deployment.merchant.wait(payment["id"], "partially_refunded")["attempts"][-1]["provider_reference"]
    deployment.provider.call("POST", f"/_sandbox/refunds/{made}/settle", json={"result": "failure"})
    deployment.merchant.wait(payment["id"], "captured")
    assert deployment.assert_books_agree(payment["id"])["refunded_amount"] == "0.00"


def test_a_forged_signature_is_recorded_without_its_content(deployment: Deployment) -> None:
    before = len(_refusals(deployment))
    event_id = unique("evt")
    response = _deliver(deployment, _event(event_id, "payment_intent.succeeded"), secret="whsec_forged")
    assert response.status_code == 400
    assert response.headers["Content-Type"] == "application/problem+json"
    assert deployment.rows("SELECT id FROM webhook_events WHERE event_id = %s", event_id) == []
    eventually(lambda: len(_refusals(deployment)) == before + 1, "the record of a refused webhook")
    assert set(_refusals(deployment)[-1]["data"]) == {"provider", "reason"}


def test_an_old_signature_is_refused(deployment: Deployment) -> None:
    event_id = unique("evt")
    body = _event(event_id, "payment_intent.succeeded")
    assert _deliver(deployment, body, age_seconds=301 + 60).status_code == 400
    assert deployment.rows("SELECT id FROM webhook_events WHERE event_id = %s", event_id) == []
    assert _deliver(deployment, body, age_seconds=200).status_code == 200


def test_an_event_of_an_unknown_type_is_kept_and_ignored(deployment: Deployment) -> None:
    event_id = unique("evt")
    body = _event(event_id, "climate.order.delivered")
    assert [_deliver(deployment, body).status_code for _ in range(2)] == [200, 200]
    query = "SELECT status FROM webhook_events WHERE event_id = %s"
    eventually(lambda: deployment.rows(query, event_id) == [{"status": "ignored"}], "an ignored event")


def test_an_event_about_an_unknown_object_is_ignored(deployment: Deployment) -> None:
    form = {"amount": "900", "currency": "eur", "payment_method": "pm_card_visa", "confirm": "true"}
    form |= {"allowed_payment_method_types[]": "card"}
    intent = deployment.provider.call("POST", "/v1/payment_intents", data=form)["id"]
    query = "SELECT status FROM webhook_events WHERE payload LIKE %s AND type = 'payment_intent.succeeded'"
    eventually(lambda: deployment.rows(query, f"%{intent}%") == [{"status": "ignored"}], "an ignored event")


def test_webhooks_during_the_call_change_nothing(deployment: Deployment) -> None:
    deployment.provider.fault("payment_intents.confirm", "timeout_after", seconds=0.75 * READ_SECONDS)
    payment = deployment.merchant.pay(payment_body())
    _let_all_be_delivered(deployment)
    deployment.assert_charged_once(payment["id"])
    assert deployment.events(payment["id"]).count("charge_approved") == 1


def _waiting_sepa(deployment: Deployment) -> Json:
    return deployment.merchant.pay(sepa_body(deployment.provider), "pending")


def _waiting_3ds(deployment: Deployment) -> Json:
    return deployment.merchant.pay(
        payment_body(CHALLENGED, return_url="https://shop.example/thanks"), "requires_action"
    )


def _let_all_be_delivered(deployment: Deployment) -> None:
    """End the mischief, newest first, and wait until each stored event was dealt with."""
    deployment.provider.disturb(paused=False)
    eventually(lambda: deployment.provider.deliveries()["pending"] == 0, "the delivery of all webhooks")
    query = "SELECT count(*) AS waiting FROM webhook_events WHERE status = 'stored'"
    eventually(lambda: deployment.rows(query) == [{"waiting": 0}], "an end of all stored webhooks")


def _kept(deployment: Deployment, payment_id: str) -> list[Json]:
    query = "SELECT event_id, status FROM webhook_events WHERE payload LIKE %s ORDER BY id"
    return deployment.rows(query, f"%{payment_id}%")


def _assert_each_kept_once(deployment: Deployment, payment_id: str) -> None:
    kept = _kept(deployment, payment_id)
    assert kept
    assert len({row["event_id"] for row in kept}) == len(kept)
    assert {row["status"] for row in kept} <= {"applied", "ignored"}


def _actor_of(deployment: Deployment, payment_id: str, event: str) -> str:
    [row] = deployment.rows("SELECT actor FROM events WHERE payment_id = %s AND name = %s", payment_id, event)
    return str(row["actor"])


def _refusals(deployment: Deployment) -> list[Json]:
    return deployment.rows("SELECT data FROM events WHERE name = 'webhook_refused' ORDER BY id")


def _event(event_id: str, kind: str) -> bytes:
    thing = {"id": "thing_unknown", "object": kind.rpartition(".")[0]}
    return json.dumps(
        {"id": event_id, "object": "event", "type": kind, "livemode": False, "data": {"object": thing}}
    ).encode()


def _deliver(
    deployment: Deployment, body: bytes, *, secret: str = WEBHOOK_SECRET, age_seconds: float = 0
) -> requests.Response:
    """Deliver a webhook signed as the provider signs it."""
    stamp = int(deployment.provider.now() - age_seconds)
    signature = stripe.WebhookSignature._compute_signature(f"{stamp}.{body.decode()}", secret)
    headers = {"Stripe-Signature": f"t={stamp},v1={signature}", "Content-Type": "application/json"}
    return requests.post(f"{deployment.web_url}{API}/webhooks/stripe", data=body, headers=headers, timeout=HTTP_SECONDS)
