"""Shows through the official package that the sandbox answers as Stripe does and keeps right books."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests
import stripe

from sandbox.server import RunningSandbox
from sandbox.state import Settings
from tests.patience import patient

from .served import Asked, Reply, serving

DEADLINE_SECONDS = patient(10)
DAY = 24 * 3600
CARD = {"allowed_payment_method_types": ["card"]}
ONLINE_MANDATE = {
    "customer_acceptance": {"type": "online", "online": {"ip_address": "127.0.0.1", "user_agent": "test"}}
}
PAYER = {
    "email": "jo@example.org",
    "name": "Jo Example",
    "address": {"line1": "1 High Street", "city": "Springfield", "postal_code": "12345", "country": "US"},
}
RETURN_URL = "https://shop.example/return?order=7"


@dataclass
class Bench:
    """A running sandbox, an official client of it, and its control API."""

    running: RunningSandbox
    client: stripe.StripeClient = field(init=False)

    def __post_init__(self) -> None:
        self.client = self.another_client()

    def another_client(self, **options: Any) -> stripe.StripeClient:
        return stripe.StripeClient("sk_test_sandbox", base_addresses={"api": self.running.url}, **options)

    def control(self, method: str, path: str, body: Any = None) -> Any:
        url = f"{self.running.url}/_sandbox/{path}"
        answer = requests.request(method, url, json=body, timeout=DEADLINE_SECONDS)
        answer.raise_for_status()
        return answer.json()

    def create(self, **params: Any) -> stripe.PaymentIntent:
        given = {"amount": 1000, "currency": "usd", **CARD, **params}
        return self.client.v1.payment_intents.create(
            {name: value for name, value in given.items() if value is not None}
        )

    def pay(self, method: str = "pm_card_visa", **params: Any) -> stripe.PaymentIntent:
        return self.create(payment_method=method, confirm=True, **params)

    def retrieve(self, id: str) -> stripe.PaymentIntent:
        return self.client.v1.payment_intents.retrieve(id, {"expand": ["latest_charge"]})

    def book(self, id: str) -> dict[str, Any]:
        return next(book for book in self.control("GET", "books")["books"] if book["object"] == id)

    def movements(self, id: str) -> list[tuple[str, int]]:
        rows = self.control("GET", "ledger")["movements"]
        return [(row["kind"], row["amount"]) for row in rows if row["parent"] == id]

    def attempts(self, id: str) -> list[str]:
        return [row["result"] for row in self.control("GET", "ledger")["attempts"] if row["object"] == id]

    def events(self, id: str) -> list[str]:
        """Return the types of the events about an intent and what belongs to it, oldest first."""
        found = [
            (event.type, event.data.object.to_dict())
            for event in self.client.v1.events.list({"limit": 100}).auto_paging_iter()
        ]
        about = [type for type, subject in found if id in (subject["id"], subject.get("payment_intent"))]
        return about[::-1]


def wait_until(condition: Callable[[], Any], what: str) -> Any:
    """Return the condition's first true value; fail with what was awaited once the deadline is over."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if value := condition():
            return value
        threading.Event().wait(0.01)
    pytest.fail(f"waited {DEADLINE_SECONDS} s in vain: {what}")


@pytest.fixture(scope="module")
def shared() -> Iterator[RunningSandbox]:
    with RunningSandbox(Settings(seed=1)) as running:
        yield running


@pytest.fixture
def bench(shared: RunningSandbox) -> Iterator[Bench]:
    bench = Bench(shared)
    yield bench
    bench.control("DELETE", "faults")


@pytest.fixture
def own() -> Iterator[Bench]:
    """A sandbox of its own, for tests that move its clock."""
    with RunningSandbox(Settings(seed=1)) as running:
        yield Bench(running)


# --- success and the shapes of answers ---


def test_a_payment_succeeds_and_is_booked_once(bench: Bench) -> None:
    intent = bench.create(metadata={"order": "42"})
    assert intent.status == "requires_payment_method"

    paid = bench.client.v1.payment_intents.confirm(
        intent.id,
        {"payment_method": "pm_card_visa", "expand": ["latest_charge", "payment_method"]},
        {"idempotency_key": f"pay-{intent.id}"},
    )

    assert (paid.status, paid.amount_received, paid.amount_capturable) == ("succeeded", 1000, 0)
    assert paid.latest_charge.status == "succeeded"
    assert paid.latest_charge.outcome.network_status == "approved_by_network"
    assert paid.payment_method.card.last4 == "4242"
    assert bench.movements(intent.id) == [("charge", 1000)]
    assert bench.attempts(intent.id) == ["success"]
    row = next(row for row in bench.control("GET", "ledger")["movements"] if row["object"] == intent.id)
    assert (row["idempotency_key"], row["metadata"], row["currency"]) == (
        f"pay-{intent.id}",
        {"order": "42"},
        "usd",
    )
    assert bench.book(intent.id) == {
        "object": intent.id,
        "provider": "stripe",
        "currency": "usd",
        "metadata": {"order": "42"},
        "status": "succeeded",
        "authorized": 1000,
        "captured": 1000,
        "refunded": 0,
        "voided": 0,
        "charges": 1,
    }
    assert bench.events(intent.id) == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
    ]


def test_every_field_of_an_intent_is_there(bench: Bench) -> None:
    shown = bench.pay().to_dict()
    fields = {
        "amount_details",
        "automatic_payment_methods",
        "canceled_at",
        "cancellation_reason",
        "client_secret",
        "last_payment_error",
        "latest_charge",
        "livemode",
        "next_action",
        "payment_method_options",
        "payment_method_types",
        "processing",
        "setup_future_usage",
        "shipping",
        "transfer_group",
    }
    assert fields <= shown.keys()
    assert shown["client_secret"].startswith(shown["id"] + "_secret_")
    assert shown["livemode"] is False


def test_answers_carry_request_id_and_version(bench: Bench) -> None:
    headers = bench.pay().last_response.headers
    assert headers["Request-Id"].startswith("req_")
    assert headers["Stripe-Version"] == stripe.api_version


@pytest.mark.parametrize(
    ("key", "is_known"), [("sk_test_a", True), ("rk_test_a", True), ("sk_live_a", False)]
)
def test_only_test_keys_are_known(bench: Bench, key: str, is_known: bool) -> None:
    client = stripe.StripeClient(key, base_addresses={"api": bench.running.url})
    if is_known:
        assert client.v1.customers.list().data is not None
    else:
        with pytest.raises(stripe.AuthenticationError):
            client.v1.customers.list()


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"payment_method_types": ["card"]}, "parameter_unknown", "payment_method_types"),
        ({"amount": None}, "parameter_missing", "amount"),
        ({"amount": 49}, "amount_too_small", "amount"),
        ({"amount": 100_000_000}, "amount_too_large", "amount"),
        ({"amount": 0}, "parameter_invalid_integer", "amount"),
        ({"amount": "10.5"}, "parameter_invalid_integer", "amount"),
        ({"currency": "xxx"}, None, "currency"),
        ({"currency": "kwd", "amount": 1001}, None, "amount"),
        ({"capture_method": "later"}, None, "capture_method"),
        ({"off_session": True}, None, "off_session"),
        ({"return_url": RETURN_URL}, None, "return_url"),
        ({"customer": "cus_none"}, "resource_missing", "customer"),
        ({"payment_method": "pm_none"}, "resource_missing", "payment_method"),
        (
            {"payment_method_data": {"type": "card", "card": {"token": "tok_visa"}}},
            "parameter_unknown",
            "payment_method_data[card]",
        ),
    ],
)
def test_bad_parameters_are_refused(
    bench: Bench, change: dict[str, Any], code: str | None, param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        bench.create(**change)
    assert (refusal.value.http_status, refusal.value.code, refusal.value.param) == (400, code, param)


def test_a_bad_expansion_is_refused_before_money_moves(bench: Bench) -> None:
    intent = bench.create()
    with pytest.raises(stripe.InvalidRequestError):
        bench.client.v1.payment_intents.confirm(
            intent.id, {"payment_method": "pm_card_visa", "expand": ["nonsense"]}
        )
    assert bench.movements(intent.id) == []


def test_unknown_objects_and_addresses(bench: Bench) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        bench.retrieve("pi_none")
    assert (refusal.value.http_status, refusal.value.code) == (404, "resource_missing")
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        bench.client.v1.payouts.retrieve("po_1")
    assert refusal.value.http_status == 404


def test_dashboard_methods_need_a_return_url(bench: Bench) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="return_url"):
        bench.pay(allowed_payment_method_types=None)
    assert bench.pay(allowed_payment_method_types=None, return_url=RETURN_URL).status == "succeeded"
    never = {"enabled": True, "allow_redirects": "never"}
    assert bench.pay(allowed_payment_method_types=None, automatic_payment_methods=never).status == "succeeded"


# --- declines ---


@pytest.mark.parametrize(
    ("token", "code", "decline_code", "advice", "param"),
    [
        ("pm_card_visa_chargeDeclined", "card_declined", "generic_decline", "try_again_later", None),
        ("pm_card_chargeDeclined", "card_declined", "generic_decline", "try_again_later", None),
        (
            "pm_card_visa_chargeDeclinedInsufficientFunds",
            "card_declined",
            "insufficient_funds",
            "try_again_later",
            None,
        ),
        ("pm_card_visa_chargeDeclinedLostCard", "card_declined", "lost_card", "do_not_try_again", None),
        ("pm_card_visa_chargeDeclinedStolenCard", "card_declined", "stolen_card", "do_not_try_again", None),
        (
            "pm_card_chargeDeclinedExpiredCard",
            "expired_card",
            "expired_card",
            "confirm_card_data",
            "exp_month",
        ),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", "incorrect_cvc", "confirm_card_data", "cvc"),
        (
            "pm_card_chargeDeclinedProcessingError",
            "processing_error",
            "processing_error",
            "try_again_later",
            None,
        ),
        ("pm_card_chargeDeclinedFraudulent", "card_declined", "fraudulent", None, None),
        (
            "pm_card_visa_chargeDeclinedVelocityLimitExceeded",
            "card_declined",
            "card_velocity_exceeded",
            None,
            None,
        ),
        ("pm_card_chargeCustomerFail", "card_declined", "generic_decline", "try_again_later", None),
    ],
)
def test_a_declined_confirm_leaves_the_intent_open(
    bench: Bench, token: str, code: str, decline_code: str, advice: str | None, param: str | None
) -> None:
    intent = bench.create()
    with pytest.raises(stripe.CardError) as refusal:
        bench.client.v1.payment_intents.confirm(intent.id, {"payment_method": token})

    error = refusal.value.error
    assert (refusal.value.http_status, error.type, error.code) == (402, "card_error", code)
    assert (error.decline_code, error.to_dict().get("advice_code"), refusal.value.param) == (
        decline_code,
        advice,
        param,
    )
    assert error.payment_intent.id == intent.id
    after = bench.retrieve(intent.id)
    assert (after.status, after.payment_method) == ("requires_payment_method", None)
    assert after.last_payment_error.decline_code == decline_code
    assert (after.latest_charge.status, after.latest_charge.outcome.type) == ("failed", "issuer_declined")
    assert bench.attempts(intent.id) == [decline_code]
    assert bench.movements(intent.id) == []

    second = bench.client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    assert (second.status, second.last_payment_error) == ("succeeded", None)
    assert bench.book(intent.id)["charges"] == 1
    assert bench.events(intent.id) == [
        "payment_intent.created",
        "charge.failed",
        "payment_intent.payment_failed",
        "charge.succeeded",
        "payment_intent.succeeded",
    ]


def test_radar_blocks_before_the_issuer_is_asked(bench: Bench) -> None:
    with pytest.raises(stripe.CardError) as refusal:
        bench.pay("pm_card_radarBlock")
    intent = bench.retrieve(refusal.value.error.payment_intent.id)
    outcome = intent.latest_charge.outcome
    assert (outcome.type, outcome.network_status) == ("blocked", "not_sent_to_network")
    assert bench.attempts(intent.id) == []


def test_risk_and_checks_are_shown(bench: Bench) -> None:
    elevated = bench.retrieve(bench.pay("pm_card_riskLevelElevated").id)
    assert elevated.latest_charge.outcome.risk_level == "elevated"
    unchecked = bench.retrieve(bench.pay("pm_card_avsZipFail").id)
    assert unchecked.latest_charge.payment_method_details.card.checks.address_postal_code_check == "fail"


def test_a_scripted_card_answers_each_confirm_with_its_next_entry(bench: Bench) -> None:
    script = ["insufficient_funds", {"decline_code": "do_not_honor", "network_advice_code": "03"}, "success"]
    card = bench.control("POST", "cards", {"script": script})["id"]
    customer = bench.client.v1.customers.create({"email": "a@example.com"})
    seen = []
    for owner in (None, customer.id, None, customer.id):
        try:
            seen.append(bench.pay(card, customer=owner).status)
        except stripe.CardError as refusal:
            seen.append((refusal.error.decline_code, refusal.error.to_dict().get("network_advice_code")))
    assert seen == [("insufficient_funds", None), ("do_not_honor", "03"), "succeeded", "succeeded"]


# --- payment methods and customers ---


def test_an_unattached_method_is_spent_by_its_first_use(bench: Bench) -> None:
    method = bench.client.v1.payment_methods.create({"type": "card", "card": {"token": "tok_visa"}})
    assert bench.pay(method.id).payment_method == method.id
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again") as refusal:
        bench.pay(method.id)
    assert refusal.value.http_status == 400


def test_a_token_makes_a_fresh_method_each_time(bench: Bench) -> None:
    first, second = bench.pay().payment_method, bench.pay().payment_method
    assert first.startswith("pm_")
    assert first not in ("pm_card_visa", second)


def test_an_attached_method_is_charged_with_its_customer_only(bench: Bench) -> None:
    customer = bench.client.v1.customers.create({"name": "A"})
    other = bench.client.v1.customers.create({"name": "B"})
    method = bench.client.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    assert (method.customer, method.id == "pm_card_visa") == (customer.id, False)

    assert [bench.pay(method.id, customer=customer.id, off_session=True).status for _ in range(2)] == [
        "succeeded"
    ] * 2
    for wrong in (None, other.id):
        with pytest.raises(stripe.InvalidRequestError):
            bench.pay(method.id, customer=wrong)

    listed = bench.client.v1.customers.payment_methods.list(customer.id)
    assert [entry.id for entry in listed.data] == [method.id]
    assert bench.client.v1.payment_methods.detach(method.id).customer is None
    for again in (
        lambda: bench.client.v1.payment_methods.detach(method.id),
        lambda: bench.client.v1.payment_methods.attach(method.id, {"customer": customer.id}),
    ):
        with pytest.raises(stripe.InvalidRequestError) as refusal:
            again()
        assert refusal.value.code is None


def test_declining_cards_cannot_be_attached_except_the_one_made_for_it(bench: Bench) -> None:
    customer = bench.client.v1.customers.create()
    with pytest.raises(stripe.CardError):
        bench.client.v1.payment_methods.attach("pm_card_visa_chargeDeclined", {"customer": customer.id})
    method = bench.client.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": customer.id})
    with pytest.raises(stripe.CardError):
        bench.pay(method.id, customer=customer.id, off_session=True)


def test_raw_card_numbers_are_refused(bench: Bench) -> None:
    card = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2040, "cvc": "123"}
    with pytest.raises(stripe.CardError) as refusal:
        bench.client.v1.payment_methods.create({"type": "card", "card": card})
    assert (refusal.value.http_status, refusal.value.error.type) == (402, "invalid_request_error")


def test_a_deleted_customer_still_reads(bench: Bench) -> None:
    customer = bench.client.v1.customers.create({"email": "a@example.com"})
    assert bench.client.v1.customers.delete(customer.id).deleted is True
    assert bench.client.v1.customers.retrieve(customer.id).to_dict() == {
        "id": customer.id,
        "object": "customer",
        "deleted": True,
    }


# --- authentication ---


def challenge(bench: Bench, **params: Any) -> stripe.PaymentIntent:
    return bench.pay("pm_card_authenticationRequired", return_url=RETURN_URL, **params)


def test_three_d_secure_is_approved_on_the_page(bench: Bench) -> None:
    intent = challenge(bench)
    assert (intent.status, intent.next_action.type) == ("requires_action", "redirect_to_url")
    assert intent.next_action.redirect_to_url.return_url == RETURN_URL
    assert bench.movements(intent.id) == []
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        bench.client.v1.payment_intents.capture(intent.id)
    assert refusal.value.code == "payment_intent_unexpected_state"

    page = intent.next_action.redirect_to_url.url
    assert "Approve" in requests.get(page, timeout=DEADLINE_SECONDS).text
    target = press(page, "success")
    assert target == (
        f"{RETURN_URL}&payment_intent={intent.id}"
        f"&payment_intent_client_secret={intent.client_secret}&redirect_status=succeeded"
    )
    paid = bench.retrieve(intent.id)
    assert paid.status == "succeeded"
    assert paid.latest_charge.payment_method_details.card.three_d_secure.authentication_flow == "challenge"
    assert bench.movements(intent.id) == [("charge", 1000)]
    assert "payment_intent.requires_action" in bench.events(intent.id)


def press(page: str, result: str) -> str:
    """Press a button of the challenge page and return where the browser is sent."""
    answer = requests.post(page, {"result": result}, allow_redirects=False, timeout=DEADLINE_SECONDS)
    assert answer.status_code == 303
    return answer.headers["Location"]


def test_failed_three_d_secure_reopens_the_intent(bench: Bench) -> None:
    intent = challenge(bench)
    assert press(intent.next_action.redirect_to_url.url, "failure").endswith("redirect_status=failed")
    after = bench.retrieve(intent.id)
    assert (after.status, after.latest_charge) == ("requires_payment_method", None)
    assert after.last_payment_error.code == "payment_intent_authentication_failure"
    assert bench.events(intent.id)[-1] == "payment_intent.payment_failed"


def test_three_d_secure_with_manual_capture_authorises(bench: Bench) -> None:
    intent = challenge(bench, capture_method="manual")
    after = bench.control("POST", f"intents/{intent.id}/authenticate", {"result": "success"})
    assert after["status"] == "requires_capture"
    assert bench.movements(intent.id) == [("authorization", 1000)]


def test_the_issuer_may_decline_after_authentication(bench: Bench) -> None:
    intent = bench.pay("pm_card_authenticationRequiredChargeDeclinedInsufficientFunds", return_url=RETURN_URL)
    after = bench.control("POST", f"intents/{intent.id}/authenticate", {"result": "success"})
    assert after["last_payment_error"]["decline_code"] == "insufficient_funds"


@pytest.mark.parametrize(("requested", "status"), [("any", "succeeded"), ("challenge", "requires_action")])
def test_requested_three_d_secure(bench: Bench, requested: str, status: str) -> None:
    options = {"card": {"request_three_d_secure": requested}}
    intent = bench.pay(return_url=RETURN_URL, payment_method_options=options)
    assert intent.status == status
    if status == "succeeded":
        details = bench.retrieve(intent.id).latest_charge.payment_method_details
        assert details.card.three_d_secure.authentication_flow == "frictionless"


@pytest.mark.parametrize(
    ("params", "decline_code", "has_charge"),
    [
        ({"off_session": True}, "authentication_required", True),
        ({"error_on_requires_action": True}, "authentication_not_handled", False),
    ],
)
def test_authentication_that_cannot_happen_is_a_402(
    bench: Bench, params: dict[str, Any], decline_code: str, has_charge: bool
) -> None:
    with pytest.raises(stripe.CardError) as refusal:
        bench.pay("pm_card_authenticationRequired", **params)
    assert (refusal.value.code, refusal.value.error.decline_code) == ("authentication_required", decline_code)
    intent = bench.retrieve(refusal.value.error.payment_intent.id)
    assert (intent.status, intent.latest_charge is not None) == ("requires_payment_method", has_charge)


def test_a_card_set_up_once_needs_no_further_authentication(bench: Bench) -> None:
    customer = bench.client.v1.customers.create()
    intent = bench.pay(
        "pm_card_authenticationRequiredOnSetup",
        customer=customer.id,
        return_url=RETURN_URL,
        setup_future_usage="off_session",
    )
    assert intent.status == "requires_action"
    bench.control("POST", f"intents/{intent.id}/authenticate", {"result": "success"})
    again = bench.pay(intent.payment_method, customer=customer.id, off_session=True)
    assert again.status == "succeeded"


@pytest.mark.parametrize("type", ["klarna", "afterpay_clearpay"])
def test_redirect_methods_are_paid_on_the_page(bench: Bench, type: str) -> None:
    intent = bench.create(
        allowed_payment_method_types=[type],
        payment_method_data={"type": type, "billing_details": PAYER},
        shipping={"name": PAYER["name"], "address": PAYER["address"]},
        confirm=True,
        return_url=RETURN_URL,
    )
    assert (intent.status, intent.next_action.type) == ("requires_action", "redirect_to_url")
    press(intent.next_action.redirect_to_url.url, "success")
    paid = bench.retrieve(intent.id)
    assert (paid.status, paid.latest_charge.payment_method_details.type) == ("succeeded", type)


# --- capture, cancel, expiry ---


def test_partial_capture_releases_the_rest(bench: Bench) -> None:
    intent = bench.pay(capture_method="manual")
    assert (intent.status, intent.amount_capturable, intent.amount_received) == ("requires_capture", 1000, 0)
    with pytest.raises(stripe.InvalidRequestError):
        bench.client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 1001})
    captured = bench.client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 600})
    assert (captured.status, captured.amount_received, captured.amount_capturable) == ("succeeded", 600, 0)
    assert bench.movements(intent.id) == [("authorization", 1000), ("capture", 600), ("void", 400)]
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        bench.client.v1.payment_intents.capture(intent.id)
    assert refusal.value.code == "payment_intent_unexpected_state"
    assert bench.book(intent.id)["charges"] == 1


def test_cancel_gives_an_authorization_back(bench: Bench) -> None:
    intent = bench.pay(capture_method="manual")
    canceled = bench.client.v1.payment_intents.cancel(
        intent.id, {"cancellation_reason": "requested_by_customer"}
    )
    assert (canceled.status, canceled.cancellation_reason) == ("canceled", "requested_by_customer")
    assert bench.movements(intent.id) == [("authorization", 1000), ("void", 1000)]
    for step in (
        bench.client.v1.payment_intents.cancel,
        bench.client.v1.payment_intents.confirm,
        bench.client.v1.payment_intents.capture,
    ):
        with pytest.raises(stripe.InvalidRequestError) as refusal:
            step(intent.id)
        assert refusal.value.code == "payment_intent_unexpected_state"


def test_a_paid_intent_cannot_be_canceled_or_confirmed_again(bench: Bench) -> None:
    intent = bench.pay()
    for step in (bench.client.v1.payment_intents.cancel, bench.client.v1.payment_intents.confirm):
        with pytest.raises(stripe.InvalidRequestError) as refusal:
            step(intent.id)
        assert refusal.value.code == "payment_intent_unexpected_state"
    assert bench.book(intent.id)["charges"] == 1


@pytest.mark.parametrize(("off_session", "seconds"), [(None, 7 * DAY), (True, int(4.75 * DAY))])
def test_an_authorization_expires(own: Bench, off_session: bool | None, seconds: int) -> None:
    intent = own.pay(capture_method="manual", off_session=off_session)
    charge = own.retrieve(intent.id).latest_charge
    assert charge.payment_method_details.card.capture_before - charge.created == pytest.approx(seconds, abs=1)
    own.control("POST", "clock", {"advance_seconds": seconds - 60})
    assert own.retrieve(intent.id).status == "requires_capture"
    own.control("POST", "clock", {"advance_seconds": 61})
    after = own.retrieve(intent.id)
    assert (after.status, after.cancellation_reason) == ("canceled", "automatic")
    assert own.movements(intent.id) == [("authorization", 1000), ("void", 1000)]
    assert own.events(intent.id)[-1] == "payment_intent.canceled"


# --- refunds ---


def refund(bench: Bench, intent: str, **params: Any) -> stripe.Refund:
    return bench.client.v1.refunds.create({"payment_intent": intent, **params})


def test_refunds_add_up_and_never_exceed_the_charge(bench: Bench) -> None:
    intent = bench.pay()
    first = refund(bench, intent.id, amount=400, reason="requested_by_customer", metadata={"case": "9"})
    assert (first.status, first.amount, first.charge) == ("succeeded", 400, intent.latest_charge)
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        refund(bench, intent.id, amount=601)
    assert (refusal.value.http_status, refusal.value.param, refusal.value.code) == (400, "amount", None)
    assert refund(bench, intent.id).amount == 600
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        refund(bench, intent.id)
    assert refusal.value.code == "charge_already_refunded"
    assert bench.book(intent.id)["refunded"] == 1000
    listed = bench.client.v1.refunds.list({"payment_intent": intent.id})
    assert [entry.amount for entry in listed.data] == [600, 400]
    assert bench.client.v1.refunds.retrieve(first.id).metadata.to_dict() == {"case": "9"}
    row = next(row for row in bench.control("GET", "ledger")["movements"] if row["object"] == first.id)
    assert (row["parent"], row["metadata"]) == (intent.id, {"case": "9"})


def test_an_authorization_cannot_be_refunded(bench: Bench) -> None:
    intent = bench.pay(capture_method="manual")
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        refund(bench, intent.id)
    assert (refusal.value.http_status, refusal.value.code, refusal.value.param) == (400, None, None)


@pytest.mark.parametrize(
    ("token", "first", "last", "event", "refunded"),
    [
        ("pm_card_pendingRefund", "pending", "succeeded", "refund.updated", 1000),
        ("pm_card_refundFail", "succeeded", "failed", "refund.failed", 0),
    ],
)
def test_slow_refunds(own: Bench, token: str, first: str, last: str, event: str, refunded: int) -> None:
    intent = own.pay(token)
    made = refund(own, intent.id)
    assert made.status == first
    own.control("POST", "clock", {"advance_seconds": 2 * DAY})
    assert own.client.v1.refunds.retrieve(made.id).status == last
    assert own.events(intent.id)[-1] == event
    assert own.book(intent.id)["refunded"] == refunded
    assert own.retrieve(intent.id).latest_charge.amount_refunded == refunded


# --- idempotency ---


def test_a_replay_answers_as_before_and_executes_nothing(bench: Bench) -> None:
    params = {"amount": 1000, "currency": "usd", **CARD, "payment_method": "pm_card_visa", "confirm": True}
    first = bench.client.v1.payment_intents.create(params, {"idempotency_key": "replay-1"})
    second = bench.client.v1.payment_intents.create(params, {"idempotency_key": "replay-1"})
    assert second.to_dict() == first.to_dict()
    assert "Idempotent-Replayed" not in first.last_response.headers
    assert second.last_response.headers["Idempotent-Replayed"] == "true"
    assert second.last_response.headers["Original-Request"] == first.last_response.request_id
    assert second.last_response.request_id != first.last_response.request_id
    assert bench.movements(first.id) == [("charge", 1000)]


def test_a_decline_is_replayed_too(bench: Bench) -> None:
    intent = bench.create()
    ids = []
    for _ in range(2):
        with pytest.raises(stripe.CardError) as refusal:
            bench.client.v1.payment_intents.confirm(
                intent.id, {"payment_method": "pm_card_chargeDeclined"}, {"idempotency_key": f"d-{intent.id}"}
            )
        ids.append(refusal.value.error.charge)
    assert ids[0] == ids[1]
    assert bench.attempts(intent.id) == ["generic_decline"]


def test_a_key_is_bound_to_its_parameters_and_endpoint(bench: Bench) -> None:
    options = {"idempotency_key": "bound-1"}
    params = {"amount": 1000, "currency": "usd", **CARD}
    bench.client.v1.payment_intents.create(params, options)
    for other in (
        lambda: bench.client.v1.payment_intents.create({**params, "amount": 1001}, options),
        lambda: bench.client.v1.customers.create({}, options),
    ):
        with pytest.raises(stripe.IdempotencyError) as refusal:
            other()
        error = refusal.value
        assert (error.http_status, error.error.type, error.code) == (400, "idempotency_error", None)


def test_a_refused_validation_is_not_kept(bench: Bench) -> None:
    options = {"idempotency_key": "validation-1"}
    with pytest.raises(stripe.InvalidRequestError):
        bench.client.v1.payment_intents.create({"amount": 1, "currency": "usd"}, options)
    assert bench.client.v1.payment_intents.create({"amount": 100, "currency": "usd"}, options).amount == 100


def test_two_at_once_conflict(bench: Bench) -> None:
    intent = bench.create()
    bench.control(
        "POST",
        "faults",
        {"operation": "payment_intents.confirm", "fault": "latency", "seconds": 1.0, "times": 1},
    )

    def confirm(_: int) -> str:
        try:
            return (
                bench.another_client()
                .v1.payment_intents.confirm(
                    intent.id, {"payment_method": "pm_card_visa"}, {"idempotency_key": f"twin-{intent.id}"}
                )
                .status
            )
        except stripe.APIError as conflict:
            return f"{conflict.http_status} {conflict.error.code}"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(confirm, range(2))) == ["409 idempotency_key_in_use", "succeeded"]
    assert bench.book(intent.id)["charges"] == 1


def test_keys_are_forgotten_after_a_day(own: Bench) -> None:
    params, options = {"amount": 1000, "currency": "usd"}, {"idempotency_key": "day-1"}
    first = own.client.v1.payment_intents.create(params, options)
    own.control("POST", "clock", {"advance_seconds": DAY - 60})
    assert own.client.v1.payment_intents.create(params, options).id == first.id
    own.control("POST", "clock", {"advance_seconds": 61})
    assert own.client.v1.payment_intents.create(params, options).id != first.id


# --- faults ---


def order_fault(bench: Bench, fault: str, **how: Any) -> None:
    bench.control("POST", "faults", {"operation": "payment_intents.confirm", "fault": fault, **how})


def confirm_once(bench: Bench, intent: str) -> stripe.PaymentIntent:
    return bench.another_client().v1.payment_intents.confirm(
        intent, {"payment_method": "pm_card_visa"}, {"idempotency_key": f"fault-{intent}"}
    )


@pytest.mark.parametrize("fault", ["timeout_after", "reset_after"])
def test_a_lost_answer_was_executed_once_and_can_be_had_again(bench: Bench, fault: str) -> None:
    intent = bench.create()
    order_fault(bench, fault, seconds=0.1)
    with pytest.raises(stripe.APIConnectionError):
        confirm_once(bench, intent.id)
    assert bench.retrieve(intent.id).status == "succeeded"
    again = confirm_once(bench, intent.id)
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert bench.movements(intent.id) == [("charge", 1000)]


def test_a_stored_500_is_final_for_its_key(bench: Bench) -> None:
    intent = bench.create()
    order_fault(bench, "error_after")
    for _ in range(2):
        with pytest.raises(stripe.APIError) as failure:
            confirm_once(bench, intent.id)
        assert failure.value.http_status == 500
    assert failure.value.headers["Idempotent-Replayed"] == "true"
    assert bench.retrieve(intent.id).status == "succeeded"
    assert bench.movements(intent.id) == [("charge", 1000)]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("error_before", stripe.APIError),
        ("reset_before", stripe.APIConnectionError),
        ("rate_limit", stripe.RateLimitError),
    ],
)
def test_what_was_not_executed_is_not_kept(bench: Bench, fault: str, error: type[Exception]) -> None:
    intent = bench.create()
    order_fault(bench, fault)
    with pytest.raises(error):
        confirm_once(bench, intent.id)
    assert bench.retrieve(intent.id).status == "requires_payment_method"
    assert confirm_once(bench, intent.id).status == "succeeded"


def test_faults_are_counted_listed_and_cleared(bench: Bench) -> None:
    order_fault(bench, "error_before", times=None)
    order_fault(bench, "error_before", times=2, rate=0.0)
    intent = bench.create()
    for _ in range(3):
        with pytest.raises(stripe.APIError):
            confirm_once(bench, intent.id)
    assert [fault["hits"] for fault in bench.control("GET", "faults")["faults"]] == [3, 0]
    bench.control("DELETE", "faults")
    assert confirm_once(bench, intent.id).status == "succeeded"


# --- bank debits ---


def debit(bench: Bench, iban: str = "AT611904300234573201", **params: Any) -> stripe.PaymentIntent:
    data = {
        "type": "sepa_debit",
        "sepa_debit": {"iban": iban},
        "billing_details": {"name": "A", "email": "a@example.com"},
    }
    given = {"mandate_data": ONLINE_MANDATE, **params}
    return bench.create(
        currency="eur",
        allowed_payment_method_types=["sepa_debit"],
        payment_method_data=data,
        confirm=True,
        **given,
    )


@pytest.mark.parametrize(
    ("iban", "status", "movements"),
    [
        ("AT611904300234573201", "succeeded", [("charge", 1000)]),
        ("AT861904300235473202", "requires_payment_method", []),
    ],
)
def test_a_sepa_debit_settles_by_the_sandbox_clock(
    own: Bench, iban: str, status: str, movements: list[tuple[str, int]]
) -> None:
    intent = debit(own, iban)
    assert (intent.status, own.retrieve(intent.id).latest_charge.status) == ("processing", "pending")
    assert own.movements(intent.id) == []
    own.control("POST", "clock", {"advance_seconds": 3 * DAY - 60})
    assert own.retrieve(intent.id).status == "processing"
    own.control("POST", "clock", {"advance_seconds": 61})
    assert own.retrieve(intent.id).status == status
    assert own.movements(intent.id) == movements
    assert "payment_intent.processing" in own.events(intent.id)


@pytest.mark.parametrize(
    ("result", "status"), [("success", "succeeded"), ("failure", "requires_payment_method")]
)
def test_a_debit_is_settled_by_order_and_only_once(own: Bench, result: str, status: str) -> None:
    intent = debit(own)
    assert own.control("POST", f"intents/{intent.id}/settle", {"result": result})["status"] == status
    own.control("POST", "clock", {"advance_seconds": 10 * DAY})
    assert own.retrieve(intent.id).status == status
    assert own.book(intent.id)["charges"] == (1 if result == "success" else 0)


def test_debits_settle_in_real_time_when_told_to() -> None:
    with RunningSandbox(Settings(async_settle_seconds=0.05)) as running:
        bench = Bench(running)
        intent = debit(bench)
        wait_until(lambda: bench.retrieve(intent.id).status == "succeeded", "the debit settles by itself")


def test_a_debit_without_mandate_is_refused_and_stays_open(bench: Bench) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        debit(bench, mandate_data=None, metadata={"case": "no-mandate"})
    assert refusal.value.http_status == 400
    left = bench.client.v1.payment_intents.search({"query": "metadata['case']:'no-mandate'"}).data
    assert [intent.status for intent in left] == ["requires_confirmation"]


def test_ach_is_verified_by_microdeposits(own: Bench) -> None:
    data = {
        "type": "us_bank_account",
        "billing_details": {"name": "A"},
        "us_bank_account": {"routing_number": "110000000", "account_number": "000222222227"},
    }
    intent = own.create(
        allowed_payment_method_types=["us_bank_account"],
        payment_method_data=data,
        confirm=True,
        mandate_data=ONLINE_MANDATE,
    )
    assert intent.next_action.type == "verify_with_microdeposits"
    with pytest.raises(stripe.InvalidRequestError):
        own.client.v1.payment_intents.verify_microdeposits(intent.id, {"descriptor_code": "SM0000"})
    verified = own.client.v1.payment_intents.verify_microdeposits(intent.id, {"descriptor_code": "SM11AA"})
    assert verified.status == "processing"
    own.control("POST", "clock", {"advance_seconds": 4 * DAY + 1})
    after = own.retrieve(intent.id)
    assert (after.status, after.last_payment_error.code) == ("requires_payment_method", "insufficient_funds")


# --- reading ---


def test_lists_are_newest_first_and_paged(bench: Bench) -> None:
    customer = bench.client.v1.customers.create().id
    made = [bench.create(customer=customer).id for _ in range(5)]
    page = bench.client.v1.payment_intents.list({"customer": customer, "limit": 2})
    assert ([intent.id for intent in page.data], page.has_more) == (made[:2:-1], True)
    walked = bench.client.v1.payment_intents.list({"customer": customer, "limit": 2}).auto_paging_iter()
    assert [intent.id for intent in walked] == made[::-1]
    created = bench.retrieve(made[0]).created
    for bound, count in (({"gte": created}, 5), ({"lt": created}, 0)):
        found = bench.client.v1.payment_intents.list({"customer": customer, "created": bound}).data
        assert len(found) == count


def test_search_joins_and_negates(bench: Bench) -> None:
    mine = [bench.create(metadata={"search": "s1"}, amount=amount).id for amount in (100, 200)]

    def search(query: str) -> list[str]:
        return [intent.id for intent in bench.client.v1.payment_intents.search({"query": query}).data]

    assert search("metadata['search']:'s1'") == mine[::-1]
    assert search("metadata['search']:'s1' AND amount>100") == mine[1:]
    assert search("metadata['search']:'s1' AND -amount:200") == mine[:1]
    with pytest.raises(stripe.InvalidRequestError):
        search("metadata['search']:'s1' AND amount>1 OR amount<5")


def test_charges_are_listed_by_intent(bench: Bench) -> None:
    intent = bench.create()
    with pytest.raises(stripe.CardError):
        bench.client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_chargeDeclined"})
    paid = bench.client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    charges = bench.client.v1.charges.list({"payment_intent": intent.id}).data
    assert [charge.status for charge in charges] == ["succeeded", "failed"]
    assert bench.client.v1.charges.retrieve(paid.latest_charge).id == charges[0].id


def test_an_update_may_not_touch_money_that_moved(bench: Bench) -> None:
    intent = bench.create()
    assert bench.client.v1.payment_intents.update(intent.id, {"amount": 700}).amount == 700
    bench.client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    noted = bench.client.v1.payment_intents.update(intent.id, {"metadata": {"note": "x"}})
    assert noted.metadata.to_dict() == {"note": "x"}
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        bench.client.v1.payment_intents.update(intent.id, {"amount": 800})
    assert refusal.value.code == "payment_intent_unexpected_state"


# --- webhooks ---


class Receiver:
    """An HTTP endpoint that keeps what it takes and can be told to fail."""

    def __init__(self) -> None:
        self.url = ""
        self.received: list[tuple[bytes, str]] = []
        self.failures_left = 0
        self._lock = threading.Lock()

    def take(self, asked: Asked) -> Reply:
        """Answer a delivery."""
        with self._lock:
            if self.failures_left:
                self.failures_left -= 1
                return 500, b""
            self.received.append((asked.raw, asked.headers["Stripe-Signature"]))
            return 200, b""

    def types(self) -> list[str]:
        return [json.loads(body)["type"] for body, _ in self.received]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    with serving(receiver.take) as served:
        receiver.url = f"{served.url}/hook"
        yield receiver


@pytest.fixture
def hooked(receiver: Receiver) -> Iterator[Bench]:
    """A sandbox that sends its events to the receiver, one after the other."""
    settings = Settings(webhook_url=receiver.url, webhook_secret="whsec_test", delivery_threads=1)
    with RunningSandbox(settings) as running:
        yield Bench(running)


def test_webhooks_are_signed_and_name_their_request(hooked: Bench, receiver: Receiver) -> None:
    intent = hooked.create(metadata={"order": "1"})
    wait_until(lambda: receiver.received, "the first event")
    body, signature = receiver.received[0]
    event = stripe.Webhook.construct_event(body, signature, "whsec_test")
    assert (event.type, event.data.object.id, event.livemode) == ("payment_intent.created", intent.id, False)
    assert event.request.id == intent.last_response.request_id
    assert event.api_version == stripe.api_version
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body, signature, "whsec_other")
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body + b" ", signature, "whsec_test")


def test_an_event_shows_the_object_as_it_was(hooked: Bench, receiver: Receiver) -> None:
    hooked.control("POST", "webhooks", {"paused": True})
    hooked.pay()
    hooked.control("POST", "webhooks", {"paused": False})
    wait_until(lambda: len(receiver.received) == 3, "three events")
    statuses = [json.loads(body)["data"]["object"]["status"] for body, _ in receiver.received]
    assert statuses == ["requires_confirmation", "succeeded", "succeeded"]


def test_delivery_is_retried_until_it_is_received(hooked: Bench, receiver: Receiver) -> None:
    receiver.failures_left = 2
    hooked.create()
    wait_until(lambda: receiver.types() == ["payment_intent.created"], "the event after two failures")
    assert receiver.failures_left == 0
    wait_until(lambda: hooked.control("GET", "webhooks")["delivered"] == 1, "the delivery is counted")
    assert hooked.client.v1.events.list({"delivery_success": False}).data == []


def test_paused_duplicated_and_reordered_delivery(hooked: Bench, receiver: Receiver) -> None:
    hooked.control("POST", "webhooks", {"paused": True, "duplicate": 2, "reorder": True})
    hooked.pay()
    assert hooked.control("GET", "webhooks")["pending"] == 6
    assert receiver.received == []
    hooked.control("POST", "webhooks", {"paused": False})
    wait_until(lambda: len(receiver.received) == 6, "six deliveries")
    newest_first = ["payment_intent.succeeded", "charge.succeeded", "payment_intent.created"]
    assert receiver.types() == [type for type in newest_first for _ in range(2)]


def test_dropped_events_are_lost_but_listed(hooked: Bench, receiver: Receiver) -> None:
    hooked.control("POST", "webhooks", {"drop_rate": 1.0})
    hooked.create()
    shown = hooked.control("GET", "webhooks")
    assert (shown["dropped"], shown["pending"]) == (1, 0)
    missed = hooked.client.v1.events.list({"delivery_success": False}).data
    assert [event.type for event in missed] == ["payment_intent.created"]


def test_endpoints_choose_their_events(own: Bench, receiver: Receiver) -> None:
    endpoint = own.client.v1.webhook_endpoints.create(
        {
            "url": receiver.url,
            "enabled_events": ["payment_intent.succeeded"],
            "api_version": "2026-08-26.dahlia",
        }
    )
    assert endpoint.secret.startswith("whsec_")
    assert "secret" not in own.client.v1.webhook_endpoints.list().data[0]
    own.pay()
    wait_until(lambda: receiver.received, "the chosen event")
    event = stripe.Webhook.construct_event(*receiver.received[0], endpoint.secret)
    assert (event.type, event.api_version) == ("payment_intent.succeeded", "2026-08-26.dahlia")
    own.client.v1.webhook_endpoints.delete(endpoint.id)
    own.pay()
    assert own.control("GET", "webhooks")["endpoints"] == []
    assert receiver.types() == ["payment_intent.succeeded"]


def test_signatures_follow_the_sandbox_clock(hooked: Bench, receiver: Receiver) -> None:
    before = int(time.time())
    hooked.control("POST", "clock", {"advance_seconds": 5 * DAY})
    hooked.create()
    wait_until(lambda: receiver.received, "the event")
    stamp = int(receiver.received[0][1].split(",")[0].removeprefix("t="))
    assert before <= stamp - 5 * DAY <= time.time()


# --- the control API ---


def test_health_and_clock(own: Bench) -> None:
    assert own.control("GET", "health") == {"status": "ok"}
    assert own.control("POST", "clock", {"advance_seconds": 30})["offset_seconds"] == 30
    before = time.time()
    assert before <= own.control("GET", "clock")["now"] - 30 <= time.time()
    for wrong in (-1, "1", None):
        with pytest.raises(requests.HTTPError) as refusal:
            own.control("POST", "clock", {"advance_seconds": wrong})
        assert refusal.value.response.status_code == 400


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("faults", {"operation": "*", "fault": "earthquake"}),
        ("faults", {"fault": "latency"}),
        ("faults", {"operation": "*", "fault": "latency", "times": 0}),
        ("faults", {"operation": "*", "fault": "latency", "rate": 2}),
        ("webhooks", {"duplicate": 0}),
        ("webhooks", {"drop_rate": -1}),
        ("cards", {"script": []}),
        ("cards", [1]),
    ],
)
def test_bad_orders_are_refused(bench: Bench, path: str, body: Any) -> None:
    with pytest.raises(requests.HTTPError) as refusal:
        bench.control("POST", path, body)
    assert refusal.value.response.status_code == 400


def test_the_ledger_is_copied_to_a_file(tmp_path: Any) -> None:
    file = tmp_path / "ledger.jsonl"
    with RunningSandbox(Settings(ledger_file=str(file))) as running:
        intent = Bench(running).pay()
        rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(row["row"], row["object"]) for row in rows] == [("attempt", intent.id), ("movement", intent.id)]


def test_many_connections_wait_at_the_same_time(own: Bench) -> None:
    waiting = own.running.state.faults.add("customers.list", "latency", times=None)
    with ThreadPoolExecutor(50) as pool:
        pages = [pool.submit(lambda: own.another_client().v1.customers.list().data) for _ in range(50)]
        wait_until(lambda: waiting.hits == 50, "fifty calls at the same time")
        assert not any(page.done() for page in pages)
        own.control("DELETE", "faults")
        assert [page.result() for page in pages] == [[]] * 50
