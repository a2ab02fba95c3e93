"""Payments of a made-up shop as CSV, with planted fraud: merchant accounts that were broken into, and users whose
card was stolen and who seem to pay more than ever."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

_DAY = 86_400
_USERS, _ACCOUNTS = 120, 60
# One of each begins every so many days, and goes on for so many.
_EVERY_DAYS, _DAYS_LONG = 3, 10
MAPPING = """
[time]
seconds_since_previous = "gap"
start = 2026-01-01T00:00:00Z

[amount]
column = "cents"
currency = "EUR"

[entities]
user = "user"
card = "user"

[shared]
merchant_account = "account"

[label]
column = "fraud"
fraud = ["broken_in", "stolen"]
delay_days = 3
"""


def write_stream(folder: Path, days: int, a_day: int = 120, seed: int = 1) -> tuple[Path, Path]:
    """Write the payments and the mapping of their columns; return both files."""
    csv_file, mapping = folder / "payments.csv", folder / "mapping.toml"
    csv_file.write_text("gap,user,account,cents,fraud\n" + "".join(_rows(days, a_day, seed)))
    mapping.write_text(MAPPING)
    return csv_file, mapping


def _rows(days: int, a_day: int, seed: int) -> Iterator[str]:
    dice, before = random.Random(seed), 0
    means = [dice.randint(1_000, 9_000) for _ in range(_USERS)]
    broken_into = {account: first for first, account in _beginnings(days, _ACCOUNTS, dice)}
    stolen = {user: first for first, user in _beginnings(days, _USERS, dice)}
    for second in sorted(dice.randrange(days * _DAY) for _ in range(days * a_day)):
        user, account = dice.randrange(_USERS), dice.randrange(_ACCOUNTS)
        cents, label = round(means[user] * dice.uniform(0.5, 1.5)), ""
        if second // _DAY - broken_into.get(account, days) in range(_DAYS_LONG):
            label = "broken_in"
        elif second // _DAY - stolen.get(user, days) in range(_DAYS_LONG) and dice.random() < 0.4:
            cents, label = 5 * cents, "stolen"
        yield f"{second - before},u{user},a{account},{cents},{label}\n"
        before = second


def _beginnings(days: int, among: int, dice: random.Random) -> Iterator[tuple[int, int]]:
    return ((day, dice.randrange(among)) for day in range(1, days, _EVERY_DAYS))
