"""Records what a provider said about an attempt whose lease this process holds."""

from __future__ import annotations

import logging

from domain.errors import IllegalTransition, LeaseLost
from domain.outcome import Outcome
from models import transition
from models.attempts import schedule_look_up
from runtime.runtime import Runtime

_log = logging.getLogger(__name__)


def record(
    runtime: Runtime, actor: str, attempt_id: str, fencing_token: int, outcome: Outcome
) -> transition.Applied | None:
    """Write the outcome and publish what follows. None if another worker holds the attempt, or the outcome cannot
    follow from what is booked; the next look-up then decides."""
    try:
        applied = runtime.change(actor, transition.apply, attempt_id, outcome, fencing_token)
    except LeaseLost:
        _log.info("attempt %s is recorded by another worker", attempt_id)
        return None
    except IllegalTransition as error:
        _log.error("attempt %s: the provider contradicts our books: %s", attempt_id, error)
        runtime.change(actor, schedule_look_up, attempt_id, fencing_token)
        return None
    if applied.decision is None:
        runtime.change(actor, schedule_look_up, attempt_id, fencing_token)
    runtime.publish(applied.messages)
    return applied
