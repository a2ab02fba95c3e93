"""Disputes: stores how each stands, and applies what has changed to its payment."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, func, select, update

from domain.commands import DisputeSeen
from domain.disputes import (
    REOPENED,
    SHOWN_BY_DISPUTE,
    DisputeStatus,
    ShownDispute,
    lost_of_charge,
    reopening_of,
)
from domain.errors import Conflict
from domain.fraud.labels import LabelSource, label_of_dispute
from domain.outcome import Declined
from domain.payment import Verb
from models import transition
from models.attempts import find_charge, refunds_under_way
from models.change import Change
from models.fraud.labels import label_payment
from models.movements import amount_taken, book_fee, lacks_fees, times_moved
from models.session import insert_new
from models.tables import attempts, disputes
from models.transition import Applied
from models.transition_locks import lock_payment
from models.webhook_matching import match_refund


def find_disputed_payment(connection: Connection, provider: str, charge_reference: str) -> str | None:
    """Return the payment of the charge that a dispute is about."""
    is_charge = (attempts.c.provider == provider) & (attempts.c.provider_reference == charge_reference)
    payment_id: str | None = connection.scalar(select(attempts.c.payment_id).where(is_charge).limit(1))
    return payment_id


def apply_dispute(change: Change, provider: str, shown: ShownDispute) -> Applied | None:
    """Book what a dispute shows beyond what is stored of it. None if its charge is not ours.

    The stored row, which is written under the payment's lock, says what of the dispute is booked already. Refunds that
    show the same money are taken back first."""
    payment_id = find_disputed_payment(change.connection, provider, shown.charge_reference)
    if payment_id is None:
        return None
    lock_payment(change.connection, payment_id)
    _take_back_refunds(change, provider, shown)
    known = _find(change.connection, provider, shown.reference)
    withdrawn, lost = (known.withdrawn, known.lost) if known else (0, 0)
    # What a person has reopened is the same money, booked already.
    reopening = reopening_of(shown.charge_reference)
    reopened = None if shown.reference == reopening else _find(change.connection, provider, reopening)
    taken_over = shown.taken_over(withdrawn, reopened.withdrawn) if reopened else 0
    withdrawn_more = shown.withdrawn - withdrawn - taken_over
    seen = DisputeSeen(
        shown.reference,
        withdrawn_more=withdrawn_more,
        lost_more=shown.lost - lost - taken_over,
        is_return=shown.is_return,
        reason=shown.reason,
        is_opened=shown.is_opened_since(known.status if known else None),
        disputed=_others_at_stake(change.connection, payment_id, shown) + (shown.amount if shown.is_open else 0),
        respond_by=shown.respond_by,
        moved_before=_times_moved(change.connection, payment_id, known, withdrawn_more),
        at=shown.at,
    )
    data = {"reference": shown.reference, "status": shown.status, "reason": shown.reason}
    applied = transition.apply_to_payment(change, payment_id, seen, data)
    _store(change, provider, payment_id, shown, is_new=known is None)
    label = label_of_dispute(provider, shown.reason, shown.status)
    if label is not None:
        label_payment(change, payment_id, LabelSource.DISPUTE, is_fraud=label)
    for fee in shown.fees:
        book_fee(change, applied.row_before, None, provider, fee.movement)
    if reopened is not None and taken_over:
        _take_over(change, reopened, taken_over)
    return applied


def reopen_charge(change: Change, payment: Row[Any], attempt_id: str) -> None:
    """Book that the money of a locked payment's charge is lost, as a lost dispute does. `attempt_id`: the charge, or an
    operation on it. Raises Conflict if nothing of it is left, while a refund is under way, or if it was reopened
    before."""
    charge, provider, reference = _charge_of(change.connection, payment, attempt_id)
    taken = amount_taken(change.connection, payment.id, charge, reference)
    refunding = refunds_under_way(change.connection, payment.id)
    lost = lost_of_charge(taken, payment.captured, payment.refunded, payment.reversed, refunding)
    if _find(change.connection, provider, reopening_of(reference)) is not None:
        raise Conflict("this charge was reopened before; record what the provider says otherwise, and close this entry")
    apply_dispute(change, provider, _reopening(reference, DisputeStatus.LOST, lost, lost))


def take_back_reopening(change: Change, payment: Row[Any], attempt_id: str) -> None:
    """Book that a charge that a person has reopened has its money after all. Raises Conflict if it was not reopened."""
    _, provider, reference = _charge_of(change.connection, payment, attempt_id)
    known = _find(change.connection, provider, reopening_of(reference))
    if known is None or not known.lost:
        raise Conflict("this charge was not reopened: the books have its money; close this entry")
    apply_dispute(change, provider, _reopening(reference, DisputeStatus.WON, known.amount, 0))


def _charge_of(connection: Connection, payment: Row[Any], attempt_id: str) -> tuple[str, str, str]:
    """Return the id, the provider and the object of the charge that an attempt is, or that it is about."""
    named: Any = connection.execute(select(attempts).where(attempts.c.id == attempt_id)).one()
    charge = named if Verb(named.verb).is_collecting else find_charge(connection, payment.id)
    if charge is None:
        raise AssertionError("bug: money is booked that no charge has taken")
    return charge.id, named.provider, charge.provider_reference


def _reopening(reference: str, status: DisputeStatus, amount: int, withdrawn: int) -> ShownDispute:
    name = reopening_of(reference)
    return ShownDispute(name, reference, status, amount, withdrawn=withdrawn, is_return=True, reason=REOPENED)


def _take_over(change: Change, reopened: Row[Any], amount: int) -> None:
    """Leave to the provider's dispute what stood for so much of it."""
    is_it = (disputes.c.provider == reopened.provider) & (disputes.c.reference == reopened.reference)
    left = reopened.withdrawn - amount
    status = DisputeStatus.LOST if left else DisputeStatus.CLOSED
    values = {"status": status, "withdrawn": left, "lost": left, "updated_at": change.now}
    change.connection.execute(update(disputes).where(is_it).values(values))


def _take_back_refunds(change: Change, provider: str, shown: ShownDispute) -> None:
    """End what was booked, or is looked up, as a refund before the dispute has shown its money."""
    for reference in sorted(shown.refunds):
        refund = match_refund(change, provider, reference, None)
        if refund is not None:
            transition.apply(change, refund, Declined(reference, SHOWN_BY_DISPUTE))


def changed_disputes(connection: Connection, provider: str, shown: Iterable[ShownDispute]) -> list[ShownDispute]:
    """Return the shown disputes that are stored otherwise, or not at all, or that have a fee that is not booked."""
    return [dispute for dispute in shown if _is_news(connection, provider, dispute)]


def _is_news(connection: Connection, provider: str, shown: ShownDispute) -> bool:
    if _differs(_find(connection, provider, shown.reference), shown):
        return True
    return lacks_fees(connection, provider, [fee.reference for fee in shown.fees])


def _differs(known: Row[Any] | None, shown: ShownDispute) -> bool:
    return known is None or shown.differs_from(known.status, known.withdrawn, known.lost)


def _find(connection: Connection, provider: str, reference: str) -> Row[Any] | None:
    is_it = (disputes.c.provider == provider) & (disputes.c.reference == reference)
    return connection.execute(select(disputes).where(is_it)).one_or_none()


def _times_moved(connection: Connection, payment_id: str, known: Row[Any] | None, withdrawn_more: int) -> int:
    """Return how often the money of a dispute went before where it goes now; 0 if none of it moves."""
    if known is None or not withdrawn_more:
        return 0
    return times_moved(connection, payment_id, known.reference, is_taken=withdrawn_more > 0)


def _others_at_stake(connection: Connection, payment_id: str, shown: ShownDispute) -> int:
    """Return what the payment's other open disputes are about."""
    is_other_open = (
        (disputes.c.payment_id == payment_id)
        & (disputes.c.reference != shown.reference)
        & (disputes.c.status == DisputeStatus.OPEN)
    )
    return int(connection.scalar(select(func.coalesce(func.sum(disputes.c.amount), 0)).where(is_other_open)) or 0)


def _store(change: Change, provider: str, payment_id: str, shown: ShownDispute, *, is_new: bool) -> None:
    values = {
        "status": shown.status,
        "reason": shown.reason,
        "is_return": shown.is_return,
        "amount": shown.amount,
        "withdrawn": shown.withdrawn,
        "lost": shown.lost,
        "respond_by": shown.respond_by,
        "updated_at": change.now,
    }
    key = {"provider": provider, "reference": shown.reference}
    if is_new:
        insert_new(change.connection, disputes, values | key | {"payment_id": payment_id})
        return
    is_it = (disputes.c.provider == provider) & (disputes.c.reference == shown.reference)
    change.connection.execute(update(disputes).where(is_it).values(values))
