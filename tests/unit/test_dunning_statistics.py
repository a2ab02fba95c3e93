"""Properties of the pure part of recovery statistics: cohorts, rates with their denominators, and weights."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.decline import DeclineClass
from domain.dunning.cohort import HORIZON, Cohort, GroupBy, parse_request
from domain.dunning.statistics import (
    LOST,
    AtRisk,
    CaseCell,
    ClosedCell,
    Experience,
    OpenCell,
    Outcome,
    Ratio,
    Subset,
    at_risk,
    figures_of,
)
from domain.errors import InvalidRequest

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
CURRENCIES = st.sampled_from(["EUR", "JPY", "KWD"])
CLASSES = st.sampled_from([*DeclineClass, None])
CELLS = st.lists(
    st.builds(
        CaseCell,
        currency=CURRENCIES,
        decline_class=CLASSES,
        reason=st.sampled_from(["funds", "bank", None]),
        outcome=st.sampled_from([outcome for outcome in Outcome if outcome is not Outcome.WENT_ON]),
        source=st.sampled_from(["dunning", "operator", None]),
        cases=st.integers(1, 50),
        amount=st.integers(1, 10**12),
        seconds=st.integers(0, 28 * 86400),
        young=st.just(0),
    )
)
ENDED = st.lists(st.builds(ClosedCell, CLASSES, st.integers(0, 28), st.booleans(), st.integers(1, 60)))
AGES = st.integers(0, 40)


# --- which cases ---


@pytest.mark.parametrize(
    "given_",
    [
        {"cohort": "2026-13"},
        {"cohort": "11/2026"},
        {"cohort": "2026-1"},
        {"cohort": "2026-11", "from": "2026-11-01"},
        {"from": "2026-11-01T12:00:00"},
        {"from": "yesterday"},
        {"to": "2026-02-30"},
        {"from": "2026-11-02", "to": "2026-11-02"},
        {"from": "2027-01-01"},
        {"from": "1970-01-01"},
        {"group_by": "weather"},
        {"month": "2026-11"},
    ],
    ids=str,
)
def test_a_range_that_is_none_is_refused(given_: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest):
        parse_request(given_, NOON)


def test_a_range_is_what_was_asked() -> None:
    asked = parse_request({"from": "2026-10-05", "to": "2026-11-01T02:00:00+02:00", "group_by": "class"}, NOON)
    assert asked.cohort == Cohort(datetime(2026, 10, 5, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))
    assert asked.group_by is GroupBy.DECLINE_CLASS
    assert parse_request({"cohort": "2025-12"}, NOON).cohort.end == datetime(2026, 1, 1, tzinfo=UTC)
    assert parse_request({}, NOON).cohort == Cohort(datetime(2026, 6, 1, tzinfo=UTC), NOON)


@given(st.datetimes(datetime(2000, 1, 1), datetime(2060, 1, 1)), st.timedeltas(timedelta(seconds=1), 400 * HORIZON))
def test_the_months_of_a_range_follow_one_another_and_cover_it(begin: datetime, length: timedelta) -> None:
    cohort = Cohort(begin.replace(tzinfo=UTC), begin.replace(tzinfo=UTC) + length)
    names, ends = [name for name, _ in cohort.months], [end for _, end in cohort.months]
    assert names == sorted(set(names))
    assert (names[0], ends[-1] >= cohort.end) == (f"{begin:%Y-%m}", True)
    assert [f"{end:%Y-%m}" for end in ends[:-1]] == names[1:]


# --- figures ---


@given(CELLS)
def test_every_case_is_recovered_open_or_lost_and_no_currencies_are_added(cells: list[CaseCell]) -> None:
    figures = figures_of(cells)
    assert figures.cases == sum(cell.cases for cell in cells) == figures.outcomes.total()
    kept = (Outcome.RECOVERED, Outcome.RECOVERED_LATER, Outcome.OPEN)
    assert figures.lost + sum(figures.outcomes[outcome] for outcome in kept) == figures.cases
    assert figures.sources.total() == figures.recovered == figures.recovery[Subset.ALL].count.numerator
    for currency, ratio in figures.recovery[Subset.ALL].amounts.items():
        own = [cell for cell in cells if cell.currency == currency]
        back = [cell.amount for cell in own if cell.outcome is Outcome.RECOVERED]
        assert ratio == Ratio(sum(back), sum(cell.amount for cell in own))


@given(CELLS)
def test_a_narrower_denominator_has_no_more_of_either(cells: list[CaseCell]) -> None:
    recovery = figures_of(cells).recovery
    for subset in (Subset.SOFT, Subset.INSUFFICIENT_FUNDS):
        whole, part = recovery[Subset.ALL].count, recovery[subset].count
        assert part.numerator <= whole.numerator
        assert part.numerator <= part.denominator <= whole.denominator
        assert part.rate is None or 0 <= part.rate <= 1


@given(CELLS.flatmap(lambda cells: st.tuples(st.just(cells), st.permutations(cells))))
def test_the_order_of_cells_does_not_matter(orders: tuple[list[CaseCell], list[CaseCell]]) -> None:
    assert figures_of(orders[0]) == figures_of(orders[1])


def test_every_reason_of_a_loss_is_shown() -> None:
    assert set(LOST) == set(Outcome) - {Outcome.RECOVERED, Outcome.RECOVERED_LATER, Outcome.OPEN, Outcome.WENT_ON}


# --- weights ---


@given(ENDED, CLASSES, AGES)
def test_a_chance_is_a_share_of_the_cases_that_lived_so_long(
    ended: list[ClosedCell], decline_class: str | None, age: int
) -> None:
    chance = Experience(tuple(ended)).chance(decline_class, age)
    alive = [cell for cell in ended if cell.day >= age]
    assert (chance is None) == (not ended or (age < 28 and not alive))
    if chance is not None:
        assert 0 <= chance.numerator <= chance.denominator <= sum(cell.cases for cell in ended)
        assert age < 28 or chance.numerator == 0, "nothing that comes later is measured"


@given(st.lists(st.builds(OpenCell, CURRENCIES, CLASSES, AGES, st.integers(1, 9), st.integers(1, 10**12))), ENDED)
def test_what_is_expected_is_no_more_than_what_is_at_risk(cells: list[OpenCell], ended: list[ClosedCell]) -> None:
    experience = Experience(tuple(ended))
    found = at_risk(cells, experience)
    assert set(found) == {cell.currency for cell in cells}
    for currency, risk in found.items():
        own = [cell for cell in cells if cell.currency == currency]
        chances = [experience.chance(cell.decline_class, cell.age_days) for cell in own]
        assert (risk.cases, risk.raw) == (sum(cell.cases for cell in own), sum(cell.amount for cell in own))
        if None in chances:
            assert risk.weighted is None
        else:
            rates = [chance.rate for chance in chances if chance is not None]
            exact = sum((cell.amount * rate for cell, rate in zip(own, rates, strict=True) if rate), Fraction())
            assert risk == AtRisk(risk.cases, risk.raw, round(exact))
            assert 0 <= round(exact) <= risk.raw
