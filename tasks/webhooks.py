"""Applies stored webhook events. An event only says that an object changed: the provider is asked how it stands now."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import Any, NamedTuple

from celery import shared_task
from sqlalchemy import Row

from domain.claiming import is_being_sent
from domain.disputes import ShownDispute
from domain.errors import IllegalTransition, LeaseLost
from domain.fraud.labels import LabelSource
from domain.outcome import Declined, InDoubt, Outcome, with_time_told
from domain.payment import AttemptStatus
from domain.saved_method import FailedSetup
from domain.webhook_status import WebhookStatus
from gateways.base import AttemptRequest, GatewayError, SideEvent, WebhookEvent
from gateways.capabilities import DisputeGateway, ReversalGateway, SavedMethodsGateway
from gateways.failures import MalformedResponse
from gateways.http import watch_for_failure
from gateways.shown_refunds import watch_for_refunds
from models import transition
from models.audit import record_event
from models.cash_balances import ask_for_readings
from models.change import Change
from models.comparisons import charge_at_rest
from models.disputes import apply_dispute, find_disputed_payment
from models.failpoints import reach
from models.fraud.labels import label_payment
from models.fraud.refusals import note_refused
from models.fraud.tries import note_failed_setup
from models.saved_methods import take_in_method
from models.subscriptions import follow_provider
from models.task_messages import WEBHOOK
from models.transition_locks import lock_attempt
from models.webhook_events import close_event, lock_event, name_payment, postpone_event, postpone_look_up
from models.webhook_matching import adopt_refund, find_payment_of, match_attempt
from runtime import Runtime
from runtime.credentials import watch_credentials, watching_readings
from tasks.at_rest import compare_charge, take_in_shown
from tasks.execute import as_looked_up, attempt_request
from tasks.failing_rows import counting_failures
from tasks.payment_task import PaymentTask

# A worker is calling the provider about this very payment: its own outcome is recorded by then.
_BUSY_PAUSE = timedelta(seconds=1)
# The look-up failed: again after 1, 2, 4 ... seconds, at most every five minutes.
_MOST_PAUSE = timedelta(minutes=5)
_MOST_TRIES = 10
_ACTOR = "webhook"
_FRAUD_WARNING = "early_fraud_warning_received"

_log = logging.getLogger(__name__)


@shared_task(bind=True, base=PaymentTask, name=WEBHOOK)
def webhook(self: PaymentTask, event_row_id: str) -> None:
    """Apply one stored event, once."""
    runtime = self.runtime
    with counting_failures(runtime, WEBHOOK, event_row_id):
        look_up = runtime.change(_ACTOR, _examine, runtime, event_row_id)
        if isinstance(look_up, _DisputeLookUp):
            _read_and_apply_dispute(runtime, event_row_id, look_up)
        elif isinstance(look_up, _ReversalLookUp):
            _compare_reversed_charge(runtime, event_row_id, look_up)
        elif isinstance(look_up, _SetupToCancel):
            _cancel_setup(runtime, event_row_id, look_up)
        elif look_up is not None:
            _look_up_and_apply(runtime, event_row_id, look_up)
    reach("webhook.applied")


def _look_up_and_apply(runtime: Runtime, event_row_id: str, look_up: _LookUp) -> None:
    provider, has_entry = look_up.locked.attempt_provider, bool(look_up.locked.refused_credentials)
    with watch_for_failure() as failure, watch_for_refunds() as refunds:
        outcome = with_time_told(runtime.gateways[provider].retrieve(look_up.attempt), look_up.told)
    reach("webhook.looked_up")
    watch_credentials(runtime, _ACTOR, provider, failure, has_entry=has_entry)
    runtime.change(f"{_ACTOR}:{look_up.provider}", _apply, event_row_id, look_up.locked, outcome)
    if refunds:
        take_in_shown(runtime, provider, refunds)


def _read_and_apply_dispute(runtime: Runtime, event_row_id: str, look_up: _DisputeLookUp) -> None:
    gateway = runtime.gateways[look_up.provider]
    if not isinstance(gateway, DisputeGateway):
        raise AssertionError(f"bug: the disputes of {look_up.provider} cannot be read")
    try:
        with watching_readings(runtime, _ACTOR, look_up.provider):
            shown = gateway.read_dispute(look_up.reference)
    except GatewayError:
        runtime.change(_ACTOR, _postpone, event_row_id)
        return
    reach("webhook.looked_up")
    runtime.change(f"{_ACTOR}:{look_up.provider}", _apply_dispute, event_row_id, shown)


def _compare_reversed_charge(runtime: Runtime, event_row_id: str, look_up: _ReversalLookUp) -> None:
    """Compare the charge that the provider itself gave back: as a refund, or as the money of a dispute."""
    gateway, provider = runtime.gateways[look_up.provider], look_up.provider
    if not isinstance(gateway, ReversalGateway):
        raise AssertionError(f"bug: the reversals of {provider} cannot be read")
    try:
        with watching_readings(runtime, _ACTOR, provider):
            reference = gateway.reversed_charge(look_up.reference)
        payment_id = runtime.read(find_disputed_payment, provider, reference)
        charge = runtime.read(charge_at_rest, provider, reference)
        if payment_id is not None and charge is None:
            raise GatewayError("not_captured")  # its capture is still to be booked
        if charge is not None:
            compare_charge(runtime, gateway, charge)
    except GatewayError:
        runtime.change(_ACTOR, _postpone, event_row_id)
        return
    reach("webhook.looked_up")
    runtime.change(f"{_ACTOR}:{provider}", _close_reversal, event_row_id, payment_id)


def _close_reversal(change: Change, event_row_id: str, payment_id: str | None) -> None:
    row = lock_event(change.connection, event_row_id)
    if row is not None:
        close_event(change, row, WebhookStatus.APPLIED if payment_id else WebhookStatus.IGNORED, payment_id)


def _postpone(change: Change, event_row_id: str) -> None:
    row = lock_event(change.connection, event_row_id)
    if row is not None:
        postpone_look_up(change, row, _pause(row))


def _apply_dispute(change: Change, event_row_id: str, shown: ShownDispute) -> transition.Applied | None:
    row = lock_event(change.connection, event_row_id)
    if row is None:
        return None
    applied = apply_dispute(change, row.provider, shown)
    close_event(change, row, WebhookStatus.APPLIED, applied.row_before.id if applied else row.payment_id)
    return applied


class _LookUp(NamedTuple):
    """The attempt that an event of `provider` is about, as it was when the event was examined. `told`: what the event
    says of it."""

    provider: str
    locked: Row[Any]
    attempt: AttemptRequest
    told: Outcome | None


class _DisputeLookUp(NamedTuple):
    """The dispute that an event of `provider` is about, by the provider's id."""

    provider: str
    reference: str


class _ReversalLookUp(NamedTuple):
    """The refund of the provider's own that an event of `provider` is about, by the provider's id."""

    provider: str
    reference: str


class _SetupToCancel(NamedTuple):
    """The setup that an event of `provider` is about, by the provider's id: no further card may be tried in it."""

    provider: str
    reference: str


_News = _LookUp | _DisputeLookUp | _ReversalLookUp | _SetupToCancel


def _examine(change: Change, runtime: Runtime, event_row_id: str) -> _News | None:
    """Close the event if it is no news; otherwise return what has to be looked up.

    An event about no payment is applied and closed: it makes cash balances due, or tells of a saved method or of a
    subscription."""
    row = lock_event(change.connection, event_row_id)
    if row is None:
        return None
    gateway = runtime.gateways.get(row.provider)
    if gateway is None:
        _log.error("webhook %s waits: %s is not configured in this worker", row.id, row.provider)
        return None
    change = replace(change, actor=f"{_ACTOR}:{row.provider}")
    try:
        event = gateway.read_webhook(row.payload)
    except MalformedResponse as error:
        # The provider signed it, and yet it has not the documented form: kept for a person to read.
        _log.error("webhook %s cannot be read: %s", row.id, error.field)
        close_event(change, row, WebhookStatus.UNREADABLE, None)
        return None
    if event is None:
        close_event(change, row, WebhookStatus.IGNORED, None)
        return None
    if event.balance is not None:
        due = ask_for_readings(change, row.provider, event.balance.customer, event.balance.currencies)
        change.outgoing.extend(due)
        close_event(change, row, WebhookStatus.APPLIED if due else WebhookStatus.IGNORED, None)
        return None
    if event.failed_setup is not None:
        return _take_in_failed_setup(change, row, event.failed_setup)
    if event.reversal is not None:
        return _ReversalLookUp(row.provider, event.reversal)
    if event.side_event is None and (event.method is not None or event.subscription is not None):
        is_ours = _take_in_facts(change, row.provider, event)
        close_event(change, row, WebhookStatus.APPLIED if is_ours else WebhookStatus.IGNORED, None)
        return None
    _take_in_facts(change, row.provider, event)
    attempt_id = _match(change, row, event)
    if event.side_event is not None:
        payment_id = row.payment_id or _record_side_event(change, row, event, event.side_event, attempt_id)
        if event.dispute is not None and (payment_id is not None or event.names_nothing):
            return _DisputeLookUp(row.provider, event.dispute)
        if attempt_id is None or not event.is_news:
            close_event(change, row, WebhookStatus.APPLIED, payment_id)
            return None
    if attempt_id is None:
        close_event(change, row, WebhookStatus.IGNORED, None)
        return None
    return _news(change, row, event, attempt_id)


def _take_in_failed_setup(change: Change, row: Row[Any], failed: FailedSetup) -> _SetupToCancel | None:
    """Count the card that was declined in a setup, and close the event; return the setup if none may be tried in it any
    more."""
    is_ours, refusal = note_failed_setup(change, failed)
    if refusal is not None:
        note_refused(change, refusal)
        return _SetupToCancel(row.provider, failed.reference)
    close_event(change, row, WebhookStatus.APPLIED if is_ours else WebhookStatus.IGNORED, None)
    return None


def _cancel_setup(runtime: Runtime, event_row_id: str, setup: _SetupToCancel) -> None:
    gateway = runtime.gateways[setup.provider]
    if not isinstance(gateway, SavedMethodsGateway):
        raise AssertionError(f"bug: {setup.provider} has no setups")
    try:
        gateway.cancel_setup(setup.reference)
    except GatewayError:
        runtime.change(_ACTOR, _postpone, event_row_id)
        return
    runtime.change(f"{_ACTOR}:{setup.provider}", _close_setup, event_row_id, setup.reference)


def _close_setup(change: Change, event_row_id: str, reference: str) -> None:
    row = lock_event(change.connection, event_row_id)
    if row is not None:
        data = {"reference": reference}
        record_event(change.connection, "setup_exhausted", actor=change.actor, now=change.now, data=data)
        close_event(change, row, WebhookStatus.APPLIED, None)


def _take_in_facts(change: Change, provider: str, event: WebhookEvent) -> bool:
    """Store what an event tells of a saved method or a subscription; return whether it tells of one, and of a
    subscription that is followed here."""
    if event.method is not None:
        take_in_method(change, provider, event.method)
        return True
    return event.subscription is not None and follow_provider(change, provider, event.subscription)


def _news(change: Change, row: Row[Any], event: WebhookEvent, attempt_id: str) -> _LookUp | None:
    """Return the attempt if the event is news for it. Otherwise close the event, or postpone it while the attempt is
    being called."""
    locked = lock_attempt(change.connection, attempt_id)
    if is_being_sent(AttemptStatus(locked.attempt_status), locked.attempt_due_at, change.now):
        postpone_event(change.connection, row, change.now, _BUSY_PAUSE)
        return None
    if isinstance(event.outcome, Declined) and locked.is_client_confirmed:
        transition.count_declined_card(change, locked, event.outcome)
    try:
        is_news = event.outcome is None or transition.changes_anything(change, locked, event.outcome)
    except IllegalTransition as error:
        _postpone_contradiction(change, row, locked.id, error)
        return None
    if not is_news:
        close_event(change, row, WebhookStatus.APPLIED, locked.id)
        return None
    locked = as_looked_up(change, locked)
    return _LookUp(row.provider, locked, attempt_request(change, locked), event.outcome)


def _apply(change: Change, event_row_id: str, locked: Row[Any], outcome: Outcome) -> transition.Applied | None:
    row = lock_event(change.connection, event_row_id)
    if row is None:
        return None
    if isinstance(outcome, InDoubt):
        postpone_look_up(change, row, _pause(row))
        return None
    data = {"event": row.event_id, "type": row.type}
    try:
        applied = transition.apply(change, locked.attempt_id, outcome, locked.attempt_fencing_token, data)
    except LeaseLost:
        # Another worker wrote during the look-up: this outcome may be older than what it recorded.
        postpone_event(change.connection, row, change.now, _BUSY_PAUSE)
        return None
    except IllegalTransition as error:
        _postpone_contradiction(change, row, locked.id, error)
        return None
    close_event(change, row, WebhookStatus.APPLIED, applied.row_before.id)
    return applied


def _match(change: Change, row: Row[Any], event: WebhookEvent) -> str | None:
    """Return the attempt that the event is about, if it is about one; a refund of the dashboard gets one."""
    known = match_attempt(change, row.provider, event.reference, event.attempt_id)
    if known is not None:
        return known
    refund = (event.reference, event.outcome, event.charge_reference, event.payment_id)
    adopted = adopt_refund(change, row.provider, *refund)
    return adopted and adopted.row_id


def _record_side_event(
    change: Change, row: Row[Any], event: WebhookEvent, side_event: SideEvent, attempt_id: str | None
) -> str | None:
    """Record what no payment's state shows, such as a dispute; return the payment that it is about, if any.

    The stored event then names the payment: when it is applied again, nothing is recorded twice."""
    payment_id = find_payment_of(change, row.provider, attempt_id, event.payment_id)
    record_event(
        change.connection,
        side_event.name,
        actor=change.actor,
        now=change.now,
        payment_id=payment_id,
        attempt_id=attempt_id,
        data=side_event.data,
    )
    if payment_id is not None and side_event.name == _FRAUD_WARNING:
        label_payment(change, payment_id, LabelSource.EARLY_FRAUD_WARNING, is_fraud=True)
    name_payment(change.connection, row, payment_id)
    return payment_id


def _postpone_contradiction(change: Change, row: Row[Any], payment_id: str, error: IllegalTransition) -> None:
    """Try an event again that came before what it follows on; after enough tries keep it for a person to read."""
    if row.tries < _MOST_TRIES:
        postpone_event(change.connection, row, change.now, _pause(row))
        return
    _log.error("webhook %s contradicts our books: %s", row.id, error)
    close_event(change, row, WebhookStatus.CONTRADICTING, payment_id)


def _pause(row: Row[Any]) -> timedelta:
    return min(timedelta(seconds=2 ** min(row.tries, 9)), _MOST_PAUSE)
