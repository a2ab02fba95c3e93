"""Which money at rest is compared next with its provider, and what the comparison books."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Column, ColumnElement, Connection, Row, exists, or_, select, update

from domain.attention import Reason
from domain.comparison import (
    STEPS,
    ChargeFinding,
    HoldFinding,
    Position,
    ShownRefund,
    Window,
    charge_finding,
    hold_finding,
    is_held,
    is_refund_news,
    step_reached,
)
from domain.errors import IllegalTransition
from domain.movement import MovementKind, ShownFee
from domain.outcome import Outcome
from domain.payment import AttemptStatus, State, Verb
from models import transition
from models.attempts import has_operation_in_flight
from models.attention import open_entry, was_told
from models.change import Change
from models.movements import TAKING, book_fee, taken_by_object
from models.session import insert_new
from models.tables import attempts, comparisons, movements, payments
from models.transition_locks import lock_attempt
from models.webhook_matching import adopt_refund, match_refund


class AtRest(NamedTuple):
    """An attempt whose money is at rest, with its payment, and the provider's object of it.

    `is_hold`: it holds money that is not taken. Otherwise it took money. `failures`: how often a task of the attempt
    has failed by a bug of ours."""

    attempt_id: str
    reference: str
    is_hold: bool
    booked_at: datetime
    payment_id: str
    currency: str
    failures: int


def find_position(connection: Connection, provider: str, now: datetime) -> Position:
    """Return how far the comparison has come. The first one begins now."""
    insert_new(connection, comparisons, {"provider": provider, "position": now})
    stored = select(comparisons.c.position, comparisons.c.position_attempt).where(comparisons.c.provider == provider)
    return Position(*connection.execute(stored).one())


def move_position(connection: Connection, provider: str, position: Position) -> None:
    """Store how far the comparison has come. It never goes back."""
    attempt = comparisons.c.position_attempt
    is_later = attempt.is_not(None) if position.attempt_id is None else attempt < position.attempt_id
    is_behind = (comparisons.c.position < position.at) | ((comparisons.c.position == position.at) & is_later)
    values = {"position": position.at, "position_attempt": position.attempt_id}
    connection.execute(update(comparisons).where(comparisons.c.provider == provider, is_behind).values(values))


def at_rest_due(
    connection: Connection, provider: str, window: Window, position: Position
) -> list[tuple[datetime, AtRest]]:
    """Return the money after a position that reaches a step of the schedule within a window, and when it does, in this
    order."""
    is_due = reaches_a_step(movements.c.booked_at, window)
    found = [(step_reached(row.booked_at, window), row) for row in _at_rest(connection, provider, is_due)]
    left = [due for due in found if position.leaves(due[0], due[1].attempt_id)]
    return sorted(left, key=lambda due: (due[0], due[1].attempt_id))


def reaches_a_step(since: Column[Any], window: Window) -> ColumnElement[bool]:
    """Return the condition that a row reaches a step of the schedule within a window."""
    return or_(*((since > window.after - step) & (since <= window.until - step) for step in STEPS))


def at_rest_within(connection: Connection, provider: str, window: Window) -> list[AtRest]:
    """Return the money that was booked within a time."""
    booked = movements.c.booked_at
    return _at_rest(connection, provider, (booked > window.after) & (booked <= window.until))


def at_rest_beside(connection: Connection, provider: str, attempt_id: str) -> list[AtRest]:
    """Return the money of the payment of an attempt."""
    payment_id = select(attempts.c.payment_id).where(attempts.c.id == attempt_id).scalar_subquery()
    return _at_rest(connection, provider, movements.c.payment_id == payment_id)


def at_rest_of(connection: Connection, attempt_id: str) -> tuple[str, list[AtRest]]:
    """Return the provider of an attempt, and its money."""
    provider: str = connection.execute(select(attempts.c.provider).where(attempts.c.id == attempt_id)).scalar_one()
    return provider, _at_rest(connection, provider, attempts.c.id == attempt_id)


def charge_at_rest(connection: Connection, provider: str, reference: str) -> AtRest | None:
    """Return the money that the provider's object took, if it took some."""
    found = _at_rest(connection, provider, movements.c.provider_id == reference)
    return next((each for each in reversed(found) if not each.is_hold), None)


_release = movements.alias("release")


def _at_rest(connection: Connection, provider: str, is_meant: Any) -> list[AtRest]:
    is_same = (attempts.c.payment_id == movements.c.payment_id) & (
        attempts.c.provider_reference == movements.c.provider_id
    )
    is_hold = movements.c.kind == MovementKind.AUTHORIZATION
    is_waiting = (payments.c.state == State.AMOUNT_MISMATCH) & (payments.c.received == 0)
    is_open = (payments.c.state == State.AUTHORIZED) | is_waiting
    # Another object has taken the money instead.
    is_released = exists().where(
        _release.c.payment_id == movements.c.payment_id,
        _release.c.kind == MovementKind.RELEASE,
        _release.c.provider_id == movements.c.provider_id,
        _release.c.amount == -movements.c.amount,
    )
    stands = is_open & (attempts.c.status == AttemptStatus.SUCCEEDED) & ~is_released
    query = (
        select(
            attempts.c.id,
            attempts.c.provider_reference,
            is_hold,
            movements.c.booked_at,
            attempts.c.payment_id,
            payments.c.currency,
            attempts.c.failures,
        )
        .join(attempts, is_same)
        .join(payments, payments.c.id == movements.c.payment_id)
        .where(
            movements.c.provider == provider,
            # An operation on the object may have its reference too.
            attempts.c.verb.in_([Verb.CHARGE, Verb.AUTHORIZE]),
            movements.c.kind.in_(TAKING) | (is_hold & stands),
            is_meant,
        )
        .order_by(movements.c.booked_at)
    )
    return [AtRest(*row) for row in connection.execute(query)]


def unknown_refunds(change: Change, provider: str, shown: Iterable[ShownRefund]) -> list[ShownRefund]:
    """Return the shown refunds that the books do not have, or have as given although they came back, or as failed
    although they were given."""
    return [refund for refund in shown if _is_news(change, provider, refund)]


def take_in(change: Change, provider: str, charge: AtRest, shown: Iterable[ShownRefund]) -> None:
    """Book what the provider shows and the books do not have.

    A refund that somebody else made becomes an attempt in doubt, which its look-up decides."""
    for refund in unknown_refunds(change, provider, shown):
        known = match_refund(change, provider, refund.reference, refund.attempt_id)
        if known is not None:
            transition.apply(change, known, refund.outcome)
            continue
        adopted = adopt_refund(change, provider, refund.reference, refund.outcome, charge.reference, None)
        change.outgoing.extend([adopted] if adopted else [])


def news_of_refunds(
    change: Change, provider: str, shown: Mapping[str, Mapping[str, ShownRefund]]
) -> list[tuple[AtRest, list[ShownRefund]]]:
    """Return the charges of which a look-up has shown refunds that the books do not have, each with those.

    `shown`: by the references of the charges. One that is not booked yet is left to the next look-up."""
    found = [
        (charge, unknown_refunds(change, provider, refunds.values()))
        for reference, refunds in shown.items()
        if (charge := charge_at_rest(change.connection, provider, reference)) is not None
    ]
    return [(charge, news) for charge, news in found if news]


def taken_so_far(change: Change, charge: AtRest) -> int:
    """Return what the provider's object of a charge has taken by the books, in minor units."""
    return taken_by_object(change.connection, charge.payment_id, charge.reference)


def take_in_charge(
    change: Change, charge: AtRest, taken: int, shown: Outcome | None, *, is_dry_run: bool
) -> ChargeFinding:
    """Book what a charge has taken beside Celeriac, or leave it to a person, unless `is_dry_run`.

    `taken`: by the books, when the reading began; a charge that has taken more since agrees. `shown`: None if the
    provider has no such charge. Return what the reading means."""
    row = lock_attempt(change.connection, charge.attempt_id)
    if taken_so_far(change, charge) != taken:
        return ChargeFinding.AGREES
    is_news = bool(_changes_anything(change, row, shown)) if shown is not None else False
    finding = charge_finding(shown, State(row.state), taken, change.now - charge.booked_at, is_news=is_news)
    if finding is ChargeFinding.CONTRADICTS:
        word = type(shown).__name__.lower() if shown is not None else "missing"
        return _tell_of_charge(change, row, taken, word, is_dry_run=is_dry_run)
    if is_dry_run or finding is ChargeFinding.AGREES or shown is None:
        return finding
    transition.apply(change, row, shown)
    return finding


def _tell_of_charge(change: Change, row: Row[Any], taken: int, shown: str, *, is_dry_run: bool) -> ChargeFinding:
    """Leave a charge to a person, who is told the same once only."""
    detail = {"attempt": row.attempt_id, "amount": taken, "shown": shown}
    if was_told(change.connection, row.id, Reason.CHARGE_CONTRADICTING, detail):
        return ChargeFinding.AGREES
    if not is_dry_run:
        data = {"attempt": row.attempt_id, "provider": row.attempt_provider}
        about: dict[str, Any] = {"payment_id": row.id, "amount": row.captured, "currency": row.currency}
        open_entry(change, Reason.CHARGE_CONTRADICTING, data=data, detail=detail, **about)
        transition.touch(change, row.id)
    return ChargeFinding.CONTRADICTS


def tell_of_skipped(change: Change, provider: str, window: Window) -> None:
    """Put a provider on the list of whose money a whole window could not be compared, and is left until its next
    step."""
    data = {"after": window.after.isoformat(), "until": window.until.isoformat()}
    open_entry(change, Reason.COMPARISON_SKIPPED, provider=provider, data=data)


def book_fees(change: Change, provider: str, charge: AtRest, shown: Iterable[ShownFee]) -> None:
    """Book what the provider keeps for a charge, each fee once."""
    payment = lock_attempt(change.connection, charge.attempt_id)
    for fee in shown:
        book_fee(change, payment, charge.attempt_id, provider, fee.movement)


def _is_news(change: Change, provider: str, refund: ShownRefund) -> bool:
    known = match_refund(change, provider, refund.reference, refund.attempt_id)
    if known is None:
        return is_refund_news(None, refund.outcome)
    row = change.connection.execute(select(attempts.c.status, attempts.c.code).where(attempts.c.id == known)).one()
    return is_refund_news(AttemptStatus(row.status), refund.outcome, row.code)


def lock_hold(change: Change, hold: AtRest) -> Row[Any] | None:
    """Lock an authorization that still stands; None for one that has ended, or that one of our operations is ending."""
    row = lock_attempt(change.connection, hold.attempt_id)
    amounts = (row.authorized, row.captured, row.received)
    stands = is_held(State(row.state), AttemptStatus(row.attempt_status), *amounts)
    return row if stands and not has_operation_in_flight(change.connection, row.id) else None


def take_in_hold(change: Change, hold: AtRest, fencing_token: int, shown: Outcome, *, is_dry_run: bool) -> HoldFinding:
    """Book what became of a hold beside Celeriac, or leave it to a person, unless `is_dry_run`.

    Return what the provider's look-up means for the hold. A hold that was written since the look-up began agrees."""
    row = lock_hold(change, hold)
    if row is None or row.attempt_fencing_token != fencing_token:
        return HoldFinding.AGREES
    finding = _judge(change, row, shown)
    if is_dry_run or finding is HoldFinding.AGREES:
        return finding
    if finding is HoldFinding.CONTRADICTS:
        data = {"attempt": row.attempt_id, "provider": row.attempt_provider, "shown": type(shown).__name__.lower()}
        amount, currency = row.authorized, row.currency
        open_entry(change, Reason.HOLD_CONTRADICTING, payment_id=row.id, amount=amount, currency=currency, data=data)
        transition.touch(change, row.id)
        return finding
    transition.apply(change, row, shown, fencing_token)
    return finding


def _judge(change: Change, row: Row[Any], shown: Outcome) -> HoldFinding:
    return hold_finding(shown, row.authorized, row.captured, is_news=_changes_anything(change, row, shown))


def _changes_anything(change: Change, row: Row[Any], shown: Outcome) -> bool | None:
    """Tell whether an outcome changes the books; None if it cannot follow from them."""
    try:
        return transition.changes_anything(change, row, shown)
    except IllegalTransition:
        return None
