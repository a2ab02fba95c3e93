"""The one shape in which a subscription is shown, with what it entitles its customer to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, or_, select

from domain.decision import Policy
from domain.dunning.access import Debt, Entitlement, entitlement_of, may_owe
from domain.dunning.banner import banner_of
from domain.dunning.case import OPEN_CASES, CaseState, RetriedBy, SubscriptionStatus
from domain.errors import NotFound
from domain.money import decimal_text
from domain.payment import COLLECTED
from models.declines import last_decline_reason
from models.dunning_cases import case_of
from models.names import find_application
from models.tables import customers, dunning_cases, payments, subscriptions
from models.time_zones import zone_of

_find = (
    select(subscriptions, customers.c.language, customers.c.time_zone)
    .join(
        customers,
        and_(customers.c.user_id == subscriptions.c.user_id, customers.c.application == subscriptions.c.application),
        isouter=True,
    )
    .where(subscriptions.c.id == bindparam("id"), subscriptions.c.application == bindparam("application"))
)
# A subscription that was paid since owes nothing of what its dunning has given up.
_paid_since = (
    select(payments.c.id)
    .where(
        payments.c.subscription_id == dunning_cases.c.subscription_id,
        payments.c.application == dunning_cases.c.application,
        payments.c.state.in_(sorted(COLLECTED)),
        payments.c.updated_at > dunning_cases.c.updated_at,
    )
    .exists()
)
_is_given_up = (dunning_cases.c.state == CaseState.EXHAUSTED) & ~_paid_since
_find_debts = select(dunning_cases).where(
    dunning_cases.c.subscription_id == bindparam("id"),
    dunning_cases.c.application == bindparam("application"),
    or_(dunning_cases.c.state.in_(sorted(OPEN_CASES)), _is_given_up),
)


@dataclass(frozen=True, slots=True)
class Reader:
    """For whom a subscription is shown, and when. `pay_link`: makes the address of the page on which an application's
    invoice is paid; None: whoever reads this gets none."""

    now: datetime
    policy: Policy
    pay_link: Callable[[str, str], str] | None = None


def show_subscription(
    connection: Connection, subscription_id: str, application: str | None, reader: Reader
) -> dict[str, Any]:
    """Return a subscription and whether its customer has access. `application` None: the one that has it.

    Raises NotFound, AmbiguousName."""
    owner = application or find_application(connection, subscriptions, subscription_id)
    row = connection.execute(_find, {"id": subscription_id, "application": owner}).one_or_none()
    if row is None:
        raise NotFound("no such subscription; check the id and the API key")
    return {
        "id": row.id,
        "application": row.application,
        "user_id": row.user_id,
        "status": row.status,
        "plan": row.plan,
        "amount": None if row.amount is None else decimal_text(row.amount, row.currency),
        "currency": row.currency,
        "policy": row.policy,
        "retried_by": row.retried_by,
        "provider": row.provider,
        "provider_reference": row.provider_reference,
        "anchor_at": _text(row.anchor_at or row.created_at),
        "paused_at": _text(row.paused_at),
        **_access_view(connection, row, reader),
        "created_at": _text(row.created_at),
        "updated_at": _text(row.updated_at),
    }


def _access_view(connection: Connection, row: Row[Any], reader: Reader) -> dict[str, Any]:
    status, is_retried_by_provider = SubscriptionStatus(row.status), row.retried_by == RetriedBy.PROVIDER
    debts = _debts(connection, row) if may_owe(status, is_retried_by_provider=is_retried_by_provider) else []
    entitlement = entitlement_of(
        status, debts, reader.now, reader.policy.dunning, is_retried_by_provider=is_retried_by_provider
    )
    debt, link = entitlement.debt, reader.pay_link
    return {
        "access": entitlement.access,
        "until": _text(entitlement.until),
        "reason": entitlement.reason,
        "next_attempt_at": _text(entitlement.next_attempt_at),
        "update_url": link(row.application, debt.invoice_id) if link is not None and debt is not None else None,
        "banner": _banner(connection, row, reader, entitlement),
    }


def _debts(connection: Connection, row: Row[Any]) -> list[Debt]:
    found = connection.execute(_find_debts, {"id": row.id, "application": row.application})
    return [Debt(each.payment_id, each.invoice_id, case_of(each)) for each in found]


def _banner(connection: Connection, row: Row[Any], reader: Reader, entitlement: Entitlement) -> dict[str, Any] | None:
    mail, debt = reader.policy.mail, entitlement.debt
    banner = banner_of(
        entitlement,
        last_decline_reason(connection, debt.payment_id) if debt is not None else None,
        row.language or mail.language,
        zone_of(row.time_zone, mail.time_zone),
        is_retried_by_provider=row.retried_by == RetriedBy.PROVIDER,
    )
    return None if banner is None else {"severity": banner.severity, "language": banner.language, "text": banner.text}


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")
