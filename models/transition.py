"""The only writer of payment state: let the domain decide on locked rows, write state, event and effects.

Everything happens in the caller's transaction. Payment and attempt are locked together, the payment first."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, literal, select, true, update

from domain.attention import Reason
from domain.claiming import is_open_to_cards
from domain.commands import (
    DebtReopened,
    InvoicePaidOtherwise,
    LossRecounted,
    ReviewDecided,
    Trigger,
    TryRefused,
)
from domain.decision import Decision
from domain.decline import DeclineClass
from domain.disputes import reopening_of
from domain.dunning.case import OPEN_CASES, UNPAID_CASES, CaseState, TryCause
from domain.dunning.segments import SegmentFacts
from domain.effects import (
    AddAttempt,
    CloseAttention,
    CloseOtherAttempts,
    CloseReview,
    Effect,
    GiveUpHold,
    MakeDefault,
    MarkSubscription,
    NoteDecline,
    Notify,
    OpenAttention,
    OpenReview,
    RecountInvoice,
    RecountLoss,
    ReduceAttention,
    ReopenSiblingCase,
    SaveCase,
    TryBackup,
)
from domain.errors import LeaseLost
from domain.fraud.limits import TOO_MANY
from domain.fraud.tries import TryResult, is_scored_again, result_of, slot_after
from domain.idempotency_key import KeyState
from domain.movement import amounts_after, may_be_beside_holder, may_be_booked
from domain.outcome import Approved, AuthenticationRequired, Declined, InDoubt, NotSent, Outcome
from domain.payment import (
    COLLECTED,
    GIVEN_UP,
    IN_DUNNING,
    LIVE,
    Attempt,
    AttemptStatus,
    Event,
    Holder,
    Payment,
    State,
    Verb,
    may_have_case,
)
from domain.payment_methods import is_bank_debit
from domain.state_machine import decide, target
from models.attempts import add_attempt, close_other_attempts, give_up_hold, write_decision
from models.attention import close_entries_of_payment, open_entry, reduce_entry
from models.audit import record_event
from models.backup_methods import find_backups, open_backup_payment
from models.change import Change
from models.declines import last_decline_class
from models.dunning_cases import Dunning, find_dunning, save_case, siblings_with_case
from models.fraud.refusals import note_refused
from models.fraud.reservations import Refusal, end_slots
from models.fraud.results import score_results
from models.fraud.reviews import close_review, open_review
from models.fraud.tries import note_result
from models.instruments import note_decline
from models.invoices import lock_invoice
from models.movements import book, other_holder, taken_by, times_given
from models.outbox import ask_for_default, write_mail_of_case
from models.provider_customers import User
from models.queries import invoice_position
from models.subscriptions import mark_subscription
from models.tables import (
    disputes,
    payments,
)
from models.task_messages import TaskMessage, message_for_attempt
from models.time_zones import stored_zone
from models.transition_locks import lock_attempt, lock_payment


@dataclass(frozen=True, slots=True)
class Applied:
    """What was written. `row_before`: the payment and the attempt before the change. `decision` None: it was booked
    already, and nothing was written."""

    row_before: Row[Any]
    decision: Decision | None
    fencing_token: int

    @property
    def is_to_be_sent(self) -> bool:
        """Whether the decision made the attempt due to be sent."""
        return self.decision is not None and self.decision.sends_attempt


_update_payment = update(payments).where(payments.c.id == bindparam("row_id"))


def apply(
    change: Change,
    locked: Row[Any] | str,
    trigger: Trigger,
    fencing_token: int | None = None,
    data: dict[str, Any] | None = None,
) -> Applied:
    """Apply an outcome or a command to an attempt, locked or named by its id, and to its payment.

    With `fencing_token`, only while the caller still holds the attempt's lease: raises LeaseLost otherwise.
    `data`: what the event records, by default what the trigger says. Raises NotFound, IllegalTransition."""
    row = lock_attempt(change.connection, locked) if isinstance(locked, str) else locked
    if fencing_token is not None and row.attempt_fencing_token != fencing_token:
        raise LeaseLost(f"attempt {row.attempt_id} is held by another worker")
    return _decide_and_write(change, row, row.attempt_id, trigger, data)


def apply_to_payment(change: Change, payment_id: str, trigger: Trigger, data: dict[str, Any] | None = None) -> Applied:
    """Apply a command that concerns the payment and none of its attempts. Raises NotFound, IllegalTransition."""
    return _decide_and_write(change, lock_payment(change.connection, payment_id), None, trigger, data)


def touch(change: Change, payment_id: str) -> None:
    """Write a locked payment as it is, because something about it was written elsewhere: whoever waits for the lock
    reads that then."""
    same = {"updated_at": payments.c.updated_at}
    change.connection.execute(update(payments).where(payments.c.id == payment_id).values(same))


def change_method(change: Change, payment: Row[Any], method: str, token: str) -> None:
    """Let a locked payment whose debt is dunned be charged to another saved method of its user from now on."""
    if (payment.method, payment.method_token) == (method, token):
        return
    # A customer whom the application has brought does not have it.
    values = {"row_id": payment.id, "updated_at": change.now, "method": method, "method_token": token}
    change.connection.execute(_update_payment, values | {"customer_token": None, "route": None})
    about = {"payment_id": payment.id, "data": {"from": payment.method, "to": method}}
    record_event(change.connection, "payment_method_changed", actor=change.actor, now=change.now, **about)


def erase_payers(change: Change, user_id: str, application: str) -> tuple[int, int]:
    """Erase the payers of a user's payments; return of how many, and how many keep theirs because they are collected
    still."""
    is_known = (payments.c.user_id == user_id) & (payments.c.application == application) & payments.c.payer.is_not(None)
    is_collected = payments.c.state.in_(sorted(LIVE | IN_DUNNING))
    erased = update(payments).where(is_known, ~is_collected).values(payer=None)
    count = change.connection.execute(erased).rowcount
    left = select(func.count()).select_from(payments).where(is_known)
    return count, change.connection.scalars(left).one()


def changes_anything(change: Change, locked: Row[Any], outcome: Outcome) -> bool:
    """Tell whether the outcome would be news for a locked attempt. Writes nothing. Raises IllegalTransition."""
    payment = _payment(change.connection, locked)
    decision = decide(payment, _attempt(change.connection, locked), outcome, change.now, change.policy)
    if decision is None:
        return False
    is_first_look_up = locked.attempt_due_at is None and decision.attempt.get("due_at") is not None
    return decision.is_news or is_first_look_up


def _decide_and_write(
    change: Change, row: Row[Any], attempt_id: str | None, trigger: Trigger, data: dict[str, Any] | None
) -> Applied:
    # The clock of this host may lag behind the clock that wrote before: a payment's history never runs backwards.
    change = replace(change, now=max(change.now, row.updated_at))
    payment = _payment(change.connection, row)
    attempt = _attempt(change.connection, row) if attempt_id else None
    decision = decide(payment, attempt, trigger, change.now, change.policy)
    fencing_token = row.attempt_fencing_token if attempt_id else 0
    if decision is None:
        return Applied(row, None, fencing_token)
    if attempt_id and decision.attempt:
        # A worker that was overtaken finds another token.
        fencing_token += 1 if decision.takes_lease(AttemptStatus(row.attempt_status)) else 0
        write_decision(change.connection, attempt_id, fencing_token, decision.attempt)
    _write_payment(change, row, attempt_id, decision, data if data is not None else _event_data(trigger))
    if attempt is not None:
        _note_try(change, row, payment, attempt.verb, trigger, decision)
    for effect in decision.effects:
        _carry_out(change, row, attempt_id, payment, effect)
    if is_scored_again(trigger, decision):
        # In the same transaction: no moment at which the money is held and nothing is to follow.
        apply_to_payment(change, row.id, score_results(change, row, trigger.checks))
    if attempt_id and decision.event is Event.CHARGE_RESUMED:
        change.outgoing.append(message_for_attempt(attempt_id, row.attempt_verb))
    return Applied(row, decision, fencing_token)


def _note_try(
    change: Change, row: Row[Any], payment: Payment, verb: Verb, trigger: Trigger, decision: Decision
) -> None:
    """Count what a decision says of a try. An intent that has used up a limit is canceled: nobody tries a further card
    on it."""
    slot = slot_after(payment, verb, trigger, decision)
    if slot is not None and change.policy.fraud.has_limits:
        end_slots(change, row.attempt_id, slot.state)
    result = result_of(payment, verb, trigger, decision)
    refusal = note_result(change, row, result, trigger) if result is not None else None
    # One that is canceled anyway, as it is too old, gets no second void.
    if refusal is not None and not any(isinstance(effect, AddAttempt) for effect in decision.effects):
        _exhaust_intent(change, row, refusal)


def count_declined_card(change: Change, locked: Row[Any], declined: Declined) -> None:
    """Count a card that a front end has tried, as an event tells of it: a look-up shows the last one only."""
    refusal = note_result(change, locked, TryResult.DECLINED, declined)
    if refusal is not None:
        _exhaust_intent(change, locked, refusal)


def _exhaust_intent(change: Change, row: Row[Any], refusal: Refusal) -> None:
    if not is_open_to_cards(row.attempt_status, has_other_unfinished_attempt=row.has_other_unfinished_attempt):
        return
    note_refused(change, refusal)
    about = {"payment_id": row.id, "attempt_id": row.attempt_id, "data": refusal.data}
    record_event(change.connection, "intent_exhausted", actor=change.actor, now=change.now, **about)
    change.outgoing.append(add_attempt(change, row, Verb.VOID, row.amount, reason=TOO_MANY, cause=row.attempt_cause))
    touch(change, row.id)


def _write_payment(
    change: Change, row: Row[Any], attempt_id: str | None, decision: Decision, data: dict[str, Any] | None
) -> None:
    amounts = amounts_after(row._asdict(), decision.movements)
    values = {"row_id": row.id, "updated_at": change.now, **decision.payment, **amounts}
    if decision.event is not None:
        state = target(State(row.state), decision.event)
        change.connection.execute(_update_payment, values | {"state": state})
        record_event(
            change.connection,
            decision.event,
            actor=change.actor,
            now=change.now,
            payment_id=row.id,
            attempt_id=attempt_id,
            from_state=row.state,
            to_state=state,
            data=data,
        )
    elif decision.is_news or decision.effects:
        change.connection.execute(_update_payment, values)
    book(change, row, attempt_id, row.attempt_provider if attempt_id else row.provider, decision.movements)


def _carry_out(change: Change, row: Row[Any], attempt_id: str | None, payment: Payment, effect: Effect) -> None:
    match effect:
        case SaveCase(case=case):
            save_case(change, row, case, is_new=payment.case is None)
        case MarkSubscription(status=status, resume_anchor=resume_anchor):
            mark_subscription(change, row, status, resume_anchor)
        case AddAttempt(verb=verb, reason=reason, provider=provider, reference=reference, cause=cause):
            # The payment may be at the next provider of its route by now.
            at = provider or (row.attempt_provider if reference else row.provider)
            columns = {"reason": reason, "provider_reference": reference, "provider": at, "cause": cause}
            change.outgoing.append(add_attempt(change, row, verb, row.amount, **columns))
        case TryBackup():
            change.outgoing.extend(filter(None, [_try_backup(change, row)]))
        case MakeDefault(by=by):
            change.outgoing.extend(filter(None, [ask_for_default(change, row.application, row.user_id, by)]))
        case NoteDecline(decline=decline, instrument=instrument):
            note_decline(change, row, attempt_id, decline, instrument)
        case GiveUpHold(attempt_id=held_by):
            give_up_hold(change, held_by)
        case CloseOtherAttempts() if row.has_other_due_attempt:
            close_other_attempts(change, row.id, attempt_id)
        case RecountInvoice(more=more):
            _recount_invoice(change, row, more)
        case ReopenSiblingCase(reason=reason, may_retry=may_retry):
            _reopen_sibling_case(change, row, reason, may_retry=may_retry)
        case RecountLoss():
            _recount_loss(change, row.id)
        case OpenAttention(reason=reason, amount=amount, detail=detail, adds=adds):
            data = {"attempt": attempt_id, "provider": row.attempt_provider if attempt_id else row.provider}
            about = {"payment_id": row.id, "amount": amount, "currency": row.currency}
            open_entry(change, reason, data=data, detail=detail, adds=adds, **about)
        case CloseAttention(reasons=reasons):
            close_entries_of_payment(change, row.id, reasons)
        case ReduceAttention(reason=reason, reference=reference):
            reduce_entry(change, row.id, reason, reference)
        case OpenReview(due_at=due_at):
            open_review(change, row.id, due_at)
        case CloseReview(outcome=outcome, reason=reason):
            close_review(change, row.id, outcome, reason)
        case Notify(mail=mail, by=by):
            named = {"paid_by": by} if by is not None else None
            change.outgoing.extend(filter(None, [write_mail_of_case(change, row, mail, named)]))


def _try_backup(change: Change, row: Row[Any]) -> TaskMessage | None:
    """Try the next backup method for the debt of a payment in dunning: of this one, or of the one that a backup method
    was to pay."""
    backups = find_backups(change.connection, User(row.application, row.user_id))
    if not backups:
        return None
    # The invoice before the other payment, as where a payment closes the cases of others.
    lock_invoice(change.connection, row.invoice_id, row.application)
    others = siblings_with_case(change.connection, row, OPEN_CASES, true())
    return open_backup_payment(change, lock_payment(change.connection, others[0]) if others else row, backups)


def _recount_invoice(change: Change, row: Row[Any], more: int) -> None:
    # Of two payments that are booked at once, the second sees what the first has paid.
    lock_invoice(change.connection, row.invoice_id, row.application)
    position = invoice_position(change.connection, row.invoice_id, row.application)
    _close_sibling_cases(change, row, position.outstanding)
    if position.overpaid:
        amount, data = min(position.overpaid, more), {"invoice_id": row.invoice_id, "provider": row.provider}
        about = {"payment_id": row.id, "amount": amount, "currency": row.currency}
        open_entry(change, Reason.OVERPAID, data=data, detail={"amount": amount}, adds=True, **about)


def _close_sibling_cases(change: Change, row: Row[Any], outstanding: int) -> None:
    # A retry that is under way is none of them: only its outcome, or a void, ends it.
    owed = payments.c.state.in_(sorted(IN_DUNNING.union(GIVEN_UP))) & (payments.c.amount > outstanding)
    is_partly_lost = payments.c.state.in_(sorted(COLLECTED)) & (payments.c.lost > 0) & (literal(outstanding) == 0)
    partly_lost = select(payments.c.id).where(
        payments.c.invoice_id == row.invoice_id,
        payments.c.application == row.application,
        payments.c.id != row.id,
        is_partly_lost,
    )
    dunned = siblings_with_case(change.connection, row, UNPAID_CASES, owed)
    cause = row._mapping.get("attempt_cause")
    paid = InvoicePaidOtherwise(row._mapping.get("attempt_id"), row.id, TryCause(cause) if cause else None)
    for sibling in [*dunned, *change.connection.scalars(partly_lost).all()]:
        apply_to_payment(change, sibling, paid, {"settled_by": row.id})


def _reopen_sibling_case(change: Change, row: Row[Any], reason: str, *, may_retry: bool) -> None:
    """Dun by the payment again whose dunning has recovered last."""
    given_up = payments.c.state.in_(GIVEN_UP)
    for sibling in siblings_with_case(change.connection, row, [CaseState.RECOVERED], given_up)[:1]:
        last = last_decline_class(change.connection, sibling) or DeclineClass.SOFT
        decline_class = last if may_retry else DeclineClass.HARD
        apply_to_payment(change, sibling, DebtReopened(reason, decline_class), {"reversed": row.id, "reason": reason})


def _recount_loss(change: Change, payment_id: str) -> None:
    is_lost = (disputes.c.payment_id == payment_id) & (disputes.c.lost > 0)
    newest = disputes.c.updated_at.desc(), disputes.c.reference
    lost = change.connection.execute(select(disputes).where(is_lost).order_by(*newest).limit(1)).one()
    data = {"reference": lost.reference, "status": lost.status, "reason": lost.reason}
    apply_to_payment(change, payment_id, LossRecounted(lost.reason, lost.is_return), data)


def _payment(connection: Connection, row: Row[Any]) -> Payment:
    is_debit = is_bank_debit(row.method)
    is_dunnable = may_have_case(row.subscription_id, is_off_session=row.is_off_session, is_debit=is_debit)
    # Read after the lock: read by the locking statement, PostgreSQL would show it as it was before the wait.
    dunning = find_dunning(connection, row.id) if is_dunnable else Dunning()
    return Payment(
        id=row.id,
        state=State(row.state),
        amount=row.amount,
        authorized=row.authorized,
        received=row.received,
        lost=row.lost,
        duplicated=row.duplicated,
        duplicate_taken=int(row._mapping.get("duplicate_taken", 0)),
        captured=row.captured,
        refunded=row.refunded,
        taken=_taken(connection, row),
        is_off_session=row.is_off_session,
        is_client_confirmed=row.is_client_confirmed,
        subscription_id=row.subscription_id,
        created_at=row.created_at,
        authorization_expires_at=row.authorization_expires_at,
        case=dunning.case,
        dunning_policy=dunning.policy,
        segment_facts=SegmentFacts(
            row.user_id, row.application, row.amount, row.currency, row.method, dunning.plan, dunning.country
        ),
        zone=stored_zone(dunning.time_zone),
        is_retried_by_provider=dunning.is_retried_by_provider,
        is_captured_later=row.is_captured_later,
        is_debit=is_debit,
        has_sibling=row.has_sibling,
        has_dunned_sibling=row.has_dunned_sibling,
        has_recovered_sibling=row.has_recovered_sibling,
        other_holder=_other_holder(connection, row),
        has_other_unfinished_attempt=row.has_other_unfinished_attempt,
        next_provider=_next_provider(row),
        has_open_entry=row.open_entries > 0,
        is_reopened=_is_reopened(connection, row),
    )


def _is_reopened(connection: Connection, row: Row[Any]) -> bool:
    reference = row._mapping.get("attempt_provider_reference")
    if not row.lost or reference is None:
        return False
    is_it = (disputes.c.provider == row.attempt_provider) & (disputes.c.reference == reopening_of(reference))
    return connection.execute(select(disputes.c.reference).where(is_it, disputes.c.lost > 0)).first() is not None


def _taken(connection: Connection, row: Row[Any]) -> frozenset[str]:
    """Return whose money is booked, as far as the attempt's outcome may show it again."""
    attempt_id = row._mapping.get("attempt_id")
    if attempt_id is None or not may_be_booked(row.captured, Verb(row.attempt_verb)):
        return frozenset()
    # The usual case, a webhook that comes after the charge, needs no statement of its own.
    return frozenset({attempt_id}) if row.is_booked else taken_by(connection, row.id)


def _other_holder(connection: Connection, row: Row[Any]) -> Holder | None:
    """Return whose money the payment holds, if that is not the attempt's."""
    named = row._mapping
    if "attempt_id" not in named:
        return None
    if not may_be_beside_holder(State(row.state), Verb(row.attempt_verb), row.attempt_reason):
        return None
    return other_holder(connection, row.id, row.attempt_id, row.attempt_provider_reference)


def _next_provider(row: Row[Any]) -> str | None:
    """Return the provider that comes after the present one on the payment's route."""
    names = [name for name, _ in row.route or ()]
    later = names[names.index(row.provider) + 1 :] if row.provider in names else []
    return later[0] if later else None


def _attempt(connection: Connection, row: Row[Any]) -> Attempt:
    given = times_given(connection, row.id, row.attempt_id) if row.attempt_verb == Verb.REFUND else 0
    return Attempt(
        id=row.attempt_id,
        verb=Verb(row.attempt_verb),
        status=AttemptStatus(row.attempt_status),
        amount=row.attempt_amount,
        lookups=row.attempt_lookups,
        retries=row.attempt_retries,
        claims=row.attempt_claims,
        created_at=row.attempt_created_at,
        reason=row.attempt_reason,
        is_known_to_provider=row.attempt_provider_reference is not None,
        is_of_duplicate=row.attempt_charge_reference is not None,
        times_given=given,
        code=row.attempt_code,
        key_number=row.attempt_key_number,
        key_state=KeyState(row.attempt_key_state),
        waiting_since=row.attempt_waiting_since,
        action_expires_at=row.attempt_action_expires_at,
        in_doubt_since=row.attempt_in_doubt_since,
        cause=TryCause(row.attempt_cause) if row.attempt_cause else None,
    )


def _event_data(trigger: Trigger) -> dict[str, Any] | None:
    match trigger:
        case Declined(decline=decline) | AuthenticationRequired(decline=decline):
            codes = {"code": decline.code, "decline_code": decline.decline_code, "class": decline.decline_class}
            return {name: value for name, value in codes.items() if value}
        case InDoubt(reason=reason) | NotSent(reason=reason):
            return {"reason": reason}
        case Approved(reference=reference):
            return {"reference": reference}
        case ReviewDecided(reason=str(reason)):
            return {"reason": reason}
        case TryRefused(refusal=refusal):
            until = {"until": refusal.until.isoformat()} if refusal.until else {}
            return {"rule": refusal.code, "source": refusal.source, **until}
    return None
