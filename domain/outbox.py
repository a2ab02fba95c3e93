"""The outbox: what waits to be sent to somebody outside, how often it is tried, and how it ends."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from domain.attention import Reason


class OutboxState(StrEnum):
    """Where a row of the outbox stands. All but the first are final."""

    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"  # a person is asked
    SUPPRESSED = "suppressed"  # it is right that it was not sent; `last_error` says why


class MailStatus(StrEnum):
    """What is known of a customer's address. Only the first gets mail."""

    OK = "ok"
    BOUNCED = "bounced"
    COMPLAINED = "complained"


class Refusal(StrEnum):
    """Why a mail was not accepted."""

    ADDRESS = "address"  # for good: there is no such mailbox
    MESSAGE = "message"  # for good: the server does not take this mail
    LATER = "later"  # not now: the mailbox is full, or the server wants it later
    SERVER = "server"  # no server, or none that lets us in now
    UNKNOWN = "unknown"  # it was handed over, and no response came


# A worker that dies, or a server that goes silent, may have handed it over. Once more is sent, never a third one.
MOST_BEGUN = 2
# Long enough for a mail server that is repaired overnight; a mail does not live longer than three days.
MOST_TRIES = 14
# Longer than all time-outs of one hand-over.
LEASE = timedelta(minutes=2)
# Without the settings a mail waits; somebody may set them.
UNCONFIGURED_PAUSE = timedelta(minutes=10)
# A mail server that is silent once is silent for a while: the second mail would only be a double.
_UNKNOWN_PAUSE = timedelta(minutes=30)
# What the storm brake counts; and how often a mail that it holds back looks whether it may go, however many wait.
BRAKE_WINDOW = timedelta(hours=1)
BRAKE_PAUSE = timedelta(minutes=10)
_LONGEST_PAUSE = timedelta(hours=6)
_TRIES_OF_AN_OUTAGE = 5


def retry_delay(tries: int) -> timedelta:
    """Return how long a mail rests that was tried so often and not accepted.

    >>> [int(retry_delay(n).total_seconds() // 60) for n in (1, 2, 3, 9, 14)]
    [1, 2, 4, 256, 360]
    """
    return min(timedelta(minutes=2 ** (min(tries, 16) - 1)), _LONGEST_PAUSE)


def next_try(refusal: Refusal, tries: int) -> timedelta | None:
    """Return when a refused row is tried again; None: never.

    >>> next_try(Refusal.ADDRESS, 1) is next_try(Refusal.SERVER, MOST_TRIES) is None
    True
    """
    if refusal in (Refusal.ADDRESS, Refusal.MESSAGE) or tries >= MOST_TRIES:
        return None
    return _UNKNOWN_PAUSE if refusal is Refusal.UNKNOWN else retry_delay(tries)


def asks_because(refusal: Refusal) -> Reason:
    """Return why a person is asked about a row that is given up: a server that takes nothing is one thing, however many
    rows wait for it.

    >>> asks_because(Refusal.ADDRESS).value, asks_because(Refusal.SERVER).value
    ('mail_refused', 'mail_unsent')
    """
    return Reason.MAIL_UNSENT if refusal is Refusal.SERVER else Reason.MAIL_REFUSED


def is_long_down(refusal: Refusal, tries: int) -> bool:
    """Tell whether a server has taken nothing for so long that a person is asked: for about half an hour.

    >>> is_long_down(Refusal.SERVER, 4), is_long_down(Refusal.SERVER, 5)
    (False, True)
    """
    return refusal is Refusal.SERVER and tries >= _TRIES_OF_AN_OUTAGE


def unproven(begun: int, refusal: Refusal, *, is_begun: bool) -> int:
    """Return how many hand-overs of a row have no known outcome, after one that was refused."""
    return begun - 1 if is_begun and refusal is not Refusal.UNKNOWN else begun


def is_bounce(refusal: Refusal) -> bool:
    """Tell whether a refusal says that there is no such mailbox."""
    return refusal is Refusal.ADDRESS
