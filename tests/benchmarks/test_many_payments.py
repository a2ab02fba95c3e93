"""The benchmark of the books: its rows are books, and its provider shows the same ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import books
from benchmarks.__main__ import provider
from benchmarks.provider import ROW


@pytest.mark.postgres
def test_the_books_of_the_benchmark_are_proved_and_equal_the_provider_s(
    fresh_postgres_url: str, tmp_path: Path
) -> None:
    with provider(tmp_path, 0) as provider_url:
        # `measure` raises AssertionError for any difference. Many rows, so that the last day has one of each place.
        lines = books.measure(fresh_postgres_url, provider_url, payments=92 * ROW)
    names = [line.split("`")[1] for line in lines if "`" in line]
    assert names == ["payments ledger verify", "payments.compare", "payments compare --since"]
