"""What a long command shows, on a terminal and elsewhere."""

from __future__ import annotations

import io
import re

from stack.process import wait_until
from stack.progress import CLEAR_LINE, TERMINAL_COLUMNS, Progress


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def test_an_activity_is_repeated_on_lines_of_its_own() -> None:
    stream = io.StringIO()
    with Progress(stream, interval_seconds=0.01, repeat_seconds=0.01) as progress:
        progress.show("waiting for the worker")
        assert wait_until(lambda: stream.getvalue().count("\n") > 2, 10)
    lines = stream.getvalue().splitlines()
    assert all(re.fullmatch(r" +\d+ s  waiting for the worker", line) for line in lines), lines


def test_the_same_text_is_not_repeated_at_once_where_lines_stay() -> None:
    stream, texts = io.StringIO(), ["waiting"] * 20 + ["done"]
    with Progress(stream, interval_seconds=0.01, repeat_seconds=1000) as progress:
        progress.show(lambda: texts.pop(0) if len(texts) > 1 else texts[0])
        assert wait_until(lambda: "done\n" in stream.getvalue(), 10)
    assert [line.split()[-1] for line in stream.getvalue().splitlines()] == ["waiting", "done"]


def test_a_function_is_called_each_time() -> None:
    stream, numbers = io.StringIO(), iter(range(1000))
    with Progress(stream, interval_seconds=0.01) as progress:
        progress.show(lambda: f"payment {next(numbers)}")
        assert wait_until(lambda: "payment 1\n" in stream.getvalue(), 10)


def test_on_a_terminal_one_line_is_written_anew_and_is_gone_at_the_end() -> None:
    stream = Terminal()
    with Progress(stream, interval_seconds=100) as progress:
        progress.show("x" * 2 * TERMINAL_COLUMNS)
        progress.print("a result")
    shown, result, end = stream.getvalue().partition("a result\n")
    first, line, *_, last = shown.split(CLEAR_LINE)
    assert (first, last) == ("", "")
    assert len(line) == TERMINAL_COLUMNS
    assert (result, end) == ("a result\n", CLEAR_LINE)


def test_after_stop_nothing_is_repeated() -> None:
    stream = io.StringIO()
    with Progress(stream, interval_seconds=0.01) as progress:
        progress.show("working")
        progress.stop()
        written = stream.getvalue()
        progress.print("done")
    assert stream.getvalue() == f"{written}done\n"
