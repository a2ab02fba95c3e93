"""Compares money at rest with what its provider shows, again and again: webhooks get lost, and some are never sent."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from celery import shared_task

from domain.comparison import ShownRefund
from domain.disputes import ShownDispute
from gateways.base import AttemptRequest, DisputeGateway, FeeGateway, GatewayError, RefundListing
from models import comparisons, transition
from models.change import Change
from models.comparisons import Charge
from models.disputes import apply_dispute, changed_disputes
from models.movements import has_fee
from models.session import transact
from models.task_messages import COMPARE, TaskMessage
from runtime import Runtime
from tasks.execute import attempt_request
from tasks.payment_task import PaymentTask

_ACTOR = "comparison"
# One run calls a provider about so many charges, so that the queue stays free for look-ups.
_MOST_CHARGES = 500
_log = logging.getLogger(__name__)


@shared_task(bind=True, base=PaymentTask, name=COMPARE)
def compare(self: PaymentTask) -> None:
    """Compare what a step of the schedule has reached since the last run. Two runs at once do no harm."""
    runtime = self.runtime
    for provider in listing_providers(runtime):
        _catch_up(runtime, provider, runtime.clock.now())


def _catch_up(runtime: Runtime, provider: str, now: datetime) -> None:
    """Compare one window of time after the other, until now or until the run has made its share of calls."""
    compared = 0
    while compared < _MOST_CHARGES:
        window = transact(runtime.engine, comparisons.next_window, provider, now)
        charges = runtime.read(comparisons.charges_due, provider, window)
        counts = compare_charges(runtime, provider, charges)
        if charges and counts.failed == len(charges):
            return  # The provider is down: the same window again with the next run.
        # A single charge that cannot be read comes again with the next step of the schedule.
        transact(runtime.engine, comparisons.move_position, provider, window.until)
        compared += len(charges)
        if window.until >= now:
            return


@dataclass(frozen=True, slots=True)
class Counts:
    """How a comparison went. `taken_in`: refunds that the books did not have."""

    compared: int = 0
    taken_in: int = 0
    failed: int = 0


def listing_providers(runtime: Runtime) -> list[str]:
    """Return the configured providers that show the refunds of a charge."""
    return [name for name, gateway in runtime.gateways.items() if isinstance(gateway, RefundListing)]


def compare_charges(
    runtime: Runtime,
    provider: str,
    charges: list[Charge],
    *,
    is_dry_run: bool = False,
    tell: Callable[[Charge, ShownRefund], None] = lambda charge, refund: None,
) -> Counts:
    """Compare charges of one provider, each for itself, and book what is missing; `tell` is called for each finding.

    A charge that fails is logged and counted, and stops no other."""
    taken_in = failed = 0
    for charge in charges:
        try:
            found = _compare(runtime, provider, charge, is_dry_run=is_dry_run)
        except Exception as error:
            failed += 1
            _log.error("charge %s cannot be compared with %s: %s", charge.attempt_id, provider, _reason(error))
            continue
        taken_in += len(found)
        for refund in found:
            _log.warning(
                "%s shows a refund of %s that was made elsewhere: %s", provider, charge.attempt_id, refund.reference
            )
            tell(charge, refund)
    return Counts(len(charges) - failed, taken_in, failed)


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, GatewayError) else type(error).__name__


def _compare(runtime: Runtime, provider: str, charge: Charge, *, is_dry_run: bool) -> list[ShownRefund]:
    gateway = runtime.gateways[provider]
    if not isinstance(gateway, RefundListing):
        raise AssertionError(f"bug: {provider} shows no refunds")
    request = runtime.change(_ACTOR, _request, charge)
    if isinstance(gateway, DisputeGateway):
        _compare_disputes(runtime, provider, gateway.disputes_of(request), is_dry_run=is_dry_run)
    if isinstance(gateway, FeeGateway) and not is_dry_run and not runtime.read(has_fee, charge.attempt_id):
        runtime.change(_ACTOR, comparisons.book_fees, provider, charge, gateway.fees_of(request))
    shown = gateway.refunds_of(request)
    found = runtime.change(_ACTOR, comparisons.unknown_refunds, provider, shown)
    if found and not is_dry_run:
        messages: tuple[TaskMessage, ...] = runtime.change(_ACTOR, comparisons.take_in, provider, charge, found)
        runtime.publish(messages)
    return found


def _compare_disputes(runtime: Runtime, provider: str, shown: list[ShownDispute], *, is_dry_run: bool) -> None:
    for dispute in runtime.read(changed_disputes, provider, shown):
        _log.warning("%s shows a dispute as %s: %s", provider, dispute.status, dispute.reference)
        if not is_dry_run:
            applied = runtime.change(_ACTOR, apply_dispute, provider, dispute)
            runtime.publish(applied.messages if applied is not None else ())


def _request(change: Change, charge: Charge) -> AttemptRequest:
    row = transition.lock_attempt(change.connection, charge.attempt_id)
    return replace(attempt_request(change.connection, row), charge_reference=charge.reference)
