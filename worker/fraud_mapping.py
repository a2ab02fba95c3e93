"""Reads the mapping of a CSV file of payments: which column is which of our fields. All mistakes are reported together.

[time]
column = "created_at"

[amount]
column = "cents"
currency = "EUR"

[entities]
user = "customer"
card = "card"

[shared]
merchant_account = "terminal"

[label]
column = "is_fraud"
fraud = ["1"]
delay_days = 7
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from domain.errors import CeleriacError
from domain.fraud.amounts import CURRENCIES_WITH_RATE
from domain.fraud.entities import is_shared_name
from domain.money import decimals
from worker.toml_file import parsed, read_toml

_Column = Annotated[str, StringConstraints(min_length=1)]
# What an application without a setting of its own has.
DEFAULT_LIMIT = 1000
_DEFAULT_BASE = "USD"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Time(_Table):
    """When a payment was made: an instant in a column, or seconds since the row before from a start on."""

    column: _Column | None = None
    seconds_since_previous: _Column | None = None
    start: AwareDatetime | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Time:
        if (self.column is None) == (self.seconds_since_previous is None):
            raise ValueError("needs either column or seconds_since_previous")
        if (self.seconds_since_previous is None) != (self.start is None):
            raise ValueError("seconds_since_previous needs start, an instant with its zone, and column needs none")
        return self


class Amount(_Table):
    """The amount in minor units of a currency, which is the same for all rows or stands in a column. `base_currency`:
    amounts of all currencies are compared in it. `without_verification`: in whole units of it."""

    column: _Column
    currency: str | None = None
    currency_column: _Column | None = None
    base_currency: str = ""
    without_verification: Annotated[int, Field(gt=0)] = DEFAULT_LIMIT

    @field_validator("currency", "base_currency")
    @classmethod
    def _known(cls, currency: str | None) -> str | None:
        try:
            if currency:
                decimals(currency)
        except CeleriacError as error:
            raise ValueError(str(error)) from None
        return currency

    @model_validator(mode="after")
    def _one_way(self) -> Amount:
        if (self.currency is None) == (self.currency_column is None):
            raise ValueError("needs either currency or currency_column")
        if self.base not in CURRENCIES_WITH_RATE:
            raise ValueError(f"base_currency must be one of {', '.join(sorted(CURRENCIES_WITH_RATE))}")
        return self

    @property
    def base(self) -> str:
        """The currency in which amounts are compared."""
        return self.base_currency or self.currency or _DEFAULT_BASE


class Entities(_Table):
    """The columns of who pays and with what."""

    user: _Column | None = None
    card: _Column | None = None
    bin: _Column | None = None
    ip: _Column | None = None
    device: _Column | None = None
    email: _Column | None = None
    address: _Column | None = None


class Payment(_Table):
    """How the customer pays, the same for all rows or in a column, and countries as two letters."""

    method: str = "credit_card"
    method_column: _Column | None = None
    billing_country: _Column | None = None
    ip_country: _Column | None = None
    card_country: _Column | None = None


class Outcome(_Table):
    """Which values of a column mean that a try was declined, or that the customer left a challenge."""

    column: _Column
    declined: frozenset[str] = frozenset()
    abandoned: frozenset[str] = frozenset()


class Label(_Table):
    """Which values of a column mean fraud, and after how many days that becomes known."""

    column: _Column
    fraud: Annotated[frozenset[str], Field(min_length=1)]
    delay_days: Annotated[float, Field(ge=0, le=365)]


class Mapping(_Table):
    """The whole mapping. `shared`: further entities by their names."""

    time: Time
    amount: Amount
    label: Label
    entities: Entities = Entities()
    shared: dict[str, _Column] = {}
    payment: Payment = Payment()
    outcome: Outcome | None = None

    @field_validator("shared")
    @classmethod
    def _possible_names(cls, shared: dict[str, str]) -> dict[str, str]:
        wrong = [name for name in shared if not is_shared_name(name)]
        if wrong:
            raise ValueError(f"{', '.join(wrong)} cannot name a shared entity: use a-z, 0-9 and _, and no kind of ours")
        return shared

    def columns(self) -> Iterator[str]:
        """Yield the columns that the file must have."""
        amount, payment = self.amount, self.payment
        outcome = self.outcome.column if self.outcome is not None else None
        found = (
            *(self.time.column, self.time.seconds_since_previous, amount.column, amount.currency_column),
            *(self.label.column, outcome, payment.method_column),
            *(payment.billing_country, payment.ip_country, payment.card_country),
            *dict(self.entities).values(),
            *self.shared.values(),
        )
        yield from dict.fromkeys(column for column in found if column is not None)


def read_mapping(file: Path) -> Mapping:
    """Return the mapping. Raises ValueError with a sentence for each problem."""
    tables, problems = read_toml(file), list[str]()
    mapping = parsed("", lambda: Mapping.model_validate(tables), problems, depth=2)
    if mapping is None:
        raise ValueError("; ".join(problems))
    return mapping
