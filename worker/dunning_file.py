"""Reads the operator's dunning policies and segments from a TOML file; all of its errors are reported together.

[policy.patient]
delays_days = [3, 7, 14, 21]
grace_days = 14

[[segment]]
name = "annual plans"
plans = ["annual"]
policy = "patient"
holdout = 0.1
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from domain.dunning.policy import (
    DEFAULT_POLICY,
    SHIPPED,
    STANDARD,
    DunningPolicy,
    EndAction,
    GraceAnchor,
    ResumeAnchor,
    problems_of,
)
from domain.dunning.segments import Segment
from domain.errors import CeleriacError
from domain.money import exponent
from domain.payment_methods import PaymentMethod
from worker.toml_file import parsed, read_toml

_SHIPPED = {name: policy for name, policy in SHIPPED.items() if name != DEFAULT_POLICY}
# A name is stored with each case, and shown.
_NAME = re.compile(r"[a-z0-9_-]{1,40}")
_Name = Annotated[str, StringConstraints(min_length=1, max_length=100)]


@dataclass(frozen=True, slots=True)
class DunningFile:
    """What the file says. `policies`: all by their names but the one that the variables describe, those that are
    shipped included."""

    policies: Mapping[str, DunningPolicy] = field(default_factory=lambda: dict(_SHIPPED))
    segments: tuple[Segment, ...] = ()


class _PolicyInFile(BaseModel):
    """One policy as the file has it. `attempts` None: as many as days are listed."""

    model_config = ConfigDict(extra="forbid")

    delays_days: tuple[float, ...] = STANDARD.delays_days
    attempts: int | None = None
    grace_days: float = STANDARD.grace_days
    grace_anchor: GraceAnchor = STANDARD.grace_anchor
    end_action: EndAction = STANDARD.end_action
    resume_anchor: ResumeAnchor = STANDARD.resume_anchor
    window_days: float = STANDARD.window_days
    technical_delays_hours: tuple[float, ...] = STANDARD.technical_delays_hours
    least_gap_hours: float = STANDARD.least_gap_hours
    most_unknown_retries: int = STANDARD.most_unknown_retries
    is_monitor_only: bool = STANDARD.is_monitor_only

    def named(self, name: str) -> DunningPolicy:
        """Return the policy."""
        attempts = len(self.delays_days) if self.attempts is None else self.attempts
        return DunningPolicy(**self.model_dump() | {"attempts": attempts, "name": name})


class _SegmentInFile(BaseModel):
    """One segment as the file has it. Amounts are in minor units of its currencies."""

    model_config = ConfigDict(extra="forbid")

    name: _Name
    policy: str
    applications: frozenset[_Name] = frozenset()
    plans: frozenset[_Name] = frozenset()
    methods: frozenset[PaymentMethod] = frozenset()
    currencies: frozenset[str] = frozenset()
    countries: frozenset[Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]] = frozenset()
    minimum: Annotated[int, Field(ge=0)] = 0
    maximum: Annotated[int, Field(ge=0)] | None = None
    holdout: Annotated[float, Field(ge=0, le=1)] = 0

    @field_validator("currencies")
    @classmethod
    def _known_currencies(cls, currencies: frozenset[str]) -> frozenset[str]:
        try:
            for currency in currencies:
                exponent(currency)
        except CeleriacError as error:
            raise ValueError(str(error)) from None
        return currencies

    @model_validator(mode="after")
    def _comparable_amounts(self) -> _SegmentInFile:
        if (self.minimum or self.maximum is not None) and not self.currencies:
            raise ValueError("an amount needs currencies, because it is in their minor units")
        return self


def read_dunning_file(file: Path, standard: DunningPolicy) -> DunningFile:
    """Return the policies and segments of the file. `standard`: the policy that segments name so.

    Raises ValueError with a sentence for each problem."""
    tables = read_toml(file)
    in_policies, in_segments = tables.pop("policy", {}), tables.pop("segment", [])
    if tables or not isinstance(in_policies, dict) or not isinstance(in_segments, list):
        raise ValueError("must contain nothing but [policy.NAME] and [[segment]] tables")
    problems: list[str] = []
    own = {name: _policy(name, table, problems) for name, table in in_policies.items()}
    # One that is wrong is known all the same, so that a segment that names it is no second problem.
    policies = _SHIPPED | {name: policy or standard for name, policy in own.items()}
    known = {DEFAULT_POLICY: standard} | policies
    segments = [_segment(number, table, known, problems) for number, table in enumerate(in_segments, start=1)]
    problems += _repeated_names([segment for segment in segments if segment is not None])
    if problems:
        raise ValueError("; ".join(problems))
    return DunningFile(policies, tuple(segment for segment in segments if segment is not None))


def _policy(name: str, table: object, problems: list[str]) -> DunningPolicy | None:
    place = f"policy {name}"
    if name in SHIPPED:
        problems.append(f"{place}: is shipped; choose another name")
    if not _NAME.fullmatch(name):
        problems.append(f"{place}: the name must have at most 40 of the characters a-z, 0-9, _ and -")
    policy = parsed(place, lambda: _PolicyInFile.model_validate(table).named(name), problems)
    if policy is not None:
        problems += [f"{place}: {field_name}: {problem}" for field_name, problem in problems_of(policy).items()]
    return policy


def _segment(number: int, table: object, known: Mapping[str, DunningPolicy], problems: list[str]) -> Segment | None:
    place = f"segment {number}"
    segment = parsed(place, lambda: _SegmentInFile.model_validate(table), problems)
    if segment is None:
        return None
    if segment.policy not in known:
        problems.append(f"{place}: policy: must be one of: {', '.join(sorted(known))}")
        return None
    values: dict[str, Any] = segment.model_dump()
    return Segment(**values | {"policy": known[segment.policy]})


def _repeated_names(segments: list[Segment]) -> Iterator[str]:
    """Yield the names that two segments have: those would hold out the same users, and statistics would add them up."""
    names = [segment.name for segment in segments]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"segment {names.index(name) + 1}: name: {name} is the name of another segment too"
