"""Card numbers are recognised however they are written, and ordinary ids are not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.card_number import contains_card_number, strings_of

# First digits and lengths as the schemes issue them.
SCHEMES = [("4", 16), ("51", 16), ("55", 16), ("2221", 16), ("2720", 16), ("34", 15), ("37", 15), ("6011", 16)]
SCHEMES += [("65", 16), ("36", 14), ("30", 14), ("3528", 16), ("62", 16), ("62", 19), ("50", 16), ("4", 13), ("4", 19)]
HEX = "0123456789abcdef"


def luhn_digit(digits: str) -> str:
    """Return the digit that makes the number pass."""
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 - position % 2)
        total += value - 9 if value > 9 else value
    return str(-total % 10)


@st.composite
def card_numbers(draw: Any) -> str:
    prefix, length = draw(st.sampled_from(SCHEMES))
    free = length - len(prefix) - 1
    digits = prefix + draw(st.text("0123456789", min_size=free, max_size=free))
    return digits + luhn_digit(digits)


@given(card_numbers())
def test_a_card_number_is_recognised(number: str) -> None:
    assert contains_card_number(number)


@given(card_numbers(), st.sampled_from([" ", "-"]), st.integers(1, 6))
def test_a_card_number_in_groups_is_recognised(number: str, separator: str, size: int) -> None:
    groups = [number[start : start + size] for start in range(0, len(number), size)]
    assert contains_card_number(separator.join(groups))


@given(
    card_numbers(),
    st.sampled_from(["card ", "pan:", "(", "x=", '"', "№ "]),
    st.sampled_from(["", ".", ")", " exp 12/30"]),
)
def test_a_card_number_inside_a_text_is_recognised(number: str, before: str, after: str) -> None:
    assert contains_card_number(before + number + after)


@given(card_numbers(), st.integers(0, 12), st.integers(1, 9))
def test_one_wrong_digit_is_no_card_number(number: str, position: int, change: int) -> None:
    wrong = str((int(number[position]) + change) % 10)
    assert not contains_card_number(number[:position] + wrong + number[position + 1 :])


@given(card_numbers(), st.text("0123456789", min_size=7, max_size=12))
def test_a_longer_number_is_no_card_number(number: str, more: str) -> None:
    assert not contains_card_number(number + more)


@given(st.uuids())
def test_a_uuid_is_no_card_number(uuid: Any) -> None:
    assert not contains_card_number(str(uuid))
    assert not contains_card_number(f"order {uuid}")


@given(st.text(HEX, min_size=18, max_size=38), st.sampled_from("abcdef"))
def test_an_id_in_hexadecimal_is_no_card_number(digits: str, letter: str) -> None:
    assert not contains_card_number(f"pay_{letter}{digits}a")


@pytest.mark.parametrize(
    "uuid",
    ["40000000-0000-4002-8a6c-f53fa0beca31", "4242f24a-4242-4242-8424-242424242424", "a4242424242424242bcd0"],
)
def test_ids_that_hold_a_run_that_passes(uuid: str) -> None:
    assert not contains_card_number(uuid)


@pytest.mark.parametrize(
    "text",
    ["", "order 17", "2026-11-23T12:00:00.000Z", "1763899200000", "+49 30 1234567890", "0000000000000000", "9" * 16],
)
def test_ordinary_texts_hold_no_card_number(text: str) -> None:
    assert not contains_card_number(text)


# --- what is searched ---

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(json_values, card_numbers())
def test_every_string_and_key_is_searched(value: Any, number: str) -> None:
    assert number in list(strings_of([value, {"a": {number: value}}]))
    assert number in list(strings_of({"a": [value, {"b": [number]}]}))
    assert number in list(strings_of({"a": int(number)}))


def test_a_card_number_is_found_at_any_depth() -> None:
    value: Any = "deep"
    for _ in range(100_000):
        value = [{"a": value}]
    assert "deep" in set(strings_of(value))
