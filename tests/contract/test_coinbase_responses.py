"""Coinbase Business: what the gateway concludes from checkouts and refunds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.outcome import AmountMismatch, Approved, InDoubt, NotSent, Outcome
from domain.payment import Verb
from gateways.base import AttemptRequest

from .bench import new_attempt
from .benches.coinbase import CHECKOUT, CHECKOUT_ID, REFUND, ProviderBench
from .served import replying
from .specifications import all_of
from .test_gateway_operations import operation

# From docs.cdp.coinbase.com (checkout APIs), read 2026-11-23.
STATUSES = {
    "ACTIVE", "PROCESSING", "DEACTIVATED", "EXPIRED", "COMPLETED", "FAILED", "REFUNDED", "PARTIALLY_REFUNDED",
}  # fmt: skip
SPECIFICATIONS = all_of("coinbase", "business-checkouts.hand-written.json")


def known_attempt(coinbase: ProviderBench) -> AttemptRequest:
    """Return the attempt of the checkout."""
    return replace(new_attempt(coinbase), reference=CHECKOUT_ID)


def refund_attempt(coinbase: ProviderBench, minor: int = 1000) -> AttemptRequest:
    """Return an attempt to refund the checkout."""
    return operation(known_attempt(coinbase), Verb.REFUND, minor)


def look_up(coinbase: ProviderBench, checkout: Mapping[str, Any], attempt: AttemptRequest | None = None) -> Outcome:
    """Return what the gateway concludes from a checkout."""
    with replying((200, dict(checkout))) as server:
        return coinbase.gateway(base=server.url).retrieve(attempt or known_attempt(coinbase))


# --- charges ---


def test_the_statuses_are_those_of_the_specification() -> None:
    """Where the hand-written file is at hand; everything else here holds without it."""
    for specification in SPECIFICATIONS:
        assert set(specification["checkout"]["status"]) == STATUSES


def test_every_documented_status_is_decided(coinbase: ProviderBench) -> None:
    for status in STATUSES:
        assert not isinstance(look_up(coinbase, CHECKOUT | {"status": status}), InDoubt), status


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"fiatAmount": "10.001"}, "malformed_response"),
        ({"fiatAmount": "1e1"}, "malformed_response"),
        ({"fiatAmount": None}, "malformed_response"),
        ({"fiatAmount": 10.0}, "malformed_response"),
        ({"fiatCurrency": "USD"}, "amount_differs"),
        ({"fiatCurrency": None}, "amount_differs"),
        ({"status": "TOMORROW"}, "unknown_status"),
        ({"status": None}, "unknown_status"),
    ],
    ids=str,
)
def test_another_currency_or_an_unknown_status_is_doubt(
    coinbase: ProviderBench, changes: dict[str, Any], reason: str
) -> None:
    assert look_up(coinbase, CHECKOUT | changes) == InDoubt(reason, CHECKOUT_ID)


def test_another_amount_is_a_mismatch(coinbase: ProviderBench) -> None:
    assert look_up(coinbase, CHECKOUT | {"fiatAmount": "9.99"}) == AmountMismatch(CHECKOUT_ID, 999, "other_amount")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": None}, "Checkout.id"),
        ({"status": 7}, "Checkout.status"),
        ({"currency": None}, "Checkout.currency"),
        ({"fiatAmount": "1e1"}, "Checkout.fiatAmount"),
        ({"fiatAmount": None}, "Checkout.fiatAmount"),
        ({"status": "ACTIVE", "url": None}, "Checkout.url"),
    ],
    ids=str,
)
def test_a_malformed_checkout_is_logged_with_its_field_and_without_its_value(
    coinbase: ProviderBench, caplog: pytest.LogCaptureFixture, changes: dict[str, Any], field: str
) -> None:
    assert look_up(coinbase, CHECKOUT | changes) == InDoubt("malformed_response", CHECKOUT_ID)
    assert caplog.messages == [f"malformed provider response: {field}"]


def test_a_charge_does_not_depend_on_refunds_or_on_what_is_not_read(coinbase: ProviderBench) -> None:
    checkout = CHECKOUT | {"url": None, "refunds": [7], "updatedAt": None, "metadata": []}
    assert look_up(coinbase, checkout) == Approved(CHECKOUT_ID, authorized=1000, captured=1000)


@pytest.mark.parametrize("status", ["COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED"])
def test_a_refund_does_not_reduce_the_charged_amount(coinbase: ProviderBench, status: str) -> None:
    outcome = look_up(coinbase, CHECKOUT | {"status": status})
    assert outcome == Approved(CHECKOUT_ID, authorized=1000, captured=1000)


@pytest.mark.parametrize(
    ("id", "reason"), [("another", "another_object"), (None, "malformed_response"), (7, "malformed_response")]
)
def test_another_checkout_is_never_believed(coinbase: ProviderBench, id: Any, reason: str) -> None:
    attempt, refund = known_attempt(coinbase), refund_attempt(coinbase)
    with replying((200, CHECKOUT | {"id": id})) as server:
        gateway = coinbase.gateway(base=server.url)
        doubt = InDoubt(reason, CHECKOUT_ID)
        assert gateway.retrieve(attempt) == gateway.void(operation(attempt, Verb.VOID)) == doubt
        assert gateway.refund(refund) == gateway.retrieve(refund) == InDoubt(reason)


def test_a_new_checkout_is_stored_even_where_the_rest_of_it_is_malformed(coinbase: ProviderBench) -> None:
    references: list[str] = []
    with replying((201, CHECKOUT | {"currency": None})) as server:
        outcome = coinbase.gateway(base=server.url).charge(new_attempt(coinbase), references.append)
    assert outcome == InDoubt("malformed_response", CHECKOUT_ID)
    assert references == [CHECKOUT_ID]


# --- refunds ---


@pytest.mark.parametrize("wrapped", [True, False])
def test_the_response_to_a_refund_wraps_the_checkout_or_is_the_checkout(coinbase: ProviderBench, wrapped: bool) -> None:
    attempt = refund_attempt(coinbase, 250)
    checkout = CHECKOUT | {"refunds": [REFUND | {"reason": attempt.attempt_id}]}
    with replying((200, {"checkout": checkout} if wrapped else checkout)) as server:
        assert coinbase.gateway(base=server.url).refund(attempt) == Approved("r1", refunded=250)


def test_a_refund_without_an_id_is_doubt(coinbase: ProviderBench) -> None:
    attempt = refund_attempt(coinbase)
    refund = {"id": None, "reason": "another", "status": "COMPLETED", "fiatAmount": "10.00", "fiatCurrency": "EUR"}
    with replying((200, CHECKOUT | {"refunds": [refund]})) as server:
        gateway = coinbase.gateway(base=server.url)
        assert gateway.refund(attempt) == gateway.retrieve(attempt) == InDoubt("malformed_response")


def test_a_response_to_a_refund_without_that_refund_is_doubt(coinbase: ProviderBench) -> None:
    with replying((200, {"checkout": CHECKOUT | {"refunds": [dict(REFUND)]}})) as server:
        assert coinbase.gateway(base=server.url).refund(refund_attempt(coinbase)) == InDoubt("malformed_response")


def test_a_refund_with_a_reference_cannot_vanish(coinbase: ProviderBench) -> None:
    attempt = refund_attempt(coinbase)
    without_refunds = CHECKOUT | {"refunds": []}
    assert look_up(coinbase, without_refunds, attempt) == NotSent("not_created")
    vanished = look_up(coinbase, without_refunds, replace(attempt, reference="r1"))
    assert vanished == InDoubt("refund_not_found", "r1")


def test_a_refund_of_another_amount_is_doubt(coinbase: ProviderBench) -> None:
    attempt = refund_attempt(coinbase, 250)
    refund = {
        "id": "r1",
        "status": "COMPLETED",
        "reason": attempt.attempt_id,
        "fiatAmount": "2.51",
        "fiatCurrency": "EUR",
    }
    with replying((200, {"checkout": CHECKOUT | {"refunds": [refund]}})) as server:
        assert coinbase.gateway(base=server.url).refund(attempt) == InDoubt("amount_differs", "r1")


def test_a_refund_with_an_unknown_status_is_doubt(coinbase: ProviderBench) -> None:
    attempt = refund_attempt(coinbase, 250)
    refund = REFUND | {"reason": attempt.attempt_id, "status": "TOMORROW"}
    assert look_up(coinbase, CHECKOUT | {"refunds": [refund]}, attempt) == InDoubt("unknown_status", "r1")


@pytest.mark.parametrize(("status", "is_shown"), [("COMPLETED", True), ("PARTIALLY_REFUNDED", False)])
def test_the_last_change_of_a_checkout_is_its_payment_until_a_refund_follows(
    coinbase: ProviderBench, status: str, is_shown: bool
) -> None:
    outcome = look_up(coinbase, CHECKOUT | {"status": status})
    assert isinstance(outcome, Approved)
    assert outcome.at == (datetime(2026, 11, 23, 12, 1, tzinfo=UTC) if is_shown else None)
