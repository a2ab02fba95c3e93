"""When a worker may take an attempt, and for what: to send it, to look it up, or not now."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from domain.dunning.case import TryCause
from domain.payment import HOLDING, UNFINISHED, AttemptStatus, State, Verb


def may_send(state: State, verb: Verb, status: AttemptStatus) -> bool:
    """Tell whether an attempt is sent to the provider when its message comes. A charge in review waits for a person.

    >>> may_send(State.ACCEPTED, Verb.CHARGE, AttemptStatus.DUE), may_send(State.REVIEW, Verb.CHARGE, AttemptStatus.DUE)
    (True, False)
    """
    waits_for_review = state is State.REVIEW and verb.is_collecting
    return status is AttemptStatus.DUE and not waits_for_review


def may_look_up(status: str) -> bool:
    """Tell whether an attempt is looked up when it is due. One that is to be sent is not. A status that no release of
    ours has written is: that fails for this attempt alone, and is counted."""
    return status != AttemptStatus.DUE


def is_open_to_cards(status: str, *, has_other_unfinished_attempt: bool) -> bool:
    """Tell whether a front end may still try cards on an attempt: it is unfinished, and no void of it is under way."""
    return status in UNFINISHED and not has_other_unfinished_attempt


def has_lost_its_worker(status: AttemptStatus) -> bool:
    """Tell whether a due attempt was being sent when its lease ended: its worker died or was cut off."""
    return status is AttemptStatus.OPEN


def is_being_sent(status: str, lease_ends_at: datetime | None, now: datetime) -> bool:
    """Tell whether a worker is calling the provider for the attempt right now."""
    return status == AttemptStatus.OPEN and lease_ends_at is not None and lease_ends_at > now


def next_look_up(state: State, verb: Verb, status: AttemptStatus, planned_at: datetime) -> datetime | None:
    """Return when an attempt that stays as it was is looked up again: as planned, or never once it is finished. One
    that holds money is looked up until the hold ends.

    >>> noon = datetime(2026, 11, 28, 12)
    >>> next_look_up(State.AMOUNT_MISMATCH, Verb.AUTHORIZE, AttemptStatus.SUCCEEDED, noon) == noon
    True
    """
    is_holding = state in HOLDING and verb.is_collecting and status is AttemptStatus.SUCCEEDED
    return planned_at if status in UNFINISHED or is_holding else None


def has_waited_unsent(state: State, retries: int, waiting_since: datetime | None) -> bool:
    """Tell whether a charge was refused before, or its provider was down, so that its debt may have ended meanwhile.

    >>> noon = datetime(2026, 11, 28, 12)
    >>> has_waited_unsent(State.ACCEPTED, 0, noon)
    True
    >>> has_waited_unsent(State.ACCEPTED, 0, None)
    False
    """
    return state is State.ACCEPTED and (retries > 0 or waiting_since is not None)


def is_backup_unsent(state: State, cause: str | None) -> bool:
    """Tell whether a charge by a backup method is still to be sent, so that its consent may have ended meanwhile.

    >>> is_backup_unsent(State.ACCEPTED, "backup_method"), is_backup_unsent(State.ACCEPTED, None)
    (True, False)
    """
    return state is State.ACCEPTED and cause == TryCause.BACKUP_METHOD


class Screening(StrEnum):
    """What a charge is screened for before it is sent."""

    DEBT = "debt"
    FRAUD = "fraud"
    STORED_DECISION = "stored_decision"


def screening_of(state: State, *, was_begun: bool) -> Screening:
    """Return how a charge is screened: a dunning retry for its debt; any other charge for fraud, the first time only.

    >>> screening_of(State.PAST_DUE, was_begun=False).value, screening_of(State.ACCEPTED, was_begun=True).value
    ('debt', 'stored_decision')
    """
    if state is State.PAST_DUE:
        return Screening.DEBT
    return Screening.STORED_DECISION if was_begun else Screening.FRAUD
