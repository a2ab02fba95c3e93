"""Stripe's events that tell of fraud: cards that could not be saved, early fraud warnings, refunds marked as fraud."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from domain.check_results import Authentication, Check, CheckResults
from domain.decline import DeclineClass
from domain.payment import Verb
from domain.payment_methods import PaymentMethod
from domain.saved_method import FailedSetup
from gateways.base import SideEvent, WebhookEvent
from gateways.failures import MalformedResponse
from gateways.stripe.webhooks import read
from sandbox.server import RunningSandbox

from .bench import SECONDS, new_attempt, now
from .benches.stripe import ProviderBench as StripeBench
from .test_gateway_operations import charged, operation

AT = now().replace(microsecond=0)
CARD = {"fingerprint": "f1", "brand": "visa", "country": "DE", "checks": {"cvc_check": "fail"}}
DECLINE = {"type": "card_error", "code": "card_declined", "decline_code": "generic_decline"}
SETUP = {"object": "setup_intent", "id": "seti_1", "customer": "cus_1", "latest_attempt": "setatt_1"}
WARNING = {
    "object": "radar.early_fraud_warning",
    "id": "issfr_1",
    "charge": "ch_1",
    "payment_intent": "pi_1",
    "fraud_type": "misc",
    "actionable": True,
}


@pytest.fixture
def bench(sandbox: RunningSandbox) -> StripeBench:
    """Stripe's bench."""
    return StripeBench(sandbox)


@pytest.fixture
def gateway(bench: StripeBench) -> Any:
    """Stripe's gateway."""
    return bench.gateway()


def said(type: str, thing: Any) -> WebhookEvent | None:
    return read(json.dumps({"id": "evt_1", "type": type, "created": int(AT.timestamp()), "data": {"object": thing}}))


def told(bench: StripeBench, gateway: Any, type: str, about: str, field: str = "id") -> WebhookEvent:
    """Return what the newest event of a type says after it was delivered and stored."""
    events = bench._call("GET", f"/v1/events?limit=100&type={type}")["data"]
    event = next(event for event in events if event["data"]["object"][field] == about)
    signed = bench.signed(event)
    found = gateway.read_webhook(gateway.verify_webhook(signed.body, signed.headers, now()).payload)
    assert found is not None
    return found


# --- setups ---


def failed_setup(error: Any, **changes: Any) -> FailedSetup | None:
    event = said("setup_intent.setup_failed", SETUP | {"last_setup_error": error} | changes)
    if event is None:
        return None
    assert event == WebhookEvent("", None, None, failed_setup=event.failed_setup)
    return event.failed_setup


def open_setup(bench: StripeBench, gateway: Any) -> tuple[str, str]:
    customer = bench._call("POST", "/v1/customers")["id"]
    return customer, gateway.open_setup(customer, PaymentMethod.CREDIT_CARD, f"key-{customer}").reference


def confirm_setup(bench: StripeBench, setup: str, card: str) -> None:
    params = {"payment_method": card, "return_url": "https://shop.example"}
    bench._call("POST", f"/v1/setup_intents/{setup}/confirm", params)


def test_a_declined_setup_tells_whose_it_was_and_why(bench: StripeBench, gateway: Any) -> None:
    customer, setup = open_setup(bench, gateway)
    with pytest.raises(requests.HTTPError):
        confirm_setup(bench, setup, "pm_card_chargeDeclinedIncorrectCvc")
    failed = told(bench, gateway, "setup_intent.setup_failed", setup).failed_setup
    assert failed is not None
    assert (failed.reference, failed.customer, failed.decline.code) == (setup, customer, "incorrect_cvc")
    assert failed.checks == CheckResults(cvv=Check.MISMATCH)
    assert failed.instrument is not None
    assert (failed.instrument.network, failed.instrument.country) == ("visa", "US")


def test_a_setup_whose_customer_fails_the_challenge(bench: StripeBench, gateway: Any, sandbox: RunningSandbox) -> None:
    _, setup = open_setup(bench, gateway)
    confirm_setup(bench, setup, "pm_card_authenticationRequired")
    url = f"{sandbox.url}/_sandbox/setups/{setup}/authenticate"
    requests.post(url, json={"result": "failure"}, timeout=SECONDS).raise_for_status()
    failed = told(bench, gateway, "setup_intent.setup_failed", setup).failed_setup
    assert failed is not None
    assert failed.decline.decline_class is DeclineClass.NEEDS_CUSTOMER
    assert failed.checks == CheckResults(cvv=Check.MATCH, authentication=Authentication.FAILED)


def test_twenty_cards_that_are_declined_in_one_setup_are_twenty_tries(bench: StripeBench, gateway: Any) -> None:
    _, setup = open_setup(bench, gateway)
    references = set()
    for _ in range(20):
        with pytest.raises(requests.HTTPError):
            confirm_setup(bench, setup, "pm_card_visa_chargeDeclined")
        failed = told(bench, gateway, "setup_intent.setup_failed", setup).failed_setup
        assert failed is not None
        references.add(failed.try_reference)
    assert len(references - {None}) == 20


def test_a_setup_without_its_newest_try_has_the_method_in_its_place() -> None:
    error = DECLINE | {"payment_method": {"id": "pm_1", "type": "card", "card": CARD}}
    for attempt in (None, {"id": "setatt_1"}):
        failed = failed_setup(error, latest_attempt=attempt)
        assert failed is not None
        assert failed.try_reference == "pm_1"


@pytest.mark.parametrize("customer", [None, "cus_1", {"id": "cus_1"}])
def test_a_setup_may_have_no_customer(customer: Any) -> None:
    failed = failed_setup(DECLINE, customer=customer)
    assert failed is not None
    assert (failed.customer, failed.at, failed.instrument) == ("cus_1" if customer else None, AT, None)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (None, None),
        ({"type": "api_error"}, None),
        ({"type": "idempotency_error"}, None),
        ({"type": "invalid_request_error", "code": "payment_method_unactivated"}, None),
        (DECLINE | {"type": "invented"}, "unknown word of a provider: PaymentError.type is invented"),
        (DECLINE | {"type": None}, "unknown word of a provider: PaymentError.type is null"),
    ],
    ids=str,
)
def test_a_setup_that_nobody_refused_is_no_try(
    error: Any, message: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    assert failed_setup(error) is None
    assert caplog.messages == ([message] if message else [])


def test_what_is_stored_of_a_failed_setup_holds_neither_person_nor_credential(bench: StripeBench, gateway: Any) -> None:
    method = {"id": "pm_1", "type": "card", "card": CARD, "billing_details": {"name": "canary"}}
    thing = SETUP | {"client_secret": "canary", "last_setup_error": DECLINE | {"payment_method": method}}
    sent = bench.signed({"id": "evt_1", "type": "setup_intent.setup_failed", "created": 1, "data": {"object": thing}})
    stored = gateway.verify_webhook(sent.body, sent.headers, now()).payload
    assert "canary" not in stored
    read_again = gateway.read_webhook(stored)
    assert read_again is not None
    assert read_again.failed_setup.instrument.fingerprint == "f1"


# --- early fraud warnings ---


def test_a_warning_of_an_issuer_names_the_payment_and_the_fraud(bench: StripeBench, gateway: Any) -> None:
    attempt = new_attempt(bench, method_token="pm_card_createIssuerFraudRecord")
    reference = gateway.charge(attempt, lambda _: None).reference
    event = told(bench, gateway, "radar.early_fraud_warning.created", reference, "payment_intent")
    charge = bench._call("GET", f"/v1/payment_intents/{reference}")["latest_charge"]
    assert event.side_event is not None
    assert event == WebhookEvent(reference, None, None, side_event=event.side_event)
    assert event.side_event.name == "early_fraud_warning_received"
    data = event.side_event.data
    assert data.pop("reference").startswith("issfr_")
    assert data == {"charge": charge, "fraud_type": "unauthorized_use_of_card", "actionable": "true"}


@pytest.mark.parametrize(
    "word",
    [
        "card_never_received",
        "fraudulent_card_application",
        "made_with_counterfeit_card",
        "made_with_lost_card",
        "made_with_stolen_card",
        "misc",
        "unauthorized_use_of_card",
    ],
)
def test_every_type_of_fraud(word: str, caplog: pytest.LogCaptureFixture) -> None:
    assert warned(fraud_type=word)["fraud_type"] == word
    assert caplog.messages == []


@pytest.mark.parametrize(("word", "recorded"), [(None, "unknown"), ("invented", "invented"), ("jo@a.org", "unknown")])
def test_an_unknown_type_of_fraud_is_one_all_the_same(
    word: str | None, recorded: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert warned(fraud_type=word)["fraud_type"] == recorded
    assert [message for message in caplog.messages if "EarlyFraudWarning.fraud_type is " in message]


def warned(**changes: Any) -> dict[str, str]:
    event = said("radar.early_fraud_warning.created", WARNING | changes)
    assert event is not None
    assert isinstance(event.side_event, SideEvent)
    assert event.reference == "pi_1"
    return event.side_event.data


@pytest.mark.parametrize(("value", "recorded"), [(True, "true"), (False, "false"), (None, "unknown")])
def test_a_warning_says_whether_anything_can_be_done(value: bool | None, recorded: str) -> None:
    assert warned(actionable=value)["actionable"] == recorded


def test_a_warning_may_hold_its_objects_whole() -> None:
    assert warned(charge={"id": "ch_1"}, payment_intent={"id": "pi_1"}) == warned()


@pytest.mark.parametrize("missing", [{"payment_intent": None}, {"payment_intent": ""}])
def test_a_warning_about_a_charge_without_an_intent_is_not_ours(missing: dict[str, Any]) -> None:
    assert said("radar.early_fraud_warning.created", WARNING | missing) is None


@pytest.mark.parametrize("type", ["setup_intent.setup_failed", "radar.early_fraud_warning.created"])
@pytest.mark.parametrize("thing", [None, 7, {}, {"object": "charge"}, SETUP | {"id": ""}, WARNING | {"charge": None}])
def test_an_event_without_its_object_is_malformed(type: str, thing: Any) -> None:
    with pytest.raises(MalformedResponse):
        said(type, thing)


# --- refunds ---


@pytest.mark.parametrize("reason", ["fraudulent", "duplicate", "requested_by_customer", None])
def test_a_refund_says_whether_it_was_made_for_fraud(bench: StripeBench, gateway: Any, reason: str | None) -> None:
    paid = charged(bench, gateway)
    data = {"payment_intent": paid.reference} | ({"reason": reason} if reason else {})
    refund = bench._call("POST", "/v1/refunds", data)["id"]
    is_for_fraud = reason == "fraudulent"
    assert told(bench, gateway, "refund.created", refund).is_for_fraud is is_for_fraud
    shown = gateway.read_charge(operation(paid, Verb.REFUND)).refunds
    assert [each.is_for_fraud for each in shown] == [is_for_fraud]
