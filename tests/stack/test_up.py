"""What `dev.py up` prints. No process starts."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

from stack.stack import Stack
from stack.up import Keys, screen, shell_variables

EXPORTED = {"DATABASE_URL": "postgresql://shop:secret@db/shop"}


def shown(directory: Path) -> tuple[Stack, str]:
    """Return a stack that uses the environment, and its screen."""
    stack = Stack(directory, EXPORTED, use_environment=True)
    keys = Keys("ck_app", "ck_operator")
    return stack, screen(stack, keys, "pay_1", stack.write_shell_file(shell_variables(stack, keys)))


def test_both_keys_and_the_database_without_its_password_are_shown(tmp_path: Path) -> None:
    _, text = shown(tmp_path)
    assert re.search(r"app key +ck_app\b", text)
    assert re.search(r"operator key +ck_operator\b", text)
    assert "postgresql://shop:***@db/shop" in text
    assert "secret" not in text


def test_every_curl_line_can_be_pasted_into_a_shell(tmp_path: Path) -> None:
    stack, text = shown(tmp_path)
    commands = [shlex.split(line) for line in text.splitlines() if line.strip().startswith("curl")]
    assert len(commands) == 3
    for command in commands:
        assert any(word.startswith(stack.api_url) for word in command)
        assert "Authorization: Bearer ck_app" in command
    bodies = [json.loads(command[command.index("-d") + 1]) for command in commands if "-d" in command]
    assert [body["amount"] for body in bodies] == ["24.90", "5.00"]


def test_the_file_to_source_has_the_settings_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    stack, text = shown(tmp_path)
    [file] = [Path(line.split()[1]) for line in text.splitlines() if line.strip().startswith(". ")]
    assert "celery -A worker payments show pay_1" in text
    assert f"export DATABASE_URL={stack.env['DATABASE_URL']}" in file.read_text()
    assert "export STRIPE_API_BASE=" in file.read_text()
    assert f"export API={stack.api_url}\nexport KEY=ck_app\nexport OPERATOR_KEY=ck_operator\n" in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
