"""Rules on how much was tried, declined and left of late, by the user, the card, the device or the network.

Velocity is a brake on attacks and no estimate of risk: ordinary traffic is ranked no better than chance by it."""

from __future__ import annotations

from collections.abc import Callable

from domain.fraud.facts import Facts
from domain.fraud.limits import is_known
from domain.fraud.rules.rule import Rule
from domain.fraud.windows import Counts, History, Window

# What people share who know nothing of each other.
_PUBLIC = frozenset({"ip", "network", "bin"})


def _counted(kind: str, window: Window, what: Callable[[Counts], int]) -> Callable[[Facts], int | None]:
    def count(facts: Facts) -> int | None:
        history = _of_person(facts, kind)
        return None if history is None else what(history.within(window))

    return count


def _linked(kind: str, other: str, window: Window) -> Callable[[Facts], int | None]:
    def count(facts: Facts) -> int | None:
        history = _of_person(facts, kind)
        # What only one person should have is not shared by those behind one account.
        if history is None or (other == "user" and facts.is_shared_account):
            return None
        return history.linked.get((other, window), 0)

    return count


def _of_person(facts: Facts, kind: str) -> History | None:
    """Return the history of an entity; None for an account behind which there are many people.

    What an attacker has done from the office or with the cards of a known customer's bank says nothing of that
    customer."""
    if kind == "user" and facts.is_shared_account:
        return None
    is_others = kind in _PUBLIC and is_known(facts.history, is_shared_account=facts.is_shared_account)
    return None if is_others else facts.of(kind)


def _tries(counts: Counts) -> int:
    return counts.tries


def _declines(counts: Counts) -> int:
    return counts.declines


def _abandoned(counts: Counts) -> int:
    return counts.abandoned


# The user, and what an attacker shares between cards. Of a network and a bank's cards only declines say something.
_COUNTED = (
    ("user", Window.HOUR, "tries", _tries, "the user tried {value} times within an hour"),
    ("user", Window.DAY, "tries", _tries, "the user tried {value} times within a day"),
    ("user", Window.HOUR, "declines", _declines, "{value} tries of the user were declined within an hour"),
    ("user", Window.DAY, "declines", _declines, "{value} tries of the user were declined within a day"),
    ("user", Window.DAY, "abandoned", _abandoned, "the user left {value} challenges within a day"),
    ("card", Window.HOUR, "tries", _tries, "the card was tried {value} times within an hour"),
    ("card", Window.DAY, "declines", _declines, "the card was declined {value} times within a day"),
    ("device", Window.HOUR, "declines", _declines, "{value} tries from the device were declined within an hour"),
    ("device", Window.DAY, "abandoned", _abandoned, "{value} challenges were left on the device within a day"),
    ("ip", Window.MINUTES, "declines", _declines, "{value} tries from the IP address were declined within minutes"),
    ("ip", Window.HOUR, "declines", _declines, "{value} tries from the IP address were declined within an hour"),
    ("network", Window.HOUR, "declines", _declines, "{value} tries from the network were declined within an hour"),
    ("email_pattern", Window.HOUR, "tries", _tries, "{value} tries of numbered e-mail addresses within an hour"),
    ("bin", Window.HOUR, "declines", _declines, "{value} cards of the same range were declined within an hour"),
)
_LINKED = (
    ("device", "card", Window.DAY, "{value} cards were tried on the device within a day"),
    ("device", "user", Window.DAY, "{value} users were on the device within a day"),
    ("ip", "card", Window.HOUR, "{value} cards were tried from the IP address within an hour"),
    ("ip", "user", Window.DAY, "{value} users came from the IP address within a day"),
    ("email_pattern", "card", Window.DAY, "{value} cards were tried under numbered e-mail addresses within a day"),
    ("email_pattern", "email", Window.DAY, "{value} e-mail addresses differ in their number only"),
    ("card", "user", Window.DAY, "{value} users tried the card within a day"),
    ("user", "card", Window.DAY, "the user tried {value} other cards within a day"),
)

RULES = (
    *(
        Rule(f"{kind}_{name}_{window.name.lower()}", _counted(kind, window, what), sentence)
        for kind, window, name, what, sentence in _COUNTED
    ),
    *(
        Rule(f"{kind}_{other}s_{window.name.lower()}", _linked(kind, other, window), sentence)
        for kind, other, window, sentence in _LINKED
    ),
)
