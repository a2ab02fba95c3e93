"""Every write of a customer: how an application's user is reached, and what is known of the address."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, select, update

from domain.errors import NotFound
from domain.names import application_meant
from domain.outbox import MailStatus
from models.audit import record_event
from models.change import Change
from models.idempotency import ApiResponse, Caller
from models.invoices import DEFAULT_APPLICATION
from models.request_bodies import MarkAddress, UpsertCustomer
from models.session import insert_new
from models.tables import customers


def upsert_customer(change: Change, user_id: str, request: UpsertCustomer, caller: Caller) -> ApiResponse:
    """Store how a user is reached, in place of what was stored. A new address is taken for one that works.

    Raises AmbiguousName."""
    connection = change.connection
    application = caller.application or _find_application(connection, user_id) or DEFAULT_APPLICATION
    values: dict[str, Any] = {**request.model_dump(), "updated_at": change.now}
    keys = {"user_id": user_id, "application": application, "created_at": change.now, "mail_status": MailStatus.OK}
    is_new = insert_new(connection, customers, values | keys)
    if not is_new:
        row = lock_customer(connection, user_id, application)
        if row is not None and row.email != request.email:
            values["mail_status"] = MailStatus.OK
        connection.execute(update(customers).where(_is_named(user_id, application)).values(values))
    return ApiResponse(201 if is_new else 200, show_customer(connection, user_id, application))


def mark_address(change: Change, user_id: str, request: MarkAddress, caller: Caller) -> dict[str, Any]:
    """Store what a mail provider has told of a customer's address; return the customer. Raises NotFound."""
    application = _owner(change.connection, user_id, caller.application)
    if lock_customer(change.connection, user_id, application) is None:
        raise _not_found()
    write_status(change, user_id, application, MailStatus(request.status))
    return show_customer(change.connection, user_id, application)


def write_status(change: Change, user_id: str, application: str, status: MailStatus) -> None:
    """Store what is known of a customer's address, and record it where that is news."""
    is_news = _is_named(user_id, application) & (customers.c.mail_status != status)
    changed = change.connection.execute(
        update(customers).where(is_news).values(mail_status=status, updated_at=change.now)
    )
    if changed.rowcount:
        data = {"application": application, "user_id": user_id}
        record_event(change.connection, f"address_{status}", actor=change.actor, now=change.now, data=data)


def set_reminders(change: Change, user_id: str, application: str, *, are_wanted: bool) -> None:
    """Store whether a customer wants reminders, and record it where that is news."""
    stored = customers.c.unsubscribed_at
    is_news = _is_named(user_id, application) & (stored.is_not(None) if are_wanted else stored.is_(None))
    values = {"unsubscribed_at": None if are_wanted else change.now, "updated_at": change.now}
    if change.connection.execute(update(customers).where(is_news).values(values)).rowcount:
        data = {"application": application, "user_id": user_id}
        name = "reminders_wanted" if are_wanted else "reminders_unsubscribed"
        record_event(change.connection, name, actor=change.actor, now=change.now, data=data)


def erase_customer(change: Change, user_id: str, application: str) -> tuple[str | None, bool]:
    """Erase how a user is reached; return the address that was stored, and whether anything is stored of them."""
    row = lock_customer(change.connection, user_id, application)
    if row is None:
        return None, False
    erased = dict.fromkeys(("email", "name", "language", "time_zone", "country"))
    values = {**erased, "updated_at": change.now}
    change.connection.execute(update(customers).where(_is_named(user_id, application)).values(values))
    return row.email, True


def lock_customer(connection: Connection, user_id: str, application: str) -> Row[Any] | None:
    """Lock a customer; None if nothing is stored of them."""
    query = select(customers).where(_is_named(user_id, application)).with_for_update()
    return connection.execute(query).one_or_none()


def find_customer(connection: Connection, user_id: str, application: str) -> Row[Any] | None:
    """Return a customer; None if nothing is stored of them."""
    return connection.execute(select(customers).where(_is_named(user_id, application))).one_or_none()


def show_customer(connection: Connection, user_id: str, application: str | None) -> dict[str, Any]:
    """Return a customer as the API shows it. `application` None: the one that has it.

    Raises NotFound, AmbiguousName."""
    row = find_customer(connection, user_id, _owner(connection, user_id, application))
    if row is None:
        raise _not_found()
    return {
        "user_id": row.user_id,
        "application": row.application,
        "email": row.email,
        "name": row.name,
        "language": row.language,
        "time_zone": row.time_zone,
        "country": row.country,
        "mail_status": row.mail_status,
        "unsubscribed_at": _text(row.unsubscribed_at) if row.unsubscribed_at else None,
        "created_at": _text(row.created_at),
        "updated_at": _text(row.updated_at),
    }


def _owner(connection: Connection, user_id: str, application: str | None) -> str:
    owner = application or _find_application(connection, user_id)
    if owner is None:
        raise _not_found()
    return owner


def _find_application(connection: Connection, user_id: str) -> str | None:
    owners = connection.scalars(select(customers.c.application).where(customers.c.user_id == user_id))
    return application_meant(owners.all())


def _is_named(user_id: str, application: str) -> ColumnElement[bool]:
    return (customers.c.user_id == user_id) & (customers.c.application == application)


def _not_found() -> NotFound:
    return NotFound("nothing is stored of this customer; check the user_id and the API key")


def _text(instant: Any) -> str:
    return str(instant.isoformat(timespec="milliseconds").replace("+00:00", "Z"))
