"""Every write of an instrument, and the ledger of tries: what the networks limit, counted on attempts.

A row is written when an instrument is declined or becomes a backup method, never for one that pays. The tries of all
its tokens count together: whoever is about to try it locks the rows of its fingerprint, counts, and claims the attempt
in the same transaction."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, bindparam, func, or_, select, update

from domain.decline import Decline, DeclineClass
from domain.decline import unknown_codes as codes_of_no_table
from domain.declines import bank_debits
from domain.declines.caps import LONGEST_WINDOW, Refusal, Try, advice_on_blocked, refusal_of
from domain.declines.classes import gravest
from domain.errors import InstrumentBlocked
from domain.instrument import Instrument, KnownInstrument, fingerprint_of_token
from domain.payment import AttemptStatus
from models.audit import record_event
from models.change import Change
from models.provider_customers import User
from models.session import insert_new
from models.tables import attempts, instruments, payments
from models.unknown_codes import count_unknown_code

_LONGEST_CODE = 100
# No request of such an attempt reached the network.
_UNSENT = (AttemptStatus.DUE, AttemptStatus.FAILED, AttemptStatus.CANCELED)
_is_of_fingerprint = instruments.c.fingerprint == bindparam("fingerprint")
_lock_instrument = (
    select(instruments.c.network, instruments.c.blocked_as)
    .where(_is_of_fingerprint)
    .order_by(instruments.c.application, instruments.c.user_id, instruments.c.provider, instruments.c.token)
    .with_for_update()
)
_decided_at = func.coalesce(attempts.c.finished_at, bindparam("now", type_=attempts.c.finished_at.type))
_select_tries = (
    select(
        _decided_at.label("at"), attempts.c.amount, payments.c.currency, payments.c.application, payments.c.invoice_id
    )
    .join(payments, payments.c.id == attempts.c.payment_id)
    .where(
        attempts.c.fingerprint == bindparam("fingerprint"),
        attempts.c.id != bindparam("attempt_id"),
        attempts.c.status.not_in(_UNSENT),
        # Money that a card has paid is no decline; a debit that was paid may have come back since.
        or_(attempts.c.status != AttemptStatus.SUCCEEDED, attempts.c.network.in_(sorted(bank_debits.NETWORKS))),
        _decided_at > bindparam("since", type_=attempts.c.finished_at.type),
    )
)


def known_instrument(locked: Row[Any]) -> KnownInstrument | None:
    """Return the instrument that a locked attempt is about to try, if that was declined before. An attempt that its
    provider knows goes on with what it has begun."""
    if locked.instrument_fingerprint is None or locked.attempt_provider_reference is not None:
        return None
    return KnownInstrument(locked.instrument_fingerprint, locked.instrument_network)


def refused_try(change: Change, locked: Row[Any]) -> Refusal | None:
    """Return why a locked attempt must not be sent now, by what its instrument's tries and declines were. Until the end
    of the transaction nobody else tries the instrument."""
    named = {"fingerprint": locked.instrument_fingerprint}
    rows = change.connection.execute(_lock_instrument, named).all()
    classes = [DeclineClass(row.blocked_as) for row in rows if row.blocked_as is not None]
    network = next((row.network for row in rows if row.network is not None), None)
    known = KnownInstrument(locked.instrument_fingerprint, network, gravest(classes))
    since = change.now - LONGEST_WINDOW
    about = named | {"attempt_id": locked.attempt_id, "now": change.now, "since": since}
    made = [_try(row) for row in change.connection.execute(_select_tries, about)]
    debt = _debt(locked.application, locked.invoice_id)
    next_try = Try(change.now, locked.attempt_amount, locked.currency, debt)
    return refusal_of(known, made, next_try, change.policy.visa_cap, is_off_session=locked.is_off_session)


def _try(row: Any) -> Try:
    return Try(row.at, row.amount, row.currency, _debt(row.application, row.invoice_id))


def _debt(application: str, invoice_id: str) -> str:
    return f"{application}/{invoice_id}"


def require_chargeable(connection: Connection, payment: dict[str, Any]) -> None:
    """Refuse to charge an instrument while its user is away that is dead, or for which they have withdrawn their
    consent. Raises InstrumentBlocked."""
    if not payment["is_off_session"] or payment["method_token"] is None:
        return
    blocked_as = connection.scalar(
        select(instruments.c.blocked_as).where(
            instruments.c.application == payment["application"],
            instruments.c.user_id == payment["user_id"],
            instruments.c.provider == payment["provider"],
            instruments.c.token == payment["method_token"],
        )
    )
    if blocked_as is not None:
        raise InstrumentBlocked(advice_on_blocked(DeclineClass(blocked_as)))


def blocked_tokens(connection: Connection, user: User, provider: str) -> frozenset[str]:
    """Return the tokens of a user's instruments that are not charged while they are away."""
    found = connection.scalars(
        select(instruments.c.token).where(
            instruments.c.application == user.application,
            instruments.c.user_id == user.user_id,
            instruments.c.provider == provider,
            instruments.c.blocked_as.is_not(None),
        )
    )
    return frozenset(found)


def note_decline(
    change: Change, row: Row[Any], attempt_id: str | None, decline: Decline, shown: Instrument | None
) -> None:
    """Keep what a decline tells of the instrument of a locked payment, and count the codes that no table has.
    `attempt_id` None: the bank has returned a debit that had succeeded."""
    provider = row.attempt_provider if attempt_id is not None else row.provider
    for field, code in codes_of_no_table(provider, decline.codes, decline.network):
        count_unknown_code(change, provider, field, code)
    token = row.method_token or (shown.token if shown is not None else None)
    if token is None:
        return
    save_instrument(change, User(row.application, row.user_id), provider, token, shown)
    if decline.is_blocking:
        _block_instrument(change, row, provider, token, attempt_id, decline)


def renew_instrument(change: Change, user: User, provider: str, token: str) -> None:
    """Let a token be charged again whose card was dead and has got a new number at its bank: its tries are those of
    another card now. A consent that was withdrawn stays so."""
    is_it = (
        (instruments.c.application == user.application)
        & (instruments.c.user_id == user.user_id)
        & (instruments.c.provider == provider)
        & (instruments.c.token == token)
        & instruments.c.blocked_as.is_distinct_from(DeclineClass.CONSENT_WITHDRAWN)
    )
    fresh = {"fingerprint": fingerprint_of_token(provider, token), "network": None}
    unblocked = {"blocked_as": None, "blocked_code": None, "blocked_at": None}
    change.connection.execute(update(instruments).where(is_it).values(fresh | unblocked | {"updated_at": change.now}))


def save_instrument(change: Change, user: User, provider: str, token: str, shown: Instrument | None) -> None:
    """Keep which card or account is behind a token of a user. `shown` None: the token stands for it."""
    known = shown or Instrument(fingerprint_of_token(provider, token))
    values = {"fingerprint": known.fingerprint, "network": known.network, "updated_at": change.now}
    keys = user._asdict() | {"provider": provider, "token": token}
    is_new = insert_new(change.connection, instruments, keys | values | {"created_at": change.now})
    if not is_new and shown is not None:
        # A saved card may have got a new number at its bank.
        change.connection.execute(update(instruments).where(*_is_row(user, provider, token)).values(values))


def _block_instrument(
    change: Change, row: Row[Any], provider: str, token: str, attempt_id: str | None, decline: Decline
) -> None:
    blocking = {
        "blocked_as": decline.decline_class,
        "blocked_code": (decline.decline_code or decline.code)[:_LONGEST_CODE],
        "blocked_at": change.now,
        "updated_at": change.now,
    }
    # A consent that was withdrawn stays so; it is graver than a dead card.
    is_milder = or_(
        instruments.c.blocked_as.is_(None),
        (instruments.c.blocked_as != decline.decline_class)
        & (instruments.c.blocked_as != DeclineClass.CONSENT_WITHDRAWN),
    )
    owner = User(row.application, row.user_id)
    blocked = update(instruments).where(*_is_row(owner, provider, token), is_milder).values(blocking)
    if change.connection.execute(blocked).rowcount:
        data = {"class": decline.decline_class, "code": blocking["blocked_code"]}
        about = {"payment_id": row.id, "attempt_id": attempt_id, "data": data}
        record_event(change.connection, "instrument_blocked", actor=change.actor, now=change.now, **about)


def _is_row(user: User, provider: str, token: str) -> tuple[ColumnElement[bool], ...]:
    return (
        instruments.c.application == user.application,
        instruments.c.user_id == user.user_id,
        instruments.c.provider == provider,
        instruments.c.token == token,
    )
