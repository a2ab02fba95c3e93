"""The benchmark of dunning: its sweeps publish each due case once, to the last batch."""

from __future__ import annotations

import pytest

from benchmarks import dunning
from benchmarks.stored_cases import Size
from models.due_rows import BATCH


@pytest.mark.postgres
@pytest.mark.redis
def test_each_due_case_of_the_benchmark_is_published_once(fresh_postgres_url: str, redis_url: str) -> None:
    # `measure` raises AssertionError for a case that is lost, doubled or due too early.
    lines = dunning.measure(fresh_postgres_url, redis_url, Size(subscriptions=3_000, due=2 * BATCH + 100, changed=500))
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
    assert [len(row) for row in cells] == [6, 6, 6, 6, 4, 4, 4, 4, 4]
    rest, held = cells[2:4]
    assert (rest[4], held[4]) == ("1", "1"), "statements of a tick with nothing due"
    # Three batches, and the question which tables have something due.
    assert [row[3] for row in cells[6:]] == ["4", "4", "4"]
