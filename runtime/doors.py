"""The brake before every door at which a caller waits while an issuer is made to look at a card: an intent or a setup
for a front end, a method that is saved. `tasks.screening` is the same brake before a charge.

A request that is refused leaves nothing but a count, and no provider hears of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Row

from domain.errors import CeleriacError, Conflict, FraudBlocked, MethodDeclined, ReviewRequired, TryLater
from domain.fraud import Assessment, FraudDecision, is_braked
from domain.fraud.brake import BRAKED
from domain.fraud.limits import TOO_MANY, Room, SlotState, slots_of
from domain.money import Money
from gateways.base import GatewayError
from models.change import Change
from models.fraud.assessments import store_first
from models.fraud.brakes import look_at_declines
from models.fraud.refusals import note_door_refusal, note_refused
from models.fraud.reservations import Refusal, end_slots, reserve
from models.fraud.signals import Door, SignalKind, Tried, note_signal
from models.fraud.subjects import ScoringRequest
from models.fraud.tries import note_try
from models.front_end_intents import FrontEndIntent, accept_intent, find_new_intent
from models.idempotency import Caller
from models.payer_facts import PayerFacts
from models.request_bodies import CreateIntent
from models.tables.base import new_id
from runtime.runtime import Runtime
from runtime.scoring import Evidence, assess_now, gather

P = ParamSpec("P")
T = TypeVar("T")

_BLOCKED = "the fraud rules refuse this; do not try it again"


class DoorClosed(Exception):
    """A request is refused, and its transaction taken back. `error`: what its sender hears. `note`: counts it, in a
    transaction of its own."""

    def __init__(self, error: CeleriacError, note: Callable[[Change], None] | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.note = note


@dataclass(frozen=True, slots=True)
class Passed:
    """A request that may go on. `try_id`: under which it holds its slots. `evidence` None: fraud is not looked for."""

    try_id: str
    decision: FraudDecision = FraudDecision.APPROVE
    evidence: Evidence | None = None


def find_evidence(runtime: Runtime, request: ScoringRequest) -> Evidence | None:
    """Return what is known of a request; None if fraud is not looked for. Locks nothing."""
    if not runtime.policy.fraud.is_enabled:
        return None

    def read(connection: Connection) -> Evidence:
        return gather(runtime, connection, request)

    return runtime.read(read)


def change_at_door(
    runtime: Runtime, actor: str, work: Callable[Concatenate[Change, P], T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Call `work(change, *args, **kwargs)` in one transaction; count what it refuses. Raises FraudBlocked,
    ReviewRequired or TryLater."""
    try:
        return runtime.change(actor, work, *args, **kwargs)
    except DoorClosed as closed:
        if closed.note is not None:
            runtime.change(actor, closed.note)
        raise closed.error from None


def admit(
    change: Change, application: str, door: Door, evidence: Evidence, try_id: str, state: SlotState
) -> Assessment:
    """Score a request and take its slots; return its score. Raises DoorClosed."""
    assessment = assess_now(change, application, evidence)
    error = _refusal_by_score(assessment, can_authenticate=door is Door.FRONT_END_INTENT)
    if error is not None:
        rules = [reason.rule for reason in assessment.reasons]

        def note(again: Change) -> None:
            note_door_refusal(again, application, door, {"score": assessment.score, "reasons": rules})

        raise DoorClosed(error, note)
    slots = slots_of(evidence.entities, evidence.payer, change.policy.fraud)
    refusal = reserve(change, slots, try_id, evidence.card, state)
    if refusal is not None:
        raise _closed_by_limit(refusal)
    return assessment


def open_intent(runtime: Runtime, actor: str, request: CreateIntent, caller: Caller, key: str | None) -> FrontEndIntent:
    """Store a payment that a front end confirms, or return the open one. A new one passes the brake, scored with what
    is outstanding on its invoice. Raises as `accept_intent`, FraudBlocked, ReviewRequired or TryLater."""
    is_enabled = runtime.policy.fraud.is_enabled
    asked = runtime.read(find_new_intent, request, caller) if is_enabled else None
    evidence = find_evidence(runtime, asked) if asked is not None else None

    def pass_brake(change: Change, locked: Row[Any]) -> bool:
        if not is_enabled:
            return False
        if asked is None or evidence is None or asked.money.minor != locked.amount:
            # Something has come in between; its sender repeats the request.
            raise Conflict("the invoice has changed meanwhile; repeat the request")
        assessment = admit(
            change, locked.application, Door.FRONT_END_INTENT, evidence, locked.attempt_id, SlotState.OFFERED
        )
        demand = evidence.demand(assessment.decision)
        store_first(change, locked.id, evidence.scored, assessment, evidence.rule_set, demand)
        note_try(change, locked, evidence.entities, Door.FRONT_END_INTENT, is_offered=True, place=evidence.place)
        return demand.is_wanted

    return change_at_door(runtime, actor, accept_intent, request, caller, key, runtime.router, pass_brake)


def _refusal_by_score(assessment: Assessment, *, can_authenticate: bool) -> CeleriacError | None:
    if is_braked(assessment) and (assessment.decision is FraudDecision.BLOCK or not can_authenticate):
        return FraudBlocked("too many tries are declined here right now; try it again later", code=BRAKED)
    match assessment.decision:
        case FraudDecision.BLOCK:
            return FraudBlocked(_BLOCKED, code="fraud_blocked")
        case FraudDecision.REVIEW:
            return ReviewRequired(
                "a person would have to look at this first; collect it by /process, which waits for them"
            )
    return None


def _closed_by_limit(refusal: Refusal) -> DoorClosed:
    if refusal.room is Room.WAIT:
        return DoorClosed(TryLater("others of the same kind are being tried right now; repeat the request in a moment"))

    def note(again: Change) -> None:
        note_refused(again, refusal)

    return DoorClosed(FraudBlocked(_BLOCKED, code=TOO_MANY), note)


def pass_door(
    runtime: Runtime,
    actor: str,
    door: Door,
    application: str,
    user: str,
    facts: PayerFacts | None,
    token: str | None = None,
) -> Passed:
    """Let a request pass that is about no payment: a setup, or a method that is saved. `facts`: what is told of the
    payer. Raises FraudBlocked, ReviewRequired or TryLater."""
    try_id = new_id("door", runtime.clock.now())
    told = facts if facts is not None else PayerFacts()
    request = ScoringRequest(
        application,
        Money(0, runtime.policy.fraud.base_currency),
        "credit_card",
        told.subject(user, token),
        has_fingerprint=bool(told.card and told.card.fingerprint),
        billing_country=told.billing_country,
        card_country=told.card_country,
    )
    evidence = find_evidence(runtime, request)
    if evidence is None:
        return Passed(try_id)

    def work(change: Change) -> Passed:
        is_tried = door is Door.ATTACH
        state = SlotState.SENT if is_tried else SlotState.OFFERED
        assessment = admit(change, application, door, evidence, try_id, state)
        if is_tried:
            note_signal(change, SignalKind.TRY, Tried(application, door, evidence.entities, attempt_id=try_id))
        return Passed(try_id, assessment.decision, evidence)

    return change_at_door(runtime, actor, work)


def note_opened(runtime: Runtime, actor: str, application: str, passed: Passed, setup: str) -> None:
    """Keep whom a setup of a front end was opened for, so that the cards that are tried in it count."""
    if passed.evidence is not None:
        opened = Tried(application, Door.SETUP, passed.evidence.entities, attempt_id=setup, reference=passed.try_id)
        runtime.change(actor, note_signal, SignalKind.OPENED, opened)


@contextmanager
def trying(runtime: Runtime, actor: str, application: str, passed: Passed, door: Door) -> Iterator[None]:
    """Count what comes of the provider's call that is made inside: what was not sent gives its slots back."""
    evidence = passed.evidence
    if evidence is None:
        yield
        return
    tried = Tried(application, door, evidence.entities, attempt_id=passed.try_id)

    def end(change: Change, state: SlotState | None, kind: SignalKind | None) -> None:
        end_slots(change, passed.try_id, state)
        if kind is not None and door is Door.ATTACH:
            note_signal(change, kind, tried)
        if kind is SignalKind.DECLINED:
            look_at_declines(change, application)

    try:
        yield
    except MethodDeclined:
        runtime.change(actor, end, SlotState.FAILED, SignalKind.DECLINED)
        raise
    except GatewayError:
        if door is Door.SETUP:
            # No client secret was handed out, so nothing can be tried.
            runtime.change(actor, end, None, None)
        raise
    except CeleriacError:
        runtime.change(actor, end, None, SignalKind.UNSENT)
        raise
    if door is Door.ATTACH:
        runtime.change(actor, end, SlotState.SUCCEEDED, None)
