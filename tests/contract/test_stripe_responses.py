"""Stripe's objects as outcomes: another object, an unknown word and a missing field are doubt."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.decline import Decline, DeclineClass
from domain.outcome import Approved, Declined, InDoubt, NotSent, Outcome, Pending
from domain.payment import Verb
from gateways.failures import MalformedResponse
from gateways.stripe import webhooks
from gateways.stripe.account_report import Account, EndpointPage
from gateways.stripe.gateway import StripeGateway
from gateways.stripe.responses import (
    ConfirmableIntent,
    PaymentIntent,
    Refund,
    outcome_of_intent,
    outcome_of_refund,
)
from gateways.stripe.saved_method_responses import Customer, saved_method
from gateways.stripe.side_events import Dispute

from .bench import ATTEMPT, SECONDS
from .served import replying
from .specifications import all_of

INTENT = {"id": "pi_1", "status": "succeeded", "currency": "eur", "amount": 1000, "amount_received": 1000}
REFUND = {
    "id": "re_1",
    "status": "succeeded",
    "currency": "eur",
    "amount": 1000,
    "created": 1_795_867_200,
    "metadata": {"attempt_id": "at_1"},
}


def gateway_at(url: str) -> StripeGateway:
    return StripeGateway("sk_test_sandbox", ("whsec_x",), url, read_seconds=SECONDS)


# --- responses of another form ---


@pytest.fixture(params=[b"{}", b'{"id": "pi_1"}', b'{"id": "pi_1", "status": "succeeded", "currency": null}', b"[]"])
def gateway(request: pytest.FixtureRequest) -> Iterator[StripeGateway]:
    """A gateway whose provider sends the same malformed response to every call."""
    with replying((200, request.param)) as served:
        yield gateway_at(served.url)


def test_a_confirm_is_in_doubt(gateway: StripeGateway) -> None:
    assert isinstance(gateway.charge(ATTEMPT, lambda reference: None), InDoubt)


def test_an_intent_without_an_id_is_not_saved(gateway: StripeGateway) -> None:
    saved: list[str] = []
    outcome = gateway.charge(replace(ATTEMPT, reference=None), saved.append)
    assert isinstance(outcome, InDoubt) if saved else isinstance(outcome, NotSent)
    assert all(saved)


@pytest.mark.parametrize("verb", [Verb.CAPTURE, Verb.VOID, Verb.REFUND])
def test_an_operation_is_in_doubt(gateway: StripeGateway, verb: Verb) -> None:
    assert isinstance(getattr(gateway, verb)(replace(ATTEMPT, verb=verb, reference=None)), InDoubt)


@pytest.mark.parametrize("verb", [Verb.CHARGE, Verb.REFUND])
def test_a_look_up_is_in_doubt(gateway: StripeGateway, verb: Verb) -> None:
    assert isinstance(gateway.retrieve(replace(ATTEMPT, verb=verb)), InDoubt)


@pytest.mark.parametrize("error", ["bad gateway", None, [], 7])
@pytest.mark.parametrize("status", [400, 402, 429, 502])
def test_a_refusal_whose_error_is_no_object_is_in_doubt(status: int, error: Any) -> None:
    with replying((status, {"error": error})) as served:
        gateway = gateway_at(served.url)
        outcomes = [gateway.charge(ATTEMPT, lambda reference: None), gateway.retrieve(ATTEMPT)]
    assert outcomes == [InDoubt("malformed_response", "pi_1")] * 2


@pytest.mark.parametrize("changes", [{"code": 7}, {"decline_code": []}, {"type": 7}])
def test_a_refusal_with_a_code_of_another_type_is_in_doubt(changes: dict[str, Any]) -> None:
    error = {"type": "card_error", "code": "card_declined"}
    with replying((402, {"error": error | changes})) as served:
        outcome = gateway_at(served.url).charge(ATTEMPT, lambda reference: None)
    assert outcome == InDoubt("malformed_response", "pi_1")


# --- other objects than the requested one ---


@pytest.mark.parametrize(
    ("changes", "reason"), [({"id": "pi_2"}, "another_object"), ({"currency": "jpy"}, "another_currency")]
)
def test_another_intent_is_never_believed(changes: dict[str, str], reason: str) -> None:
    with replying((200, json.dumps(INTENT | changes).encode())) as served:
        gateway = gateway_at(served.url)
        outcomes = [gateway.retrieve(ATTEMPT), gateway.charge(ATTEMPT, lambda reference: None)]
        for verb in (Verb.CAPTURE, Verb.VOID):
            outcomes.append(getattr(gateway, verb)(replace(ATTEMPT, verb=verb)))
    assert outcomes == [InDoubt(reason, "pi_1")] * 4


def test_another_refund_is_never_believed() -> None:
    with replying((200, REFUND | {"id": "re_2"})) as served:
        outcome = gateway_at(served.url).retrieve(replace(ATTEMPT, verb=Verb.REFUND, reference="re_1"))
    assert outcome == InDoubt("another_object", "re_1")


# --- statuses ---


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount": None}, "PaymentIntent.amount"),
        ({"amount": "1000"}, "PaymentIntent.amount"),
        ({"amount": 10.0}, "PaymentIntent.amount"),
        ({"amount": True}, "PaymentIntent.amount"),
        ({"amount": -1}, "PaymentIntent.amount"),
        ({"amount_received": None}, "PaymentIntent.amount_received"),
        ({"status": "requires_capture"}, "PaymentIntent.amount_capturable"),
        ({"status": "requires_capture", "amount_capturable": 1000}, "PaymentIntent.created"),
        ({"status": 1}, "PaymentIntent.status"),
        ({"currency": "zzz"}, "currency"),
        ({"latest_charge": {"payment_method_details": 7}}, "PaymentIntent.latest_charge"),
        ({"next_action": {}}, "PaymentIntent.next_action.type"),
    ],
    ids=str,
)
def test_a_field_that_the_status_needs_is_named_when_it_is_wrong(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(MalformedResponse) as malformed:
        outcome_of_intent(PaymentIntent.parse(INTENT | changes))
    assert malformed.value.field.startswith(field)


def test_a_field_that_the_status_does_not_need_may_be_missing() -> None:
    waiting = {name: INTENT[name] for name in ("id", "currency", "amount")} | {"status": "processing"}
    assert outcome_of_intent(PaymentIntent.parse(waiting)) == Pending("pi_1")


@pytest.mark.parametrize("status", ["invented", "", None])
def test_an_unknown_status_of_an_intent_is_doubt(status: str | None) -> None:
    outcome = outcome_of_intent(PaymentIntent.parse(INTENT | {"status": status}))
    assert outcome == InDoubt("unknown_status", "pi_1")


# --- failed confirms ---


def after_failure(error: Any) -> Outcome:
    """Return what a look-up says of an intent whose last confirm failed."""
    with replying((200, INTENT | {"status": "requires_payment_method", "last_payment_error": error})) as served:
        return gateway_at(served.url).retrieve(ATTEMPT)


@pytest.mark.parametrize("code", ["payment_intent_authentication_failure", "payment_method_microdeposit_failed"])
def test_a_refusal_by_the_customer_is_a_decline_that_is_not_retried(code: str) -> None:
    outcome = after_failure({"type": "invalid_request_error", "code": code})
    assert outcome == Declined("pi_1", Decline(code, DeclineClass.NEEDS_CUSTOMER))


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        ({"type": "idempotency_error"}, NotSent("idempotency_error", reference="pi_1")),
        ({"type": "api_error"}, NotSent("api_error", reference="pi_1")),
        ({"type": "api_error", "code": "lock_timeout"}, NotSent("lock_timeout", reference="pi_1")),
        ({"type": "invalid_request_error"}, NotSent("invalid_request_error", is_retryable=False, reference="pi_1")),
        (
            {"type": "invalid_request_error", "code": "payment_method_unactivated"},
            NotSent("payment_method_unactivated", is_retryable=False, reference="pi_1"),
        ),
        (
            {"type": "invalid_request_error", "code": "jo@example.org"},
            NotSent("invalid_request_error", is_retryable=False, reference="pi_1"),
        ),
        ({"type": "invented", "code": "insufficient_funds"}, InDoubt("unknown_type", "pi_1")),
        ({"type": None}, InDoubt("unknown_type", "pi_1")),
        ({"code": "card_declined"}, InDoubt("unknown_type", "pi_1")),
    ],
    ids=str,
)
def test_a_failure_that_is_no_card_error_invents_no_decline(error: Any, outcome: Outcome) -> None:
    assert after_failure(error) == outcome


@pytest.mark.parametrize("type", ["api_error", "idempotency_error", "invented", None])
def test_a_payment_that_is_refused_with_another_type_is_looked_up(type: str | None) -> None:
    with replying((402, {"error": {"type": type, "code": "card_declined"}})) as served:
        outcome = gateway_at(served.url).charge(ATTEMPT, lambda reference: None)
    assert isinstance(outcome, InDoubt)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("succeeded", Approved),
        ("pending", Pending),
        ("requires_action", Pending),
        ("failed", Declined),
        ("canceled", Declined),
        ("invented", InDoubt),
        (None, InDoubt),
    ],
)
def test_every_status_of_a_refund(status: str | None, kind: type[Any]) -> None:
    outcome = outcome_of_refund(Refund.parse(REFUND | {"status": status}))
    assert isinstance(outcome, kind)
    assert outcome.reference == "re_1"


# --- lists of refunds ---


def refund_page(*ids: str, attempt_id: str = "at_0", has_more: bool = False) -> dict[str, Any]:
    data = [REFUND | {"id": id, "metadata": {"attempt_id": attempt_id}} for id in ids]
    return {"object": "list", "url": "/v1/refunds", "has_more": has_more, "data": data}


def test_a_refund_is_searched_for_on_every_page() -> None:
    pages = [refund_page("re_3", "re_2", has_more=True), refund_page("re_1", attempt_id="at_1")]
    with replying(*((200, page) for page in pages)) as served:
        outcome = gateway_at(served.url).retrieve(replace(ATTEMPT, verb=Verb.REFUND, reference=None))
    assert outcome == Approved("re_1", refunded=1000)
    first = "/v1/refunds?payment_intent=pi_1&limit=100"
    assert [request.path for request in served.requests] == [first, f"{first}&starting_after=re_2"]


@pytest.mark.parametrize(
    ("page", "outcome"),
    [
        (refund_page(), NotSent("not_created")),
        (refund_page("re_2"), NotSent("not_created")),
        (refund_page(has_more=True), InDoubt("malformed_response")),
        (refund_page("re_2") | {"has_more": None}, InDoubt("malformed_response")),
    ],
)
def test_only_a_complete_list_proves_that_a_refund_was_not_created(page: Any, outcome: InDoubt | NotSent) -> None:
    with replying((200, page)) as served:
        assert gateway_at(served.url).retrieve(replace(ATTEMPT, verb=Verb.REFUND, reference=None)) == outcome


# --- the official samples ---

READERS: dict[str, Callable[[Any], Any]] = {
    "account": Account.parse,
    "customer": Customer.parse,
    "dispute": Dispute.parse,
    "payment_intent": lambda sample: outcome_of_intent(PaymentIntent.parse(sample)),
    "payment_method": lambda sample: saved_method(sample, None),
    "refund": lambda sample: outcome_of_refund(Refund.parse(sample)),
    "setup_intent": ConfirmableIntent.parse,
    "webhook_endpoint": lambda sample: EndpointPage.parse({"data": [sample]}),
}


@pytest.mark.parametrize("name", READERS)
def test_no_model_is_stricter_than_stripe(name: str) -> None:
    for samples in all_of("stripe", "stripe-fixtures*.json"):
        assert READERS[name](samples["resources"][name])


# --- saved methods ---


@pytest.mark.parametrize(
    ("value", "kind", "brand"),
    [
        ({"type": "bacs_debit", "bacs_debit": {"last4": "2345", "sort_code": "108800"}}, "bacs_debit", None),
        ({"type": "link", "link": {}}, "link", None),
        ({"type": "link"}, "link", None),
        ({"type": "card", "card": {"wallet": {"type": "apple_pay"}, "brand": "visa"}}, "apple_pay", "visa"),
        ({"type": "card", "card": {"wallet": {"type": "invented"}, "funding": "prepaid"}}, "credit_card", None),
    ],
)
def test_a_method_is_shown_whatever_its_type_is(value: dict[str, Any], kind: str, brand: str | None) -> None:
    shown = saved_method({"id": "pm_1"} | value, None)
    assert (shown.kind, shown.brand, shown.is_default) == (kind, brand, False)


@pytest.mark.parametrize(
    "value", [{}, [], {"id": "pm_1"}, {"id": "pm_1", "type": []}, {"id": "pm_1", "type": "card", "card": 7}]
)
def test_a_method_of_another_form_is_malformed(value: Any) -> None:
    with pytest.raises(MalformedResponse):
        saved_method(value, None)


# --- times ---

MILLISECONDS = 1_700_000_000_000


def test_a_time_out_of_range_is_doubt_and_no_error() -> None:
    held = INTENT | {"status": "requires_capture", "amount_capturable": 1000, "created": MILLISECONDS}
    with replying((200, held)) as served:
        gateway = gateway_at(served.url)
        assert gateway.retrieve(ATTEMPT) == InDoubt("malformed_response", "pi_1")
        assert gateway.charge(ATTEMPT, lambda reference: None) == InDoubt("malformed_response", "pi_1")


def test_an_event_with_a_time_out_of_range_is_looked_up_or_unreadable() -> None:
    waiting = {"type": "verify_with_microdeposits", "verify_with_microdeposits": {"arrival_date": MILLISECONDS}}
    intent = INTENT | {"object": "payment_intent", "status": "requires_action", "next_action": waiting}
    read = webhooks.read(json.dumps({"type": "payment_intent.requires_action", "data": {"object": intent}}))
    assert read is not None
    assert (read.reference, read.outcome) == ("pi_1", None)
    dispute = {
        **{"object": "dispute", "id": "dp_1", "payment_intent": "pi_1", "amount": 1000, "currency": "eur"},
        **{"reason": "fraudulent", "status": "needs_response", "evidence_details": {"due_by": MILLISECONDS}},
    }
    with pytest.raises(MalformedResponse):
        webhooks.read(json.dumps({"type": "charge.dispute.created", "data": {"object": dispute}}))


@pytest.mark.parametrize(
    ("method", "capture_method", "is_shown"),
    [
        ("card", "automatic", True),
        ("card", "manual", False),
        ("card", "of_tomorrow", False),
        ("sepa_debit", "automatic", False),
        ("of_tomorrow", "automatic", False),
    ],
)
def test_a_charge_shows_when_money_was_taken_only_if_it_was_taken_at_once(
    method: str, capture_method: str, is_shown: bool
) -> None:
    charge = {"created": 7, "payment_method_details": {"type": method}}
    intent = INTENT | {"capture_method": capture_method, "created": 5}
    named, shown = (outcome_of_intent(PaymentIntent.parse(intent | {"latest_charge": each})) for each in ("ch", charge))
    assert isinstance(named, Approved)
    assert isinstance(shown, Approved)
    assert (named.at, shown.at) == (None, datetime.fromtimestamp(7, UTC) if is_shown else None)


def test_held_money_has_the_time_of_its_charge_and_released_money_that_of_the_cancel() -> None:
    held = INTENT | {"status": "requires_capture", "amount_capturable": 1000, "created": 5}
    ended = INTENT | {"status": "canceled", "canceled_at": 9}
    outcomes = [
        outcome_of_intent(PaymentIntent.parse(each)) for each in (held | {"latest_charge": {"created": 7}}, ended)
    ]
    assert [outcome.at for outcome in outcomes if isinstance(outcome, Approved)] == [
        datetime.fromtimestamp(7, UTC),
        datetime.fromtimestamp(9, UTC),
    ]


def test_a_charge_without_its_time_is_malformed() -> None:
    with pytest.raises(MalformedResponse):
        PaymentIntent.parse(INTENT | {"latest_charge": {"payment_method_details": {"type": "card"}}})
