"""What an operator reads about a decision: a sentence for each reason."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from domain.fraud.assessment import ALLOW_LIST, BLOCK_LIST, NO_HISTORY
from domain.fraud.brake import BRAKED
from domain.fraud.limits import Counted
from domain.fraud.rules import RULES

_OVERRULING = {
    BLOCK_LIST: "something of the payment is on the block list",
    ALLOW_LIST: "something of the payment is on the allow list",
    BRAKED: "far more tries are declined than usual, and this user has not paid on an earlier day",
    NO_HISTORY: "the history could not be read, so that the payment is verified at least",
}
_COUNTED = {
    Counted.TRIES: "tries within a day",
    Counted.CARDS: "cards of strangers",
    Counted.FAILING_CARDS: "cards of strangers that were declined",
}
_LIMIT = re.compile(rf"(.+?)_({'|'.join(sorted(_COUNTED, key=len, reverse=True))})_limit")


def explained(reasons: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return reasons as they are shown: each with its sentence."""
    return [{**reason, "sentence": sentence_of(reason["rule"], reason["value"])} for reason in reasons]


def sentence_of(rule: str, value: int | str) -> str:
    """Return why a rule fired. A rule that is gone is named with its number.

    >>> sentence_of("user_tries_hour", 7)
    'the user tried 7 times within an hour'
    >>> sentence_of("email_pattern_cards_limit", 10)
    'the limit is reached of 10 cards of strangers by one email pattern'
    >>> sentence_of("large_amount", "60000")
    'large amount: 60000'
    """
    if rule in _OVERRULING:
        return _OVERRULING[rule]
    limited = _LIMIT.fullmatch(rule)
    if limited is not None:
        kind, counted = limited.groups()
        return f"the limit is reached of {value} {_COUNTED[Counted(counted)]} by one {kind.replace('_', ' ')}"
    known = RULES.get(rule)
    return known.explain(int(value)) if known is not None else f"{rule.replace('_', ' ')}: {value}"
