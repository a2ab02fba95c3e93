"""The classes and reasons of declines, and the form of a code's row. What a reason implies stands here, once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class DeclineClass(StrEnum):
    """What a decline means for the same instrument, the mildest first. Technical: no issuer has decided. Soft: later it
    may pass. Needs customer: it passes only once they have done something. Hard: never again. The words are stored."""

    TECHNICAL = "technical"
    SOFT = "soft"
    NEEDS_CUSTOMER = "needs_customer"
    HARD = "hard"
    CONSENT_WITHDRAWN = "consent_withdrawn"


class DeclineReason(StrEnum):
    """Why an instrument was declined, as far as that matters to the customer or to a retry. The mildest first: of
    several reasons of one decline, the last one here counts."""

    TECHNICAL = "technical"
    # No table has the code.
    UNKNOWN = "unknown"
    BANK = "bank"
    LIMIT = "limit"
    FUNDS = "funds"
    ACTION = "action"
    AUTHENTICATION = "authentication"
    DETAILS = "details"
    EXPIRED = "expired"
    # This payment is refused for good; the instrument may pay others.
    REFUSED = "refused"
    STOPPED = "stopped"
    # The instrument is dead for this use.
    UNUSABLE = "unusable"
    CLOSED = "closed"
    RISK = "risk"
    CONSENT = "consent"

    @property
    def decline_class(self) -> DeclineClass:
        """The class of a decline with this reason."""
        return _CLASS_OF[self]

    @property
    def is_about_money(self) -> bool:
        """Whether the account or the card has too little for the amount now: nothing is broken."""
        return self in (DeclineReason.FUNDS, DeclineReason.LIMIT)

    @property
    def is_risk(self) -> bool:
        """Whether somebody suspects a fraud: no dunning mail is sent."""
        return self is DeclineReason.RISK

    @property
    def is_dead(self) -> bool:
        """Whether the instrument is never tried again, for this payment or another one."""
        return self in _DEAD

    @property
    def most_retries(self) -> int | None:
        """How often one debt is tried again after such a decline at most; None where only the plan limits it."""
        return _MOST_RETRIES.get(self)


_OF_CLASS: dict[DeclineClass, tuple[DeclineReason, ...]] = {
    DeclineClass.TECHNICAL: (DeclineReason.TECHNICAL,),
    DeclineClass.SOFT: (DeclineReason.UNKNOWN, DeclineReason.BANK, DeclineReason.LIMIT, DeclineReason.FUNDS),
    DeclineClass.NEEDS_CUSTOMER: (
        DeclineReason.ACTION,
        DeclineReason.AUTHENTICATION,
        DeclineReason.DETAILS,
        DeclineReason.EXPIRED,
    ),
    DeclineClass.HARD: (
        DeclineReason.REFUSED,
        DeclineReason.STOPPED,
        DeclineReason.UNUSABLE,
        DeclineReason.CLOSED,
        DeclineReason.RISK,
    ),
    DeclineClass.CONSENT_WITHDRAWN: (DeclineReason.CONSENT,),
}
_CLASS_OF = {reason: decline_class for decline_class, reasons in _OF_CLASS.items() for reason in reasons}
_DEAD = frozenset({DeclineReason.UNUSABLE, DeclineReason.CLOSED, DeclineReason.RISK, DeclineReason.CONSENT})
# A processor that gives no code recommends no retry at all (Cybersource), and a bank that says no without a reason is
# asked at most four times (acquirers' notices; read 2026-11-23).
_MOST_RETRIES = {DeclineReason.UNKNOWN: 2, DeclineReason.BANK: 4}


def gravest(classes: Iterable[DeclineClass]) -> DeclineClass | None:
    """Return the gravest of several classes; None of none."""
    return max(classes, key=list(DeclineClass).index, default=None)


@dataclass(frozen=True, slots=True)
class Code:
    """One code of a provider, network or scheme. `reason` None: the code alone says nothing, another field does.

    `source`: where its meaning stands. `read_on`: when that was read, ISO 8601."""

    code: str
    reason: DeclineReason | None
    source: str
    read_on: str


Table = Mapping[str, Code]


def rows(source: str, read_on: str, codes: Mapping[DeclineReason | None, str]) -> dict[str, Code]:
    """Return the rows of one source; `codes`: the codes of each reason, with spaces between them.

    >>> rows("the manual", "2026-11-23", {DeclineReason.FUNDS: "51 61"})["61"].reason.decline_class.value
    'soft'
    """
    listed = [Code(code, reason, source, read_on) for reason, text in codes.items() for code in text.split()]
    return merged(*({row.code: row} for row in listed))


def merged(*tables: Table) -> dict[str, Code]:
    """Return all rows of several tables. Raises AssertionError for a code that two of them have: it would have two
    meanings."""
    together: dict[str, Code] = {}
    for table in tables:
        if twice := together.keys() & table.keys():
            raise AssertionError(f"bug: {', '.join(sorted(twice))} stand in two rows")
        together |= table
    return together
