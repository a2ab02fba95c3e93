"""Recovery statistics: equal to a count by hand after random lives, on both databases, in a few statements."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from alembic import command

from models.tables import dunning_cases
from tests.integration.dunned_lives import SEGMENTS, DunnedLives
from tests.integration.statistics_by_hand import KEYS, KEYS_OF_PAYMENTS, Books
from tests.integration.test_migration_rows import migrate
from tests.mailing import MailSystem, mailing

PATH = "/admin/dunning/statistics"


DATABASES = ["sqlite_url", pytest.param("postgres_url", marks=pytest.mark.postgres)]


@pytest.fixture(params=DATABASES)
def mail_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailSystem]:
    """A system with mails, two policies and a hold-out."""
    with mailing(request.getfixturevalue(request.param), monkeypatch) as system:
        system.change_runtime(policy=replace(system.runtime.policy, dunning_segments=SEGMENTS))
        yield system


def statistics(system: MailSystem, **asked: str) -> Any:
    query = "&".join(f"{name.rstrip('_')}={value}" for name, value in asked.items())
    response = system.get(f"{PATH}?{query}", caller="operator")
    assert response.status_code == 200, response.text
    return response.json


def without_name(group: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in group.items()
        if name not in ("group", "policy_name", "policy_version", "is_complete")
    }


def compare(system: MailSystem, books: Books, begin: datetime, end: datetime, asked: dict[str, str]) -> None:
    """Compare every figure of a cohort, in all groups, with a count by hand."""
    cases = books.within(begin, end)
    accepted = [payment for payment in books.payments.values() if begin <= payment.created_at < end]
    shown = statistics(system, **asked)
    assert without_name(shown["total"]) == books.group(cases, [payment.id for payment in accepted])
    for group_by, key_of in KEYS.items():
        of_payment = KEYS_OF_PAYMENTS.get(group_by)
        keys = {key_of(case) for case in cases} | {of_payment(each) for each in accepted if of_payment}
        groups = {
            group["group"]: without_name(group) for group in statistics(system, **asked, group_by=group_by)["groups"]
        }
        assert set(groups) == keys
        for key in keys:
            paid = [each.id for each in accepted if of_payment and of_payment(each) == key] if of_payment else None
            expected = books.group([case for case in cases if key_of(case) == key], paid)
            assert groups[key] == expected, (group_by, key)
    tried = statistics(system, **asked, group_by="try")["groups"]
    most = max((len(case.tries) for case in cases), default=0)
    assert [int(group["group"]) for group in tried] == list(range(1, most + 1))
    for number, group in enumerate(tried, 1):
        assert without_name(group) == books.try_group(cases, number)


def test_every_figure_is_what_a_count_by_hand_gives(mail_system: MailSystem) -> None:
    system, began = mail_system, mail_system.now()
    DunnedLives(system, seed=3 if system.engine.dialect.name == "sqlite" else 4).live(days=50, collecting=45)
    books = Books(system)
    outcomes = Counter(case.outcome for case in books.cases)
    assert min(outcomes["recovered"], outcomes["open"]) >= 3
    assert len(outcomes) >= 5, "the lives are different"
    begin = began - timedelta(days=1)
    text = {name: f"{at:%Y-%m-%dT%H:%M:%S.%fZ}" for name, at in (("from", begin), ("to", books.now))}
    compare(system, books, begin, books.now, text)
    # Half-open: the first failure that opens the range is in it, the one that closes it is not.
    times = sorted(case.opened_at for case in books.cases)
    first, last = times[2], times[-3]
    text = {name: f"{at:%Y-%m-%dT%H:%M:%S.%fZ}" for name, at in (("from", first), ("to", last))}
    compare(system, books, first, last, text)
    fills_earlier_cases(system)


def fills_earlier_cases(system: MailSystem) -> None:
    """Take the columns away that the statistics need, and let the migration fill them again."""
    before = system.rows(dunning_cases)
    for direction, revision in ((command.downgrade, "0020"), (command.upgrade, "0021")):
        migrate(system.engine, direction, revision)
    filled = ("provider", "closed_at", "recovered_by", "decline_class", "decline_reason", "last_class")
    for case, again in zip(before, system.rows(dunning_cases), strict=True):
        for name in filled:
            # A decline by a dispute is in no attempt, nor are all reasons in a list of codes.
            is_known = name in ("provider", "closed_at", "recovered_by") or getattr(again, name) is not None
            assert not is_known or getattr(again, name) == getattr(case, name), (name, case, again)
