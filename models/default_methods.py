"""A user's default method: chosen, and tried at once for their debts; or the one that has paid a debt in dunning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Row, select

from domain.outbox import OutboxState, Refusal, next_try
from domain.payment import Verb
from domain.payment_methods import PaymentMethod, may_be_saved
from models.change import Change
from models.dunning_requests import retry_with_default
from models.outbox import close_sent, end_row, forget_defaults, lock_waiting, postpone_row, take_row
from models.provider_customers import User
from models.saved_methods import make_kept_default, note_saved
from models.tables import attempts, payments
from models.task_messages import is_due


def choose_default(change: Change, user: User, provider: str, token: str, facts: Mapping[str, str | None]) -> None:
    """Note that a saved method is its user's default at a provider since now, and try their debts by it. `facts`: its
    kind, brand, last4 and expires."""
    forget_defaults(change, *user)
    note_saved(change, user, provider, token, facts, is_default=True)
    _retry(change, user, provider, facts["kind"] or "", token)


def choose_kept_default(change: Change, user: User, kept: Row[Any]) -> None:
    """Make a method that is kept here the default of its user, and try their debts by it."""
    forget_defaults(change, *user)
    make_kept_default(change, user, kept)
    _retry(change, user, kept.provider, kept.kind, kept.token)


def _retry(change: Change, user: User, provider: str, kind: str, token: str) -> None:
    if kind in list(PaymentMethod):
        retry_with_default(change, user, provider, kind, token)


class PaidMethod(NamedTuple):
    """The method of a payment that is to become the default, of a row of the outbox that one worker holds. `token`
    None: the charge with `reference` shows it."""

    row_id: str
    fencing_token: int
    user: User
    provider: str
    token: str | None
    reference: str | None


def claim_default(change: Change, row_id: str) -> PaidMethod | None:
    """Take a due row for one worker; None if it is not due, or is about nothing that could be saved."""
    row = lock_waiting(change.connection, row_id)
    if row is None or not is_due(row.due_at, row.published_at, change.now):
        return None
    paid = change.connection.execute(
        select(payments.c.method, payments.c.method_token, attempts.c.provider, attempts.c.provider_reference)
        .join(attempts, attempts.c.payment_id == payments.c.id)
        .where(payments.c.id == row.payment_id, attempts.c.verb.in_([Verb.CHARGE, Verb.AUTHORIZE]))
        .order_by(attempts.c.number.desc())
        .limit(1)
    ).one()
    if not may_be_saved(PaymentMethod(paid.method)):
        end_row(change, row, OutboxState.SUPPRESSED, "not_saved", 0)
        return None
    held = take_row(change, row)
    user = User(row.application, row.user_id)
    return PaidMethod(row.id, held, user, paid.provider, paid.method_token, paid.provider_reference)


def record_default(change: Change, paid: PaidMethod, token: str, facts: Mapping[str, str | None]) -> None:
    """Note that the provider has made a method the default."""
    row = _lock_held(change, paid)
    if row is not None:
        note_saved(change, paid.user, paid.provider, token, facts, is_default=True)
        close_sent(change, row)


def record_kept_default(change: Change, paid: PaidMethod, kept: Row[Any]) -> None:
    """Make a method that is kept here the default, because it has paid."""
    row = _lock_held(change, paid)
    if row is not None:
        make_kept_default(change, paid.user, kept)
        close_sent(change, row)


def leave_default(change: Change, paid: PaidMethod, word: str) -> None:
    """End a row that changes nothing. `word`: why."""
    row = _lock_held(change, paid)
    if row is not None:
        end_row(change, row, OutboxState.SUPPRESSED, word, 0)


def postpone_default(change: Change, paid: PaidMethod) -> bool:
    """Try it later, because the provider does not respond; return False once it is given up."""
    row = _lock_held(change, paid)
    if row is None:
        return True
    delay = next_try(Refusal.SERVER, row.tries + 1)
    if delay is None:
        end_row(change, row, OutboxState.SUPPRESSED, "provider_silent", 0)
        return False
    postpone_row(change, row, change.now + delay, "provider_silent", 0, row.tries + 1)
    return True


def _lock_held(change: Change, paid: PaidMethod) -> Row[Any] | None:
    row = lock_waiting(change.connection, paid.row_id)
    return row if row is not None and row.fencing_token == paid.fencing_token else None
