"""The way of every attempt: claim and commit, call the provider with no transaction open, record and commit."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, case, select, update

from domain.commands import Started
from domain.errors import IllegalTransition, LeaseLost
from domain.fraud import Decision
from domain.money import Money
from domain.outcome import NotSent, Outcome
from domain.payment import AttemptStatus, State, Verb
from domain.payment_methods import PaymentMethod, needs_payer
from gateways.base import Gateway, Order, Remember
from gateways.http import watch
from models import transition
from models.breakers import lets_through, note_failure, note_success
from models.failpoint import reach
from models.payments import attempts, payments
from models.session import transact
from tasks.base import ACTOR, Runtime
from tasks.lease import Lease

_log = logging.getLogger(__name__)

# Built once: to build a statement costs more than to run it.
_set_reference = update(attempts).where(
    attempts.c.id == bindparam("attempt_id"), attempts.c.epoch == bindparam("held_epoch")
)

# Called with the locked row before the claim; None: do not go on.
Screen = Callable[[Connection, Row[Any]], Decision | None]
Call = Callable[[Gateway, Order, Remember], Outcome]


def carry_out(runtime: Runtime, attempt_id: str, stage: str, call: Call, screen: Screen | None = None) -> None:
    """Carry out a due attempt once, whoever else was told of it. `stage` names the failpoints."""
    claimed_at, now = time.monotonic(), runtime.clock.now()
    claimed = transact(runtime.engine, lambda connection: _claim(connection, runtime, attempt_id, now, screen))
    if claimed is None:
        return
    epoch = claimed.epoch
    reach(f"{stage}.claimed")
    with runtime.leases.hold(attempt_id, epoch, claimed_at) as lease:
        if not lease.is_held:
            return
        try:
            outcome, is_trouble = _ask(runtime, claimed, call, _rememberer(runtime, attempt_id, epoch, lease))
        except LeaseLost:
            _log.warning("lease of %s lost before anything was sent", attempt_id)
            return
        reach(f"{stage}.answered")
        record(runtime, attempt_id, epoch, outcome)
    reach(f"{stage}.settled")
    if is_trouble or (claimed.has_failed and not claimed.is_barred):
        _note(runtime, claimed.provider, claimed.order.verb, is_failure=is_trouble)


@dataclass(frozen=True, slots=True)
class _Claimed:
    """An attempt that is ours to carry out, at this provider. `is_barred`: its breaker is open, and this is no probe.
    `has_failed`: the provider failed others before."""

    order: Order
    epoch: int
    provider: str
    is_barred: bool
    has_failed: bool


def _ask(runtime: Runtime, claimed: _Claimed, call: Call, remember: Remember) -> tuple[Outcome, bool]:
    """Call the provider, unless it is known to be down; return its answer, and whether it failed technically."""
    if claimed.is_barred:
        return NotSent("breaker_open", reference=claimed.order.reference), False
    with watch() as trouble:
        outcome = call(runtime.gateways[claimed.provider], claimed.order, remember)
    return outcome, trouble.is_seen


def _note(runtime: Runtime, provider: str, verb: Verb, *, is_failure: bool) -> None:
    now, policy = runtime.clock.now(), runtime.policy.breaker

    def note(connection: Connection) -> None:
        if is_failure:
            note_failure(connection, provider, verb, now, policy)
        else:
            note_success(connection, provider, verb, now)

    transact(runtime.engine, note)


def _claim(
    connection: Connection, runtime: Runtime, attempt_id: str, now: Any, screen: Screen | None
) -> _Claimed | None:
    row = transition.lock_attempt(connection, attempt_id)
    is_held = row.state == State.REVIEW and Verb(row.attempt_verb).is_collecting
    if row.attempt_status != AttemptStatus.DUE or is_held:
        return None
    if row.attempt_provider not in runtime.gateways:
        _log.error("attempt %s waits: %s is not configured in this worker", attempt_id, row.attempt_provider)
        return None
    decision = screen(connection, row) if screen is not None else Decision.APPROVE
    if decision is None:
        return None
    applied = transition.apply(connection, row, Started(), now=now, policy=runtime.policy, actor=ACTOR)
    is_barred = not lets_through(connection, row, now, runtime.policy.breaker)
    order = order_of(connection, row, decision)
    return _Claimed(order, applied.epoch, row.attempt_provider, is_barred, bool(row.breaker_failures))


def _rememberer(runtime: Runtime, attempt_id: str, epoch: int, lease: Lease) -> Remember:
    def remember(reference: str) -> None:
        reach("charge.created")
        transact(runtime.engine, lambda connection: _store_reference(connection, attempt_id, epoch, reference))
        reach("charge.remembered")
        if not lease.is_held:
            raise LeaseLost(f"attempt {attempt_id} was paused for longer than its lease")

    return remember


def _store_reference(connection: Connection, attempt_id: str, epoch: int, reference: str) -> None:
    stored = connection.execute(
        _set_reference, {"attempt_id": attempt_id, "held_epoch": epoch, "provider_reference": reference}
    )
    if stored.rowcount != 1:
        raise LeaseLost(f"attempt {attempt_id} is held by another worker")


def record(runtime: Runtime, attempt_id: str, epoch: int, outcome: Outcome) -> transition.Applied | None:
    """Write what the provider answered, unless somebody with newer knowledge has written before."""
    now = runtime.clock.now()
    try:
        applied = transact(
            runtime.engine,
            lambda connection: transition.apply(
                connection, attempt_id, outcome, now=now, policy=runtime.policy, actor=ACTOR, epoch=epoch
            ),
        )
    except LeaseLost:
        _log.info("attempt %s was settled by somebody else", attempt_id)
        return None
    except IllegalTransition as error:
        _log.error("attempt %s: the provider contradicts our books: %s", attempt_id, error)
        transact(runtime.engine, lambda connection: transition.look_again(connection, attempt_id, epoch, now))
        return None
    if applied.step is None:
        transact(runtime.engine, lambda connection: transition.look_again(connection, attempt_id, epoch, now))
    runtime.ring(applied.rings)
    return applied


def order_of(connection: Connection, row: Row[Any], decision: Decision = Decision.APPROVE) -> Order:
    """Return what a gateway has to know of a locked attempt. `decision`: what the fraud rules said of it."""
    verb = Verb(row.attempt_verb)
    return Order(
        payment_id=row.id,
        attempt_id=row.attempt_id,
        verb=verb,
        money=Money(row.attempt_amount, row.currency),
        method=PaymentMethod(row.method),
        method_token=row.method_token,
        customer_token=row.customer_token,
        is_off_session=row.is_off_session,
        wants_authentication=decision is Decision.VERIFY and not row.is_off_session,
        return_url=row.return_url,
        reference=row.attempt_provider_reference,
        charge_reference=_money_of(connection, row, verb),
        retries=row.attempt_retries,
        reason=row.attempt_reason,
        payer=_payer(connection, row),
    )


def _payer(connection: Connection, row: Row[Any]) -> dict[str, Any]:
    """Return who pays, for providers that have to be told when their object is made."""
    if row.attempt_provider_reference is not None or not needs_payer(PaymentMethod(row.method)):
        return {}
    return connection.scalar(select(payments.c.payer).where(payments.c.id == row.id)) or {}


def _money_of(connection: Connection, row: Row[Any], verb: Verb) -> str | None:
    """Return the object whose money an operation is about: what the void of a late consent names, or the charge."""
    if verb.is_collecting:
        return None
    named: str | None = row.attempt_provider_reference if verb is Verb.VOID else None
    return named or _charge_reference(connection, row.id)


def _charge_reference(connection: Connection, payment_id: str) -> str | None:
    succeeded_first = case((attempts.c.status == AttemptStatus.SUCCEEDED, 0), else_=1)
    found: str | None = connection.scalar(
        select(attempts.c.provider_reference)
        .where(
            attempts.c.payment_id == payment_id,
            attempts.c.verb.in_([Verb.CHARGE, Verb.AUTHORIZE]),
            attempts.c.provider_reference.is_not(None),
        )
        .order_by(succeeded_first, attempts.c.number.desc())
        .limit(1)
    )
    return found
