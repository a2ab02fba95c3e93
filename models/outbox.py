"""Every write of the outbox. Rows are written with what they tell of, and nothing here talks to a mail server."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, select, update

from domain.dunning.mail import DEMANDS, Mail
from domain.outbox import LEASE, OutboxState
from models.change import Change
from models.session import insert_new
from models.tables import outbox
from models.tables.base import new_id
from models.task_messages import MAIL, PROVIDER, TaskMessage, message_for_outbox

# As many as one sweep publishes of a table.
_MOST_MESSAGES = 500
MAKE_DEFAULT_METHOD = "make_default"
_IS_WAITING = outbox.c.state == OutboxState.WAITING


def case_of(payment: Row[Any]) -> str:
    """Return the reference of a payment's dunning case: what makes a mail of it the same mail."""
    return str(payment.id)


def write_mail_of_case(
    change: Change, payment: Row[Any], mail: Mail, data: dict[str, Any] | None = None
) -> TaskMessage | None:
    """Write a mail about a payment's dunning case, due now; None if the case has got it already."""
    key = f"{MAIL}:{case_of(payment)}:{mail}"
    return write_row(change, mail, key, payment.application, payment.user_id, payment_id=payment.id, data=data)


def write_card_reminder(
    change: Change, application: str, user_id: str, reference: str, data: dict[str, Any]
) -> TaskMessage | None:
    """Remind a customer that a stored card expires, once for each card, end and number of days before it.

    `reference`: names the card. `data`: `expires`, as a customer reads it, such as 03/2026; `days` before that; `card`,
    what tells it from others, such as •••• 4242."""
    kind = Mail.CARD_EXPIRES_SOON
    key = f"{MAIL}:{application}:{reference}:{data['expires']}:{data['days']}:{kind}"
    return write_row(change, kind, key, application, user_id, data=data)


def ask_for_default(change: Change, application: str, user_id: str, payment_id: str) -> TaskMessage | None:
    """Let the method of a payment become the default of its user at its provider."""
    key = f"{PROVIDER}:{payment_id}:{MAKE_DEFAULT_METHOD}"
    kind = MAKE_DEFAULT_METHOD
    return write_row(change, kind, key, application, user_id, destination=PROVIDER, payment_id=payment_id)


def forget_defaults(change: Change, application: str, user_id: str) -> None:
    """Drop what waits to become the default of a user: somebody has chosen another one since."""
    is_meant = (outbox.c.application == application) & (outbox.c.user_id == user_id) & outbox.c.due_at.is_not(None)
    overtaken = {"state": OutboxState.SUPPRESSED, "last_error": "overtaken", "due_at": None}
    waiting = update(outbox).where(is_meant, outbox.c.destination == PROVIDER, _IS_WAITING)
    change.connection.execute(waiting.values(overtaken | {"fencing_token": outbox.c.fencing_token + 1}))


def write_row(
    change: Change,
    kind: str,
    unique_key: str,
    application: str,
    user_id: str,
    *,
    destination: str = MAIL,
    payment_id: str | None = None,
    data: dict[str, Any] | None = None,
) -> TaskMessage | None:
    """Write a row that is due now; None if one with this key was written before.

    `data`: references and codes, never personal data."""
    row_id = new_id("out", change.now)
    values = {
        "id": row_id,
        "destination": destination,
        "kind": kind,
        "unique_key": unique_key,
        "application": application,
        "user_id": user_id,
        "payment_id": payment_id,
        "data": data,
        "state": OutboxState.WAITING,
        "fencing_token": 0,
        "tries": 0,
        "failures": 0,
        "begun": 0,
        "due_at": change.now,
        "published_at": change.now,
        "waiting_since": change.now,
        "created_at": change.now,
    }
    return message_for_outbox(row_id, destination) if insert_new(change.connection, outbox, values) else None


def find_row(connection: Connection, row_id: str) -> Row[Any] | None:
    """Return a row; None if there is none."""
    return connection.execute(select(outbox).where(outbox.c.id == row_id)).one_or_none()


def lock_waiting(connection: Connection, row_id: str) -> Row[Any] | None:
    """Lock a row that waits; None if it does not wait any more."""
    query = select(outbox).where(outbox.c.id == row_id, _IS_WAITING).with_for_update()
    return connection.execute(query).one_or_none()


def take_row(change: Change, row: Row[Any]) -> int:
    """Take the lease of a locked row; return its fencing token."""
    token: int = row.fencing_token + 1
    lease = {"due_at": change.now + LEASE, "published_at": None, "claimed_at": change.now}
    _write(change.connection, row, fencing_token=token, **lease)
    return token


def note_begun(change: Change, row: Row[Any], message_id: str) -> None:
    """Store that a locked row is handed over now: if nothing more is heard, its outcome is unknown."""
    _write(change.connection, row, begun=row.begun + 1, message_id=message_id)


def end_row(change: Change, row: Row[Any], state: OutboxState, word: str, begun: int) -> None:
    """End a locked row that was not sent. `word`: why not. `begun`: how many hand-overs have no known outcome."""
    _write(change.connection, row, state=state, last_error=word, begun=begun, due_at=None, failures=0)


def close_sent(change: Change, row: Row[Any]) -> None:
    """End a locked row that was accepted."""
    _write(change.connection, row, state=OutboxState.SENT, last_error=None, due_at=None, failures=0, sent_at=change.now)


def postpone_row(
    change: Change, row: Row[Any], due_at: datetime, word: str, begun: int, tries: int | None = None
) -> None:
    """Move the due date of a locked row. `word`: what it waits for. `begun`: see `end_row`."""
    counts = {"begun": begun, "tries": row.tries if tries is None else tries}
    _write(change.connection, row, due_at=due_at, last_error=word, claimed_at=None, **counts)


def count_row_failure(connection: Connection, row: Row[Any], failures: int, due_at: datetime) -> None:
    """Store how often the task of a locked row has failed, and try it later."""
    _write(connection, row, failures=failures, due_at=due_at)


def run_row_again(change: Change, row_id: str) -> TaskMessage | None:
    """Make a row that waits due now; return its message."""
    messages = _make_due(change, (outbox.c.id == row_id) & _IS_WAITING)
    return messages[0] if messages else None


def send_again(change: Change, payment_id: str | None) -> tuple[TaskMessage, ...]:
    """Let what has failed be sent once more, and what waits be tried now: of a payment, or of all. A person asks."""
    is_failed = outbox.c.state == OutboxState.FAILED
    is_meant = (outbox.c.payment_id == payment_id) if payment_id is not None else (outbox.c.destination == MAIL)
    fresh = {"state": OutboxState.WAITING, "tries": 0, "begun": 0, "waiting_since": change.now}
    change.connection.execute(update(outbox).where(is_meant, is_failed).values(due_at=change.now, **fresh))
    return _make_due(change, is_meant & _IS_WAITING)


def was_told(connection: Connection, payment_id: str) -> bool:
    """Tell whether a customer has got, or may have got, a mail of this case that asks them for something."""
    told = select(outbox.c.id).where(
        outbox.c.payment_id == payment_id,
        outbox.c.kind.in_(sorted(DEMANDS)),
        (outbox.c.sent_at.is_not(None)) | (outbox.c.begun > 0),
    )
    return connection.execute(told.limit(1)).first() is not None


def claimed_since(connection: Connection, application: str, kind: str, since: datetime) -> tuple[int, datetime | None]:
    """Return how many rows of a kind were begun to be sent since then, and when the first of them."""
    counted = select(func.count(), func.min(outbox.c.claimed_at)).where(
        outbox.c.application == application, outbox.c.kind == kind, outbox.c.claimed_at > since
    )
    number, first = connection.execute(counted).one()
    return int(number), first


def mails_of_payment(connection: Connection, payment_id: str) -> list[dict[str, Any]]:
    """Return the mails of a payment's case as the API shows them, oldest first."""
    written = select(outbox).where(outbox.c.payment_id == payment_id, outbox.c.destination == MAIL)
    return [
        {"mail": row.kind, "state": row.state, "reason": row.last_error, "sent_at": _text(row.sent_at)}
        for row in connection.execute(written.order_by(outbox.c.id))
    ]


def _make_due(change: Change, is_meant: ColumnElement[bool]) -> tuple[TaskMessage, ...]:
    # One that a worker holds is raised: the worker finds another fencing token, unless it is handed over already.
    chosen = select(outbox.c.id).where(is_meant, outbox.c.due_at.is_not(None)).order_by(outbox.c.due_at)
    due = (
        update(outbox)
        .where(outbox.c.id.in_(chosen.limit(_MOST_MESSAGES)))
        .values(due_at=change.now, published_at=change.now)
        .returning(outbox.c.id, outbox.c.destination)
    )
    return tuple(message_for_outbox(*row) for row in sorted(tuple(row) for row in change.connection.execute(due)))


def _write(connection: Connection, row: Row[Any], **values: Any) -> None:
    connection.execute(update(outbox).where(outbox.c.id == row.id).values(values))


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")
