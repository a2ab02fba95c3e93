"""Reads the cash balances of customers at their provider, and gives back what a person has decided to give back.

What a balance shows is booked, whoever moved the money: a return is booked when the provider shows it."""

from __future__ import annotations

import logging

from celery import shared_task

from domain.cash_balance import has_spent_key
from gateways.base import GatewayError, ReturnRefused
from gateways.capabilities import CashBalanceGateway
from gateways.http import TechnicalFailure
from models.cash_balances import Reading, book_reading, claim_reading, postpone_reading, renew_return_key
from models.task_messages import CASH_BALANCE
from runtime import Runtime
from runtime.credentials import watching_readings
from tasks.failing_rows import counting_failures
from tasks.payment_task import ACTOR, PaymentTask

_log = logging.getLogger(__name__)


@shared_task(bind=True, base=PaymentTask, name=CASH_BALANCE)
def cash_balance(self: PaymentTask, balance_id: str) -> None:
    """Read a due balance, once."""
    with counting_failures(self.runtime, CASH_BALANCE, balance_id):
        reading = self.runtime.change(ACTOR, claim_reading, balance_id)
        if reading is not None:
            _read(self.runtime, reading)


def _read(runtime: Runtime, reading: Reading) -> None:
    gateway = runtime.gateways.get(reading.provider)
    if not isinstance(gateway, CashBalanceGateway):
        _log.error("balance %s waits: %s is not configured in this worker", reading.balance_id, reading.provider)
        return
    try:
        with watching_readings(runtime, ACTOR, reading.provider) as failure:
            refusal = _give_back(runtime, gateway, reading, failure)
            shown = gateway.read_balance(reading.customer_token, reading.currency)
    except GatewayError as error:
        runtime.change(ACTOR, postpone_reading, reading, str(error))
        return
    runtime.change(ACTOR, book_reading, reading, shown, refusal)


def _give_back(
    runtime: Runtime, gateway: CashBalanceGateway, reading: Reading, failure: TechnicalFailure
) -> str | None:
    """Give back what is asked, if anything is; return why the provider refuses it, if it does.

    `failure`: how the calls to the provider fail technically. A key for which it keeps a failure is renewed."""
    if reading.returned is None:
        return None
    if reading.is_over:
        return "waited_too_long"
    try:
        gateway.return_balance(reading.customer_token, reading.returned, reading.return_key)
    except ReturnRefused as refusal:
        return str(refusal)
    except GatewayError:
        if has_spent_key(failure.last_response, reading.tries):
            shown = gateway.read_balance(reading.customer_token, reading.currency)
            runtime.change(ACTOR, renew_return_key, reading, shown)
        raise
    return None
