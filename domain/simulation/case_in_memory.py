"""A payment with its dunning case in memory: the decisions of `domain.state_machine` applied to values.

What one payment needs, and no more: there is one invoice, one subscription and one instrument, and nobody else writes.
That a database holds the same afterwards is shown by tests/integration/test_dunning_histories.py."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from domain.commands import CancelRequested, RetryRequested, Started, Trigger, TryRefused
from domain.decision import Decision, Policy
from domain.decline import Decline
from domain.declines.caps import Refusal, Try, refusal_of
from domain.declines.classes import DeclineClass, gravest
from domain.dunning.case import CaseState, SubscriptionStatus, TryCause, may_become
from domain.dunning.mail import Debt, Mail, Stop, Wait, Waiting, why_not_sent
from domain.dunning.policy import DunningPolicy
from domain.dunning.segments import SegmentFacts
from domain.effects import AddAttempt, MarkSubscription, NoteDecline, Notify, SaveCase
from domain.errors import IllegalTransition
from domain.instrument import KnownInstrument
from domain.invoice import InvoicePosition, due_of_case
from domain.movement import amounts_after
from domain.outbox import MailStatus
from domain.payment import COLLECTED, IN_DUNNING, LIVE, Attempt, AttemptStatus, Event, Payment, State, Verb
from domain.simulation.customer_model import FirstFailure
from domain.state_machine import decide, target

# A case waits for a try that is under way; look-ups would only repeat that.
_PAUSE = timedelta(hours=1)


class Happened(NamedTuple):
    """An event of the payment, with the case and the subscription as they are after it."""

    at: datetime
    event: Event
    case: CaseState | None
    subscription: SubscriptionStatus


@dataclass(slots=True)
class _Letter:
    mail: Mail
    since: datetime
    due_at: datetime


@dataclass(slots=True)
class CaseInMemory:
    """The payment of a first failure, from its charge until its case is closed.

    `attempt`: the newest one; `attempt_due_at`: when it is sent. `known`: what its decline has told of the instrument.
    `made`: the tries that the networks' limits may count. `happened`: its events so far."""

    failure: FirstFailure
    policy: Policy
    now: datetime
    payment: Payment = field(init=False)
    attempt: Attempt = field(init=False)
    attempt_due_at: datetime | None = field(init=False)
    subscription: SubscriptionStatus = SubscriptionStatus.ACTIVE
    known: KnownInstrument | None = None
    made: list[Try] = field(default_factory=list)
    happened: list[Happened] = field(default_factory=list)
    sent: list[tuple[datetime, Mail]] = field(default_factory=list)
    _attempts: int = 0
    _written: set[Mail] = field(default_factory=set)
    _letters: list[_Letter] = field(default_factory=list)
    _failure_code: str | None = None

    def __post_init__(self) -> None:
        failure = self.failure
        facts = SegmentFacts(
            failure.id, "simulation", failure.amount, failure.currency, failure.method, country=failure.country
        )
        self.payment = Payment(
            id=failure.id,
            state=State.ACCEPTED,
            amount=failure.amount,
            authorized=0,
            captured=0,
            refunded=0,
            is_off_session=True,
            is_client_confirmed=False,
            subscription_id=f"sub_{failure.id}",
            created_at=self.now,
            is_debit=failure.is_debit,
            segment_facts=facts,
            zone=failure.zone,
        )
        self._add_attempt(None)

    # --- how it stands ---

    @property
    def due_at(self) -> datetime | None:
        """When the case is due; None while nothing is planned."""
        return self.payment.case.due_at if self.payment.case is not None else None

    @property
    def letter_due_at(self) -> datetime | None:
        """When the next mail is due."""
        return min((letter.due_at for letter in self._letters), default=None)

    @property
    def is_paid(self) -> bool:
        """Whether the debt is paid, by this payment or by another one."""
        case = self.payment.case
        return self.payment.state in COLLECTED or (case is not None and case.state is CaseState.RECOVERED)

    @property
    def is_live(self) -> bool:
        """Whether the payment is collecting now, so that nobody else may."""
        return self.payment.state in LIVE

    # --- what may happen ---

    def apply(self, trigger: Trigger, *, is_about_attempt: bool) -> Decision | None:
        """Decide on what happens now, and keep what follows. None: nothing does."""
        attempt = self.attempt if is_about_attempt else None
        decision = decide(self.payment, attempt, trigger, self.now, self.policy)
        if decision is None:
            return None
        self._keep(decision, is_about_attempt)
        for effect in decision.effects:
            match effect:
                case SaveCase(case=case):
                    self.payment = replace(self.payment, case=case)
                case MarkSubscription(status=status) if may_become(self.subscription, status):
                    self.subscription = status
                case AddAttempt(cause=cause):
                    self._add_attempt(cause)
                case NoteDecline(decline=decline):
                    self._note(decline)
                case Notify(mail=mail) if mail not in self._written:
                    self._written.add(mail)
                    self._letters.append(_Letter(mail, self.now, self.now))
        if decision.event is not None:
            state = self.payment.case.state if self.payment.case else None
            self.happened.append(Happened(self.now, decision.event, state, self.subscription))
        return decision

    def start(self, *, is_screened: bool) -> bool:
        """Begin the attempt that is due, unless its instrument must not be tried; return whether it is sent.

        `is_screened`: whether anybody asks."""
        refusal = self._refusal() if is_screened else None
        if refusal is not None:
            self.apply(TryRefused(refusal), is_about_attempt=True)
            return False
        self.apply(Started(self.known), is_about_attempt=True)
        return True

    def move_on(self) -> None:
        """Do what is due on the case, as `tasks.dunning` does."""
        case = self.payment.case
        if case is None:
            raise IllegalTransition("bug: a payment without a case has nothing due")
        if self.is_live:
            self.payment = replace(self.payment, case=replace(case, due_at=self.now + _PAUSE))
            return
        collected = self.payment.amount if self.is_paid else 0
        position = InvoicePosition(self.payment.amount, self.failure.currency, collected, None, is_dunned=True)
        has_ended = self.subscription is SubscriptionStatus.CANCELED
        due = due_of_case(case.state, position, self.payment.amount, is_subscription_canceled=has_ended)
        self.apply(due, is_about_attempt=False)

    def renew_instrument(self) -> None:
        """Let the network give the card's new number: it is tried at once if its debt is in dunning."""
        known = self.known
        if known is not None and known.blocked_as is not DeclineClass.CONSENT_WITHDRAWN:
            self.known, self.made = None, []
        if self.payment.state in IN_DUNNING:
            self.apply(RetryRequested(TryCause.UPDATER), is_about_attempt=False)

    def end_subscription(self) -> None:
        """Let the customer end the subscription: its dunning stops."""
        self.subscription = SubscriptionStatus.CANCELED
        self.apply(CancelRequested(), is_about_attempt=False)

    def send_letter(self) -> Mail | None:
        """Send the mail that is due next, unless it is too early or not true any more; return it if it is sent."""
        letter = min(self._letters, key=lambda each: each.due_at)
        match why_not_sent(self._waiting(letter), self._debt()):
            case Wait(until=until):
                letter.due_at = until.astimezone(self.now.tzinfo)
                return None
            case Stop():
                self._letters.remove(letter)
                return None
        self._letters.remove(letter)
        self.sent.append((self.now, letter.mail))
        return letter.mail

    # --- what is kept ---

    def _keep(self, decision: Decision, is_about_attempt: bool) -> None:
        payment = self.payment
        if decision.event is not None:
            payment = replace(payment, state=target(payment.state, decision.event))
        if decision.movements:
            captured = amounts_after({"captured": payment.captured}, decision.movements)["captured"]
            payment = replace(payment, captured=captured)
        self._failure_code = decision.payment.get("failure_code", self._failure_code)
        self.payment = payment
        if is_about_attempt and decision.attempt:
            known = {name: value for name, value in decision.attempt.items() if name in _OF_ATTEMPT}
            self.attempt = replace(self.attempt, **known)  # type: ignore[arg-type]
            is_due = self.attempt.status is AttemptStatus.DUE
            self.attempt_due_at = decision.attempt.get("due_at") if is_due else None

    def _add_attempt(self, cause: TryCause | None) -> None:
        self._attempts += 1
        self.attempt = Attempt(
            id=f"{self.failure.id}.{self._attempts}",
            verb=Verb.CHARGE,
            status=AttemptStatus.DUE,
            amount=self.failure.amount,
            lookups=0,
            retries=0,
            claims=0,
            created_at=self.now,
            cause=cause,
        )
        self.attempt_due_at = self.now

    def _note(self, decline: Decline) -> None:
        blocked = [self.known.blocked_as] if self.known is not None else []
        if decline.is_blocking:
            blocked.append(decline.decline_class)
        gravest_of_all = gravest([each for each in blocked if each is not None])
        self.known = KnownInstrument(self.failure.id, self.failure.network, gravest_of_all)

    def _refusal(self) -> Refusal | None:
        if self.known is None:
            return None
        following = Try(self.now, self.failure.amount, self.failure.currency, self.failure.id)
        return refusal_of(self.known, self.made, following, self.policy.visa_cap, is_off_session=True)

    def _waiting(self, letter: _Letter) -> Waiting:
        local = self.now.astimezone(self.failure.zone)
        return Waiting(letter.mail, letter.since, 0, MailStatus.OK, local)

    def _debt(self) -> Debt:
        case = self.payment.case
        return Debt(self.payment.state, case.state if case else None, self._failure_code, is_told=bool(self.sent))


# What decisions read of an attempt; its other columns are for people.
_OF_ATTEMPT = frozenset(Attempt.__dataclass_fields__)


def policy_for(dunning: DunningPolicy, general: Policy) -> Policy:
    """Return what is configured if all cases follow this policy of dunning."""
    return replace(general, dunning=dunning, named_dunning={}, dunning_segments=())
