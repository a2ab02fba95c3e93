"""A payment in a world of its own: its rows as `models.transition` would write them, and what is true at the provider.

The rows know only what `step` decides; the provider knows what really happened to the money."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from domain.commands import Started, Trigger
from domain.decision import AddAttempt, CloseOtherAttempts, Decision, Policy, SaveCase
from domain.decline import Decline, DeclineClass
from domain.outcome import (
    ActionRequired,
    Approved,
    AuthenticationRequired,
    CustomerApproved,
    Declined,
    InDoubt,
    NotSent,
    Outcome,
    Pending,
)
from domain.payment import (
    CLOSED_UNPAID,
    COLLECTED,
    IN_FLIGHT,
    UNFINISHED,
    Attempt,
    AttemptStatus,
    DunningCase,
    Event,
    Payment,
    State,
    Verb,
)
from domain.state_machine import decide, target

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
WINDOW = timedelta(days=7)
POLICY = Policy()
DOUBT = {Event.CHARGE_IN_DOUBT, Event.CAPTURE_IN_DOUBT, Event.VOID_IN_DOUBT, Event.REFUND_IN_DOUBT, None}
ENDED = CLOSED_UNPAID | {State.BLOCKED, State.CAPTURED, State.PARTIALLY_REFUNDED, State.REFUNDED}


def new_payment(**changes: Any) -> Payment:
    """Return an accepted payment of 1000."""
    given: dict[str, Any] = {
        "id": "pay_1",
        "state": State.ACCEPTED,
        "amount": 1000,
        "authorized": 0,
        "captured": 0,
        "refunded": 0,
        "is_off_session": False,
        "is_client_confirmed": False,
        "subscription_id": None,
        "created_at": NOW,
    }
    return Payment(**(given | changes))


def new_attempt(verb: Verb = Verb.CHARGE, status: AttemptStatus = AttemptStatus.OPEN, **changes: Any) -> Attempt:
    """Return an attempt that a worker has begun."""
    given: dict[str, Any] = {"id": "at_1", "amount": 1000, "lookups": 0, "retries": 0, "claims": 1, "created_at": NOW}
    return Attempt(verb=verb, status=status, **(given | changes))


def declined(kind: DeclineClass = DeclineClass.SOFT, reference: str | None = "pi_1") -> Declined:
    """Return a decline of that class."""
    return Declined(reference, Decline("card_declined", kind, "insufficient_funds"))


@dataclass
class Row:
    """An attempt as it is stored."""

    attempt: Attempt
    due_at: datetime | None

    @property
    def is_in_flight(self) -> bool:
        """Whether the provider may be moving money for it, refunds aside."""
        return self.attempt.verb is not Verb.REFUND and self.attempt.status in IN_FLIGHT


@dataclass
class Object:
    """An intent or a refund at the provider."""

    status: str = "created"
    amount: int = 1000
    taken: int = 0
    expires_at: datetime | None = None
    decline: DeclineClass = DeclineClass.SOFT

    def outcome(self, reference: str) -> Outcome:
        """Return what a gateway would say of it."""
        match self.status:
            case "succeeded":
                return Approved(reference, authorized=self.amount, captured=self.taken)
            case "authorized":
                return Approved(reference, authorized=self.amount, authorization_expires_at=self.expires_at)
            case "canceled":
                return Approved(reference, voided=True)
            case "refunded":
                return Approved(reference, refunded=self.amount)
            case "approved":
                return CustomerApproved(reference)
            case "processing":
                return Pending(reference)
            case "requires_action":
                return ActionRequired(reference, {"type": "redirect_to_url"})
            case "declined":
                return declined(self.decline, reference)
            case "unauthenticated":
                return AuthenticationRequired(reference, declined(DeclineClass.NEEDS_CUSTOMER).decline)
        return NotSent("not_confirmed", reference=reference)


@dataclass
class World:
    """The rows of one payment, the provider, and the time."""

    payment: Payment
    verb: Verb = Verb.CHARGE
    now: datetime = NOW
    rows: list[Row] = field(default_factory=list)
    intents: dict[str, Object] = field(default_factory=dict)
    refunds: dict[str, Object] = field(default_factory=dict)
    history: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.open(self.verb, self.payment.amount)

    # --- rows ---

    def open(self, verb: Verb, amount: int, reason: str | None = None) -> Row:
        """Store a new attempt, due now."""
        attempt = Attempt(f"at_{len(self.rows) + 1}", verb, AttemptStatus.DUE, amount, 0, 0, 0, self.now, reason)
        self.rows.append(Row(attempt, self.now))
        return self.rows[-1]

    def apply(self, row: Row | None, cause: Trigger) -> Decision | None:
        """Write what `step` decides and check what must hold of every single step."""
        before = replace(
            self.payment, has_other_due_attempt=any(other.due_at for other in self.rows if other is not row)
        )
        decided = decide(before, row and row.attempt, cause, self.now, POLICY)
        if decided is None:
            return None
        if decided.event is not None:
            self.payment = replace(self.payment, state=target(before.state, decided.event))
            self.history.append(decided.event)
        self.payment = replace(self.payment, **{k: v for k, v in decided.payment.items() if hasattr(before, k)})
        if row is not None:
            known = {k: v for k, v in decided.attempt.items() if hasattr(row.attempt, k)}
            row.attempt = replace(row.attempt, **known)
            row.due_at = decided.attempt.get("due_at", row.due_at)
        for effect in decided.effects:
            self._carry_out(effect, row)
        self._check_step(before, row, cause, decided)
        return decided

    def _carry_out(self, effect: Any, row: Row | None) -> None:
        others = [other for other in self.rows if other is not row]
        match effect:
            case SaveCase(case=case):
                self.payment = replace(self.payment, case=case)
            case AddAttempt(verb=Verb.VOID) if any(other.due_at for other in others):
                pass
            case AddAttempt(verb=verb, reason=reason):
                self.open(verb, self.payment.amount, reason)
            case CloseOtherAttempts():
                for other in others:
                    if other.attempt.verb is not Verb.REFUND:
                        self._close(other)

    def _close(self, row: Row) -> None:
        if row.attempt.status in UNFINISHED:
            row.attempt = replace(row.attempt, status=AttemptStatus.CANCELED)
        row.due_at = None

    def _check_step(self, before: Payment, row: Row | None, cause: Trigger, decided: Decision) -> None:
        state = self.payment.state
        if isinstance(cause, InDoubt):
            assert decided.event in DOUBT
        if state is State.DECLINED and before.state is not state:
            assert isinstance(cause, Declined | AuthenticationRequired)
        if state is State.FAILED and before.state is not state:
            is_closed = isinstance(cause, Approved) and cause.voided
            assert is_closed or isinstance(cause, NotSent)
        if isinstance(cause, Approved) and row is not None and row.attempt.verb.is_collecting:
            is_whole = cause.captured == row.attempt.amount
            assert not is_whole or state in COLLECTED
        if not isinstance(cause, Started) and row is not None and isinstance(cause, Outcome):
            again = decide(self.payment, row.attempt, cause, self.now, POLICY)
            assert again is None or again.event is None, f"{cause} is news twice"

    # --- the provider ---

    def charge_row(self) -> Row | None:
        """Return the charge whose money an operation is about, as the product finds it."""
        known = [row for row in self.rows if row.attempt.verb.is_collecting and row.attempt.id in self.intents]
        found = [row for row in known if row.attempt.status is AttemptStatus.SUCCEEDED]
        return next(iter(found), known[-1] if known else None)

    def truth(self, row: Row) -> Outcome:
        """Return what a look-up of the attempt shows."""
        if row.attempt.verb is Verb.REFUND:
            found = self.refunds.get(row.attempt.id)
            return found.outcome(f"re_{row.attempt.id}") if found else NotSent("not_created")
        owner = row if row.attempt.verb.is_collecting else self.charge_row()
        if owner is None or owner.attempt.id not in self.intents:
            return NotSent("not_created")
        return self.intents[owner.attempt.id].outcome(f"pi_{owner.attempt.id}")

    def execute(self, row: Row, behaviour: str, decline: DeclineClass) -> Outcome:
        """Let the provider carry a call out; return its answer."""
        if row.attempt.verb is Verb.REFUND:
            return self._execute_refund(row, behaviour)
        owner = row if row.attempt.verb.is_collecting else self.charge_row()
        assert owner is not None
        intent = self.intents.setdefault(owner.attempt.id, Object(amount=row.attempt.amount))
        possible = {
            Verb.CAPTURE: ("authorized",),
            Verb.VOID: ("created", "requires_action", "approved", "authorized", "declined", "unauthenticated"),
        }.get(row.attempt.verb, ("created", "approved"))
        if intent.status not in possible:
            return InDoubt("unexpected_state")
        if row.attempt.verb is Verb.VOID:
            intent.status = "canceled"
        elif row.attempt.verb is Verb.CAPTURE:
            intent.status, intent.taken = "succeeded", row.attempt.amount
        else:
            self.confirm(intent, row.attempt.verb, behaviour, decline)
        return self.truth(row)

    def confirm(self, intent: Object, verb: Verb, behaviour: str, decline: DeclineClass) -> None:
        """Let issuer, bank or customer decide on a charge."""
        intent.decline = decline
        if behaviour != "good":
            intent.status = behaviour
        elif verb is Verb.AUTHORIZE:
            intent.status, intent.expires_at = "authorized", self.now + WINDOW
        else:
            intent.status, intent.taken = "succeeded", intent.amount

    def _execute_refund(self, row: Row, behaviour: str) -> Outcome:
        if row.attempt.id not in self.refunds:
            given = sum(refund.amount for refund in self.refunds.values() if refund.status != "declined")
            if given + row.attempt.amount > self.captured_truly:
                return NotSent("charge_already_refunded", is_retryable=False)
            status = "processing" if behaviour == "processing" else "refunded"
            self.refunds[row.attempt.id] = Object(status, row.attempt.amount)
        return self.truth(row)

    @property
    def captured_truly(self) -> int:
        """What the provider has taken."""
        return sum(intent.taken for intent in self.intents.values())

    @property
    def refunded_truly(self) -> int:
        """What the provider has given back."""
        return sum(refund.amount for refund in self.refunds.values() if refund.status == "refunded")

    # --- what must always hold ---

    def check(self) -> None:
        """Check the invariants of the rows, and that nobody was charged twice."""
        payment = self.payment
        assert 0 <= payment.refunded <= payment.captured <= (payment.authorized or payment.amount) <= payment.amount
        assert sum(row.is_in_flight for row in self.rows) <= 1
        assert sum(intent.status in ("succeeded", "authorized") for intent in self.intents.values()) <= 1
        assert self.refunded_truly <= self.captured_truly <= payment.amount
        if payment.state in ENDED:
            # A void or refund may still be under way: neither takes money.
            taking = (Verb.CHARGE, Verb.AUTHORIZE, Verb.CAPTURE)
            assert not [row for row in self.rows if row.attempt.verb in taking and row.attempt.status in UNFINISHED]
        if payment.state not in (State.REVIEW, State.AMOUNT_MISMATCH) and payment.state not in ENDED:
            assert list(self.dues()), f"{payment.state} waits for nothing"

    def dues(self) -> Iterator[datetime]:
        """Yield every date on which somebody looks at the payment again."""
        yield from (row.due_at for row in self.rows if row.due_at)
        case: DunningCase | None = self.payment.case
        if case is not None and case.due_at:
            yield case.due_at
