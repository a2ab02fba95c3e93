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
from domain.fraud import FraudDecision
from domain.money import Money
from domain.outcome import NotSent, Outcome
from domain.payment import AttemptStatus, State, Verb
from domain.payment_methods import PaymentMethod, needs_payer
from gateways.base import AttemptRequest, Gateway, SaveReference
from gateways.http import watch_for_failure
from models import transition
from models.breakers import allows, count_failure, count_success
from models.failpoint import reach
from models.payments import attempts, payments
from models.session import transact
from tasks.base import ACTOR, Runtime
from tasks.lease import Lease

_log = logging.getLogger(__name__)

# Built once: to build a statement costs more than to run it.
_set_reference = update(attempts).where(
    attempts.c.id == bindparam("attempt_id"), attempts.c.fencing_token == bindparam("held_token")
)

# Called with the locked row before the claim; None: do not go on.
Screening = Callable[[Connection, Row[Any]], FraudDecision | None]
Call = Callable[[Gateway, AttemptRequest, SaveReference], Outcome]


def execute_attempt(runtime: Runtime, attempt_id: str, stage: str, call: Call, screen: Screening | None = None) -> None:
    """Carry out a due attempt once, whoever else was told of it. `stage` names the failpoints."""
    claimed_at, now = time.monotonic(), runtime.clock.now()
    claimed = transact(runtime.engine, lambda connection: _claim(connection, runtime, attempt_id, now, screen))
    if claimed is None:
        return
    fencing_token = claimed.fencing_token
    reach(f"{stage}.claimed")
    with runtime.leases.hold(attempt_id, fencing_token, claimed_at) as lease:
        if not lease.is_held:
            return
        try:
            outcome, has_failed_technically = _ask(
                runtime, claimed, call, _reference_saver(runtime, attempt_id, fencing_token, lease)
            )
        except LeaseLost:
            _log.warning("lease of %s lost before anything was sent", attempt_id)
            return
        reach(f"{stage}.answered")
        record(runtime, attempt_id, fencing_token, outcome)
    reach(f"{stage}.settled")
    if has_failed_technically or (claimed.has_failed and not claimed.is_barred):
        _note(runtime, claimed.provider, claimed.attempt.verb, is_failure=has_failed_technically)


@dataclass(frozen=True, slots=True)
class _Claimed:
    """An attempt that is ours to carry out, at this provider. `is_barred`: its breaker is open, and this is no probe.
    `has_failed`: the provider failed others before."""

    attempt: AttemptRequest
    fencing_token: int
    provider: str
    is_barred: bool
    has_failed: bool


def _ask(runtime: Runtime, claimed: _Claimed, call: Call, save_reference: SaveReference) -> tuple[Outcome, bool]:
    """Call the provider, unless it is known to be down; return its answer, and whether it failed technically."""
    if claimed.is_barred:
        return NotSent("breaker_open", reference=claimed.attempt.reference), False
    with watch_for_failure() as failure:
        outcome = call(runtime.gateways[claimed.provider], claimed.attempt, save_reference)
    return outcome, failure.is_seen


def _note(runtime: Runtime, provider: str, verb: Verb, *, is_failure: bool) -> None:
    now, policy = runtime.clock.now(), runtime.policy.breaker

    def note(connection: Connection) -> None:
        if is_failure:
            count_failure(connection, provider, verb, now, policy)
        else:
            count_success(connection, provider, verb, now)

    transact(runtime.engine, note)


def _claim(
    connection: Connection, runtime: Runtime, attempt_id: str, now: Any, screen: Screening | None
) -> _Claimed | None:
    row = transition.lock_attempt(connection, attempt_id)
    is_held = row.state == State.REVIEW and Verb(row.attempt_verb).is_collecting
    if row.attempt_status != AttemptStatus.DUE or is_held:
        return None
    if row.attempt_provider not in runtime.gateways:
        _log.error("attempt %s waits: %s is not configured in this worker", attempt_id, row.attempt_provider)
        return None
    decision = screen(connection, row) if screen is not None else FraudDecision.APPROVE
    if decision is None:
        return None
    applied = transition.apply(connection, row, Started(), now=now, policy=runtime.policy, actor=ACTOR)
    is_barred = not allows(connection, row, now, runtime.policy.breaker)
    attempt = attempt_request(connection, row, decision)
    return _Claimed(attempt, applied.fencing_token, row.attempt_provider, is_barred, bool(row.breaker_failures))


def _reference_saver(runtime: Runtime, attempt_id: str, fencing_token: int, lease: Lease) -> SaveReference:
    def save_reference(reference: str) -> None:
        reach("charge.created")
        transact(runtime.engine, lambda connection: _store_reference(connection, attempt_id, fencing_token, reference))
        reach("charge.remembered")
        if not lease.is_held:
            raise LeaseLost(f"attempt {attempt_id} was paused for longer than its lease")

    return save_reference


def _store_reference(connection: Connection, attempt_id: str, fencing_token: int, reference: str) -> None:
    stored = connection.execute(
        _set_reference, {"attempt_id": attempt_id, "held_token": fencing_token, "provider_reference": reference}
    )
    if stored.rowcount != 1:
        raise LeaseLost(f"attempt {attempt_id} is held by another worker")


def record(runtime: Runtime, attempt_id: str, fencing_token: int, outcome: Outcome) -> transition.Applied | None:
    """Write what the provider answered, unless somebody with newer knowledge has written before."""
    now = runtime.clock.now()
    try:
        applied = transact(
            runtime.engine,
            lambda connection: transition.apply(
                connection,
                attempt_id,
                outcome,
                now=now,
                policy=runtime.policy,
                actor=ACTOR,
                fencing_token=fencing_token,
            ),
        )
    except LeaseLost:
        _log.info("attempt %s was settled by somebody else", attempt_id)
        return None
    except IllegalTransition as error:
        _log.error("attempt %s: the provider contradicts our books: %s", attempt_id, error)
        transact(
            runtime.engine, lambda connection: transition.schedule_look_up(connection, attempt_id, fencing_token, now)
        )
        return None
    if applied.decision is None:
        transact(
            runtime.engine, lambda connection: transition.schedule_look_up(connection, attempt_id, fencing_token, now)
        )
    runtime.publish(applied.messages)
    return applied


def attempt_request(
    connection: Connection, row: Row[Any], decision: FraudDecision = FraudDecision.APPROVE
) -> AttemptRequest:
    """Return what a gateway has to know of a locked attempt. `decision`: what the fraud rules said of it."""
    verb = Verb(row.attempt_verb)
    return AttemptRequest(
        payment_id=row.id,
        attempt_id=row.attempt_id,
        verb=verb,
        money=Money(row.attempt_amount, row.currency),
        method=PaymentMethod(row.method),
        method_token=row.method_token,
        customer_token=row.customer_token,
        is_off_session=row.is_off_session,
        wants_authentication=decision is FraudDecision.VERIFY and not row.is_off_session,
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
