"""Operations at the providers behind our back: which there are, how many, and what must be on our side afterwards."""

from __future__ import annotations

import random
from typing import Any

import pytest

from stack.client import UnexpectedResult
from stack.outside_checks import (
    attention_problems,
    dispute_problem,
    disputes_by_payment,
    expected_entries,
    invoice_problem,
    is_overpaid,
    unmatched_problems,
)
from stack.outside_operations import OutsideOperations, OutsideRefund, possible_acts
from stack.random_customers import Simulation

CAPTURED = {"status": "captured", "provider": "stripe", "payment_method": "credit_card", "captured_amount": "24.90"}


def payment(**changes: Any) -> dict[str, Any]:
    """Return a payment of 24.90 EUR."""
    attempts = [{"provider_reference": "pi_1"}]
    return (
        CAPTURED
        | {"id": "pay_1", "amount": "24.90", "currency": "EUR", "movements": [], "attempts": attempts}
        | changes
    )


def dispute(status: str, *moved: int) -> dict[str, Any]:
    """Return a dispute over 24.90 with these movements of money."""
    moves = [{"net": net} for net in moved]
    return {"payment_intent": "pi_1", "status": status, "amount": 2490, "balance_transactions": moves}


class Dashboard:
    """A provider that notes what is done in its dashboard, or refuses it."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.done: list[str] = []
        self._refuses = refuses

    def act_in_dashboard(self, payment: Any, action: str, minor: int | None = None) -> str:
        if self._refuses:
            raise UnexpectedResult("POST … returned 409: already voided")
        self.done.append(action)
        return f"re_{len(self.done)}"


def simulation(provider: Dashboard, operations: int) -> Simulation:
    """Return a simulation that has done so many operations; whatever its merchant asks for is refused."""
    simulated = Simulation(_Refusing(), _Refusing(), provider)  # type: ignore[arg-type]
    simulated.operations["payment"] = operations
    return simulated


class _Refusing:
    def __getattr__(self, name: str) -> Any:
        def refuse(*given: Any) -> None:
            raise UnexpectedResult("POST … returned 409")

        return refuse


def test_the_share_of_the_operations_happens_at_the_provider() -> None:
    outside, provider = OutsideOperations(0.2), Dashboard()
    simulated = simulation(provider, 40)
    held = payment(status="authorized", provider="klarna")
    hit = [outside.interfere(simulated, random.Random(number), held) for number in range(40)]
    assert (sum(hit), outside.number, len(provider.done)) == (4, 10, 10)
    assert outside.number == 0.2 * simulated.operations.total()


def test_an_operation_that_the_provider_refuses_does_not_count() -> None:
    outside = OutsideOperations(1.0)
    held = payment(status="authorized", provider="afterpay")
    assert not outside.interfere(simulation(Dashboard(refuses=True), 4), random.Random(1), held)
    assert (outside.number, outside.refunds) == (0, [])


@pytest.mark.parametrize(
    ("changes", "possible"),
    [
        ({}, "dispute, lost"),
        ({"payment_method": "sepa_debit"}, "returned debit"),
        ({"provider": "paypal", "payment_method": "paypal"}, "pending refund"),
        ({"provider": "paypal", "payment_method": "paypal"}, "dispute, lost"),
        ({"provider": "afterpay", "payment_method": "afterpay"}, "dispute, won"),
        ({"status": "authorized"}, "void"),
        ({"status": "authorized", "provider": "klarna"}, "captures of both parts"),
        ({"status": "amount_mismatch", "provider": "coinbase_commerce"}, "resolve"),
    ],
)
def test_each_provider_has_its_operations(changes: dict[str, Any], possible: str) -> None:
    assert possible in possible_acts(payment(**changes))


@pytest.mark.parametrize(
    "changes", [{"status": "declined"}, {"provider": "manual"}, {"provider": "coinbase_commerce"}], ids=str
)
def test_nothing_happens_where_nothing_can(changes: dict[str, Any]) -> None:
    assert possible_acts(payment(**changes)) == {}


def test_only_cards_are_disputed_and_only_debits_are_returned() -> None:
    assert "dispute" not in possible_acts(payment(payment_method="sepa_debit"))
    assert "returned debit" not in possible_acts(payment())


def test_money_that_disputes_took_is_compared() -> None:
    taken = payment(movements=[{"kind": "dispute", "amount": "-24.90"}])
    back = payment(movements=[*taken["movements"], {"kind": "dispute_return", "amount": "24.90"}])
    assert dispute_problem(taken, [dispute("needs_response", -2490)]) is None
    assert dispute_problem(back, [dispute("won", -2490, 2490)]) is None
    assert "the provider shows 24.90" in str(dispute_problem(payment(), [dispute("lost", -2490)]))


def test_disputes_are_found_by_the_reference_of_an_attempt() -> None:
    opened = dispute("needs_response", -2490)
    assert disputes_by_payment([opened], [payment()]) == {"pay_1": [opened]}


def test_an_invoice_has_what_the_provider_kept() -> None:
    assert invoice_problem(payment(), {"collected_amount": "24.90"}, 2490, []) is None
    assert invoice_problem(payment(), {"collected_amount": "0.00"}, 2490, [dispute("lost", -2490)]) is None
    assert invoice_problem(payment(), {"collected_amount": "24.90"}, 0, []) is not None


def entry(reason: str, closed_at: str | None = None) -> dict[str, Any]:
    """Return an entry of the attention list."""
    return {"payment_id": "pay_1", "reason": reason, "closed_at": closed_at, "data": {}}


def test_what_needs_a_person_must_be_on_the_attention_list() -> None:
    refunds = [OutsideRefund("pay_1", "re_1", has_failed=False), OutsideRefund("pay_2", "re_2", has_failed=True)]
    must, may = expected_entries(refunds, {"pay_1": [dispute("needs_response")], "pay_3": [dispute("won")]}, ["pay_4"])
    assert must == {"pay_1": {"refund_elsewhere", "dispute"}, "pay_4": {"amount_mismatch"}}
    assert may == {"pay_2": {"refund_elsewhere"}}


def test_a_part_that_is_lost_must_be_listed_and_what_is_overpaid_may_be() -> None:
    shown = {"pay_1": [dispute("lost")], "pay_2": [dispute("lost")]}
    must, may = expected_entries([], shown, [], kept={"pay_1"}, overpaid=["pay_3"])
    assert (must, may) == ({"pay_1": {"partly_lost"}}, {"pay_3": {"overpaid"}})
    invoice = {"currency": "EUR", "amount": "12.30"}
    assert [is_overpaid(invoice | {"collected_amount": text}) for text in ("12.30", "12.31")] == [False, True]


def test_an_entry_that_is_missing_or_too_many_is_a_problem() -> None:
    must, may = {"pay_1": {"dispute"}}, {"pay_1": {"refund_elsewhere"}}
    assert attention_problems([entry("dispute"), entry("refund_elsewhere")], must, may) == []
    assert attention_problems([entry("dispute", "2026-11-28")], must, may) == [
        "pay_1 is missing on the attention list: dispute"
    ]
    found = attention_problems([entry("dispute"), entry("dispute"), entry("doubt")], must, may)
    assert found == [
        "pay_1 stands 2 times on the attention list as dispute",
        "pay_1 stands on the attention list without need: doubt",
    ]


def test_money_that_fits_no_payment_must_be_on_the_attention_list() -> None:
    listed = entry("unmatched_receipt") | {"payment_id": None, "amount_at_stake": "0.70"}
    assert unmatched_problems([listed, listed | {"closed_at": "2026-11-28"}], ["0.70"]) == []
    assert len(unmatched_problems([], ["0.70"])) == len(unmatched_problems([listed], [])) == 1
    assert attention_problems([listed], {}, {}) == []
