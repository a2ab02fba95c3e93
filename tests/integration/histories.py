"""The payments of one application, and all that may happen to them: calls, crashes, look-ups, webhooks, requests and
days, through the real tasks, requests and writer.

The rows are those of a real database. Only the provider is simulated (see simulated_provider.py), and the clock stands
still until a history moves it."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import Connection, Row, delete

import models.operations as requests
from domain.allowed_operations import ACCEPTED
from domain.commands import Blocked, ReviewRequired
from domain.decision import LEASE
from domain.decline import DeclineClass
from domain.errors import CeleriacError
from domain.payment import CLOSED_UNPAID, FINAL, IN_DUNNING, IN_PROGRESS, AttemptStatus, State, Verb
from domain.routing import Choice
from gateways.base import AttemptRequest
from models import transition
from models.accept_payment import accept_payment
from models.idempotency import Caller
from models.request_bodies import CancelPayment, CapturePayment, ProcessPayment, RefundPayment, ReviewPayment
from models.session import read, transact
from models.tables import api_keys, attempts, metadata
from models.task_messages import DUNNING, RECONCILE, WEBHOOK, message_for_attempt
from models.webhook_events import store_webhook_event
from tests.determinism import START, CountedIds, StillClock
from tests.integration.history_checks import Stored
from tests.integration.simulated_provider import Object, Plan, SimulatedProvider
from tests.provider import Json
from tests.system import System

SHOP, OPERATOR = Caller("shop", "app:shop"), Caller(None, "operator")
KINDS: dict[str, tuple[Json, ...]] = {
    "one-off": ({"off_session": False}, {"off_session": True}),
    "captured later": ({"capture": False, "off_session": False}, {"capture": False, "off_session": True}),
    "subscription": ({"subscription_id": "sub", "off_session": True}, {"subscription_id": "sub", "off_session": False}),
}
WAYS = ("sent",) * 4 + ("lost", "late", "not executed", "refused", "at fault", "paused", "overtaken", "outrun")
# Soft declines begin dunning; the others end it.
DECLINES = (DeclineClass.SOFT, DeclineClass.SOFT, DeclineClass.SOFT, *DeclineClass)
BEHAVIOURS = ("good",) * 4 + ("declined", "declined", "processing", "unauthenticated", "requires_action", "approved")
# Where a process may die, by task; see models/failpoints.py.
CRASHES = {
    Verb.CHARGE: ("charge.claimed", "charge.created", "charge.reference_saved", "charge.responded", "charge.recorded"),
    Verb.REFUND: ("operation.claimed", "operation.responded", "operation.recorded"),
    RECONCILE: ("reconcile.claimed", "reconcile.looked_up", "reconcile.recorded"),
    WEBHOOK: ("webhook.looked_up", "webhook.applied"),
    DUNNING: ("dunning.swept", "change.committed"),
}
RUNS = ("nothing",) * 4 + ("crash", "lag")
# The clocks of two hosts.
CLOCKS_DIFFER = timedelta(seconds=1)
MODULES_WITH_FAILPOINTS = ("tasks.execute", "tasks.reconcile", "tasks.webhooks", "tasks.dunning")
MONEY_AT_BANK = ("requires_action", "processing")


class WorkerDied(BaseException):
    """The process is gone: nothing of it runs any more."""


class Histories(RuleBasedStateMachine):
    """The payments of an application's user, and all that may happen to them.

    One rule chooses among everything that is possible: Hypothesis switches rules off at random, and a run without
    workers shows nothing."""

    def __init__(
        self, system: System, clock: StillClock, crash: dict[str, str], ids: CountedIds, kinds: list[Json]
    ) -> None:
        super().__init__()
        self.system, self.clock, self.crash, self.kinds = system, clock, crash, kinds
        clock.time, ids.count = START, 0
        transact(system.engine, _delete_rows)
        system.messages.clear()
        crash.clear()
        self.provider = self.new_provider(
            plan=self.plan,
            is_up=self.is_up,
            during_call=self.overtake,
            before_confirm=self.check_lease,
            before_look_up=self.check_doubt,
            after_look_up=self.outrun,
            now=clock.now,
        )
        system.runtime.gateways["stripe"] = self.provider
        self.is_calm = False
        self.is_busy = False
        self.delivered = 0
        self.tokens: dict[str, int] = {}
        self.claimed: dict[str, int] = {}
        self.invoices = 1
        self.payment_ids: list[str] = []

    def new_provider(self, **hooks: Any) -> SimulatedProvider:
        """Return the provider of this history."""
        return SimulatedProvider(**hooks)

    @initialize(data=st.data())
    def accept(self, data: Any) -> None:
        self.kind = data.draw(st.sampled_from(self.kinds))
        self.process()

    def process(self, **changes: Any) -> None:
        """Accept a payment of the newest invoice."""
        body = {"invoice_id": f"inv_{self.invoices}", "user_id": "user", "amount": "10.00", "currency": "EUR"}
        method = {"payment_method": "credit_card", "payment_method_token": "pm_1"}
        request, choices = ProcessPayment.parse(body | method | self.kind | changes), [Choice("stripe", "only")]
        response = transact(self.system.engine, accept_payment, request, SHOP, None, self.clock.time, choices)
        self.payment_ids.append(str(response.payment_id))
        self.load()

    @rule(data=st.data())
    def something_happens(self, data: Any) -> None:
        self.draw = data.draw
        # What ends a payment early is tried seldom, so that the others live long enough to meet everything else.
        is_rare = self.choose(range(8)) == 0
        self.choose([*self.often(), *(self.seldom() if is_rare else [])])()
        # The broker may lose every message: the sweep publishes what is due.
        self.system.messages.clear()
        self.load()

    def choose(self, options: Any) -> Any:
        return self.draw(st.sampled_from(list(options)))

    # --- the rows ---

    def load(self) -> None:
        """Read what is stored now."""
        self.stored = read(self.system.engine, Stored.read)

    @property
    def payment(self) -> Row[Any]:
        """The newest payment."""
        return self.stored.payments[self.payment_ids[-1]]

    # --- what may happen ---

    def often(self) -> list[Callable[[], None]]:
        """Return what workers, provider, customers and days may do now."""
        state = self.payment.state
        return [
            self.time_passes,
            self.beat,
            *([self.webhook] if self.provider.events else []),
            *([self.work] * 5 if self.due() else []),
            *([self.look_up] * 3 if self.due_soon() else []),
            *([self.customer_returns] if self.waiting() else []),
            *([self.delayed_call_arrives] if self.provider.late else []),
            *([self.bank_or_customer_decides] if self.undecided() else []),
            *([self.capture] * 2 + [self.cancel] if state == State.AUTHORIZED else []),
            *([self.cancel] if state == State.REQUIRES_ACTION else []),
            *([self.refund] * 2 if state in (State.CAPTURED, State.PARTIALLY_REFUNDED) else []),
            *([self.review] if state == State.REVIEW else []),
            *([self.dunning] * 2 if self.due_cases() else []),
            *([self.pay_again] if state in CLOSED_UNPAID | IN_DUNNING else []),
            *([self.next_invoice] if state in FINAL else []),
        ]

    def seldom(self) -> list[Callable[[], None]]:
        """Return what ends a payment early, or is refused."""
        return [
            self.cancel,
            self.capture,
            self.refund,
            *([self.screen] * 3 if self.untouched() else []),
        ]

    # --- workers ---

    def due(self) -> list[Row[Any]]:
        return [row for row in self.stored.attempts if row.status == AttemptStatus.DUE]

    def work(self) -> None:
        row = self.choose(self.due())
        message = message_for_attempt(row.id, row.verb)
        self.run(message.task, row.id, CRASHES[Verb.CHARGE if Verb(row.verb).is_collecting else Verb.REFUND])

    def run(self, task: str, row_id: str, crashes: tuple[str, ...]) -> None:
        """Run a task in a process that may die, and whose clock may lag behind that of the others."""
        happens = "nothing" if self.is_calm else self.choose(RUNS)
        if happens == "crash":
            self.crash["point"] = self.choose(crashes)
        lag = CLOCKS_DIFFER if happens == "lag" else timedelta()
        self.clock.time -= lag
        try:
            self.system.run(task, row_id)
        except WorkerDied:
            pass
        finally:
            self.clock.time += lag
            self.crash.clear()

    def plan(self, attempt: AttemptRequest) -> Plan:
        """Return how a call ends."""
        self.claimed[attempt.attempt_id] = self.token_of(attempt)
        if self.is_calm:
            return Plan()
        way, behaviour, decline = self.choose(WAYS), self.choose(BEHAVIOURS), self.choose(DECLINES)
        if behaviour in ("requires_action", "approved") and attempt.is_off_session:
            behaviour = "unauthenticated"
        return Plan(way, behaviour, decline)

    def token_of(self, attempt: AttemptRequest) -> int:
        """Return the fencing token that is stored now."""
        [row] = self.system.rows(attempts, attempts.c.id == attempt.attempt_id)
        return int(row.fencing_token)

    def check_lease(self, attempt: AttemptRequest) -> None:
        """Check that a worker which lost its lease before its reference was stored does not go on."""
        assert self.token_of(attempt) == self.claimed[attempt.attempt_id]

    def check_doubt(self, attempt: AttemptRequest) -> None:
        """Check that nobody looks an attempt up as if its worker lived: what it has sent is in doubt.

        The worker itself looks money up that a person has accepted, where there is nothing to send."""
        [row] = self.system.rows(attempts, attempts.c.id == attempt.attempt_id)
        assert row.status != AttemptStatus.OPEN or attempt.reason == ACCEPTED

    def is_up(self) -> bool:
        """Return whether a look-up gets a response."""
        return self.is_calm or self.choose([True, True, False])

    def overtake(self, attempt: AttemptRequest) -> None:
        """Let something happen in the middle of the work on an attempt."""
        self.is_busy = True
        happens = [self.lose_lease, *([self.decide_and_deliver] if self.undecided() else [])]
        self.choose(happens)(attempt)
        self.is_busy = False

    def outrun(self, attempt: AttemptRequest) -> None:
        """Now and then, let something happen between the outcome of a look-up and its record."""
        if not self.is_calm and not self.is_busy and self.choose(range(4)) == 0:
            self.overtake(attempt)

    def lose_lease(self, attempt: AttemptRequest) -> None:
        """Let the lease of a call end, and another worker look the attempt up."""
        self.move_clock(LEASE + timedelta(seconds=1))
        self.run(RECONCILE, attempt.attempt_id, CRASHES[RECONCILE])

    def decide_and_deliver(self, attempt: AttemptRequest) -> None:
        """Let bank or customer decide, and the webhook of that be applied."""
        self.bank_or_customer_decides()
        self.deliver(len(self.provider.events) - 1, has_status=True)

    def delayed_call_arrives(self) -> None:
        self.provider.execute(*self.provider.late.pop(0))

    def beat(self) -> None:
        """Sweep, and let the workers run what is published."""
        self.system.sweep()
        for message in list(self.system.messages):
            crashes = CRASHES.get(message.task)
            self.run(*message, crashes or (*CRASHES[Verb.CHARGE], *CRASHES[Verb.REFUND]))

    def untouched(self) -> list[Row[Any]]:
        """Return the attempt of an accepted payment that no worker has screened or sent."""
        rows = [row for row in self.stored.attempts if row.payment_id == self.payment.id]
        is_fresh = self.payment.state == State.ACCEPTED and rows[0].fencing_token == 0
        return rows if is_fresh and rows[0].claims == 0 else []

    def screen(self) -> None:
        [row], command = self.untouched(), self.choose([Blocked(), ReviewRequired(), ReviewRequired()])
        self.system.runtime.change("worker", transition.apply, row.id, command)

    # --- look-ups and webhooks ---

    def due_soon(self) -> list[Row[Any]]:
        soon = self.clock.time + timedelta(hours=2)
        return [
            row for row in self.stored.attempts if row.due_at and row.due_at <= soon and row.status != AttemptStatus.DUE
        ]

    def look_up(self) -> None:
        row = self.choose(self.due_soon())
        self.move_clock(max(row.due_at - self.clock.time, timedelta()))
        self.run(RECONCILE, row.id, CRASHES[RECONCILE])

    def waiting(self) -> list[Row[Any]]:
        return [
            row for row in self.stored.attempts if row.status in (AttemptStatus.ACTION_REQUIRED, AttemptStatus.PENDING)
        ]

    def customer_returns(self) -> None:
        row = self.choose(self.waiting())
        self.system.runtime.change("web", requests.look_up_now, row.id)
        self.run(RECONCILE, row.id, CRASHES[RECONCILE])

    def webhook(self) -> None:
        """Deliver any event that there was: late, twice, out of order."""
        self.deliver(self.choose(range(len(self.provider.events))), has_status=self.choose([True, False]))

    def deliver(self, number: int, *, has_status: bool) -> None:
        self.delivered += 1
        payload, event_id = json.dumps({"number": number, "has_status": has_status}), f"evt_{self.delivered}"
        stored = transact(
            self.system.engine, store_webhook_event, "stripe", event_id, "changed", payload, self.clock.time
        )
        assert stored is not None
        self.run(*stored, CRASHES[WEBHOOK])

    def deliver_latest(self) -> None:
        """Deliver the newest event about each object."""
        latest = {subject.reference: number for number, (subject, _) in enumerate(self.provider.events)}
        for number in latest.values():
            self.deliver(number, has_status=False)

    def undecided(self) -> list[Object]:
        objects = [*self.provider.intents.values(), *self.provider.refunds.values()]
        return [each for each in objects if each.status in MONEY_AT_BANK]

    def bank_or_customer_decides(self) -> None:
        subject, result = self.choose(self.undecided()), self.choose(["good", "declined", "approved"])
        if subject.attempt_id in self.provider.intents:
            [verb] = [Verb(row.verb) for row in self.stored.attempts if row.id == subject.attempt_id]
            self.provider.confirm(subject, verb, result, self.choose(DECLINES))
        else:
            self.provider.set_status(subject, "declined" if result == "declined" else "refunded")

    # --- requests ---

    def request(self, work: Callable[..., Any], body: Any, caller: Caller = SHOP) -> None:
        """Send a request, which may be refused."""
        with suppress(CeleriacError):
            self.system.runtime.change(caller.actor, work, self.payment.id, body, caller, None)

    def capture(self) -> None:
        self.request(requests.request_capture, CapturePayment.parse({"amount": self.choose(["10.00", "9.99", "0.01"])}))

    def cancel(self) -> None:
        self.request(requests.request_cancel, CancelPayment.parse({}))

    def refund(self) -> None:
        self.request(requests.request_refund, RefundPayment.parse({"amount": self.choose([None, "5.00", "0.01"])}))

    def review(self) -> None:
        decision = self.choose(["approve", "reject"])
        self.request(requests.request_review, ReviewPayment.parse({"decision": decision}), OPERATOR)

    def pay_again(self) -> None:
        """Let the customer make one more payment of the invoice, which dunning may be collecting as well."""
        with suppress(CeleriacError):
            self.process(off_session=False)

    def next_invoice(self) -> None:
        """Let the application collect the next invoice, of the same subscription if it is one."""
        self.invoices += 1
        with suppress(CeleriacError):
            self.process()

    # --- dates ---

    def time_passes(self) -> None:
        self.move_clock(timedelta(hours=self.choose([1, 25, 72, 200])))

    def move_clock(self, by: timedelta) -> None:
        self.clock.time += by
        self.provider.expire()

    def due_cases(self) -> list[Row[Any]]:
        return [case for case in self.stored.cases.values() if case.due_at and case.due_at <= self.clock.time]

    def dunning(self) -> None:
        self.run(DUNNING, self.choose(self.due_cases()).payment_id, CRASHES[DUNNING])

    # --- what must hold ---

    @invariant()
    def holds(self) -> None:
        if not self.payment_ids:
            return
        self.stored.check(self.provider)
        for row in self.stored.attempts:
            assert row.fencing_token >= self.tokens.get(row.id, 0)
            self.tokens[row.id] = row.fencing_token

    def teardown(self) -> None:
        """When every call has arrived and everything was looked up, the books agree."""
        if not self.payment_ids:
            return
        self.is_calm = True
        while self.provider.late:
            self.delayed_call_arrives()
        for _ in range(3):
            self.deliver_latest()
            # A webhook may have put off by seconds what was due.
            self.move_clock(timedelta(hours=7))
            self.system.sweep()
            self.system.run_until_idle()
        self.load()
        self.holds()
        for payment in self.stored.payments.values():
            assert payment.captured == self.provider.captured(payment.id)
            assert payment.refunded == self.provider.refunded(payment.id)
            assert payment.state not in IN_PROGRESS


def _delete_rows(connection: Connection) -> None:
    for table in reversed(metadata.sorted_tables):
        if table is not api_keys:
            connection.execute(delete(table))
