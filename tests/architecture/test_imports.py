"""The layers: one direction, no circles, and a sandbox that knows nothing of ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from stack.process import ROOT

LINT = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as lint; lint()", "--no-cache"]


def lint(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*LINT, *more], cwd=folder, capture_output=True, text=True, check=False)


def test_the_contracts_hold() -> None:
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 broken" in result.stdout


def test_the_contracts_can_break(tmp_path: Path) -> None:
    """A contract that names no module of ours would hold whatever is written."""
    for room in ("worker", "tasks", "webhooks", "runtime", "models", "gateways", "domain", "sandbox"):
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").touch()
    (tmp_path / "worker" / "commands").mkdir()
    (tmp_path / "worker" / "commands" / "__init__.py").touch()
    (tmp_path / "worker" / "commands" / "sandbox.py").write_text("from sandbox.server import serve\n")
    (tmp_path / "sandbox" / "server.py").write_text("import domain\nserve = domain\n")
    (tmp_path / "domain" / "clock.py").write_text("import time\nimport models\nprint(time, models)\n")
    (tmp_path / "tasks" / "charge.py").write_text("import webhooks\nprint(webhooks)\n")
    (tmp_path / "setup.cfg").write_text((ROOT / "setup.cfg").read_text())
    result = lint(tmp_path)
    assert result.returncode != 0, result.stdout
    assert "1 kept, 3 broken" in result.stdout
