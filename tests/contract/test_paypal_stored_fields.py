"""What is stored of PayPal's events: neither personal data nor tokens that can be charged, and all that is read."""

from __future__ import annotations

import json

import pytest

from domain.payment import Verb
from domain.saved_method import token_hash
from gateways.paypal.stored_fields import stored_fields
from gateways.paypal.webhooks import read_event

from .bench import now
from .benches.paypal import ProviderBench
from .test_gateway_operations import call, charged, operation

PERSONAL = {
    "payer": {"email_address": "canary", "payer_id": "canary", "name": {"given_name": "canary"}},
    "payment_source": {"paypal": {"email_address": "canary", "account_id": "canary", "vault_id": "canary"}},
    "subscriber": {"email_address": "canary"},
    "shipping": {"address": {"address_line_1": "canary"}},
    "shipping_address": "canary",
    "note_to_payer": "canary",
    "custom_id": "canary jo@example.org",
    "invoice_id": "Jo Canary canary",
    "amount": {"value": "10.00", "currency_code": "EUR", "note": "canary"},
    "disputed_transactions": [{"buyer": {"name": "canary"}, "custom": "canary@x", "seller": {"email": "canary"}}],
    "customer": {"email_address": "canary", "name": "canary"},
    "metadata": {"order_id": "O1", "more": "canary"},
}
TYPES = ("CHECKOUT.ORDER.X", "PAYMENT.CAPTURE.REFUNDED", "PAYMENT.SALE.COMPLETED", "CUSTOMER.DISPUTE.CREATED")


@pytest.mark.parametrize("type", [*TYPES, "BILLING.SUBSCRIPTION.CREATED", "VAULT.X.Y", "VAULT", "OTHER.X", "canary"])
def test_neither_personal_data_nor_credentials_are_stored(type: str) -> None:
    event = {"id": "WH-1", "event_type": type, "summary": "canary", "resource": PERSONAL, "links": ["canary"]}
    assert "canary" not in json.dumps(stored_fields(event)).replace('"event_type": "canary"', "")


@pytest.mark.parametrize("type", ["VAULT.PAYMENT-TOKEN.CREATED", "VAULT.PAYMENT-TOKEN.DELETED", "VAULT.NEW"])
def test_a_token_that_can_be_charged_is_not_stored(paypal: ProviderBench, type: str) -> None:
    token = {
        "id": "8kk8451t",
        "customer": {"id": "customer_1"},
        "links": [{"rel": "self", "href": "https://api.paypal.com/v3/vault/payment-tokens/8kk8451t"}],
    }
    sent = paypal.signed({"id": "WH-1", "event_type": type, "resource": token})
    verified = paypal.gateway().verify_webhook(sent.body, sent.headers, now())
    # The hash finds what is known of it.
    stored = {"customer": {"id": "customer_1"}, "token_hash": token_hash("8kk8451t")}
    assert json.loads(verified.payload)["resource"] == stored


def test_a_stored_event_reads_like_the_whole_event(paypal: ProviderBench) -> None:
    gateway = paypal.gateway()
    for verb in (Verb.CHARGE, Verb.AUTHORIZE):
        first = charged(paypal, gateway, verb)
        then = operation(first, Verb.REFUND if verb is Verb.CHARGE else Verb.CAPTURE, 400)
        outcome = call(gateway, then)
        events = [*paypal.account.log.about(first.reference), paypal.event(outcome.reference)]
        assert len(events) > 3
        for event in events:
            assert read_event(json.dumps(stored_fields(event))) == read_event(json.dumps(event)) is not None


@pytest.mark.parametrize("event", [None, [], "text", 7, {}, {"event_type": ["x"]}])
def test_any_json_can_be_reduced(event: object) -> None:
    assert "x" not in json.dumps(stored_fields(event))
