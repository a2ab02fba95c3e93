"""Cash balances: which are read next at their provider, and what a reading books. Nothing here calls a provider."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, select, update

from domain.attention import Reason
from domain.backoff import doubt_delay
from domain.cash_balance import ShownBalance, change_of, gives_up_return, is_return_over
from domain.comparison import Window
from domain.decision import LEASE
from domain.errors import Conflict
from domain.money import Money
from models.attention import close_entries_of_balance, note_refusal, open_entry
from models.change import Change
from models.comparisons import reaches_a_step
from models.movements import book_of_balance, last_of_balance
from models.provider_customers import User, find_owner
from models.session import insert_new
from models.tables import cash_balances
from models.tables.base import new_id
from models.task_messages import CASH_BALANCE, TaskMessage, is_due


class Reading(NamedTuple):
    """A balance that a worker reads. `returned`: what to give back before that; None: nothing. `is_over`: it has waited
    too long to be given back. `tries`: how often the provider did not respond."""

    balance_id: str
    fencing_token: int
    provider: str
    customer_token: str
    currency: str
    returned: Money | None
    return_key: str
    is_over: bool
    tries: int


def watch_balance(change: Change, provider: str, customer_token: str, currency: str, user: User) -> None:
    """Store that a customer was asked to pay to their account number: from then on money may come at any time."""
    values = {
        "id": new_id("cash", change.now),
        "provider": provider,
        "customer_token": customer_token,
        "currency": currency,
        "application": user.application,
        "user_id": user.user_id,
        "available": 0,
        "fencing_token": 0,
        "tries": 0,
        "failures": 0,
        "used_at": change.now,
    }
    if not insert_new(change.connection, cash_balances, values):
        is_it = _is_of(provider, customer_token) & (cash_balances.c.currency == currency)
        change.connection.execute(update(cash_balances).where(is_it).values(used_at=change.now))


def ask_for_readings(
    change: Change, provider: str, customer_token: str, currencies: Iterable[str]
) -> tuple[TaskMessage, ...]:
    """Make the balances of a customer due to be read, because the provider tells of a change; return their messages.

    Empty for a customer that is not ours."""
    owner = find_owner(change.connection, provider, customer_token) or _find_owner(
        change.connection, provider, customer_token
    )
    if owner is None:
        return ()
    for currency in currencies:
        watch_balance(change, provider, customer_token, currency, owner)
    return _make_due(change, _is_of(provider, customer_token))


def ask_for_due_readings(change: Change, provider: str, window: Window) -> tuple[TaskMessage, ...]:
    """Make those balances due that a step of the comparison's schedule reaches within a window."""
    is_of_provider = cash_balances.c.provider == provider
    return _make_due(change, is_of_provider & reaches_a_step(cash_balances.c.used_at, window))


def ask_for_readings_since(change: Change, provider: str, since: datetime) -> tuple[TaskMessage, ...]:
    """Make those balances due whose account number was shown since then, or that have changed since then."""
    return _make_due(change, (cash_balances.c.provider == provider) & (cash_balances.c.used_at >= since))


def claim_reading(change: Change, balance_id: str) -> Reading | None:
    """Claim a due balance for one worker; None if it is not due, or another worker's."""
    row = lock_balance(change.connection, balance_id)
    if row is None or not is_due(row.due_at, row.published_at, change.now):
        return None
    token = row.fencing_token + 1
    _write(change.connection, row, fencing_token=token, due_at=change.now + LEASE, published_at=None)
    returned = None if row.return_amount is None else Money(row.return_amount, row.currency)
    names = (row.id, token, row.provider, row.customer_token, row.currency)
    return Reading(*names, returned, row.return_key or "", is_return_over(row.due_at, change.now), row.tries)


def book_reading(change: Change, reading: Reading, shown: ShownBalance, refusal: str | None = None) -> None:
    """Book what a balance shows beyond our books, unless somebody asked for another reading meanwhile.

    `refusal`: why the provider does not give the money back, which a person may try again."""
    row = _lock_held(change, reading)
    if row is None:
        return
    follows = change_of(row.available, shown)
    book_of_balance(change, row, follows.movements)
    used_at = change.now if follows.movements else row.used_at
    rest = {"due_at": None, "tries": 0, "failures": 0, "return_amount": None, "return_key": None}
    _write(change.connection, row, available=shown.available, used_at=used_at, **rest)
    if refusal is not None:
        note_refusal(change, row.id, refusal)
    if row.failures:
        close_entries_of_balance(change, row.id, Reason.FAILING_ROW)
    if follows.closes is not None:
        close_entries_of_balance(change, row.id, follows.closes)
    if follows.opens is not None:
        stake = {"amount": shown.available, "currency": row.currency}
        data = {"provider": row.provider, "reference": shown.reference}
        open_entry(change, follows.opens, cash_balance_id=row.id, data=data, **stake)


def postpone_reading(change: Change, reading: Reading, reason: str) -> None:
    """Read a balance later, because the provider did not respond. A return that stays unknown is given up: how the
    balance stands then tells a person whether it was carried out."""
    row = _lock_held(change, reading)
    if row is None:
        return
    values: dict[str, Any] = {"tries": row.tries + 1, "due_at": change.now + doubt_delay(row.tries)}
    if reading.returned is not None and gives_up_return(row.tries + 1):
        values |= {"return_amount": None, "return_key": None}
        note_refusal(change, row.id, reason)
    _write(change.connection, row, **values)


def renew_return_key(change: Change, reading: Reading, shown: ShownBalance) -> None:
    """Give a return another idempotency key, because this one has only a stored failure to give.

    Only if the balance is as it was booked, to the last transaction: then nothing was given back under this key."""
    row = _lock_held(change, reading)
    if row is None or shown != ShownBalance(row.available, last_of_balance(change.connection, row.id) or ""):
        return
    _write(change.connection, row, return_key=new_id("return", change.now))


def ask_to_return(change: Change, balance: Row[Any]) -> TaskMessage:
    """Make a locked balance due to be given back, all of it. Raises Conflict where that cannot be."""
    if balance.return_amount is not None:
        raise Conflict("this money is on its way back already; wait for that")
    if balance.available <= 0:
        raise Conflict("nothing is left to give back; close this entry")
    _write(
        change.connection, balance, return_amount=balance.available, return_key=new_id("return", change.now), tries=0
    )
    [message] = _make_due(change, cash_balances.c.id == balance.id)
    return message


def count_balance_failure(connection: Connection, balance: Row[Any], failures: int, due_at: datetime) -> None:
    """Store how often the task of a locked balance has failed, and read it later."""
    _write(connection, balance, failures=failures, due_at=due_at)


def read_again(change: Change, balance_id: str) -> TaskMessage | None:
    """Make a balance due now; return its message."""
    messages = _make_due(change, cash_balances.c.id == balance_id)
    return messages[0] if messages else None


def lock_balance(connection: Connection, balance_id: str) -> Row[Any] | None:
    """Lock a cash balance; None if there is none."""
    return connection.execute(
        select(cash_balances).where(cash_balances.c.id == balance_id).with_for_update()
    ).one_or_none()


def _find_owner(connection: Connection, provider: str, customer_token: str) -> User | None:
    """Return who was asked to pay to a customer's account number: an application may name a customer of its own."""
    stored = select(cash_balances.c.application, cash_balances.c.user_id).where(_is_of(provider, customer_token))
    row = connection.execute(stored.limit(1)).first()
    return None if row is None else User(*row)


def _lock_held(change: Change, reading: Reading) -> Row[Any] | None:
    row = lock_balance(change.connection, reading.balance_id)
    return row if row is not None and row.fencing_token == reading.fencing_token else None


def _make_due(change: Change, is_meant: Any) -> tuple[TaskMessage, ...]:
    due = (
        update(cash_balances)
        .where(is_meant)
        .values(due_at=change.now, published_at=change.now, fencing_token=cash_balances.c.fencing_token + 1)
        .returning(cash_balances.c.id)
    )
    return tuple(TaskMessage(CASH_BALANCE, row_id) for row_id in sorted(change.connection.scalars(due)))


def _is_of(provider: str, customer_token: str) -> Any:
    return (cash_balances.c.provider == provider) & (cash_balances.c.customer_token == customer_token)


def _write(connection: Connection, row: Row[Any], **values: Any) -> None:
    connection.execute(update(cash_balances).where(cash_balances.c.id == row.id).values(values))
