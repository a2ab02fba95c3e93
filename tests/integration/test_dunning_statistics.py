"""Recovery statistics: equal to a count by hand after random lives, on both databases, in a few statements."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from click.testing import CliRunner, Result
from sqlalchemy import Connection

from domain.decision import Policy
from domain.dunning.cohort import GroupBy, parse_request
from domain.dunning.statistics import LOST_BY_CLASS
from models.dunning_statistics import show_statistics
from models.session import read
from models.tables import dunning_cases
from tests.integration.dunned_lives import SEGMENTS, DunnedLives
from tests.integration.statistics_by_hand import KEYS, KEYS_OF_PAYMENTS, Books
from tests.integration.test_migration_rows import migrate
from tests.mailing import MailSystem, mailing
from tests.system import INSUFFICIENT_FUNDS, LOST_CARD, System, running_system
from worker.commands.group import payments

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
    for case, again in zip(before, system.rows(dunning_cases), strict=True):
        for name in ("provider", "closed_at", "recovered_by", "decline_class"):
            assert getattr(again, name) == getattr(case, name), (name, case, again)
        # Events do not tell which tries the plan counts; soft or technical, its retries have failed.
        assert LOST_BY_CLASS[again.last_class] == LOST_BY_CLASS[case.last_class]
        assert again.decline_reason == (case.decline_reason if case.decline_reason == "funds" else None)


# --- one debt ---


@pytest.fixture
def system(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[System]:
    """A system on SQLite."""
    with running_system(sqlite_url) as running:
        running.tasks_run_in(monkeypatch)
        yield running


def counted(system: System) -> tuple[int, int, int, list[str]]:
    """Return how many cases there are, are recovered and open, and why others are lost."""
    total = system.get(PATH, caller="operator").json["total"]
    lost = [reason["name"] for reason in total["lost_reasons"]]
    return total["cases"], total["recovery"]["all"]["count"]["numerator"], total["open"]["numerator"], lost


def lose(system: System, payment_id: str) -> None:
    """Let the bank take the money of the last charge back."""
    charges = [row for row in system.attempts(payment_id) if (row.verb, row.status) == ("charge", "succeeded")]
    reference = charges[-1].provider_reference
    dispute = system.provider.control(f"intents/{reference}/dispute", {"reason": "product_not_received"})["id"]
    system.provider.control(f"disputes/{dispute}/close", {"result": "lost"})
    told = system.provider.call("GET", "/v1/events?limit=100")["data"]
    for each in (each for each in reversed(told) if each["data"]["object"]["id"] == dispute):
        system.deliver_and_run(each)


def recovered(system: System) -> str:
    payment_id = system.subscribe("inv", system.provider.scripted_card("insufficient_funds", "success"))
    system.advance(days=3, minutes=1)
    assert counted(system) == (1, 1, 0, [])
    return payment_id


def test_a_recovered_debt_whose_money_is_taken_back_is_not_recovered_any_more(system: System) -> None:
    payment_id = recovered(system)
    lose(system, payment_id)
    assert counted(system) == (1, 0, 1, []), "it is dunned again, and in the same cohort"
    system.pay("inv", "pm_card_visa")
    system.run_until_idle()
    assert counted(system) == (1, 1, 0, [])
    [source] = system.get(PATH, caller="operator").json["total"]["sources"]
    assert source["name"] == "customer_retry"


def test_money_that_is_taken_back_and_not_dunned_again_is_lost(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    payment_id = recovered(system)
    system.post(f"/{payment_id}/refunds", {"amount": "2.00"}, Idempotency_Key="part")
    system.run_until_idle()
    assert counted(system) == (1, 1, 0, []), "what is given back on purpose was recovered before"
    monkeypatch.setattr(system, "runtime", replace(system.runtime, policy=Policy(is_dunning_enabled=False)))
    lose(system, payment_id)
    assert system.dunning_case(payment_id).state == "recovered"
    assert counted(system) == (1, 0, 0, ["taken_back"])


def test_figures_are_for_operators_and_a_wrong_question_is_refused(system: System) -> None:
    assert system.get(PATH, caller="shop").status_code == 403
    for query in ("cohort=2026-13", "from=yesterday", "from=2026-02-02&to=2026-02-01", "group_by=weather", "month=5"):
        refused = system.get(f"{PATH}?{query}", caller="operator")
        assert (refused.status_code, refused.json["type"].rpartition("/")[2]) == (422, "invalid_request"), query
    assert system.get(PATH, caller="operator").json["total"]["recovery"]["all"]["count"]["rate"] is None


def test_the_number_of_statements_and_rows_does_not_grow_with_the_cases(system: System) -> None:
    costs = []
    for size in (1, 8):
        for number in range(size):
            system.subscribe(
                f"inv-{size}-{number}", INSUFFICIENT_FUNDS, user_id=f"u{number}", subscription_id=None, off_session=True
            )
        costs.append([cost_of(system, group_by) for group_by in (None, *GroupBy)])
    assert costs[0] == costs[1]
    assert max(statements for statements, _ in costs[0]) <= 20


def cost_of(system: System, group_by: str | None) -> tuple[int, int]:
    """Return how many statements the figures cost, and how many rows they read."""
    rows: list[int] = []

    def note(result: Any) -> Any:
        fetched = result.all()
        rows.append(len(fetched))
        return fetched

    def counting(connection: Connection) -> Any:
        executed = connection.execute
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(connection, "execute", lambda statement: note(executed(statement)))
            return show_statistics(connection, parse_request({"group_by": group_by} if group_by else {}, now), now)

    now = system.now()
    read(system.engine, counting)
    return len(rows), sum(rows)


# --- the command ---


def test_the_command_prints_and_draws_what_the_api_responds(
    system: System, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recovered(system)
    system.subscribe("other", LOST_CARD, subscription_id=None, off_session=True)
    monkeypatch.setattr("worker.commands.dunning_statistics.open_runtime", lambda: nullcontext(system.runtime))
    for group_by in (None, *GroupBy):
        grouped = [] if group_by is None else ["--group-by", group_by.value]
        told = json.loads(run("--json", *grouped).stdout)
        shown = system.get(f"{PATH}?group_by={group_by}" if group_by else PATH, caller="operator").json
        assert [without_times(told)] == [without_times(shown)]
        table = run(*grouped).stdout
        assert max(map(len, table.splitlines())) <= 100
        assert "1/2 50.0%" in table

    for group_by, ending, magic in (("class", ".png", b"\x89PNG"), ("try", ".svg", b"<?xml")):
        picture = tmp_path / f"statistics{ending}"
        assert run("--group-by", group_by, "--plot", str(picture)).exit_code == 0
        assert picture.read_bytes().startswith(magic)


def without_times(shown: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in shown.items() if name not in ("at", "to")}


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(payments, ["dunning", "statistics", *arguments])
    assert result.exit_code in (0, 1), result.stderr
    return result


def test_a_picture_that_cannot_be_drawn_is_refused_before_any_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def is_not_reached() -> None:
        raise AssertionError

    monkeypatch.setattr("worker.commands.dunning_statistics.open_runtime", is_not_reached)
    for name in ("picture.gif", "no/directory.png", ""):
        result = run("--plot", str(tmp_path / name))
        assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = run("--plot", str(tmp_path / "picture.png"))
    assert (result.exit_code, "pip install 'celeriac[plots]'" in result.stderr) == (1, True)
    assert list(tmp_path.iterdir()) == []
