"""Stripe's other methods: bank transfers, Klarna and Afterpay, wallets, debits that fail days later."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import requests

from domain.decline import DeclineClass
from domain.money import Money
from domain.outcome import ActionRequired, Approved, Declined, NotSent, Pending
from domain.payment import Verb
from domain.payment_methods import PaymentMethod
from gateways.base import AttemptRequest, Gateway, WebhookEvent
from gateways.stripe.next_actions import NextAction, next_action
from gateways.stripe.requests import confirm_params, create_params
from sandbox.server import RunningSandbox

from .bench import API_URL, SECONDS, Books, new_attempt, now
from .benches.stripe import ProviderBench as StripeBench
from .specifications import all_of
from .test_gateway_operations import operation

TRANSFERS = (PaymentMethod.WIRE_TRANSFER, PaymentMethod.BANK_TRANSFER)
REDIRECTS = (PaymentMethod.KLARNA, PaymentMethod.AFTERPAY)
ACCOUNTS = {
    "EUR": {"iban_iban", "iban_bic", "iban_bank_address", "iban_networks"},
    "GBP": {"sort_code_sort_code", "sort_code_account_number", "sort_code_networks"},
    "JPY": {"zengin_bank_code", "zengin_branch_code", "zengin_account_number"},
    "MXN": {"spei_clabe", "spei_bank_code"},
    "USD": {"aba_routing_number", "aba_account_number", "swift_swift_code", "swift_account_number"},
}
SPECIFICATIONS = all_of("stripe", "stripe-sdk-*.json")


@pytest.fixture
def bench(sandbox: RunningSandbox) -> StripeBench:
    """Stripe's bench."""
    return StripeBench(sandbox)


@pytest.fixture
def stripe_gateway(bench: StripeBench) -> Gateway:
    """Stripe's gateway."""
    return bench.gateway()


def attempt_request(
    bench: StripeBench, method: PaymentMethod, amount: str, currency: str, **changes: Any
) -> AttemptRequest:
    given = {"method": method, "method_token": None, "money": Money.parse(amount, currency)}
    if method in TRANSFERS and "customer_token" not in changes:
        given["customer_token"] = bench._call("POST", "/v1/customers", {"email": "jo@example.org"})["id"]
    return new_attempt(bench, **(given | changes))


def waiting(gateway: Gateway, attempt: AttemptRequest) -> tuple[AttemptRequest, ActionRequired]:
    """Charge; return the attempt with its reference, and the action that its customer has to take."""
    saved: list[str] = []
    outcome = gateway.charge(attempt, saved.append)
    assert isinstance(outcome, ActionRequired)
    assert [outcome.reference] == saved
    return replace(attempt, reference=outcome.reference), outcome


def control(sandbox: RunningSandbox, path: str, **body: Any) -> Any:
    response = requests.post(f"{sandbox.url}/_sandbox/{path}", json=body, timeout=SECONDS)
    response.raise_for_status()
    return response.json()


# --- transfers ---


@pytest.mark.parametrize("method", TRANSFERS)
@pytest.mark.parametrize("currency", sorted(ACCOUNTS))
def test_a_transfer_shows_the_account_and_the_amount(
    bench: StripeBench, stripe_gateway: Gateway, books: Books, method: PaymentMethod, currency: str
) -> None:
    attempt = attempt_request(bench, method, "1500", currency)
    saved_attempt, outcome = waiting(stripe_gateway, attempt)
    action = outcome.next_action
    assert action["type"] == "display_bank_transfer_instructions"
    assert Money.parse(action["amount_remaining"], action["currency"]) == attempt.money
    assert action["reference"]
    assert action["hosted_instructions_url"].startswith("http")
    assert ACCOUNTS[currency] <= action.keys()
    assert all(isinstance(text, str) and text for text in action.values())
    assert books.movements(attempt.payment_id) == []
    assert stripe_gateway.retrieve(saved_attempt) == outcome


def test_a_transfer_in_parts(
    bench: StripeBench, stripe_gateway: Gateway, books: Books, sandbox: RunningSandbox
) -> None:
    saved_attempt, first = waiting(stripe_gateway, attempt_request(bench, PaymentMethod.WIRE_TRANSFER, "100.00", "USD"))
    control(sandbox, f"intents/{saved_attempt.reference}/fund", amount=4000)
    then = stripe_gateway.retrieve(saved_attempt)
    assert isinstance(then, ActionRequired)
    assert then.next_action == first.next_action | {"amount_remaining": "60.00"}
    assert books.movements(saved_attempt.payment_id) == []
    event = bench.event(saved_attempt.reference or "")
    assert event["type"] == "payment_intent.partially_funded"
    webhook_event = stripe_gateway.read_webhook(json.dumps(event))
    assert webhook_event == WebhookEvent(saved_attempt.reference or "", saved_attempt.attempt_id, then)

    control(sandbox, f"intents/{saved_attempt.reference}/fund")
    paid = stripe_gateway.retrieve(saved_attempt)
    assert paid == Approved(saved_attempt.reference, authorized=10_000, captured=10_000)
    assert stripe_gateway.charge(saved_attempt, lambda _: None) == first
    assert books.movements(saved_attempt.payment_id) == [("charge", 10_000)]


def test_an_excess_transfer_pays_the_next_payment_at_once(
    bench: StripeBench, stripe_gateway: Gateway, books: Books, sandbox: RunningSandbox
) -> None:
    customer = bench._call("POST", "/v1/customers", {"email": "jo@example.org"})["id"]
    attempt = attempt_request(bench, PaymentMethod.BANK_TRANSFER, "100", "GBP", customer_token=customer)
    saved_attempt, _ = waiting(stripe_gateway, attempt)
    control(sandbox, f"intents/{saved_attempt.reference}/fund", amount=15_000)
    assert isinstance(stripe_gateway.retrieve(saved_attempt), Approved)
    second = attempt_request(bench, PaymentMethod.BANK_TRANSFER, "50", "GBP", customer_token=customer)
    assert isinstance(stripe_gateway.charge(second, lambda _: None), Approved)
    assert books.movements(second.payment_id) == [("charge", 5000)]


def test_an_abandoned_transfer_returns_to_the_customers_balance(
    bench: StripeBench, stripe_gateway: Gateway, books: Books, sandbox: RunningSandbox
) -> None:
    saved_attempt, _ = waiting(stripe_gateway, attempt_request(bench, PaymentMethod.BANK_TRANSFER, "100", "EUR"))
    control(sandbox, f"intents/{saved_attempt.reference}/fund", amount=4000)
    outcome = stripe_gateway.void(operation(saved_attempt, Verb.VOID, reason="expired"))
    assert outcome == Approved(saved_attempt.reference, voided=True)
    customer = bench._call("GET", f"/v1/payment_intents/{saved_attempt.reference}")["customer"]
    assert bench._call("GET", f"/v1/customers/{customer}/cash_balance")["available"] == {"eur": 4000}
    assert books.movements(saved_attempt.payment_id) == []


def test_a_refund_of_a_transfer_is_pending_at_the_bank(
    bench: StripeBench, stripe_gateway: Gateway, sandbox: RunningSandbox
) -> None:
    saved_attempt, _ = waiting(stripe_gateway, attempt_request(bench, PaymentMethod.WIRE_TRANSFER, "100", "USD"))
    control(sandbox, f"intents/{saved_attempt.reference}/fund")
    attempt = operation(saved_attempt, Verb.REFUND, 4000)
    outcome = stripe_gateway.refund(attempt)
    assert isinstance(outcome, Pending)
    bench.let_bank_decide(outcome.reference, is_good=True)
    assert stripe_gateway.retrieve(attempt) == Approved(outcome.reference, refunded=4000)


def test_without_its_customer_a_transfer_is_not_sent(bench: StripeBench, stripe_gateway: Gateway) -> None:
    attempt = attempt_request(bench, PaymentMethod.WIRE_TRANSFER, "100", "USD", customer_token=None)
    assert stripe_gateway.charge(attempt, _never) == NotSent("customer_missing")


def test_a_redelivered_transfer_is_the_same_one(bench: StripeBench, stripe_gateway: Gateway) -> None:
    attempt = attempt_request(bench, PaymentMethod.WIRE_TRANSFER, "100", "USD")
    assert waiting(stripe_gateway, attempt) == waiting(stripe_gateway, attempt)


def test_euros_go_to_an_account_in_the_customers_country_where_there_is_one(bench: StripeBench) -> None:
    attempt = attempt_request(bench, PaymentMethod.BANK_TRANSFER, "100", "EUR")
    countries = []
    for home in ("fr", "IT", None):
        params = create_params(replace(attempt, payer={"billing_address": {"country": home}}))
        transfer = params["payment_method_options"]["customer_balance"]["bank_transfer"]
        countries.append(transfer["eu_bank_transfer"]["country"])
    assert countries == ["FR", "DE", "DE"]


@pytest.mark.parametrize(
    "changes",
    [{"money": Money(1000, "CHF")}, {"verb": Verb.AUTHORIZE}, {"is_off_session": True}],
    ids=lambda changes: next(iter(changes)),
)
def test_transfers_that_stripe_does_not_have(
    bench: StripeBench, stripe_gateway: Gateway, changes: dict[str, Any]
) -> None:
    attempt = replace(attempt_request(bench, PaymentMethod.BANK_TRANSFER, "10", "EUR"), **changes)
    assert stripe_gateway.charge(attempt, _never) == NotSent("not_supported", is_retryable=False)


def _never(reference: str) -> None:
    raise AssertionError(reference)


# --- Klarna and Afterpay ---


def press(outcome: ActionRequired, result: str) -> str:
    """Decide on the page of the redirect; return the address to which it sends the customer back."""
    url = outcome.next_action["redirect_url"]
    page = requests.get(url, timeout=SECONDS)
    assert page.status_code == 200
    assert 'name="result"' in page.text
    response = requests.post(url, data={"result": result}, timeout=SECONDS, allow_redirects=False)
    assert response.status_code == 303
    return response.headers["Location"]


@pytest.mark.parametrize("method", REDIRECTS)
@pytest.mark.parametrize("result", ["success", "failure"])
def test_a_redirect_and_back(
    bench: StripeBench, stripe_gateway: Gateway, books: Books, method: PaymentMethod, result: str
) -> None:
    saved_attempt, outcome = waiting(stripe_gateway, attempt_request(bench, method, "50", "USD"))
    assert outcome.next_action["type"] == "redirect"
    assert press(outcome, result).startswith(f"{API_URL}/returns/{saved_attempt.attempt_id}?")
    acted = stripe_gateway.retrieve(saved_attempt)
    if result == "success":
        assert acted == Approved(saved_attempt.reference, authorized=5000, captured=5000)
    else:
        assert isinstance(acted, Declined)
        assert acted.decline.decline_class is DeclineClass.NEEDS_CUSTOMER
    assert books.movements(saved_attempt.payment_id) == ([("charge", 5000)] if result == "success" else [])
    assert stripe_gateway.retrieve(saved_attempt) == acted


@pytest.mark.parametrize("method", REDIRECTS)
def test_a_redirect_may_hold_money_and_capture_a_part(
    bench: StripeBench, stripe_gateway: Gateway, books: Books, method: PaymentMethod
) -> None:
    saved_attempt, outcome = waiting(stripe_gateway, attempt_request(bench, method, "50", "USD", verb=Verb.AUTHORIZE))
    press(outcome, "success")
    held = stripe_gateway.retrieve(saved_attempt)
    assert isinstance(held, Approved)
    assert (held.authorized, held.captured) == (5000, 0)
    assert held.authorization_expires_at is not None
    assert held.authorization_expires_at > now()
    assert stripe_gateway.capture(operation(saved_attempt, Verb.CAPTURE, 3000)).captured == 3000
    assert books.movements(saved_attempt.payment_id) == [("authorization", 5000), ("capture", 3000), ("void", 2000)]


@pytest.mark.parametrize("method", REDIRECTS)
def test_a_redirect_needs_an_address_to_return_to_and_a_present_customer(
    bench: StripeBench, stripe_gateway: Gateway, method: PaymentMethod
) -> None:
    attempt = attempt_request(bench, method, "50", "USD")
    without = bench.gateway(api_url="").charge(replace(attempt, return_url=None), _never)
    assert without == NotSent("return_url_missing", is_retryable=False, param="return_url")
    away = stripe_gateway.charge(replace(attempt, is_off_session=True), _never)
    assert away == NotSent("not_supported", is_retryable=False)
    without_payer = stripe_gateway.charge(replace(attempt, payer={}), _never)
    assert without_payer == NotSent("parameter_missing", is_retryable=False)


@pytest.mark.parametrize("method", REDIRECTS)
def test_a_token_of_another_provider_is_not_sent_to_stripe(bench: StripeBench, method: PaymentMethod) -> None:
    assert "payment_method" not in create_params(attempt_request(bench, method, "50", "USD", method_token="foreign"))


# --- wallets ---


@pytest.mark.parametrize("method", [PaymentMethod.APPLE_PAY, PaymentMethod.GOOGLE_PAY, PaymentMethod.STRIPE])
def test_a_wallet_is_a_card(bench: StripeBench, stripe_gateway: Gateway, books: Books, method: PaymentMethod) -> None:
    attempt = attempt_request(bench, method, "50", "USD", method_token="pm_card_visa")
    assert isinstance(stripe_gateway.charge(attempt, lambda _: None), Approved)
    assert books.movements(attempt.payment_id) == [("charge", 5000)]


# --- debits ---


@pytest.mark.parametrize(
    ("name", "code", "kind"),
    [
        ("accountClosed", "account_closed", DeclineClass.HARD),
        ("noAccount", "no_account", DeclineClass.HARD),
        ("insufficientFunds", "insufficient_funds", DeclineClass.SOFT),
        ("debitNotAuthorized", "debit_not_authorized", DeclineClass.HARD),
    ],
)
def test_a_debit_fails_days_later(
    bench: StripeBench, stripe_gateway: Gateway, books: Books, name: str, code: str, kind: DeclineClass
) -> None:
    attempt = attempt_request(bench, PaymentMethod.ACH_DEBIT, "50", "USD", method_token=f"pm_usBankAccount_{name}")
    outcome = stripe_gateway.charge(attempt, lambda _: None)
    assert isinstance(outcome, Pending)
    bench.let_bank_decide(outcome.reference, is_good=False)
    failed = stripe_gateway.retrieve(replace(attempt, reference=outcome.reference))
    assert isinstance(failed, Declined)
    assert (failed.decline.code, failed.decline.decline_class) == (code, kind)
    assert books.movements(attempt.payment_id) == []


def test_microdeposits_are_verified_on_the_page(
    bench: StripeBench, stripe_gateway: Gateway, sandbox: RunningSandbox
) -> None:
    data = {
        "type": "us_bank_account",
        "us_bank_account[account_number]": "000123456789",
        "us_bank_account[routing_number]": "110000000",
        "billing_details[name]": "Jo Example",
    }
    token = bench._call("POST", "/v1/payment_methods", data)["id"]
    attempt = attempt_request(bench, PaymentMethod.ACH_DEBIT, "50", "USD", method_token=token)
    saved_attempt, outcome = waiting(stripe_gateway, attempt)
    action = outcome.next_action
    assert action["type"] == "verify_with_microdeposits"
    assert (action["microdeposit_type"], len(action["arrives_on"])) == ("descriptor_code", 10)
    page = action["hosted_verification_url"]
    assert "SM11AA" in requests.get(page, timeout=SECONDS).text
    assert requests.post(page, data={"descriptor_code": "SM0000"}, timeout=SECONDS).status_code == 400
    assert requests.post(page, data={"descriptor_code": "SM11AA"}, timeout=SECONDS).json() == {"status": "processing"}
    assert isinstance(stripe_gateway.retrieve(saved_attempt), Pending)


# --- pure reading ---


@pytest.mark.parametrize(
    ("action", "shown"),
    [
        (None, {"type": "unknown"}),
        ({"type": "invented"}, {"type": "invented"}),
        ({"type": "redirect_to_url"}, {"type": "redirect"}),
        ({"type": "use_stripe_sdk", "use_stripe_sdk": {"client_secret": "x"}}, {"type": "use_stripe_sdk"}),
        (
            {"type": "display_bank_transfer_instructions", "display_bank_transfer_instructions": {}},
            {"type": "display_bank_transfer_instructions"},
        ),
    ],
)
def test_actions_without_details(action: Any, shown: dict[str, str]) -> None:
    assert next_action(action and NextAction.parse(action)) == shown


# --- against the SDK's own annotations ---


@pytest.mark.parametrize("method", [*TRANSFERS, *REDIRECTS, PaymentMethod.SEPA_DEBIT, PaymentMethod.CREDIT_CARD])
def test_every_parameter_is_one_that_the_sdk_knows(bench: StripeBench, method: PaymentMethod) -> None:
    attempt = attempt_request(bench, method, "50", "EUR", method_token="pm_1", wants_authentication=True)
    for specification in SPECIFICATIONS:
        operations = specification["operations"]
        for name, params in (
            ("create", create_params(attempt)),
            ("confirm", confirm_params(attempt, attempt.return_url)),
        ):
            assert unknown(params, operations[f"payment_intents.{name}"]["params"]) == []


def unknown(params: Any, schema: Any, path: str = "") -> list[str]:
    """Return the paths of the parameters that a schema does not name; a free object names none."""
    options = [schema, *schema.get("anyOf", ()), *schema.get("oneOf", ())]
    named = {name: inner for option in options for name, inner in option.get("properties", {}).items()}
    if not isinstance(params, dict) or not named:
        return []
    return [
        missing
        for name, value in params.items()
        for missing in (unknown(value, named[name], f"{path}.{name}") if name in named else [f"{path}.{name}"])
    ]
