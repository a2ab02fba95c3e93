"""Any order of calls, crashes, look-ups, webhooks, commands and days: our books end as the provider's are."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from domain.commands import (
    Blocked,
    CancelRequested,
    GraceEnded,
    InvoicePaidOtherwise,
    OperationRequested,
    RetryDue,
    ReviewDecided,
    ReviewRequired,
    Started,
)
from domain.decline import DeclineClass
from domain.dunning import CaseState
from domain.outcome import InDoubt, NotSent
from domain.payment import IN_DUNNING, IN_FLIGHT, AttemptStatus, State, Verb
from domain.state_machine import decide

from .world import POLICY, Object, Row, World, new_payment

WAYS = (
    "answer",
    "answer",
    "answer",
    "lost",
    "late",
    "not executed",
    "refused",
    "at fault",
    "died after",
    "died before",
)
BEHAVIOURS = ("good", "good", "good", "good", "declined", "processing", "unauthenticated", "requires_action")
CANCELABLE_AT_ONCE = (State.ACCEPTED, State.REVIEW, *IN_DUNNING)


class Settlement(RuleBasedStateMachine):
    """Feeds `step` with what callers of the product may feed it with.

    One rule chooses among all that is possible: Hypothesis switches rules off at random, and a run without
    workers shows nothing."""

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

    @rule(data=st.data())
    def something_happens(self, data: Any) -> None:
        self.draw = data.draw
        # What ends a payment early is tried seldom, so that the others live long enough to meet everything else.
        is_rare = self.choose(range(8)) == 0
        possible = [*self.often(), *(self.seldom() if is_rare else [])]
        self.choose(possible)()

    def choose(self, options: Any) -> Any:
        return self.draw(st.sampled_from(list(options)))

    def often(self) -> list[Any]:
        """Return what workers, provider, customers and days may do now."""
        state, is_busy = self.world.payment.state, any(row.is_in_flight for row in self.world.rows)
        return [
            self.time_passes,
            self.webhook,
            *([self.work] * 3 if self.due() else []),
            *([self.look_up] if self.waiting() else []),
            *([self.a_delayed_call_arrives] if self.late else []),
            *([self.somebody_decides] if self.undecided() else []),
            *([self.use_authorization] * 2 if state is State.AUTHORIZED and not is_busy else []),
            *([self.void_unfinished] if state is State.REQUIRES_ACTION and not is_busy else []),
            *([self.refund] * 2 if self.refundable() else []),
            *([self.review] if state is State.REVIEW else []),
            *([self.dunning] * 2 if self.is_case_due() else []),
        ]

    def seldom(self) -> list[Any]:
        """Return what ends a payment early."""
        state, is_busy = self.world.payment.state, any(row.is_in_flight for row in self.world.rows)
        return [
            *([self.cancel] if state in CANCELABLE_AT_ONCE else []),
            *([self.screen] if state is State.ACCEPTED and not self.is_screened else []),
            *([self.paid_otherwise] if state in IN_DUNNING and not is_busy else []),
        ]

    # --- workers ---

    def due(self) -> list[Row]:
        is_held = self.world.payment.state is State.REVIEW
        return [] if is_held else [row for row in self.world.rows if row.attempt.status is AttemptStatus.DUE]

    def work(self) -> None:
        row, way = self.choose(self.due()), self.choose(WAYS)
        behaviour, decline = self.choose(BEHAVIOURS), self.choose(DeclineClass)
        if behaviour == "requires_action" and self.world.payment.is_off_session:
            behaviour = "unauthenticated"
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

    def a_delayed_call_arrives(self) -> None:
        row, behaviour, decline = self.late.pop(0)
        if row.attempt.verb.is_collecting or self.world.charge_row() is not None:
            self.world.execute(row, behaviour, decline)

    def screen(self) -> None:
        self.is_screened = True
        self.world.apply(self.world.rows[0], self.choose([Blocked(), ReviewRequired()]))

    # --- look-ups and webhooks ---

    def waiting(self) -> list[Row]:
        return [row for row in self.world.rows if row.due_at and row.attempt.status is not AttemptStatus.DUE]

    def look_up(self) -> None:
        self._look_up(self.choose(self.waiting()), is_answered=self.choose([True, False]))

    def _look_up(self, row: Row, *, is_answered: bool) -> None:
        if row.attempt.status is AttemptStatus.OPEN:
            self.world.apply(row, InDoubt("worker_lost"))
        self.world.apply(row, self.world.truth(row) if is_answered else InDoubt("no_answer"))

    def webhook(self) -> None:
        self._webhook(self.choose(self.world.rows))

    def _webhook(self, row: Row) -> None:
        """As the task does: the operation under way hears it, an open attempt is left to its worker."""
        if row.attempt.id not in {**self.world.intents, **self.world.refunds}:
            return
        operations = [row for row in self.world.rows if row.attempt.verb in (Verb.CAPTURE, Verb.VOID)]
        busy = [row for row in operations if row.attempt.status in IN_FLIGHT]
        heard = busy[0] if busy and row.attempt.verb is not Verb.REFUND else row
        outcome = self.world.truth(heard)
        decided = decide(self.world.payment, heard.attempt, outcome, self.world.now, POLICY)
        if heard.attempt.status is not AttemptStatus.OPEN and decided is not None and decided.event is not None:
            self.world.apply(heard, outcome)

    def undecided(self) -> list[Row]:
        objects = self.world.intents | self.world.refunds
        waiting = {name for name, found in objects.items() if found.status in ("requires_action", "processing")}
        return [row for row in self.world.rows if row.attempt.id in waiting]

    def somebody_decides(self) -> None:
        row, result = self.choose(self.undecided()), self.choose(["good", "declined", "approved"])
        if row.attempt.id in self.world.intents:
            intent = self.world.intents[row.attempt.id]
            self.world.confirm(intent, row.attempt.verb, result, self.choose(DeclineClass))
        else:
            self.world.refunds[row.attempt.id].status = "declined" if result == "declined" else "refunded"

    # --- commands ---

    def use_authorization(self) -> None:
        verb, amount = self.choose([Verb.CAPTURE, Verb.VOID]), self.choose([1000, 999, 1])
        self.world.apply(self.world.open(verb, amount if verb is Verb.CAPTURE else 1000), OperationRequested())

    def void_unfinished(self) -> None:
        self.world.apply(self.world.open(Verb.VOID, 1000), OperationRequested())

    def cancel(self) -> None:
        self.world.apply(None, CancelRequested())

    def refundable(self) -> int:
        payment = self.world.payment
        if payment.state not in (State.CAPTURED, State.PARTIALLY_REFUNDED):
            return 0
        counting = IN_FLIGHT | {AttemptStatus.PENDING}
        rows = [row for row in self.world.rows if row.attempt.verb is Verb.REFUND and row.attempt.status in counting]
        return payment.captured - payment.refunded - sum(row.attempt.amount for row in rows)

    def refund(self) -> None:
        most = self.refundable()
        self.world.apply(self.world.open(Verb.REFUND, self.choose([most, max(1, most // 2)])), OperationRequested())

    def review(self) -> None:
        self.world.apply(self.world.rows[0], ReviewDecided(self.choose([True, False])))

    # --- dates ---

    def time_passes(self) -> None:
        self.world.now += timedelta(hours=self.choose([1, 25, 72, 200]))
        for intent in self.world.intents.values():
            if intent.status == "authorized" and intent.expires_at <= self.world.now:
                intent.status = "canceled"

    def is_case_due(self) -> bool:
        case = self.world.payment.case
        return case is not None and case.due_at is not None and case.due_at <= self.world.now

    def dunning(self) -> None:
        is_retrying = self.world.payment.case.state is CaseState.RETRYING
        self.world.apply(None, RetryDue() if is_retrying else GraceEnded())

    def paid_otherwise(self) -> None:
        self.world.apply(None, InvoicePaidOtherwise())

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
    # The profile says how many examples a property gets; a history explores more than a value, and gets more.
    max_examples=3 * settings.default.max_examples,
    stateful_step_count=40,
    suppress_health_check=[HealthCheck.too_slow],
)
