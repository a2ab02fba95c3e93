"""Reads the operator's routing rules from a TOML file; every error names the rule and what to change.

[[rule]]
name = "Klarna direct, a fifth of it on trial through Stripe"
methods = ["klarna"]
countries = ["DE", "AT"]
shares = { klarna = 80, stripe = 20 }
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from domain.errors import CeleriacError
from domain.money import exponent
from domain.payment_methods import CAPABILITIES, PaymentMethod
from domain.routing import Rule
from worker.toml_file import read_toml

_PROVIDERS = sorted({capability.provider for capability in CAPABILITIES})


class _RuleInFile(BaseModel):
    """One rule as the file has it. Amounts are in minor units of the payment's currency."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    shares: dict[str, Annotated[int, Field(ge=0)]]
    methods: frozenset[PaymentMethod] = frozenset()
    currencies: frozenset[str] = frozenset()
    countries: frozenset[Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]] = frozenset()
    minimum: Annotated[int, Field(ge=0)] = 0
    maximum: Annotated[int, Field(ge=0)] | None = None

    @field_validator("shares")
    @classmethod
    def _known_providers(cls, shares: dict[str, int]) -> dict[str, int]:
        unknown = [name for name in shares if name not in _PROVIDERS]
        if unknown or not any(shares.values()):
            raise ValueError(f"must give a share above 0 to one of: {', '.join(_PROVIDERS)}")
        return shares

    @field_validator("currencies")
    @classmethod
    def _known_currencies(cls, currencies: frozenset[str]) -> frozenset[str]:
        for currency in currencies:
            exponent(currency)
        return currencies


def read_routing_rules(file: Path) -> tuple[Rule, ...]:
    """Return the rules in the order of the file. Raises ValueError with one sentence."""
    tables = read_toml(file)
    if set(tables) - {"rule"} or not isinstance(tables.get("rule", []), list):
        raise ValueError("must contain nothing but [[rule]] tables")
    return tuple(_rule(number, table) for number, table in enumerate(tables.get("rule", []), start=1))


def _rule(number: int, table: object) -> Rule:
    try:
        rule = _RuleInFile.model_validate(table)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"][:1]) or "table"
        raise ValueError(f"rule {number}: {field}: {first['msg'].removeprefix('Value error, ')}") from None
    except CeleriacError as error:
        raise ValueError(f"rule {number}: {error}") from None
    return Rule(**rule.model_dump())
