"""The list of all variables: .env.example and docs/configuration.md are what the settings' classes say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from gateways.registry import PROVIDERS
from stack.process import ROOT
from worker.configuration_page import configuration_page, example, variables
from worker.environment import read_variables
from worker.settings import ProcessSettings, read_settings

EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"((?:^# .*\n)+)^([A-Z_]+)=(.*)$", re.MULTILINE)
FIELDS = {name: field for kind in (ProcessSettings, *PROVIDERS.values()) for name, field in kind.model_fields.items()}


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
    assert sorted(listed) == sorted(name.upper() for name in FIELDS)
    assert [name for name, _, _ in variables()] == listed


@pytest.mark.parametrize("name", FIELDS)
def test_the_example_says_what_a_variable_means_and_its_default(name: str) -> None:
    field = FIELDS[name]
    assert field.description
    assert blocks()[name.upper()] == (field.description, default_text(field.default))


def test_the_example_is_generated() -> None:
    assert example() == EXAMPLE, "renew it: python -m worker.configuration_page --example > .env.example"


def test_the_page_is_generated() -> None:
    assert configuration_page() == PAGE, "renew it: python -m worker.configuration_page > docs/configuration.md"


@pytest.mark.parametrize("name", FIELDS)
def test_the_page_lists_every_variable(name: str) -> None:
    field = FIELDS[name]
    default = default_text(field.default)
    assert f"| `{name.upper()}` | {f'`{default}`' if default else ''} | {field.description} |" in PAGE


def test_the_example_is_a_working_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in FIELDS:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(EXAMPLE)
    from_example = read_settings(read_variables())
    (tmp_path / ".env").unlink()
    assert from_example == read_settings(read_variables())
