"""The texts of the pay page: the same in every language, with the same values in them."""

from __future__ import annotations

import re

import pytest

from domain.payment_methods import PaymentMethod
from webhooks.pay_page_texts import LANGUAGES, TEXTS, method_text

_VALUE = re.compile(r"{\w+}")


def test_every_language_says_everything() -> None:
    assert {frozenset(texts) for texts in TEXTS.values()} == {frozenset(TEXTS["en"])}
    assert TEXTS.keys() == LANGUAGES.keys()


@pytest.mark.parametrize("name", TEXTS["en"])
def test_every_language_shows_the_same_values(name: str) -> None:
    assert {tuple(sorted(_VALUE.findall(texts[name]))) for texts in TEXTS.values()} == {
        tuple(sorted(_VALUE.findall(TEXTS["en"][name])))
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_method_has_a_name_that_people_know(language: str) -> None:
    for method in PaymentMethod:
        shown = method_text(language, method, None, "4242", "2030-12")
        assert ("4242" in shown, "12/2030" in shown, "_" in shown) == (True, True, False)
