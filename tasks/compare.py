"""Compares the books with what each provider shows, again and again: webhooks get lost, and some are never sent."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from celery import shared_task

from gateways.base import Gateway, GatewayError
from gateways.capabilities import EventListing, RefundListing
from models.task_messages import COMPARE
from runtime import Runtime
from runtime.credentials import watching_readings
from tasks.at_rest import ACTOR, catch_up_at_rest, compare_attempt
from tasks.budget import Budget
from tasks.event_lists import catch_up_events
from tasks.payment_task import PaymentTask

# One run asks a provider about so much, so that the queue stays free for look-ups: pages of events, and attempts.
_MOST_PAGES = 100
_MOST_ATTEMPTS = 500
# Shared by the providers. Redis delivers a message again that is not acknowledged within five minutes.
_LONGEST_RUN_SECONDS = 200
_log = logging.getLogger(__name__)


@shared_task(bind=True, base=PaymentTask, name=COMPARE)
def compare(self: PaymentTask, attempt_id: str | None = None) -> None:
    """Compare the books with what every provider shows, or the money of one attempt because a person asks for it. Two
    runs at once do no harm."""
    if attempt_id is None:
        run_round(self.runtime)
    else:
        compare_attempt(self.runtime, attempt_id)


def run_round(runtime: Runtime) -> None:
    """Fetch what no webhook has brought since the last round, then compare what a step of the schedule has reached.

    A provider that fails stops no other."""
    gateways = comparable(runtime)
    seconds = _LONGEST_RUN_SECONDS / (2 * len(gateways) or 1)
    for name, gateway in gateways.items():
        if isinstance(gateway, EventListing):
            _try(runtime, name, partial(catch_up_events, runtime, gateway, Budget(_MOST_PAGES, seconds)))
        if isinstance(gateway, RefundListing):
            _try(runtime, name, partial(catch_up_at_rest, runtime, gateway, Budget(_MOST_ATTEMPTS, seconds)))


def comparable(runtime: Runtime) -> dict[str, Gateway]:
    """Return the configured providers that list events, or show the refunds of a charge."""
    return {name: each for name, each in runtime.gateways.items() if isinstance(each, EventListing | RefundListing)}


def _try(runtime: Runtime, provider: str, step: Callable[[], None]) -> None:
    try:
        with watching_readings(runtime, ACTOR, provider):
            step()
    except GatewayError as error:
        _log.error("%s cannot be compared: %s; the next run goes on from here", provider, error)
    except Exception:
        _log.exception("%s cannot be compared; the next run goes on from here", provider)
