"""Backup methods: when a debt is charged to another method that its customer has agreed to, and to which one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from domain.decision import DecisionContext
from domain.decline import Decline, DeclineClass, is_risk
from domain.dunning.case import OPEN_CASES, TryCause
from domain.effects import TryBackup
from domain.errors import InvalidRequest
from domain.money import Money
from domain.payment import DunningCase
from domain.payment_methods import PaymentMethod, can_charge, capabilities
from domain.saved_method import MethodStatus, reason_not_to_charge

# More than these nobody means to be charged by.
MOST_BACKUPS = 5
# Clocks differ.
_TOLERANCE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup method, as far as the choice reads it. `status`: what is known of the saved method. `is_blocked`: an
    earlier decline forbids to charge it. `fingerprint`: of its card or account, once that was declined."""

    provider: str
    token: str
    method: str
    status: MethodStatus | None = None
    is_blocked: bool = False
    fingerprint: str | None = None


def try_backup(case: DunningCase, decline: Decline | None) -> tuple[TryBackup, ...]:
    """Return the effect of a decline of the method that was chosen for a debt. Only after a soft one another method is
    tried: after any harder one the customer has to decide, and after one for fraud nobody is charged."""
    is_watched_only = case.policy is not None and case.policy.is_monitor_only
    if decline is None or case.state not in OPEN_CASES or is_watched_only:
        return ()
    is_soft = decline.decline_class is DeclineClass.SOFT
    return (TryBackup(),) if is_soft and not is_risk(decline.decline_code or decline.code) else ()


def is_of_backup(context: DecisionContext) -> bool:
    """Tell whether the attempt of a decision charges a backup method."""
    attempt = context.given_attempt
    return attempt is not None and attempt.cause is TryCause.BACKUP_METHOD


def try_next_backup(context: DecisionContext) -> tuple[TryBackup, ...]:
    """Return the effect of a payment that ends without money: that of a backup method is followed by the next one."""
    return (TryBackup(),) if is_of_backup(context) and context.payment.has_dunned_sibling else ()


def choose(
    backups: Collection[Backup], money: Money, tried: Collection[str], fingerprints: Collection[str | None]
) -> Backup | None:
    """Return the first backup method that may be charged for a debt; None if none is left. `backups`: in their order.
    `tried`, `fingerprints`: the tokens, and the cards and accounts, that were tried for it already;
    None: a try that has shown no card.

    >>> cards = [Backup("stripe", token, "credit_card") for token in ("pm_1", "pm_2")]
    >>> choose(cards, Money(1230, "EUR"), ["pm_1"], []).token
    'pm_2'
    >>> choose([Backup("stripe", "pm_3", "sepa_debit")], Money(1230, "USD"), [], []) is None
    True
    >>> choose(cards, Money(1230, "EUR"), [], [None]).token
    'pm_1'
    """
    return next((one for one in backups if _may_be_tried(one, money, tried, fingerprints)), None)


def _may_be_tried(one: Backup, money: Money, tried: Collection[str], fingerprints: Collection[str | None]) -> bool:
    was_tried = one.token in tried or (one.fingerprint is not None and one.fingerprint in fingerprints)
    is_chargeable = reason_not_to_charge(one.status, is_off_session=True) is None and not one.is_blocked
    return not was_tried and is_chargeable and can_charge(PaymentMethod(one.method), one.provider, money)


def require_reusable(method: str, provider: str, field: str) -> None:
    """Refuse a method that is not charged while its customer is away. Raises InvalidRequest.

    >>> require_reusable("credit_card", "stripe", "payment_method_token")
    >>> require_reusable("link", "stripe", "payment_method_token")
    Traceback (most recent call last):
    ...
    domain.errors.InvalidRequest: link cannot be charged while the customer is away; choose another saved method
    """
    is_known = method in list(PaymentMethod)
    sold = capabilities(PaymentMethod(method)) if is_known else []
    if not any(each.is_reusable and each.provider == provider for each in sold):
        raise InvalidRequest(
            f"{method} cannot be charged while the customer is away; choose another saved method", param=field
        )


def require_given(agreed_at: datetime | None, now: datetime, field: str) -> datetime:
    """Return when a consent was given. Raises InvalidRequest for one that is still to be given.

    >>> noon = datetime(2026, 11, 28, 12)
    >>> require_given(noon + timedelta(days=1), noon, "consent.agreed_at")
    Traceback (most recent call last):
    ...
    domain.errors.InvalidRequest: consent.agreed_at lies ahead; send when the customer has agreed
    """
    if agreed_at is None or agreed_at > now + _TOLERANCE:
        raise InvalidRequest(f"{field} lies ahead; send when the customer has agreed", param=field)
    return agreed_at
