"""Coinbase Commerce: what the gateway concludes from charges and their payments."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.decline import Decline, DeclineClass
from domain.money import Money
from domain.outcome import ActionRequired, AmountMismatch, Approved, Declined, InDoubt, Outcome, Pending
from domain.payment import Verb
from domain.payment_methods import PaymentMethod

from .bench import new_attempt
from .benches.coinbase_commerce import CHARGE_ID, ProviderBench, charge_in, payment
from .served import replying
from .test_gateway_operations import operation


def look_up(commerce: ProviderBench, charge: Any, **changes: Any) -> Outcome:
    """Return what the gateway concludes from a charge."""
    with replying((200, {"data": charge})) as server:
        attempt = replace(new_attempt(commerce), reference=CHARGE_ID, **changes)
        return commerce.gateway(base=server.url).retrieve(attempt)


# --- status ---


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("PENDING", Pending(CHARGE_ID)),
        ("COMPLETED", Approved(CHARGE_ID, authorized=1000, captured=1000)),
        ("RESOLVED", Approved(CHARGE_ID, authorized=1000, captured=1000)),
        ("EXPIRED", Approved(CHARGE_ID, voided=True)),
        ("CANCELED", Approved(CHARGE_ID, voided=True)),
        ("FAILED", Declined(CHARGE_ID, Decline("payment_failed", DeclineClass.HARD))),
        ("UNRESOLVED", AmountMismatch(CHARGE_ID, 1000, "other")),
        ("TOMORROW", InDoubt("unknown_status", CHARGE_ID)),
    ],
)
def test_the_last_entry_of_the_timeline_counts(commerce: ProviderBench, status: str, outcome: Outcome) -> None:
    assert look_up(commerce, charge_in(status)) == outcome


@pytest.mark.parametrize(
    "charge", [charge_in("NEW"), charge_in("NEW", addresses=None), charge_in("SIGNED", addresses={})]
)
def test_a_named_coin_without_an_address_is_paid_on_the_page(commerce: ProviderBench, charge: Any) -> None:
    outcome = look_up(commerce, charge, method=PaymentMethod.BITCOIN)
    assert outcome == ActionRequired(CHARGE_ID, {"type": "redirect", "redirect_url": charge["hosted_url"]})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"pricing": {"local": {"amount": "10.00", "currency": "EUR"}}}, "amount_differs"),
        ({"pricing": {}}, "malformed_response"),
        ({"timeline": []}, "malformed_response"),
        ({"timeline": None}, "malformed_response"),
    ],
    ids=str,
)
def test_a_price_in_another_currency_is_doubt(commerce: ProviderBench, changes: dict[str, Any], reason: str) -> None:
    assert look_up(commerce, charge_in("COMPLETED", **changes)) == InDoubt(reason, CHARGE_ID)


def test_another_price_is_a_mismatch(commerce: ProviderBench) -> None:
    other = charge_in("COMPLETED", pricing={"local": {"amount": "9.99", "currency": "USD"}})
    assert look_up(commerce, other) == AmountMismatch(CHARGE_ID, 999, "other_amount")


@pytest.mark.parametrize(
    ("charge", "field"),
    [
        (None, "Charge"),
        (charge_in("COMPLETED", id=None), "Charge.id"),
        (charge_in("COMPLETED", timeline=[{"status": 7}]), "Charge.timeline.0.status"),
        (charge_in("COMPLETED", pricing=None), "Charge.pricing.local"),
        (charge_in("COMPLETED", pricing={"local": {"amount": 10, "currency": "USD"}}), "Charge.pricing.local.amount"),
        (charge_in("NEW", hosted_url=None), "Charge.hosted_url"),
        (charge_in("UNRESOLVED", payments=None), "Charge.payments"),
        (charge_in("UNRESOLVED", payments=[{"status": "CONFIRMED"}]), "Payment.value.local"),
        (charge_in("RESOLVED", payments=[payment("1e3")]), "Payment.value.local.amount"),
    ],
)
def test_a_malformed_charge_is_logged_with_its_field_and_without_its_value(
    commerce: ProviderBench, caplog: pytest.LogCaptureFixture, charge: Any, field: str
) -> None:
    assert look_up(commerce, charge) == InDoubt("malformed_response", CHARGE_ID)
    assert caplog.messages == [f"malformed provider response: {field}"]


@pytest.mark.parametrize(("id", "reason"), [("another", "another_object"), (None, "malformed_response")])
def test_another_charge_is_never_believed(commerce: ProviderBench, id: Any, reason: str) -> None:
    attempt = replace(new_attempt(commerce), reference=CHARGE_ID)
    with replying((200, {"data": charge_in("COMPLETED", id=id)})) as server:
        gateway = commerce.gateway(base=server.url)
        doubt = InDoubt(reason, CHARGE_ID)
        assert gateway.retrieve(attempt) == gateway.void(operation(attempt, Verb.VOID)) == doubt


def test_a_completed_charge_does_not_depend_on_what_is_not_read(commerce: ProviderBench) -> None:
    charge = charge_in("COMPLETED", payments=[7], addresses={"bitcoin": 7}, hosted_url=None, metadata=[])
    assert look_up(commerce, charge) == Approved(CHARGE_ID, authorized=1000, captured=1000)


# --- received money ---


@pytest.mark.parametrize(
    ("payments", "received"),
    [
        ([], 0),
        ([payment("6.00"), payment("1.5")], 750),
        ([payment("6.00"), payment("4.00", "PENDING"), payment("4.00", "FAILED")], 600),
        ([payment("6.00", "confirmed"), payment("4.00", "pending")], 600),
        ([payment("9.999999")], 999),
    ],
)
def test_confirmed_payments_are_added_and_rounded_down(commerce: ProviderBench, payments: Any, received: int) -> None:
    assert look_up(commerce, unresolved(payments)) == AmountMismatch(CHARGE_ID, received, "multiple")


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [("500", "JPY", 500), ("12.345", "KWD", 12_345), ("90071992547409.91", "USD", 9_007_199_254_740_991)],
)
def test_received_money_has_the_decimals_of_its_currency(
    commerce: ProviderBench, amount: str, currency: str, minor: int
) -> None:
    charge = unresolved([payment(amount, currency=currency)])
    outcome = look_up(commerce, charge, money=Money(minor, currency))
    assert outcome == AmountMismatch(CHARGE_ID, minor, "multiple")


@pytest.mark.parametrize(
    ("payments", "reason"),
    [
        ([payment("6.00", currency="EUR")], "amount_differs"),
        ([payment("6.00", "TOMORROW")], "unknown_status"),
        ([payment("1e3")], "malformed_response"),
        ([payment("-1")], "malformed_response"),
        ([payment("NaN")], "malformed_response"),
    ],
)
def test_a_payment_in_doubt_leaves_the_charge_in_doubt(commerce: ProviderBench, payments: Any, reason: str) -> None:
    for charge in (unresolved(payments), charge_in("RESOLVED", payments=payments)):
        assert look_up(commerce, charge) == InDoubt(reason, CHARGE_ID)


def unresolved(payments: Any) -> dict[str, Any]:
    """Return a charge with several payments, of which Commerce accepts none by itself."""
    timeline = [{"status": "UNRESOLVED", "time": "2026-11-23T12:01:00Z", "context": "MULTIPLE"}]
    return charge_in("UNRESOLVED", payments=payments, timeline=timeline)


@pytest.mark.parametrize("context", [None, "TOMORROW"])
def test_a_charge_is_left_to_a_person_whatever_the_reason(
    commerce: ProviderBench, context: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    charge = unresolved([payment("6.00")])
    charge["timeline"][-1]["context"] = context
    assert look_up(commerce, charge) == AmountMismatch(CHARGE_ID, 600, "other")
    assert [message for message in caplog.messages if "TimelineEntry.context" in message]


def test_a_resolved_charge_without_a_payment_is_doubt(commerce: ProviderBench) -> None:
    assert look_up(commerce, charge_in("RESOLVED", payments=[])) == InDoubt("amount_differs", CHARGE_ID)


def test_money_that_does_not_match_has_the_time_of_its_entry(commerce: ProviderBench) -> None:
    underpaid = charge_in("UNRESOLVED", payments=[payment("6.00")])
    underpaid["timeline"][-1]["context"] = "UNDERPAID"
    attempt = replace(new_attempt(commerce), reference=CHARGE_ID)
    with replying((200, {"data": underpaid})) as server:
        outcome = commerce.gateway(base=server.url).retrieve(attempt)
    assert isinstance(outcome, AmountMismatch)
    assert (outcome.received, outcome.at) == (600, datetime(2026, 11, 23, 12, 1, tzinfo=UTC))
