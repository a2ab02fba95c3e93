"""Everything that has to hold before a merge: lint, types, layers, then the tests on real servers.

Finds the servers and says at the end which were not there; starts none itself (tests/conftest.py does).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from stack.process import ROOT
from stack.servers import VARIABLES, Servers, discover

TOOLS = Path(sys.executable).parent
CHECKS = {
    "ruff": ["ruff", "check", "--quiet"],
    "mypy": ["mypy", "--no-error-summary"],
    "import-linter": ["lint-imports", "--no-logo"],
    "pytest": ["pytest"],
}


def main(arguments: list[str]) -> int:
    """Run all checks, even after a failed one; return the exit code."""
    servers = discover()
    environment = {**os.environ, **given(servers)}
    failed = []
    for name, command in CHECKS.items():
        print(f"== {name}", flush=True)
        tool, *options = [*command, *(arguments if name == "pytest" else [])]
        if subprocess.run([str(TOOLS / tool), *options], cwd=ROOT, env=environment).returncode:
            failed.append(name)
    missing = missing_in_ci(servers)
    print(describe(servers))
    if missing:
        print(f"CI=true and no {' and no '.join(missing)}: a missing server is a failure here")
    print(f"FAILED: {', '.join([*failed, *missing])}" if failed or missing else "all checks passed")
    return 1 if failed or missing else 0


def given(servers: Servers) -> dict[str, str]:
    """Return the variables that hand the found servers to pytest."""
    return {VARIABLES[name]: url for name, url in servers.by_name().items() if url}


def missing_in_ci(servers: Servers) -> list[str]:
    """Return the servers that CI has to have and has not; PostgreSQL and Redis can come from wheels."""
    is_ci = os.environ.get("CI", "").lower() == "true"
    return ["RabbitMQ"] if is_ci and not servers.amqp else []


def describe(servers: Servers) -> str:
    """Say in one line on which servers the tests ran, and how to include the others."""
    absent = [name for name, url in servers.by_name().items() if not url]
    if not absent:
        return "servers: PostgreSQL, Redis and RabbitMQ, nothing left out"
    brought = [name for name in absent if name != "RabbitMQ"]
    said = [f"{' and '.join(brought)} came from wheels"] if brought else []
    said += ["tests of RabbitMQ were left out"] if "RabbitMQ" in absent else []
    variables = ", ".join(VARIABLES[name] for name in absent)
    return f"servers: {'; '.join(said)}; to include yours, start it on its standard port or set {variables}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
