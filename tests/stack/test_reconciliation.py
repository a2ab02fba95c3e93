"""Our totals beside those of the provider's ledger."""

from __future__ import annotations

from typing import Any

from stack.reconciliation import our_totals, provider_totals, unknown_objects

PAYMENT = {
    "id": "pay_1",
    "currency": "EUR",
    "movements": [
        {"kind": "authorization", "amount": "24.90"},
        {"kind": "capture", "amount": "20.00"},
        {"kind": "duplicate", "amount": "4.90"},
        {"kind": "refund", "amount": "-6.00"},
        {"kind": "refund_failure", "amount": "1.00"},
        {"kind": "dispute", "amount": "-20.00"},
    ],
}


def row(payment_id: str | None, captured: int, refunded: int = 0) -> dict[str, Any]:
    """Return a row of the ledger."""
    metadata = {"payment_id": payment_id} if payment_id else {}
    return {"object": f"pi_{payment_id}", "metadata": metadata, "captured": captured, "refunded": refunded}


def test_a_payment_with_several_provider_objects_has_their_sum() -> None:
    rows = [row("pay_1", 2000), row("pay_2", 700), row("pay_1", 490, 500)]
    assert provider_totals(rows, PAYMENT) == our_totals(PAYMENT)


def test_one_cent_is_a_difference() -> None:
    assert provider_totals([row("pay_1", 2489, 500)], PAYMENT) != our_totals(PAYMENT)


def test_totals_are_shown_as_decimals_with_their_currency() -> None:
    assert str(our_totals(PAYMENT)) == "captured 24.90 EUR, refunded 5.00 EUR"


def test_an_object_with_money_and_without_its_payment_is_unknown() -> None:
    rows = [row("pay_1", 100), row("pay_2", 100), row(None, 100), row("pay_3", 0)]
    assert unknown_objects(rows, {"pay_1"}) == ["pi_pay_2", "pi_None"]
