"""What an operator reads about a decision: a sentence for each reason."""

from __future__ import annotations

from domain.fraud.assessment import ALLOW_LIST, BLOCK_LIST, NO_HISTORY
from domain.fraud.rules import RULES

_OVERRULING = {
    BLOCK_LIST: "something of the payment is on the block list",
    ALLOW_LIST: "something of the payment is on the allow list",
    NO_HISTORY: "the history could not be read, so that the payment is verified at least",
}


def sentence_of(rule: str, value: int | str) -> str:
    """Return why a rule fired. A rule that is gone is named with its number.

    >>> sentence_of("user_tries_hour", 7)
    'the user tried 7 times within an hour'
    >>> sentence_of("large_amount", "60000")
    'large amount: 60000'
    """
    if rule in _OVERRULING:
        return _OVERRULING[rule]
    known = RULES.get(rule)
    return known.explain(int(value)) if known is not None else f"{rule.replace('_', ' ')}: {value}"
