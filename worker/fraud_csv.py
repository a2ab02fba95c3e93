"""Reads payments from a CSV file by a mapping, and replays them in order: each with the history that it had by then, in
which labels count from the moment at which they arrive."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from io import TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from domain.errors import CeleriacError
from domain.fraud.amounts import in_base
from domain.fraud.entities import EntityKind, Subject, normal_email
from domain.fraud.facts import Facts, Places
from domain.fraud.history_in_memory import HistoryInMemory, Try
from domain.money import Money, decimals
from worker.fraud_mapping import Mapping

_GZIP_MAGIC = b"\x1f\x8b"
# How often it is said how much of the file is read.
_ROWS_BETWEEN_REPORTS = 2000
# So many payments of one file share who pays and with what, and are read once.
_SUBJECTS_IN_MEMORY = 50_000
Done = Callable[[int], None]


class Replayed(NamedTuple):
    """A payment of the file with what was known just before it. `day`: whole days since the first row. `amount`: in
    hundredths of the base currency, 0 for a currency without a rate."""

    day: int
    facts: Facts
    currency: str
    is_fraud: bool
    amount: int


class _Row(NamedTuple):
    at: datetime
    money: Money
    entities: dict[str, str]
    method: str
    places: Places
    email: str
    outcome: str
    label: str


def replay(file: Path, mapping: Mapping, done: Done = lambda _: None) -> Iterator[Replayed]:
    """Yield the payments of a file, which may be compressed by gzip.

    `done`: is told of each part that is read, in bytes of the file. Raises ValueError with the row of what is wrong."""
    history, waiting = HistoryInMemory(), deque[tuple[datetime, dict[str, str]]]()
    delay, base, first_at = timedelta(days=mapping.label.delay_days), mapping.amount.base, None
    limit, shared = mapping.amount.without_verification * 100, tuple(mapping.shared)
    declined, abandoned = (mapping.outcome.declined, mapping.outcome.abandoned) if mapping.outcome else ((), ())
    for row in _rows(file, mapping, done):
        first_at = first_at or row.at
        while waiting and waiting[0][0] <= row.at:
            known_at, entities = waiting.popleft()
            history.label(entities, known_at)
        amount = in_base(row.money, base)
        facts = Facts(
            now=row.at,
            amount=amount,
            limit=limit,
            method=row.method,
            history=history.before(row.entities, row.at),
            shared_kinds=shared,
            is_email_malformed=normal_email(row.email) is None if row.email else None,
            places=row.places,
        )
        is_fraud = row.label in mapping.label.fraud
        yield Replayed((row.at - first_at).days, facts, row.money.currency, is_fraud, amount or 0)
        history.count(row.entities, row.at, Try(amount or 0, row.outcome in declined, row.outcome in abandoned))
        if is_fraud:
            waiting.append((row.at + delay, row.entities))


def _rows(file: Path, mapping: Mapping, done: Done) -> Iterator[_Row]:
    try:
        with file.open("rb") as raw, _text(raw) as lines:
            yield from _parsed_rows(csv.reader(lines, strict=True), mapping, _Reports(raw, done))
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror or error}") from None
    except (UnicodeDecodeError, csv.Error, EOFError, zlib.error) as error:
        raise ValueError(f"is not CSV in UTF-8: {error}") from None


@contextmanager
def _text(raw: BinaryIO) -> Iterator[TextIOWrapper]:
    """Yield the lines of a file, uncompressed."""
    is_compressed = raw.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
    raw.seek(0)
    with TextIOWrapper(gzip.open(raw) if is_compressed else raw, "utf-8-sig", newline="") as lines:
        yield lines


class _Reports:
    """Says from time to time how much of a file is read."""

    def __init__(self, raw: BinaryIO, done: Done) -> None:
        self._raw, self._done, self._told = raw, done, 0

    def tell(self) -> None:
        read = self._raw.tell()
        self._done(read - self._told)
        self._told = read


def _parsed_rows(reader: Any, mapping: Mapping, reports: _Reports) -> Iterator[_Row]:
    header: list[str] = next(reader, [])
    parse, before = _Parser(mapping, header), None
    number = 0
    for number, fields in enumerate(reader, start=1):
        if len(fields) != len(header):
            raise ValueError(f"row {reader.line_num}: has {len(fields)} fields, and the header has {len(header)}")
        try:
            row = parse(fields)
        except (ValueError, OverflowError, CeleriacError) as error:
            raise ValueError(f"row {reader.line_num}: {error}") from None
        if before is not None and row.at < before:
            raise ValueError(f"row {reader.line_num}: is older than the row before it; sort the file by time")
        before = row.at
        yield row
        if number % _ROWS_BETWEEN_REPORTS == 0:
            reports.tell()
    if not number:
        raise ValueError("has no row")
    reports.tell()


class _Parser:
    """Makes a payment of the fields of a row. Raises ValueError with the column of what is wrong."""

    def __init__(self, mapping: Mapping, header: Sequence[str]) -> None:
        missing = [name for name in mapping.columns() if name not in header]
        if missing:
            raise ValueError(f"row 1: misses column {', '.join(missing)}; it has {', '.join(header)}")
        self._mapping = mapping
        self._place = {name: header.index(name) for name in mapping.columns()}
        self._entities = tuple((kind, self._place[name]) for kind, name in mapping.entities if name is not None)
        self._shared = tuple((kind, self._place[name]) for kind, name in mapping.shared.items())
        payment = mapping.payment
        self._countries = (payment.ip_country, payment.billing_country, payment.card_country)
        self._at = mapping.time.start

    def __call__(self, fields: Sequence[str]) -> _Row:
        amount, payment, outcome = self._mapping.amount, self._mapping.payment, self._mapping.outcome
        currency = amount.currency or self._text(fields, amount.currency_column)
        decimals(currency)
        given = tuple((kind, fields[place].strip()) for kind, place in self._entities)
        shared = {kind: value for kind, place in self._shared if (value := fields[place].strip())}
        return _Row(
            at=self._instant(fields),
            money=Money(self._whole(fields, amount.column), currency),
            entities=_entities_of(given) | shared,
            method=self._text(fields, payment.method_column) or payment.method,
            places=_places(*(self._text(fields, column) for column in self._countries)),
            email=dict(given).get(EntityKind.EMAIL, ""),
            outcome=self._text(fields, outcome.column if outcome is not None else None),
            label=self._text(fields, self._mapping.label.column),
        )

    def _text(self, fields: Sequence[str], column: str | None) -> str:
        return fields[self._place[column]].strip() if column is not None else ""

    def _whole(self, fields: Sequence[str], column: str) -> int:
        text = self._text(fields, column)
        if not (text.isascii() and text.isdigit()):
            raise ValueError(f"{column}: must be a whole number of at least 0")
        return int(text)

    def _instant(self, fields: Sequence[str]) -> datetime:
        time = self._mapping.time
        if self._at is not None and time.seconds_since_previous is not None:
            self._at += timedelta(seconds=self._whole(fields, time.seconds_since_previous))
            return self._at
        text = self._text(fields, time.column)
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            at = datetime.min
        if at.tzinfo is None:
            raise ValueError(f"{time.column}: must be an instant with its zone, such as 2026-03-02T09:30:00Z")
        return at.astimezone(UTC)


@lru_cache(_SUBJECTS_IN_MEMORY)
def _entities_of(given: tuple[tuple[str, str], ...]) -> dict[str, str]:
    known: dict[str, Any] = {kind: value or None for kind, value in given}
    return Subject(**known).values()


@lru_cache(_SUBJECTS_IN_MEMORY)
def _places(ip: str, billing: str, card: str) -> Places:
    return Places(ip=ip or None, billing=billing or None, card=card or None)
