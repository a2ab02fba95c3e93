"""How far the comparison comes: whatever its budget, each money is compared once at each step."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from domain.comparison import LONGEST_WINDOW, Position, next_window, position_reached

BEGIN = datetime(2026, 11, 28, 12, tzinfo=UTC)
# Few moments, so that many attempts share one; some lie at the ends of windows.
MOMENTS = st.integers(1, 12).map(lambda part: BEGIN + part * LONGEST_WINDOW / 4)
DUE = st.lists(MOMENTS, max_size=12)


@given(DUE, st.integers(1, 4))
def test_rounds_of_any_budget_compare_everything_once(moments: list[datetime], budget: int) -> None:
    due = sorted((at, f"at_{number}") for number, at in enumerate(moments))
    now, position, compared = BEGIN + timedelta(hours=4), Position(BEGIN), []
    rounds = 0
    while position != Position(now):
        rounds += 1
        assert rounds <= len(due) + 5, "it stands still"
        window = next_window(position, now)
        left = [each for each in due if window.after < each[0] <= window.until and position.leaves(*each)]
        compared += left[:budget]
        last = Position(*left[:budget][-1]) if left else None
        is_cut = len(left) > budget
        position = position_reached(position, window, last, is_cut=is_cut, is_over=not left)
    assert compared == due
