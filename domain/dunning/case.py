"""Dunning cases and subscriptions: the states that they have."""

from __future__ import annotations

from enum import StrEnum

from domain.decline import DeclineClass
from domain.errors import Conflict, IllegalTransition


class CaseState(StrEnum):
    """Where a dunning case stands. The last three are closed."""

    RETRYING = "retrying"
    IN_GRACE = "in_grace"
    RECOVERED = "recovered"
    EXHAUSTED = "exhausted"
    STOPPED = "stopped"


# A date or an attempt moves these on.
OPEN_CASES = frozenset({CaseState.RETRYING, CaseState.IN_GRACE})
# Their debt was not paid.
UNPAID_CASES = frozenset(CaseState) - {CaseState.RECOVERED}


class CaseEvent(StrEnum):
    """What happens to a dunning case."""

    RETRY_PLANNED = "retry_planned"
    GRACE_STARTED = "grace_started"
    GRACE_ENDED = "grace_ended"
    CONSENT_WITHDRAWN = "consent_withdrawn"
    DEBT_PAID = "debt_paid"
    STOPPED = "stopped"


# How a case begins; a recovered one begins again if the money is taken back.
_BEGINNINGS = {
    CaseEvent.RETRY_PLANNED: CaseState.RETRYING,
    CaseEvent.GRACE_STARTED: CaseState.IN_GRACE,
    CaseEvent.CONSENT_WITHDRAWN: CaseState.EXHAUSTED,
}
# None: there is no case yet.
CASE_TRANSITIONS: dict[tuple[CaseState | None, CaseEvent], CaseState] = {
    **{(begin, event): to for begin in (None, CaseState.RECOVERED) for event, to in _BEGINNINGS.items()},
    (CaseState.RETRYING, CaseEvent.RETRY_PLANNED): CaseState.RETRYING,
    (CaseState.RETRYING, CaseEvent.GRACE_STARTED): CaseState.IN_GRACE,
    # a try that somebody else has caused leaves the end of grace as it is
    (CaseState.IN_GRACE, CaseEvent.GRACE_STARTED): CaseState.IN_GRACE,
    (CaseState.IN_GRACE, CaseEvent.GRACE_ENDED): CaseState.EXHAUSTED,
    **{(state, CaseEvent.CONSENT_WITHDRAWN): CaseState.EXHAUSTED for state in sorted(OPEN_CASES)},
    **{(state, CaseEvent.STOPPED): CaseState.STOPPED for state in sorted(OPEN_CASES)},
    # also late, and by another payment of the invoice
    **{(state, CaseEvent.DEBT_PAID): CaseState.RECOVERED for state in sorted(UNPAID_CASES)},
}


def case_after(state: CaseState | None, event: CaseEvent) -> CaseState:
    """Return the state that the event leads to. Raises IllegalTransition if the table has none.

    >>> case_after(CaseState.IN_GRACE, CaseEvent.GRACE_ENDED).value
    'exhausted'
    """
    try:
        return CASE_TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransition(f"a dunning case that is {state} cannot have the event {event}") from None


class TryCause(StrEnum):
    """Who has caused a further try to collect a debt. Only those of dunning use up its plan."""

    DUNNING = "dunning"
    CUSTOMER_RETRY = "customer_retry"
    METHOD_UPDATED = "method_updated"
    UPDATER = "updater"
    BACKUP_METHOD = "backup_method"
    OPERATOR = "operator"
    APPLICATION = "application"


def cause_of_payment(*, is_dunned: bool, is_off_session: bool) -> TryCause | None:
    """Return who causes the first try of a payment, if its invoice is in dunning; None for any other first try.

    >>> cause_of_payment(is_dunned=True, is_off_session=False).value
    'customer_retry'
    """
    if not is_dunned:
        return None
    return TryCause.APPLICATION if is_off_session else TryCause.CUSTOMER_RETRY


def becomes_default(cause: TryCause | None) -> bool:
    """Tell whether the method that has paid a dunned debt becomes its user's default, if it is saved: one that the
    customer has chosen does. A backup method was agreed to for this case only, and an application says itself what is
    the default.

    >>> becomes_default(TryCause.CUSTOMER_RETRY), becomes_default(TryCause.BACKUP_METHOD)
    (True, False)
    """
    return cause is TryCause.CUSTOMER_RETRY


def is_planned(cause: TryCause | None) -> bool:
    """Tell whether a try is one of dunning's plan, or the first one that dunning begins with."""
    return cause in (None, TryCause.DUNNING)


class SubscriptionStatus(StrEnum):
    """Whether a subscription's payments are up to date. Some come from a provider's own engine only: a subscription
    that it has not collected for yet, has paused, or has given up collecting for."""

    INCOMPLETE = "incomplete"  # nothing was ever paid
    ACTIVE = "active"
    PAST_DUE = "past_due"
    PAUSED = "paused"
    UNPAID = "unpaid"
    CANCELED = "canceled"


# From which statuses a subscription gets each status. One that was never paid stays incomplete until it is, and a
# canceled one stays canceled.
SUBSCRIPTION_TRANSITIONS: dict[SubscriptionStatus, frozenset[SubscriptionStatus]] = {
    SubscriptionStatus.INCOMPLETE: frozenset(),
    SubscriptionStatus.ACTIVE: frozenset(
        {
            SubscriptionStatus.INCOMPLETE,
            SubscriptionStatus.PAST_DUE,
            SubscriptionStatus.PAUSED,
            SubscriptionStatus.UNPAID,
        }
    ),
    SubscriptionStatus.PAST_DUE: frozenset({SubscriptionStatus.ACTIVE}),
    SubscriptionStatus.PAUSED: frozenset({SubscriptionStatus.ACTIVE, SubscriptionStatus.PAST_DUE}),
    SubscriptionStatus.UNPAID: frozenset({SubscriptionStatus.ACTIVE, SubscriptionStatus.PAST_DUE}),
    SubscriptionStatus.CANCELED: frozenset(SubscriptionStatus) - {SubscriptionStatus.CANCELED},
}


# One that was never paid, and is paid while another invoice of it is in dunning.
FIRST_PAID_BESIDE_DEBT = (SubscriptionStatus.INCOMPLETE, SubscriptionStatus.PAST_DUE)


def may_become(status: SubscriptionStatus, wanted: SubscriptionStatus) -> bool:
    """Tell whether a subscription gets the status that its payments or a person want.

    >>> may_become(SubscriptionStatus.INCOMPLETE, SubscriptionStatus.PAST_DUE)
    False
    """
    return status in SUBSCRIPTION_TRANSITIONS[wanted]


def needs_no_other_case(status: SubscriptionStatus) -> bool:
    """Tell whether a subscription gets this status only if no other payment of it is in dunning: another unpaid
    invoice keeps it past due."""
    return status is SubscriptionStatus.ACTIVE


def status_beside_debt(status: SubscriptionStatus) -> SubscriptionStatus | None:
    """Return what a subscription becomes that is paid while another payment of it is in dunning; None if it stays.

    >>> status_beside_debt(SubscriptionStatus.INCOMPLETE).value, status_beside_debt(SubscriptionStatus.PAST_DUE)
    ('past_due', None)
    """
    unpaid, paid = FIRST_PAID_BESIDE_DEBT
    return paid if status is unpaid else None


class RetriedBy(StrEnum):
    """Whose engine tries a subscription's failed payments again."""

    CELERIAC = "celeriac"
    PROVIDER = "provider"


def require_not_canceled(status: SubscriptionStatus) -> None:
    """Refuse a new payment of a subscription that has ended. Raises Conflict."""
    if has_ended(status):
        raise Conflict("the subscription is canceled; start a new one")


def has_ended(status: SubscriptionStatus | None) -> bool:
    """Tell whether a subscription has ended."""
    return status is SubscriptionStatus.CANCELED


def may_retry(decline_class: DeclineClass) -> bool:
    """Tell whether the same instrument may be tried again: only after a soft decline."""
    return decline_class is DeclineClass.SOFT
