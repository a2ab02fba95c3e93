"""Takes a mail of the outbox for one worker, and records what became of it. `domain` decides whether it is sent.

The payment is locked first, then the row, then the customer. A mail is handed over under these locks: a payment that
succeeds is written before that, and then the mail is not sent, or after it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple, Protocol
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Row, select

from domain.attention import Reason
from domain.decline import DeclineReason
from domain.dunning.access import access_ends_at
from domain.dunning.case import CaseState
from domain.dunning.mail import Debt, Mail, Stop, Wait, Waiting, is_braked, why_not_sent
from domain.money import decimal_text
from domain.outbox import (
    BRAKE_PAUSE,
    BRAKE_WINDOW,
    UNCONFIGURED_PAUSE,
    MailStatus,
    Refusal,
    asks_because,
    is_bounce,
    is_long_down,
    next_try,
    unproven,
)
from domain.payment import State
from models import transition
from models.attention import MAIL_SERVER, close_entries_of_payment, close_entries_of_provider, open_entry
from models.backup_methods import paying_method
from models.change import Change
from models.customers import find_customer, write_status
from models.declines import last_decline_reason
from models.dunning_cases import case_of, find_case_row, is_collected_otherwise
from models.outbox import (
    claimed_since,
    close_sent,
    end_row,
    find_row,
    lock_waiting,
    note_begun,
    postpone_row,
    take_row,
    was_told,
)
from models.saved_methods import is_expiring
from models.session import lock_name
from models.subscriptions import is_subscription_canceled
from models.tables import payments
from models.task_messages import is_due
from models.time_zones import zone_of
from models.transition_locks import lock_payment


class PaidBy(NamedTuple):
    """The method that a mail names, as its customer knows it."""

    kind: str
    brand: str | None
    last4: str | None


class Letter(NamedTuple):
    """A mail that one worker sends: the row, and what it says to whom. Personal data: it is logged nowhere.

    `amount`: decimal text. `message_id`: that of an earlier hand-over, which the next one repeats. `ends_at`: by when
    the customer has to pay; None while no end is known. `decline`: why the last try was declined, if it was."""

    row_id: str
    fencing_token: int
    mail: Mail
    message_id: str | None
    to: str
    name: str | None
    language: str
    zone: ZoneInfo
    application: str
    user_id: str
    payment_id: str | None
    data: dict[str, Any]
    amount: str | None = None
    currency: str | None = None
    invoice_id: str | None = None
    subscription_id: str | None = None
    next_retry_at: datetime | None = None
    ends_at: datetime | None = None
    decline: DeclineReason | None = None
    method: PaidBy | None = None


class Delivery(Protocol):
    """A mail on an open connection to a server that takes its address."""

    @property
    def is_accepted(self) -> bool:
        """Whether the server has accepted the mail."""

    def hand_over(self) -> None:
        """Hand the mail over, once. Raises if it is not accepted."""


class _Locked(NamedTuple):
    """A locked row that waits, its locked payment with the case, and the customer."""

    row: Row[Any]
    payment: Row[Any] | None
    case: Row[Any] | None
    customer: Row[Any] | None


def claim_mail(change: Change, row_id: str, *, missing: tuple[str, ...] = ()) -> Letter | None:
    """Take a due mail for one worker; None if it is not due, is not to be sent, or has to wait.

    `missing`: the settings without which no mail is sent."""
    locked = _lock(change, row_id)
    if locked is None or not is_due(locked.row.due_at, locked.row.published_at, change.now):
        return None
    begun = locked.row.begun
    obstacle = _obstacle(change, locked, begun)
    if obstacle is None and missing:
        note_missing(change, missing)
        obstacle = Wait(change.now + UNCONFIGURED_PAUSE, "not_configured")
    obstacle = obstacle or _brake(change, locked.row)
    if obstacle is not None:
        _keep_back(change, locked, obstacle, begun)
        return None
    return _letter(change, locked, take_row(change, locked.row))


def begin_hand_over(change: Change, letter: Letter, message_id: str) -> bool:
    """Store that a mail is handed over now. False: another worker has it, or it is not sent any more."""
    locked = _lock_held(change, letter)
    if locked is None:
        return False
    note_begun(change, locked.row, letter.message_id or message_id)
    return True


def hand_over(change: Change, letter: Letter, delivery: Delivery) -> bool:
    """Hand a mail over under the locks of payment and row, if it is still true, and record that it was accepted.

    What the delivery raises leaves the row as it was. Nobody waits for the locks longer than a hand-over takes."""
    locked = _lock_held(change, letter)
    if locked is None:
        return False
    # Accepted already: the transaction is repeated, because the database was lost before its commit.
    if not delivery.is_accepted:
        begun = locked.row.begun - 1
        obstacle = _obstacle(change, locked, begun)
        if obstacle is not None:
            _keep_back(change, locked, obstacle, begun)
            return False
        delivery.hand_over()
    close_sent(change, locked.row)
    _close_entries(change, locked)
    return True


def record_refusal(change: Change, letter: Letter, refusal: Refusal, word: str, *, is_begun: bool) -> None:
    """Record that a mail was not accepted: it is tried again later, or it is given up and a person is asked."""
    locked = _lock_held(change, letter)
    if locked is None:
        return
    tries, begun = locked.row.tries + 1, unproven(locked.row.begun, refusal, is_begun=is_begun)
    if is_long_down(refusal, tries):
        open_entry(change, Reason.MAIL_UNSENT, provider=MAIL_SERVER, data={"error": word})
    delay = next_try(refusal, tries)
    if delay is not None:
        postpone_row(change, locked.row, change.now + delay, word, begun, tries)
        return
    if is_bounce(refusal):
        write_status(change, letter.user_id, letter.application, MailStatus.BOUNCED)
    _stop(change, locked, Stop(word, asks_because(refusal)), begun)


def _obstacle(change: Change, locked: _Locked, begun: int) -> Wait | Stop | None:
    row, customer = locked.row, locked.customer
    waiting = Waiting(
        mail=Mail(row.kind),
        since=row.waiting_since,
        begun=begun,
        status=MailStatus(customer.mail_status) if customer is not None and customer.email is not None else None,
        local_now=change.now.astimezone(_zone(change, customer)),
        is_unsubscribed=customer is not None and customer.unsubscribed_at is not None,
        is_overtaken=_is_overtaken(change.connection, row.data or {}),
    )
    return why_not_sent(waiting, _debt(change.connection, locked))


def _is_overtaken(connection: Connection, about: dict[str, Any]) -> bool:
    named = [str(about[name]) for name in ("provider", "method", "end") if about.get(name)]
    return len(named) == 3 and not is_expiring(connection, *named)


def _debt(connection: Connection, locked: _Locked) -> Debt | None:
    payment, case = locked.payment, locked.case
    if payment is None:
        return None
    return Debt(
        state=State(payment.state),
        case=None if case is None else CaseState(case.state),
        failure_code=connection.scalar(select(payments.c.failure_code).where(payments.c.id == payment.id)),
        is_told=was_told(connection, payment.id),
        is_collected_otherwise=is_collected_otherwise(connection, payment),
        has_ended=is_subscription_canceled(connection, payment),
    )


def _brake(change: Change, row: Row[Any]) -> Wait | None:
    """Return until when a mail waits because its application's customers have got too many of its kind.

    An attack on a checkout must not send thousands of mails."""
    most = change.policy.mail.most_per_hour
    if not is_braked(Mail(row.kind)):
        return None
    # Counted one after the other: workers that count at the same time would let more through.
    lock_name(change.connection, f"mail:{row.application}")
    claimed, first = claimed_since(change.connection, row.application, row.kind, change.now - BRAKE_WINDOW)
    if claimed < most or first is None:
        return None
    data = {"application": row.application, "mail": row.kind, "most_per_hour": most}
    open_entry(change, Reason.MAIL_HELD_BACK, provider=MAIL_SERVER, data=data)
    return Wait(max(first + BRAKE_WINDOW, change.now + BRAKE_PAUSE), "held_back")


def _keep_back(change: Change, locked: _Locked, obstacle: Wait | Stop, begun: int) -> None:
    match obstacle:
        case Wait(until=until, word=word):
            postpone_row(change, locked.row, until, word, begun)
        case Stop():
            _stop(change, locked, obstacle, begun)


def _stop(change: Change, locked: _Locked, stop: Stop, begun: int) -> None:
    """End a row that was not sent, and ask a person where that is not right."""
    row = locked.row
    end_row(change, row, stop.state, stop.word, begun)
    if row.failures and locked.payment is not None:
        close_entries_of_payment(change, locked.payment.id, (Reason.FAILING_ROW,))
    if stop.asks is None:
        return
    detail = {"row": row.id, "mail": row.kind, "error": stop.word}
    if locked.payment is None or stop.asks is Reason.MAIL_UNSENT:
        open_entry(change, stop.asks, provider=MAIL_SERVER, data=detail)
        return
    open_entry(change, stop.asks, payment_id=row.payment_id, data=detail, detail=detail)
    transition.touch(change, row.payment_id)


def note_missing(change: Change, missing: tuple[str, ...]) -> None:
    """Ask a person for the settings without which no mail is sent."""
    open_entry(change, Reason.MAIL_UNSENT, provider=MAIL_SERVER, data={"missing": ", ".join(missing)})


def _close_entries(change: Change, locked: _Locked) -> None:
    """Close what a person was asked: the mail is sent."""
    reasons = [Reason.MAIL_UNSENT]
    if locked.payment is None:
        reasons += [Reason.MAIL_REFUSED, Reason.FAILING_ROW]
    elif locked.payment.open_entries:
        about = [Reason.MAIL_REFUSED] + ([Reason.FAILING_ROW] if locked.row.failures else [])
        close_entries_of_payment(change, locked.payment.id, about)
        transition.touch(change, locked.payment.id)
    close_entries_of_provider(change, MAIL_SERVER, reasons)


def _lock(change: Change, row_id: str) -> _Locked | None:
    found = find_row(change.connection, row_id)
    if found is None:
        return None
    payment = lock_payment(change.connection, found.payment_id) if found.payment_id else None
    row = lock_waiting(change.connection, row_id)
    if row is None:
        return None
    case = find_case_row(change.connection, payment.id) if payment is not None else None
    return _Locked(row, payment, case, find_customer(change.connection, row.user_id, row.application))


def _lock_held(change: Change, letter: Letter) -> _Locked | None:
    locked = _lock(change, letter.row_id)
    return locked if locked is not None and locked.row.fencing_token == letter.fencing_token else None


def _zone(change: Change, customer: Row[Any] | None) -> ZoneInfo:
    return zone_of(customer.time_zone if customer is not None else None, change.policy.mail.time_zone)


def _letter(change: Change, locked: _Locked, fencing_token: int) -> Letter:
    row, payment, case, customer = locked
    if customer is None or customer.email is None:
        raise AssertionError("bug: a mail without an address is not claimed")
    letter = Letter(
        row_id=row.id,
        fencing_token=fencing_token,
        mail=Mail(row.kind),
        message_id=row.message_id,
        to=customer.email,
        name=customer.name,
        language=customer.language or change.policy.mail.language,
        zone=_zone(change, customer),
        application=row.application,
        user_id=row.user_id,
        payment_id=row.payment_id,
        data=row.data or {},
    )
    if payment is None or case is None:
        return letter
    return letter._replace(
        amount=decimal_text(payment.amount, payment.currency),
        currency=payment.currency,
        invoice_id=payment.invoice_id,
        subscription_id=payment.subscription_id,
        next_retry_at=case.due_at,
        ends_at=_ends_at(change, case),
        decline=last_decline_reason(change.connection, payment.id),
        method=_paid_by(change.connection, letter.data.get("paid_by")),
    )


def _paid_by(connection: Connection, payment_id: str | None) -> PaidBy | None:
    found = paying_method(connection, payment_id) if payment_id is not None else None
    return None if found is None else PaidBy(found.method, found.brand, found.last4)


def _ends_at(change: Change, case: Row[Any]) -> datetime | None:
    """Return the day that a mail names: the one on which access ends, as the subscription shows it, or else grace."""
    if case.subscription_id is None:
        grace_ends_at: datetime | None = case.grace_ends_at
        return grace_ends_at
    return access_ends_at(case_of(case), change.policy.dunning)
