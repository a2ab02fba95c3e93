"""Compares money at rest, taken or held, with what its provider shows of it, and books what is missing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar

from domain.comparison import (
    ChargeFinding,
    HoldFinding,
    Position,
    ShownRefund,
    Window,
    is_given_up,
    is_refused_by_what_others_did,
    next_window,
    position_reached,
)
from domain.disputes import ShownDispute
from domain.money import decimal_text
from domain.outcome import Approved, InDoubt, Outcome, Pending
from gateways.base import AttemptRequest, ChargeMissing, Gateway, GatewayError
from gateways.capabilities import DisputeGateway, FeeGateway, RefundListing, ReversalGateway
from gateways.http import watch_for_failure
from gateways.shown_refunds import ShownRefunds, watch_for_refunds
from models import comparisons
from models.cash_balances import ask_for_due_readings
from models.change import Change
from models.comparisons import AtRest
from models.disputes import apply_dispute, changed_disputes
from models.failing_rows import end_failures
from models.movements import has_fees
from models.session import transact
from models.task_messages import COMPARE
from models.transition_locks import lock_attempt
from runtime import Runtime
from runtime.credentials import watching_readings
from tasks.budget import Budget
from tasks.execute import attempt_request
from tasks.failing_rows import counting_failures

_log = logging.getLogger(__name__)
T = TypeVar("T")

ACTOR = "comparison"
# So many failures in a row: the provider is down, and each further call may take as long as its time-out.
_MOST_FAILURES = 5

# Called with the provider, the payment and what was found.
Tell = Callable[[str, str, str], None]


def log_difference(provider: str, payment_id: str, what: str) -> None:
    """Log what a provider shows of a payment and the books do not have."""
    _log.warning("%s shows of %s what the books do not have: %s", provider, payment_id, what)


class Counts(NamedTuple):
    """How a comparison went. `found`: what the books did not have. `last`: the last attempt that could be compared.

    `is_cut`: it ended early."""

    compared: int = 0
    found: int = 0
    failed: int = 0
    last: AtRest | None = None
    is_cut: bool = False


def catch_up_at_rest(runtime: Runtime, gateway: RefundListing, budget: Budget) -> None:
    """Compare one window of time after the other, until now or until the run has made its share of calls.

    An attempt that alone cannot be compared comes again with the next step of the schedule."""
    provider, now = gateway.provider, runtime.clock.now()
    while not budget.is_spent:
        position = transact(runtime.engine, comparisons.find_position, provider, now)
        window = next_window(position, now)
        runtime.publish(runtime.change(ACTOR, ask_for_due_readings, provider, window))
        due = runtime.read(comparisons.at_rest_due, provider, window, position)
        counts = compare_at_rest(runtime, gateway, [item for _, item in due], budget=budget)
        position = _reached(position, window, due, counts, now)
        transact(runtime.engine, comparisons.move_position, provider, position)
        if counts.failed and counts.last is None and position.at == window.until:
            runtime.change(ACTOR, comparisons.tell_of_skipped, provider, window)
        is_whole = position == Position(window.until)
        if (is_whole and window.until >= now) or (not is_whole and not budget.is_spent):
            return  # Everything is compared, or the provider is down.
    _log.warning("%s has more than a run compares: the next one goes on from here", provider)


def _reached(
    position: Position, window: Window, due: list[tuple[datetime, AtRest]], counts: Counts, now: datetime
) -> Position:
    # Where nothing could be compared, the next run tries the same again; but not for ever.
    is_over = not due or (counts.failed > 0 and is_given_up(window, now))
    last = next((Position(at, item.attempt_id) for at, item in due if item == counts.last), None)
    return position_reached(position, window, last, is_cut=counts.is_cut, is_over=is_over)


def compare_charge(runtime: Runtime, gateway: RefundListing, charge: AtRest) -> None:
    """Compare one charge now. Raises GatewayError when the provider does not show it."""
    for what in _compare(runtime, gateway, charge, is_dry_run=False):
        _log.info("%s shows of %s what the books did not have: %s", gateway.provider, charge.attempt_id, what)


def compare_since(
    runtime: Runtime, gateway: RefundListing, since: datetime, *, is_dry_run: bool = False, tell: Tell = log_difference
) -> Counts:
    """Compare all money that was booked since then, a day after the other, so that no more than a day is in memory."""

    def items() -> Iterator[AtRest]:
        now, after = runtime.clock.now(), since
        while after < now:
            day = Window(after, after + timedelta(days=1))
            yield from runtime.read(comparisons.at_rest_within, gateway.provider, day)
            after = day.until

    return compare_at_rest(runtime, gateway, items(), is_dry_run=is_dry_run, tell=tell)


def compare_if_refused(runtime: Runtime, provider: str, attempt: AttemptRequest, outcome: Outcome) -> None:
    """Compare the money of a payment at once if its provider has refused to capture, void or refund it."""
    gateway = runtime.gateways.get(provider)
    if isinstance(gateway, RefundListing) and is_refused_by_what_others_did(attempt.verb, outcome):
        compare_at_rest(runtime, gateway, runtime.read(comparisons.at_rest_beside, provider, attempt.attempt_id))


def compare_attempt(runtime: Runtime, attempt_id: str) -> None:
    """Compare the money of one attempt now."""
    provider, items = runtime.read(comparisons.at_rest_of, attempt_id)
    gateway = runtime.gateways.get(provider)
    if isinstance(gateway, RefundListing):
        with watching_readings(runtime, ACTOR, provider):
            compare_at_rest(runtime, gateway, items)
    else:
        _log.error("attempt %s cannot be compared: %s is not configured in this worker", attempt_id, provider)


def take_in_shown(runtime: Runtime, provider: str, shown: ShownRefunds) -> None:
    """Book the refunds that a look-up has shown beside what it was made for. `shown`: what the look-up has noted."""
    gateway = runtime.gateways.get(provider)
    for charge, news in runtime.change(ACTOR, comparisons.news_of_refunds, provider, shown):
        if isinstance(gateway, ReversalGateway):
            # Only the disputes tell whose money they show too.
            compare_at_rest(runtime, gateway, [charge])
            continue
        _take_in(runtime, provider, charge, news)
        for refund in news:
            log_difference(provider, charge.payment_id, _refund_text(refund, charge.currency))


def _take_in(runtime: Runtime, provider: str, charge: AtRest, news: list[ShownRefund]) -> None:
    runtime.change(ACTOR, comparisons.take_in, provider, charge, news)


def compare_at_rest(
    runtime: Runtime,
    gateway: RefundListing,
    items: Iterable[AtRest],
    *,
    budget: Budget | None = None,
    is_dry_run: bool = False,
    tell: Tell = log_difference,
) -> Counts:
    """Compare attempts of one provider, each for itself, and book what is missing; `tell` is called for each finding.

    One that fails is logged and counted, and stops no other. It ends early when the budget is spent, or when the
    provider is down."""
    counts, in_a_row = Counts(), 0
    for item in items:
        if in_a_row == _MOST_FAILURES or (budget is not None and budget.is_spent):
            return counts._replace(is_cut=True)
        try:
            found = _compare_counted(runtime, gateway, item, is_dry_run=is_dry_run)
        except Exception as error:
            in_a_row += 1
            counts = counts._replace(failed=counts.failed + 1)
            _log.error("%s cannot be compared with %s: %s", item.payment_id, gateway.provider, _reason(error))
            continue
        finally:
            if budget is not None:
                budget.spend()
        in_a_row = 0
        counts = counts._replace(compared=counts.compared + 1, found=counts.found + len(found), last=item)
        for what in found:
            tell(gateway.provider, item.payment_id, what)
    return counts


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, GatewayError) else type(error).__name__


def _compare_counted(runtime: Runtime, gateway: RefundListing, item: AtRest, *, is_dry_run: bool) -> list[str]:
    """Compare one attempt. A bug of ours is counted, and a person is asked after a few; a failing provider is not."""
    try:
        found = _compare(runtime, gateway, item, is_dry_run=is_dry_run)
    except GatewayError:
        raise
    except Exception:
        if is_dry_run:
            raise
        with counting_failures(runtime, COMPARE, item.attempt_id):
            raise
    if item.failures and not is_dry_run:
        runtime.change(ACTOR, end_failures, COMPARE, item.attempt_id)
    return found


def _compare(runtime: Runtime, gateway: RefundListing, item: AtRest, *, is_dry_run: bool) -> list[str]:
    if item.is_hold:
        return _compare_hold(runtime, gateway, item, is_dry_run=is_dry_run)
    request, taken = runtime.change(ACTOR, _request, item)
    try:
        charge = gateway.read_charge(request)
    except ChargeMissing:
        return _compare_charge(runtime, item, taken, None, is_dry_run=is_dry_run)
    found = _compare_charge(runtime, item, taken, charge.outcome, is_dry_run=is_dry_run)
    shown = runtime.change(ACTOR, comparisons.unknown_refunds, gateway.provider, charge.refunds)
    if shown and not is_dry_run:
        _take_in(runtime, gateway.provider, item, shown)
    found += [_refund_text(refund, item.currency) for refund in shown]
    if charge.fees and not is_dry_run:
        runtime.change(ACTOR, comparisons.book_fees, gateway.provider, item, charge.fees)
    if isinstance(gateway, FeeGateway) and not is_dry_run:
        _compare_fees(runtime, gateway, item, request)
    if isinstance(gateway, DisputeGateway):
        disputes = _read_if_allowed("disputes", item, lambda: gateway.disputes_of(request))
        found += _compare_disputes(runtime, gateway.provider, disputes, is_dry_run=is_dry_run)
    return found


def _compare_charge(
    runtime: Runtime, item: AtRest, taken: int, shown: Outcome | None, *, is_dry_run: bool
) -> list[str]:
    """Compare the money of the charge itself. `shown`: None if the provider has no such charge."""
    finding = runtime.change(ACTOR, comparisons.take_in_charge, item, taken, shown, is_dry_run=is_dry_run)
    match finding:
        case ChargeFinding.CONTRADICTS:
            return ["charge that contradicts the books" if shown is not None else "no such charge"]
        case ChargeFinding.NEWS:
            return ["charge that has taken more"]
    return []


def _compare_fees(runtime: Runtime, gateway: FeeGateway, item: AtRest, request: AttemptRequest) -> None:
    """Book the fees that are missing."""
    if not runtime.read(has_fees, item.attempt_id):
        shown = _read_if_allowed("fees", item, lambda: gateway.fees_of(request))
        runtime.change(ACTOR, comparisons.book_fees, gateway.provider, item, shown)


def _read_if_allowed(what: str, item: AtRest, read: Callable[[], list[T]]) -> list[T]:
    """Return what the provider shows, or nothing: a key that may not read it stops no other comparison."""
    try:
        with watch_for_failure():  # a refusal says something of this one permission only
            return read()
    except GatewayError as error:
        _log.error("the %s of %s cannot be read: %s", what, item.attempt_id, error)
        return []


def _compare_disputes(runtime: Runtime, provider: str, shown: list[ShownDispute], *, is_dry_run: bool) -> list[str]:
    changed = runtime.read(changed_disputes, provider, shown)
    for dispute in changed if not is_dry_run else ():
        runtime.change(ACTOR, apply_dispute, provider, dispute)
    return [f"dispute {dispute.reference} {dispute.status}" for dispute in changed]


def _compare_hold(runtime: Runtime, gateway: Gateway, hold: AtRest, *, is_dry_run: bool) -> list[str]:
    locked = runtime.change(ACTOR, _hold_request, hold)
    if locked is None:
        return []
    request, fencing_token = locked
    with watch_for_refunds() as refunds:
        shown = gateway.retrieve(request)
    if isinstance(shown, InDoubt):
        raise GatewayError(shown.reason)
    finding = runtime.change(ACTOR, comparisons.take_in_hold, hold, fencing_token, shown, is_dry_run=is_dry_run)
    if refunds and not is_dry_run:
        take_in_shown(runtime, gateway.provider, refunds)
    return [] if finding is HoldFinding.AGREES else [_hold_text(shown, finding, hold.currency)]


def _refund_text(refund: ShownRefund, currency: str) -> str:
    outcome = refund.outcome
    amount = 0
    match outcome:
        case Approved(refunded=given) | Pending(refunding=given):
            amount = given
    of = f" of {decimal_text(amount, currency)} {currency}" if amount else ""
    return f"refund{of} {refund.reference} {type(outcome).__name__.lower()}"


def _hold_text(shown: Outcome, finding: HoldFinding, currency: str) -> str:
    if finding is HoldFinding.CONTRADICTS:
        return "hold that contradicts the books"
    match shown:
        case Approved(captured=taken) if taken:
            return f"hold captured {decimal_text(taken, currency)} {currency}"
        case Approved(voided=True):
            return "hold released"
    return f"hold {type(shown).__name__.lower()}"


def _hold_request(change: Change, hold: AtRest) -> tuple[AttemptRequest, int] | None:
    row = comparisons.lock_hold(change, hold)
    return (attempt_request(change, row), row.attempt_fencing_token) if row is not None else None


def _request(change: Change, charge: AtRest) -> tuple[AttemptRequest, int]:
    """Return how a charge is asked about, and what it has taken so far."""
    row = lock_attempt(change.connection, charge.attempt_id)
    request = replace(attempt_request(change, row), charge_reference=charge.reference)
    return request, comparisons.taken_so_far(change, charge)
