"""Payments of a file: read by a mapping, replayed with the history of their time, or refused in one line."""

from __future__ import annotations

import gzip
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from domain.fraud.windows import Window
from stack.process import ROOT
from worker.fraud_csv import Replayed, replay
from worker.fraud_mapping import Mapping, read_mapping

PAGE = (ROOT / "docs" / "fraud-and-dunning.md").read_text(encoding="utf-8")
MAPPING = """
[time]
column = "at"

[amount]
column = "minor"
currency_column = "currency"
base_currency = "EUR"
without_verification = 500

[entities]
user = "user"
ip = "ip"
email = "mail"

[shared]
merchant_account = "account"

[payment]
method_column = "method"
billing_country = "billed"
ip_country = "from"

[outcome]
column = "result"
declined = ["declined", "refused"]
abandoned = ["left"]

[label]
column = "fraud"
fraud = ["yes"]
delay_days = 2
"""
HEADER = "at,minor,currency,user,ip,mail,account,method,billed,from,result,fraud\n"
ROWS = (
    "2026-03-01T10:00:00Z,1000,EUR,ada,203.0.113.9,Ada+x@example.com,m1,credit_card,DE,DE,paid,yes\n"
    "2026-03-01T12:30:00+02:00,1500,JPY,ada,,,m1,,DE,FR,declined,\n"
    "2026-03-03T10:00:00Z,200,EUR,ada,nonsense,ada,,paypal,,FR,left,\n"
    "2026-03-03T10:00:00Z,700,XOF,bob,,,m1,,,,,yes\n"
)


@pytest.fixture
def mapping(tmp_path: Path) -> Mapping:
    file = tmp_path / "mapping.toml"
    file.write_text(MAPPING)
    return read_mapping(file)


def read(folder: Path, text: str, mapping: Mapping) -> list[Replayed]:
    file = folder / "payments.csv"
    file.write_text(text)
    return list(replay(file, mapping))


def test_columns_become_facts(tmp_path: Path, mapping: Mapping) -> None:
    first, second, third, fourth = read(tmp_path, HEADER + ROWS, mapping)
    assert (first.day, first.amount, first.currency, first.is_fraud) == (0, 1000, "EUR", True)
    assert first.facts.now == datetime(2026, 3, 1, 10, tzinfo=UTC)
    assert (first.facts.limit, first.facts.method, first.facts.shared_kinds) == (
        50_000,
        "credit_card",
        ("merchant_account",),
    )
    assert (first.facts.places.billing, first.facts.places.ip, first.facts.places.card) == ("DE", "DE", None)
    assert sorted(first.facts.history or ()) == [
        "email", "email_pattern", "ip", "merchant_account", "network", "user",
    ]  # fmt: skip
    assert [each.facts.is_email_malformed for each in (first, second, third)] == [False, None, True]
    assert (second.facts.now, second.amount) == (datetime(2026, 3, 1, 10, 30, tzinfo=UTC), 1000)
    assert (third.day, third.facts.method, sorted(third.facts.history or ())) == (2, "paypal", ["user"])
    assert (fourth.facts.amount, fourth.amount) == (None, 0)


def test_history_ends_before_a_payment_and_labels_count_from_their_arrival(tmp_path: Path, mapping: Mapping) -> None:
    first, second, third, fourth = (payment.facts for payment in read(tmp_path, HEADER + ROWS, mapping))
    assert first.known("user").first_at is None
    hour = second.known("user").within(Window.HOUR)
    assert (hour.tries, hour.declines, hour.amount, hour.frauds) == (1, 0, 1000, 0)
    # The label of the first payment arrives after two days, at the very instant of the third one.
    week = third.known("user").within(Window.WEEK)
    assert (week.tries, week.declines, week.amount, week.frauds) == (2, 1, 2000, 1)
    assert third.known("user").last_fraud_at == first.now + timedelta(days=2)
    assert fourth.known("merchant_account").within(Window.WEEK).frauds == 1
    assert fourth.known("user").first_at is None


def test_a_compressed_file_is_read_the_same_and_its_size_is_told(tmp_path: Path, mapping: Mapping) -> None:
    plain = read(tmp_path, HEADER + ROWS, mapping)
    file, told = tmp_path / "payments.csv.gz", list[int]()
    file.write_bytes(gzip.compress((HEADER + ROWS).encode()))
    assert list(replay(file, mapping, told.append)) == plain
    assert sum(told) == file.stat().st_size


def test_seconds_since_the_row_before_are_added_up(tmp_path: Path) -> None:
    text = MAPPING.replace('column = "at"', 'seconds_since_previous = "at"\nstart = 2026-03-01T00:00:00Z')
    (tmp_path / "gaps.toml").write_text(text)
    rows = "".join(f"{gap},100,EUR,ada,,,,,,,,\n" for gap in (5, 10, 86_400))
    payments = read(tmp_path, HEADER + rows, read_mapping(tmp_path / "gaps.toml"))
    assert [(each.facts.now - datetime(2026, 3, 1, tzinfo=UTC)).total_seconds() for each in payments] == [5, 15, 86_415]
    assert [each.day for each in payments] == [0, 0, 1]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "row 1: misses column at, minor, currency"),
        (HEADER, "has no row"),
        (HEADER.replace("user", "User") + ROWS, "row 1: misses column user; it has at, minor"),
        (HEADER + "2026-03-01T10:00:00Z,1\n", "row 2: has 2 fields, and the header has 12"),
        (HEADER + ROWS.replace("T10:00:00Z,1000", " 10:00,1000"), "row 2: at: must be an instant with its zone"),
        (HEADER + ROWS.replace("1500", "15.00"), "row 3: minor: must be a whole number of at least 0"),
        (HEADER + ROWS.replace("1500", "-1"), "row 3: minor: must be a whole number of at least 0"),
        (HEADER + ROWS.replace("XOF", "Franc"), "row 5: currency is not an ISO 4217 currency"),
        (HEADER + ROWS + ROWS, "row 6: is older than the row before it; sort the file by time"),
        (HEADER + '"unfinished', "is not CSV in UTF-8"),
    ],
)
def test_a_row_that_is_wrong_is_named(tmp_path: Path, mapping: Mapping, text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        read(tmp_path, text, mapping)


@pytest.mark.parametrize("content", [b"\xff\xfe", gzip.compress((HEADER + ROWS).encode())[:-30]])
def test_a_file_that_is_broken_is_refused(tmp_path: Path, mapping: Mapping, content: bytes) -> None:
    (tmp_path / "broken").write_bytes(content)
    with pytest.raises(ValueError, match="is not CSV in UTF-8"):
        list(replay(tmp_path / "broken", mapping))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (('column = "at"', ""), "time: needs either column or seconds_since_previous"),
        (('column = "at"', 'seconds_since_previous = "at"'), "time: seconds_since_previous needs start"),
        (('column = "minor"', ""), "amount.column: Field required"),
        (('currency_column = "currency"', ""), "amount: needs either currency or currency_column"),
        (('base_currency = "EUR"', 'base_currency = "XOF"'), "amount: base_currency must be one of AED"),
        (('base_currency = "EUR"', 'base_currency = "Euro"'), "amount.base_currency: currency is not an ISO 4217"),
        (('user = "user"', 'usr = "user"'), "entities.usr: Extra inputs are not permitted"),
        (("merchant_account", "user"), "shared: user cannot name a shared entity"),
        (("delay_days = 2", "delay_days = -1"), "label.delay_days: Input should be greater than or equal to 0"),
        (('fraud = ["yes"]', "fraud = []"), "label.fraud: Frozenset should have at least 1 item"),
        (("[label]", "[labels]"), "label: Field required; labels: Extra inputs are not permitted"),
        (("[label]", "[label"), "is not TOML"),
    ],
)
def test_a_mapping_that_is_wrong_is_refused(tmp_path: Path, change: tuple[str, str], sentence: str) -> None:
    (tmp_path / "mapping.toml").write_text(MAPPING.replace(*change))
    with pytest.raises(ValueError, match=re.escape(sentence)) as refused:
        read_mapping(tmp_path / "mapping.toml")
    assert "\n" not in str(refused.value)


def test_the_documented_example_is_read(tmp_path: Path) -> None:
    section = PAGE.partition("### Payments of a file")[2]
    example, mapping = (re.search(rf"```{kind}\n(.*?)```", section, re.DOTALL) for kind in ("csv", "toml"))
    assert example is not None
    assert mapping is not None
    (tmp_path / "mapping.toml").write_text(mapping[1])
    payments = read(tmp_path, example[1], read_mapping(tmp_path / "mapping.toml"))
    assert [each.is_fraud for each in payments] == [False, True, False]
