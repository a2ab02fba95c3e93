"""When the books are compared with their provider, which of its events are read, and what of it is news."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from domain.disputes import is_left_to_dispute
from domain.movement import ShownFee
from domain.outcome import AmountMismatch, Approved, Declined, InDoubt, NotSent, Outcome, Pending
from domain.payment import CLOSED, COLLECTED, AttemptStatus, State, Verb

# So long after money was booked. Refunds and disputes become rare with time, and Afterpay refunds nothing after 120
# days.
STEPS = tuple(timedelta(days=days) for days in (1, 3, 7, 14, 30, 60, 90))
# So much time is covered at once; after an outage one window follows the other.
LONGEST_WINDOW = timedelta(hours=1)
# A webhook that is still on its way is not fetched: a younger event is left to the next run.
DELIVERED_WITHIN = timedelta(minutes=1)
# What cannot be compared for so long waits for its next step, so that it does not hold up all that comes after it.
_GIVEN_UP_AFTER = timedelta(days=1)
# A provider may not show so soon what one of its calls has just done.
_SHOWN_WITHIN = timedelta(hours=1)


class Window(NamedTuple):
    """A span of time, without its beginning and with its end."""

    after: datetime
    until: datetime


class Position(NamedTuple):
    """How far the comparison has come. `attempt_id`: of the money that is due at this very moment, that of the attempts
    after this one is left, in the order of their ids; None if nothing is."""

    at: datetime
    attempt_id: str | None = None

    def leaves(self, at: datetime, attempt_id: str) -> bool:
        """Tell whether money that is due then is still to be compared.

        >>> noon = datetime(2026, 11, 28, 12)
        >>> Position(noon, "at_1").leaves(noon, "at_2"), Position(noon).leaves(noon, "at_2")
        (True, False)
        """
        is_left_of_moment = at == self.at and self.attempt_id is not None and attempt_id > self.attempt_id
        return at > self.at or is_left_of_moment


def next_window(position: Position, now: datetime) -> Window:
    """Return the time whose money is compared next: with the moment of the position, if some of it is left."""
    after = position.at if position.attempt_id is None else position.at - timedelta.resolution
    return Window(after, min(now, position.at + LONGEST_WINDOW))


def position_reached(
    position: Position, window: Window, last: Position | None, *, is_cut: bool, is_over: bool
) -> Position:
    """Return how far the comparison of a window has come, so that nothing is left out which can be compared. `last`: of
    the last money that could be compared. `is_cut`: the window was left early. `is_over`: without such money, it is
    left for good."""
    if last is not None and is_cut:
        return last
    return Position(window.until) if last is not None or is_over else position


def step_reached(booked_at: datetime, window: Window) -> datetime:
    """Return when within a window money reaches a step of the schedule. `booked_at`: of money that reaches one."""
    reached = (booked_at + step for step in STEPS)
    return next(at for at in reached if window.after < at <= window.until)


def is_given_up(window: Window, now: datetime) -> bool:
    """Tell whether a window of which nothing can be compared is left."""
    return now - window.until > _GIVEN_UP_AFTER


def next_events_window(after: datetime, now: datetime, kept: timedelta, span: timedelta) -> Window | None:
    """Return the time whose events are read next. None once the rest is younger than a webhook takes. `after`: where
    the last window ended. `kept`: how far back the provider's list goes. `span`: how much time is read at once.

    >>> noon, month = datetime(2026, 11, 28, 12), timedelta(days=30)
    >>> window = next_events_window(noon - timedelta(days=40), noon, month, LONGEST_WINDOW)
    >>> noon - window.after, window.until - window.after, next_events_window(noon, noon, month, LONGEST_WINDOW)
    (datetime.timedelta(days=30), datetime.timedelta(seconds=3600), None)
    """
    begin = max(after, now - kept)
    end = min(now - DELIVERED_WITHIN, begin + span)
    return Window(begin, end) if begin < end else None


def next_span(span: timedelta, calls: int, least: int = 1) -> timedelta:
    """Return how much time is read next: twice as much after a window that took the least calls, so that a quiet month
    takes few. `least`: one for each list that the provider has.

    >>> str(next_span(LONGEST_WINDOW, 1)), str(next_span(8 * LONGEST_WINDOW, 5)), str(next_span(LONGEST_WINDOW, 2, 2))
    ('2:00:00', '1:00:00', '2:00:00')
    """
    return 2 * span if calls <= least else LONGEST_WINDOW


def events_read_until(window: Window, now: datetime, late: timedelta) -> datetime:
    """Return until when all events are read after a window. `late`: how long an event may be missing in the list, so
    that the time before is read once more."""
    return min(window.until, now - late)


@dataclass(frozen=True, slots=True)
class ShownRefund:
    """A refund that the provider shows of a charge, whoever made it. `attempt_id`: ours, if Celeriac made it.

    `outcome`: Approved or Pending with its amount, Declined for one that failed, InDoubt for an unknown status.
    `is_for_fraud`: who made it says that the payment was fraud."""

    reference: str
    outcome: Outcome
    attempt_id: str | None = None
    is_for_fraud: bool = False


@dataclass(frozen=True, slots=True)
class ShownCharge:
    """A charge as its provider shows it in one reading, with all its refunds. `fees`: those that the same reading
    shows."""

    outcome: Outcome
    refunds: list[ShownRefund]
    fees: list[ShownFee] = field(default_factory=list)


def is_refund_news(known: AttemptStatus | None, shown: Outcome, code: str | None = None) -> bool:
    """Tell whether the books lack what the provider shows of a refund. `known`: the status of its attempt, if any;
    `code`: why that ended.

    A refund that is not finished has look-ups of its own. One that failed may be given after all.

    >>> from domain.outcome import Approved
    >>> is_refund_news(None, Approved("re_1", refunded=5)), is_refund_news(AttemptStatus.PENDING, Approved("re_1"))
    (True, False)
    >>> is_refund_news(AttemptStatus.FAILED, Approved("re_1", refunded=5))
    True
    """
    has_failed = isinstance(shown, Declined)
    if known in CLOSED:
        return isinstance(shown, Approved | Pending) and not is_left_to_dispute(known, code)
    return has_failed if known is AttemptStatus.SUCCEEDED else known is None and not has_failed


def is_refused_by_what_others_did(verb: Verb, outcome: Outcome | None) -> bool:
    """Tell whether a provider refuses to capture, void or refund for good, perhaps because somebody else has done it.

    >>> from domain.outcome import NotSent
    >>> is_refused_by_what_others_did(Verb.REFUND, NotSent("fully_refunded", is_retryable=False))
    True
    """
    is_final = isinstance(outcome, Declined) or (isinstance(outcome, NotSent) and not outcome.is_retryable)
    return is_final and not verb.is_collecting


class HoldFinding(StrEnum):
    """What a look-up says about money that the books show as held."""

    AGREES = "agrees"
    NEWS = "news"  # captured, released or expired beside Celeriac
    CONTRADICTS = "contradicts"  # it cannot follow from the books: a person decides


def is_held(state: State, status: AttemptStatus, authorized: int, captured: int, received: int) -> bool:
    """Tell whether an authorization may still be captured. After a capture of a part, the provider may hold the rest.
    What waits for a person is held until it is received.

    >>> is_held(State.CAPTURED, AttemptStatus.SUCCEEDED, 1230, 500, 0)
    True
    >>> is_held(State.AMOUNT_MISMATCH, AttemptStatus.SUCCEEDED, 1000, 0, 1000)
    False
    """
    is_waiting = state is State.AMOUNT_MISMATCH and authorized > 0 and not received
    is_open = state is State.AUTHORIZED or is_waiting or (state in COLLECTED and captured < authorized)
    return is_open and status is AttemptStatus.SUCCEEDED


def hold_finding(shown: Outcome, authorized: int, captured: int, *, is_news: bool | None) -> HoldFinding:
    """Return what a look-up of held money means. `captured`: of it so far. `is_news`: whether it changes the books;
    None if it cannot follow.

    >>> hold_finding(Approved("pi_1", authorized=1230), 1230, 0, is_news=False).value
    'agrees'
    >>> hold_finding(Approved("pi_1", authorized=1230, captured=1400), 1230, 0, is_news=False).value
    'contradicts'
    """
    match shown:
        case _ if is_news:
            return HoldFinding.NEWS
        case Pending():
            return HoldFinding.AGREES  # the bank decides about a capture, or the provider about the order
        case Approved(voided=False, captured=0, authorized=held) if held == authorized and not captured:
            return HoldFinding.AGREES
        case Approved(captured=taken) if taken and taken == captured:
            return HoldFinding.AGREES
    return HoldFinding.CONTRADICTS


class ChargeFinding(StrEnum):
    """What a reading says about money that the books show as taken."""

    AGREES = "agrees"
    NEWS = "news"  # more was taken beside Celeriac
    CONTRADICTS = "contradicts"  # less of it is there than is booked: a person decides


def charge_finding(shown: Outcome | None, state: State, taken: int, age: timedelta, *, is_news: bool) -> ChargeFinding:
    """Return what a reading of taken money means. `shown`: None if the provider has no such charge. `taken`: by the
    charge so far, in minor units, and `age`: since when it is booked. `is_news`: whether the reading changes the books.

    A bank that takes money back shows a dispute, and the charge stays what it was.

    >>> paid, day = Approved("pi_1", captured=1230), timedelta(days=1)
    >>> charge_finding(paid, State.CAPTURED, 1230, day, is_news=False).value
    'agrees'
    >>> [charge_finding(None, State.CAPTURED, 1230, age, is_news=False).value for age in (day, timedelta(minutes=5))]
    ['contradicts', 'agrees']
    """
    match shown:
        case InDoubt() | Pending():
            return ChargeFinding.AGREES
        case Approved(captured=amount) | AmountMismatch(received=amount) if amount >= taken:
            return ChargeFinding.NEWS if is_news else ChargeFinding.AGREES
    # What is shown elsewhere may come later than what a call has returned.
    is_settled = state in COLLECTED and age >= _SHOWN_WITHIN
    return ChargeFinding.CONTRADICTS if is_settled else ChargeFinding.AGREES
