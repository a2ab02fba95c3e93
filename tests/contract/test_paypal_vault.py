"""PayPal's saved accounts: asked for, saved once approved, charged while the buyer is away, removed."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from jsonschema import Draft202012Validator

from domain.decline import DeclineClass
from domain.errors import Conflict, NotFound
from domain.outcome import Approved, Declined, InDoubt, NotSent
from domain.payment_methods import PaymentMethod
from gateways.base import GatewayError
from gateways.capabilities import ApprovedMethodsGateway, SavedMethod, SavedMethodsGateway
from gateways.paypal.gateway import PayPalGateway
from gateways.paypal.requests import setup_request, token_request
from gateways.registry import approved_methods_gateway
from sandbox.paypal.vault import SETUP_LIFETIME
from sandbox.server import RunningSandbox
from sandbox.state import Settings

from . import paypal_spec
from .bench import API_URL, Bench, Books, new_attempt
from .benches.paypal import MemoryTokens
from .benches.paypal import ProviderBench as PayPalBench
from .served import replying
from .test_paypal_malformed import TOKEN


@pytest.fixture
def bench(sandbox: RunningSandbox) -> PayPalBench:
    """PayPal's bench."""
    return PayPalBench(sandbox)


@pytest.fixture
def vault(bench: PayPalBench) -> ApprovedMethodsGateway:
    """PayPal's gateway, which saves accounts."""
    gateway = bench.gateway()
    assert isinstance(gateway, ApprovedMethodsGateway)
    return gateway


@pytest.fixture
def faults(sandbox: RunningSandbox, books: Books) -> Any:
    """Plan faults; they are cleared afterwards."""
    yield books.fail
    sandbox.state.faults.clear()


def new_id() -> str:
    return f"set_{secrets.token_hex(16)}"


def saved(bench: PayPalBench, vault: ApprovedMethodsGateway) -> SavedMethod:
    """Return an account that its buyer has saved."""
    setup_id = new_id()
    asked = vault.ask_to_save(setup_id)
    bench.let_customer_act(asked.reference, is_good=True)
    return vault.save_approved(setup_id, asked.reference)


def test_only_paypal_saves_by_approval(provider: Bench) -> None:
    gateway = provider.gateway()
    assert isinstance(gateway, ApprovedMethodsGateway) == (gateway.provider == "paypal")
    assert isinstance(gateway, SavedMethodsGateway) == (gateway.provider == "stripe")


def test_it_is_found_by_what_it_saves(bench: PayPalBench) -> None:
    gateways = {"paypal": bench.gateway()}
    assert approved_methods_gateway(gateways, PaymentMethod.PAYPAL) is gateways["paypal"]
    assert approved_methods_gateway(gateways, PaymentMethod.CREDIT_CARD) is None
    assert approved_methods_gateway({}, PaymentMethod.PAYPAL) is None


def test_a_buyer_approves_and_comes_back_to_us(bench: PayPalBench, vault: ApprovedMethodsGateway) -> None:
    setup_id = new_id()
    asked = vault.ask_to_save(setup_id)
    assert urlsplit(asked.redirect_url).path == f"/paypal/hosted/{asked.reference}"
    back = bench.control(asked.reference, decision="approve")["sent_to"]
    assert back.partition("?")[0] == f"{API_URL}/returns/{setup_id}"
    method = vault.save_approved(setup_id, asked.reference)
    assert (method.kind, method.is_default, method.token in bench.account.vault.tokens) == ("paypal", False, True)


def test_a_repeat_asks_for_the_same_approval_and_saves_the_same_account(
    bench: PayPalBench, vault: ApprovedMethodsGateway, faults: Any
) -> None:
    setup_id = new_id()
    faults("paypal.setup_tokens.create", "reset_after")
    with pytest.raises(GatewayError):
        vault.ask_to_save(setup_id)
    first, again = (vault.ask_to_save(setup_id) for _ in range(2))
    assert first == again
    assert first.reference != vault.ask_to_save(new_id()).reference
    bench.let_customer_act(first.reference, is_good=True)
    faults("paypal.payment_tokens.create", "reset_after")
    with pytest.raises(GatewayError):
        vault.save_approved(setup_id, first.reference)
    assert vault.save_approved(setup_id, first.reference) == vault.save_approved(setup_id, first.reference)


def test_what_the_buyer_has_not_approved_is_not_saved(bench: PayPalBench, vault: ApprovedMethodsGateway) -> None:
    setup_id = new_id()
    asked = vault.ask_to_save(setup_id)
    with pytest.raises(Conflict, match="not approved"):
        vault.save_approved(setup_id, asked.reference)
    bench.let_customer_act(asked.reference, is_good=False)
    with pytest.raises(Conflict, match="not approved"):
        vault.save_approved(setup_id, asked.reference)
    # A refusal is not kept: approved after all, it is saved.
    bench.let_customer_act(asked.reference, is_good=True)
    assert vault.save_approved(setup_id, asked.reference).token


def test_an_approval_is_used_once(bench: PayPalBench, vault: ApprovedMethodsGateway) -> None:
    setup_id = new_id()
    asked = vault.ask_to_save(setup_id)
    bench.let_customer_act(asked.reference, is_good=True)
    vault.save_approved(setup_id, asked.reference)
    with pytest.raises(Conflict, match="used up"):
        vault.save_approved(new_id(), asked.reference)


def test_an_approval_that_has_ended_is_not_saved() -> None:
    with RunningSandbox(Settings()) as own:
        bench = PayPalBench(own)
        vault: Any = bench.gateway()
        setup_id = new_id()
        asked = vault.ask_to_save(setup_id)
        bench.let_customer_act(asked.reference, is_good=True)
        own.state.advance(SETUP_LIFETIME.total_seconds() + 1)
        with pytest.raises(NotFound):
            vault.save_approved(setup_id, asked.reference)


def test_a_removed_account_is_removed_also_when_it_is_removed_again(
    bench: PayPalBench, vault: ApprovedMethodsGateway, faults: Any
) -> None:
    token = saved(bench, vault).token
    faults("paypal.payment_tokens.delete", "reset_after")
    with pytest.raises(GatewayError):
        vault.remove_saved(token)
    vault.remove_saved(token)
    assert token not in bench.account.vault.tokens


@pytest.mark.parametrize("fault", ["error_before", "rate_limit"])
def test_a_failure_of_paypal_is_raised(vault: ApprovedMethodsGateway, faults: Any, fault: str) -> None:
    calls: list[tuple[str, Any]] = [
        ("setup_tokens.create", lambda: vault.ask_to_save(new_id())),
        ("payment_tokens.create", lambda: vault.save_approved(new_id(), "SETUP1")),
        ("payment_tokens.delete", lambda: vault.remove_saved("8kk8451t")),
    ]
    for name, call in calls:
        faults(f"paypal.{name}", fault)
        with pytest.raises(GatewayError):
            call()


@pytest.mark.parametrize(
    "body", [{}, [], {"id": "", "links": []}, {"id": "S1"}, {"id": "S1", "links": [{"rel": "approve", "href": "x"}]}]
)
def test_a_response_of_another_form_is_a_failure(body: Any) -> None:
    with replying((200, TOKEN), (201, body)) as served:
        gateway: Any = PayPalGateway("sandbox-client", "sandbox-secret", MemoryTokens(), base=served.url)
        with pytest.raises(GatewayError):
            gateway.ask_to_save(new_id())


def test_what_is_sent_is_as_paypal_documents_it() -> None:
    for schema in paypal_spec.response_schema("vault_payment_tokens_v3", "setup_token_request"):
        sent = setup_request(f"{API_URL}/returns/{new_id()}")
        assert [error.message for error in Draft202012Validator(schema).iter_errors(sent)] == []
    # The schema names another type only; SETUP_TOKEN stands in the SDK's (developer.paypal.com/sdk/vault/v2).
    assert token_request("5C991763VB2781612") == {
        "payment_source": {"token": {"id": "5C991763VB2781612", "type": "SETUP_TOKEN"}}
    }


# --- charges ---


def charge(gateway: Any, attempt: Any) -> tuple[Any, list[str]]:
    """Charge an attempt; return the outcome, and the references that were saved."""
    references: list[str] = []
    return gateway.charge(attempt, references.append), references


def test_a_saved_account_is_charged_while_the_buyer_is_away(
    bench: PayPalBench, vault: ApprovedMethodsGateway, books: Books
) -> None:
    token = saved(bench, vault).token
    attempt = new_attempt(bench, is_off_session=True, method_token=token)
    outcome, references = charge(vault, attempt)
    assert isinstance(outcome, Approved)
    assert (outcome.captured, references) == (1000, [outcome.reference])
    assert books.movements(attempt.payment_id) == [("charge", 1000)]


def test_a_lost_response_of_its_charge_is_doubt_and_looked_up(
    bench: PayPalBench, vault: ApprovedMethodsGateway, books: Books, faults: Any
) -> None:
    token = saved(bench, vault).token
    attempt = new_attempt(bench, is_off_session=True, method_token=token)
    faults("paypal.orders.capture", "reset_after")
    outcome, [reference] = charge(vault, attempt)
    assert isinstance(outcome, InDoubt)
    looked_up = vault.retrieve(replace(attempt, reference=reference))
    assert isinstance(looked_up, Approved)
    assert books.movements(attempt.payment_id) == [("charge", 1000)]


@pytest.mark.parametrize(
    ("scenario", "decline_class"),
    [("INSTRUMENT_DECLINED", DeclineClass.SOFT), ("5120", DeclineClass.SOFT), ("PAYER_CANNOT_PAY", DeclineClass.HARD)],
)
def test_a_declined_charge_of_a_saved_account_is_a_decline(
    bench: PayPalBench, vault: ApprovedMethodsGateway, scenario: str, decline_class: DeclineClass
) -> None:
    token = saved(bench, vault).token
    bench.set_scenario(token, scenario)
    outcome, _ = charge(vault, new_attempt(bench, is_off_session=True, method_token=token))
    assert isinstance(outcome, Declined)
    assert outcome.decline.decline_class is decline_class


def test_a_removed_account_is_a_hard_decline(bench: PayPalBench, vault: ApprovedMethodsGateway) -> None:
    token = saved(bench, vault).token
    bench.control(f"{token}/remove")
    outcome, _ = charge(vault, new_attempt(bench, is_off_session=True, method_token=token))
    assert isinstance(outcome, Declined)
    assert (outcome.decline.code, outcome.decline.decline_class) == ("TOKEN_ID_NOT_FOUND", DeclineClass.HARD)


def test_an_absent_buyer_without_a_saved_account_is_not_charged(
    bench: PayPalBench, vault: ApprovedMethodsGateway
) -> None:
    outcome, references = charge(vault, new_attempt(bench, is_off_session=True, method_token=None))
    assert isinstance(outcome, NotSent)
    assert (outcome.reason, outcome.is_retryable, references) == ("saved_account_required", False, [])
