"""Plays a customer of the model: their charges, their mails and their days, with the product's decisions in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from domain.commands import InvoicePaidOtherwise
from domain.decision import Policy
from domain.decline import Decline, DeclineClass
from domain.declines.caps import Try
from domain.dunning.case import TryCause, is_planned
from domain.dunning.mail import Mail
from domain.dunning.policy import STANDARD, DunningPolicy
from domain.errors import IllegalTransition
from domain.outcome import Approved, Declined, NotSent, Pending
from domain.payment import IN_DUNNING, AttemptStatus
from domain.simulation.assumptions import DEBIT_TAKES
from domain.simulation.case_in_memory import CaseInMemory, Happened, policy_for
from domain.simulation.customer_model import Customer

# Nobody pays twice at once: a customer who finds a try under way comes back.
COMES_BACK = timedelta(hours=6)
# Longer than any case lives: 90 days to the last retry, and a year of grace.
_ENDLESS = timedelta(days=500)


@dataclass(frozen=True, slots=True)
class Strategy:
    """A way to collect debts. `is_blind`: it knows nothing of declines, and nothing of limits."""

    name: str
    policy: DunningPolicy
    is_blind: bool = False


# What a system does that reads no decline code: every failure is retried on days 3, 7 and 14.
CODE_BLIND = Strategy("code_blind", STANDARD, is_blind=True)


class Tried(NamedTuple):
    """A try that reached the issuer or the bank. `sent_at`: before `at` only for a debit, which is decided later.
    `decline` None: it was approved. `planned_from`: the first failure that its plan counts from."""

    sent_at: datetime
    at: datetime
    cause: TryCause | None
    fingerprint: str
    decline: Decline | None
    planned_from: datetime | None


@dataclass(slots=True)
class History:
    """What has become of a customer under a strategy. `paid_by`: `retry`, `updater` or `customer`. `left_at`: when
    they have ended the subscription. `unsent`: how many charges reached no issuer."""

    customer: Customer
    strategy: Strategy
    paid_at: datetime | None = None
    paid_by: str | None = None
    left_at: datetime | None = None
    unsent: int = 0
    tries: list[Tried] = field(default_factory=list)
    mails: list[tuple[datetime, Mail]] = field(default_factory=list)
    happened: list[Happened] = field(default_factory=list)

    @property
    def retries(self) -> list[Tried]:
        """The tries after the first charge."""
        return [each for each in self.tries if each.cause is not None]


def play(customer: Customer, strategy: Strategy, general: Policy, lasts: timedelta = _ENDLESS) -> History:
    """Return what becomes of a customer within a time after their first failure; without one, until all is over.

    `general`: what an operator has configured besides: calendar, limits, whether mails are sent."""
    player = _Player(customer, strategy, general)
    end = customer.failure.at + lasts
    while (step := min(player.steps(), default=None)) is not None and step.at <= end:
        player.case.now = max(player.case.now, step.at)
        step.act()
    player.history.mails, player.history.happened = player.case.sent, player.case.happened
    return player.history


class _Step(NamedTuple):
    """Something that happens. Of what is due at the same instant, the lower rank comes first."""

    at: datetime
    rank: int
    act: Callable[[], None]


class _Player:
    def __init__(self, customer: Customer, strategy: Strategy, general: Policy) -> None:
        self.customer, self.strategy = customer, strategy
        failure = customer.failure
        sent_at = failure.at - DEBIT_TAKES if failure.is_debit else failure.at
        self.case = CaseInMemory(failure, policy_for(strategy.policy, general), sent_at)
        self.history = History(customer, strategy)
        self.bank_decides_at: datetime | None = None
        self.sent_at = sent_at
        self.renewed_at = None if strategy.is_blind else customer.renewed_at
        self.pays_at = customer.pays_unasked_at
        self.leaves_at: datetime | None = None

    def steps(self) -> Iterator[_Step]:
        """Yield what is to come, each with its time."""
        case = self.case
        open_steps = (
            (self.bank_decides_at, self._decide_at_bank),
            (case.attempt_due_at, self._charge),
            (self.renewed_at, self._renew),
            (self.leaves_at, self._leave),
            (self.pays_at, self._pay),
            (case.due_at, case.move_on),
            (case.letter_due_at, self._send_letter),
        )
        for rank, (at, act) in enumerate(open_steps):
            if at is not None:
                yield _Step(at, rank, act)

    def _charge(self) -> None:
        if not self.case.start(is_screened=not self.strategy.is_blind):
            return
        now = self.sent_at = self.case.now
        if not self.customer.is_reachable(now):
            self.history.unsent += 1
            self.case.apply(NotSent("provider_down", is_outage=True), is_about_attempt=True)
        elif self.customer.failure.is_debit:
            self.bank_decides_at = now + DEBIT_TAKES
            self.case.apply(Pending(self.case.attempt.id), is_about_attempt=True)
        else:
            self._end_try(now)

    def _decide_at_bank(self) -> None:
        self.bank_decides_at = None
        self._end_try(self.case.now)

    def _end_try(self, now: datetime) -> None:
        attempt, case = self.case.attempt, self.case.payment.case
        planned_from = case.first_failed_at if case is not None else None
        is_approved = self.customer.approves(now)
        decline = None if is_approved else self.customer.failure.decline
        fingerprint = self.customer.fingerprint(now)
        self.history.tries.append(Tried(self.sent_at, now, attempt.cause, fingerprint, decline, planned_from))
        amount = attempt.amount
        if decline is None:
            self._note_paid("retry" if is_planned(attempt.cause) else str(attempt.cause))
            self.case.apply(Approved(attempt.id, authorized=amount, captured=amount), is_about_attempt=True)
        else:
            self.case.made.append(Try(now, amount, self.customer.failure.currency, self.customer.failure.id))
            self.case.apply(Declined(attempt.id, self._as_read(decline)), is_about_attempt=True)

    def _as_read(self, decline: Decline) -> Decline:
        """Return the decline as this strategy reads it: one that is blind sees that the charge has failed."""
        return Decline("card_declined", DeclineClass.SOFT) if self.strategy.is_blind else decline

    def _renew(self) -> None:
        self.renewed_at = None
        self.case.renew_instrument()

    def _leave(self) -> None:
        """End the subscription, which stops its dunning. A debt that is paid or given up stays as it is."""
        if self._is_busy:
            self.leaves_at = self.case.now + COMES_BACK
            return
        self.leaves_at = None
        if self.case.payment.state in IN_DUNNING:
            self.pays_at = None
            self.case.end_subscription()
            self.history.left_at = self.case.now

    def _pay(self) -> None:
        if self._is_busy:
            self.pays_at = self.case.now + COMES_BACK
            return
        self.pays_at = None
        if not self.case.is_paid:
            if self.case.apply(InvoicePaidOtherwise(), is_about_attempt=False) is None:
                raise IllegalTransition("bug: a debt that is owed can be paid")
            self._note_paid("customer")

    @property
    def _is_busy(self) -> bool:
        """Whether a try is under way, so that nobody else may collect."""
        return self.case.is_live or self.case.attempt.status is AttemptStatus.DUE

    def _note_paid(self, by: str) -> None:
        self.history.paid_at, self.history.paid_by = self.case.now, by

    def _send_letter(self) -> None:
        mail = self.case.send_letter()
        if mail is None or self.case.is_paid or self.history.left_at is not None:
            return
        now = self.case.now
        self.pays_at = min(filter(None, (self.pays_at, self.customer.reaction(mail, now))), default=None)
        self.leaves_at = min(filter(None, (self.leaves_at, self.customer.departure(mail, now))), default=None)
