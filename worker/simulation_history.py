"""Reads a merchant's own first failures from a CSV file, to play dunning policies on them. One that is not exactly as
documented is refused, with its row and column."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

from domain.countries import is_country
from domain.decline import VOCABULARIES, Decline, decline_by
from domain.declines.bank_debits import ACH_NETWORK, SEPA_NETWORK
from domain.declines.networks import VISA
from domain.errors import CeleriacError
from domain.money import Money
from domain.simulation.customer_model import Customer, Dice, FirstFailure, with_fate
from models.time_zones import zone_named

# What each column holds; the first four have to be there.
COLUMNS = {
    "failed_at": "when the payment failed first, with its zone: 2026-03-02T09:30:00Z",
    "amount": "in units of the currency: 12.30",
    "currency": "ISO 4217: EUR",
    "code": "the provider's decline code: insufficient_funds",
    "provider": "whose code it is; default: stripe",
    "network": "visa, mastercard, amex, ... or ach, sepa for a debit; default: visa",
    "network_decline_code": "the network's own code, such as 51 or R01",
    "network_advice_code": "Mastercard's advice, such as 24",
    "country": "the customer's, ISO 3166-1: DE",
    "time_zone": "the customer's: Europe/Berlin; default: UTC",
    "recovered_at": "when the debt was paid; empty: never",
}
_REQUIRED = ("failed_at", "amount", "currency", "code")
_METHODS = {ACH_NETWORK: "ach_debit", SEPA_NETWORK: "sepa_debit"}
_MOST_PROBLEMS = 3
# A run holds all of it in memory.
_MOST_ROWS = 1_000_000
_UTC: tzinfo = UTC
T = TypeVar("T")


class OwnHistory(NamedTuple):
    """First failures with the fate that the model gives them, and after what time each was paid in fact; None: it was
    not, as far as the file says."""

    customers: list[Customer]
    paid_after: list[timedelta | None]


def read_history(file: Path, seed: str) -> OwnHistory:
    """Return the first failures of the file. Raises ValueError with the row and column of what is wrong."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            return _read(lines, seed)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"is not CSV in UTF-8: {error}") from None


def _read(lines: Iterator[str], seed: str) -> OwnHistory:
    reader = csv.DictReader(lines, strict=True)
    _require_columns(list(reader.fieldnames or ()))
    problems: list[str] = []
    history = OwnHistory([], [])
    for number, row in enumerate(islice(reader, _MOST_ROWS + 1), start=1):
        if number > _MOST_ROWS:
            raise ValueError(f"has more than {_MOST_ROWS} rows")
        parsed = _Row(row, reader.line_num, problems)
        failure = parsed.failure(number)
        paid_at = parsed.paid_at(failure.at if failure is not None else None)
        if failure is not None and not problems:
            history.customers.append(with_fate(failure, Dice(seed, failure.id)))
            history.paid_after.append(paid_at - failure.at if paid_at is not None else None)
    if problems:
        more = f"; and {len(problems) - _MOST_PROBLEMS} more" if len(problems) > _MOST_PROBLEMS else ""
        raise ValueError("; ".join(problems[:_MOST_PROBLEMS]) + more)
    if not history.customers:
        raise ValueError("has no row")
    return history


def _require_columns(names: list[str]) -> None:
    missing = [name for name in _REQUIRED if name not in names]
    unknown = [name for name in names if name not in COLUMNS]
    twice = sorted({name for name in names if names.count(name) > 1})
    for found, sentence in ((missing, "misses"), (unknown, "has the unknown"), (twice, "has twice the")):
        if found:
            raise ValueError(f"row 1: {sentence} column {', '.join(found)}; the columns are {', '.join(COLUMNS)}")


class _Row:
    """One row. What is wrong with it is added to the problems; each line of the file counts, the header's is the
    first."""

    def __init__(self, row: Mapping[str | None, str | list[str] | None], line: int, problems: list[str]) -> None:
        self._row, self._line, self._problems = row, line, problems
        if None in row:
            problems.append(f"row {line}: has more fields than the header")

    def failure(self, number: int) -> FirstFailure | None:
        """Return the first failure; None if any of it is wrong."""
        before = len(self._problems)
        at = self._parse("failed_at", _instant)
        money = self._money()
        network = self._text("network") or VISA
        decline = self._decline(network)
        country = self._optional("country", _country, "")
        zone = self._optional("time_zone", _zone, _UTC)
        if at is None or money is None or decline is None or len(self._problems) > before:
            return None
        return FirstFailure(
            id=f"row{number}",
            at=at,
            amount=money.minor,
            currency=money.currency,
            country=country or "",
            zone=zone or _UTC,
            method=_METHODS.get(network, "credit_card"),
            network=network,
            decline=decline,
        )

    def paid_at(self, failed_at: datetime | None) -> datetime | None:
        """Return when the debt was paid, if it was."""
        paid_at = self._parse("recovered_at", _instant) if self._text("recovered_at") else None
        if paid_at is not None and failed_at is not None and paid_at < failed_at:
            self._problems.append(f"row {self._line}: recovered_at: is before failed_at")
        return paid_at

    def _text(self, column: str) -> str:
        given = self._row.get(column)
        return given.strip() if isinstance(given, str) else ""

    def _optional(self, column: str, parse: Callable[[str], T], default: T) -> T | None:
        return self._parse(column, parse) if self._text(column) else default

    def _parse(self, column: str, parse: Callable[[str], T]) -> T | None:
        text = self._text(column)
        try:
            return parse(text)
        except (ValueError, CeleriacError) as error:
            self._problems.append(f"row {self._line}: {column}: {error}")
            return None

    def _money(self) -> Money | None:
        return self._parse("amount", lambda text: Money.parse(text, self._text("currency")))

    def _decline(self, network: str) -> Decline | None:
        provider = self._text("provider") or "stripe"
        if provider not in VOCABULARIES:
            self._problems.append(f"row {self._line}: provider: must be one of {', '.join(VOCABULARIES)}")
            return None
        own, advice = self._text("network_decline_code") or None, self._text("network_advice_code") or None

        def parse(code: str) -> Decline:
            named = _code(code)
            return decline_by(provider, named, network_decline_code=own, network_advice_code=advice, network=network)

        return self._parse("code", parse)


def _code(text: str) -> str:
    if not text:
        raise ValueError("is empty")
    return text


def _instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("must be an instant with its zone, such as 2026-03-02T09:30:00Z") from None
    if at.tzinfo is None:
        raise ValueError("needs a zone, such as 2026-03-02T09:30:00Z")
    return at.astimezone(UTC)


def _country(text: str) -> str:
    if not is_country(text):
        raise ValueError("must be two capital letters of ISO 3166-1, such as DE")
    return text


def _zone(text: str) -> tzinfo:
    return zone_named(text)
