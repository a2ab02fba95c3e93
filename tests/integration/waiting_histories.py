"""Histories in which also comes what nobody has asked for: money that does not match, money that comes twice, disputes,
lost webhooks. People decide on it. Whatever happens, something moves it on, and in the end everything is final."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from hypothesis.stateful import invariant
from sqlalchemy import Row

from domain.attention import ACTIONS, WRITABLE_OFF, Action, Reason, taken_twice
from domain.comparison import ShownCharge, ShownRefund, Window
from domain.disputes import DisputeStatus, ShownDispute
from domain.errors import CeleriacError
from domain.outcome import Outcome
from domain.payment import FINAL, Verb
from gateways.base import AttemptRequest, GatewayError, SideEvent, WebhookEvent
from models.attention_actions import resolve_entry
from models.comparisons import at_rest_within
from models.ends import rows_without_end
from models.movements import differences
from models.request_bodies import ResolveEntry
from models.session import read, transact
from models.tables import attention, disputes
from models.task_messages import WEBHOOK
from models.webhook_events import store_webhook_event
from tasks.at_rest import compare_at_rest
from tests.determinism import START
from tests.integration.histories import CRASHES, OPERATOR, Histories
from tests.integration.simulated_provider import Object, SimulatedProvider

# How far the clock goes on at the end, again and again: authorizations, actions, dunning and grace are over by then.
_LAST_DAYS = (timedelta(hours=7), timedelta(days=8), timedelta(days=15), timedelta(days=15), timedelta(days=40))
# How the names begin of refunds that somebody else has made.
_ELSEWHERE = "elsewhere"


@dataclass
class DisputingProvider(SimulatedProvider):
    """A provider whose charges are disputed, and which shows refunds and disputes of a charge."""

    disputes: dict[str, ShownDispute] = field(default_factory=dict)

    def read_webhook(self, payload: str) -> WebhookEvent | None:
        """Read an event about an object, or about a dispute."""
        body = json.loads(payload)
        if "dispute" not in body:
            return super().read_webhook(payload)
        charge = self.disputes[body["dispute"]].charge_reference
        return WebhookEvent(charge, None, None, side_event=SideEvent("dispute_updated", {}), dispute=body["dispute"])

    def read_dispute(self, reference: str) -> ShownDispute:
        """Return a dispute as it stands now."""
        if not self.is_up():
            raise GatewayError
        return self.disputes[reference]

    def disputes_of(self, charge: AttemptRequest) -> list[ShownDispute]:
        """Return the disputes about a charge."""
        return [dispute for dispute in self.disputes.values() if dispute.charge_reference == charge.charge_reference]

    def read_charge(self, charge: AttemptRequest) -> ShownCharge:
        """Return how a charge stands, with the refunds of its payment, whoever made them."""
        refunds = [refund for refund in self.refunds.values() if refund.payment_id == charge.payment_id]
        shown = [ShownRefund(refund.reference, refund.outcome(), self.maker_of(refund)) for refund in refunds]
        return ShownCharge(self.retrieve(charge), shown)

    def maker_of(self, refund: Object) -> str | None:
        """Return our attempt that made a refund."""
        return None if refund.attempt_id.startswith(_ELSEWHERE) else refund.attempt_id

    def withdrawn(self, payment_id: str) -> int:
        """Return what disputes have taken of a payment."""
        references = {intent.reference for intent in self.intents.values() if intent.payment_id == payment_id}
        return sum(each.withdrawn for each in self.disputes.values() if each.charge_reference in references)


class AcceptingProvider(DisputingProvider):
    """A provider that waits until it is told to take another amount than was asked, as Coinbase Commerce does."""

    def receive(self, intent: Object, amount: int) -> None:
        """Receive another amount than was asked, and leave open whether it is taken."""
        intent.received = amount
        self.set_status(intent, "unresolved")

    def accept(self, attempt: AttemptRequest) -> Outcome:
        """Take what came."""
        return self._operate(attempt)


class WaitingHistories(Histories):
    """Histories with people who decide, and with a provider that surprises."""

    provider: DisputingProvider

    def new_provider(self, **hooks: Any) -> SimulatedProvider:
        """Return the provider of this history."""
        return DisputingProvider(**hooks)

    # --- what may happen ---

    def often(self) -> list[Callable[[], None]]:
        """Return what may happen beside what happens in all histories."""
        return [
            *super().often(),
            *([self.money_does_not_match] if self.undecided() else []),
            *([self.money_comes_late] * 2 if self.refused() else []),
            *([self.dispute] if self.disputable() else []),
            *([self.dispute_goes_on] * 2 if self.open_disputes() else []),
            *([self.dispute_webhook] if self.provider.disputes else []),
            *([self.decide] * 2 if self.entries() else []),
            *([self.refund_elsewhere] if self.refundable() else []),
            self.compare,
        ]

    def money_does_not_match(self) -> None:
        subject = self.choose(self.undecided())
        if subject.attempt_id in self.provider.intents:
            self.provider.receive(subject, self.choose([600, 1500]))

    def refused(self) -> list[Object]:
        """Return the charges that were refused, and that the customer may confirm at the provider all the same."""
        return [each for each in self.provider.intents.values() if each.status in ("declined", "unauthenticated")]

    def money_comes_late(self) -> None:
        subject = self.choose(self.refused())
        [verb] = [Verb(row.verb) for row in self.stored.attempts if row.id == subject.attempt_id]
        self.provider.confirm(subject, verb, "good", subject.decline)

    def refundable(self) -> list[Object]:
        """Return the charges of which a part is left that nobody asks for otherwise."""
        disputed = {dispute.charge_reference for dispute in self.provider.disputes.values()}
        intents = [each for each in self.provider.intents.values() if each.status == "succeeded"]
        asked = {refund.payment_id for refund in self.provider.refunds.values()}
        return [each for each in intents if each.reference not in disputed and each.payment_id not in asked]

    def refund_elsewhere(self) -> None:
        subject = self.choose(self.refundable())
        amount, name = self.choose([1, subject.taken]), f"{_ELSEWHERE}_{subject.attempt_id}"
        self.provider.refunds[name] = Object(subject.payment_id, name, f"re_{name}", amount, "refunded")

    def disputable(self) -> list[Object]:
        known = {dispute.charge_reference for dispute in self.provider.disputes.values()}
        given = {refund.payment_id for refund in self.provider.refunds.values() if not self.provider.maker_of(refund)}
        intents = [each for each in self.provider.intents.values() if each.status == "succeeded"]
        return [each for each in intents if each.reference not in known and each.payment_id not in given]

    def dispute(self) -> None:
        """Let a bank dispute a charge, take it back at once, or only inquire."""
        subject, kind = self.choose(self.disputable()), self.choose(["inquiry", "dispute", "return"])
        withdrawn = 0 if kind == "inquiry" else subject.taken
        status = DisputeStatus.LOST if kind == "return" else DisputeStatus.OPEN
        reference, is_return = f"dp_{subject.attempt_id}", kind == "return"
        shown = ShownDispute(
            reference, subject.reference, status, subject.taken, withdrawn, is_return, "insufficient_funds"
        )
        self.provider.disputes[reference] = shown

    def open_disputes(self) -> list[ShownDispute]:
        return [dispute for dispute in self.provider.disputes.values() if dispute.status is DisputeStatus.OPEN]

    def dispute_goes_on(self) -> None:
        dispute, result = self.choose(self.open_disputes()), self.choose(["withdrawn", "won", "lost", "closed"])
        self.set_dispute(dispute, result)

    def set_dispute(self, dispute: ShownDispute, result: str) -> None:
        """Let the provider take the money, or decide."""
        is_taken = result in ("withdrawn", "lost")
        status = DisputeStatus.OPEN if result == "withdrawn" else DisputeStatus(result)
        now = replace(dispute, status=status, withdrawn=dispute.amount if is_taken else 0)
        self.provider.disputes[dispute.reference] = now

    def dispute_webhook(self) -> None:
        self.delivered += 1
        payload = json.dumps({"dispute": self.choose(self.provider.disputes)})
        event = ("stripe", f"evt_{self.delivered}", "disputed", payload, self.clock.time)
        stored = transact(self.system.engine, store_webhook_event, *event)
        assert stored is not None
        self.run(*stored, CRASHES[WEBHOOK])

    def compare(self) -> None:
        """Compare everything: to walk through months of the schedule would take longer than all else."""
        always = Window(START - timedelta(days=1), self.clock.time + timedelta(days=1))
        items = read(self.system.engine, at_rest_within, "stripe", always)
        compare_at_rest(self.system.runtime, self.provider, items)

    # --- people ---

    def entries(self) -> list[Row[Any]]:
        """Return the open entries of the attention list."""
        return self.system.rows(attention, attention.c.closed_at.is_(None))

    def decide(self) -> None:
        entry = self.choose(self.entries())
        self.resolve(entry, self.choose(ACTIONS[Reason(entry.reason)]))

    def resolve(self, entry: Row[Any], action: Action) -> None:
        """Ask for an action, which may be refused."""
        body = {
            "action": action,
            "note": "decided",
            "write_off": action is Action.CLOSE and Reason(entry.reason) in WRITABLE_OFF,
        }
        with suppress(CeleriacError):
            request = ResolveEntry.parse(body)
            self.system.runtime.change(OPERATOR.actor, resolve_entry, entry.id, request, OPERATOR, None)

    # --- what must hold ---

    @invariant()
    def holds(self) -> None:
        """Whatever is not final has a due date, or is on the attention list."""
        if not self.payment_ids:
            return
        endless = read(self.system.engine, rows_without_end)
        assert not endless, endless
        wrong = read(self.system.engine, lambda connection: list(differences(connection)))
        assert not wrong, wrong
        entries = self.system.rows(attention)
        for payment in self.stored.payments.values():
            self.stored.check_events(payment)
            if taken_twice(payment.duplicated, payment.received, payment.captured) and payment.captured:
                named = [row for row in entries if row.payment_id == payment.id]
                assert [row for row in named if row.closed_at is None or row.resolution == "write_off"]

    def teardown(self) -> None:
        """When everybody has decided and the time is over, everything is final, and nobody is asked any more."""
        if not self.payment_ids:
            return
        self.is_calm = True
        while self.provider.late:
            self.delayed_call_arrives()
        # Only a webhook tells of money that comes for a charge that was declined.
        self.deliver_latest()
        for by in _LAST_DAYS:
            self.everybody_decides()
            self.move_clock(by)
            for _ in range(2):
                self.move_clock(timedelta(minutes=10))
                self.system.sweep()
                self.system.run_until_idle()
            self.compare()
        self.load()
        self.holds()
        states = {payment.state for payment in self.stored.payments.values()}
        assert states <= FINAL, states
        assert not self.entries(), [row.reason for row in self.entries()]
        self.net_is_the_provider_s()
        known = {row.reference: row.status for row in self.system.rows(disputes)}
        shown = {dispute.reference: dispute.status for dispute in self.provider.disputes.values()}
        assert known == shown, (known, shown)

    def net_is_the_provider_s(self) -> None:
        """What is left of each payment is what the provider has, but for what a person gives back by hand."""
        by_hand = {row.payment_id for row in self.system.rows(attention) if row.resolution in ("write_off", "release")}
        for payment in self.stored.payments.values():
            booked = payment.captured - payment.refunded - payment.reversed + payment.duplicated
            given = self.provider.refunded(payment.id) + self.provider.withdrawn(payment.id)
            assert payment.id in by_hand or booked == self.provider.captured(payment.id) - given, payment

    def everybody_decides(self) -> None:
        """Let banks decide what they have, and people what they can."""
        for subject in self.undecided():
            if subject.status == "requires_action":
                continue  # the customer never comes back
            self.provider.set_status(subject, "refunded" if subject.attempt_id in self.provider.refunds else "declined")
        for dispute in self.open_disputes():
            self.set_dispute(dispute, "lost")
        for entry in self.entries():
            for action in ACTIONS[Reason(entry.reason)]:
                self.resolve(entry, action)


class AcceptingHistories(WaitingHistories):
    """Such histories at a provider that has to be told of what a person accepts."""

    def new_provider(self, **hooks: Any) -> SimulatedProvider:
        """Return the provider of this history."""
        return AcceptingProvider(**hooks)
