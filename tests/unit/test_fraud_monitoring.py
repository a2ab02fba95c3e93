"""A month reaches a network's program by the thresholds that were in force at its beginning."""

from __future__ import annotations

from datetime import date

import pytest

from domain.fraud.monitoring import Month, standings


def reached(month: Month) -> set[str]:
    return {each.program.name for each in standings(month) if each.is_reached}


@pytest.mark.parametrize(
    ("begins", "reports", "programs"),
    [
        (date(2025, 3, 1), 5_000, set()),
        (date(2026, 3, 1), 2_199, set()),
        (date(2026, 3, 1), 2_200, {"VAMP excessive"}),
        (date(2026, 4, 1), 1_499, set()),
        (date(2026, 4, 1), 1_500, {"VAMP excessive"}),
    ],
)
def test_the_threshold_is_that_of_the_month(begins: date, reports: int, programs: set[str]) -> None:
    assert reached(Month(begins, settled=100_000, fraud_reports=reports)) == programs


def test_both_limits_have_to_be_reached() -> None:
    april = date(2026, 4, 1)
    assert reached(Month(april, settled=1_000, fraud_reports=500)) == set()
    assert reached(Month(april, settled=1_000_000, fraud_reports=1_500)) == set()
    assert reached(Month(april, settled_before=10_000, disputes=150)) == {"ECM"}
    assert reached(Month(april, settled_before=10_000, disputes=99)) == set()
    assert reached(Month(april, settled_before=10_000, disputes=300)) == {"ECM", "HECM"}
    assert reached(Month(april, settled_before=0, disputes=300)) == set()
    assert reached(Month(april, settled_before=1_000, fraud_disputes=5)) == {"EFM"}
    assert reached(Month(april, settled_before=999, fraud_disputes=900)) == set()
    assert reached(Month(april, tries=300_000, declines=60_000)) == {"VAMP enumeration"}
    assert reached(Month(april, tries=299_999, declines=299_999)) == set()
