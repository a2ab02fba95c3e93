"""Coinbase Commerce: what is its own about charges, money that does not match, confirmations and webhooks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import requests

from domain.decline import Decline, DeclineClass
from domain.errors import WebhookRefused
from domain.money import Money
from domain.outcome import ActionRequired, AmountMismatch, Approved, Declined, InDoubt, NotSent, Outcome, Pending
from domain.payment import Verb
from domain.payment_methods import PaymentMethod
from gateways.base import AttemptRequest, GatewayError
from gateways.coinbase_commerce.gateway import CoinbaseCommerceGateway
from sandbox.server import RunningSandbox
from sandbox.state import Settings

from .bench import API_URL, SECONDS, Books, attempt, new_order, now
from .benches.coinbase_commerce import ProviderBench
from .served import answering
from .test_gateway_operations import operation

ID = "f765421f-1451-4fab-a513-aac6c819fba9"
LOCAL = {"amount": "10.00", "currency": "USD"}


@pytest.fixture
def bench(sandbox: RunningSandbox) -> Iterator[ProviderBench]:
    """Commerce's bench, without faults."""
    yield ProviderBench(sandbox)
    sandbox.state.faults.clear()


@pytest.fixture
def gateway(bench: ProviderBench) -> CoinbaseCommerceGateway:
    """Its gateway."""
    return bench.gateway()


def opened(bench: ProviderBench, **changes: Any) -> AttemptRequest:
    """Return the order of a charge that waits for its customer."""
    asked, references = new_order(bench, **changes), []
    assert isinstance(bench.gateway().charge(asked, references.append), ActionRequired)
    return replace(asked, reference=references[0])


def charge_in(status: str, **changes: Any) -> dict[str, Any]:
    """Return a charge as Commerce shows it, paid in full."""
    return {
        "id": ID,
        "code": "66BEOV2A",
        "hosted_url": "https://commerce.example/charges/66BEOV2A",
        "timeline": [
            {"status": "NEW", "time": "2026-11-23T12:00:00Z"},
            {"status": status, "time": "2026-11-23T12:01:00Z"},
        ],
        "pricing": {"local": LOCAL},
        "payments": [payment("10.0")],
    } | changes


def payment(amount: str, status: str = "CONFIRMED", currency: str = "USD") -> dict[str, Any]:
    """Return a payment on a network."""
    return {
        "network": "ethereum",
        "transaction_id": "0xabc",
        "status": status,
        "value": {"local": {"amount": amount, "currency": currency}, "crypto": {"amount": "0.1", "currency": "ETH"}},
    }


def outcome_of(bench: ProviderBench, charge: Any, **changes: Any) -> Outcome:
    """Return what the gateway makes of a charge."""
    with answering((200, {"data": charge})) as canned:
        known = replace(new_order(bench), reference=ID, **changes)
        return bench.gateway(base=canned.url).retrieve(known)


# --- requests ---


def test_a_charge_is_asked_for_as_documented(bench: ProviderBench) -> None:
    asked = new_order(bench, minor=123456)
    with answering((201, {"data": charge_in("NEW")})) as canned:
        bench.gateway(base=canned.url).charge(asked, lambda _: None)
    (request,) = canned.asked
    assert (request.method, request.path) == ("POST", "/charges")
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert (headers["x-cc-api-key"], headers["x-cc-version"]) == ("sandbox-key", "2018-03-22")
    assert request.body == {
        "name": "Payment",
        "description": f"Payment {asked.payment_id}",
        "pricing_type": "fixed_price",
        "local_price": {"amount": "1234.56", "currency": "USD"},
        "metadata": {"payment_id": asked.payment_id, "attempt_id": asked.attempt_id},
        "redirect_url": f"{API_URL}/returns/{asked.attempt_id}",
        "cancel_url": f"{API_URL}/returns/{asked.attempt_id}",
    }


@pytest.mark.parametrize("fault", ["timeout_after", "error_after", "reset_after"])
def test_a_charge_whose_answer_was_lost_is_found_again(bench: ProviderBench, books: Books, fault: str) -> None:
    asked, gateway, references = new_order(bench), bench.gateway(), []
    books.fail(bench.calls["create"], fault)
    assert isinstance(gateway.charge(asked, references.append), NotSent)
    gateway.charge(replace(asked, retries=1), references.append)
    made = {e["data"]["id"] for e in bench.events() if e["data"]["metadata"]["attempt_id"] == asked.attempt_id}
    assert made == set(references)


def test_a_list_that_fails_makes_no_second_charge(bench: ProviderBench, books: Books) -> None:
    asked = new_order(bench, retries=1)
    books.fail("coinbase_commerce.list", "error_before")
    outcome = bench.gateway().charge(asked, pytest.fail)
    assert isinstance(outcome, NotSent)
    assert outcome.is_retryable
    assert [e for e in bench.events() if e["data"]["metadata"]["attempt_id"] == asked.attempt_id] == []


# --- coins ---


@pytest.mark.parametrize(
    ("method", "network", "coin"),
    [
        (PaymentMethod.BITCOIN, "bitcoin", "Bitcoin"),
        (PaymentMethod.ETHEREUM, "ethereum", "Ethereum"),
        (PaymentMethod.USDT, "tether", "USDT"),
    ],
)
def test_a_named_coin_has_its_address(bench: ProviderBench, method: PaymentMethod, network: str, coin: str) -> None:
    known = opened(bench, method=method)
    outcome = bench.gateway().retrieve(known)
    assert isinstance(outcome, ActionRequired)
    assert outcome.next_action.keys() == {"type", "redirect_url", "network", "address"}
    assert outcome.next_action["network"] == network
    assert bench.events()[0]["data"]["addresses"][network] == outcome.next_action["address"]
    assert bench.events()[0]["data"]["description"] == f"Payment {known.payment_id} in {coin}"


@pytest.mark.parametrize(
    "charge", [charge_in("NEW"), charge_in("NEW", addresses=None), charge_in("SIGNED", addresses={})]
)
def test_a_named_coin_without_an_address_is_paid_on_the_page(bench: ProviderBench, charge: Any) -> None:
    outcome = outcome_of(bench, charge, method=PaymentMethod.BITCOIN)
    assert outcome == ActionRequired(ID, {"type": "redirect", "redirect_url": charge["hosted_url"]})


# --- states ---


@pytest.mark.parametrize("decision", ["approve", "decline", "cancel"])
def test_the_hosted_page(bench: ProviderBench, decision: str) -> None:
    known = opened(bench)
    shown = bench.gateway().retrieve(known)
    assert isinstance(shown, ActionRequired)
    page = requests.get(shown.next_action["redirect_url"], timeout=SECONDS)
    assert "10.00 USD" in page.text
    assert "Pay too little" in page.text
    sent = requests.post(page.url, data={"decision": decision}, timeout=SECONDS, allow_redirects=False)
    assert sent.headers["Location"] == f"{API_URL}/returns/{known.attempt_id}"
    kinds = {"approve": Approved, "decline": Declined, "cancel": ActionRequired}
    assert isinstance(bench.gateway().retrieve(known), kinds[decision])


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("PENDING", Pending(ID)),
        ("COMPLETED", Approved(ID, authorized=1000, captured=1000)),
        ("RESOLVED", Approved(ID, authorized=1000, captured=1000)),
        ("EXPIRED", Approved(ID, voided=True)),
        ("CANCELED", Approved(ID, voided=True)),
        ("FAILED", Declined(ID, Decline("payment_failed", DeclineClass.HARD))),
        ("UNRESOLVED", AmountMismatch(ID, 1000, "other")),
        ("TOMORROW", InDoubt("unknown_status", ID)),
    ],
)
def test_the_last_word_of_the_timeline_counts(bench: ProviderBench, status: str, outcome: Outcome) -> None:
    assert outcome_of(bench, charge_in(status)) == outcome


@pytest.mark.parametrize(
    "changes",
    [
        {"pricing": {"local": {"amount": "9.99", "currency": "USD"}}},
        {"pricing": {"local": {"amount": "10.00", "currency": "EUR"}}},
        {"pricing": {}},
        {"timeline": []},
        {"timeline": None},
    ],
    ids=str,
)
def test_another_price_than_asked_is_doubt(bench: ProviderBench, changes: dict[str, Any]) -> None:
    outcome = outcome_of(bench, charge_in("COMPLETED", **changes))
    assert isinstance(outcome, InDoubt)
    assert outcome.reference == ID


@pytest.mark.parametrize("id", ["another", None])
def test_another_charge_is_never_believed(bench: ProviderBench, id: Any) -> None:
    known = replace(new_order(bench), reference=ID)
    with answering((200, {"data": charge_in("COMPLETED", id=id)})) as canned:
        gateway = bench.gateway(base=canned.url)
        wanted = InDoubt("another_object", ID)
        assert gateway.retrieve(known) == gateway.void(operation(known, Verb.VOID)) == wanted


# --- money that does not match ---


@pytest.mark.parametrize(
    ("decision", "received", "reason"),
    [("pay_too_little", 600, "underpaid"), ("pay_too_much", 1500, "overpaid"), ("pay_too_late", 1000, "delayed")],
)
def test_money_that_does_not_match(
    bench: ProviderBench, gateway: CoinbaseCommerceGateway, books: Books, decision: str, received: int, reason: str
) -> None:
    known = attempt(bench, card=decision)
    unresolved = AmountMismatch(known.reference, received, reason)
    assert gateway.retrieve(known) == unresolved
    assert books.movements(known.payment_id) == []
    accepting = operation(known, Verb.CAPTURE, received)
    assert gateway.retrieve(accepting) == NotSent("not_executed", reference=known.reference)

    resolved = Approved(known.reference, authorized=received, captured=received)
    assert gateway.capture(accepting) == resolved
    assert gateway.retrieve(accepting) == resolved == gateway.retrieve(known)
    assert isinstance(gateway.capture(accepting), InDoubt)
    assert books.movements(known.payment_id) == [("charge", received)]


def test_a_lost_answer_to_an_acceptance_is_doubt(
    bench: ProviderBench, gateway: CoinbaseCommerceGateway, books: Books
) -> None:
    accepting = operation(attempt(bench, card="pay_too_little"), Verb.CAPTURE, 600)
    books.fail(bench.calls["capture"], "timeout_after")
    assert isinstance(gateway.capture(accepting), InDoubt)
    found = gateway.retrieve(accepting)
    assert isinstance(found, Approved)
    assert found.captured == 600


@pytest.mark.parametrize(
    ("payments", "received"),
    [
        ([], 0),
        ([payment("6.00"), payment("1.5")], 750),
        ([payment("6.00"), payment("4.00", "PENDING"), payment("4.00", "FAILED")], 600),
        ([payment("9.999999")], 999),
        ([payment("6.00", currency="EUR")], None),
        ([payment("1e3")], None),
        ([payment("-1")], None),
        ([payment("NaN")], None),
    ],
)
def test_what_came_is_added_up_and_never_rounded_up(bench: ProviderBench, payments: Any, received: int | None) -> None:
    timeline = [{"status": "UNRESOLVED", "time": "2026-11-23T12:01:00Z", "context": "MULTIPLE"}]
    outcome = outcome_of(bench, charge_in("UNRESOLVED", payments=payments, timeline=timeline))
    wanted = InDoubt("amount_differs", ID) if received is None else AmountMismatch(ID, received, "multiple")
    assert outcome == wanted


def test_a_resolved_charge_that_nobody_paid_is_doubt(bench: ProviderBench) -> None:
    assert outcome_of(bench, charge_in("RESOLVED", payments=[])) == InDoubt("amount_differs", ID)


@pytest.mark.parametrize(("minor", "currency"), [(1999, "EUR"), (5000, "JPY"), (1230, "KWD")])
def test_any_currency_keeps_its_minor_units(bench: ProviderBench, books: Books, minor: int, currency: str) -> None:
    known = attempt(bench, money=Money(minor, currency))
    assert bench.gateway().retrieve(known) == Approved(known.reference, authorized=minor, captured=minor)
    assert books.movements(known.payment_id) == [("charge", minor)]


# --- what ends ---


def test_a_charge_nobody_paid_expires_and_may_be_paid_too_late() -> None:
    with RunningSandbox(Settings(seed=1)) as running:
        bench = ProviderBench(running)
        known = opened(bench)
        running.state.advance(3601)
        assert bench.gateway().retrieve(known) == Approved(known.reference, voided=True)
        bench.decide(known.reference, "approve")
        assert bench.gateway().retrieve(known) == AmountMismatch(known.reference, 1000, "delayed")
        assert bench.events()[0]["type"] == "charge:delayed"


def test_a_charge_under_way_cannot_be_canceled(bench: ProviderBench, gateway: CoinbaseCommerceGateway) -> None:
    known = attempt(bench, card="slow")
    late = operation(known, Verb.VOID)
    assert isinstance(gateway.void(late), InDoubt)
    assert gateway.retrieve(late) == Pending(known.reference)


def test_what_commerce_cannot_do(bench: ProviderBench, gateway: CoinbaseCommerceGateway) -> None:
    refund = operation(attempt(bench), Verb.REFUND)
    by_hand = NotSent("refund_by_hand", is_retryable=False)
    assert (gateway.refund(refund), gateway.retrieve(refund)) == (by_hand, by_hand)
    held = gateway.charge(new_order(bench, Verb.AUTHORIZE), pytest.fail)
    assert held == NotSent("not_supported", is_retryable=False)


# --- what the sandbox refuses, as the API does ---


@pytest.mark.parametrize(
    ("headers", "status", "kind"),
    [
        ({}, 401, "authentication_error"),
        ({"X-CC-Api-Key": "other", "X-CC-Version": "2018-03-22"}, 401, "authentication_error"),
        ({"X-CC-Api-Key": "sandbox"}, 400, "invalid_request"),
        ({"X-CC-Api-Key": "sandbox", "X-CC-Version": "2018-03-22"}, 400, "invalid_request"),
    ],
)
def test_a_request_at_fault(bench: ProviderBench, headers: dict[str, str], status: int, kind: str) -> None:
    response = requests.post(f"{bench.url}/coinbase_commerce/charges", json={}, headers=headers, timeout=SECONDS)
    assert (response.status_code, response.json()["error"]["type"]) == (status, kind)


def test_a_list_is_read_by_pages(bench: ProviderBench) -> None:
    newest = [opened(bench).reference for _ in range(3)][::-1]
    headers = {"X-CC-Api-Key": "sandbox", "X-CC-Version": "2018-03-22"}

    def page(**query: Any) -> list[str]:
        address = f"{bench.url}/coinbase_commerce/charges"
        response = requests.get(address, params=query, headers=headers, timeout=SECONDS)
        return [charge["id"] for charge in response.json()["data"]]

    assert page(limit=2) == newest[:2]
    assert page(limit=1, starting_after=newest[0]) == newest[1:2]
    assert len(page(limit="x")) <= 25


# --- timeline, check, webhooks ---


def test_the_timeline_counts_confirmations(bench: ProviderBench, gateway: CoinbaseCommerceGateway) -> None:
    known = attempt(bench, card="slow")
    *changes, seen = gateway.timeline(known.reference)
    assert [(row["status"], row["context"]) for row in changes] == [("new", ""), ("pending", "")]
    assert (seen["status"], seen["context"], seen["network"]) == ("pending", "payment", "ethereum")
    assert (seen["confirmations"], seen["required"]) == ("0", "8")
    bench.let_bank_answer(known.reference, is_good=True)
    *_, completed, confirmed = gateway.timeline(known.reference)
    assert completed["status"] == "completed"
    assert (confirmed["confirmations"], confirmed["required"]) == ("8", "8")
    assert confirmed["transaction"] == seen["transaction"]
    assert gateway.timeline(attempt(bench, card="pay_too_little").reference)[-2]["context"] == "underpaid"
    with pytest.raises(GatewayError, match="not_found"):
        gateway.timeline("none")
    with pytest.raises(GatewayError, match="http_404"):
        gateway.timeline("../charges")


def test_the_check(bench: ProviderBench) -> None:
    assert "accepts the API key" in bench.gateway().check()
    with pytest.raises(GatewayError, match="authentication_error") as raised:
        bench.gateway(api_key="unknown-key").check()
    assert "unknown-key" not in str(raised.value)


def test_every_event_of_a_charge_names_it(bench: ProviderBench, gateway: CoinbaseCommerceGateway) -> None:
    known = attempt(bench, card="pay_too_little")
    gateway.capture(operation(known, Verb.CAPTURE, 600))
    events = [event for event in bench.events() if event["data"]["id"] == known.reference]
    assert [e["type"] for e in events] == ["charge:resolved", "charge:failed", "charge:pending", "charge:created"]
    for event in events:
        notice = gateway.read_webhook(json.dumps({"event": event}))
        assert (notice.reference, notice.attempt_id, notice.outcome) == (known.reference, known.attempt_id, None)


@pytest.mark.parametrize(
    "event", [{"id": "", "type": "x"}, {"id": 1, "type": "x"}, {"id": "1", "type": "é"}, {"id": "1"}]
)
def test_an_event_that_cannot_be_named(bench: ProviderBench, gateway: CoinbaseCommerceGateway, event: Any) -> None:
    sent = bench.signed({"event": event})
    with pytest.raises(WebhookRefused):
        gateway.verify_webhook(sent.body, sent.headers, now())
