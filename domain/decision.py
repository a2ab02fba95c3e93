"""The form of a decision: what it is based on (`DecisionContext`) and what it writes (`Decision`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TypedDict

from domain.backoff import (
    LONGEST_OUTAGE,
    NOT_SENT_TRIES,
    doubt_delay,
    next_waiting_look_up,
    not_sent_delay,
    outage_delay,
)
from domain.breaker import BreakerPolicy
from domain.decline import Decline, DeclineClass
from domain.declines.caps import VISA_CAP
from domain.dunning.case import OPEN_CASES
from domain.dunning.mail import MailPolicy
from domain.dunning.policy import DEFAULT_POLICY, DunningPolicy
from domain.dunning.schedule import EVERY_DAY, Calendar
from domain.dunning.segments import Segment
from domain.effects import AddAttempt, Effect
from domain.errors import IllegalTransition
from domain.fraud.policy import FraudPolicy
from domain.idempotency_key import KeyState, is_spent, may_be_renewed
from domain.movement import Movement
from domain.outcome import NotSent
from domain.payment import CLOSED, UNFINISHED, Attempt, AttemptStatus, DunningCase, Event, Payment, State, Verb
from domain.transitions import TRANSITIONS

# A dead worker is noticed when its lease ends; a living one renews the lease every third of it.
LEASE = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class Policy:
    """What an operator may configure.

    `dunning`: the policy of cases that fit no segment. `named_dunning`: the other policies of dunning by their names.
    `calendar`: its answers are for dunning. `zone`: of customers whose own is not known. `is_dunning_enabled`: False if
    a payment that fails opens no case.
    `max_claims`: an attempt that was begun this often without a recorded outcome crashes its workers, and is not
    begun again. `visa_cap`: how often one card is tried for one amount in 30 days, by Visa's limit."""

    dunning: DunningPolicy = field(default_factory=DunningPolicy)
    named_dunning: Mapping[str, DunningPolicy] = field(default_factory=dict)
    dunning_segments: tuple[Segment, ...] = ()
    calendar: Calendar = EVERY_DAY
    zone: tzinfo = UTC
    is_dunning_enabled: bool = True
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)
    mail: MailPolicy = field(default_factory=MailPolicy)
    action_expires_after: timedelta = timedelta(hours=24)
    max_claims: int = 5
    visa_cap: int = VISA_CAP
    fraud: FraudPolicy = field(default_factory=FraudPolicy)

    @property
    def dunning_names(self) -> tuple[str, ...]:
        """The names of all policies of dunning."""
        return (DEFAULT_POLICY, *sorted(self.named_dunning))

    def dunning_named(self, name: str | None) -> tuple[str, DunningPolicy]:
        """Return a policy of dunning and its name: the default one also for a name that is not configured any more.

        >>> Policy().dunning_named("gone")[0]
        'standard'
        """
        if name is not None and name in self.named_dunning:
            return name, self.named_dunning[name]
        return DEFAULT_POLICY, self.dunning


class PaymentChanges(TypedDict, total=False):
    """Columns of the payment that a decision sets beside its state and its amounts, which follow from movements."""

    lost: int
    authorization_expires_at: datetime | None
    next_action: dict[str, str] | None
    failure_code: str | None
    provider: str


class AttemptChanges(TypedDict, total=False):
    """Columns of the attempt that a decision sets. `due_at` None: nothing more is to be done on it."""

    status: AttemptStatus
    due_at: datetime | None
    finished_at: datetime | None
    provider_reference: str
    lookups: int
    looked_up_at: datetime
    waiting_since: datetime | None
    action_expires_at: datetime | None
    in_doubt_since: datetime | None
    retries: int
    claims: int
    key_number: int
    key_state: KeyState
    code: str | None
    param: str | None
    message: str | None
    decline_class: DeclineClass | None
    decline_code: str | None
    advice_code: str | None
    network_advice_code: str | None
    network_decline_code: str | None
    fingerprint: str
    network: str | None


# What an attempt shows that was refused: cleared when the provider's books show that it succeeded after all.
_NO_REFUSAL: AttemptChanges = {
    "code": None,
    "param": None,
    "message": None,
    "decline_class": None,
    "decline_code": None,
    "advice_code": None,
    "network_advice_code": None,
    "network_decline_code": None,
}


@dataclass(frozen=True, slots=True)
class Decision:
    """What to write. `event` None: only the bookkeeping of the attempt changes, nothing happened to the payment."""

    event: Event | None
    payment: PaymentChanges = field(default_factory=PaymentChanges)
    attempt: AttemptChanges = field(default_factory=AttemptChanges)
    effects: tuple[Effect, ...] = ()
    movements: tuple[Movement, ...] = ()

    @property
    def is_news(self) -> bool:
        """Whether anything happened to the payment, or an object of it is to be released."""
        is_release = any(isinstance(effect, AddAttempt) and effect.reference for effect in self.effects)
        return bool(self.event or self.payment or self.movements or is_release)

    @property
    def sends_attempt(self) -> bool:
        """Whether the attempt is due to be sent to its provider."""
        return self.attempt.get("status") is AttemptStatus.DUE

    def takes_lease(self, status: AttemptStatus) -> bool:
        """Tell whether the decision takes the lease of an attempt with this status. It does if the status changes: a
        worker that held the attempt must not write on top of that."""
        return self.attempt.get("status") != status


@dataclass(frozen=True, slots=True)
class DecisionContext:
    """A payment, the attempt that the trigger is about (if any), the time, and the operator's policy."""

    payment: Payment
    given_attempt: Attempt | None
    now: datetime
    policy: Policy

    @property
    def attempt(self) -> Attempt:
        """The attempt. Raises IllegalTransition where there is none, which is a bug of the caller."""
        if self.given_attempt is None:
            raise IllegalTransition("bug: this needs an attempt")
        return self.given_attempt

    @property
    def state(self) -> State:
        """The payment's state."""
        return self.payment.state

    @property
    def open_case(self) -> DunningCase | None:
        """The payment's dunning case while it is open."""
        case = self.payment.case
        return case if case is not None and case.state in OPEN_CASES else None

    def policy_of(self, case: DunningCase) -> DunningPolicy:
        """Return the policy of a dunning case. One that was opened by an earlier release has stored none."""
        return case.policy or self.policy.dunning

    def allows(self, event: Event) -> bool:
        """Tell whether the transition table has the event in the payment's state."""
        return (self.state, event) in TRANSITIONS

    def finish(self, status: AttemptStatus, reference: str | None = None, *, code: str | None = None) -> AttemptChanges:
        """Return the changes that finish the attempt."""
        changes: AttemptChanges = {"status": status, "due_at": None, "finished_at": self.now, "claims": 0}
        if status is AttemptStatus.SUCCEEDED and self.attempt.status in CLOSED:
            changes |= _NO_REFUSAL
        if reference is not None:
            changes["provider_reference"] = reference
        if code is not None:
            changes["code"] = code
        return changes

    def finish_declined(self, decline: Decline, reference: str | None) -> AttemptChanges:
        """Return the changes that finish the attempt with the provider's codes as they came."""
        codes: AttemptChanges = {
            "decline_class": decline.decline_class,
            "decline_code": decline.decline_code,
            "advice_code": decline.advice_code,
            "network_advice_code": decline.network_advice_code,
            "network_decline_code": decline.network_decline_code,
        }
        return self.finish(AttemptStatus.DECLINED, reference, code=decline.code) | codes

    def wait(
        self, status: AttemptStatus, reference: str | None = None, *, ends: tuple[datetime | None, ...] = ()
    ) -> AttemptChanges:
        """Return the changes of an attempt that waits for its bank or customer. `ends`: see `next_waiting_look_up`."""
        began_at = self.attempt.waiting_since or self.attempt.created_at
        since = began_at if self.waited_as(status) else self.now
        changes: AttemptChanges = {
            "status": status,
            "due_at": next_waiting_look_up(since, self.now, *ends),
            "waiting_since": since,
            "lookups": self.attempt.lookups + 1 if self.waited_as(status) else 0,
            "looked_up_at": self.now,
            "claims": 0,
            "in_doubt_since": self.attempt.in_doubt_since if status is AttemptStatus.IN_DOUBT else None,
        }
        if self.attempt.status in CLOSED:
            changes |= {"finished_at": None, **_NO_REFUSAL}
        if reference is not None:
            changes["provider_reference"] = reference
        return changes

    def look_up_later(self, delay: Callable[[int], timedelta]) -> Decision:
        """Look the attempt up again, and leave it as it is until then. `delay`: by the number of look-ups so far."""
        lookups = self.attempt.lookups
        return Decision(None, attempt={"due_at": self.now + delay(lookups), "lookups": lookups + 1})

    def close(self, status: AttemptStatus, reference: str | None = None, *, code: str | None = None) -> Decision | None:
        """Finish an attempt that changes nothing about its payment any more; None if it is finished already."""
        is_open = self.attempt.status in UNFINISHED
        return Decision(None, attempt=self.finish(status, reference, code=code)) if is_open else None

    def waited_as(self, status: AttemptStatus) -> bool:
        """Tell whether the attempt waited in this status before.

        A resumed charge that has to wait again continues its back-off schedule: starting it anew would look a stuck
        attempt up every few seconds for ever."""
        is_resumed = self.attempt.status is AttemptStatus.OPEN and self.attempt.lookups > 0
        return is_resumed or status is self.attempt.status

    def resume(self, reference: str) -> AttemptChanges:
        """Return the changes of an attempt whose charge goes on now."""
        attempt = self.attempt
        is_waiting = attempt.status is AttemptStatus.ACTION_REQUIRED
        return {
            "status": AttemptStatus.DUE,
            "due_at": self.now,
            "provider_reference": reference,
            "waiting_since": None,
            # Never back to zero: an attempt that falls into doubt again waits one step longer each time.
            "lookups": attempt.lookups + 1 if is_waiting else max(attempt.lookups, 1),
            **self._renewed_key(),
        }

    def send_again(self, outcome: NotSent) -> AttemptChanges:
        """Return the changes of an attempt that was proven not executed and is sent once more. An outage uses up no
        try."""
        attempt = self.attempt
        changes: AttemptChanges = {
            "due_at": self.now + not_sent_delay(attempt.retries, attempt.id),
            "retries": attempt.retries + 1,
        }
        if outcome.is_outage:
            since = attempt.waiting_since or self.now
            changes = {"due_at": self.now + outage_delay(self.now - since, attempt.id), "waiting_since": since}
        return changes | {
            "status": AttemptStatus.DUE,
            "lookups": 0,
            # A recorded outcome proves that the attempt does not crash its workers.
            "claims": 0 if attempt.status is AttemptStatus.OPEN else attempt.claims,
            **self._renewed_key(),
        }

    def _renewed_key(self) -> AttemptChanges:
        if not is_spent(self.attempt.key_state):
            return {}
        return {"key_number": self.attempt.key_number + 1, "key_state": KeyState.USABLE}

    @property
    def is_key_unproven(self) -> bool:
        """Whether the attempt's key is spent, and a call under it could still have an effect that a look-up shows
        later. The attempt is not sent under a new key before."""
        attempt = self.attempt
        is_refund = attempt.verb is Verb.REFUND
        is_proven = may_be_renewed(attempt.key_state, is_refund=is_refund, lookups=attempt.lookups)
        return attempt.status is AttemptStatus.IN_DOUBT and is_spent(attempt.key_state) and not is_proven

    @property
    def crashes_workers(self) -> bool:
        """Whether the attempt was begun too often without a recorded outcome."""
        return self.attempt.status is not AttemptStatus.OPEN and self.attempt.claims >= self.policy.max_claims

    @property
    def was_sent_before(self) -> bool:
        """Whether an earlier call of the attempt may have reached the provider: one whose outcome was unknown, or that
        was sent again."""
        return self.attempt.in_doubt_since is not None or self.attempt.retries > 0

    def is_exhausted(self, outcome: NotSent) -> bool:
        """Tell whether the attempt is not sent again: too many tries, too many workers crashed, or an outage is too
        long for a charge."""
        attempt = self.attempt
        if outcome.is_outage and not self.crashes_workers:
            waited = self.now - (attempt.waiting_since or self.now)
            return attempt.verb.is_collecting and waited >= LONGEST_OUTAGE
        return self.crashes_workers or attempt.retries + 1 >= NOT_SENT_TRIES

    def doubt(self, event: Event, *, is_worker_lost: bool = False) -> Decision:
        """Keep the attempt in doubt and schedule the next look-up; `event` is recorded the first time only."""
        attempt = self.attempt
        if attempt.status in (AttemptStatus.PENDING, AttemptStatus.ACTION_REQUIRED, AttemptStatus.SUCCEEDED):
            # The look-up failed. What was recorded before still holds.
            return self.look_up_later(doubt_delay)
        is_known = attempt.status is AttemptStatus.IN_DOUBT
        is_again = self.waited_as(AttemptStatus.IN_DOUBT)
        changes: AttemptChanges = {
            "status": AttemptStatus.IN_DOUBT,
            "due_at": self.now + doubt_delay(attempt.lookups if is_again else 0),
            "lookups": attempt.lookups + 1 if is_again else 0,
        }
        if attempt.in_doubt_since is None or not is_again:
            changes["in_doubt_since"] = self.now
        if not is_worker_lost:
            # A recorded outcome, even one of doubt, proves that the attempt does not crash its workers.
            changes["claims"] = 0
        return Decision(None if is_known or not self.allows(event) else event, attempt=changes)
