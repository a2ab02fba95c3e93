"""Stripe's events about saved methods, mandates and subscriptions that Stripe bills: what each says, what is kept."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from domain.dunning.case import SubscriptionStatus
from domain.dunning.provider_subscription import ProviderSubscription
from domain.saved_method import MethodChange, ShownMandate, ShownMethod, token_hash
from gateways.base import WebhookEvent
from gateways.failures import MalformedResponse
from gateways.stripe import method_events, subscription_events
from gateways.stripe.webhooks import read

from .bench import now
from .benches.stripe import ProviderBench as StripeBench

AT = now().replace(microsecond=0)
CARD = {"brand": "visa", "last4": "4242", "exp_year": 2030, "exp_month": 7, "funding": "credit"}
METHOD = {"object": "payment_method", "id": "pm_1", "type": "card", "customer": "cus_1", "card": CARD}
MANDATE = {"object": "mandate", "id": "mandate_1", "payment_method": "pm_1", "status": "inactive"}
SUBSCRIPTION = {"object": "subscription", "id": "sub_1", "status": "active"}
DETAILS = {"type": "subscription_details", "subscription_details": {"subscription": "sub_1"}}
INVOICE = {"object": "invoice", "id": "in_1", "parent": DETAILS}
SHOWN = ShownMethod(
    token_hash("pm_1"),
    AT,
    token="pm_1",
    customer="cus_1",
    kind="credit_card",
    brand="visa",
    last4="4242",
    expires="2030-07",
)


def said(type: str, thing: Any, **previous: Any) -> WebhookEvent | None:
    """Return how an event that was created at AT is read."""
    data = {"object": thing} | ({"previous_attributes": previous} if previous else {})
    return read(json.dumps({"id": "evt_1", "type": type, "created": int(AT.timestamp()), "data": data}))


def method(type: str, thing: Any, **previous: Any) -> Any:
    event = said(type, thing, **previous)
    assert event is not None
    assert event == WebhookEvent("", None, None, method=event.method)
    return event.method


def subscription(type: str, thing: Any) -> Any:
    event = said(type, thing)
    assert event is not None
    assert event == WebhookEvent("", None, None, subscription=event.subscription)
    return event.subscription


# --- saved methods ---


def test_an_attached_method_tells_what_it_is_and_whose() -> None:
    assert method("payment_method.attached", METHOD) == SHOWN
    assert method("payment_method.attached", METHOD | {"customer": {"id": "cus_1"}}) == SHOWN


@pytest.mark.parametrize(
    ("type", "previous", "change"),
    [
        ("payment_method.automatically_updated", {"card": {"exp_year": 2026}}, MethodChange.UPDATER),
        ("payment_method.automatically_updated", {}, MethodChange.UPDATER),
        ("payment_method.updated", {"card": {"exp_year": 2026}}, MethodChange.METHOD_UPDATED),
        ("payment_method.updated", {"billing_details": {"email": None}}, None),
        ("payment_method.attached", {"customer": None}, None),
    ],
)
def test_only_a_changed_instrument_is_a_change(type: str, previous: Any, change: MethodChange | None) -> None:
    assert method(type, METHOD, **previous).change is change


def test_a_detached_method_names_no_customer_any_more() -> None:
    shown = method("payment_method.detached", METHOD | {"customer": None}, customer="cus_1")
    assert (shown.is_detached, shown.customer, shown.token_hash) == (True, None, token_hash("pm_1"))


@pytest.mark.parametrize(("status", "is_active"), [("active", True), ("inactive", False)])
@pytest.mark.parametrize("named", ["pm_1", METHOD])
def test_a_mandate_tells_whether_its_method_may_be_debited(status: str, is_active: bool, named: Any) -> None:
    mandate = MANDATE | {"status": status, "payment_method": named}
    assert method("mandate.updated", mandate) == ShownMandate(token_hash("pm_1"), AT, is_active)


def test_a_pending_mandate_says_nothing_yet(caplog: pytest.LogCaptureFixture) -> None:
    assert said("mandate.updated", MANDATE | {"status": "pending"}) is None
    assert caplog.messages == []


@pytest.mark.parametrize("word", [None, "invented"])
def test_an_unknown_status_of_a_mandate_or_a_subscription_is_logged_and_says_nothing(
    word: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    assert said("mandate.updated", MANDATE | {"status": word}) is None
    assert said("customer.subscription.updated", SUBSCRIPTION | {"status": word}) is None
    shown = "null" if word is None else word
    assert caplog.messages == [
        f"unknown word of a provider: {model}.status is {shown}" for model in ("Mandate", "Subscription")
    ]


@pytest.mark.parametrize("shape", ["card", "source"])
def test_a_source_that_expires_tells_when(shape: str) -> None:
    card = {"brand": "Visa", "last4": "4242", "exp_year": 2026, "exp_month": 12}
    fields = card if shape == "card" else {"type": "card", "card": card}
    shown = method("customer.source.expiring", {"object": shape, "id": "card_1", "customer": "cus_1"} | fields)
    assert (shown.token_hash, shown.customer, shown.expires) == (token_hash("card_1"), "cus_1", "2026-12")
    assert shown.change is None


# --- subscriptions ---


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("incomplete", SubscriptionStatus.INCOMPLETE),
        ("incomplete_expired", SubscriptionStatus.CANCELED),
        ("trialing", SubscriptionStatus.ACTIVE),
        ("active", SubscriptionStatus.ACTIVE),
        ("past_due", SubscriptionStatus.PAST_DUE),
        ("paused", SubscriptionStatus.PAUSED),
        ("unpaid", SubscriptionStatus.UNPAID),
        ("canceled", SubscriptionStatus.CANCELED),
    ],
)
def test_every_status_of_a_subscription(word: str, status: SubscriptionStatus) -> None:
    for type in ("updated", "deleted", "paused", "resumed"):
        told = subscription(f"customer.subscription.{type}", SUBSCRIPTION | {"status": word})
        assert told == ProviderSubscription("sub_1", status, AT)
    created = subscription("customer.subscription.created", SUBSCRIPTION | {"status": word})
    assert created == ProviderSubscription("sub_1", status, AT, is_first=True)


def test_a_payment_of_an_invoice_is_a_hint_about_its_subscription() -> None:
    paid, failed = subscription("invoice.paid", INVOICE), subscription("invoice.payment_failed", INVOICE)
    assert paid == ProviderSubscription("sub_1", SubscriptionStatus.ACTIVE, AT, is_hint=True)
    assert failed == ProviderSubscription("sub_1", SubscriptionStatus.PAST_DUE, AT, is_hint=True)
    whole = {"subscription_details": {"subscription": SUBSCRIPTION}}
    assert subscription("invoice.paid", INVOICE | {"parent": whole}) == paid


@pytest.mark.parametrize("parent", [None, {"subscription_details": None}, {"quote_details": {"quote": "qt_1"}}])
def test_an_invoice_of_no_subscription_says_nothing(parent: Any) -> None:
    assert said("invoice.paid", INVOICE | {"parent": parent}) is None


# --- other forms ---


@pytest.mark.parametrize("type", sorted(method_events.TYPES | subscription_events.TYPES))
@pytest.mark.parametrize("thing", [None, 7, {}, {"object": "charge"}, {"object": "mandate"}, {"object": "card"}])
def test_an_event_without_its_object_is_malformed(type: str, thing: Any) -> None:
    with pytest.raises(MalformedResponse):
        said(type, thing)


def test_personal_data_are_not_stored(sandbox: object) -> None:
    bench = StripeBench(sandbox)
    personal = {
        "billing_details": {"email": "canary"},
        "customer_acceptance": {"online": {"ip_address": "canary"}},
        "customer_email": "canary",
        "customer_name": "canary",
        "owner": {"email": "canary"},
    }
    address = {"object": "card", "name": "canary", "address_line1": "canary", "address_zip": "canary"}
    for thing in (METHOD | personal, INVOICE | personal, MANDATE | personal, address):
        sent = bench.signed({"id": "evt_1", "type": "x", "livemode": False, "data": {"object": thing}})
        stored = bench.gateway().verify_webhook(sent.body, sent.headers, now()).payload
        assert "canary" not in stored
        assert thing["object"] in stored
