"""The operators' commands: each names its database first, and refuses in one line with an exit code."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import update

from domain.attention import Reason
from domain.cash_balance import ShownBalance
from domain.commands import Started
from domain.outcome import Approved
from domain.routing import Choice
from models import transition
from models.accept_payment import accept_payment
from models.attention import open_entry
from models.cash_balances import ask_for_readings, book_reading, claim_reading, watch_balance
from models.idempotency import Caller
from models.provider_customers import User
from models.queries import show_payment
from models.request_bodies import ProcessPayment
from models.session import transact
from models.tables import attempts
from models.tables import payments as payments_table
from stack.process import free_port
from worker import runtime as process_runtime
from worker.commands.group import payments
from worker.commands.open_runtime import database_name
from worker.commands.payments import print_movements
from worker.configuration_page import variables
from worker.settings import load_settings

Run = Callable[..., Result]

ON_A_DATABASE = [
    ("db", "upgrade"),
    ("keys", "create", "--role", "app", "--name", "shop"),
    ("keys", "list"),
    ("keys", "revoke", "key_1"),
    ("show", "pay_1"),
    ("attention", "list"),
    ("attention", "show", "attn_1"),
    ("attention", "resolve", "attn_1", "--action", "close", "--note", "done"),
    ("dunning", "list"),
    ("dunning", "show", "case_1"),
    *(("dunning", action, "case_1", "--reason", "asked") for action in ("stop", "resume", "retry-now")),
    *(
        ("dunning", action, "case_1", "--reason", "asked", "--until", "2027-01-02T03:04:05Z")
        for action in ("pause", "extend-grace")
    ),
    ("dunning", "process-retries"),
    ("dunning", "check-grace-periods"),
    ("dunning", "unknown-codes"),
    ("dunning", "statistics"),
    ("fraud", "explain", "pay_1"),
    *(("fraud", "lists", *rest) for rest in (("add", "block", "user", "x", "--reason", "y"), ("remove", "list_1"))),
    ("fraud", "lists", "show"),
    *(("fraud", "rules", *rest) for rest in (("list",), ("live", "v"), ("shadow", "v"), ("rollback",), ("show", "v"))),
    ("fraud", "rules", "candidate", "v", "--share", "10"),
    ("fraud", "label", "pay_1", "--fraud"),
    ("fraud", "statistics"),
    ("fraud", "brake"),
    ("erase", "user", "--application", "shop"),
    ("reviews", "list"),
    *(("reviews", action, "pay_1") for action in ("claim", "approve")),
    ("reviews", "reject", "pay_1", "--reason", "y"),
    ("ledger", "verify"),
    ("compare",),
    ("providers",),
]
WITHOUT_A_DATABASE = [
    ("sandbox",),
    ("sandbox", "advance"),
    ("dunning", "simulate"),
    ("fraud", "backtest"),
    ("fraud", "fit"),
    ("fraud", "rules", "commit"),
]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Run]:
    """Run a command with these variables alone, in a runtime of its own."""
    for name, _, _ in variables():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(process_runtime, "_runtime", None)

    def run(*arguments: str, **environment: str) -> Result:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        load_settings.cache_clear()
        return CliRunner().invoke(payments, arguments)

    yield run
    if process_runtime._runtime is not None:
        process_runtime._runtime.engine.dispose()
    load_settings.cache_clear()


def leaves(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of every command that does something."""
    subcommands = command.commands if isinstance(command, click.Group) else {}
    if path and (not subcommands or command.invoke_without_command):  # type: ignore[attr-defined]
        yield path
    for name, each in subcommands.items():
        yield from leaves(each, (*path, name))


def test_every_command_is_tried() -> None:
    commands = set(leaves(payments))
    tried = [max((path for path in commands if path == each[: len(path)]), key=len) for each in ON_A_DATABASE]
    assert {*tried, *WITHOUT_A_DATABASE} == commands


@pytest.mark.parametrize("arguments", ON_A_DATABASE, ids=" ".join)
def test_a_command_names_its_database_also_when_it_fails(run: Run, arguments: tuple[str, ...]) -> None:
    port = free_port()
    result = run(*arguments, DATABASE_URL=f"postgresql://shop:canary@127.0.0.1:{port}/celeriac")
    named, reason = result.stderr.splitlines()
    assert named == f"database: postgresql://shop@127.0.0.1:{port}/celeriac"
    assert reason.startswith("the database failed (OperationalError)")
    assert (result.exit_code, result.stdout) == (1, "")


def test_the_books_are_verified(run: Run) -> None:
    run("db", "upgrade")
    proven = run("ledger", "verify")
    assert (proven.exit_code, proven.stdout.splitlines()) == (
        0,
        ["0 payments, 0 movements", "every amount is the sum of its movements", "nothing waits without an end"],
    )
    payment_id = accepted_payment()
    unbooked = update(payments_table).values(captured=500)
    transact(process_runtime._runtime.engine, lambda connection: connection.execute(unbooked))  # type: ignore[union-attr]
    refused = run("ledger", "verify")
    assert refused.exit_code == 1
    assert refused.stderr.splitlines()[1:] == [
        f"{payment_id}  captured  stored 5.00  booked 0.00 EUR",
        "1 amounts are not the sums of their movements",
    ]


def test_a_row_that_waits_without_an_end_is_shown(run: Run) -> None:
    run("db", "upgrade")
    run("ledger", "verify")
    payment_id = accepted_payment()
    forgotten = update(attempts).values(due_at=None).returning(attempts.c.id)
    attempt_id = transact(process_runtime._runtime.engine, lambda connection: connection.scalar(forgotten))  # type: ignore[union-attr]
    refused = run("ledger", "verify")
    assert (refused.exit_code, refused.stderr.splitlines()[1:]) == (
        1,
        [
            f"payments  {payment_id}  accepted  waits without an end",
            f"attempts  {attempt_id}  due  waits without an end",
            "2 rows wait without an end",
        ],
    )


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("postgresql://shop:canary@db.example:5433/celeriac", "postgresql://shop@db.example:5433/celeriac"),
        ("postgresql://db.example/celeriac?password=canary&sslpassword=canary", "postgresql://db.example/celeriac"),
        ("postgresql://shop:can%40ary@/celeriac?host=/run/pg", "postgresql://shop@/celeriac on /run/pg"),
        ("postgresql:///celeriac?host=a:1&host=b:2", "postgresql:///celeriac on a:1, b:2"),
        ("sqlite:///celeriac.db", "sqlite:///celeriac.db"),
        ("sqlite:////srv/celeriac.db", "sqlite:////srv/celeriac.db"),
    ],
)
def test_a_database_is_named_without_its_password(url: str, name: str) -> None:
    assert database_name(url) == name


def test_the_first_key_of_a_new_database(run: Run, tmp_path: Path) -> None:
    upgraded = run("db", "upgrade")
    assert upgraded.stderr == "database: sqlite:///celeriac.db\n"
    assert upgraded.stdout.startswith("database is at revision ")
    assert (tmp_path / "celeriac.db").exists()
    key = run("keys", "create", "--role", "app", "--name", "shop").stdout
    assert key.startswith("ck_")
    [listed] = run("keys", "list").stdout.splitlines()
    assert key.strip() not in listed
    assert listed.split()[1:3] == ["app", "shop"]
    assert listed.endswith("active")
    key_id = listed.split()[0]
    assert run("keys", "revoke", key_id).stdout == f"{key_id} is revoked\n"
    assert "revoked 2" in run("keys", "list").stdout
    again = run("keys", "revoke", key_id)
    assert (again.exit_code, again.stdout) == (1, "")
    assert again.stderr.splitlines()[1].startswith(f"no active key {key_id}")


def test_one_call_makes_a_key_of_each_role(run: Run) -> None:
    run("db", "upgrade")
    keys = run("keys", "create", "--role", "app", "--role", "operator", "--name", "shop").stdout.splitlines()
    assert len(set(keys)) == 2
    assert {line.split()[1] for line in run("keys", "list").stdout.splitlines()} == {"app", "operator"}


@pytest.mark.parametrize("name", ["", "x" * 101, "shop\n"])
def test_a_name_that_is_none(run: Run, name: str) -> None:
    result = run("keys", "create", "--role", "app", "--name", name)
    assert (result.exit_code, result.stderr) == (1, "--name must be 1 to 100 printable characters\n")


def test_an_unknown_payment_is_not_found(run: Run, sqlite_url: str) -> None:
    result = run("show", "pay_1", DATABASE_URL=sqlite_url)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[1:] == ["no such payment; check the id"]


def test_a_payment_is_shown_with_what_happens_next(run: Run, sqlite_url: str) -> None:
    run("keys", "list", DATABASE_URL=sqlite_url)
    payment_id = accepted_payment()
    lines = run("show", payment_id).stdout.splitlines()
    assert lines[0] == f"{payment_id}  accepted  24.90 EUR"
    assert "credit_card by stripe" in lines[2]
    assert lines.index("attempts") < lines.index("movements") < lines.index("timeline") < lines.index("next")
    assert lines[-1].endswith("charge 1 is sent to the provider")


def test_a_movement_is_shown_with_our_time_and_that_of_its_provider(capsys: pytest.CaptureFixture[str]) -> None:
    booked = {"booked_at": "2026-11-28T12:00:05.000Z", "kind": "charge", "amount": "24.90", "currency": "EUR"}
    times = ("2026-11-28T12:00:00.000Z", None)
    print_movements([booked | {"provider_reference": "pi_1", "moved_at": moved_at} for moved_at in times])
    shown, without = capsys.readouterr().out.splitlines()[1:]
    assert shown.endswith("pi_1  moved 2026-11-28 12:00:00.000Z")
    assert without.endswith("pi_1")


def test_what_needs_a_person_is_listed_shown_and_decided(run: Run, sqlite_url: str) -> None:
    run("keys", "list", DATABASE_URL=sqlite_url)
    payment_id = accepted_payment()
    runtime: Any = process_runtime._runtime
    given = {"payment_id": payment_id, "amount": 500, "currency": "EUR", "data": {"refund": "re_1", "attempt": None}}
    runtime.change("test", open_entry, Reason.REFUND_ELSEWHERE, **given)
    [listed] = run("attention", "list").stdout.splitlines()
    entry_id = listed.split()[0]
    assert listed.split()[2:] == ["refund_elsewhere", "5.00", "EUR", payment_id]
    shown = run("attention", "show", entry_id).stdout.splitlines()
    assert (shown[0], shown[1], shown[-1]) == (listed, "  refund: re_1", "  actions: close")
    assert "attempt: " not in "\n".join(shown)
    waiting = f"  waits for a person: {entry_id}  refund_elsewhere; allowed: close"
    assert waiting in run("show", payment_id).stdout.splitlines()

    refused = run("attention", "resolve", entry_id, "--action", "give_back", "--note", "agreed")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr.splitlines()[1:] == ["the action for the reason refund_elsewhere must be one of: close"]
    resolved = run("attention", "resolve", entry_id, "--action", "close", "--note", "agreed")
    assert (resolved.exit_code, resolved.stdout) == (0, f"{entry_id}: close; the entry is closed\n")
    again = run("attention", "resolve", entry_id, "--action", "close", "--note", "agreed")
    assert (again.exit_code, "closed by cli already" in again.stderr) == (1, True)
    assert run("attention", "list").stdout == ""
    assert "waits for a person" not in run("show", payment_id).stdout
    assert "by cli" in run("attention", "list", "--all", "--reason", "refund_elsewhere").stdout
    assert "  decided: close  agreed" in run("attention", "show", entry_id).stdout.splitlines()
    unknown = run("attention", "show", "attn_1")
    assert (unknown.exit_code, unknown.stderr.splitlines()[1].split(";")[0]) == (1, "no such entry")


def test_a_charge_is_reopened_by_command(run: Run, sqlite_url: str) -> None:
    run("keys", "list", DATABASE_URL=sqlite_url)
    payment_id = accepted_payment()
    runtime: Any = process_runtime._runtime
    [attempt] = runtime.read(show_payment, payment_id, None)["attempts"]
    shown = (Started(), Approved("pi_1", 2490, 2490), Approved("pi_1", voided=True))
    for trigger in shown:
        runtime.change("test", transition.apply, attempt["id"], trigger)
    [listed] = run("attention", "list").stdout.splitlines()
    entry_id = listed.split()[0]
    assert run("attention", "show", entry_id).stdout.splitlines()[-1] == "  actions: reopen, accept, close"
    resolved = run("attention", "resolve", entry_id, "--action", "reopen", "--note", "the bank has nothing")
    assert resolved.stdout == f"{entry_id}: reopen; the entry is closed\n"
    lines = run("show", payment_id).stdout.splitlines()
    assert lines[0] == f"{payment_id}  reversed  24.90 EUR"
    assert any("reversal" in line and "-24.90 EUR" in line and "pi_1/reopened" in line for line in lines)
    assert run("ledger", "verify").exit_code == 0


def test_money_that_fits_no_payment_is_shown_with_its_movements(run: Run, sqlite_url: str) -> None:
    assert run("attention", "list", DATABASE_URL=sqlite_url).stdout == ""
    runtime: Any = process_runtime._runtime
    runtime.change("test", watch_balance, "stripe", "cus_1", "EUR", User("shop", "ada"))
    [message] = runtime.change("test", ask_for_readings, "stripe", "cus_1", ["EUR"])
    reading = runtime.change("test", claim_reading, message.row_id)
    runtime.change("test", book_reading, reading, ShownBalance(1230, "ccsbtxn_1"))
    refused = run("attention", "resolve", "attn_1", "--action", "give_back", "--note", "agreed", "--write-off")
    assert refused.stderr.splitlines()[1:] == ["write_off goes with the action close only"]
    [listed] = run("attention", "list").stdout.splitlines()
    assert listed.split()[2:] == ["unmatched_receipt", "12.30", "EUR", reading.balance_id]
    shown = run("attention", "show", listed.split()[0]).stdout.splitlines()
    assert "  balance of ada at stripe  12.30 EUR" in shown
    assert [line.split()[-1] for line in shown if "unmatched_receipt " in line and "12.30 EUR" in line][
        -1
    ] == "ccsbtxn_1"
    assert shown[-1] == "  actions: give_back, close"
    assert "every amount is the sum of its movements" in run("ledger", "verify").stdout


def accepted_payment() -> str:
    """Accept a payment in the runtime of the command before; return its id."""
    runtime: Any = process_runtime._runtime
    request = ProcessPayment.parse(
        {
            "invoice_id": "inv",
            "user_id": "user",
            "amount": "24.90",
            "currency": "EUR",
            "payment_method": "credit_card",
            "payment_method_token": "pm_x",
        }
    )
    caller, choices = Caller("shop", "app:shop"), (Choice("stripe", "preferred"),)
    accepted = transact(runtime.engine, accept_payment, request, caller, None, runtime.clock.now(), choices)
    return str(accepted.payment_id)


def test_providers_that_are_off_name_the_variable_that_switches_them_on(run: Run, sqlite_url: str) -> None:
    result = run("providers", DATABASE_URL=sqlite_url)
    assert result.exit_code == 0
    lines = {line.split()[0]: line for line in result.stdout.splitlines()}
    assert "off   set STRIPE_SECRET_KEY" in lines["stripe"]
    assert "off   set COINBASE_COMMERCE_API_KEY" in lines["coinbase_commerce"]
    assert " on " in lines["manual"]


def test_a_provider_that_does_not_respond_fails_the_command(run: Run, sqlite_url: str) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    keys = {"STRIPE_SECRET_KEY": "sk_test_sandbox", "STRIPE_WEBHOOK_SECRET": "whsec_x", "STRIPE_API_BASE": address}
    result = run("providers", DATABASE_URL=sqlite_url, **keys)
    assert result.exit_code == 1
    assert "on    FAILED: " in result.stdout.splitlines()[0]
    assert "manual" in result.stdout.splitlines()[-1]


# --- sandbox ---


def test_the_sandbox_needs_a_port(run: Run) -> None:
    result = run("sandbox")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "--port" in result.stderr


def test_the_sandbox_names_the_extra_whose_package_is_missing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "markupsafe")
    result = run("sandbox", "--port", "0")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "markupsafe" in result.stderr
    assert "'celeriac[sandbox]'" in result.stderr


def test_a_missing_module_of_the_sandbox_itself_is_a_bug(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "sandbox.missing")
    assert isinstance(run("sandbox", "--port", "0").exception, ModuleNotFoundError)


def without(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    """Let the import of the sandbox fail as it does when one of the modules it imports is missing."""
    real = builtins.__import__

    def fail(name: str, *how: Any, **more: Any) -> Any:
        if name == "sandbox.server":
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)
        return real(name, *how, **more)

    monkeypatch.setattr(builtins, "__import__", fail)


def test_only_the_clock_of_a_sandbox_is_moved(run: Run) -> None:
    result = run("sandbox", "advance", "--days", "1", STRIPE_SECRET_KEY="sk_test_x", STRIPE_WEBHOOK_SECRET="whsec_x")
    assert (result.exit_code, result.stderr.split(":")[0]) == (1, "refused")


def test_a_sandbox_that_does_not_respond(run: Run) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    keys = {"STRIPE_SECRET_KEY": "sk_test_sandbox", "STRIPE_WEBHOOK_SECRET": "whsec_x", "STRIPE_API_BASE": address}
    result = run("sandbox", "advance", "--days", "1", **keys)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "does not respond: ConnectionError" in result.stderr
