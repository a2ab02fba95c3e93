"""PayPal's events beside payments: each event of the sandbox is read as a side event without personal data."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from domain.dunning.case import SubscriptionStatus
from domain.dunning.provider_subscription import ProviderSubscription
from domain.payment import Verb
from domain.saved_method import ShownMethod, token_hash
from gateways.base import AttemptRequest, SideEvent, WebhookEvent
from gateways.failures import MalformedResponse
from gateways.paypal.side_events import SIDE_EVENTS, read_side_event
from gateways.paypal.stored_fields import stored_fields
from gateways.paypal.webhooks import read_event
from gateways.provider_model import instant_of
from sandbox.paypal import disputes, subscriptions
from sandbox.paypal.objects import PAYER
from sandbox.server import RunningSandbox
from sandbox.state import Settings

from . import paypal_spec
from .bench import SECONDS, now
from .benches.paypal import ProviderBench
from .served import replying
from .test_gateway_operations import charged, operation

SUBSCRIPTION, TOKEN = "I-BW452GLLEP1G", "8kk8451t"
CREATED_AT = "2026-11-28T12:00:00Z"
DISPUTE = {"dispute_id": "PP-D-1", "disputed_transactions": [{"seller_transaction_id": "7TK53561YB803214S"}]}


def received(paypal: ProviderBench, id: str) -> WebhookEvent:
    """Verify the last event about an object; return how it is read."""
    sent = paypal.signed(paypal.event(id))
    verified = paypal.gateway().verify_webhook(sent.body, sent.headers, now())
    event = paypal.gateway().read_webhook(verified.payload)
    assert event is not None
    return event


def emitted(paypal: ProviderBench, type: str, id: str = SUBSCRIPTION, **more: Any) -> WebhookEvent:
    """Let the sandbox emit an event of this type; return how it is read."""
    paypal.emit(type, id, **more)
    return received(paypal, id)


def captured(paypal: ProviderBench) -> tuple[AttemptRequest, str]:
    """Return a charge and PayPal's id of its capture."""
    first = charged(paypal, paypal.gateway())
    return first, paypal.account.orders[first.reference].of("captures")[0].id


# --- disputes ---


@pytest.mark.parametrize(
    ("outcome", "name"),
    [
        ("RESOLVED_SELLER_FAVOUR", "dispute_won"),
        ("RESOLVED_BUYER_FAVOUR", "dispute_lost"),
        ("RESOLVED_WITH_PAYOUT", "dispute_closed"),
        ("CANCELED_BY_BUYER", "dispute_closed"),
        ("ACCEPTED", "dispute_closed"),
        ("DENIED", "dispute_closed"),
        ("NONE", "dispute_closed"),
    ],
)
def test_a_dispute_from_its_opening_to_its_end(paypal: ProviderBench, outcome: str, name: str) -> None:
    first, capture = captured(paypal)
    opened = paypal.control(f"{capture}/dispute", reason="MERCHANDISE_OR_SERVICE_NOT_RECEIVED")
    data = {
        "reference": opened["dispute_id"],
        "reason": "MERCHANDISE_OR_SERVICE_NOT_RECEIVED",
        "status": "OPEN",
        "stage": "INQUIRY",
        "transaction": capture,
        "amount": "10.00",
        "currency": "EUR",
    }
    due = {"evidence_due_at": opened["seller_response_due_date"]}
    assert received(paypal, capture) == dispute_event(first, "dispute_opened", data | due)
    paypal.control(f"{capture}/dispute", status="UNDER_REVIEW")
    assert received(paypal, capture) == dispute_event(first, "dispute_updated", data | due | {"status": "UNDER_REVIEW"})
    paypal.control(f"{capture}/dispute", outcome=outcome)
    assert received(paypal, capture) == dispute_event(first, name, data | {"status": "RESOLVED", "outcome": outcome})


def dispute_event(first: AttemptRequest, name: str, data: dict[str, str]) -> WebhookEvent:
    """Return the event of a dispute about a charge."""
    about = {"payment_id": first.payment_id, "dispute": data["reference"]}
    return WebhookEvent("", first.attempt_id, None, side_event=SideEvent(name, data), **about)


def test_the_dispute_of_a_captured_authorization_names_the_capture_attempt(paypal: ProviderBench) -> None:
    held = charged(paypal, paypal.gateway(), Verb.AUTHORIZE)
    taken = operation(held, Verb.CAPTURE, 400)
    paypal.gateway().capture(taken)
    capture = paypal.account.orders[held.reference].of("captures")[0].id
    paypal.control(f"{capture}/dispute")
    assert (received(paypal, capture).attempt_id, received(paypal, capture).payment_id) == (
        taken.attempt_id,
        held.payment_id,
    )


def test_a_dispute_may_name_neither_attempt_nor_payment(paypal: ProviderBench) -> None:
    _, capture = captured(paypal)
    paypal.control(f"{capture}/dispute", is_anonymous=True)
    event = received(paypal, capture)
    assert (event.reference, event.attempt_id, event.payment_id, event.names_nothing) == ("", None, None, True)
    assert event.side_event.data["transaction"] == capture


def test_the_control_route_of_disputes_refuses_nonsense(paypal: ProviderBench) -> None:
    first, capture = captured(paypal)
    response = requests.post(f"{paypal.url}/_sandbox/paypal/unknown/dispute", json={}, timeout=SECONDS)
    assert response.status_code == 404
    opened = paypal.control(f"{first.reference}/dispute")
    assert opened["disputed_transactions"][0]["seller_transaction_id"] == capture
    paypal.control(f"{capture}/dispute", outcome="ACCEPTED")
    for body in ({"status": "OPEN"}, {"outcome": "DENIED"}, {}):
        response = requests.post(f"{paypal.url}/_sandbox/paypal/{capture}/dispute", json=body, timeout=SECONDS)
        assert response.status_code == 400


# --- subscriptions and what they pay ---


TOLD = {
    "BILLING.SUBSCRIPTION.CREATED": SubscriptionStatus.INCOMPLETE,
    "BILLING.SUBSCRIPTION.ACTIVATED": SubscriptionStatus.ACTIVE,
    "BILLING.SUBSCRIPTION.UPDATED": SubscriptionStatus.ACTIVE,
    "BILLING.SUBSCRIPTION.EXPIRED": SubscriptionStatus.CANCELED,
    "BILLING.SUBSCRIPTION.CANCELLED": SubscriptionStatus.CANCELED,
    "BILLING.SUBSCRIPTION.SUSPENDED": SubscriptionStatus.PAUSED,
    "BILLING.SUBSCRIPTION.PAYMENT.FAILED": SubscriptionStatus.PAST_DUE,
}


@pytest.mark.parametrize("type", subscriptions.STATUSES)
def test_every_event_of_a_subscription(paypal: ProviderBench, type: str) -> None:
    event = emitted(paypal, type)
    name = f"subscription_{type.removeprefix('BILLING.SUBSCRIPTION.').replace('.', '_').lower()}"
    told = event.subscription
    assert event == WebhookEvent("", None, None, side_event=SideEvent(name, event.side_event.data), subscription=told)
    at = instant_of(paypal.event(SUBSCRIPTION)["create_time"])
    assert told == ProviderSubscription(SUBSCRIPTION, TOLD[type], at, is_first=type.endswith("CREATED"))
    expected = {"reference": SUBSCRIPTION, "status": subscriptions.STATUSES[type]}
    assert {key: event.side_event.data[key] for key in expected} == expected
    assert ("next_retry_at" in event.side_event.data) == ("reason" in event.side_event.data) == type.endswith("FAILED")


def told(type: str, resource: Any, **event: Any) -> ProviderSubscription | None:
    """Return what an event says of a subscription, as it is stored."""
    sent = {"id": "WH-1", "event_type": type, "create_time": CREATED_AT, "resource": resource} | event
    read = read_event(json.dumps(stored_fields(sent)))
    assert read is not None
    return read.subscription


@pytest.mark.parametrize(
    ("type", "status"),
    [("ACTIVATED", "APPROVED"), ("UPDATED", "ACTIVE"), ("UPDATED", "SUSPENDED"), ("UPDATED", "EXPIRED")],
)
def test_a_subscription_with_failed_payments_is_past_due_while_paypal_calls_it_active(type: str, status: str) -> None:
    failed = {"failed_payments_count": 1}
    subscription = {"id": SUBSCRIPTION, "status": status, "billing_info": failed}
    shown = told(f"BILLING.SUBSCRIPTION.{type}", subscription)
    without = told(f"BILLING.SUBSCRIPTION.{type}", subscription | {"billing_info": {"failed_payments_count": 0}})
    assert (shown.status is SubscriptionStatus.PAST_DUE) == (status == "ACTIVE")
    assert without.status is not SubscriptionStatus.PAST_DUE


@pytest.mark.parametrize("word", [None, "INVENTED"])
def test_an_unknown_status_of_a_subscription_is_logged_and_not_applied(
    word: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    assert told("BILLING.SUBSCRIPTION.UPDATED", {"id": SUBSCRIPTION, "status": word}) is None
    assert f"unknown word of a provider: Subscription.status is {'missing' if word is None else word}" in caplog.text


def test_an_event_without_its_time_drives_nothing() -> None:
    assert told("BILLING.SUBSCRIPTION.UPDATED", {"id": SUBSCRIPTION, "status": "ACTIVE"}, create_time="soon") is None


def test_a_sale_of_a_subscription_is_a_hint_that_it_is_paid() -> None:
    sale = {"id": "80021663DE681814L", "billing_agreement_id": SUBSCRIPTION, "state": "completed"}
    hint = ProviderSubscription(SUBSCRIPTION, SubscriptionStatus.ACTIVE, instant_of(CREATED_AT), is_hint=True)
    assert told("PAYMENT.SALE.COMPLETED", sale) == hint
    assert told("PAYMENT.SALE.PENDING", sale) is None


@pytest.mark.parametrize("spelling", ["next_payment_retry_time", "next_payment_retry_date"])
def test_both_spellings_of_the_next_try(spelling: str) -> None:
    failed = {"reason_code": "PAYER_CANNOT_PAY", spelling: "2026-12-01T10:00:00.000Z"}
    subscription = {"id": SUBSCRIPTION, "status": "ACTIVE", "billing_info": {"last_failed_payment": failed}}
    side_event = read_side_event("BILLING.SUBSCRIPTION.PAYMENT.FAILED", subscription).side_event
    ends = {"reason": "PAYER_CANNOT_PAY", "next_retry_at": "2026-12-01T10:00:00.000Z"}
    assert side_event.data == {"reference": SUBSCRIPTION, "status": "ACTIVE"} | ends


def test_a_sale_of_a_subscription(paypal: ProviderBench) -> None:
    for type in ("COMPLETED", "PENDING", "DENIED"):
        side_event = emitted(paypal, f"PAYMENT.SALE.{type}").side_event
        sale = paypal.event(SUBSCRIPTION)["resource"]["id"]
        data = {"reference": sale, "subscription": SUBSCRIPTION, "status": type.lower()}
        assert side_event == SideEvent(
            f"subscription_sale_{type.lower()}", data | {"amount": "12.30", "currency": "USD"}
        )


@pytest.mark.parametrize("type", ["COMPLETED", "PENDING", "DENIED"])
@pytest.mark.parametrize("agreement", [{}, {"billing_agreement_id": None}, {"billing_agreement_id": ""}])
def test_a_sale_without_a_subscription_is_not_recorded(type: str, agreement: dict[str, Any]) -> None:
    """It is a single payment by PayPal's older API. The fields are those of PayPal's own sample."""
    sale = {
        "id": "80021663DE681814L",
        "amount": {"total": "0.48", "currency": "USD"},
        "payment_mode": "ECHECK",
        "state": "completed",
        "parent_payment": "PAY-1PA12106FU478450MKRETS4A",
    }
    event = {"id": "WH-1", "event_type": f"PAYMENT.SALE.{type}", "resource": sale | agreement}
    assert read_event(json.dumps(stored_fields(event))) is None


def test_a_refunded_or_reversed_sale_has_a_negative_total(paypal: ProviderBench) -> None:
    refunded = emitted(paypal, "PAYMENT.SALE.REFUNDED").side_event
    sale = paypal.event(SUBSCRIPTION)["resource"]["sale_id"]
    assert (refunded.name, refunded.data["amount"]) == ("subscription_sale_refunded", "-12.30")
    assert refunded.data["sale"] == sale != refunded.data["reference"]
    reversed = emitted(paypal, "PAYMENT.SALE.REVERSED").side_event
    assert (reversed.name, reversed.data["amount"]) == ("subscription_sale_reversed", "-12.30")
    assert (reversed.data["reason"], reversed.data["currency"]) == ("CHARGEBACK", "USD")


def test_the_sandbox_shows_subscriptions_as_paypal_documents_them(paypal: ProviderBench) -> None:
    for type in subscriptions.STATUSES:
        emitted(paypal, type)
        body = paypal.event(SUBSCRIPTION)["resource"]
        for schema in paypal_spec.response_schema("billing_subscriptions_v1", "subscription"):
            assert [error.message for error in Draft202012Validator(schema).iter_errors(body)] == []


# --- saved accounts ---


def test_a_saved_account(paypal: ProviderBench) -> None:
    first, _ = captured(paypal)
    saved = emitted(paypal, "VAULT.PAYMENT-TOKEN.CREATED", TOKEN, order_id=first.reference)
    data = {"customer": "customer_4029352050"}
    assert saved == WebhookEvent(first.reference, None, None, side_event=SideEvent("payment_method_saved", data))
    for type, name in (("DELETION-INITIATED", "payment_method_removal_begun"), ("DELETED", "payment_method_removed")):
        removed = emitted(paypal, f"VAULT.PAYMENT-TOKEN.{type}", TOKEN)
        gone = ShownMethod(token_hash(TOKEN), instant_of(paypal.event(TOKEN)["create_time"]), is_detached=True)
        assert removed == WebhookEvent("", None, None, side_event=SideEvent(name, data), method=gone)
    assert read_side_event("VAULT.PAYMENT-TOKEN.DELETED", {"id": TOKEN}).side_event.data == {}


# --- personal data, and other shapes ---


def test_a_side_event_has_neither_personal_data_nor_tokens(paypal: ProviderBench) -> None:
    _, capture = captured(paypal)
    paypal.control(f"{capture}/dispute")
    pairs = [(paypal.event(capture), received(paypal, capture))]
    for type in subscriptions.NAMES:
        id = TOKEN if type in subscriptions.TOKENS else SUBSCRIPTION
        event = emitted(paypal, type, id)
        pairs.append((paypal.event(id), event))
    canaries = (PAYER["email_address"], "John", "Doe", PAYER["payer_id"], TOKEN, "never came")
    assert {canary for canary in canaries if any(canary in json.dumps(sent) for sent, _ in pairs)} == set(canaries)
    for sent, event in pairs:
        stored = json.dumps(stored_fields(sent))
        assert not any(canary in stored for canary in canaries)
        assert read_event(stored) == event
        assert not any(canary in text for canary in canaries for text in event.side_event.data.values())


def test_a_value_that_is_no_code_is_dropped() -> None:
    strange = {"reason": "John Doe", "status": "jo@example.org", "dispute_life_cycle_stage": "x" * 128}
    strange |= {"dispute_amount": {"value": 7.5, "currency_code": "EUR"}, "seller_response_due_date": ["x"]}
    event = read_side_event("CUSTOMER.DISPUTE.CREATED", DISPUTE | strange)
    assert event.side_event.data == {"reference": "PP-D-1", "transaction": "7TK53561YB803214S"}


@pytest.mark.parametrize("type", [type for type in SIDE_EVENTS if not type.startswith("VAULT.")])
@pytest.mark.parametrize("id", [None, 17, "", "Jo Example", ["x"]])
def test_an_event_about_an_object_without_an_id_is_malformed(type: str, id: Any) -> None:
    resource = DISPUTE | {"dispute_id": id, "id": id, "status": "ACTIVE"}
    with pytest.raises(MalformedResponse, match="malformed_response") as raised:
        read_event(json.dumps({"event_type": type, "resource": resource}))
    assert raised.value.field.endswith("id")


FIELDS = ("id", "dispute_id", "status", "amount", "total", "currency", "disputed_transactions", "dispute_outcome")
MORE = ("outcome_code", "billing_info", "last_failed_payment", "customer", "metadata", "order_id", "invoice_number")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from((*FIELDS, *MORE)), inner),
)


@given(st.sampled_from(sorted(SIDE_EVENTS)), JSON)
def test_any_shape_is_read_or_malformed(type: str, resource: Any) -> None:
    try:
        event = read_event(json.dumps({"event_type": type, "resource": resource}))
    except MalformedResponse:
        return
    assert event is None or all(isinstance(text, str) for text in event.side_event.data.values())


def test_the_names_of_side_events_fit_their_column() -> None:
    assert all(len(name) <= 50 for _, name in SIDE_EVENTS.values())


def test_the_sandbox_emits_exactly_the_types_that_are_read() -> None:
    assert set(SIDE_EVENTS) == {*disputes.NAMES, *subscriptions.NAMES}


def test_the_sandbox_delivers_side_events_that_verify() -> None:
    with (
        replying((200, b"")) as served,
        RunningSandbox(Settings(webhook_url=f"{served.url}/webhooks/stripe")) as sandbox,
    ):
        paypal = ProviderBench(sandbox)
        paypal.emit("BILLING.SUBSCRIPTION.ACTIVATED", SUBSCRIPTION)
        sent = served.next()
        assert sent.path == "/webhooks/paypal"
        verified = paypal.gateway().verify_webhook(sent.raw, sent.headers, now())
    assert read_event(verified.payload).side_event.name == "subscription_activated"
