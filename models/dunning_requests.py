"""What an operator asks of a dunning case: stop, pause, resume, a try now, a longer grace. And a try that others cause.

Nothing here calls a provider: attempts move the money."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from domain.commands import CancelRequested, RetryRequested
from domain.dunning.case import TryCause
from domain.dunning.operators import (
    extend_grace,
    may_be_tried_unasked,
    pause,
    require_chargeable_again,
    require_no_live,
    require_open,
    require_still_due,
    require_waiting,
    resume,
)
from domain.errors import Conflict
from domain.invoice import reason_to_stop_dunning
from domain.money import Money
from domain.payment import DunningCase, State
from domain.payment_methods import PaymentMethod, can_charge
from models import transition
from models.api_request import ApiRequest
from models.attempts import has_operation_in_flight
from models.audit import record_event
from models.change import Change
from models.declines import last_decline_class
from models.dunning_cases import case_of, debts_at, find_case_row, payments_to_retry, save_case
from models.dunning_view import find_case, show_case
from models.idempotency import ApiResponse, Caller, IdempotencyRecord, reserve_key, store_response
from models.instruments import blocked_tokens
from models.provider_customers import User
from models.queries import invoice_position
from models.request_bodies import ExtendGrace, PauseCase, ResumeCase, RetryCaseNow, StopCase
from models.subscriptions import is_subscription_canceled
from models.task_messages import DUNNING, TaskMessage, is_due
from models.transition_locks import lock_payment


def request_on_case(change: Change, case_id: str, request: ApiRequest, caller: Caller, key: str | None) -> ApiResponse:
    """Do what an operator asks of a case, once for each idempotency key.

    Raises NotFound, Conflict for a closed case or one whose try is under way, InvalidRequest."""
    connection = change.connection
    name = _NAMES[type(request)]
    record = IdempotencyRecord(caller.actor, key, f"{name} {case_id}", request)
    replay = reserve_key(connection, record, change.now)
    if replay is not None:
        return replay
    found = find_case(connection, case_id, None)
    # The payment is locked first, as everywhere; the case is then read as the last holder of the lock left it.
    payment = lock_payment(connection, found.payment_id)
    case = case_of(_stored(change, payment))
    require_open(case.state)
    in_flight = has_operation_in_flight(connection, payment.id)
    require_waiting(State(payment.state), has_operation_in_flight=in_flight)
    _WORK[type(request)](change, payment, case, request)
    response = ApiResponse(200, show_case(connection, case_id, None), payment.id)
    store_response(connection, record, response)
    return response


def retry_now(change: Change, payment: Row[Any], cause: TryCause, data: dict[str, Any] | None = None) -> None:
    """Try to collect the debt of a locked payment in dunning at once, beside its plan.

    `cause`: who wants it. Raises Conflict where another payment collects the debt, or nothing is owed any more."""
    position = invoice_position(change.connection, payment.invoice_id, payment.application)
    require_no_live(position.live_payment)
    is_canceled = is_subscription_canceled(change.connection, payment)
    require_still_due(reason_to_stop_dunning(position, payment.amount, is_subscription_canceled=is_canceled))
    transition.apply_to_payment(change, payment.id, RetryRequested(cause), data)


def retry_with_changed_method(
    change: Change, application: str, user_id: str, provider: str, *, cause: TryCause, method_token: str | None = None
) -> None:
    """Try each payment in dunning now, beside its plan, that a changed method of this user may pay. One whose try is
    under way, or whose debt has ended, stays as it is."""
    for payment_id in payments_to_retry(change.connection, application, user_id, provider, method_token):
        payment = lock_payment(change.connection, payment_id)
        if not _may_be_tried(change, payment):
            continue
        with suppress(Conflict):
            retry_now(change, payment, cause)


def retry_with_default(change: Change, user: User, provider: str, method: str, token: str) -> None:
    """Let the debts of a user be charged to their new default from now on, and try each now, beside its plan. One whose
    try is under way, or that the method cannot pay, stays as it is."""
    if token in blocked_tokens(change.connection, user, provider):
        return
    for payment_id in debts_at(change.connection, *user, provider):
        payment = lock_payment(change.connection, payment_id)
        is_possible = can_charge(PaymentMethod(method), provider, Money(payment.amount, payment.currency))
        if not is_possible or has_operation_in_flight(change.connection, payment_id):
            continue
        transition.change_method(change, payment, method, token)
        if _may_be_tried(change, payment):
            with suppress(Conflict):
                retry_now(change, payment, TryCause.METHOD_UPDATED)


def _may_be_tried(change: Change, payment: Row[Any]) -> bool:
    is_in_flight = has_operation_in_flight(change.connection, payment.id)
    return not is_in_flight and may_be_tried_unasked(case_of(_stored(change, payment)), change.now)


def _stored(change: Change, payment: Row[Any]) -> Row[Any]:
    row = find_case_row(change.connection, payment.id)
    if row is None:
        raise AssertionError("bug: a case that was found is gone")
    return row


def _stop(change: Change, payment: Row[Any], case: DunningCase, request: StopCase) -> None:
    transition.apply_to_payment(change, payment.id, CancelRequested(), {"reason": request.reason})


def _pause(change: Change, payment: Row[Any], case: DunningCase, request: PauseCase) -> None:
    until = {"until": _text(request.until)}
    _save(change, payment, pause(case, request.until, change.now), "dunning_paused", request.reason, until)


def _resume(change: Change, payment: Row[Any], case: DunningCase, request: ResumeCase) -> None:
    resumed = resume(case, change.now)
    _save(change, payment, resumed, "dunning_resumed", request.reason, {})
    if is_due(resumed.due_at, None, change.now):
        change.outgoing.append(TaskMessage(DUNNING, payment.id))


def _extend_grace(change: Change, payment: Row[Any], case: DunningCase, request: ExtendGrace) -> None:
    data = {"from": _text(case.grace_ends_at), "until": _text(request.until)}
    _save(
        change, payment, extend_grace(case, request.until, change.now), "dunning_grace_extended", request.reason, data
    )


def _retry(change: Change, payment: Row[Any], case: DunningCase, request: RetryCaseNow) -> None:
    require_chargeable_again(last_decline_class(change.connection, payment.id))
    retry_now(change, payment, TryCause.OPERATOR, {"reason": request.reason})


def _save(change: Change, payment: Row[Any], case: DunningCase, event: str, reason: str, data: dict[str, Any]) -> None:
    save_case(change, payment, case, is_new=False)
    about = {"reason": reason, **data}
    record_event(change.connection, event, actor=change.actor, now=change.now, payment_id=payment.id, data=about)
    # Whoever waits for the payment's lock reads the case then.
    transition.touch(change, payment.id)


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


_WORK: dict[type[ApiRequest], Callable[[Change, Row[Any], DunningCase, Any], None]] = {
    StopCase: _stop,
    PauseCase: _pause,
    ResumeCase: _resume,
    RetryCaseNow: _retry,
    ExtendGrace: _extend_grace,
}
_NAMES: dict[type[ApiRequest], str] = {
    StopCase: "stop",
    PauseCase: "pause",
    ResumeCase: "resume",
    RetryCaseNow: "retry now",
    ExtendGrace: "extend grace",
}
