"""Every command, curl line and Celery snippet of the README and the quickstart runs against a running stack."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from stack.process import ROOT, wait_until
from stack.stack import Stack
from tests.docs.pages import Block, blocks_of
from tests.patience import patient

pytestmark = pytest.mark.acceptance

# Blocks that do not run here: page and number, and why not.
NOT_RUN = {
    ("README.md", 1): "the demo and the tests themselves; .ci/run runs both",
    ("README.md", 5): "makes a folder outside the project and downloads packages",
    ("docs/quickstart.md", 1): "starts a stack until Ctrl-C; this test starts the same one",
    ("docs/quickstart.md", 2): "placeholders for what `dev.py up` prints; this test sets the variables",
}
# Diagrams and files, not commands.
SHOWN = {"mermaid", "toml"}
PAGES = (Path("README.md"), Path("docs/quickstart.md"))
# How the payments of the quickstart end, by the number of their order.
ENDS = {
    11: ["partially_refunded"],
    12: ["captured"],
    13: ["captured"],
    14: ["declined"],
    15: ["captured"],
    16: ["captured"],
    17: ["captured"],
    18: ["captured"],
    19: ["captured"],
    20: ["uncollectible"],
}
# No block waits for more than a few tries of a worker.
BLOCK_SECONDS = patient(40)


@dataclass
class Terminal:
    """Runs blocks one after the other, as a person does in one terminal: variables and functions stay."""

    stack: Stack
    variables: dict[str, str]
    state: Path = field(init=False)

    def __post_init__(self) -> None:
        self.state = self.stack.directory / "terminal"
        self.state.write_text("")

    def run(self, block: Block) -> str:
        """Run a block; return what it printed. Fails with the block's place and errors."""
        if block.language == "sh":
            script = f"set -aeuo pipefail\n. {self.state}\n{block.text}\n{{ export -p; export -f; }} > {self.state}\n"
            command = ["bash", "-c", script]
        else:
            command = ["bash", "-c", f'. {self.state}\nexec {sys.executable} -c "$0"', block.text]
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        env = {**self.stack.env, "PATH": path, **self.variables}
        ran = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=BLOCK_SECONDS)
        assert ran.returncode == 0, f"{block.page}, block {block.number}:\n{block.text}\n{ran.stdout}\n{ran.stderr}"
        return ran.stdout


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A terminal beside the stack of `dev.py up`, with the variables that a person takes from its screen."""
    with Stack(tmp_path_factory.mktemp("stack")) as stack:
        app_key, operator_key = stack.create_keys("up")
        variables = {
            "API": stack.api_url,
            "KEY": app_key,
            "OPERATOR_KEY": operator_key,
            "SANDBOX": stack.sandbox_url,
            "BROKER_URL": stack.env["CELERY_BROKER_URL"],
        }
        yield Terminal(stack, variables)


def commands_of(page: Path) -> list[Block]:
    """Return the blocks of a page that hold commands or code, in order."""
    return [block for block in blocks_of(page) if block.language not in SHOWN]


def runnable(page: Path) -> list[Block]:
    """Return the blocks of a page that are run here."""
    return [block for block in commands_of(page) if (block.page, block.number) not in NOT_RUN]


def payments_of(terminal: Terminal, invoice_id: str) -> list[dict[str, Any]]:
    """Return the payments of an invoice, as the operator sees them."""
    headers = {"Authorization": f"Bearer {terminal.variables['OPERATOR_KEY']}"}
    shown = requests.get(f"{terminal.stack.api_url}/?invoice_id={invoice_id}", headers=headers, timeout=10)
    found: list[dict[str, Any]] = shown.json()["payments"]
    return found


def test_what_is_not_run_is_there() -> None:
    known = {(block.page, block.number) for page in PAGES for block in commands_of(page)}
    assert set(NOT_RUN) <= known


def test_every_block_names_its_language() -> None:
    blocks = [block for page in PAGES for block in commands_of(page)]
    assert [(block.page, block.number) for block in blocks if block.language not in ("sh", "python")] == []
    assert len(blocks) > len(NOT_RUN) + 10


def test_the_readme_charges_a_card_over_http_and_another_by_celery(terminal: Terminal) -> None:
    over_http, by_celery = (terminal.run(block) for block in runnable(Path("README.md")))
    assert (json.loads(over_http)["status"], by_celery) == ("captured", "")

    def is_captured() -> bool:
        return [payment["status"] for payment in payments_of(terminal, "order-2")] == ["captured"]

    assert wait_until(is_captured, BLOCK_SECONDS, 0.2), payments_of(terminal, "order-2")


def test_the_quickstart_leads_to_what_its_comments_say(terminal: Terminal) -> None:
    for block in runnable(Path("docs/quickstart.md")):
        output = terminal.run(block)
        printed = output.split()
        promised = block.text.rstrip().splitlines()[-1].partition(" # ")[2]
        assert not promised or printed[-1] == promised.strip(), f"block {block.number} printed {printed}"
    assert "timeline" in output, "the last block shows the first payment to an operator"
    assert "charge_approved" in output
    states = {number: [payment["status"] for payment in payments_of(terminal, f"order-{number}")] for number in ENDS}
    assert states == ENDS
