"""The glossary has one line for each word, in order, and the words that the code uses for its main things."""

from __future__ import annotations

import re
from pathlib import Path

from domain.payment import Verb
from tests.docs.pages import text_of

_ROW = re.compile(r"^\| ([A-Z][\w -]*) \| (.+) \|$", re.MULTILINE)
ROWS = _ROW.findall(text_of(Path("docs/glossary.md")))
WORDS = [word.lower() for word, _ in ROWS]


def test_every_word_stands_once_and_in_order() -> None:
    assert sorted(set(WORDS)) == WORDS


def test_every_meaning_is_one_sentence() -> None:
    assert [word for word, meaning in ROWS if not meaning.endswith(".") or ". " in meaning] == []


def test_the_main_things_have_a_word() -> None:
    things = "payment attempt outcome trigger decision event lease publish sweep route breaker settlement".split()
    assert {*things, *Verb, "fencing token", "task message", "due row", "look up", "fail over"} <= set(WORDS)
