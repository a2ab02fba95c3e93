"""Declines: the strictest class of all codes wins."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.decline import DeclineClass, classify
from domain.dunning.case import may_retry

ORDER = [DeclineClass.SOFT, DeclineClass.NEEDS_CUSTOMER, DeclineClass.HARD, DeclineClass.CONSENT_WITHDRAWN]
CODES = {
    "insufficient_funds": DeclineClass.SOFT,
    "never_heard_of": DeclineClass.SOFT,
    "expired_card": DeclineClass.NEEDS_CUSTOMER,
    "lost_card": DeclineClass.HARD,
    "stop_payment_order": DeclineClass.CONSENT_WITHDRAWN,
}
ADVICE = {
    None: DeclineClass.SOFT,
    "try_again_later": DeclineClass.SOFT,
    "confirm_card_data": DeclineClass.NEEDS_CUSTOMER,
    "do_not_try_again": DeclineClass.HARD,
}
NETWORK = {
    None: DeclineClass.SOFT,
    "02": DeclineClass.SOFT,
    "01": DeclineClass.NEEDS_CUSTOMER,
    "03": DeclineClass.HARD,
    "21": DeclineClass.CONSENT_WITHDRAWN,
}


@pytest.mark.parametrize(("code", "decline_code", "advice", "network"), list(product(CODES, CODES, ADVICE, NETWORK)))
def test_the_strictest_class_wins(code: str, decline_code: str, advice: str | None, network: str | None) -> None:
    classes = [CODES[code], CODES[decline_code], ADVICE[advice], NETWORK[network]]
    assert classify(code, decline_code, advice, network) is max(classes, key=ORDER.index)


@given(st.text(), st.none() | st.text(), st.none() | st.text(), st.none() | st.text())
def test_every_decline_has_a_class(
    code: str, decline_code: str | None, advice: str | None, network: str | None
) -> None:
    assert classify(code, decline_code, advice, network) in ORDER


@given(st.sampled_from(sorted(CODES)), st.sampled_from(sorted(CODES)))
def test_a_code_means_the_same_in_each_field_of_a_decline(one: str, other: str) -> None:
    assert classify(one, other) is classify(other, one)


@pytest.mark.parametrize("decline_class", DeclineClass)
def test_only_a_soft_decline_is_tried_again(decline_class: DeclineClass) -> None:
    assert may_retry(decline_class) is (decline_class is DeclineClass.SOFT)


@pytest.mark.parametrize("code", ["pickup_card", "stolen_card", "fraudulent", "restricted_card", "security_violation"])
def test_a_decline_by_a_lost_or_stolen_card_is_never_retried(code: str) -> None:
    assert not may_retry(classify("card_declined", code))
