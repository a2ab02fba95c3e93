"""One's own first failures: read as documented, or refused with row and column."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from domain.decline import DeclineReason
from worker.simulation_history import COLUMNS, OwnHistory, read_history

HEAD = "failed_at,amount,currency,code"
ROW = "2026-03-02T09:30:00Z,12.30,EUR,insufficient_funds"


def read(tmp_path: Path, *lines: str, seed: str = "1") -> OwnHistory:
    file = tmp_path / "history.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read_history(file, seed)


def test_a_failure_is_read_with_all_of_its_columns(tmp_path: Path) -> None:
    values = {
        **dict(zip(HEAD.split(","), ROW.split(","), strict=True)),
        "code": "account_closed",
        "provider": "stripe",
        "network": "ach",
        "network_decline_code": "R02",
        "network_advice_code": "",
        "country": "US",
        "time_zone": "America/New_York",
        "recovered_at": "2026-03-05T09:30:00+00:00",
    }
    assert list(values) == list(COLUMNS)
    [customer], [paid_after] = read(tmp_path, ",".join(values), ",".join(values.values()))
    failure = customer.failure
    assert failure.at == datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
    assert (failure.amount, failure.currency, failure.country, str(failure.zone)) == (
        1230,
        "EUR",
        "US",
        "America/New_York",
    )
    assert (failure.reason, failure.is_debit, failure.method) == (DeclineReason.CLOSED, True, "ach_debit")
    assert paid_after == timedelta(days=3)


def test_four_columns_are_enough_in_any_order(tmp_path: Path) -> None:
    lines = ("code,currency,amount,failed_at", "do_not_honor,EUR,5,2026-03-02T09:30:00+01:00")
    [customer], [paid_after] = read(tmp_path, *lines)
    assert (customer.failure.network, customer.failure.reason, paid_after) == ("visa", DeclineReason.BANK, None)


def test_the_seed_decides_what_will_come_of_a_failure(tmp_path: Path) -> None:
    [one, again, other] = (read(tmp_path, HEAD, ROW, seed=seed).customers[0] for seed in ("1", "1", "2"))
    assert one.passes == again.passes != other.passes


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["failed_at,amount,currency", ROW], "row 1: misses column code; the columns are failed_at, amount"),
        ([f"{HEAD},colour", f"{ROW},red"], "row 1: has the unknown column colour"),
        ([f"{HEAD},code", f"{ROW},x"], "row 1: has twice the column code"),
        ([HEAD, ROW, f"{ROW},more"], "row 3: has more fields than the header"),
        ([HEAD, ROW.replace("T09:30:00Z", "")], "row 2: failed_at: needs a zone"),
        ([HEAD, ROW.replace("2026", "soon")], "row 2: failed_at: must be an instant with its zone"),
        ([HEAD, ROW.replace("12.30", "12,30")], "row 2: has more fields than the header"),
        ([HEAD, ROW.replace("12.30", "-1")], "row 2: amount: "),
        ([HEAD, ROW.replace("12.30", "1.234")], "row 2: amount: "),
        ([HEAD, ROW.replace("EUR", "XXX")], "row 2: amount: "),
        ([HEAD, ROW, ROW.replace("insufficient_funds", "")], "row 3: code: is empty"),
        ([f"{HEAD},provider", f"{ROW},adyen"], "row 2: provider: must be one of stripe"),
        ([f"{HEAD},country", f"{ROW},Germany"], "row 2: country: must be two capital letters"),
        ([f"{HEAD},time_zone", f"{ROW},Atlantis"], "row 2: time_zone: must be a time zone"),
        ([f"{HEAD},recovered_at", f"{ROW},2026-03-01T00:00:00Z"], "row 2: recovered_at: is before failed_at"),
        ([HEAD], "has no row"),
        ([HEAD, f'"{ROW}'], "is not CSV in UTF-8"),
        ([HEAD, *["a,b,c,"] * 5], "and 12 more"),
    ],
)
def test_what_is_not_as_documented_is_refused_with_row_and_column(
    tmp_path: Path, lines: list[str], sentence: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)) as refused:
        read(tmp_path, *lines)
    assert "\n" not in str(refused.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"failed_at,amount,currency,code\n\xff\xfe,1,EUR,x\n")
    for file in (tmp_path / "missing", tmp_path, tmp_path / "bytes"):
        with pytest.raises(ValueError, match=r"cannot be read|is not CSV"):
            read_history(file, "1")
