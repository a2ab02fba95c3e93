"""A subscription that a provider's own engine bills and retries: what the provider tells of it, and which status
follows. Celeriac only watches it; nothing here causes a charge."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from domain.dunning.case import SubscriptionStatus, has_ended


@dataclass(frozen=True, slots=True)
class ProviderSubscription:
    """What an event says of a provider's subscription. `at`: when, by the provider's clock.

    `is_hint`: the event is about a payment, and the status of the subscription only follows from it. `is_first`: the
    event tells how the subscription was created, so that any other of the same moment is newer."""

    reference: str
    status: SubscriptionStatus
    at: datetime
    is_hint: bool = False
    is_first: bool = False


# What a payment changes. A paid invoice resumes no paused subscription and revives none that is given up, and a failed
# first payment leaves the subscription incomplete.
_HINTED = {
    SubscriptionStatus.ACTIVE: frozenset({SubscriptionStatus.INCOMPLETE, SubscriptionStatus.PAST_DUE}),
    SubscriptionStatus.PAST_DUE: frozenset({SubscriptionStatus.ACTIVE}),
}


def status_told(
    known: SubscriptionStatus, known_at: datetime | None, told: ProviderSubscription
) -> SubscriptionStatus | None:
    """Return the status that an event tells of; None if it is older than what is known, or is no news.

    `known_at`: when the newest event that was applied happened. What has ended stays so.

    >>> noon = datetime(2026, 11, 28, 12)
    >>> paid = ProviderSubscription("sub_1", SubscriptionStatus.ACTIVE, noon, is_hint=True)
    >>> str(status_told(SubscriptionStatus.PAST_DUE, None, paid))
    'active'
    >>> [status_told(status, None, paid) for status in (SubscriptionStatus.PAUSED, SubscriptionStatus.CANCELED)]
    [None, None]
    >>> status_told(SubscriptionStatus.PAST_DUE, noon, paid) is None
    True
    """
    if has_ended(known) or not _is_newer(known_at, told):
        return None
    if told.is_hint and known not in _HINTED.get(told.status, ()):
        return None
    return told.status


def _is_newer(known_at: datetime | None, told: ProviderSubscription) -> bool:
    if known_at is None or told.at > known_at:
        return True
    # Stripe's events have whole seconds: of one second, what tells most counts, and else what comes last.
    return told.at == known_at and not (told.is_hint or told.is_first)
