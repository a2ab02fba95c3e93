"""Rows whose task fails by a bug of ours: each failure is counted, the row comes again later and later, and after a few
of them a person is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from domain.attention import MOST_FAILURES, Reason
from domain.backoff import failure_delay
from domain.claiming import is_being_sent
from domain.decision import LEASE
from models import transition
from models.attempts import count_attempt_failure, postpone
from models.attention import MAIL_SERVER, close_entry, find_open_entry, open_entry
from models.cash_balances import count_balance_failure, lock_balance, read_again
from models.change import Change
from models.dunning_cases import count_case_failure, find_case_row, postpone_case
from models.fraud.reviews import count_review_failure, expire_again, lock_review
from models.outbox import count_row_failure, find_row, lock_waiting, run_row_again
from models.task_messages import (
    CAPTURE_VOID_REFUND,
    CASH_BALANCE,
    CHARGE,
    COMPARE,
    DUNNING,
    EXPIRE_REVIEW,
    MAKE_DEFAULT,
    NOTIFY,
    RECONCILE,
    WEBHOOK,
    TaskMessage,
    message_for_attempt,
)
from models.transition_locks import lock_attempt, lock_payment
from models.webhook_events import count_event_failure, lock_event, replay_event


class _Failed(NamedTuple):
    """How often a row's task has failed, and what the row is about."""

    failures: int
    subject: dict[str, Any]


def count_failure(change: Change, task: str, row_id: str, error: str) -> int:
    """Count a failure of a row's task and make the row due later; return how often it has failed so far."""
    failed = _COUNTERS[task](change, row_id)
    if failed is None:
        return 0
    if failed.failures >= MOST_FAILURES:
        detail = {"task": task, "row": row_id}
        open_entry(change, Reason.FAILING_ROW, data=detail | {"error": error}, detail=detail, **failed.subject)
        if "payment_id" in failed.subject:
            transition.touch(change, failed.subject["payment_id"])
    return failed.failures


def run_again(change: Change, task: str, row_id: str) -> TaskMessage | None:
    """Make a row due now; return its message, or None if nothing is to be done on it any more."""
    return _RUNS[task](change, row_id)


def end_failures(change: Change, task: str, attempt_id: str) -> None:
    """Forget how often a task of an attempt has failed, because it has succeeded; close the entry if it is about
    nothing else."""
    locked = lock_attempt(change.connection, attempt_id)
    entry = find_open_entry(change, locked.id, Reason.FAILING_ROW)
    failing = [] if entry is None else entry.data.get("details") or [entry.data]
    if any((row["task"], row["row"]) != (task, attempt_id) for row in failing):
        return
    count_attempt_failure(change.connection, locked, 0, locked.attempt_due_at)
    if entry is not None:
        close_entry(change, entry)
        transition.touch(change, locked.id)


def _count_of_attempt(change: Change, attempt_id: str) -> _Failed | None:
    locked = lock_attempt(change.connection, attempt_id)
    failures, due_at = locked.attempt_failures + 1, locked.attempt_due_at
    if due_at is not None and not is_being_sent(locked.attempt_status, due_at, change.now):
        due_at = change.now + failure_delay(failures)  # a lease ends when it does: its worker may live
    count_attempt_failure(change.connection, locked, failures, due_at)
    subject = {"payment_id": locked.id, "amount": locked.attempt_amount, "currency": locked.currency}
    return _Failed(failures, subject)


def _count_of_case(change: Change, payment_id: str) -> _Failed | None:
    lock_payment(change.connection, payment_id)
    case = find_case_row(change.connection, payment_id)
    if case is None:
        return None
    failures = case.failures + 1
    count_case_failure(change.connection, case, failures, change.now + failure_delay(failures))
    return _Failed(failures, {"payment_id": payment_id})


def _count_of_event(change: Change, row_id: str) -> _Failed | None:
    event = lock_event(change.connection, row_id)
    if event is None:
        return None
    failures = event.failures + 1
    count_event_failure(change.connection, event, failures, change.now + failure_delay(failures))
    return _Failed(failures, {"webhook_event_id": row_id})


def _count_of_balance(change: Change, balance_id: str) -> _Failed | None:
    balance = lock_balance(change.connection, balance_id)
    if balance is None:
        return None
    failures = balance.failures + 1
    count_balance_failure(change.connection, balance, failures, change.now + failure_delay(failures))
    return _Failed(failures, {"cash_balance_id": balance_id})


def _count_of_review(change: Change, review_id: str) -> _Failed | None:
    review = lock_review(change.connection, review_id)
    if review is None:
        return None
    failures = review.failures + 1
    count_review_failure(change.connection, review, failures, change.now + failure_delay(failures))
    return _Failed(failures, {"payment_id": review.payment_id})


def _count_of_mail(change: Change, row_id: str) -> _Failed | None:
    found = find_row(change.connection, row_id)
    payment_id = found.payment_id if found is not None else None
    if payment_id is not None:
        lock_payment(change.connection, payment_id)
    row = lock_waiting(change.connection, row_id)
    if row is None:
        return None
    failures = row.failures + 1
    count_row_failure(change.connection, row, failures, change.now + failure_delay(failures))
    return _Failed(failures, {"provider": MAIL_SERVER} if payment_id is None else {"payment_id": payment_id})


def _run_attempt(change: Change, attempt_id: str) -> TaskMessage | None:
    locked = lock_attempt(change.connection, attempt_id)
    status, due_at = locked.attempt_status, locked.attempt_due_at
    if due_at is None or due_at <= change.now + LEASE or is_being_sent(status, due_at, change.now):
        return None  # a worker may hold it; it is due soon by itself
    postpone(change.connection, attempt_id, change.now)
    return message_for_attempt(attempt_id, locked.attempt_verb, locked.attempt_status)


def _compare_attempt(_change: Change, attempt_id: str) -> TaskMessage | None:
    return TaskMessage(COMPARE, attempt_id)


def _run_case(change: Change, payment_id: str) -> TaskMessage | None:
    case = find_case_row(change.connection, payment_id)
    if case is None or case.due_at is None:
        return None
    postpone_case(change.connection, payment_id, change.now)
    return TaskMessage(DUNNING, payment_id)


# An attempt whose money cannot be compared is at rest: it is counted as any attempt, and has no due date to move.
_OF_ATTEMPTS = (CHARGE, CAPTURE_VOID_REFUND, RECONCILE, COMPARE)
_COUNTERS: dict[str, Callable[[Change, str], _Failed | None]] = {
    **dict.fromkeys(_OF_ATTEMPTS, _count_of_attempt),
    DUNNING: _count_of_case,
    WEBHOOK: _count_of_event,
    CASH_BALANCE: _count_of_balance,
    EXPIRE_REVIEW: _count_of_review,
    NOTIFY: _count_of_mail,
    MAKE_DEFAULT: _count_of_mail,
}
_RUNS: dict[str, Callable[[Change, str], TaskMessage | None]] = {
    **dict.fromkeys(_OF_ATTEMPTS, _run_attempt),
    COMPARE: _compare_attempt,
    DUNNING: _run_case,
    WEBHOOK: replay_event,
    CASH_BALANCE: read_again,
    EXPIRE_REVIEW: expire_again,
    NOTIFY: run_row_again,
    MAKE_DEFAULT: run_row_again,
}
