"""The variables that reach the processes of the stack, and the file that a shell sources."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from stack.environment import is_setting, setting_names, shell_file, without_password, without_settings
from stack.process import ROOT
from worker.configuration_page import variables


def test_every_setting_of_the_application_is_known() -> None:
    assert [name for name, _, _ in variables() if not is_setting(name)] == []


def test_settings_are_left_out_and_other_variables_stay() -> None:
    environment = {"DATABASE_URL": "postgresql://db/live", "KLARNA_REGION": "na", "PATH": "/bin", "TEST_REDIS_URL": "r"}
    assert without_settings(environment) == {"PATH": "/bin", "TEST_REDIS_URL": "r"}


def test_an_empty_setting_is_not_named() -> None:
    assert setting_names({"PUBLIC_URL": "", "ACH_ENABLED": "true", "HOME": "/"}) == ["ACH_ENABLED"]


def test_a_shell_reads_every_value_as_it_is(tmp_path: Path) -> None:
    value = "postgresql://shop:it's $HOME `date`\"@db/shop"
    file = tmp_path / "environment.sh"
    file.write_text(shell_file({"DATABASE_URL": value, "EDITOR": "vi"}, ROOT, {"KEY": "ck_app"}))
    script = f'. {file}; printf "%s\\n" "$DATABASE_URL" "$PYTHONPATH" "${{EDITOR-none}}" "$KEY"; command -v celery'
    shell = subprocess.run(["sh", "-c", script], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True)
    assert shell.stdout.splitlines()[:4] == [value, str(ROOT), "none", "ck_app"], shell.stderr
    assert shell.returncode == 0, "celery is not on the PATH"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql+psycopg://shop:secret@db/shop", "postgresql+psycopg://shop:***@db/shop"),
        ("sqlite:////data/celeriac.db", "sqlite:////data/celeriac.db"),
        ("redis://:secret@127.0.0.1:6379/0", "redis://:**@127.0.0.1:6379/0"),
        ("amqp://shop:secret@mq//", "amqp://shop:**@mq//"),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, shown: str) -> None:
    assert without_password(url) == shown
