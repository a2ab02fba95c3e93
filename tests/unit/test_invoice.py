"""What may be charged on an invoice, when its amount may change, and when a dunning retry has no debt to collect."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.commands import CancelRequested, GraceEnded, InvoicePaidOtherwise, RetryDue
from domain.dunning.case import CaseState
from domain.errors import AmountAboveOpen, CollectionInProgress, Conflict
from domain.invoice import (
    InvoicePosition,
    due_of_case,
    reason_to_stop_dunning,
    require_amount_change,
    require_chargeable,
    require_no_live_payment,
)

UNPAID = InvoicePosition(amount=1000, currency="EUR", collected=0, live_payment=None, is_dunned=False)
PARTLY_PAID = replace(UNPAID, collected=400)
PAID = replace(UNPAID, collected=1000)
OVERPAID = replace(UNPAID, collected=1200)
COLLECTING = replace(UNPAID, live_payment="pay_1")
DUNNED = replace(UNPAID, is_dunned=True)


def test_what_is_outstanding_is_never_below_zero() -> None:
    positions = (UNPAID, PARTLY_PAID, PAID, OVERPAID)
    assert [position.outstanding for position in positions] == [1000, 600, 0, 0]


@pytest.mark.parametrize(
    ("position", "minor"), [(UNPAID, 1), (UNPAID, 1000), (PARTLY_PAID, 600), (DUNNED, 1000)], ids=str
)
def test_all_that_is_outstanding_or_less_may_be_charged(position: InvoicePosition, minor: int) -> None:
    require_chargeable(position, minor)


@pytest.mark.parametrize(
    ("position", "minor", "message"),
    [
        (UNPAID, 1001, "10.00 EUR"),
        (PARTLY_PAID, 601, "6.00 EUR"),
        (PAID, 1, "nothing is outstanding"),
        (OVERPAID, 1, "nothing is outstanding"),
        (replace(UNPAID, amount=500, currency="JPY"), 501, "500 JPY"),
        (replace(UNPAID, amount=1230, currency="KWD"), 1231, "1.230 KWD"),
        (replace(UNPAID, amount=2**53 + 1), 2**53 + 2, "90071992547409.93 EUR"),
    ],
    ids=str,
)
def test_more_than_is_outstanding_is_refused(position: InvoicePosition, minor: int, message: str) -> None:
    with pytest.raises(AmountAboveOpen, match=message):
        require_chargeable(position, minor)


@pytest.mark.parametrize("minor", [1, 999, 1001])
def test_an_invoice_in_dunning_is_paid_whole(minor: int) -> None:
    with pytest.raises(AmountAboveOpen, match="past due"):
        require_chargeable(DUNNED, minor)


@pytest.mark.parametrize("minor", [1, 1000, 1001])
def test_an_invoice_has_one_live_payment(minor: int) -> None:
    with pytest.raises(CollectionInProgress, match="pay_1"):
        require_chargeable(COLLECTING, minor)
    with pytest.raises(CollectionInProgress, match="pay_1"):
        require_no_live_payment(COLLECTING)
    require_no_live_payment(DUNNED)


def test_the_amount_may_change_down_to_what_is_collected() -> None:
    require_amount_change(UNPAID, 1)
    require_amount_change(PARTLY_PAID, 400)
    with pytest.raises(AmountAboveOpen, match=r"4\.00 EUR"):
        require_amount_change(PARTLY_PAID, 399)


@pytest.mark.parametrize(("position", "error"), [(COLLECTING, CollectionInProgress), (DUNNED, Conflict)])
def test_the_amount_stays_while_a_payment_or_dunning_collects_it(
    position: InvoicePosition, error: type[Exception]
) -> None:
    require_amount_change(position, 1000)
    for minor in (999, 1001):
        with pytest.raises(error):
            require_amount_change(position, minor)


@pytest.mark.parametrize("position", [UNPAID, DUNNED, COLLECTING], ids=str)
def test_a_debt_that_is_still_owed_is_retried_until_grace_ends(position: InvoicePosition) -> None:
    assert reason_to_stop_dunning(position, 1000, is_subscription_canceled=False) is None
    assert due_of_case(CaseState.RETRYING, position, 1000, is_subscription_canceled=False) == RetryDue()
    assert due_of_case(CaseState.IN_GRACE, position, 1000, is_subscription_canceled=False) == GraceEnded()


@pytest.mark.parametrize("is_canceled", [True, False])
@pytest.mark.parametrize("case", [CaseState.RETRYING, CaseState.IN_GRACE])
@pytest.mark.parametrize("position", [PAID, OVERPAID, PARTLY_PAID], ids=str)
def test_dunning_stops_once_less_is_outstanding_than_the_payment_asks_for(
    position: InvoicePosition, case: CaseState, is_canceled: bool
) -> None:
    assert due_of_case(case, position, 1000, is_subscription_canceled=is_canceled) == InvoicePaidOtherwise()


@pytest.mark.parametrize("case", [CaseState.RETRYING, CaseState.IN_GRACE])
def test_dunning_of_a_canceled_subscription_ends(case: CaseState) -> None:
    assert due_of_case(case, UNPAID, 1000, is_subscription_canceled=True) == CancelRequested()


def test_a_payment_of_a_part_is_retried_while_that_part_is_outstanding() -> None:
    assert reason_to_stop_dunning(PARTLY_PAID, 600, is_subscription_canceled=False) is None
