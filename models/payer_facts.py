"""The fields by which an application tells what it knows of a payer, for the fraud rules and for providers that ask."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from domain.countries import is_country
from domain.fraud import payer
from domain.fraud.entities import Subject, is_shared_name
from models.api_request import ApiRequest

# Each costs a row of counters at every try.
_MOST_SHARED = 5
_BIN = re.compile(r"[0-9]{6,8}")


def _country(value: Any) -> Any:
    if isinstance(value, str) and not is_country(value.upper()):
        raise ValueError("must be a country's two letters such as DE (ISO 3166-1)")
    return value.upper() if isinstance(value, str) else value


def _first_digits(digits: str) -> str:
    if _BIN.fullmatch(digits) is None:
        raise ValueError("must be the first 6 to 8 digits of the card")
    return digits


def _shared_names(shared: dict[str, str]) -> dict[str, str]:
    if not all(is_shared_name(name) for name in shared):
        raise ValueError("names must be like merchant_account: lower case, and none that Celeriac has itself")
    return shared


Text = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=200)]
CountryCode = Annotated[str, BeforeValidator(_country), StringConstraints(strict=True)]


class CardFacts(BaseModel):
    """What an application knows of the card without its number. `fingerprint`: the same for all tokens of a card."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fingerprint: Text | None = None
    bin: Annotated[str, StringConstraints(strict=True), AfterValidator(_first_digits)] | None = None
    country: CountryCode | None = None


class PayerFacts(ApiRequest):
    """A request that may hold them. They are personal data: never logged, and shown to nobody."""

    NEWER: ClassVar = frozenset({"card", "shared_entities"})

    ip_address: Annotated[str, StringConstraints(strict=True, max_length=45)] | None = None
    device_fingerprint: Text | None = None
    email: Annotated[str, StringConstraints(strict=True, max_length=254)] | None = None
    billing_address: dict[str, Annotated[str, StringConstraints(max_length=300)] | None] | None = None
    card: CardFacts | None = None
    shared_entities: (
        Annotated[dict[str, Text], Field(max_length=_MOST_SHARED), AfterValidator(_shared_names)] | None
    ) = None

    @property
    def facts(self) -> dict[str, Any]:
        """What was told, in the form in which it is stored."""
        return self.model_dump(mode="json", include=set(PayerFacts.model_fields), exclude_none=True)

    def subject(self, user: str | None, token: str | None = None) -> Subject:
        """Return what the request shows of who pays. `token`: of the instrument."""
        return payer.subject_of(user, self.facts, token)

    @property
    def billing_country(self) -> str | None:
        """The country of the billing address, if it is one."""
        return payer.billing_country(self.facts)

    @property
    def card_country(self) -> str | None:
        """The country in which the card was issued."""
        return payer.card_country(self.facts)
