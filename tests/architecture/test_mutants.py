"""Each planted bug still fits its file and names tests that exist. `dev.py mutants` plants them."""

from __future__ import annotations

from stack.planted_bugs import planted_bugs, problems

from .source import LAYERS

# Of a list that shrinks, nobody sees what is missing.
FEWEST = 250
PROVIDERS = ("stripe", "paypal", "klarna", "afterpay", "coinbase", "coinbase_commerce")


def test_every_planted_bug_fits_its_file_and_names_its_tests() -> None:
    assert list(problems(planted_bugs())) == []


def test_every_room_and_every_provider_has_planted_bugs() -> None:
    bugs = planted_bugs()
    assert len(bugs) >= FEWEST
    rooms = {bug.file.split("/")[0] for bug in bugs}
    assert set(LAYERS) - {"notifications"} <= rooms
    assert [name for name in PROVIDERS if not any(bug.file.startswith(f"gateways/{name}/") for bug in bugs)] == []
