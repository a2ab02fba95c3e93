"""The settings of the stack's processes. No process starts."""

from __future__ import annotations

from pathlib import Path

from stack.stack import Stack

EXPORTED = {
    "DATABASE_URL": "postgresql://shop:secret@db/live",
    "CELERY_BROKER_URL": "amqp://shop:secret@mq//",
    "STRIPE_SECRET_KEY": "sk_live_canary",
    "DUNNING_RETRY_ATTEMPTS": "1",
    "HOME": "/home",
}


def test_exported_settings_reach_no_process(tmp_path: Path) -> None:
    stack = Stack(tmp_path, EXPORTED)
    assert stack.env["DATABASE_URL"] == f"sqlite:///{tmp_path}/celeriac.db"
    assert stack.env["CELERY_BROKER_URL"].startswith("redis://127.0.0.1:")
    assert stack.broker is not None
    assert "DUNNING_RETRY_ATTEMPTS" not in stack.env
    assert stack.env["HOME"] == "/home"


def test_no_process_reads_a_dotenv_file_of_the_caller(tmp_path: Path) -> None:
    stack = Stack(tmp_path, EXPORTED)
    assert {process.folder for process in (stack.sandbox, stack.web, stack.worker, stack.beat)} == {tmp_path}


def test_with_use_environment_they_do_but_the_provider_is_the_sandbox(tmp_path: Path) -> None:
    stack = Stack(tmp_path, EXPORTED, use_environment=True)
    assert stack.env["DATABASE_URL"] == EXPORTED["DATABASE_URL"]
    assert stack.broker is None
    assert stack.env["DUNNING_RETRY_ATTEMPTS"] == "1"
    assert stack.env["STRIPE_SECRET_KEY"].startswith("sk_test_sandbox")
    assert stack.web.folder == Path.cwd()


def test_an_empty_variable_is_no_setting(tmp_path: Path) -> None:
    stack = Stack(tmp_path, {"DATABASE_URL": "", "CELERY_BROKER_URL": ""}, use_environment=True)
    assert stack.env["DATABASE_URL"].startswith("sqlite:///")
    assert stack.broker is not None


def test_without_tasks_the_caller_makes_workers_of_the_same_settings(tmp_path: Path) -> None:
    stack = Stack(tmp_path, {}, has_tasks=False)
    worker = stack.celery("worker7", "worker", "-n", "worker7@%h")
    assert (worker.env, worker.command[-2:]) == (stack.env, ["-n", "worker7@%h"])
    assert "worker |" not in stack.log_tails()


def test_addresses_are_shown_without_passwords(tmp_path: Path) -> None:
    stack = Stack(tmp_path, EXPORTED, use_environment=True)
    assert (stack.database, stack.broker_url) == ("postgresql://shop:***@db/live", "amqp://shop:**@mq//")
