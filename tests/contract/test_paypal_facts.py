"""What PayPal tells beside payments: each event of the sandbox, signed and received, is a fact without persons."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from domain.payment import Verb
from gateways.base import Fact, Notice, Order
from gateways.paypal.facts import _KINDS, notice_of_fact
from gateways.paypal.kept import kept
from gateways.paypal.webhooks import notice_of
from sandbox.paypal import disputes, subscriptions
from sandbox.paypal.objects import PAYER
from sandbox.server import RunningSandbox
from sandbox.state import Settings

from . import paypal_spec
from .bench import SECONDS, now
from .benches.paypal import ProviderBench
from .served import answering
from .test_gateway_operations import charged, operation

SUBSCRIPTION, TOKEN = "I-BW452GLLEP1G", "8kk8451t"
DISPUTE = {"dispute_id": "PP-D-1", "disputed_transactions": [{"seller_transaction_id": "7TK53561YB803214S"}]}


@pytest.fixture
def paypal(sandbox: RunningSandbox) -> ProviderBench:
    """PayPal's bench."""
    return ProviderBench(sandbox)


def let(paypal: ProviderBench, path: str, **body: Any) -> Any:
    """Let something happen by the control route; return its answer."""
    answer = requests.post(f"{paypal.url}/_sandbox/paypal/{path}", json=body, timeout=SECONDS)
    answer.raise_for_status()
    return answer.json()


def heard(paypal: ProviderBench, id: str) -> Notice:
    """Receive the last event about a thing, signed; return how it is read."""
    sent = paypal.signed(paypal.event(id))
    delivery = paypal.gateway().verify_webhook(sent.body, sent.headers, now())
    notice = paypal.gateway().read_webhook(delivery.payload)
    assert notice is not None
    return notice


def happened(paypal: ProviderBench, type: str, id: str = SUBSCRIPTION, **more: Any) -> Notice:
    """Let something happen to a subscription or a saved account, and hear of it."""
    let(paypal, f"{id}/emit", event_type=type, **more)
    return heard(paypal, id)


def captured(paypal: ProviderBench) -> tuple[Order, str]:
    """Return a charge and PayPal's id of its capture."""
    first = charged(paypal, paypal.gateway())
    return first, paypal.account.orders[first.reference].of("captures")[0].id


# --- disputes ---


@pytest.mark.parametrize(
    ("outcome", "name"),
    [
        ("RESOLVED_SELLER_FAVOUR", "dispute_won"),
        ("RESOLVED_BUYER_FAVOUR", "dispute_lost"),
        ("RESOLVED_WITH_PAYOUT", "dispute_closed"),
        ("CANCELED_BY_BUYER", "dispute_closed"),
        ("ACCEPTED", "dispute_closed"),
        ("DENIED", "dispute_closed"),
        ("NONE", "dispute_closed"),
    ],
)
def test_a_dispute_from_its_opening_to_its_end(paypal: ProviderBench, outcome: str, name: str) -> None:
    first, capture = captured(paypal)
    opened = let(paypal, f"{capture}/dispute", reason="MERCHANDISE_OR_SERVICE_NOT_RECEIVED")
    data = {
        "reference": opened["dispute_id"],
        "reason": "MERCHANDISE_OR_SERVICE_NOT_RECEIVED",
        "status": "OPEN",
        "stage": "INQUIRY",
        "transaction": capture,
        "amount": "10.00",
        "currency": "EUR",
    }
    due = {"evidence_due_at": opened["seller_response_due_date"]}
    assert heard(paypal, capture) == dispute_notice(first, "dispute_opened", data | due)
    let(paypal, f"{capture}/dispute", status="UNDER_REVIEW")
    assert heard(paypal, capture) == dispute_notice(first, "dispute_updated", data | due | {"status": "UNDER_REVIEW"})
    let(paypal, f"{capture}/dispute", outcome=outcome)
    assert heard(paypal, capture) == dispute_notice(first, name, data | {"status": "RESOLVED", "outcome": outcome})


def dispute_notice(first: Order, name: str, data: dict[str, str]) -> Notice:
    """Return what is read of a dispute about a charge."""
    return Notice("", first.attempt_id, None, fact=Fact(name, data), payment_id=first.payment_id)


def test_the_dispute_of_a_captured_authorization_names_the_capture_attempt(paypal: ProviderBench) -> None:
    held = charged(paypal, paypal.gateway(), Verb.AUTHORIZE)
    taken = operation(held, Verb.CAPTURE, 400)
    paypal.gateway().capture(taken)
    capture = paypal.account.orders[held.reference].of("captures")[0].id
    let(paypal, f"{capture}/dispute")
    assert (heard(paypal, capture).attempt_id, heard(paypal, capture).payment_id) == (taken.attempt_id, held.payment_id)


def test_a_dispute_that_does_not_say_whose_it_is(paypal: ProviderBench) -> None:
    _, capture = captured(paypal)
    let(paypal, f"{capture}/dispute", is_anonymous=True)
    notice = heard(paypal, capture)
    assert (notice.reference, notice.attempt_id, notice.payment_id) == ("", None, None)
    assert notice.fact.data["transaction"] == capture


def test_the_control_route_of_disputes_refuses_nonsense(paypal: ProviderBench) -> None:
    first, capture = captured(paypal)
    for id, body in ((first.reference, {}), ("unknown", {})):
        answer = requests.post(f"{paypal.url}/_sandbox/paypal/{id}/dispute", json=body, timeout=SECONDS)
        assert answer.status_code == 404
    let(paypal, f"{capture}/dispute")
    let(paypal, f"{capture}/dispute", outcome="ACCEPTED")
    for body in ({"status": "OPEN"}, {"outcome": "DENIED"}, {}):
        answer = requests.post(f"{paypal.url}/_sandbox/paypal/{capture}/dispute", json=body, timeout=SECONDS)
        assert answer.status_code == 400


# --- subscriptions and what they pay ---


@pytest.mark.parametrize("type", subscriptions.STATUSES)
def test_every_event_of_a_subscription(paypal: ProviderBench, type: str) -> None:
    notice = happened(paypal, type)
    name = f"subscription_{type.removeprefix('BILLING.SUBSCRIPTION.').replace('.', '_').lower()}"
    assert notice == Notice("", None, None, fact=Fact(name, notice.fact.data))
    known = {"reference": SUBSCRIPTION, "status": subscriptions.STATUSES[type]}
    assert {key: notice.fact.data[key] for key in known} == known
    assert ("next_retry_at" in notice.fact.data) == ("reason" in notice.fact.data) == type.endswith("FAILED")


@pytest.mark.parametrize("spelling", ["next_payment_retry_time", "next_payment_retry_date"])
def test_both_spellings_of_the_next_try(spelling: str) -> None:
    failed = {"reason_code": "PAYER_CANNOT_PAY", spelling: "2026-12-01T10:00:00.000Z"}
    subscription = {"id": SUBSCRIPTION, "status": "ACTIVE", "billing_info": {"last_failed_payment": failed}}
    fact = notice_of_fact("BILLING.SUBSCRIPTION.PAYMENT.FAILED", subscription).fact
    ends = {"reason": "PAYER_CANNOT_PAY", "next_retry_at": "2026-12-01T10:00:00.000Z"}
    assert fact.data == {"reference": SUBSCRIPTION, "status": "ACTIVE"} | ends


def test_a_payment_of_a_subscription(paypal: ProviderBench) -> None:
    for type in ("COMPLETED", "PENDING", "DENIED"):
        fact = happened(paypal, f"PAYMENT.SALE.{type}").fact
        sale = paypal.event(SUBSCRIPTION)["resource"]["id"]
        data = {"reference": sale, "subscription": SUBSCRIPTION, "status": type.lower()}
        assert fact == Fact(f"subscription_sale_{type.lower()}", data | {"amount": "12.30", "currency": "USD"})


def test_what_is_given_or_taken_back_has_a_negative_total(paypal: ProviderBench) -> None:
    refunded = happened(paypal, "PAYMENT.SALE.REFUNDED").fact
    sale = paypal.event(SUBSCRIPTION)["resource"]["sale_id"]
    assert (refunded.name, refunded.data["amount"]) == ("subscription_sale_refunded", "-12.30")
    assert refunded.data["sale"] == sale != refunded.data["reference"]
    reversed = happened(paypal, "PAYMENT.SALE.REVERSED").fact
    assert (reversed.name, reversed.data["amount"]) == ("subscription_sale_reversed", "-12.30")
    assert (reversed.data["reason"], reversed.data["currency"]) == ("CHARGEBACK", "USD")


def test_the_imitated_subscription_is_as_paypal_documents_it(paypal: ProviderBench) -> None:
    for type in subscriptions.STATUSES:
        happened(paypal, type)
        body = paypal.event(SUBSCRIPTION)["resource"]
        for schema in paypal_spec.answer_schema("billing_subscriptions_v1", "subscription"):
            assert [error.message for error in Draft202012Validator(schema).iter_errors(body)] == []


# --- saved accounts ---


def test_a_saved_account(paypal: ProviderBench) -> None:
    first, _ = captured(paypal)
    saved = happened(paypal, "VAULT.PAYMENT-TOKEN.CREATED", TOKEN, order_id=first.reference)
    data = {"customer": "customer_4029352050"}
    assert saved == Notice(first.reference, None, None, fact=Fact("payment_method_saved", data))
    removed = happened(paypal, "VAULT.PAYMENT-TOKEN.DELETED", TOKEN)
    assert removed == Notice("", None, None, fact=Fact("payment_method_removed", data))
    assert notice_of_fact("VAULT.PAYMENT-TOKEN.DELETED", {"id": TOKEN}).fact.data == {}


# --- whatever comes ---


def test_neither_persons_nor_tokens_are_in_a_fact(paypal: ProviderBench) -> None:
    _, capture = captured(paypal)
    let(paypal, f"{capture}/dispute")
    told = [(paypal.event(capture), heard(paypal, capture))]
    for type in subscriptions.NAMES:
        id = TOKEN if type in subscriptions.TOKENS else SUBSCRIPTION
        notice = happened(paypal, type, id)
        told.append((paypal.event(id), notice))
    canaries = (PAYER["email_address"], "John", "Doe", PAYER["payer_id"], TOKEN, "never came")
    assert {canary for canary in canaries if any(canary in json.dumps(event) for event, _ in told)} == set(canaries)
    for event, notice in told:
        stored = json.dumps(kept(event))
        assert not any(canary in stored for canary in canaries)
        assert notice_of(stored) == notice
        assert not any(canary in text for canary in canaries for text in notice.fact.data.values())


def test_a_text_that_is_no_code_stays_out() -> None:
    strange = {"reason": "John Doe", "status": "jo@example.org", "dispute_life_cycle_stage": "x" * 128}
    strange |= {"dispute_amount": {"value": 7.5, "currency_code": "EUR"}, "seller_response_due_date": ["x"]}
    notice = notice_of_fact("CUSTOMER.DISPUTE.CREATED", DISPUTE | strange)
    assert notice.fact.data == {"reference": "PP-D-1", "transaction": "7TK53561YB803214S"}


@pytest.mark.parametrize("kind", [kind for kind in _KINDS if not kind.startswith("VAULT.")])
@pytest.mark.parametrize("id", [None, 17, "", "Jo Example", ["x"]])
def test_a_thing_without_an_id_tells_nothing(kind: str, id: Any) -> None:
    resource = DISPUTE | {"dispute_id": id, "id": id, "status": "ACTIVE"}
    assert notice_of(json.dumps({"event_type": kind, "resource": resource})) is None


FIELDS = ("id", "dispute_id", "status", "amount", "total", "currency", "disputed_transactions", "dispute_outcome")
MORE = ("outcome_code", "billing_info", "last_failed_payment", "customer", "metadata", "order_id", "invoice_number")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from((*FIELDS, *MORE)), inner),
)


@given(st.sampled_from(sorted(_KINDS)), JSON)
def test_no_shape_breaks_it(kind: str, resource: Any) -> None:
    notice = notice_of(json.dumps({"event_type": kind, "resource": resource}))
    assert notice is None or all(isinstance(text, str) for text in notice.fact.data.values())


def test_names_fit_their_column() -> None:
    assert all(len(name) <= 50 for _, name in _KINDS.values())


def test_all_that_is_imitated_is_read_and_the_other_way_round() -> None:
    assert set(_KINDS) == {*disputes.NAMES, *subscriptions.NAMES}


def test_what_the_imitation_delivers_is_believed() -> None:
    with (
        answering((200, b"")) as served,
        RunningSandbox(Settings(webhook_url=f"{served.url}/webhooks/stripe")) as sandbox,
    ):
        paypal = ProviderBench(sandbox)
        let(paypal, f"{SUBSCRIPTION}/emit", event_type="BILLING.SUBSCRIPTION.ACTIVATED")
        came = served.next()
        assert came.path == "/webhooks/paypal"
        delivery = paypal.gateway().verify_webhook(came.raw, came.headers, now())
    assert notice_of(delivery.payload).fact.name == "subscription_activated"
