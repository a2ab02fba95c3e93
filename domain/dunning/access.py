"""Whether the customer of a subscription has access, until when, and why: the one truth that applications show.

A decline takes no access away. Only the end of grace does, a person's command, or the end of the subscription."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.dunning.case import OPEN_CASES, CaseState, SubscriptionStatus
from domain.dunning.policy import DunningPolicy, EndAction, GraceAnchor
from domain.payment import DunningCase


class Access(StrEnum):
    """Whether the customer may use what they subscribe to."""

    GRANTED = "granted"
    SUSPENDED = "suspended"


class AccessReason(StrEnum):
    """Why a customer has access or has none. Applications compare these words, so that they stay."""

    PAID = "paid"
    PAST_DUE = "past_due"
    IN_GRACE = "in_grace"
    # The days of grace are over, and the end action of the policy waits for the last retry.
    GRACE_ENDED = "grace_ended"
    INCOMPLETE = "incomplete"
    PAUSED = "paused"
    UNPAID = "unpaid"
    CANCELED = "canceled"


# Past due is not among them: its cases say until when there is access.
_SUSPENDED = {
    SubscriptionStatus.INCOMPLETE: AccessReason.INCOMPLETE,
    SubscriptionStatus.PAUSED: AccessReason.PAUSED,
    SubscriptionStatus.UNPAID: AccessReason.UNPAID,
    SubscriptionStatus.CANCELED: AccessReason.CANCELED,
}
# What is paid owes nothing, and what has ended is not collected for any more.
_OWING_NOTHING = frozenset({SubscriptionStatus.ACTIVE, SubscriptionStatus.CANCELED})
# An exhausted case leaves a debt that its customer can still pay.
OWING_CASES = OPEN_CASES | {CaseState.EXHAUSTED}


@dataclass(frozen=True, slots=True)
class Debt:
    """An unpaid invoice of a subscription, with the case of the payment that was to pay it."""

    payment_id: str
    invoice_id: str
    case: DunningCase


@dataclass(frozen=True, slots=True)
class Entitlement:
    """What a subscription entitles its customer to now. `until`: when access ends if nothing is paid; None while no end
    is known. `next_attempt_at`: when the next try is due. `debt`: the one that decides."""

    access: Access
    reason: AccessReason
    until: datetime | None = None
    next_attempt_at: datetime | None = None
    debt: Debt | None = None


def may_owe(status: SubscriptionStatus, *, is_retried_by_provider: bool) -> bool:
    """Tell whether unpaid cases matter to a subscription's access. A provider that retries by itself says its status.

    >>> may_owe(SubscriptionStatus.PAST_DUE, is_retried_by_provider=False)
    True
    """
    return not is_retried_by_provider and status not in _OWING_NOTHING


def entitlement_of(
    status: SubscriptionStatus,
    debts: Iterable[Debt],
    now: datetime,
    default: DunningPolicy,
    *,
    is_retried_by_provider: bool = False,
) -> Entitlement:
    """Return what a subscription entitles its customer to. Of several debts the strictest decides.

    `debts`: with their open and exhausted cases. `default`: the policy of cases that have stored none.

    >>> case = DunningCase(CaseState.IN_GRACE, datetime(2026, 11, 1), 3, due_at=datetime(2026, 11, 22))
    >>> debts = [Debt("pay_1", "inv-1", case)]
    >>> shown = entitlement_of(SubscriptionStatus.PAST_DUE, debts, datetime(2026, 11, 16), DunningPolicy())
    >>> shown.access.value, shown.reason.value, shown.until.day
    ('granted', 'in_grace', 22)
    """
    may = may_owe(status, is_retried_by_provider=is_retried_by_provider)
    owed = [debt for debt in debts if may and debt.case.state in OWING_CASES]
    owed.sort(key=lambda debt: _strictest_first(debt, now, default))
    debt = owed[0] if owed else None
    planned = [each.case.due_at for each in owed if each.case.state is CaseState.RETRYING and each.case.due_at]
    next_at = min(planned, default=None)
    if status in _SUSPENDED:
        return Entitlement(Access.SUSPENDED, _SUSPENDED[status], None, next_at, debt)
    if debt is not None and has_lost_access(debt.case, now, default):
        return Entitlement(Access.SUSPENDED, AccessReason.GRACE_ENDED, None, next_at, debt)
    return Entitlement(Access.GRANTED, _reason(status, owed), _until(owed, default), next_at, debt)


def access_ends_at(case: DunningCase, default: DunningPolicy) -> datetime | None:
    """Return when access ends by a case if nothing is paid; None while no end is known, and where none comes.

    With the anchor `last_retry` access ends with the case, whose date moves while an operator lets it wait or another
    payment is under way. With `first_failure` it ends on a day that is known from the first failure on, and stays ended
    under a policy that keeps the subscription past due."""
    policy = case.policy or default
    if case.state not in OPEN_CASES and policy.end_action is not EndAction.KEEP:
        return None
    if policy.grace_anchor is GraceAnchor.FIRST_FAILURE:
        # Until a retry is planned no issuer has declined anything.
        has_failed = case.retry > 0 or case.state is not CaseState.RETRYING
        return policy.access_ends_at(case.first_failed_at, case.grace_ends_at) if has_failed else None
    is_ending = case.state is CaseState.IN_GRACE and policy.end_action is not EndAction.KEEP
    return case.due_at if is_ending else None


def has_lost_access(case: DunningCase, now: datetime, default: DunningPolicy) -> bool:
    """Tell whether the days of grace are over while the subscription is still past due. Where access ends with the
    case, the subscription's status says so instead."""
    ends_at = access_ends_at(case, default)
    is_by_day = (case.policy or default).grace_anchor is GraceAnchor.FIRST_FAILURE
    return is_by_day and ends_at is not None and now >= ends_at


def _strictest_first(
    debt: Debt, now: datetime, default: DunningPolicy
) -> tuple[bool, bool, datetime, bool, datetime, str]:
    case, ends_at = debt.case, access_ends_at(debt.case, default)
    end = (ends_at is None, ends_at or now)
    is_in_grace = case.state is CaseState.IN_GRACE
    return (not has_lost_access(case, now, default), *end, not is_in_grace, case.first_failed_at, debt.payment_id)


def _reason(status: SubscriptionStatus, owed: list[Debt]) -> AccessReason:
    if status is SubscriptionStatus.ACTIVE:
        return AccessReason.PAID
    is_in_grace = any(debt.case.state is CaseState.IN_GRACE for debt in owed)
    return AccessReason.IN_GRACE if is_in_grace else AccessReason.PAST_DUE


def _until(owed: list[Debt], default: DunningPolicy) -> datetime | None:
    ends = [ends_at for debt in owed if (ends_at := access_ends_at(debt.case, default)) is not None]
    return min(ends, default=None)
