"""Amounts: exact both ways in every currency, and nothing else gets in."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from iso4217 import Currency

from domain.errors import InvalidAmount, UnknownCurrency
from domain.money import _DECIMALS, Money, decimal_text, decimals, exponent

CURRENCIES = [currency.value for currency in Currency if currency.exponent is not None]
# Of a hundred random codes hardly one has no decimals, or three: each number of decimals is as likely as the others.
currencies = st.one_of(
    st.sampled_from([code.upper() for code in CURRENCIES if exponent(code.upper()) == digits])
    for digits in (0, 2, 3, 4)
)
minors = st.integers(1, 10**14 - 1)


@given(minors, currencies)
def test_an_amount_survives_being_written_and_parsed(minor: int, currency: str) -> None:
    text = decimal_text(minor, currency)
    assert Money.parse(text, currency) == Money(minor, currency)
    assert str(Money(minor, currency)) == text


@given(minors, currencies)
def test_a_decimal_number_is_the_same_amount(minor: int, currency: str) -> None:
    assert Money.parse(Decimal(minor).scaleb(-exponent(currency)), currency).minor == minor


@given(st.integers(1, 10**12), currencies)
def test_whole_numbers_are_major_units(whole: int, currency: str) -> None:
    assert Money.parse(whole, currency).minor == whole * 10 ** exponent(currency)


@given(minors, currencies)
def test_the_text_has_exactly_the_currencys_decimals(minor: int, currency: str) -> None:
    _, _, fraction = decimal_text(minor, currency).partition(".")
    assert len(fraction) == exponent(currency)


@given(minors, currencies, st.integers(1, 9))
def test_one_decimal_too_many_is_refused(minor: int, currency: str, digit: int) -> None:
    text = decimal_text(minor, currency)
    finer = f"{text}{digit}" if exponent(currency) else f"{text}.{digit}"
    with pytest.raises(InvalidAmount):
        Money.parse(finer, currency)


@given(st.floats())
def test_no_float_is_an_amount(amount: float) -> None:
    with pytest.raises(InvalidAmount):
        Money.parse(amount, "EUR")  # type: ignore[arg-type]


@given(st.integers(max_value=0) | st.decimals(max_value=0, allow_nan=False))
def test_zero_and_negative_amounts_are_refused(amount: int | Decimal) -> None:
    with pytest.raises(InvalidAmount):
        Money.parse(amount, "EUR")


@given(st.text())
def test_a_text_is_an_exact_amount_or_refused(text: str) -> None:
    try:
        money = Money.parse(text, "EUR")
    except InvalidAmount:
        return
    assert Decimal(text) * 100 == money.minor > 0


REFUSED: list[Any] = [
    *(True, False, 1.0, float("nan")),
    *(Decimal("NaN"), Decimal("Infinity"), Decimal("-1"), Decimal("1e400"), Decimal("1e-400")),
    *(Decimal("1e999999999999"), Decimal("0e999999999999"), Decimal("1e-999999999999")),
    *("", " 1", "1 ", "1\n", "+1", "-1", "1e2", "1E2", "0x1", "1_000", "1,00", "1.", ".1", "1.2.3", "NaN", "Infinity"),
    *("١", "１", "0", "0.00", "1" * 15, 10**14, 10**40, "1.0000001"),
]


@pytest.mark.parametrize("amount", REFUSED, ids=repr)
def test_refused(amount: Any) -> None:
    with pytest.raises(InvalidAmount) as refusal:
        Money.parse(amount, "EUR")
    assert "amount" in str(refusal.value)


@pytest.mark.parametrize(
    ("currency", "digits"), [("EUR", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4), ("ISK", 0), ("MGA", 2)]
)
def test_each_currency_has_its_exponent(currency: str, digits: int) -> None:
    assert exponent(currency) == digits


@pytest.mark.parametrize("code", ["", "EU", "EURO", "eur", "978", "XAU", "XXX", "XTS", "EUR ", "ÉUR"])
def test_codes_of_no_currency_are_refused(code: str) -> None:
    with pytest.raises(UnknownCurrency):
        exponent(code)


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("90071992547409.93", "EUR", 9_007_199_254_740_993),
        ("90071992547409.931", "KWD", 90_071_992_547_409_931),
        ("99999999999999.9999", "CLF", 999_999_999_999_999_999),
    ],
)
def test_amounts_that_no_float_can_hold_are_exact(text: str, currency: str, minor: int) -> None:
    assert Money.parse(text, currency).minor == Money.parse(Decimal(text), currency).minor == minor
    assert decimal_text(minor, currency) == text


def test_the_largest_amount_fits_the_database() -> None:
    largest = Money.parse("9" * 14, "CLF").minor
    assert largest < 2**63


def test_every_code_of_the_list_stays_readable_with_its_decimals() -> None:
    """A code that a new edition of the list adds joins the table, before it can leave the list again."""
    listed = {each.value: each.exponent for each in Currency if each.exponent is not None}
    assert {code: _DECIMALS.get(code) for code in listed} == listed


def test_a_code_that_has_left_the_list_is_read_and_takes_no_new_payment() -> None:
    assert Money.parse("12.30", "BGN") == Money(1230, "BGN")
    assert decimal_text(1230, "HRK") == "12.30"
    for code in ("BGN", "HRK", "ZWL"):
        with pytest.raises(UnknownCurrency):
            exponent(code)
    for code in ("USDC", "XAU", "eur", ""):
        with pytest.raises(UnknownCurrency):
            decimals(code)
