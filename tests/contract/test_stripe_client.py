"""The calls that Stripe receives: path, idempotency key and parameters of each verb. None of them ever changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

import pytest

from domain.payment import Verb
from domain.payment_methods import PaymentMethod
from gateways.base import AttemptRequest
from gateways.stripe.gateway import StripeGateway

from .served import ReceivedRequest, replying
from .test_stripe_responses import ATTEMPT, gateway_at

METADATA = {"metadata[payment_id]": "pay_1", "metadata[attempt_id]": "at_1"}
NEW = replace(ATTEMPT, reference=None, charge_reference=None)
OPERATION = replace(ATTEMPT, reference=None)
OBJECT = {
    "id": "pi_1",
    "type": "card",
    "customer": "cus_1",
    "client_secret": "secret",
    "status": "processing",
    "currency": "eur",
    "amount": 1000,
    "data": [],
    "has_more": False,
}


def charge(attempt: AttemptRequest) -> Callable[[StripeGateway], Any]:
    return lambda gateway: gateway.charge(attempt, lambda reference: None)


def calls_of(call: Callable[[StripeGateway], Any]) -> list[tuple[str, str, str | None, dict[str, str]]]:
    """Return method, path, idempotency key and parameters of each call."""
    with replying((200, OBJECT)) as served:
        call(gateway_at(served.url))
    return [
        (each.method, each.path.split("?")[0], each.headers.get("Idempotency-Key"), params(each))
        for each in served.requests
    ]


def params(request: ReceivedRequest) -> dict[str, str]:
    return dict(parse_qsl(request.raw.decode() or request.path.partition("?")[2]))


CREATED = {"amount": "1000", "currency": "eur", **METADATA}
CARD = {"payment_method": "pm_card_visa", "allowed_payment_method_types[0]": "card", "capture_method": "automatic"}
INTENTS = "/v1/payment_intents"
CHARGE_SHOWN = {"expand[0]": "latest_charge"}


@pytest.mark.parametrize(
    ("call", "calls"),
    [
        (
            charge(NEW),
            [
                ("POST", INTENTS, "at_1-create-0", CREATED | CARD),
                ("POST", f"{INTENTS}/pi_1/confirm", "at_1-confirm", CHARGE_SHOWN),
            ],
        ),
        (
            charge(replace(NEW, verb=Verb.AUTHORIZE, retries=2)),
            [
                ("POST", INTENTS, "at_1-create-2", CREATED | CARD | {"capture_method": "manual"}),
                ("POST", f"{INTENTS}/pi_1/confirm", "at_1-confirm", CHARGE_SHOWN),
            ],
        ),
        (
            charge(replace(ATTEMPT, is_off_session=True)),
            [("POST", f"{INTENTS}/pi_1/confirm", "at_1-confirm", CHARGE_SHOWN | {"off_session": "true"})],
        ),
        (
            lambda gateway: gateway.capture(replace(OPERATION, verb=Verb.CAPTURE)),
            [("POST", f"{INTENTS}/pi_1/capture", "at_1-capture", {"amount_to_capture": "1000"})],
        ),
        (
            lambda gateway: gateway.void(replace(OPERATION, verb=Verb.VOID)),
            [("POST", f"{INTENTS}/pi_1/cancel", "at_1-cancel", {"cancellation_reason": "requested_by_customer"})],
        ),
        (
            lambda gateway: gateway.void(replace(OPERATION, verb=Verb.VOID, reason="expired")),
            [("POST", f"{INTENTS}/pi_1/cancel", "at_1-cancel", {"cancellation_reason": "abandoned"})],
        ),
        (
            lambda gateway: gateway.refund(replace(OPERATION, verb=Verb.REFUND, reason="duplicate")),
            [
                (
                    "POST",
                    "/v1/refunds",
                    "at_1",
                    {"payment_intent": "pi_1", "amount": "1000", "reason": "duplicate", **METADATA},
                )
            ],
        ),
        (
            lambda gateway: gateway.retrieve(ATTEMPT),
            [("GET", f"{INTENTS}/pi_1", None, {"expand[0]": "latest_charge.refunds"})],
        ),
        (
            lambda gateway: gateway.retrieve(replace(ATTEMPT, verb=Verb.REFUND, reference="re_1")),
            [("GET", "/v1/refunds/re_1", None, {})],
        ),
        (
            lambda gateway: gateway.open_intent(NEW, lambda reference: None),
            [("POST", INTENTS, "at_1-create-0", CREATED | {"automatic_payment_methods[enabled]": "true"})],
        ),
        (lambda gateway: gateway.client_secret("pi_1"), [("GET", f"{INTENTS}/pi_1", None, {})]),
        (
            lambda gateway: gateway.create_customer("key", {"user_id": "1"}),
            [("POST", "/v1/customers", "key-customer", {"metadata[user_id]": "1"})],
        ),
        (
            lambda gateway: gateway.open_setup("cus_1", PaymentMethod.SEPA_DEBIT, "key"),
            [
                (
                    "POST",
                    "/v1/setup_intents",
                    "key-setup",
                    {"customer": "cus_1", "allowed_payment_method_types[0]": "sepa_debit"},
                )
            ],
        ),
        (
            lambda gateway: gateway.attach_method("cus_1", "pm_1", "key"),
            [
                ("GET", "/v1/customers/cus_1", None, {}),
                ("POST", "/v1/payment_methods/pm_1/attach", "key-attach", {"customer": "cus_1"}),
            ],
        ),
        (
            lambda gateway: gateway.list_methods("cus_1"),
            [
                ("GET", "/v1/customers/cus_1", None, {}),
                ("GET", "/v1/customers/cus_1/payment_methods", None, {"limit": "100"}),
            ],
        ),
    ],
)
def test_each_call_and_its_key(
    call: Callable[[StripeGateway], Any], calls: list[tuple[str, str, str | None, dict[str, str]]]
) -> None:
    assert calls_of(call) == calls


@pytest.mark.parametrize(
    ("call", "path", "changed"),
    [
        (
            lambda gateway: gateway.detach_method("cus_1", "pm_1"),
            "/v1/payment_methods/pm_1/detach",
            {},
        ),
        (
            lambda gateway: gateway.make_default("cus_1", "pm_1"),
            "/v1/customers/cus_1",
            {"invoice_settings[default_payment_method]": "pm_1"},
        ),
    ],
)
def test_a_method_is_changed_only_after_its_owner_is_known(
    call: Callable[[StripeGateway], Any], path: str, changed: dict[str, str]
) -> None:
    owner, change = calls_of(call)
    assert owner == ("GET", "/v1/payment_methods/pm_1", None, {})
    assert (change[0], change[1], change[3]) == ("POST", path, changed)


@pytest.mark.parametrize("token", ["../customers/cus_2", "pm_1?expand=x", "pm 1/detach"])
def test_a_token_stays_one_segment_of_the_path(token: str) -> None:
    [call, *_] = calls_of(lambda gateway: gateway.detach_method("cus_1", token))
    assert call[1].count("/") == 3
    assert call[3] == {}


def test_a_transfer_needs_its_customer() -> None:
    attempt = replace(NEW, method=PaymentMethod.BANK_TRANSFER, method_token=None, payer={"email": "jo@example.org"})
    assert calls_of(charge(attempt)) == []
    created, _ = calls_of(charge(replace(attempt, customer_token="cus_1")))
    assert created[3]["customer"] == "cus_1"


def test_a_customer_who_pays_by_transfer_pays_open_intents() -> None:
    payer = {"email": "jo@example.org"}
    [updated] = calls_of(lambda gateway: gateway.update_customer("cus_1", payer, is_paying_by_transfer=True))
    assert (updated[1], updated[3]) == (
        "/v1/customers/cus_1",
        {"cash_balance[settings][reconciliation_mode]": "automatic", **payer},
    )
