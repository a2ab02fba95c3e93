"""Any order of calls, crashes, look-ups, webhooks, commands and days: our books end as the provider's are."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from domain.causes import (
    Blocked,
    CancelRequested,
    DebtSettledOtherwise,
    GraceEnded,
    Requested,
    RetryDue,
    ReviewDecided,
    ReviewRequired,
    Started,
)
from domain.decline import DeclineClass
from domain.dunning import CaseState
from domain.outcome import InDoubt, NotSent
from domain.payment import IN_DUNNING, IN_FLIGHT, AttemptStatus, State, Verb
from domain.settlement import step

from .world import POLICY, Object, Row, World, new_payment

WAYS = ("answer", "lost", "late", "not executed", "refused", "at fault", "died after", "died before")
CANCELABLE_AT_ONCE = (State.ACCEPTED, State.REVIEW, *IN_DUNNING)
declines = st.sampled_from(DeclineClass)


class Settlement(RuleBasedStateMachine):
    """Feeds `step` with what callers of the product may feed it with."""

    @initialize(
        is_off_session=st.booleans(),
        has_subscription=st.booleans(),
        verb=st.sampled_from([Verb.CHARGE, Verb.AUTHORIZE]),
    )
    def accept(self, is_off_session: bool, has_subscription: bool, verb: Verb) -> None:
        subscription = "sub_1" if has_subscription and verb is Verb.CHARGE else None
        payment = new_payment(is_off_session=is_off_session, subscription_id=subscription)
        self.world = World(payment, verb)
        self.late: list[tuple[Row, str, DeclineClass]] = []
        self.is_screened = False

    # --- workers ---

    def due(self) -> list[Row]:
        is_held = self.world.payment.state is State.REVIEW
        return [] if is_held else [row for row in self.world.rows if row.attempt.status is AttemptStatus.DUE]

    @precondition(lambda self: self.due())
    @rule(data=st.data(), way=st.sampled_from(WAYS), decline=declines)
    def work(self, data: Any, way: str, decline: DeclineClass) -> None:
        row = data.draw(st.sampled_from(self.due()))
        kinds = ["good", "declined", "processing", "unauthenticated"]
        kinds += [] if self.world.payment.is_off_session else ["requires_action"]
        behaviour = data.draw(st.sampled_from(kinds))
        self.is_screened = True
        self.world.apply(row, Started())
        if way in ("not executed", "died before") and row.attempt.verb.is_collecting:
            self.world.intents.setdefault(row.attempt.id, Object(amount=row.attempt.amount))
        self._call(row, way, behaviour, decline)

    def _call(self, row: Row, way: str, behaviour: str, decline: DeclineClass) -> None:
        match way:
            case "answer":
                self.world.apply(row, self.world.execute(row, behaviour, decline))
            case "lost":
                self.world.execute(row, behaviour, decline)
                self.world.apply(row, InDoubt("no_answer"))
            case "late":
                self.late.append((row, behaviour, decline))
                self.world.apply(row, InDoubt("no_answer"))
            case "not executed":
                self.world.apply(row, InDoubt("http_500"))
            case "refused":
                self.world.apply(row, NotSent("unreachable"))
            case "at fault":
                self.world.apply(row, NotSent("resource_missing", is_retryable=False))
            case "died after":
                self.world.execute(row, behaviour, decline)

    @precondition(lambda self: self.late)
    @rule()
    def a_delayed_call_arrives(self) -> None:
        row, behaviour, decline = self.late.pop(0)
        if row.attempt.verb.is_collecting or self.world.charge_row() is not None:
            self.world.execute(row, behaviour, decline)

    @precondition(lambda self: not self.is_screened and self.world.payment.state is State.ACCEPTED)
    @rule(is_blocked=st.booleans())
    def screen(self, is_blocked: bool) -> None:
        self.is_screened = True
        self.world.apply(self.world.rows[0], Blocked() if is_blocked else ReviewRequired())

    # --- look-ups and webhooks ---

    def waiting(self) -> list[Row]:
        return [row for row in self.world.rows if row.due_at and row.attempt.status is not AttemptStatus.DUE]

    @precondition(lambda self: self.waiting())
    @rule(data=st.data(), is_answered=st.booleans())
    def look_up(self, data: Any, is_answered: bool) -> None:
        self._look_up(data.draw(st.sampled_from(self.waiting())), is_answered=is_answered)

    def _look_up(self, row: Row, *, is_answered: bool) -> None:
        if row.attempt.status is AttemptStatus.OPEN:
            self.world.apply(row, InDoubt("worker_lost"))
        self.world.apply(row, self.world.truth(row) if is_answered else InDoubt("no_answer"))

    @rule(data=st.data())
    def webhook(self, data: Any) -> None:
        self._webhook(data.draw(st.sampled_from(self.world.rows)))

    def _webhook(self, row: Row) -> None:
        """As the task does: the operation under way hears it, an open attempt is left to its worker."""
        if row.attempt.id not in {**self.world.intents, **self.world.refunds}:
            return
        operations = [row for row in self.world.rows if row.attempt.verb in (Verb.CAPTURE, Verb.VOID)]
        busy = [row for row in operations if row.attempt.status in IN_FLIGHT]
        heard = busy[0] if busy and row.attempt.verb is not Verb.REFUND else row
        outcome = self.world.truth(heard)
        decided = step(self.world.payment, heard.attempt, outcome, self.world.now, POLICY)
        if heard.attempt.status is not AttemptStatus.OPEN and decided is not None and decided.event is not None:
            self.world.apply(heard, outcome)

    @rule(data=st.data(), result=st.sampled_from(["good", "declined"]), decline=declines)
    def customer_or_bank_decides(self, data: Any, result: str, decline: DeclineClass) -> None:
        row = data.draw(st.sampled_from(self.world.rows))
        intent, refund = self.world.intents.get(row.attempt.id), self.world.refunds.get(row.attempt.id)
        if intent is not None and intent.status in ("requires_action", "processing"):
            self.world.confirm(intent, row.attempt.verb, result, decline)
        if refund is not None and refund.status == "processing":
            refund.status = "refunded" if result == "good" else "declined"

    # --- commands ---

    @property
    def is_busy(self) -> bool:
        return any(row.is_in_flight for row in self.world.rows)

    @precondition(lambda self: self.world.payment.state is State.AUTHORIZED and not self.is_busy)
    @rule(amount=st.integers(1, 1000), verb=st.sampled_from([Verb.CAPTURE, Verb.VOID]))
    def use_authorization(self, amount: int, verb: Verb) -> None:
        row = self.world.open(verb, amount if verb is Verb.CAPTURE else 1000)
        self.world.apply(row, Requested())

    @precondition(lambda self: self.world.payment.state is State.REQUIRES_ACTION and not self.is_busy)
    @rule()
    def void_unfinished(self) -> None:
        self.world.apply(self.world.open(Verb.VOID, 1000), Requested())

    @precondition(lambda self: self.world.payment.state in CANCELABLE_AT_ONCE)
    @rule()
    def cancel(self) -> None:
        self.world.apply(None, CancelRequested())

    def refundable(self) -> int:
        payment = self.world.payment
        if payment.state not in (State.CAPTURED, State.PARTIALLY_REFUNDED):
            return 0
        counting = IN_FLIGHT | {AttemptStatus.PENDING}
        rows = [row for row in self.world.rows if row.attempt.verb is Verb.REFUND and row.attempt.status in counting]
        return payment.captured - payment.refunded - sum(row.attempt.amount for row in rows)

    @precondition(lambda self: self.refundable() > 0)
    @rule(data=st.data())
    def refund(self, data: Any) -> None:
        row = self.world.open(Verb.REFUND, data.draw(st.integers(1, self.refundable())))
        self.world.apply(row, Requested())

    @precondition(lambda self: self.world.payment.state is State.REVIEW)
    @rule(is_approved=st.booleans())
    def review(self, is_approved: bool) -> None:
        self.world.apply(self.world.rows[0], ReviewDecided(is_approved))

    # --- dates ---

    @rule(hours=st.sampled_from([1, 25, 72, 200]))
    def time_passes(self, hours: int) -> None:
        self.world.now += timedelta(hours=hours)
        for intent in self.world.intents.values():
            if intent.status == "authorized" and intent.expires_at <= self.world.now:
                intent.status = "canceled"

    def is_case_due(self) -> bool:
        case = self.world.payment.case
        return case is not None and case.due_at is not None and case.due_at <= self.world.now

    @precondition(lambda self: self.is_case_due())
    @rule()
    def dunning(self) -> None:
        is_retrying = self.world.payment.case.state is CaseState.RETRYING
        self.world.apply(None, RetryDue() if is_retrying else GraceEnded())

    @precondition(lambda self: self.world.payment.state in IN_DUNNING and not self.is_busy)
    @rule()
    def paid_otherwise(self) -> None:
        self.world.apply(None, DebtSettledOtherwise())

    # --- what must hold ---

    @invariant()
    def holds(self) -> None:
        if hasattr(self, "world"):
            self.world.check()

    def teardown(self) -> None:
        """When every call has arrived and everybody has looked, the books agree."""
        if not hasattr(self, "world"):
            return
        while self.late:
            self.a_delayed_call_arrives()
        for _ in range(3):
            for row in self.waiting():
                self._look_up(row, is_answered=True)
            for row in list(self.world.rows):
                self._webhook(row)
        self.world.check()
        assert self.world.payment.captured == self.world.captured_truly
        assert self.world.payment.refunded == self.world.refunded_truly


TestSettlement = Settlement.TestCase
TestSettlement.settings = settings(
    max_examples=200, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
