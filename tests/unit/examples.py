"""Payments, attempts and outcomes that the unit tests of decisions start from, and what follows from them."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from domain.attention import Reason
from domain.commands import Trigger
from domain.decision import Decision, Policy
from domain.decline import Decline, DeclineClass
from domain.dunning.case import CaseState
from domain.effects import Effect, OpenAttention
from domain.movement import amounts_after
from domain.outcome import ActionRequired, Approved, AuthenticationRequired, Declined
from domain.payment import Attempt, AttemptStatus, DunningCase, Payment, State, Verb
from domain.state_machine import decide, target

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
POLICY = Policy()


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


def declined(decline_class: DeclineClass = DeclineClass.SOFT, reference: str | None = "pi_1") -> Declined:
    """Return a decline of that class."""
    return Declined(reference, Decline("card_declined", decline_class, "insufficient_funds"))


WHOLE = Approved("pi_1", authorized=1000, captured=1000)
HELD = Approved("pi_1", authorized=1000, authorization_expires_at=NOW + timedelta(days=7))
VOIDED = Approved("pi_1", voided=True)
AWAY = AuthenticationRequired("pi_1", declined(DeclineClass.NEEDS_CUSTOMER).decline)
ACTION = ActionRequired("pi_1", {"type": "redirect", "redirect_url": "https://bank.example"})
RETRYING = DunningCase(CaseState.RETRYING, NOW - timedelta(days=3), retry=1, due_at=NOW)
GRACE = DunningCase(CaseState.IN_GRACE, NOW - timedelta(days=21), 3, due_at=NOW, grace_ends_at=NOW)


AUTHORIZED: dict[str, Any] = {"state": State.AUTHORIZED, "authorized": 1000}


def decision_on(cause: Trigger, attempt: Any = ..., **payment: Any) -> Decision:
    """Return what follows for a payment that is being processed."""
    given = new_payment(**({"state": State.PROCESSING} | payment))
    decided = decide(given, new_attempt() if attempt is ... else attempt, cause, NOW, POLICY)
    assert decided is not None
    return decided


def amounts(cause: Trigger, attempt: Any = ..., **payment: Any) -> dict[str, int]:
    """Return the amounts of the payment that the decision changes."""
    given = new_payment(**({"state": State.PROCESSING} | payment))
    return amounts_after(asdict(given), decision_on(cause, attempt, **payment).movements)


def opened(decided: Decision) -> list[tuple[Reason, int]]:
    """Return what a decision puts on the attention list: each reason, and what is at stake."""
    return [(effect.reason, effect.amount) for effect in decided.effects if isinstance(effect, OpenAttention)]


def state_after(cause: Trigger, attempt: Any = ..., **payment: Any) -> State:
    """Return the state that follows."""
    decided = decision_on(cause, attempt, **payment)
    state = payment.get("state", State.PROCESSING)
    return state if decided.event is None else target(state, decided.event)


def follow(
    payment: Payment, attempt: Attempt, cause: Trigger, now: datetime = NOW, *, effects: tuple[Effect, ...] = ()
) -> tuple[Payment, Attempt]:
    """Return payment and attempt as the decision leaves them; it has these effects and no others."""
    decided = decide(payment, attempt, cause, now, POLICY)
    assert decided is not None
    assert decided.effects == effects
    state = payment.state if decided.event is None else target(payment.state, decided.event)
    of_payment, of_attempt = ({field.name for field in fields(value)} for value in (payment, attempt))
    booked = amounts_after(asdict(payment), decided.movements)
    amounts = {name: value for name, value in (decided.payment | booked).items() if name in of_payment}
    changes = {name: value for name, value in decided.attempt.items() if name in of_attempt}
    return replace(payment, state=state, **amounts), replace(attempt, **changes)
