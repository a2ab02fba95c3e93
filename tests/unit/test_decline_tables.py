"""The tables of decline codes: dated, sourced, without contradiction; and what the customer reads about each."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.decline import (
    FIELDS,
    VOCABULARIES,
    Decline,
    DeclineClass,
    DeclineReason,
    classify,
    decline_by,
    earliest_retry_after,
    reason_by,
    unknown_codes,
)
from domain.declines import networks
from domain.declines.classes import gravest, merged, rows
from domain.declines.wording import LANGUAGES, sentence

ROWS = [
    *(row for fields in VOCABULARIES.values() for table in fields.values() for row in table.values()),
    *networks.VISA_ADVICE.values(),
]
# What nobody may read about themselves.
ACCUSING = re.compile(r"stolen|lost|fraud|suspic|gestohlen|verloren|betrug|verdacht|illegal|crimin", re.IGNORECASE)


def test_every_row_has_a_source_and_a_day() -> None:
    for row in ROWS:
        assert row.source, row.code
        assert date(2026, 1, 1) <= date.fromisoformat(row.read_on) <= date(2026, 12, 31), row.code


def test_a_code_that_stands_in_two_rows_is_refused() -> None:
    once = rows("a", "2026-11-28", {DeclineReason.FUNDS: "51"})
    with pytest.raises(AssertionError, match="51"):
        merged(once, rows("b", "2026-11-28", {DeclineReason.BANK: "51"}))


@pytest.mark.parametrize("language", sorted(LANGUAGES))
@pytest.mark.parametrize("reason", DeclineReason)
def test_every_reason_has_a_kind_sentence(reason: DeclineReason, language: str) -> None:
    text = sentence(reason, language)
    assert text.endswith(".")
    assert not ACCUSING.search(text)


def test_there_are_two_languages() -> None:
    assert {"en", "de"} == LANGUAGES


@given(st.text(max_size=12))
def test_every_language_tag_has_its_sentences(language: str) -> None:
    assert sentence(DeclineReason.BANK, language)


def test_reasons_are_ordered_by_their_class() -> None:
    """The gravest reason of a decline gives the gravest class."""
    classes = [reason.decline_class for reason in DeclineReason]
    assert classes == sorted(classes, key=list(DeclineClass).index)
    assert gravest(classes) is DeclineClass.CONSENT_WITHDRAWN
    assert gravest([]) is None


def test_what_is_dead_is_never_retried_and_the_rest_may_be_paid_by_it() -> None:
    dead = {reason for reason in DeclineReason if reason.is_dead}
    assert {reason.decline_class for reason in dead} == {DeclineClass.HARD, DeclineClass.CONSENT_WITHDRAWN}
    assert {reason for reason in DeclineReason if reason.is_risk} <= dead
    assert DeclineReason.REFUSED not in dead


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("51", DeclineReason.FUNDS),
        ("05", DeclineReason.BANK),
        ("12", DeclineReason.BANK),
        ("15", DeclineReason.BANK),
        ("91", DeclineReason.TECHNICAL),
        ("54", DeclineReason.EXPIRED),
        ("41", DeclineReason.CLOSED),
        ("5C", DeclineReason.UNUSABLE),
        ("9G", DeclineReason.CONSENT),
        ("R1", DeclineReason.CONSENT),
        ("R01", DeclineReason.FUNDS),
        ("R02", DeclineReason.CLOSED),
        ("R07", DeclineReason.CONSENT),
        ("AM04", DeclineReason.FUNDS),
        ("AC04", DeclineReason.CLOSED),
        ("MD01", DeclineReason.CONSENT),
    ],
)
def test_a_network_code_says_why(code: str, reason: DeclineReason) -> None:
    assert reason_by("stripe", {"code": "card_declined", "network_decline_code": code}) is reason


@pytest.mark.parametrize(
    ("advice", "visa", "mastercard"),
    [
        ("01", DeclineClass.NEEDS_CUSTOMER, DeclineClass.NEEDS_CUSTOMER),
        ("02", DeclineClass.HARD, DeclineClass.SOFT),
        ("03", DeclineClass.CONSENT_WITHDRAWN, DeclineClass.HARD),
        ("21", DeclineClass.CONSENT_WITHDRAWN, DeclineClass.CONSENT_WITHDRAWN),
        ("30", DeclineClass.SOFT, DeclineClass.SOFT),
    ],
)
def test_paypal_s_advice_is_read_by_the_card_s_network(
    advice: str, visa: DeclineClass, mastercard: DeclineClass
) -> None:
    def read(network: str) -> DeclineClass:
        return decline_by("paypal", "DECLINED", network_advice_code=advice, network=network).decline_class

    assert (read("visa"), read("mastercard")) == (visa, mastercard)


def test_a_visa_card_that_stops_one_payment_may_pay_the_next() -> None:
    stopped = decline_by("paypal", "DECLINED", network_advice_code="02", network="visa")
    assert (stopped.decline_class, stopped.is_blocking) == (DeclineClass.HARD, False)
    withdrawn = decline_by("paypal", "DECLINED", network_advice_code="03", network="visa")
    assert withdrawn.is_blocking


@pytest.mark.parametrize(
    ("advice", "hours"),
    [("02", 72), ("24", 1), ("25", 24), ("26", 48), ("27", 96), ("28", 144), ("29", 192), ("30", 240)],
)
def test_mastercard_s_advice_is_how_long_to_wait(advice: str, hours: int) -> None:
    decline = Decline("card_declined", DeclineClass.SOFT, network_advice_code=advice, network="mastercard")
    assert earliest_retry_after(decline) == timedelta(hours=hours)


@pytest.mark.parametrize("advice", [None, "01", "03", "40", "99"])
def test_other_advice_names_no_time(advice: str | None) -> None:
    decline = Decline("card_declined", DeclineClass.SOFT, network_advice_code=advice, network="mastercard")
    assert earliest_retry_after(decline) is None


def test_visa_names_no_time() -> None:
    assert earliest_retry_after(Decline("x", DeclineClass.SOFT, network_advice_code="02", network="visa")) is None


def test_an_unknown_code_is_soft_and_retried_twice() -> None:
    reason = reason_by("stripe", {"code": "card_declined", "decline_code": "of_tomorrow"})
    assert (reason, reason.decline_class, reason.most_retries) == (DeclineReason.UNKNOWN, DeclineClass.SOFT, 2)


@given(st.sampled_from(sorted(VOCABULARIES)), st.dictionaries(st.sampled_from(FIELDS), st.text(max_size=8)))
def test_every_decline_has_a_reason_and_names_what_it_does_not_know(provider: str, codes: dict[str, str]) -> None:
    reason, unknown = reason_by(provider, codes), unknown_codes(provider, codes)
    assert sentence(reason, "en")
    assert {name for name, _ in unknown} <= codes.keys()
    if reason is DeclineReason.UNKNOWN:
        assert unknown


def test_an_authentication_that_an_absent_customer_would_have_to_give_needs_them() -> None:
    assert classify("authentication_required", "authentication_required") is DeclineClass.NEEDS_CUSTOMER
