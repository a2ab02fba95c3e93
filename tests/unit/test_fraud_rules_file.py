"""A rule set as a file: what is written is read the same, and every mistake has its sentence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.fraud.default_rules import DEFAULT_RULES
from domain.fraud.rule_set import MOST_POINTS, Bands, BandsFor, Curve, RuleSet
from domain.fraud.rules import RULES
from stack.process import ROOT
from worker.fraud_rules_file import parse_rule_set, read_rule_set, to_toml

PAGE = (ROOT / "docs" / "fraud-and-dunning.md").read_text(encoding="utf-8")
GOOD = """
version = "2026-11-29"

[bands]
verify = 25

[[exceptions]]
methods = ["sepa_debit"]
currencies = ["EUR", "CHF"]
bands = { verify = 20, review = 40, block = 60 }

[rules.amount]
at = [100, 500]
points = [5, 20]

[rules.user_successes_month]
at = [3]
points = [-5]
"""


@st.composite
def curves(draw: st.DrawFn) -> Curve:
    bounds = sorted(draw(st.sets(st.integers(-5, 10**9), min_size=1, max_size=8)))
    points = st.lists(st.integers(-MOST_POINTS, MOST_POINTS), min_size=len(bounds), max_size=len(bounds))
    return Curve(tuple(bounds), tuple(draw(points)))


bands = st.lists(st.integers(1, 100), min_size=3, max_size=3).map(lambda scores: Bands(*sorted(scores)))
exceptions = st.builds(
    BandsFor,
    bands,
    st.frozensets(st.sampled_from(["credit_card", "sepa_debit", "paypal"])),
    st.frozensets(st.sampled_from(["EUR", "JPY", "KWD"])),
)
rule_sets = st.builds(
    RuleSet,
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}", fullmatch=True),
    st.dictionaries(st.sampled_from(sorted(RULES)), curves(), min_size=1, max_size=5),
    bands,
    st.lists(exceptions, max_size=3).map(tuple),
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "rules.toml"


@given(rule_sets)
def test_what_is_written_is_read_the_same(tmp_path_factory: pytest.TempPathFactory, rule_set: RuleSet) -> None:
    written = tmp_path_factory.getbasetemp() / "written.toml"
    written.write_text(to_toml(rule_set, "Two lines\nof a note.", lambda rule: [f"about {rule}"]))
    assert read_rule_set(written) == rule_set


def test_the_shipped_rules_are_read_the_same(file: Path) -> None:
    file.write_text(to_toml(DEFAULT_RULES))
    assert read_rule_set(file) == DEFAULT_RULES


def test_what_a_file_leaves_out_is_as_shipped(file: Path) -> None:
    file.write_text(GOOD)
    rule_set = read_rule_set(file)
    assert rule_set.bands == Bands(25, 50, 70)
    assert rule_set.bands_for("sepa_debit", "EUR") == Bands(20, 40, 60)
    assert rule_set.curves == {"amount": Curve((100, 500), (5, 20)), "user_successes_month": Curve((3,), (-5,))}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("version", "versoin"), "version: Field required"),
        (('"2026-11-29"', '"of today"'), "version: String should match pattern"),
        (("verify = 25", "verify = 55"), "bands: must rise from verify to review to block, within 1 and 100"),
        (("rules.amount", "rules.amuont"), "amuont: there is no such rule"),
        (("points = [5, 20]", "points = [5]"), "amount: needs as many points as bounds, and one at least"),
        (("at = [100, 500]", "at = [500, 100]"), "amount: the bounds must rise"),
        (("points = [5, 20]", "points = [5, 900]"), "amount: points must be within -200 and 200"),
        (("points = [5, 20]", 'points = [5, "many"]'), "rules.amount.points: Input should be a valid integer"),
        (("points = [-5]", "point = [-5]"), "rules.user_successes_month.point: Extra inputs are not permitted"),
        (('"sepa_debit"', '"sepa"'), "exceptions.0.methods: Input should be"),
        (('"CHF"', '"Franken"'), "exceptions.0.currencies: currency is not an ISO 4217 currency"),
        (("[bands]", "[bands"), "is not TOML"),
    ],
)
def test_a_mistake_is_named(file: Path, change: tuple[str, str], sentence: str) -> None:
    file.write_text(GOOD.replace(*change))
    with pytest.raises(ValueError, match=re.escape(sentence)):
        read_rule_set(file)


def test_all_mistakes_are_reported_together() -> None:
    rules = {"amuont": {"at": [2, 1], "points": [900, 0]}}
    with pytest.raises(ValueError, match=r"no such rule; .* the bounds must rise; .* must be within") as refused:
        parse_rule_set({"version": "1", "rules": rules})
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there(file: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        read_rule_set(file)


def test_the_documented_example_is_read(file: Path) -> None:
    example = re.search(r"```toml\n(.*?)```", PAGE.partition("### Rule sets as files")[2], re.DOTALL)
    assert example is not None
    file.write_text(example[1])
    rule_set = read_rule_set(file)
    assert rule_set.bands == Bands()
    assert rule_set.bands_for("sepa_debit", "EUR") == Bands(20, 40, 60)
