"""The mails that a customer may get about a debt or a card, and whether one that is due is sent as things stand now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from domain.attention import Reason
from domain.decline import is_risk
from domain.dunning.case import CaseState
from domain.outbox import MOST_BEGUN, MailStatus, OutboxState
from domain.payment import COLLECTED, IN_DUNNING, State


class Mail(StrEnum):
    """What a mail says. The names are those of the templates, and are stored."""

    FIRST_FAILURE = "first_failure"
    MID_DUNNING = "mid_dunning"
    FINAL_ATTEMPT = "final_attempt"
    METHOD_UPDATE = "method_update"
    RECOVERED = "recovered"
    BACKUP_CHARGED = "backup_charged"
    PAUSED = "paused"
    CANCELED = "canceled"
    CARD_EXPIRES_SOON = "card_expires_soon"


# Only these may be unsubscribed from: the others are notices of a debt, or say how it ended.
REMINDERS = frozenset({Mail.CARD_EXPIRES_SOON})
# They ask the customer to do something about a debt.
DEMANDS = frozenset({Mail.FIRST_FAILURE, Mail.MID_DUNNING, Mail.FINAL_ATTEMPT, Mail.METHOD_UPDATE})
# How the case has to stand for what the mail says to be true.
_TRUE_IN: Mapping[Mail, frozenset[CaseState]] = {
    Mail.FIRST_FAILURE: frozenset({CaseState.RETRYING}),
    Mail.MID_DUNNING: frozenset({CaseState.RETRYING}),
    Mail.FINAL_ATTEMPT: frozenset({CaseState.IN_GRACE}),
    Mail.METHOD_UPDATE: frozenset({CaseState.RETRYING, CaseState.IN_GRACE}),
    Mail.RECOVERED: frozenset({CaseState.RECOVERED}),
    Mail.BACKUP_CHARGED: frozenset({CaseState.RECOVERED}),
    # Both say how a case has ended without money.
    Mail.PAUSED: frozenset({CaseState.EXHAUSTED}),
    Mail.CANCELED: frozenset({CaseState.EXHAUSTED}),
}
# A mail says how things stand; one that is older than this says how they stood.
LIFETIME = timedelta(days=3)
# A charge is decided in seconds, a debit in days: then the mail waits for its lifetime at most.
_CHARGE_PAUSE = timedelta(minutes=5)
# No mail from 21:00 to 08:00 by the customer's clock.
_MORNING, _NIGHT = 8, 21


def is_braked(mail: Mail) -> bool:
    """Tell whether the storm brake counts a mail: who attacks a checkout causes first failures."""
    return mail is Mail.FIRST_FAILURE


@dataclass(frozen=True, slots=True)
class MailPolicy:
    """What an operator may configure. `is_on`: whether mails are written at all. `most_per_hour`: how many first
    mails an application's customers get within an hour. The other two: for a customer who has none stored."""

    is_on: bool = False
    most_per_hour: int = 500
    language: str = "en"
    time_zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Debt:
    """What a mail is about. `is_told`: whether the customer has got a mail of this case that asks them for something.
    `failure_code`: of the payment's last decline. `is_collected_otherwise`: another payment of the invoice is under
    way, such as one by a backup method. `has_ended`: its subscription has, so that nothing is
    collected any more."""

    state: State
    case: CaseState | None
    failure_code: str | None
    is_told: bool
    is_collected_otherwise: bool = False
    has_ended: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """A mail that is due. `since`: when it was written. `begun`: how often it was handed over with an unknown outcome.
    `status`: of the customer's address; None without one. `local_now`: the time by the customer's clock.
    `is_unsubscribed`: the customer wants no reminders. `is_overtaken`: the card that it is about is gone or renewed."""

    mail: Mail
    since: datetime
    begun: int
    status: MailStatus | None
    local_now: datetime
    is_unsubscribed: bool = False
    is_overtaken: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """The mail waits until then. `word`: for what."""

    until: datetime
    word: str


@dataclass(frozen=True, slots=True)
class Stop:
    """The mail is not sent. `word`: why not. `asks`: why a person is asked about it; None where that is right."""

    word: str
    asks: Reason | None = None

    @property
    def state(self) -> OutboxState:
        """How its row ends."""
        return OutboxState.SUPPRESSED if self.asks is None else OutboxState.FAILED


def why_not_sent(waiting: Waiting, debt: Debt | None) -> Wait | Stop | None:
    """Return why a mail is not sent now, or None if it is sent. `debt` None: the mail is about none.

    >>> noon = datetime(2026, 11, 28, 12)
    >>> mail = Waiting(Mail.FIRST_FAILURE, noon, 0, MailStatus.OK, noon)
    >>> why_not_sent(mail, Debt(State.PAST_DUE, CaseState.RETRYING, "insufficient_funds", is_told=False))
    >>> why_not_sent(mail, Debt(State.CAPTURED, CaseState.RECOVERED, None, is_told=False)).word
    'no_longer_true'
    """
    return (
        (_untrue(waiting.mail, debt) if debt is not None else _unwanted(waiting))
        or _undeliverable(waiting)
        or _too_late(waiting, debt)
        or _too_early(waiting, debt)
    )


def _untrue(mail: Mail, debt: Debt) -> Stop | None:
    if debt.failure_code is not None and is_risk(debt.failure_code):
        return Stop("risk")
    is_paid = debt.state in COLLECTED
    if debt.case not in _TRUE_IN[mail] or (mail in DEMANDS and (is_paid or debt.has_ended)):
        return Stop("no_longer_true")
    if mail is Mail.RECOVERED and not debt.is_told:
        # A failure that the customer never heard of needs no all-clear.
        return Stop("never_told")
    return None


def _unwanted(waiting: Waiting) -> Stop | None:
    if waiting.is_overtaken:
        return Stop("no_longer_true")
    return Stop("unsubscribed") if waiting.is_unsubscribed and waiting.mail in REMINDERS else None


def _undeliverable(waiting: Waiting) -> Stop | None:
    if waiting.status is None:
        return Stop("no_address")
    if waiting.status is not MailStatus.OK:
        return Stop(waiting.status.value)
    return None


def _too_late(waiting: Waiting, debt: Debt | None) -> Stop | None:
    if waiting.begun >= MOST_BEGUN:
        return Stop("outcome_unknown", Reason.MAIL_REFUSED)
    if waiting.local_now - waiting.since >= LIFETIME:
        # A bank takes days over a debit; whether that debt is paid is nothing that a person could mend.
        is_right = debt is not None and debt.is_collected_otherwise
        return Stop("too_old", None if is_right else Reason.MAIL_UNSENT)
    return None


def _too_early(waiting: Waiting, debt: Debt | None) -> Wait | None:
    is_under_way = debt is not None and (debt.state not in IN_DUNNING or debt.is_collected_otherwise)
    if is_under_way and waiting.mail in DEMANDS:
        # A try is under way, and may succeed in a moment.
        return Wait(waiting.local_now + _CHARGE_PAUSE, "charge_under_way")
    morning = end_of_quiet_hours(waiting.local_now)
    return Wait(morning, "quiet_hours") if morning > waiting.local_now else None


def end_of_quiet_hours(local: datetime) -> datetime:
    """Return when a customer may get a mail, by their own clock: now, or at eight in the morning.

    >>> [f"{end_of_quiet_hours(datetime(2026, 11, 28, hour)):%d. %H:%M}" for hour in (7, 8, 20, 21)]
    ['28. 08:00', '28. 08:00', '28. 20:00', '29. 08:00']
    """
    if _MORNING <= local.hour < _NIGHT:
        return local
    morning = local.replace(hour=_MORNING, minute=0, second=0, microsecond=0)
    return morning if local.hour < _MORNING else morning + timedelta(days=1)
