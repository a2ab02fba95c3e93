"""A provider in memory, for histories of hundreds of steps: what really happened to the money, and how each call ends.

It reads none of our rows. `plan` decides how the next call ends; the provider keeps one object for each
attempt, as a provider does that is given the attempt's id as idempotency key.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from domain.decline import Decline, DeclineClass
from domain.outcome import (
    ActionRequired,
    AmountMismatch,
    Approved,
    AuthenticationRequired,
    CustomerApproved,
    Declined,
    InDoubt,
    NotSent,
    Outcome,
    Pending,
)
from domain.payment import Verb
from gateways.base import AttemptRequest, SaveReference, VerifiedWebhook, WebhookEvent

AUTHORIZATION_LASTS = timedelta(days=7)
# The statuses in which an intent can be captured, voided, or else charged.
_POSSIBLE = {
    Verb.CAPTURE: ("authorized", "unresolved"),
    Verb.VOID: ("created", "requires_action", "approved", "authorized", "declined", "unauthenticated"),
}
_CHARGEABLE = ("created", "approved")


@dataclass(frozen=True)
class Plan:
    """How one call ends. `way`: what becomes of the call; `behaviour`: what issuer, bank or customer do about it."""

    way: str = "sent"
    behaviour: str = "good"
    decline: DeclineClass = DeclineClass.SOFT


@dataclass
class Object:
    """An intent or a refund at the provider. `received`: the amount that came instead of what was asked. It is taken if
    the status is mismatched; unresolved money is taken once it is accepted."""

    payment_id: str
    attempt_id: str
    reference: str
    amount: int
    status: str = "created"
    taken: int = 0
    received: int = 0
    expires_at: datetime | None = None
    decline: DeclineClass = DeclineClass.SOFT

    def outcome(self, verb: Verb = Verb.CHARGE) -> Outcome:
        """Return what a gateway says of it, to an attempt with this verb."""
        match self.status:
            case "succeeded":
                return Approved(self.reference, authorized=self.received or self.amount, captured=self.taken)
            case "authorized":
                return Approved(self.reference, authorized=self.amount, authorization_expires_at=self.expires_at)
            case "canceled":
                return Approved(self.reference, voided=True)
            case "refunded":
                return Approved(self.reference, refunded=self.amount)
            case "approved":
                return CustomerApproved(self.reference)
            case "processing":
                return Pending(self.reference)
            case "mismatched" if verb.is_collecting:
                return AmountMismatch(self.reference, self.received, "other_amount")
            case "mismatched":
                # Only a charge is compared with what was asked, see `AttemptRequest.compared`.
                return Approved(self.reference, authorized=self.received, captured=self.taken)
            case "unresolved" if verb is Verb.CAPTURE:
                return NotSent("not_executed", reference=self.reference)
            case "unresolved":
                return AmountMismatch(self.reference, self.received, "underpaid")
            case "requires_action":
                return ActionRequired(self.reference, {"type": "redirect"})
            case "declined":
                return Declined(self.reference, _decline(self.decline))
            case "unauthenticated":
                return AuthenticationRequired(self.reference, _decline(DeclineClass.NEEDS_CUSTOMER))
        return NotSent("not_confirmed", reference=self.reference)


def _decline(decline_class: DeclineClass) -> Decline:
    return Decline("card_declined", decline_class, "insufficient_funds")


@dataclass
class SimulatedProvider:
    """A gateway and the provider behind it.

    `during_call`: called while a call runs that is overtaken or outrun. `before_confirm`: once the reference of a
    charge is stored. `before_look_up`: when one begins. `after_look_up`: while the outcome of a look-up is on its way.
    `events`: what webhooks say, oldest first: the object, and its outcome at that time."""

    plan: Callable[[AttemptRequest], Plan] = lambda _: Plan()
    is_up: Callable[[], bool] = lambda: True
    during_call: Callable[[AttemptRequest], None] = lambda _: None
    before_confirm: Callable[[AttemptRequest], None] = lambda _: None
    before_look_up: Callable[[AttemptRequest], None] = lambda _: None
    after_look_up: Callable[[AttemptRequest], None] = lambda _: None
    now: Callable[[], datetime] = datetime.now
    intents: dict[str, Object] = field(default_factory=dict)
    refunds: dict[str, Object] = field(default_factory=dict)
    # Calls that were sent and have not arrived yet.
    late: list[tuple[AttemptRequest, Plan]] = field(default_factory=list)
    events: list[tuple[Object, Outcome]] = field(default_factory=list)
    provider: str = "stripe"
    region: str | None = None

    # --- the gateway ---

    def charge(self, attempt: AttemptRequest, save_reference: SaveReference) -> Outcome:
        """Charge or authorize: the object is made and stored first, then confirmed."""
        plan = self.plan(attempt)
        if (refusal := self._refusal(attempt, plan)) is not None:
            return refusal
        intent = self.intents.setdefault(attempt.attempt_id, self._object(attempt, "pi"))
        if plan.way == "paused":
            self.during_call(attempt)
        save_reference(intent.reference)
        self.before_confirm(attempt)
        return self._call(attempt, plan)

    def capture(self, attempt: AttemptRequest) -> Outcome:
        """Capture."""
        return self._operate(attempt)

    def void(self, attempt: AttemptRequest) -> Outcome:
        """Void."""
        return self._operate(attempt)

    def refund(self, attempt: AttemptRequest) -> Outcome:
        """Refund."""
        return self._operate(attempt)

    def retrieve(self, attempt: AttemptRequest) -> Outcome:
        """Look an attempt up; in doubt while the provider is down."""
        self.before_look_up(attempt)
        outcome = self.truth(attempt) if self.is_up() else InDoubt("no_answer")
        self.after_look_up(attempt)
        return outcome

    def verify_webhook(self, body: bytes, headers: Mapping[str, str], now: datetime, url: str = "") -> VerifiedWebhook:
        """Refuse: histories store their webhooks themselves."""
        raise NotImplementedError

    def read_webhook(self, payload: str) -> WebhookEvent | None:
        """Read an event, which may be old by now, or say nothing of the object's status."""
        body = json.loads(payload)
        subject, outcome = self.events[body["number"]]
        return WebhookEvent(subject.reference, subject.attempt_id, outcome if body["has_status"] else None)

    def check(self) -> str:
        """Return a line about the account."""
        return "simulated"

    def _operate(self, attempt: AttemptRequest) -> Outcome:
        plan = self.plan(attempt)
        refusal = self._refusal(attempt, plan)
        return self._call(attempt, plan) if refusal is None else refusal

    def _refusal(self, attempt: AttemptRequest, plan: Plan) -> NotSent | None:
        """Return how a call ends that is not carried out."""
        # The provider repeats its first response under a key: a call that runs or was executed is never refused later.
        known = self.intents.get(attempt.attempt_id)
        was_executed = attempt.attempt_id in self.refunds or (known is not None and known.status != "created")
        is_running = any(sent.attempt_id == attempt.attempt_id for sent, _ in self.late)
        if plan.way == "at fault" and not was_executed and not is_running:
            return NotSent("resource_missing", is_retryable=False)
        return NotSent("unreachable") if plan.way in ("refused", "at fault") else None

    def _call(self, attempt: AttemptRequest, plan: Plan) -> Outcome:
        match plan.way:
            case "not executed":
                return InDoubt("http_500")
            case "late":
                self.late.append((attempt, plan))
                return InDoubt("no_answer")
            case "overtaken":
                self.during_call(attempt)
        outcome = self.execute(attempt, plan)
        if plan.way == "outrun":
            self.during_call(attempt)
        return InDoubt("no_answer") if plan.way == "lost" else outcome

    # --- the provider's own books ---

    def truth(self, attempt: AttemptRequest) -> Outcome:
        """Return what the books show of an attempt."""
        subject = self._subject(attempt)
        return NotSent("not_created") if subject is None else subject.outcome(attempt.verb)

    def execute(self, attempt: AttemptRequest, plan: Plan) -> Outcome:
        """Carry a call out; return the outcome."""
        if attempt.verb is Verb.REFUND:
            return self._execute_refund(attempt, plan.behaviour)
        intent = self._subject(attempt)
        if intent is None or intent.status not in _POSSIBLE.get(attempt.verb, _CHARGEABLE):
            return InDoubt("unexpected_state")
        if attempt.verb is Verb.VOID:
            self.set_status(intent, "canceled")
        elif attempt.verb is Verb.CAPTURE:
            intent.taken = intent.received or attempt.money.minor
            self.set_status(intent, "succeeded")
        else:
            self.confirm(intent, attempt.verb, plan.behaviour, plan.decline)
        return intent.outcome(attempt.verb)

    def confirm(self, intent: Object, verb: Verb, behaviour: str, decline: DeclineClass) -> None:
        """Let issuer, bank or customer decide on a charge."""
        intent.decline = decline
        if behaviour != "good":
            self.set_status(intent, behaviour)
        elif verb is Verb.AUTHORIZE:
            intent.expires_at = self.now() + AUTHORIZATION_LASTS
            self.set_status(intent, "authorized")
        else:
            intent.taken = intent.amount
            self.set_status(intent, "succeeded")

    def receive(self, intent: Object, amount: int) -> None:
        """Take another amount than was asked."""
        intent.received = intent.taken = amount
        self.set_status(intent, "mismatched")

    def set_status(self, subject: Object, status: str) -> None:
        """Change an object, and write the event that says so."""
        subject.status = status
        self.events.append((subject, subject.outcome()))

    def expire(self) -> None:
        """Release the authorizations whose time is over."""
        for intent in self.intents.values():
            if intent.status == "authorized" and intent.expires_at is not None and intent.expires_at <= self.now():
                self.set_status(intent, "canceled")

    def captured(self, payment_id: str) -> int:
        """Return what was really taken for a payment, refunded or not."""
        return sum(intent.taken for intent in self.intents.values() if intent.payment_id == payment_id)

    def refunded(self, payment_id: str) -> int:
        """Return what was really given back of a payment."""
        return sum(refund.amount for refund in self._refunds_of(payment_id) if refund.status == "refunded")

    def _refunds_of(self, payment_id: str) -> list[Object]:
        return [refund for refund in self.refunds.values() if refund.payment_id == payment_id]

    def _execute_refund(self, attempt: AttemptRequest, behaviour: str) -> Outcome:
        if attempt.attempt_id not in self.refunds:
            given = sum(refund.amount for refund in self._refunds_of(attempt.payment_id) if refund.status != "declined")
            if given + attempt.money.minor > self.captured(attempt.payment_id):
                return NotSent("charge_already_refunded", is_retryable=False)
            refund = self.refunds[attempt.attempt_id] = self._object(attempt, "re")
            self.set_status(refund, "processing" if behaviour == "processing" else "refunded")
        return self.refunds[attempt.attempt_id].outcome()

    def _subject(self, attempt: AttemptRequest) -> Object | None:
        """Return the object that an attempt is about."""
        if attempt.verb is Verb.REFUND:
            named = (refund for refund in self.refunds.values() if refund.reference == attempt.reference)
            return self.refunds.get(attempt.attempt_id) or next(named, None)
        if attempt.verb.is_collecting:
            return self.intents.get(attempt.attempt_id)
        charged = (intent for intent in self.intents.values() if intent.reference == attempt.charge_reference)
        return next(charged, None)

    def _object(self, attempt: AttemptRequest, kind: str) -> Object:
        reference = f"{kind}_{attempt.attempt_id}"
        return Object(attempt.payment_id, attempt.attempt_id, reference, attempt.money.minor)
