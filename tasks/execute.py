"""The path of every attempt: claim and commit, call the provider with no transaction open, record and commit."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, select

from domain.claiming import has_lost_its_worker, may_send
from domain.commands import Started
from domain.decline import Decline, DeclineClass
from domain.errors import IllegalTransition, InvalidRequest, LeaseLost
from domain.money import Money
from domain.outcome import WORKER_LOST, Declined, InDoubt, NotSent, Outcome
from domain.payment import AttemptStatus, State, Verb
from domain.payment_methods import PaymentMethod, needs_payer
from domain.saved_method import reason_not_to_charge
from gateways.base import AttemptRequest, CustomerLost, Gateway, GatewayError, SaveReference
from gateways.capabilities import SavedMethodsGateway
from gateways.http import TechnicalFailure, watch_for_failure
from models import transition
from models.attempts import authorize_first, find_charge, schedule_look_up, store_reference
from models.breakers import allows, count_failure, count_success
from models.cash_balances import watch_balance
from models.change import Change
from models.failpoints import reach
from models.instruments import blocked_tokens, known_instrument
from models.provider_customers import User, forget_customer
from models.saved_methods import find_method_status
from models.session import transact
from models.tables import payments
from models.transition_locks import lock_attempt
from runtime import Runtime
from runtime.credentials import watch_credentials
from runtime.leases import Lease
from runtime.provider_customers import get_or_create_customer, with_customer
from tasks.payment_task import ACTOR

_log = logging.getLogger(__name__)

# The field of a request that names the provider's customer.
CUSTOMER = "customer_token"


class Screened(NamedTuple):
    """What screening says of an attempt that may be sent. `is_authorized_first`: what its response shows decides
    whether the money is captured."""

    wants_authentication: bool = False
    is_authorized_first: bool = False


# Called with the locked attempt before the claim. None: the attempt is not sent now.
Screen = Callable[[Change, Row[Any]], Screened | None]
Call = Callable[[Gateway, AttemptRequest, SaveReference], Outcome]


class Executed(NamedTuple):
    """An attempt that was sent to its provider, and the outcome, which is recorded."""

    provider: str
    attempt: AttemptRequest
    outcome: Outcome


def execute_attempt(
    runtime: Runtime, attempt_id: str, stage: str, call: Call, prepare: Callable[[Runtime, str], Screen] | None = None
) -> Executed | None:
    """Send a due attempt to its provider once, however often its message comes; return what came of it, None if it was
    not sent. `stage` names the failpoints; `prepare` returns what screens the attempt, before it is locked."""
    screen = prepare(runtime, attempt_id) if prepare is not None else None
    claimed_at = time.monotonic()
    claimed = runtime.change(ACTOR, _claim, runtime, attempt_id, screen)
    if claimed is None:
        return None
    reach(f"{stage}.claimed")
    with runtime.leases.hold(attempt_id, claimed.fencing_token, claimed_at) as lease:
        if not lease.is_held:
            return None
        try:
            outcome, failure = _call_provider(runtime, claimed, call, lease)
        except LeaseLost:
            _log.warning("lease of %s lost before anything was sent", attempt_id)
            return None
        reach(f"{stage}.responded")
        record(runtime, attempt_id, claimed.fencing_token, outcome)
    reach(f"{stage}.recorded")
    if claimed.refusal is not None:
        return Executed(claimed.provider, claimed.attempt, outcome)
    watch_credentials(runtime, ACTOR, claimed.provider, failure, has_entry=claimed.has_refused_credentials)
    if failure.is_seen or (claimed.has_failures and not claimed.is_barred):
        count = count_failure if failure.is_seen else count_success
        runtime.change(ACTOR, count, claimed.provider, claimed.attempt.verb)
    return Executed(claimed.provider, claimed.attempt, outcome)


@dataclass(frozen=True, slots=True)
class _Claimed:
    """An attempt that this worker holds. `has_customer`: its user has one at the provider, which may still be to be
    made. `is_barred`: the provider's breaker is open and this call is no probe. `is_outage`: the breaker is open.
    `has_failures`: it has counted failures of other calls. `has_refused_credentials`: the provider has, and a person
    knows. `refusal`: why its saved method is not charged, so that nobody is called."""

    attempt: AttemptRequest
    user: User
    has_customer: bool
    fencing_token: int
    provider: str
    is_barred: bool
    is_outage: bool
    has_failures: bool
    has_refused_credentials: bool
    refusal: str | None


def _claim(change: Change, runtime: Runtime, attempt_id: str, screen: Screen | None) -> _Claimed | None:
    """Claim a due attempt, unless it is another worker's, waits for a person, or must not be sent."""
    row = lock_attempt(change.connection, attempt_id)
    if not may_send(State(row.state), Verb(row.attempt_verb), AttemptStatus(row.attempt_status)):
        return None
    if row.attempt_provider not in runtime.gateways:
        _log.error("attempt %s waits: %s is not configured in this worker", attempt_id, row.attempt_provider)
        return None
    screened = screen(change, row) if screen is not None else Screened()
    if screened is None:
        return None
    if screened.is_authorized_first:
        authorize_first(change.connection, attempt_id)
        row = lock_attempt(change.connection, attempt_id)
    applied = transition.apply(change, row, Started(known_instrument(row)))
    is_barred = not allows(change, row)
    attempt = attempt_request(change, row, wants_authentication=screened.wants_authentication)
    user = User(row.application, row.user_id)
    is_outage, has_failures = row.breaker_opened_at is not None, bool(row.breaker_failures)
    known = (is_barred, is_outage, has_failures, bool(row.refused_credentials))
    has_customer = row.stored_customer is not None
    refusal = _reason_not_to_charge(change.connection, row, attempt)
    return _Claimed(attempt, user, has_customer, applied.fencing_token, row.attempt_provider, *known, refusal)


def _reason_not_to_charge(connection: Connection, locked: Row[Any], attempt: AttemptRequest) -> str | None:
    """Return why the saved method of a new charge is not charged while the customer is away; None if it may be."""
    is_new = attempt.verb.is_collecting and attempt.reference is None
    if not is_new or not attempt.is_off_session or attempt.method_token is None:
        return None
    status = find_method_status(connection, locked.attempt_provider, attempt.method_token)
    return reason_not_to_charge(status, is_off_session=attempt.is_off_session)


def _call_provider(runtime: Runtime, claimed: _Claimed, call: Call, lease: Lease) -> tuple[Outcome, TechnicalFailure]:
    """Call the provider unless the method may not be charged or the breaker is open; return the outcome, and how the
    provider failed technically."""
    if claimed.refusal is not None:
        return Declined(None, Decline(claimed.refusal, DeclineClass.HARD)), TechnicalFailure()
    if claimed.is_barred:
        return NotSent("breaker_open", reference=claimed.attempt.reference, is_outage=True), TechnicalFailure()

    def save_reference(reference: str) -> None:
        reach("charge.created")
        transact(runtime.engine, store_reference, claimed.attempt.attempt_id, claimed.fencing_token, reference)
        reach("charge.reference_saved")
        if not lease.is_held:
            # Another worker may have taken over while this process was paused: it must not confirm the charge.
            raise LeaseLost(f"attempt {claimed.attempt.attempt_id} was paused for longer than its lease")

    with watch_for_failure() as failure:
        outcome = _call_for_customer(runtime, claimed, call, save_reference)
    if isinstance(outcome, InDoubt | NotSent):
        outcome = replace(outcome, response=failure.last_response)
    if isinstance(outcome, NotSent):
        outcome = replace(outcome, is_outage=claimed.is_outage)
    return outcome, failure


def _call_for_customer(runtime: Runtime, claimed: _Claimed, call: Call, save_reference: SaveReference) -> Outcome:
    """Call the provider for the user's customer there. One that the provider has lost is made again, and the call
    with it: no attempt goes on without the customer."""
    gateway, attempt = runtime.gateways[claimed.provider], claimed.attempt
    is_new = attempt.verb.is_collecting and attempt.reference is None
    if not is_new or not isinstance(gateway, SavedMethodsGateway):
        return call(gateway, attempt, save_reference)
    for _ in range(2):
        ready = _with_customer(runtime, gateway, claimed, attempt)
        outcome = ready if isinstance(ready, NotSent) else call(gateway, ready, save_reference)
        lost = attempt.customer_token if isinstance(ready, NotSent) else ready.customer_token
        if not isinstance(outcome, NotSent) or outcome.param != CUSTOMER or lost is None:
            return outcome
        if not runtime.change(ACTOR, forget_customer, claimed.user, claimed.provider, lost):
            return outcome
        attempt, refused = replace(attempt, customer_token=None), NotSent(outcome.reason)
    return refused


def _with_customer(
    runtime: Runtime, gateway: SavedMethodsGateway, claimed: _Claimed, attempt: AttemptRequest
) -> AttemptRequest | NotSent:
    """Return the attempt, with a customer if its user has one or its method needs one. Nothing can be charged before.

    Money of a customer who was asked to transfer some may come at any time, so that their balance is watched."""
    is_transfer = gateway.needs_customer(attempt.method)
    if not is_transfer and (attempt.customer_token is not None or not claimed.has_customer):
        return attempt

    def watch(customer: str) -> AttemptRequest:
        balance = (gateway.provider, customer, attempt.money.currency, claimed.user)
        runtime.change(ACTOR, watch_balance, *balance)
        return replace(attempt, customer_token=customer)

    try:
        if not is_transfer:
            return replace(attempt, customer_token=get_or_create_customer(runtime, gateway, claimed.user, ACTOR))
        if attempt.customer_token is None:
            user, payer = claimed.user, attempt.payer
            return with_customer(runtime, gateway, user, ACTOR, payer, watch, is_paying_by_transfer=True)
        gateway.update_customer(attempt.customer_token, attempt.payer, is_paying_by_transfer=True)
        return watch(attempt.customer_token)
    except InvalidRequest:
        return NotSent("payer_refused", is_retryable=False, param="email")
    except CustomerLost as lost:
        return NotSent(str(lost), is_retryable=False, param=CUSTOMER)
    except GatewayError as error:
        return NotSent(str(error))


def record(runtime: Runtime, attempt_id: str, fencing_token: int, outcome: Outcome) -> transition.Applied | None:
    """Write the outcome. None if another worker holds the attempt, or the outcome cannot
    follow from what is booked; the next look-up then decides."""
    try:
        applied = runtime.change(ACTOR, transition.apply, attempt_id, outcome, fencing_token)
    except LeaseLost:
        _log.info("attempt %s is recorded by another worker", attempt_id)
        return None
    except IllegalTransition as error:
        _log.error("attempt %s: the provider contradicts our books: %s", attempt_id, error)
        runtime.change(ACTOR, schedule_look_up, attempt_id, fencing_token)
        return None
    if applied.decision is None:
        runtime.change(ACTOR, schedule_look_up, attempt_id, fencing_token)
    return applied


def as_looked_up(change: Change, locked: Row[Any]) -> Row[Any]:
    """Return a locked attempt as it is looked up. What a worker has sent that died or was cut off is in doubt first:
    only its own outcome may say that nothing was sent."""
    if not has_lost_its_worker(AttemptStatus(locked.attempt_status)):
        return locked
    transition.apply(change, locked, InDoubt(WORKER_LOST))
    return lock_attempt(change.connection, locked.attempt_id)


def attempt_request(change: Change, locked: Row[Any], *, wants_authentication: bool = False) -> AttemptRequest:
    """Return the request of a locked attempt. `wants_authentication`: its customer is asked for 3-D Secure."""
    verb = Verb(locked.attempt_verb)
    return AttemptRequest(
        payment_id=locked.id,
        attempt_id=locked.attempt_id,
        verb=verb,
        money=Money(locked.attempt_amount, locked.currency),
        method=PaymentMethod(locked.method),
        method_token=locked.method_token,
        customer_token=locked.customer_token or locked.stored_customer or None,
        is_off_session=locked.is_off_session,
        wants_authentication=wants_authentication and not locked.is_off_session,
        return_url=locked.return_url,
        reference=locked.attempt_provider_reference,
        charge_reference=_charge_reference(change.connection, locked, verb),
        retries=locked.attempt_retries,
        claimed_at=change.now,
        key_number=locked.attempt_key_number,
        reason=locked.attempt_reason,
        payer=_payer(change.connection, locked),
        blocked_tokens=_blocked_tokens(change.connection, locked, verb),
    )


def _blocked_tokens(connection: Connection, locked: Row[Any], verb: Verb) -> frozenset[str]:
    """Return what the provider must not choose as the customer's default; nothing where the payment names a method."""
    is_left_to_provider = locked.method_token is None and locked.attempt_provider_reference is None
    if not (is_left_to_provider and locked.is_off_session and verb.is_collecting):
        return frozenset()
    return blocked_tokens(connection, User(locked.application, locked.user_id), locked.attempt_provider)


def _payer(connection: Connection, locked: Row[Any]) -> dict[str, Any]:
    """Return the payer's data for providers that need it when their object is created; nothing afterwards."""
    if locked.attempt_provider_reference is not None or not needs_payer(PaymentMethod(locked.method)):
        return {}
    return connection.scalar(select(payments.c.payer).where(payments.c.id == locked.id)) or {}


def _charge_reference(connection: Connection, locked: Row[Any], verb: Verb) -> str | None:
    """Return the provider's object whose money an operation is about: the one that a void names, or the charge's."""
    if verb.is_collecting:
        return None
    named: str | None = locked.attempt_provider_reference if verb is Verb.VOID else locked.attempt_charge_reference
    if named is not None:
        return named
    charge = find_charge(connection, locked.id)
    return charge.provider_reference if charge is not None else None
