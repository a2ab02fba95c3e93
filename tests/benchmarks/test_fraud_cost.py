"""The benchmark of fraud scoring: stored tries are found, screening costs few statements, scores can be repeated."""

from __future__ import annotations

import pytest

from benchmarks import fraud


@pytest.mark.postgres
def test_payments_are_screened_with_few_and_with_many_tries(postgres_url: str, fresh_postgres_url: str) -> None:
    # `measure` raises AssertionError for a history that is not read, and for a score that cannot be repeated.
    lines = fraud.measure((postgres_url, fresh_postgres_url), (100, 1_000), 20)
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
    assert [row[:2] for row in cells[2:]] == [
        [tries, kind]
        for tries in ("100", "1,000")
        for kind in ("known users", "new users", "guests at hot entities", "all")
    ]
    # Two read the payment, one is the time limit, and four are lists, the brake and the limits of tries.
    assert any(line.startswith("12 statements: ") for line in lines)
