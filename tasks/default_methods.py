"""Makes the method that has paid a debt in dunning the default of its user, at the provider that keeps it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from celery import shared_task

from domain.errors import InvalidRequest, NotFound
from domain.saved_method import token_hash
from gateways.base import GatewayError
from gateways.capabilities import SavedMethod, SavedMethodsGateway
from models.default_methods import (
    PaidMethod,
    claim_default,
    leave_default,
    postpone_default,
    record_default,
    record_kept_default,
)
from models.provider_customers import find_customer
from models.saved_methods import find_kept
from models.task_messages import MAKE_DEFAULT
from runtime import Runtime
from runtime.approved_methods import facts_of
from tasks.failing_rows import counting_failures
from tasks.payment_task import ACTOR, PaymentTask

_log = logging.getLogger(__name__)


@shared_task(bind=True, base=PaymentTask, name=MAKE_DEFAULT)
def make_default(self: PaymentTask, row_id: str) -> None:
    """Make a method the default, of a due row of the outbox. A repeat changes nothing."""
    runtime = self.runtime
    with counting_failures(runtime, MAKE_DEFAULT, row_id):
        paid = runtime.change(ACTOR, claim_default, row_id)
        if paid is None:
            return
        gateway = runtime.gateways.get(paid.provider)
        if isinstance(gateway, SavedMethodsGateway):
            _at_provider(runtime, gateway, paid)
        else:
            _here(runtime, paid)


def _at_provider(runtime: Runtime, gateway: SavedMethodsGateway, paid: PaidMethod) -> None:
    try:
        saved = _make_default(runtime, gateway, paid)
    except (NotFound, InvalidRequest):
        # The customer has not wanted it to be kept, or it is removed.
        saved = None
    except GatewayError as error:
        if not runtime.change(ACTOR, postpone_default, paid):
            _log.error("what has paid %s was not made the default: %s", paid.row_id, error)
        return
    if saved is None:
        runtime.change(ACTOR, leave_default, paid, "not_saved")
    else:
        _record(runtime, paid, record_default, saved.token, facts_of(saved))


def _make_default(runtime: Runtime, gateway: SavedMethodsGateway, paid: PaidMethod) -> SavedMethod | None:
    customer = runtime.read(find_customer, paid.user, paid.provider)
    token = paid.token
    if token is None and paid.reference is not None:
        token = gateway.paying_method(paid.reference)
    return gateway.make_default(customer, token) if customer is not None and token is not None else None


def _here(runtime: Runtime, paid: PaidMethod) -> None:
    kept = runtime.read(find_kept, paid.user, token_hash(paid.token)) if paid.token is not None else None
    if kept is None:
        runtime.change(ACTOR, leave_default, paid, "not_saved")
    else:
        _record(runtime, paid, record_kept_default, kept)


def _record(runtime: Runtime, paid: PaidMethod, record: Callable[..., None], *what: Any) -> None:
    try:
        runtime.change(ACTOR, record, paid, *what)
    except NotFound:
        # Its customer has removed it since.
        runtime.change(ACTOR, leave_default, paid, "not_saved")
