"""Routing rules as an operator writes them: all are read, or one sentence says which rule is wrong and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from domain.routing import Rule
from worker.routing_file import read_routing_rules

GOOD = """
[[rule]]
name = "on trial"
methods = ["credit_card"]
currencies = ["EUR"]
countries = ["DE"]
minimum = 1000
maximum = 5000
shares = { stripe = 80, manual = 20 }

[[rule]]
name = "all others"
shares = { stripe = 1 }
"""


def test_rules_are_read_in_their_order(tmp_path: Path) -> None:
    first, second = read_routing_rules(written(tmp_path, GOOD))
    assert first == Rule(
        {"stripe": 80, "manual": 20},
        "on trial",
        frozenset({"credit_card"}),
        frozenset({"EUR"}),
        frozenset({"DE"}),
        1000,
        5000,
    )
    assert second == Rule({"stripe": 1}, "all others")
    assert read_routing_rules(written(tmp_path, "")) == ()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("rule = 1", r"nothing but \[\[rule\]\]"),
        ("[other]", r"nothing but \[\[rule\]\]"),
        ("[[rule", "not TOML"),
        ("[[rule]]\nname = 'x'", "rule 1: shares"),
        ("[[rule]]\nname = 'x'\nshares = { stripe = 0 }", "rule 1: shares: must give a share above 0"),
        ("[[rule]]\nname = 'x'\nshares = { strype = 1 }", "rule 1: shares: must give .* stripe"),
        ("[[rule]]\nname = 'x'\nshares = { stripe = -1 }", "rule 1: shares"),
        ("[[rule]]\nname = 'x'\nshares = { stripe = 1 }\nmethods = ['klarn']", "rule 1: methods"),
        ("[[rule]]\nname = 'x'\nshares = { stripe = 1 }\ncurrencies = ['EURO']", "rule 1: .*ISO 4217"),
        ("[[rule]]\nname = 'x'\nshares = { stripe = 1 }\ncountries = ['de']", "rule 1: countries"),
        ("[[rule]]\nname = 'x'\nshares = { stripe = 1 }\ncolour = 'red'", "rule 1: colour"),
        (GOOD + "[[rule]]\nname = ''\nshares = { stripe = 1 }", "rule 3: name"),
    ],
)
def test_an_invalid_file_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        read_routing_rules(written(tmp_path, text))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        read_routing_rules(tmp_path / "none.toml")


def written(folder: Path, text: str) -> Path:
    file = folder / "routing.toml"
    file.write_text(text, encoding="utf-8")
    return file
