"""The form of a decision: the situation it is made in, and the step that is to be written."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from domain.backoff import NOT_SENT_TRIES, doubt_delay, not_sent_delay
from domain.breaker import BreakerPolicy
from domain.dunning import DunningPolicy, SubscriptionStatus
from domain.errors import IllegalTransition
from domain.payment import TRANSITIONS, Attempt, AttemptStatus, DunningCase, Event, Payment, State, Verb

# A worker that dies is noticed when its lease ends; a living one renews every third of it.
LEASE = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class Policy:
    """What an operator may configure about settlement. `max_claims`: an attempt that was begun so often
    without an answer being recorded kills its worker, and is not begun again."""

    dunning: DunningPolicy = field(default_factory=DunningPolicy)
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)
    action_expires_after: timedelta = timedelta(hours=24)
    max_claims: int = 5


@dataclass(frozen=True, slots=True)
class SaveCase:
    """Open or move the dunning case of the payment."""

    case: DunningCase


@dataclass(frozen=True, slots=True)
class MarkSubscription:
    """Tell the subscription how its payment stands."""

    status: SubscriptionStatus


@dataclass(frozen=True, slots=True)
class OpenAttempt:
    """Store a new attempt of the payment, due now, at its provider unless another is named. `reference`: the object
    that it is about, where that is not the payment's charge."""

    verb: Verb
    reason: str | None = None
    provider: str | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class CloseOtherAttempts:
    """Nothing else of this payment is waited for any more."""


@dataclass(frozen=True, slots=True)
class CloseSiblingCases:
    """The invoice is collected: end the dunning of its other payments."""


Effect = SaveCase | MarkSubscription | OpenAttempt | CloseOtherAttempts | CloseSiblingCases


@dataclass(frozen=True, slots=True)
class Decision:
    """What to write. `event` None: only the attempt's bookkeeping moves, nothing happened to the payment."""

    event: Event | None
    payment: dict[str, Any] = field(default_factory=dict)
    attempt: dict[str, Any] = field(default_factory=dict)
    effects: tuple[Effect, ...] = ()


@dataclass(frozen=True, slots=True)
class DecisionContext:
    """A payment, the attempt in question if there is one, the time, and the operator's policy."""

    payment: Payment
    given_attempt: Attempt | None
    now: datetime
    policy: Policy

    @property
    def attempt(self) -> Attempt:
        """The attempt; asking for it where there is none is a bug of the caller."""
        if self.given_attempt is None:
            raise IllegalTransition("bug: this needs an attempt")
        return self.given_attempt

    @property
    def state(self) -> State:
        """The payment's state."""
        return self.payment.state

    def allows(self, event: Event) -> bool:
        """Tell whether the table has an arrow for the event."""
        return (self.state, event) in TRANSITIONS

    def done(self, status: AttemptStatus, reference: str | None = None, **columns: Any) -> dict[str, Any]:
        """Return the columns that close the attempt."""
        closing: dict[str, Any] = {"status": status, "due_at": None, "finished_at": self.now, "claims": 0}
        if reference is not None:
            closing["provider_reference"] = reference
        return closing | columns

    def waiting(self, status: AttemptStatus, delay: timedelta, reference: str | None = None) -> dict[str, Any]:
        """Return the columns of an attempt that is to be looked at again after `delay`."""
        looked = {
            "status": status,
            "due_at": self.now + delay,
            "lookups": self.attempt.lookups + 1 if self.waits_on(status) else 0,
            "claims": 0,
        }
        return looked if reference is None else looked | {"provider_reference": reference}

    def waits_on(self, status: AttemptStatus) -> bool:
        """Whether it waited like this before: a charge that went on, only to wait again, begins no new ladder."""
        is_resumed = self.attempt.status is AttemptStatus.OPEN and self.attempt.lookups > 0
        return is_resumed or status is self.attempt.status

    def resumed(self, reference: str) -> dict[str, Any]:
        """Return the columns of an attempt whose charge goes on now."""
        attempt = self.attempt
        is_waiting = attempt.status is AttemptStatus.ACTION_REQUIRED
        return {
            "status": AttemptStatus.DUE,
            "due_at": self.now,
            "provider_reference": reference,
            # Looks go on being counted: what was in doubt before is waited for longer and longer, a rung each time.
            "lookups": attempt.lookups + 1 if is_waiting else max(attempt.lookups, 1),
        }

    def again(self) -> dict[str, Any]:
        """Return the columns of an attempt that was proven not executed and is to be sent once more."""
        attempt = self.attempt
        return {
            "status": AttemptStatus.DUE,
            "due_at": self.now + not_sent_delay(attempt.retries, attempt.id),
            "retries": attempt.retries + 1,
            "lookups": 0,
            # An answer was recorded: the attempt does not kill its workers.
            "claims": 0 if attempt.status is AttemptStatus.OPEN else attempt.claims,
        }

    @property
    def crashes_workers(self) -> bool:
        """Whether too many workers died of the attempt."""
        return self.attempt.status is not AttemptStatus.OPEN and self.attempt.claims >= self.policy.max_claims

    @property
    def is_exhausted(self) -> bool:
        """Whether sending once more is pointless: too many tries, or too many workers that died of it."""
        return self.crashes_workers or self.attempt.retries + 1 >= NOT_SENT_TRIES

    def in_doubt(self, event: Event, *, is_worker_lost: bool = False) -> Decision:
        """Keep the attempt in doubt and plan the next look; `event` is recorded the first time."""
        attempt = self.attempt
        if attempt.status in (AttemptStatus.PENDING, AttemptStatus.ACTION_REQUIRED, AttemptStatus.SUCCEEDED):
            # The provider could not be asked; what was known before still holds.
            again = {"due_at": self.now + doubt_delay(attempt.lookups), "lookups": attempt.lookups + 1}
            return Decision(None, attempt=again)
        is_known = attempt.status is AttemptStatus.IN_DOUBT
        is_again = self.waits_on(AttemptStatus.IN_DOUBT)
        doubting = {
            "status": AttemptStatus.IN_DOUBT,
            "due_at": self.now + doubt_delay(attempt.lookups if is_again else 0),
            "lookups": attempt.lookups + 1 if is_again else 0,
        }
        if not is_worker_lost:
            # An answer was recorded, if only that there is none: the attempt does not kill its workers.
            doubting["claims"] = 0
        return Decision(None if is_known or not self.allows(event) else event, attempt=doubting)
