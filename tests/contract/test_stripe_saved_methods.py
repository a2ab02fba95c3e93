"""Customers at Stripe and their saved payment methods: who may change which, and what a refusal means."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, replace
from typing import Any

import pytest
import requests

from domain.errors import InvalidRequest, NotFound
from domain.outcome import Approved, NotSent
from domain.payment_methods import PaymentMethod
from gateways.base import CallUnderWay, CustomerLost, GatewayError, KeySpent
from gateways.capabilities import SavedMethod, SavedMethodsGateway
from gateways.stripe.gateway import StripeGateway
from gateways.stripe.saved_method_responses import SetupIntent
from sandbox.server import RunningSandbox
from stack.process import free_port

from .bench import PAYER, SECONDS, Books, new_attempt
from .benches.stripe import ProviderBench as StripeBench
from .served import serving


@pytest.fixture
def bench(sandbox: RunningSandbox) -> StripeBench:
    """Stripe's bench."""
    return StripeBench(sandbox)


@pytest.fixture
def wallet(bench: StripeBench) -> SavedMethodsGateway:
    """Stripe's gateway, which keeps customers."""
    gateway = bench.gateway()
    assert isinstance(gateway, SavedMethodsGateway)
    return gateway


@pytest.fixture
def faults(sandbox: RunningSandbox, books: Books) -> Any:
    """Plan faults; they are cleared afterwards."""
    yield books.fail
    sandbox.state.faults.clear()


def key() -> str:
    return secrets.token_hex(8)


@pytest.fixture
def customer(wallet: SavedMethodsGateway) -> str:
    """A new customer."""
    created = wallet.create_customer(key(), {"user_id": "user_1"})
    wallet.update_customer(created, PAYER)
    return created


@pytest.mark.parametrize("word", [None, "INVENTED_TOMORROW"])
def test_a_setup_saves_a_method_only_by_the_word_that_says_so(
    wallet: SavedMethodsGateway, customer: str, monkeypatch: pytest.MonkeyPatch, word: str | None
) -> None:
    setup = wallet.open_setup(customer, PaymentMethod.CREDIT_CARD, key()).reference
    assert wallet.saved_by(setup, customer) is None, "nothing was entered yet"
    shown = {"status": "succeeded", "customer": customer, "payment_method": "pm_1"}
    monkeypatch.setattr(SetupIntent, "parse", lambda _: SetupIntent.model_validate(shown | {"status": word}))
    assert wallet.saved_by(setup, customer) is None
    monkeypatch.setattr(SetupIntent, "parse", lambda _: SetupIntent.model_validate(shown))
    assert (wallet.saved_by(setup, customer), wallet.saved_by(setup, "cus_other")) == ("pm_1", None)


# --- customers ---


def test_a_key_creates_one_customer(bench: StripeBench, wallet: SavedMethodsGateway) -> None:
    same = key()
    first, again = (wallet.create_customer(same, {"user_id": "user_1"}) for _ in range(2))
    assert first == again != wallet.create_customer(key(), {"user_id": "user_1"})
    wallet.update_customer(first, PAYER)
    stored = bench._call("GET", f"/v1/customers/{first}")
    assert (stored["email"], stored["name"], stored["metadata"]) == (
        "jo@example.org",
        "Jo Example",
        {"user_id": "user_1"},
    )
    assert stored["address"]["country"] == "US"


def test_a_key_is_for_one_request(wallet: SavedMethodsGateway) -> None:
    same = key()
    wallet.create_customer(same, {})
    with pytest.raises(KeySpent):
        wallet.create_customer(same, {"user_id": "user_1"})


def test_a_key_with_a_stored_failure_is_spent(wallet: SavedMethodsGateway, faults: Any) -> None:
    same = key()
    faults("customers.create", "error_stored")
    for _ in range(2):
        with pytest.raises(KeySpent):
            wallet.create_customer(same, {})


def test_a_key_whose_call_is_running_is_asked_again() -> None:
    refusal = {"error": {"type": "idempotency_error", "code": "idempotency_key_in_use", "message": "running"}}
    with serving(lambda request: (409, refusal)) as served:
        gateway = StripeGateway("sk_test_sandbox", ("whsec_x",), served.url, read_seconds=SECONDS)
        with pytest.raises(CallUnderWay):
            gateway.create_customer(key(), {})


# --- saved methods ---


def test_saved_methods_and_the_default(wallet: SavedMethodsGateway, customer: str) -> None:
    assert wallet.list_methods(customer) == []
    visa = wallet.attach_method(customer, "pm_card_visa", key())
    debit = wallet.attach_method(customer, "pm_card_mastercard_debit", key())
    assert replace(visa, instrument=None) == SavedMethod(visa.token, "credit_card", "visa", "4242", "2099-12", False)
    assert (debit.kind, debit.brand, debit.last4) == ("debit_card", "mastercard", "3222")
    wallet.make_default(customer, debit.token)
    listed = wallet.list_methods(customer)
    assert {saved.token: saved.is_default for saved in listed} == {visa.token: False, debit.token: True}

    wallet.detach_method(customer, debit.token)
    assert [saved.token for saved in wallet.list_methods(customer)] == [visa.token]
    assert wallet.list_methods(customer)[0].is_default is False


def test_debits_are_saved_with_their_bank(bench: StripeBench, wallet: SavedMethodsGateway, customer: str) -> None:
    sepa = wallet.attach_method(customer, bench.pending_token(is_good=True)[1], key())
    assert (sepa.kind, sepa.last4, sepa.expires) == ("sepa_debit", "3000", None)
    ach = wallet.attach_method(customer, "pm_usBankAccount_success", key())
    assert (ach.kind, ach.brand, ach.last4) == ("ach_debit", "STRIPE TEST BANK", "6789")


def test_a_saved_method_can_be_charged_while_its_owner_is_away(
    bench: StripeBench, wallet: SavedMethodsGateway, customer: str, books: Books
) -> None:
    token = wallet.attach_method(customer, "pm_card_visa", key()).token
    attempt = new_attempt(bench, method_token=token, customer_token=customer, is_off_session=True)
    for _ in range(2):
        assert isinstance(wallet.charge(attempt, lambda _: None), Approved)
    assert books.movements(attempt.payment_id) == [("charge", 1000)]


def test_a_repeat_attaches_nothing_twice(wallet: SavedMethodsGateway, customer: str) -> None:
    same = key()
    first, again = (wallet.attach_method(customer, "pm_card_visa", same) for _ in range(2))
    assert first == again
    assert len(wallet.list_methods(customer)) == 1


def test_a_method_of_another_customer_cannot_be_changed(wallet: SavedMethodsGateway, customer: str) -> None:
    other = wallet.create_customer(key(), {})
    token = wallet.attach_method(other, "pm_card_visa", key()).token
    for change in (wallet.detach_method, wallet.make_default):
        with pytest.raises(NotFound):
            change(customer, token)
        with pytest.raises(NotFound):
            change(customer, "pm_none")
    with pytest.raises(InvalidRequest):
        wallet.attach_method(customer, token, key())
    assert [saved.token for saved in wallet.list_methods(other)] == [token]


def test_a_detached_method_is_gone(wallet: SavedMethodsGateway, customer: str) -> None:
    token = wallet.attach_method(customer, "pm_card_visa", key()).token
    wallet.detach_method(customer, token)
    with pytest.raises(NotFound):
        wallet.detach_method(customer, token)
    with pytest.raises(InvalidRequest, match="enter it again"):
        wallet.attach_method(customer, token, key())


def test_a_card_that_is_declined_is_not_saved(wallet: SavedMethodsGateway, customer: str) -> None:
    with pytest.raises(InvalidRequest, match="use another"):
        wallet.attach_method(customer, "pm_card_visa_chargeDeclined", key())
    assert wallet.list_methods(customer) == []


def test_customers_that_do_not_exist(bench: StripeBench, wallet: SavedMethodsGateway, customer: str) -> None:
    bench._call("DELETE", f"/v1/customers/{customer}")
    for missing in ("cus_none", customer):
        with pytest.raises(CustomerLost):
            wallet.list_methods(missing)
        with pytest.raises(CustomerLost):
            wallet.attach_method(missing, "pm_card_visa", key())
        with pytest.raises(CustomerLost):
            wallet.open_setup(missing, PaymentMethod.CREDIT_CARD, key())
        with pytest.raises(CustomerLost):
            wallet.update_customer(missing, PAYER)
        charged = wallet.charge(new_attempt(bench, method_token="pm_card_visa", customer_token=missing), _never)
        assert isinstance(charged, NotSent)
        assert (charged.is_retryable, charged.param) == (False, "customer_token")
        default = wallet.charge(new_attempt(bench, method_token=None, customer_token=missing), _never)
        assert default == NotSent("customer_missing", is_retryable=False, param="customer_token")


def _never(reference: str) -> None:
    raise AssertionError(reference)


# --- setups ---


def confirm(bench: StripeBench, reference: str, **params: str) -> dict[str, Any]:
    """Confirm as a front end does."""
    confirmed: dict[str, Any] = bench._call("POST", f"/v1/setup_intents/{reference}/confirm", params)
    return confirmed


def test_a_setup_saves_a_card_for_later(bench: StripeBench, wallet: SavedMethodsGateway, customer: str) -> None:
    same = key()
    setup = wallet.open_setup(customer, PaymentMethod.CREDIT_CARD, same)
    assert setup == wallet.open_setup(customer, PaymentMethod.CREDIT_CARD, same)
    assert setup.client_secret.startswith(f"{setup.reference}_secret_")
    done = confirm(bench, setup.reference, payment_method="pm_card_visa")
    assert (done["status"], done["usage"]) == ("succeeded", "off_session")
    [saved] = wallet.list_methods(customer)
    assert saved.token == done["payment_method"]
    attempt = new_attempt(bench, method_token=saved.token, customer_token=customer, is_off_session=True)
    assert isinstance(wallet.charge(attempt, lambda _: None), Approved)


@pytest.mark.parametrize("result", ["success", "failure"])
def test_a_setup_that_the_issuer_wants_authenticated(
    bench: StripeBench, wallet: SavedMethodsGateway, customer: str, result: str
) -> None:
    setup = wallet.open_setup(customer, PaymentMethod.DEBIT_CARD, key())
    back = "https://shop.example/saved"
    token = "pm_card_authenticationRequiredOnSetup"
    waiting = confirm(bench, setup.reference, payment_method=token, return_url=back)
    assert waiting["status"] == "requires_action"
    page = waiting["next_action"]["redirect_to_url"]["url"]
    assert 'name="result"' in requests.get(page, timeout=SECONDS).text
    sent = requests.post(page, data={"result": result}, timeout=SECONDS, allow_redirects=False)
    assert sent.headers["Location"].startswith(f"{back}?setup_intent=")
    setup_intent = bench._call("GET", f"/v1/setup_intents/{setup.reference}")
    if result == "failure":
        assert (setup_intent["status"], setup_intent["last_setup_error"]["code"]) == (
            "requires_payment_method",
            "setup_intent_authentication_failure",
        )
        assert wallet.list_methods(customer) == []
        return
    assert setup_intent["status"] == "succeeded"
    [saved] = wallet.list_methods(customer)
    attempt = new_attempt(bench, method_token=saved.token, customer_token=customer, is_off_session=True)
    assert isinstance(wallet.charge(attempt, lambda _: None), Approved)


def test_only_one_page_of_methods_is_read() -> None:
    methods = [{"id": f"pm_{n}", "object": "payment_method", "type": "link", "link": {}} for n in range(100)]
    page = {"object": "list", "url": "/v1/customers/cus_1/payment_methods", "has_more": True, "data": methods}
    customer = {"id": "cus_1", "object": "customer", "invoice_settings": {"default_payment_method": "pm_7"}}
    with serving(lambda request: (200, page if "payment_methods" in request.path else customer)) as served:
        listed = StripeGateway("sk_test_sandbox", ("whsec_x",), served.url, read_seconds=SECONDS).list_methods("cus_1")
    assert [saved.token for saved in listed if saved.is_default] == ["pm_7"]
    assert len(listed) == 100
    assert [request.path for request in served.requests if "payment_methods" in request.path] == [
        "/v1/customers/cus_1/payment_methods?limit=100"
    ]


def test_a_bank_account_is_set_up_with_consent_and_microdeposits(
    bench: StripeBench, wallet: SavedMethodsGateway, customer: str
) -> None:
    setup = wallet.open_setup(customer, PaymentMethod.ACH_DEBIT, key())
    account = {
        "payment_method_data[type]": "us_bank_account",
        "payment_method_data[us_bank_account][account_number]": "000123456789",
        "payment_method_data[us_bank_account][routing_number]": "110000000",
    }
    consent = {"mandate_data[customer_acceptance][type]": "offline"}
    with pytest.raises(requests.HTTPError):
        confirm(bench, setup.reference, **account)
    waiting = confirm(bench, setup.reference, **account, **consent)
    assert waiting["next_action"]["type"] == "verify_with_microdeposits"
    path = f"/v1/setup_intents/{setup.reference}/verify_microdeposits"
    done = bench._call("POST", path, {"descriptor_code": "SM11AA"})
    assert (done["status"], bool(done["mandate"])) == ("succeeded", True)
    assert [saved.kind for saved in wallet.list_methods(customer)] == ["ach_debit"]


def test_a_setup_that_is_declined_or_canceled(bench: StripeBench, wallet: SavedMethodsGateway, customer: str) -> None:
    setup = wallet.open_setup(customer, PaymentMethod.CREDIT_CARD, key())
    with pytest.raises(requests.HTTPError) as refused:
        confirm(bench, setup.reference, payment_method="pm_card_visa_chargeDeclined")
    error = refused.value.response.json()["error"]
    assert (error["code"], error["setup_intent"]["status"]) == ("card_declined", "requires_payment_method")
    assert bench._call("POST", f"/v1/setup_intents/{setup.reference}/cancel")["status"] == "canceled"
    with pytest.raises(requests.HTTPError) as late:
        bench._call("POST", f"/v1/setup_intents/{setup.reference}/cancel")
    assert late.value.response.json()["error"]["code"] == "setup_intent_unexpected_state"
    events = bench._call("GET", "/v1/events?limit=100")["data"]
    about = [event["type"] for event in events if event["data"]["object"]["id"] == setup.reference]
    assert about[::-1] == ["setup_intent.created", "setup_intent.setup_failed", "setup_intent.canceled"]


def test_an_event_about_a_setup_is_ignored(bench: StripeBench, wallet: SavedMethodsGateway, customer: str) -> None:
    setup = wallet.open_setup(customer, PaymentMethod.CREDIT_CARD, key())
    event = next(
        event
        for event in bench._call("GET", "/v1/events?limit=100")["data"]
        if event["data"]["object"]["id"] == setup.reference
    )
    assert wallet.read_webhook(json.dumps(event)) is None


@pytest.mark.parametrize("method", [PaymentMethod.KLARNA, PaymentMethod.WIRE_TRANSFER, PaymentMethod.BITCOIN])
def test_methods_that_cannot_be_saved(wallet: SavedMethodsGateway, customer: str, method: PaymentMethod) -> None:
    with pytest.raises(InvalidRequest, match="cannot be saved"):
        wallet.open_setup(customer, method, key())


# --- failures ---


CALLS = {
    "customers.create": lambda wallet, customer: wallet.create_customer(key(), {}),
    "setup_intents.create": lambda wallet, customer: wallet.open_setup(customer, PaymentMethod.CREDIT_CARD, key()),
    "customers.payment_methods.list": lambda wallet, customer: wallet.list_methods(customer),
    "payment_methods.attach": lambda wallet, customer: wallet.attach_method(customer, "pm_card_visa", key()),
    "payment_methods.retrieve": lambda wallet, customer: wallet.detach_method(customer, "pm_1"),
    "customers.retrieve": lambda wallet, customer: wallet.list_methods(customer),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("fault", ["error_before", "timeout_after", "reset_before", "rate_limit"])
def test_a_failing_provider_is_a_gateway_error(
    wallet: SavedMethodsGateway, customer: str, faults: Any, name: str, fault: str
) -> None:
    faults(name, fault)
    with pytest.raises(GatewayError):
        CALLS[name](wallet, customer)


def test_no_refusal_repeats_the_request(wallet: SavedMethodsGateway, customer: str) -> None:
    with pytest.raises(NotFound) as refused:
        wallet.detach_method(customer, "pm_canary")
    assert "canary" not in repr(refused.value)
    with pytest.raises(InvalidRequest) as unsaved:
        wallet.attach_method(customer, "pm_card_visa_chargeDeclined", key())
    assert "pm_" not in repr(unsaved.value)


def test_a_wrong_key_creates_nothing(bench: StripeBench) -> None:
    wrong = bench.gateway(**bench.credentials)
    assert isinstance(wrong, SavedMethodsGateway)
    with pytest.raises(GatewayError):
        wrong.create_customer(key(), {})


def test_a_shown_method_holds_no_personal_data() -> None:
    saved = SavedMethod("pm_1", "credit_card", "visa", "4242", "2099-12", False)
    assert set(asdict(saved)) == {"token", "kind", "brand", "last4", "expires", "is_default", "instrument"}


# --- the check of the credentials ---


def stripe_of(bench: StripeBench, **changes: Any) -> StripeGateway:
    gateway = bench.gateway(**changes)
    assert isinstance(gateway, StripeGateway)
    return gateway


def test_credentials_are_checked(bench: StripeBench) -> None:
    assert stripe_of(bench).check() == "credentials accepted (test mode, account acct_sandbox); 0 webhook endpoints"
    url = {"url": "https://pay.example/webhooks/stripe", "enabled_events[]": "*"}
    endpoint = bench._call("POST", "/v1/webhook_endpoints", url)["id"]
    try:
        assert stripe_of(bench).check().endswith("; 1 webhook endpoint")
    finally:
        bench._call("DELETE", f"/v1/webhook_endpoints/{endpoint}")


def test_refused_credentials(bench: StripeBench) -> None:
    with pytest.raises(GatewayError, match="http_401"):
        stripe_of(bench, **bench.credentials).check()
    with pytest.raises(GatewayError, match="unreachable"):
        stripe_of(bench, base=f"http://127.0.0.1:{free_port()}").check()


def test_a_field_that_the_application_can_mend_is_named() -> None:
    error = {"type": "invalid_request_error", "code": "email_invalid", "param": "email", "message": "Bad: jo@"}
    with serving(lambda request: (400, {"error": error})) as served:
        gateway = StripeGateway("sk_test_sandbox", ("whsec_x",), served.url, read_seconds=SECONDS)
        with pytest.raises(InvalidRequest) as refused:
            gateway.update_customer("cus_1", {"email": "jo@"})
    assert refused.value.members == {"code": "email_invalid", "param": "email"}
    assert "jo@" not in str(refused.value)
