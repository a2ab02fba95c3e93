"""Long commands say how far they are on a terminal, and nothing elsewhere."""

from __future__ import annotations

import io
import sys

import pytest

from worker.commands.campaign import bar


class Terminal(io.StringIO):
    """Says that a person looks at it."""

    def isatty(self) -> bool:
        """Tell so."""
        return True


@pytest.mark.parametrize(("stream", "is_shown"), [(Terminal(), True), (io.StringIO(), False)])
def test_progress_is_for_terminals(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, is_shown: bool) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    with bar("reading", 10) as done:
        for _ in range(10):
            done(1)
    shown = stream.getvalue()
    assert ("reading" in shown, "100%" in shown) == (is_shown, is_shown)
    assert bool(shown) is is_shown
