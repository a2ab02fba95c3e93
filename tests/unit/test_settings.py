"""The configuration: every error at once by name and never by value, and an example file that cannot lag behind."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from stack.process import ROOT
from worker.settings import Settings, load_settings, readme_table

EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
BLOCK = re.compile(r"((?:^# .*\n)+)^([A-Z_]+)=(.*)$", re.MULTILINE)
SANDBOX = "http://127.0.0.1:4242"


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", "whsec_x")
    monkeypatch.chdir(tmp_path)
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


def read(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return Settings()


def test_without_anything_there_are_defaults() -> None:
    settings = Settings()
    assert settings.policy.dunning.delays_days == (3, 7, 14)
    assert (settings.policy.dunning.attempts, settings.policy.dunning.grace_days) == (3, 7)
    assert settings.policy.action_expires_after == timedelta(hours=24)
    assert not settings.is_sandbox


def test_all_errors_are_told_at_once_by_name_and_without_values(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = {
        "DATABASE_URL": "mysql://user:canary@host/name",
        "CELERY_BROKER_URL": "canary://host",
        "WORKER_CONCURRENCY": "canary",
        "DUNNING_RETRY_DELAYS_DAYS": "7,3",
        "DUNNING_RETRY_ATTEMPTS": "99",
    }
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        load_settings()
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert sorted(line.split(":")[0] for line in told.splitlines()) == sorted(wrong)
    assert "canary" not in told


@pytest.mark.parametrize(
    ("key", "base", "names"),
    [
        ("sk_live_canary", SANDBOX, ("STRIPE_SECRET_KEY", "STRIPE_API_BASE")),
        ("rk_live_canary", SANDBOX, ("STRIPE_SECRET_KEY", "STRIPE_API_BASE")),
        ("sk_test_sandbox_canary", None, ("STRIPE_SECRET_KEY", "STRIPE_API_BASE")),
        ("sk_test_sandbox_canary", "https://api.stripe.com/", ("STRIPE_SECRET_KEY", "STRIPE_API_BASE")),
    ],
)
def test_a_key_that_does_not_belong_to_the_host(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], key: str, base: str | None, names: tuple[str]
) -> None:
    monkeypatch.setenv("STRIPE_SECRET_KEY", key)
    if base is not None:
        monkeypatch.setenv("STRIPE_API_BASE", base)
    with pytest.raises(SystemExit):
        load_settings()
    told = capsys.readouterr().err
    assert all(name in told for name in names)
    assert "canary" not in told


@pytest.mark.parametrize(
    ("key", "base"),
    [
        ("sk_live_x", None),
        ("sk_test_x", None),
        ("sk_test_x", SANDBOX),
        ("sk_test_sandbox_x", SANDBOX),
        ("rk_test_x", None),
    ],
)
def test_a_key_that_belongs_to_the_host(monkeypatch: pytest.MonkeyPatch, key: str, base: str | None) -> None:
    settings = read(monkeypatch, STRIPE_SECRET_KEY=key, **({} if base is None else {"STRIPE_API_BASE": base}))
    assert settings.is_sandbox is (base is not None)


def test_several_webhook_secrets_so_that_they_can_rotate(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(monkeypatch, STRIPE_WEBHOOK_SECRET="whsec_new, whsec_old,")
    assert [secret.get_secret_value() for secret in settings.stripe_webhook_secret] == ["whsec_new", "whsec_old"]


def test_without_a_webhook_secret_no_provider_is_served(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("STRIPE_WEBHOOK_SECRET")
    monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_test_x")
    with pytest.raises(SystemExit):
        load_settings()
    assert "STRIPE_WEBHOOK_SECRET" in capsys.readouterr().err


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(monkeypatch, STRIPE_SECRET_KEY="sk_test_canary", STRIPE_WEBHOOK_SECRET="whsec_canary")
    assert "canary" not in repr(settings) + str(settings) + settings.model_dump_json()


@pytest.mark.parametrize("days", ["7,3", "3,3", "0,1", "-1", "x", "3;7"])
def test_days_that_are_no_plan(monkeypatch: pytest.MonkeyPatch, days: str) -> None:
    with pytest.raises(ValidationError):
        read(monkeypatch, DUNNING_RETRY_DELAYS_DAYS=days)


def test_days_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(monkeypatch, DUNNING_RETRY_DELAYS_DAYS="1, 5", DUNNING_RETRY_ATTEMPTS="2")
    assert settings.policy.dunning.delays_days == (1, 5)


@pytest.mark.parametrize(
    "url", ["postgres://u@h/n", "postgresql://u@h/n", "postgresql+psycopg://u@h/n", "sqlite:///f.db"]
)
def test_databases(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    assert read(monkeypatch, DATABASE_URL=url).database_url == url


@pytest.mark.parametrize("url", ["amqp://h//", "amqps://h//", "redis://h", "rediss://h", "redis+socket:///s"])
def test_brokers(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    assert read(monkeypatch, CELERY_BROKER_URL=url).celery_broker_url == url


def test_an_env_file_is_read_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DUNNING_GRACE_PERIOD_DAYS=9\nCELERY_QUEUE_PREFIX=file-\nUNKNOWN=ignored\n")
    settings = read(monkeypatch, CELERY_QUEUE_PREFIX="environment-")
    assert (settings.dunning_grace_period_days, settings.celery_queue_prefix) == (9, "environment-")


# --- .env.example ---


def default_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def blocks() -> dict[str, tuple[str, str]]:
    """Return each variable of the example with its comment and default."""
    return {
        name: (" ".join(re.findall(r"^# (.*)$", note, re.M)), value) for note, name, value in BLOCK.findall(EXAMPLE)
    }


def test_the_example_lists_every_variable_and_no_other() -> None:
    listed = re.findall(r"^#? ?([A-Z_]+)=", EXAMPLE, re.MULTILINE)
    assert sorted(listed) == sorted(name.upper() for name in Settings.model_fields)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_the_example_says_what_a_variable_means_and_its_default(name: str) -> None:
    field = Settings.model_fields[name]
    assert field.description
    assert blocks()[name.upper()] == (field.description, default_text(field.default))


def test_the_readme_lists_every_variable() -> None:
    assert readme_table() in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_example_is_a_working_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("STRIPE_WEBHOOK_SECRET")
    (tmp_path / ".env").write_text(EXAMPLE)
    from_example = Settings()
    (tmp_path / ".env").unlink()
    assert from_example == Settings()
