"""The sentences in which an operator reads why a payment was decided on as it was."""

from __future__ import annotations

from domain.fraud.assessment import ALLOW_LIST, BLOCK_LIST, NO_HISTORY
from domain.fraud.rules import RULES

_SENTENCES = {
    BLOCK_LIST: "an operator has put something of this payment on the block list",
    ALLOW_LIST: "an operator has put something of this payment on the allow list",
    NO_HISTORY: "the history of this payment could not be read, so that it is verified at least",
}


def sentence_of(rule: str, value: int) -> str:
    """Return the sentence for a stored reason, also for a rule that there is no longer.

    >>> sentence_of("device_cards_day", 9), sentence_of("of_an_earlier_release", 1)
    ('9 cards were tried on the device within a day', 'of_an_earlier_release: 1')
    """
    known = RULES.get(rule)
    return known.explain(value) if known is not None else _SENTENCES.get(rule, f"{rule}: {value}")
