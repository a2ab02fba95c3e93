"""What must hold of the stored rows at every moment of a history, and of every single step of the writer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, Row, select

from domain.effects import RecountLoss
from domain.movement import AMOUNTS, MovementKind, amounts_of
from domain.outcome import Approved, AuthenticationRequired, Declined, InDoubt, NotSent, Outcome
from domain.payment import (
    COLLECTED,
    FINAL,
    IN_DUNNING,
    IN_FLIGHT,
    UNFINISHED,
    AttemptStatus,
    Event,
    State,
    Verb,
)
from domain.state_machine import target
from models import transition
from models.change import Change
from models.tables import attempts, dunning_cases, events, invoices, movements, payments
from models.transition_locks import lock_attempt
from tests.integration.simulated_provider import SimulatedProvider

_WAITS_FOR_PERSON = (State.REVIEW, State.AMOUNT_MISMATCH)
_DOUBT = {Event.CHARGE_IN_DOUBT, Event.CAPTURE_IN_DOUBT, Event.VOID_IN_DOUBT, Event.REFUND_IN_DOUBT, None}

_payments, _invoices, _cases = select(payments), select(invoices), select(dunning_cases)
_attempts = select(attempts).order_by(attempts.c.created_at, attempts.c.number, attempts.c.id)
_movements = select(movements.c.payment_id, movements.c.kind, movements.c.amount)
_events = select(events).order_by(events.c.id)


@dataclass(frozen=True)
class Stored:
    """What is stored at one moment: payments and dunning cases by the payment's id, attempts and events in order."""

    invoices: list[Row[Any]]
    payments: dict[str, Row[Any]]
    attempts: list[Row[Any]]
    cases: dict[str, Row[Any]]
    events: list[Row[Any]]
    movements: list[Row[Any]]

    @classmethod
    def read(cls, connection: Connection) -> Stored:
        """Read everything in one transaction."""
        return cls(
            list(connection.execute(_invoices)),
            {row.id: row for row in connection.execute(_payments)},
            list(connection.execute(_attempts)),
            {row.payment_id: row for row in connection.execute(_cases)},
            list(connection.execute(_events)),
            list(connection.execute(_movements)),
        )

    def check(self, provider: SimulatedProvider) -> None:
        """Check the rows, and that no payment was charged or refunded twice."""
        for payment in self.payments.values():
            self._check_amounts(payment, provider)
            self._check_attempts(payment)
            self.check_events(payment)
        for invoice in self.invoices:
            of_invoice = [payment for payment in self.payments.values() if payment.invoice_id == invoice.id]
            # However many payments it takes to collect it.
            assert sum(provider.captured(payment.id) for payment in of_invoice) <= invoice.amount
            outstanding = invoice.amount - sum(payment.captured for payment in of_invoice)
            assert not [row for row in of_invoice if row.state in IN_DUNNING and row.amount > outstanding]

    def _check_amounts(self, payment: Row[Any], provider: SimulatedProvider) -> None:
        sums: Counter[MovementKind] = Counter()
        for moved in self.movements:
            if moved.payment_id == payment.id:
                sums[moved.kind] += moved.amount
        assert {name: getattr(payment, name) for name in AMOUNTS} == amounts_of(sums)
        assert 0 <= payment.refunded <= payment.captured <= (payment.authorized or payment.amount) <= payment.amount
        own = [intent for intent in provider.intents.values() if intent.payment_id == payment.id]
        assert sum(intent.status in ("succeeded", "authorized") for intent in own) <= 1
        assert provider.refunded(payment.id) <= provider.captured(payment.id) <= payment.amount

    def _check_attempts(self, payment: Row[Any]) -> None:
        rows = [row for row in self.attempts if row.payment_id == payment.id]
        assert sum(row.verb != Verb.REFUND and row.status in IN_FLIGHT for row in rows) <= 1
        if payment.state in FINAL:
            taking = (Verb.CHARGE, Verb.AUTHORIZE, Verb.CAPTURE)
            # A call that may have run is looked up to its end, also when another attempt has decided the payment.
            unseen = [row for row in rows if row.verb in taking and row.status in UNFINISHED and row.due_at is None]
            assert not unseen
            assert not [row for row in rows if row.verb in taking and row.status == AttemptStatus.DUE]
        elif payment.state not in _WAITS_FOR_PERSON:
            case = self.cases.get(payment.id)
            assert [row for row in rows if row.due_at] or (case and case.due_at), f"{payment.state} waits for nothing"

    def check_events(self, payment: Row[Any]) -> None:
        """Check that the events are the whole way from acceptance to the present state, in the order of time."""
        trail = [row for row in self.events if row.payment_id == payment.id and row.to_state]
        assert trail[-1].to_state == payment.state
        for before, after in pairwise(trail):
            assert after.from_state == before.to_state
            assert after.to_state == target(State(after.from_state), Event(after.name))
            assert after.at >= before.at


def checked(apply: Callable[..., transition.Applied]) -> Callable[..., transition.Applied]:
    """Return the writer, which now checks what must hold of every single step."""

    def apply_and_check(
        change: Change,
        locked: Row[Any] | str,
        trigger: Any,
        fencing_token: int | None = None,
        data: dict[str, Any] | None = None,
    ) -> transition.Applied:
        before = lock_attempt(change.connection, locked if isinstance(locked, str) else locked.attempt_id)
        applied = apply(change, locked, trigger, fencing_token, data)
        assert fencing_token in (None, before.attempt_fencing_token), "a worker that was overtaken has written"
        if applied.decision is not None:
            _check_step(change, before, trigger, applied)
        return applied

    return apply_and_check


def _check_step(change: Change, before: Row[Any], trigger: Any, applied: transition.Applied) -> None:
    decision = applied.decision
    assert decision is not None
    after = lock_attempt(change.connection, before.attempt_id)
    expected = before.state if decision.event is None else target(State(before.state), decision.event)
    # What a bank has taken back before moves the payment on at once; see `check_events`.
    state = expected if RecountLoss() in decision.effects else after.state
    assert state == expected
    if before.state == State.IN_DOUBT and state == State.ACCEPTED:
        # A payment that is accepted can be canceled, so nothing of it may be under way.
        assert isinstance(trigger, NotSent)
    if isinstance(trigger, InDoubt):
        assert decision.event in _DOUBT
    if state == State.DECLINED and before.state != state:
        assert isinstance(trigger, Declined | AuthenticationRequired)
    if state == State.FAILED and before.state != state:
        is_closed = isinstance(trigger, Approved) and trigger.voided
        assert is_closed or isinstance(trigger, NotSent)
    if isinstance(trigger, Approved) and Verb(before.attempt_verb).is_collecting:
        is_whole = trigger.captured == before.attempt_amount
        assert not is_whole or state in COLLECTED
    if isinstance(trigger, Outcome):
        assert not transition.changes_anything(change, after, trigger), f"{trigger} is news twice"
