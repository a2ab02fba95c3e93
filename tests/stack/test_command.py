"""The frame of `demo`, `up`, `books` and `fire`: every failure ends with one line that says what happened."""

from __future__ import annotations

from pathlib import Path

import pytest

from stack import books, demo, fire
from stack.command import print_failure
from stack.process import ProcessError


def test_the_reason_of_a_failure_is_its_last_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_failure("demo", ProcessError("web ended before a listening port\n  web | first\n  web | last"))
    assert capsys.readouterr().err.splitlines() == [
        "  web | first",
        "  web | last",
        "demo: web ended before a listening port",
    ]


@pytest.mark.parametrize(
    "arguments", [["--operations", "0"], ["--operations", "many"], ["--rate", "2"], ["--rate", "often"]]
)
def test_books_refuses_a_number_that_makes_no_sense(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        books.main(arguments)
    assert arguments[0] in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("arguments", [["--debts", "0"], ["--days", "none"], ["--rounds", "-1"], ["--at", "nowhere"]])
def test_fire_refuses_what_makes_no_sense(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        fire.main(arguments)
    assert arguments[0] in capsys.readouterr().err.splitlines()[-1]


def test_the_demo_refuses_a_file_that_it_cannot_write_before_it_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        demo.main(["--json", str(tmp_path / "absent" / "demo.json")])
    assert "name a file in a folder that exists" in capsys.readouterr().err
