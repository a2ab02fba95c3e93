"""Every write of the attention list: entries are opened once, decided on, and closed once.

Opening, deciding and closing are events of the audit trail, in the transaction of what they record."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, select, update

from domain.attention import Reason
from domain.errors import NotFound
from models.audit import record_event
from models.change import Change
from models.session import insert_new
from models.tables import attention
from models.tables.base import new_id

_log = logging.getLogger(__name__)

# The mail server stands on the list where a provider does.
MAIL_SERVER = "mail"
# What ended an entry that no person decided on: what it was about has come to its end.
_ENDED = "ended"
_is_open = attention.c.closed_at.is_(None)


def open_entry(
    change: Change,
    reason: Reason,
    *,
    payment_id: str | None = None,
    webhook_event_id: str | None = None,
    provider: str | None = None,
    cash_balance_id: str | None = None,
    amount: int | None = None,
    currency: str | None = None,
    data: dict[str, Any] | None = None,
    detail: Mapping[str, Any] | None = None,
    adds: bool = False,
) -> None:
    """Put a payment, a webhook event, a provider or a cash balance on the list, or add to the open entry of a payment
    with this reason.

    `amount`: all that is at stake; if it `adds`, what comes to that. `detail`: one of the things that the entry is
    about. It and `data` hold references, codes and amounts only."""
    entry_id = new_id("attn", change.now)
    data = (data or {}) | ({"details": [dict(detail)]} if detail else {})
    values = {
        "id": entry_id,
        "payment_id": payment_id,
        "webhook_event_id": webhook_event_id,
        "provider": provider,
        "cash_balance_id": cash_balance_id,
        "reason": reason,
        "amount": amount,
        "currency": currency,
        "data": data,
        "opened_at": change.now,
    }
    if insert_new(change.connection, attention, values):
        _record(change, "attention_opened", payment_id, {"entry": entry_id, "reason": reason})
        subject = payment_id or webhook_event_id or provider or cash_balance_id
        _log.warning("attention %s: %s of %s needs a person", entry_id, reason, subject)
    elif detail:
        _add_to_entry(change, reason, payment_id, amount or 0, dict(detail), adds=adds)


def _add_to_entry(
    change: Change, reason: Reason, payment_id: str | None, amount: int, detail: dict[str, Any], *, adds: bool
) -> None:
    """Add one more thing of the same reason to the open entry of a payment, whose lock the caller holds."""
    entry = find_open_entry(change, payment_id, reason) if payment_id else None
    if entry is None or detail in (details := (entry.data or {}).get("details", [])):
        return
    data = (entry.data or {}) | {"details": [*details, detail]}
    values = {"data": data, "amount": (entry.amount if adds else 0) + amount}
    change.connection.execute(update(attention).where(attention.c.id == entry.id).values(values))
    _record(change, "attention_extended", payment_id, {"entry": entry.id, "reason": reason})


def reduce_entry(change: Change, payment_id: str, reason: Reason, reference: str) -> None:
    """Take one thing off the open entry of a locked payment, by the provider's id of it; the last one closes the
    entry."""
    entry = find_open_entry(change, payment_id, reason)
    details = (entry.data or {}).get("details", []) if entry is not None else []
    left = [detail for detail in details if detail.get("reference") != reference]
    if entry is None or len(left) == len(details):
        return
    if not left:
        close_entry(change, entry)
        return
    amount = entry.amount - sum(detail["amount"] for detail in details if detail not in left)
    values = {"data": entry.data | {"details": left}, "amount": amount}
    change.connection.execute(update(attention).where(attention.c.id == entry.id).values(values))
    _record(change, "attention_reduced", payment_id, {"entry": entry.id, "reason": reason})


def close_entries_of_payment(change: Change, payment_id: str, reasons: Iterable[Reason]) -> None:
    """Close the payment's open entries with these reasons: what they were about has come to its end."""
    _close(change, (attention.c.payment_id == payment_id) & attention.c.reason.in_(sorted(reasons)))


def close_entries_of_webhook(change: Change, webhook_event_id: str) -> None:
    """Close the open entries of a webhook event that was applied after all."""
    _close(change, attention.c.webhook_event_id == webhook_event_id)


def close_entries_of_provider(change: Change, provider: str, reasons: Iterable[Reason]) -> None:
    """Close the open entries of a provider with these reasons: what they were about has come to its end."""
    _close(change, (attention.c.provider == provider) & attention.c.reason.in_(sorted(reasons)))


def close_entries_of_balance(change: Change, cash_balance_id: str, reason: Reason) -> None:
    """Close the open entry of a cash balance with this reason: its money is used."""
    _close(change, (attention.c.cash_balance_id == cash_balance_id) & (attention.c.reason == reason))


def note_refusal(change: Change, cash_balance_id: str, refusal: str) -> None:
    """Store in the open entries of a cash balance why the provider has not given its money back, as one word."""
    is_meant = (attention.c.cash_balance_id == cash_balance_id) & _is_open
    for row in change.connection.execute(select(attention.c.id, attention.c.data).where(is_meant)).all():
        values = {"data": {**(row.data or {}), "refusal": refusal}}
        change.connection.execute(update(attention).where(attention.c.id == row.id).values(values))
        _record(change, "attention_refused", None, {"entry": row.id, "refusal": refusal})


def find_open_entry(change: Change, payment_id: str, reason: Reason) -> Row[Any] | None:
    """Return the open entry of a locked payment with this reason."""
    is_meant = (attention.c.payment_id == payment_id) & (attention.c.reason == reason) & _is_open
    return change.connection.execute(select(attention).where(is_meant)).one_or_none()


def was_told(connection: Connection, payment_id: str, reason: Reason, detail: Mapping[str, Any]) -> bool:
    """Tell whether an entry of a payment, open or closed, has told the same thing."""
    is_meant = (attention.c.payment_id == payment_id) & (attention.c.reason == reason)
    told = connection.scalars(select(attention.c.data).where(is_meant))
    return any(dict(detail) in (data or {}).get("details", []) for data in told)


def lock_entry(connection: Connection, entry_id: str) -> Row[Any]:
    """Lock an entry. Raises NotFound."""
    row = connection.execute(select(attention).where(attention.c.id == entry_id).with_for_update()).one_or_none()
    if row is None:
        raise NotFound("no such entry; the attention list shows the ids")
    return row


def decide_entry(change: Change, entry: Row[Any], resolution: str, note: str) -> None:
    """Store what a person has decided on a locked entry, and why."""
    decided = {"resolution": resolution, "note": note}
    change.connection.execute(update(attention).where(attention.c.id == entry.id).values(decided))
    data = {"entry": entry.id, "reason": entry.reason, "resolution": resolution, "note": note}
    _record(change, "attention_decided", entry.payment_id, data)


def close_entry(change: Change, entry: Row[Any]) -> None:
    """Close a locked entry because nothing more is to be done about it."""
    _close(change, attention.c.id == entry.id)


def _close(change: Change, is_meant: ColumnElement[bool]) -> None:
    closed = (
        update(attention)
        .where(is_meant, _is_open)
        .values(
            closed_at=change.now,
            closed_by=change.actor,
            resolution=func.coalesce(attention.c.resolution, _ENDED),
        )
        .returning(attention.c.id, attention.c.payment_id, attention.c.reason, attention.c.resolution)
    )
    for row in change.connection.execute(closed).all():
        data = {"entry": row.id, "reason": row.reason, "resolution": row.resolution}
        _record(change, "attention_closed", row.payment_id, data)


def _record(change: Change, name: str, payment_id: str | None, data: dict[str, Any]) -> None:
    record_event(change.connection, name, actor=change.actor, now=change.now, payment_id=payment_id, data=data)
