"""PayPal's orders, captures and refunds: what is PayPal's alone about them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from flask import Response, request
from jsonschema import Draft202012Validator

from domain.money import Money
from domain.outcome import ActionRequired, Approved, Declined, InDoubt, NotSent, Pending, Ready
from domain.payment import Verb
from gateways.base import Order
from gateways.paypal.orders import outcome_of_order
from sandbox.server import RunningSandbox
from sandbox.state import Settings

from . import paypal_spec
from .bench import API_URL, SECONDS, Books, new_order, order
from .benches.paypal import ProviderBench
from .test_gateway_operations import call, charged, operation


@pytest.fixture
def paypal(sandbox: RunningSandbox) -> Iterator[ProviderBench]:
    """PayPal's bench."""
    yield ProviderBench(sandbox)
    sandbox.state.faults.clear()


@dataclass
class Heard:
    """Every request that the imitation got, and what it answered."""

    sandbox: RunningSandbox
    calls: list[tuple[str, str, Any, dict[str, str], int, Any]] = field(default_factory=list)


@pytest.fixture
def heard() -> Iterator[Heard]:
    """A sandbox of its own, whose clock may be moved, and that is listened to."""
    with RunningSandbox(Settings()) as sandbox:
        heard = Heard(sandbox)

        def listen(response: Response) -> Response:
            body = request.get_json(silent=True) if request.get_data() else None
            answer = response.get_json(silent=True)
            heard.calls.append(
                (request.method, request.path, body, dict(request.headers), response.status_code, answer)
            )
            return response

        sandbox._server.app.after_request(listen)
        yield heard


def approved(paypal: ProviderBench, course: str, verb: Verb = Verb.CHARGE, **changes: Any) -> Order:
    """Return an approved order that takes this course."""
    asked = order(paypal, verb, **changes)
    paypal.set_course(asked.reference, course)
    return asked


def waiting(paypal: ProviderBench, **changes: Any) -> tuple[Order, ActionRequired]:
    """Return an order that waits for its buyer."""
    asked = new_order(paypal, **changes)
    outcome = paypal.gateway().charge(asked, lambda _: None)
    assert isinstance(outcome, ActionRequired)
    return replace(asked, reference=outcome.reference), outcome


# --- the buyer ---


def click(url: str, decision: str) -> tuple[str, dict[str, list[str]]]:
    """Click on PayPal's page; return where the buyer is sent, and with what."""
    assert decision in requests.get(url, timeout=SECONDS).text
    answer = requests.post(url, data={"decision": decision}, timeout=SECONDS, allow_redirects=False)
    assert answer.status_code == 303
    parts = urlsplit(answer.headers["Location"])
    return f"{parts.scheme}://{parts.netloc}{parts.path}", parse_qs(parts.query)


def test_the_buyer_approves(paypal: ProviderBench, books: Books) -> None:
    asked, outcome = waiting(paypal)
    address, query = click(outcome.next_action["redirect_url"], "approve")
    assert address == f"{API_URL}/returns/{asked.attempt_id}"
    assert query["token"] == [asked.reference]
    assert "canceled" not in query
    assert paypal.gateway().retrieve(asked) == Ready(asked.reference)
    assert books.movements(asked.payment_id) == []
    assert isinstance(paypal.gateway().charge(asked, lambda _: None), Approved)


def test_the_buyer_turns_back_and_comes_again(paypal: ProviderBench, books: Books) -> None:
    asked, outcome = waiting(paypal)
    address, query = click(outcome.next_action["redirect_url"], "cancel")
    assert address == f"{API_URL}/returns/{asked.attempt_id}"
    assert query["canceled"] == ["1"]
    assert paypal.gateway().retrieve(asked) == outcome
    click(outcome.next_action["redirect_url"], "approve")
    assert paypal.gateway().retrieve(asked) == Ready(asked.reference)
    assert books.movements(asked.payment_id) == []


def test_the_buyers_bank_refuses(paypal: ProviderBench, books: Books) -> None:
    """The order is completed all the same: only the capture in it says that nothing was paid."""
    asked, outcome = waiting(paypal)
    click(outcome.next_action["redirect_url"], "decline")
    declined = paypal.gateway().charge(asked, lambda _: None)
    assert isinstance(declined, Declined)
    assert paypal.account.orders[asked.reference].status == "COMPLETED"
    assert books.movements(asked.payment_id) == []


def test_nobody_is_sent_to_paypal_while_he_is_away(paypal: ProviderBench) -> None:
    asked, remembered = new_order(paypal, is_off_session=True), []
    outcome = paypal.gateway().charge(asked, remembered.append)
    assert outcome == NotSent("saved_account_required", is_retryable=False)
    assert remembered == []


# --- closing ---


@pytest.mark.parametrize("is_approved", [False, True])
def test_an_order_that_was_not_paid_is_left(paypal: ProviderBench, books: Books, is_approved: bool) -> None:
    gateway, (asked, _) = paypal.gateway(), waiting(paypal)
    if is_approved:
        paypal.let_customer_act(asked.reference, is_good=True)
    void = operation(asked, Verb.VOID)
    # Only of an order that the buyer has approved a capture of ours may be on its way.
    left = Approved(asked.reference, voided=True, may_still_move=is_approved)
    assert gateway.void(void) == gateway.retrieve(void) == left
    assert books.movements(asked.payment_id) == []


@pytest.mark.parametrize("token", [None, "sandbox_COMPLETED"])
def test_an_order_with_a_saved_account_is_left(paypal: ProviderBench, token: str | None) -> None:
    asked, remembered = new_order(paypal, method_token="sandbox_TRANSACTION_REFUSED"), []
    gateway = paypal.gateway()
    gateway.charge(asked, remembered.append)
    void = replace(operation(replace(asked, reference=remembered[0]), Verb.VOID), method_token=token)
    # It is captured without the buyer, so that a capture of ours may be on its way.
    left = Approved(remembered[0], voided=True, may_still_move=True)
    assert gateway.void(void) == gateway.retrieve(void) == left


def test_a_refused_order_is_left_for_good(paypal: ProviderBench) -> None:
    gateway, asked = paypal.gateway(), approved(paypal, "5120")
    assert isinstance(gateway.charge(asked, lambda _: None), Declined)
    void = operation(asked, Verb.VOID)
    assert gateway.void(void) == gateway.retrieve(void) == Approved(asked.reference, voided=True)


def test_what_was_paid_is_not_left(paypal: ProviderBench, books: Books) -> None:
    gateway = paypal.gateway()
    first = charged(paypal, gateway)
    outcome = gateway.void(operation(first, Verb.VOID))
    assert outcome == Approved(first.reference, authorized=1000, captured=1000)
    assert books.movements(first.payment_id) == [("charge", 1000)]


def test_an_order_that_paypal_forgot(paypal: ProviderBench) -> None:
    """It forgets within hours what nobody approved."""
    gateway, (asked, _) = paypal.gateway(), waiting(paypal)
    del paypal.account.orders[asked.reference]
    assert gateway.retrieve(asked) == ActionRequired(asked.reference, {"type": "redirect"})
    void = operation(asked, Verb.VOID)
    left = Approved(asked.reference, voided=True, may_still_move=True)
    assert gateway.void(void) == gateway.retrieve(void) == left
    saved = replace(asked, method_token="sandbox_COMPLETED")
    assert gateway.retrieve(saved) == InDoubt("INVALID_RESOURCE_ID", asked.reference)


# --- money that comes later, and goes back ---


@pytest.mark.parametrize("is_good", [True, False])
def test_an_echeck_takes_days(paypal: ProviderBench, books: Books, is_good: bool) -> None:
    gateway, asked = paypal.gateway(), approved(paypal, "PENDING")
    assert gateway.charge(asked, lambda _: None) == gateway.retrieve(asked) == Pending(asked.reference)
    paypal.let_bank_answer(asked.reference, is_good=is_good)
    assert isinstance(gateway.retrieve(asked), Approved if is_good else Declined)
    assert books.movements(asked.payment_id) == ([("charge", 1000)] if is_good else [])


def test_a_refund_by_echeck_that_fails(paypal: ProviderBench, books: Books) -> None:
    gateway = paypal.gateway()
    asked = operation(charged(paypal, gateway, card="refund_later"), Verb.REFUND, 600)
    pending = gateway.refund(asked)
    assert pending == gateway.refund(asked) == gateway.retrieve(asked)
    assert isinstance(pending, Pending)
    paypal.let_bank_answer(pending.reference, is_good=False)
    failed = gateway.retrieve(replace(asked, reference=pending.reference))
    assert isinstance(failed, Declined)
    assert failed.decline.code == "FAILED"
    assert gateway.retrieve(asked) == failed
    assert books.movements(asked.payment_id) == [("charge", 1000)]


def test_a_refund_of_what_was_never_paid(paypal: ProviderBench) -> None:
    asked, _ = waiting(paypal)
    assert paypal.gateway().refund(operation(asked, Verb.REFUND)) == NotSent("not_captured", is_retryable=False)


def test_a_capture_of_what_was_never_authorized(paypal: ProviderBench) -> None:
    asked, _ = waiting(paypal)
    capture = operation(asked, Verb.CAPTURE)
    assert paypal.gateway().capture(capture) == NotSent("not_authorized", False, asked.reference)


def test_an_authorization_ends_by_itself(heard: Heard) -> None:
    paypal = ProviderBench(heard.sandbox)
    gateway = paypal.gateway()
    asked = order(paypal, Verb.AUTHORIZE)
    outcome = gateway.charge(asked, lambda _: None)
    heard.sandbox.state.advance(timedelta(days=30).total_seconds())
    assert gateway.retrieve(asked) == Approved(outcome.reference, voided=True)
    assert isinstance(gateway.capture(operation(asked, Verb.CAPTURE)), InDoubt)
    assert Books(heard.sandbox).movements(asked.payment_id) == [("authorization", 1000), ("void", 1000)]


# --- the same call again ---


def test_a_repeat_is_one_also_after_paypal_forgot_the_request(heard: Heard) -> None:
    """Request ids of orders are kept for six hours, of payments for 45 days."""
    paypal = ProviderBench(heard.sandbox)
    gateway, state = paypal.gateway(), heard.sandbox.state
    first = charged(paypal, gateway)
    refund = operation(first, Verb.REFUND, 300)
    made = gateway.refund(refund)
    state.advance(timedelta(hours=7).total_seconds())
    assert gateway.charge(first, lambda _: None) == InDoubt("ORDER_ALREADY_CAPTURED", first.reference)
    state.advance(timedelta(days=46).total_seconds())
    assert gateway.refund(refund) == made
    assert Books(heard.sandbox).movements(first.payment_id) == [("charge", 1000), ("refund", 300)]
    assert len(paypal.imitation.tokens) == 2  # the first ended meanwhile


def test_every_call_has_an_id_of_its_own_and_keeps_it(heard: Heard) -> None:
    paypal = ProviderBench(heard.sandbox)
    gateway = paypal.gateway()
    asked = order(paypal, Verb.AUTHORIZE)
    for _ in range(2):
        gateway.charge(replace(asked, reference=None), lambda _: None)
        gateway.charge(asked, lambda _: None)
    gateway.charge(new_order(paypal), lambda _: None)
    ids: dict[str, list[str]] = {}
    for _, path, _, headers, _, _ in heard.calls:
        if "Paypal-Request-Id" in headers:
            ids.setdefault(path, []).append(headers["Paypal-Request-Id"])
    created = ids["/paypal/v2/checkout/orders"]
    authorized = ids[f"/paypal/v2/checkout/orders/{asked.reference}/authorize"]
    assert created[0] == created[1] == created[2] != created[3]
    assert authorized[0] == authorized[1]
    assert len({*created, *authorized}) == 3
    assert all(len(each) == 36 for each in (*created, *authorized))


# --- amounts ---


@pytest.mark.parametrize(
    ("text", "currency", "value"),
    [
        ("10.50", "EUR", "10.50"),
        ("500", "JPY", "500"),
        ("2000", "HUF", "2000"),
        ("350", "TWD", "350"),
        ("0.01", "USD", "0.01"),
    ],
)
@pytest.mark.parametrize("verb", [Verb.CHARGE, Verb.AUTHORIZE])
def test_amounts_of_every_kind(
    paypal: ProviderBench, books: Books, text: str, currency: str, value: str, verb: Verb
) -> None:
    gateway, money = paypal.gateway(), Money.parse(text, currency)
    asked = order(paypal, verb, money=money)
    assert paypal.account.orders[asked.reference].unit["amount"] == {"currency_code": currency, "value": value}
    outcome = gateway.charge(asked, lambda _: None)
    assert isinstance(outcome, Approved)
    assert outcome.authorized == money.minor
    if verb is Verb.AUTHORIZE:
        outcome = gateway.capture(replace(operation(asked, Verb.CAPTURE), money=money))
    refund = replace(operation(asked, Verb.REFUND), money=money)
    assert gateway.refund(refund).refunded == outcome.captured == money.minor
    assert books.movements(asked.payment_id)[0][1] == money.minor


@pytest.mark.parametrize("currency", ["HUF", "TWD"])
def test_decimals_that_paypal_does_not_take(paypal: ProviderBench, currency: str) -> None:
    gateway, remembered = paypal.gateway(), []
    asked = new_order(paypal, money=Money(1050, currency))
    assert gateway.charge(asked, remembered.append) == NotSent("decimals_not_supported", is_retryable=False)
    assert remembered == []
    first = order(paypal, Verb.AUTHORIZE, money=Money(2000, currency))
    gateway.charge(first, lambda _: None)
    late = replace(operation(first, Verb.CAPTURE), money=Money(1050, currency))
    assert gateway.capture(late) == NotSent("decimals_not_supported", False, first.reference)


def body_of_order(paypal: ProviderBench, asked: Order) -> Any:
    """Return an order as PayPal shows it."""
    return json.loads(json.dumps(paypal.account.orders[asked.reference].body()))


@pytest.mark.parametrize(
    ("amount", "reason"),
    [
        ({"value": "9.99", "currency_code": "EUR"}, "other_amount"),
        ({"value": "10.01", "currency_code": "EUR"}, "other_amount"),
        ({"value": "10.00", "currency_code": "USD"}, "other_currency"),
    ],
)
def test_another_amount_than_asked_is_doubt(paypal: ProviderBench, amount: Any, reason: str) -> None:
    first = charged(paypal, paypal.gateway())
    body = body_of_order(paypal, first)
    body["purchase_units"][0]["payments"]["captures"][0]["amount"] = amount
    assert outcome_of_order(body, first) == InDoubt(reason, first.reference)


@pytest.mark.parametrize("changes", [{"status": "COMPLETED"}, {"status": "OF_TOMORROW"}])
def test_an_order_that_shows_no_payment_is_no_payment(paypal: ProviderBench, changes: Any) -> None:
    asked, _ = waiting(paypal)
    assert isinstance(outcome_of_order(body_of_order(paypal, asked) | changes, asked), InDoubt)


# --- PayPal's own schemas ---


def everything(paypal: ProviderBench) -> None:
    """Make every call of the gateway."""
    gateway = paypal.gateway()
    charges = [order(paypal), order(paypal, is_off_session=True), new_order(paypal, method_token="sandbox_COMPLETED")]
    for asked in (*charges, approved(paypal, "5120"), approved(paypal, "PENDING")):
        remembered: list[str] = []
        gateway.charge(asked, remembered.append)
        gateway.retrieve(replace(asked, reference=remembered[0]))
    for verb, minor in ((Verb.CAPTURE, 400), (Verb.VOID, 1000)):
        held = charged(paypal, gateway, Verb.AUTHORIZE)
        assert isinstance(call(gateway, operation(held, verb, minor)), Approved)
        gateway.retrieve(held)
    first = charged(paypal, gateway)
    for minor in (300, 700):
        refund = operation(first, Verb.REFUND, minor)
        gateway.retrieve(replace(refund, reference=gateway.refund(refund).reference))
    gateway.retrieve(first)


def problems(schema: Any, body: Any) -> list[str]:
    """Return where a body is against its schema."""
    found = Draft202012Validator(schema).iter_errors(body)
    return [f"{'/'.join(map(str, error.absolute_path))}: {error.message[:200]}" for error in found]


def test_every_request_is_as_paypal_wants_it(heard: Heard) -> None:
    everything(ProviderBench(heard.sandbox))
    checked = set()
    for method, pattern, schema in paypal_spec.schemas():
        for called, path, body, *_ in heard.calls:
            if called == method and _fits(pattern, path):
                checked.add(pattern)
                assert problems(schema, body) == []
    assert checked == {pattern for _, pattern, _ in paypal_spec.schemas()}


@pytest.mark.parametrize(
    ("api", "name", "pattern"),
    [
        ("checkout_orders_v2", "order", "/v2/checkout/orders/{id}"),
        ("checkout_orders_v2", "order", "/v2/checkout/orders/{id}/capture"),
        ("checkout_orders_v2", "order", "/v2/checkout/orders/{id}/authorize"),
        ("payments_payment_v2", "capture-2", "/v2/payments/authorizations/{id}/capture"),
        ("payments_payment_v2", "authorization-2", "/v2/payments/authorizations/{id}/void"),
        ("payments_payment_v2", "refund", "/v2/payments/captures/{id}/refund"),
        ("payments_payment_v2", "refund", "/v2/payments/refunds/{id}"),
    ],
)
def test_every_answer_is_as_paypal_documents_it(heard: Heard, api: str, name: str, pattern: str) -> None:
    everything(ProviderBench(heard.sandbox))
    bodies = [body for _, path, _, _, status, body in heard.calls if status < 300 and _fits(pattern, path)]
    assert bodies
    for schema in paypal_spec.answer_schema(api, name):
        assert [problem for body in bodies for problem in problems(schema, body)] == []


def _fits(pattern: str, path: str) -> bool:
    asked, wanted = path.removeprefix("/paypal").split("/"), pattern.split("/")
    if len(asked) != len(wanted):
        return False
    return all(want.startswith("{") or want == got for want, got in zip(wanted, asked, strict=True))


def test_the_order_says_what_paypal_shows_the_buyer(heard: Heard) -> None:
    paypal = ProviderBench(heard.sandbox)
    asked = new_order(paypal, Verb.AUTHORIZE)
    paypal.gateway().charge(asked, lambda _: None)
    [sent] = [body for method, path, body, *_ in heard.calls if path.endswith("/orders") and method == "POST"]
    address = f"{API_URL}/returns/{asked.attempt_id}"
    assert sent["intent"] == "AUTHORIZE"
    assert sent["purchase_units"][0]["custom_id"] == asked.payment_id
    assert sent["purchase_units"][0]["invoice_id"] == asked.attempt_id
    experience = sent["payment_source"]["paypal"]["experience_context"]
    assert (experience["return_url"], experience["cancel_url"]) == (address, f"{address}?canceled=1")
    assert "example.org" not in json.dumps(sent)  # nothing of the payer


@pytest.mark.parametrize(("is_off_session", "initiator"), [(True, "MERCHANT"), (False, "CUSTOMER")])
def test_a_saved_account_is_named_only_when_it_is_charged(heard: Heard, is_off_session: bool, initiator: str) -> None:
    paypal, seen = ProviderBench(heard.sandbox), []
    asked = new_order(paypal, method_token="sandbox_COMPLETED", is_off_session=is_off_session)
    books = Books(heard.sandbox)
    outcome = paypal.gateway().charge(asked, lambda reference: seen.append(books.moved(reference)))
    assert isinstance(outcome, Approved)
    assert seen == [[]]
    created, captured = [body for method, path, body, *_ in heard.calls if "/orders" in path and method == "POST"]
    assert "payment_source" not in created
    source = captured["payment_source"]["paypal"]
    assert source == {
        "vault_id": "sandbox_COMPLETED",
        "stored_credential": {"payment_initiator": initiator, "usage": "SUBSEQUENT"},
    }
