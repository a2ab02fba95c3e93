"""Nothing waits without an end: whatever a decision leaves behind is final, or has a due date, or needs a person.

The decisions themselves are walked: every state, every status and every trigger, through `domain.state_machine`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import product

import pytest

from domain.attention import HELD
from domain.cash_balance import BalanceStatus
from domain.commands import (
    Blocked,
    CancelRequested,
    DisputeSeen,
    GraceEnded,
    IntentRepeated,
    InvoicePaidOtherwise,
    OperationRequested,
    RetryDue,
    ReviewDecided,
    ReviewRequired,
    Started,
    Trigger,
)
from domain.decision import Decision, Policy
from domain.decline import Decline, DeclineClass
from domain.disputes import DisputeStatus
from domain.dunning.case import CaseState
from domain.effects import AddAttempt, OpenAttention, OpenReview, SaveCase
from domain.ends import (
    ENDS_OF_ATTEMPTS,
    ENDS_OF_BALANCES,
    ENDS_OF_CASES,
    ENDS_OF_DISPUTES,
    ENDS_OF_OUTBOX,
    ENDS_OF_PAYMENTS,
    ENDS_OF_WEBHOOKS,
    End,
)
from domain.errors import IllegalTransition
from domain.outbox import OutboxState
from domain.outcome import (
    ActionRequired,
    AmountMismatch,
    Approved,
    AuthenticationRequired,
    CustomerApproved,
    Declined,
    InDoubt,
    NotSent,
    Pending,
)
from domain.payment import (
    FINAL,
    FINISHED,
    IN_DUNNING,
    LIVE,
    UNFINISHED,
    Attempt,
    AttemptStatus,
    DunningCase,
    Payment,
    State,
    Verb,
)
from domain.state_machine import decide, target
from domain.transitions import TRANSITIONS
from domain.webhook_status import WebhookStatus

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
AMOUNT = 1000
WORDS: dict[type[StrEnum], Mapping[StrEnum, End]] = {
    State: ENDS_OF_PAYMENTS,
    AttemptStatus: ENDS_OF_ATTEMPTS,
    CaseState: ENDS_OF_CASES,
    WebhookStatus: ENDS_OF_WEBHOOKS,
    DisputeStatus: ENDS_OF_DISPUTES,
    BalanceStatus: ENDS_OF_BALANCES,
    OutboxState: ENDS_OF_OUTBOX,
}
OF_PAYMENTS = (CancelRequested, RetryDue, GraceEnded, InvoicePaidOtherwise, DisputeSeen)
# Until the charge is decided, nothing but its attempts moves such a payment on.
UNDECIDED = LIVE - HELD.keys() - {State.AUTHORIZED}
_SOFT = Decline("card_declined", DeclineClass.SOFT)
_NO_CONSENT = Decline("card_declined", DeclineClass.CONSENT_WITHDRAWN)
# All but `ChargeWithdrawn`: the void that takes the place of the charge is stored in the same transaction.
TRIGGERS: tuple[Trigger, ...] = (
    *(Started(), IntentRepeated(), Blocked(), ReviewRequired(), ReviewDecided(True), ReviewDecided(False)),
    *(OperationRequested(), CancelRequested(), RetryDue(), GraceEnded(), InvoicePaidOtherwise()),
    DisputeSeen("dp", AMOUNT, 0, is_return=False, reason="fraudulent"),
    DisputeSeen("dp", 0, AMOUNT, is_return=False, reason="fraudulent"),
    DisputeSeen("dp", AMOUNT, AMOUNT, is_return=True, reason="insufficient_funds"),
    DisputeSeen("dp", -AMOUNT, -AMOUNT, is_return=False, reason="fraudulent"),
    Approved("pi", authorized=AMOUNT),
    Approved("pi", authorized=AMOUNT, authorization_expires_at=NOON + timedelta(days=7)),
    *(Approved("pi", authorized=AMOUNT, captured=captured) for captured in (AMOUNT, AMOUNT // 2, 2 * AMOUNT)),
    *(Approved("pi", voided=True), Approved("pi", voided=True, may_still_charge=True)),
    *(Approved("re", refunded=AMOUNT), Approved("re", refunded=1)),
    *(Declined("pi", _SOFT), Declined("pi", _NO_CONSENT), AuthenticationRequired("pi", _SOFT)),
    *(ActionRequired("pi", {"type": "redirect_to_url"}), ActionRequired("pi", {"type": "pay_by_invoice"})),
    *(CustomerApproved("pi"), Pending("pi"), Pending("re", refunding=AMOUNT), AmountMismatch("pi", 600, "underpaid")),
    *(InDoubt("no_answer"), NotSent("refused"), NotSent("at_fault", is_retryable=False), NotSent("x", reference="pi")),
)


@pytest.mark.parametrize("words", WORDS, ids=lambda words: words.__name__)
def test_every_word_says_what_ends_it(words: type[StrEnum]) -> None:
    silent = [word.value for word in words if word not in WORDS[words]]
    assert not silent, f"what moves {silent} of {words.__name__} on? Let them join a set that domain/ends.py reads"


def test_no_word_has_two_answers() -> None:
    assert FINAL.isdisjoint(LIVE | IN_DUNNING)
    assert HELD.keys() <= LIVE
    assert FINISHED.isdisjoint(UNFINISHED)


def test_every_state_leads_to_a_final_one() -> None:
    ways_out = {state: {to for (begin, _), to in TRANSITIONS.items() if begin is state} for state in State}
    reached, grown = set(FINAL), set[State]()
    while grown != reached:
        grown = set(reached)
        reached |= {state for state, ways in ways_out.items() if ways & reached}
    assert reached == set(State)


# --- the decisions ---


def payments() -> Iterator[Payment]:
    """Yield a payment in every state, once of a subscription and once of none."""
    for state, subscription in product(State, (None, "sub")):
        has_case = subscription and state in IN_DUNNING
        case = DunningCase(CaseState.RETRYING, NOON, retry=1, due_at=NOON) if has_case else None
        captured = AMOUNT if state in (State.CAPTURED, State.PARTIALLY_REFUNDED, State.REFUNDED) else 0
        yield Payment(
            id="pay",
            state=state,
            amount=AMOUNT,
            authorized=AMOUNT if captured or state is State.AUTHORIZED else 0,
            captured=captured,
            refunded=AMOUNT if state is State.REFUNDED else 0,
            received=600 if state is State.AMOUNT_MISMATCH else 0,
            is_off_session=subscription is not None,
            is_client_confirmed=False,
            subscription_id=subscription,
            created_at=NOON,
            case=case,
            next_provider="other",
        )


def attempts(trigger: Trigger) -> Iterator[Attempt | None]:
    """Yield an attempt of every verb and status, known to its provider and not; none if the trigger concerns none."""
    if isinstance(trigger, OF_PAYMENTS):
        yield None
        return
    for verb, status, is_known in product(Verb, AttemptStatus, (False, True)):
        yield Attempt("at", verb, status, AMOUNT, 0, 0, 0, NOON, is_known_to_provider=is_known)


def decisions() -> Iterator[tuple[Payment, Attempt | None, Trigger, Decision]]:
    """Yield whatever can be decided. Combinations that cannot be stored are decided as well, which does no harm."""
    for trigger, payment in product(TRIGGERS, payments()):
        for attempt in attempts(trigger):
            if isinstance(trigger, OperationRequested) and attempt and attempt.verb.is_collecting:
                continue  # no such request
            with suppress(IllegalTransition):
                decision = decide(payment, attempt, trigger, NOON + timedelta(hours=1), Policy())
                if decision is not None:
                    yield payment, attempt, trigger, decision


def carries(attempt: Attempt | None, state: State) -> bool:
    """Tell whether the payment has no due date but that of this attempt: its charge, or the void in place of it."""
    if attempt is None or ENDS_OF_ATTEMPTS[attempt.status] is End.NOTHING:
        return False
    return state in UNDECIDED if attempt.verb.is_collecting else attempt.verb is Verb.VOID and state is State.ACCEPTED


def wait_without_end(payment: Payment, attempt: Attempt | None, decision: Decision) -> str | None:
    """Return what a decision leaves behind that nothing moves on, if anything."""
    after = payment.state if decision.event is None else target(payment.state, decision.event)
    status, due_at = decision.attempt.get("status"), decision.attempt.get("due_at")
    is_held = ENDS_OF_PAYMENTS[after] is End.PERSON
    if status is not None and ENDS_OF_ATTEMPTS[status] is End.DUE_DATE and due_at is None:
        return f"the attempt is {status} and has no due date"
    is_given_up = carries(attempt, payment.state) and status in FINISHED
    if after is payment.state and not is_given_up:
        return None
    if is_held:
        is_on_list = any(isinstance(effect, OpenAttention) for effect in decision.effects)
        return None if is_on_list else f"the payment is {after} and not on the attention list"
    has_case = any(isinstance(effect, SaveCase) and effect.case.due_at for effect in decision.effects)
    is_added = any(isinstance(effect, AddAttempt | OpenReview) for effect in decision.effects)
    if ENDS_OF_PAYMENTS[after] is End.DUE_DATE and not (due_at or has_case or is_added):
        return f"the payment is {after} and has no due date"
    return None


def test_every_decision_leaves_an_end_behind() -> None:
    wrong = {
        f"{trigger} of a payment that is {payment.state}: {found}"
        for payment, attempt, trigger, decision in decisions()
        if (found := wait_without_end(payment, attempt, decision))
    }
    assert not wrong, "\n".join(sorted(wrong))
