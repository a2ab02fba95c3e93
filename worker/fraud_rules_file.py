"""Reads and writes a rule set as a TOML file. All mistakes are reported together, and what is written is read the same.

version = "2026-11-29"

[bands]
verify = 30
review = 50
block = 70

[[exceptions]]
methods = ["sepa_debit"]
bands = { verify = 20, review = 40, block = 60 }

[rules.amount]
at = [100, 500]
points = [5, 20]
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from domain.errors import CeleriacError
from domain.fraud.rule_set import Bands, BandsFor, Curve, RuleSet, problems_of
from domain.fraud.rules import RULES
from domain.money import decimals
from domain.payment_methods import PaymentMethod
from worker.toml_file import parsed, read_toml

# A version is stored with each decision, and shown.
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_SHIPPED = Bands()


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _BandsInFile(_Table):
    verify: int = _SHIPPED.verify
    review: int = _SHIPPED.review
    block: int = _SHIPPED.block

    def bands(self) -> Bands:
        return Bands(self.verify, self.review, self.block)


class _ExceptionInFile(_Table):
    """Bands of some payments; what is left out stands for any."""

    bands: _BandsInFile
    methods: frozenset[PaymentMethod] = frozenset()
    currencies: frozenset[str] = frozenset()

    @field_validator("currencies")
    @classmethod
    def _known_currencies(cls, currencies: frozenset[str]) -> frozenset[str]:
        try:
            for currency in currencies:
                decimals(currency)
        except CeleriacError as error:
            raise ValueError(str(error)) from None
        return currencies

    def exception(self) -> BandsFor:
        return BandsFor(self.bands.bands(), frozenset(str(method) for method in self.methods), self.currencies)


class _RuleInFile(_Table):
    """Points by the value: from each number of `at` on, the points beside it."""

    at: tuple[int, ...]
    points: tuple[int, ...]

    def curve(self) -> Curve:
        return Curve(self.at, self.points)


class _RuleSetInFile(_Table):
    version: Annotated[str, StringConstraints(pattern=rf"^{_VERSION.pattern}$")]
    rules: dict[str, _RuleInFile]
    bands: _BandsInFile = Field(default_factory=_BandsInFile)
    exceptions: tuple[_ExceptionInFile, ...] = ()

    def rule_set(self) -> RuleSet:
        return RuleSet(
            self.version,
            {name: rule.curve() for name, rule in self.rules.items()},
            self.bands.bands(),
            tuple(each.exception() for each in self.exceptions),
        )


def require_version(version: str) -> None:
    """Raise ValueError if a rule set cannot be named so."""
    if not _VERSION.fullmatch(version):
        raise ValueError(f"{version!r} is no version: use at most 40 of the characters A-Z, a-z, 0-9, ., _ and -")


def read_rule_set(file: Path) -> RuleSet:
    """Return the rule set of a file. Raises ValueError with a sentence for each problem."""
    return parse_rule_set(read_toml(file))


def parse_rule_set(tables: dict[str, object]) -> RuleSet:
    """Return the rule set of a file's tables. Raises ValueError with a sentence for each problem."""
    problems: list[str] = []
    rule_set = parsed("", lambda: _RuleSetInFile.model_validate(tables).rule_set(), problems, depth=3)
    if rule_set is not None:
        problems += problems_of(rule_set, RULES)
    if rule_set is None or problems:
        raise ValueError("; ".join(problems))
    return rule_set


def to_toml(rule_set: RuleSet, note: str = "", notes: Callable[[str], Iterable[str]] = lambda _: ()) -> str:
    """Return the text of a file from which the same rule set is read.

    `note`: stands above it as a comment. `notes`: return the comments above a rule."""
    lines = [*_comment(note.splitlines()), f"version = {json.dumps(rule_set.version)}", "", "[bands]"]
    lines += [f"{name} = {value}" for name, value in _bands(rule_set.bands)]
    for each in rule_set.exceptions:
        bands = ", ".join(f"{name} = {value}" for name, value in _bands(each.bands))
        lines += ["", "[[exceptions]]", f"bands = {{ {bands} }}"]
        lines += [
            f"{name} = {json.dumps(sorted(values))}"
            for name, values in (("methods", each.methods), ("currencies", each.currencies))
            if values
        ]
    for name, curve in rule_set.curves.items():
        lines += ["", *_comment(notes(name)), f"[rules.{name}]"]
        lines += [f"at = {list(curve.bounds)}", f"points = {list(curve.steps)}"]
    return "\n".join(lines) + "\n"


def _comment(lines: Iterable[str]) -> list[str]:
    return [f"# {line}".rstrip() for line in lines]


def _bands(bands: Bands) -> list[tuple[str, int]]:
    return [("verify", bands.verify), ("review", bands.review), ("block", bands.block)]
