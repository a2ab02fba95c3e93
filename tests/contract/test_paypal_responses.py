"""PayPal's orders as outcomes: another amount, a missing payment and an unknown status are doubt."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from domain.money import Money
from domain.outcome import AmountMismatch, Approved, InDoubt
from domain.payment import Verb
from gateways.base import AttemptRequest
from gateways.paypal.outcomes import outcome_of_order, outcome_of_refund
from gateways.paypal.responses import Order, Refund

from .bench import new_attempt
from .benches.paypal import ProviderBench
from .test_gateway_operations import charged

CAPTURE = {"id": "C1", "status": "COMPLETED", "amount": {"value": "10.00", "currency_code": "EUR"}}
AUTHORIZATION = {
    "id": "A1",
    "status": "CREATED",
    "amount": CAPTURE["amount"],
    "expiration_time": "2026-12-20T00:00:00Z",
}


def order_with(**payments: Any) -> Order:
    """Return a completed order with these payments."""
    return Order.parse({"id": "O1", "status": "COMPLETED", "purchase_units": [{"payments": payments}]})


def attempt_of(verb: Verb, **changes: Any) -> AttemptRequest:
    """Return an attempt on that order."""
    return new_attempt(ProviderBench, verb, money=Money(1000, "EUR"), method_token=None, reference="O1", **changes)


@pytest.mark.parametrize(
    ("amount", "outcome"),
    [
        ({"value": "9.99", "currency_code": "EUR"}, lambda order: AmountMismatch(order, 999, "other_amount")),
        ({"value": "10.01", "currency_code": "EUR"}, lambda order: AmountMismatch(order, 1001, "other_amount")),
        ({"value": "10.00", "currency_code": "USD"}, lambda order: InDoubt("other_currency", order)),
    ],
)
def test_another_amount_than_requested_is_a_mismatch_and_another_currency_is_doubt(
    paypal: ProviderBench, amount: Any, outcome: Any
) -> None:
    paid = charged(paypal, paypal.gateway())
    body = paypal.read_order(paid.reference)
    body["purchase_units"][0]["payments"]["captures"][0]["amount"] = amount
    assert outcome_of_order(Order.parse(body), paid) == outcome(paid.reference)


@pytest.mark.parametrize("changes", [{"status": "COMPLETED"}, {"status": "OF_TOMORROW"}])
def test_an_order_that_shows_no_payment_is_doubt(paypal: ProviderBench, changes: Any) -> None:
    created, references = new_attempt(paypal), []
    paypal.gateway().charge(created, references.append)
    body = paypal.read_order(references[0]) | changes
    assert isinstance(outcome_of_order(Order.parse(body), created), InDoubt)


@pytest.mark.parametrize(
    "payments",
    [
        {"captures": [CAPTURE | {"status": "OF_TOMORROW"}]},
        {"captures": [CAPTURE, CAPTURE | {"id": "C2", "status": "OF_TOMORROW"}]},
        {"authorizations": [AUTHORIZATION | {"status": "OF_TOMORROW"}]},
    ],
)
@pytest.mark.parametrize("verb", [Verb.CHARGE, Verb.AUTHORIZE, Verb.CAPTURE, Verb.VOID])
def test_an_unknown_status_is_doubt(verb: Verb, payments: dict[str, Any]) -> None:
    assert isinstance(outcome_of_order(order_with(**payments), attempt_of(verb)), InDoubt)


@pytest.mark.parametrize("status", [None, "OF_TOMORROW"])
def test_an_unknown_status_of_a_refund_is_doubt(status: str | None) -> None:
    refund = Refund.parse({"id": "R1", "status": status, "amount": CAPTURE["amount"]})
    assert outcome_of_refund(refund, Money(1000, "EUR")) == InDoubt("unknown_status", "R1")


@pytest.mark.parametrize(
    ("times", "at"),
    [
        (["2026-11-28T12:00:00Z", "2026-11-29T12:00:00Z"], datetime(2026, 11, 29, 12, tzinfo=UTC)),
        (["2026-19-28T12:00:00Z", "2026-11-29T12:00:00Z"], None),
        ([None, "2026-11-29T12:00:00Z"], None),
    ],
)
def test_captured_money_has_the_time_of_the_last_capture_or_none_if_one_is_unreadable(
    times: list[str | None], at: datetime | None
) -> None:
    half = CAPTURE | {"status": "COMPLETED", "amount": {"value": "5.00", "currency_code": "EUR"}}
    outcome = outcome_of_order(
        order_with(captures=[half | {"create_time": each} for each in times]), attempt_of(Verb.CHARGE)
    )
    assert isinstance(outcome, Approved)
    assert (outcome.captured, outcome.at) == (1000, at)


def test_a_void_has_the_time_of_the_last_change() -> None:
    ended = AUTHORIZATION | {"status": "VOIDED", "update_time": "2026-11-29T12:00:00Z"}
    outcome = outcome_of_order(order_with(authorizations=[ended]), attempt_of(Verb.VOID))
    assert isinstance(outcome, Approved)
    assert (outcome.voided, outcome.at) == (True, datetime(2026, 11, 29, 12, tzinfo=UTC))
