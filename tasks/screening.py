"""Screens a due charge inside its claim: is the debt still owed, and what do the fraud rules say?

What the rules read is gathered before anything is locked."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row

from domain.booking import NOT_SENT
from domain.claiming import Screening, has_waited_unsent, is_backup_unsent, screening_of
from domain.commands import Blocked, CancelRequested, ChargeWithdrawn, InvoicePaidOtherwise, TryRefused
from domain.fraud import Assessment, RuleSet, assess, beyond_limit, is_refused_by_brake, stopping_command
from domain.fraud.assessment import may_be_lifted_to_review
from domain.fraud.brake import BRAKED
from domain.fraud.limits import TOO_MANY, WAIT, Room, slots_of
from domain.invoice import reason_to_stop_dunning
from domain.payment import State, Verb
from domain.payment_methods import PaymentMethod, shows_checks
from models import transition
from models.attempts import add_attempt, postpone
from models.backup_methods import may_still_be_charged
from models.change import Change
from models.fraud.assessments import store_first, store_shadow, wants_authentication, was_reviewed
from models.fraud.refusals import note_refused
from models.fraud.reservations import Refusal, reserve
from models.fraud.subjects import find_for_scoring, scoring_request
from models.fraud.tries import note_try
from models.instruments import known_instrument, refused_try
from models.invoices import lock_invoice
from models.queries import invoice_position
from models.subscriptions import is_subscription_canceled
from runtime import Runtime
from runtime.scoring import Evidence, assess_now, gather
from tasks.dunning import OTHER_COLLECTION_PAUSE
from tasks.execute import Screened
from tasks.payment_task import ACTOR

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Screener:
    """Screens one attempt. `gather`: returns what is known of its payment; called before the lock, and once more within
    it only if the payment has come to be scored in between."""

    gather: Callable[[], Evidence | None]
    evidence: Evidence | None

    def __call__(self, change: Change, locked: Row[Any]) -> Screened | None:
        """Return what the fraud rules say of the locked attempt's payment, or None if it must not be sent now.

        A payment is scored once before it is charged. A dunning retry is not scored again, but its debt must still be
        owed, and so must that of any charge that had to wait. Then the instrument must be one that may be tried now."""
        screened = _screen(change, locked, self)
        if screened is None:
            return None
        if known_instrument(locked) is not None:
            refusal = refused_try(change, locked)
            if refusal is not None:
                transition.apply(change, locked, TryRefused(refusal))
                return None
        return screened


def screener(runtime: Runtime, attempt_id: str) -> Screener:
    """Return what screens an attempt, with what is known of its payment if that is to be scored."""

    def is_scored(row: Row[Any]) -> bool:
        return _screening_of(row) is Screening.FRAUD and runtime.policy.fraud.is_enabled

    evidence = _gather(runtime, attempt_id, is_scored)
    if evidence is not None and evidence.shadow is not None:
        _let_shadow_score(runtime, attempt_id, evidence, evidence.shadow)
    return Screener(lambda: _gather(runtime, attempt_id), evidence)


def _let_shadow_score(runtime: Runtime, attempt_id: str, evidence: Evidence, shadow: RuleSet) -> None:
    """Store what a shadow rule set would have decided. Whatever fails in it changes nothing."""
    try:
        assessment = assess(shadow, evidence.scored)
        runtime.change(ACTOR, store_shadow, attempt_id, assessment, shadow.version)
    except Exception as error:  # a shadow never breaks a charge
        _log.warning("the shadow rule set %s has failed: %s", shadow.version, type(error).__name__)


def _gather(
    runtime: Runtime, attempt_id: str, is_scored: Callable[[Row[Any]], bool] = lambda _: True
) -> Evidence | None:
    def read(connection: Connection) -> Evidence | None:
        row = find_for_scoring(connection, attempt_id)
        wanted = row is not None and is_scored(row)
        return gather(runtime, connection, scoring_request(row)) if row is not None and wanted else None

    return runtime.read(read)


def _screening_of(row: Row[Any]) -> Screening:
    was_begun = bool(row.attempt_claims or row.attempt_retries or row.attempt_provider_reference)
    return screening_of(State(row.state), was_begun=was_begun)


def _screen(change: Change, locked: Row[Any], screener: Screener) -> Screened | None:
    if is_backup_unsent(State(locked.state), locked.attempt_cause) and not _is_still_wanted(change, locked):
        return None
    if _has_waited(locked) and not _is_still_owed(change, locked):
        return None
    match _screening_of(locked):
        case Screening.DEBT:
            return Screened() if _is_still_owed(change, locked) else None
        case Screening.FRAUD if change.policy.fraud.is_enabled:
            evidence = screener.evidence or screener.gather()
            if evidence is None:
                raise AssertionError("bug: a locked attempt is gone")
            return _assess(change, locked, evidence)
        case _:
            return Screened(wants_authentication(change.connection, locked.id))


def _has_waited(locked: Row[Any]) -> bool:
    return has_waited_unsent(State(locked.state), locked.attempt_retries, locked.attempt_waiting_since)


def _is_still_owed(change: Change, locked: Row[Any]) -> bool:
    # A payment that is accepted meanwhile is seen, or sees this one.
    lock_invoice(change.connection, locked.invoice_id, locked.application)
    position = invoice_position(change.connection, locked.invoice_id, locked.application)
    if position.live_payment not in (None, locked.id):
        postpone(change.connection, locked.attempt_id, change.now + OTHER_COLLECTION_PAUSE)
        return False
    is_canceled = is_subscription_canceled(change.connection, locked)
    stop = reason_to_stop_dunning(position, locked.amount, is_subscription_canceled=is_canceled)
    if stop is not None:
        _end(change, locked, stop)
    return stop is None


def _is_still_wanted(change: Change, locked: Row[Any]) -> bool:
    """Tell whether a backup method may be charged: its consent, or the case of its debt, may have ended meanwhile."""
    if not may_still_be_charged(change, locked):
        _end(change, locked, CancelRequested())
        return False
    return _is_still_owed(change, locked)


def _end(change: Change, locked: Row[Any], stop: InvoicePaidOtherwise | CancelRequested) -> None:
    if _has_waited(locked) and locked.attempt_provider_reference is not None:
        # An earlier call may still be running: only a canceled object can never be charged.
        transition.apply(change, locked, ChargeWithdrawn())
        add_attempt(change, locked, Verb.VOID, locked.amount, reason=NOT_SENT, cause=locked.attempt_cause)
    else:
        transition.apply_to_payment(change, locked.id, stop)


def _assess(change: Change, locked: Row[Any], evidence: Evidence) -> Screened | None:
    is_absent = locked.is_off_session
    assessment = evidence.assess() if is_absent else assess_now(change, locked.application, evidence)
    command = Blocked(BRAKED) if is_refused_by_brake(assessment) else stopping_command(assessment.decision)
    refusal = None if isinstance(command, Blocked) else _take_slots(change, locked, evidence)
    if refusal is not None and refusal.room is Room.WAIT:
        postpone(change.connection, locked.attempt_id, change.now + WAIT)
        return None
    if refusal is not None:
        assessment, command = beyond_limit(assessment, refusal.slot.entity.kind, refusal.limit), Blocked(TOO_MANY)
        note_refused(change, refusal)
    demand = evidence.demand(assessment.decision)
    wants = demand.is_wanted
    is_first = store_first(change, locked.id, evidence.scored, assessment, evidence.rule_set, demand)
    if not is_first and refusal is None:
        # Scored before: it waited in an outage, which counts no try, or an operator has approved it since.
        if isinstance(command, Blocked):
            _take_slots(change, locked, evidence, is_limited=False)
        wants, command = wants_authentication(change.connection, locked.id), None
    if command is None:
        if not is_absent:
            note_try(change, locked, evidence.entities, place=evidence.place)
        return Screened(wants, _is_authorized_first(locked, evidence, assessment))
    reasons = {"score": assessment.score, "reasons": [reason.rule for reason in assessment.reasons]}
    transition.apply(change, locked, command, data=reasons | (refusal.data if refusal else {}))
    return None


def _is_authorized_first(locked: Row[Any], evidence: Evidence, assessment: Assessment) -> bool:
    """Tell whether a charge holds the money first, because its response may still lift the score to review."""
    is_possible = shows_checks(PaymentMethod(locked.method), locked.attempt_provider) and not locked.is_off_session
    is_charge = Verb(locked.attempt_verb) is Verb.CHARGE
    return is_charge and is_possible and may_be_lifted_to_review(evidence.rule_set, evidence.scored, assessment.score)


def _take_slots(change: Change, locked: Row[Any], evidence: Evidence, *, is_limited: bool = True) -> Refusal | None:
    """Take the slots of a try that the customer has caused; return why there are none.

    One that waits for a person takes them as well: an attack is to fill no list of reviews. Once a person has approved
    it, it is not refused."""
    if locked.is_off_session:
        return None
    slots = slots_of(evidence.entities, evidence.payer, change.policy.fraud)
    refusal = reserve(change, slots, locked.attempt_id, evidence.card, is_limited=is_limited)
    if refusal is None or not was_reviewed(change.connection, locked.id):
        return refusal
    return reserve(change, slots, locked.attempt_id, evidence.card, is_limited=False)
