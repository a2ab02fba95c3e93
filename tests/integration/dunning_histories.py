"""Customers of the simulator's model in a whole system: charged, mailed and remembered as customers are.

The clock stands still until the next thing is due, so that weeks take seconds. What has happened is read back from the
database as the histories of `domain.simulation`, and judged by the same rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from sqlalchemy import Row, select

from domain.decline import DeclineReason
from domain.declines.bank_debits import SEPA_NETWORK
from domain.dunning.case import CaseState, SubscriptionStatus, TryCause
from domain.dunning.mail import Mail
from domain.money import decimal_text
from domain.payment import LIVE, AttemptStatus, Event, State, Verb
from domain.simulation.assumptions import DEBIT_TAKES
from domain.simulation.case_in_memory import Happened
from domain.simulation.customer_model import START, Customer, Dice, customer_of_model, with_fate
from domain.simulation.play import COMES_BACK, History, Strategy, Tried
from models.tables import attempts, dunning_cases, events, outbox, payments
from sandbox.stripe.account import Method
from sandbox.stripe.api import Stripe
from sandbox.stripe.declines import DECLINE_CODES, Decline, decline
from sandbox.stripe.instruments import SUCCESS, Behaviour, script_step
from tests.determinism import StillClock
from tests.mailing import MailSystem
from tests.provider import Json
from worker.simulation_run import model_zones

# First charges follow each other so; no two customers do anything at the same instant.
_BETWEEN = timedelta(minutes=7)
# A row that was published a moment ago is published again after this.
_A_MOMENT = timedelta(seconds=5)
# The longest case of `standard` ends on day 21, and a payment may follow.
_ENDLESS = timedelta(days=60)


# Every so many customers one pays by a debit; the model has fewer of them.
_ONE_DEBIT_IN = 4
# Stripe's word for the failed debit of a closed account.
_CLOSED = "account_closed"


def customers_of(seed: str, how_many: int) -> list[Customer]:
    """Return customers of the model whose provider is up, some of whom pay by a SEPA debit."""
    zones, found = model_zones(), list[Customer]()
    for number in count():
        failure, place = customer_of_model(seed, number, zones).failure, len(found)
        if place == how_many:
            break
        is_wanted = failure.network == SEPA_NETWORK if place % _ONE_DEBIT_IN == 1 else not failure.is_debit
        # The sandbox has no debit that fails because its mandate was withdrawn.
        has_other_end = failure.is_debit and failure.reason is DeclineReason.CONSENT
        if is_wanted and not has_other_end and failure.outage_until is None:
            # The first debit is sent days before it fails; all begin on the first day.
            at = START + timedelta(hours=10) + place * _BETWEEN + (DEBIT_TAKES if failure.is_debit else timedelta())
            found.append(with_fate(replace(failure, at=at), Dice(seed, failure.id)))
    return found


@dataclass
class _Issuer(Iterator[Behaviour]):
    """Decides each charge of a card as the model says of its customer at that time."""

    customer: Customer
    now: Callable[[], datetime]

    def __next__(self) -> Behaviour:
        if self.customer.approves(self.now()):
            return SUCCESS
        code = self.customer.failure.decline.decline_code or ""
        if self.customer.failure.reason is DeclineReason.AUTHENTICATION:
            return script_step(code)
        if code not in DECLINE_CODES:
            return Behaviour(decline=Decline(code))
        advice = self.customer.failure.decline.network_advice_code
        return Behaviour(decline=decline(code, network_advice_code=advice) if advice else decline(code))


@dataclass
class _Live:
    """A customer in the system. `method`: the fields of a payment that charge it; `payment_id`: of the debt once it was
    charged first."""

    customer: Customer
    method: Json
    payment_id: str | None = None
    renews_at: datetime | None = None
    pays_at: datetime | None = None
    leaves_at: datetime | None = None
    left_at: datetime | None = None
    read: set[str] = field(default_factory=set)

    @property
    def id(self) -> str:
        """The customer's user id."""
        return self.customer.failure.id


class DunningHistories:
    """Plays customers at the same time until nothing is due any more."""

    def __init__(self, system: MailSystem, customers: Sequence[Customer]) -> None:
        self.system, self.clock = system, StillClock()
        self.clock.time = START
        system.clock = self.clock  # type: ignore[assignment]
        system.change_runtime(clock=self.clock)
        self.live = [self._enter(customer) for customer in customers]

    def play(self) -> list[History]:
        """Play all to their ends; return what has happened."""
        while (due := self._next()) is not None and due < START + _ENDLESS:
            self._move_to(due)
            for each in self.live:
                self._act(each)
            self.system.sweep()
            self.system.run_until_idle()
            self._read_mail()
        return [self._history(each) for each in self.live]

    def _enter(self, customer: Customer) -> _Live:
        """Let a customer save their card, and pay the first invoice of a subscription by another one."""
        failure, system = customer.failure, self.system
        address = {"email": f"{failure.id}@example.com", "time_zone": str(failure.zone), "country": failure.country}
        system.call("PUT", f"/customers/{failure.id}", address)
        self._pay(customer, f"first-{failure.id}", card="pm_card_visa", off_session=False)
        method = self._save_account(customer) if failure.is_debit else self._save_card(customer)
        return _Live(customer, method, pays_at=customer.pays_unasked_at)

    def _save_card(self, customer: Customer) -> Json:
        scripted = self.system.provider.scripted_card("success", brand=customer.failure.network)
        self._methods()[scripted].script = _Issuer(customer, self.clock.now)
        path, body = f"/customers/{customer.failure.id}/payment-methods", {"payment_method_token": scripted}
        return {"card": str(self.system.request(path, body)["payment_method_token"])}

    def _save_account(self, customer: Customer) -> Json:
        saved = self.system.provider.saved_bank_account()
        stored = self._methods()[saved["card"]]
        # Each customer has an account of their own.
        stored.body["sepa_debit"]["fingerprint"] = f"fp_{customer.failure.id}"
        if customer.failure.reason is DeclineReason.CLOSED:
            stored.behaviour = replace(stored.behaviour, bank_failure=_CLOSED)
        return saved

    def _methods(self) -> dict[str, Method]:
        return self.system.sandbox.state.provider_of(Stripe).account.methods

    def _pay(self, customer: Customer, invoice: str, **changes: Any) -> str:
        failure = customer.failure
        asked = {
            "user_id": failure.id,
            "subscription_id": f"sub-{failure.id}",
            "amount": decimal_text(failure.amount, failure.currency),
            "currency": failure.currency,
        }
        payment_id = self.system.pay(invoice, **asked | changes)
        self.system.run_until_idle()
        return payment_id

    # --- what is due ---

    def _next(self) -> datetime | None:
        """Return when something happens next. What is overdue was published a moment ago, and is published again."""
        due, now = list(self._due()), self.clock.time
        later = [at for at in due if at > now] + ([now + _A_MOMENT] if any(at <= now for at in due) else [])
        return min(later, default=None)

    def _due(self) -> Iterator[datetime]:
        for each in self.live:
            if each.payment_id is None:
                yield self._begins_at(each)
                continue
            happens = (each.renews_at, each.pays_at, each.leaves_at, self._bank_decides_at(each))
            yield from (at for at in happens if at is not None)
        for table in (attempts, dunning_cases, outbox):
            rows = self.system.query(select(table.c.due_at).where(table.c.due_at.is_not(None)).distinct())
            yield from (row.due_at for row in rows)

    def _move_to(self, due: datetime) -> None:
        self.system.sandbox.state.advance((due - self.clock.time).total_seconds())
        self.clock.time = due

    def _act(self, each: _Live) -> None:
        now, failure = self.clock.time, each.customer.failure
        if each.payment_id is None:
            if self._begins_at(each) <= now:
                each.payment_id = self._pay(each.customer, f"inv-{failure.id}", off_session=True, **each.method)
                each.renews_at = each.customer.renewed_at
            return
        decides_at = self._bank_decides_at(each)
        if decides_at is not None and decides_at <= now:
            self._decide_at_bank(each)
        if each.renews_at is not None and each.renews_at <= now:
            each.renews_at = None
            self._renew(each)
        if each.leaves_at is not None and each.leaves_at <= now:
            self._leave(each)
        if each.pays_at is not None and each.pays_at <= now:
            self._pay_debt(each)

    def _begins_at(self, each: _Live) -> datetime:
        failure = each.customer.failure
        return failure.at - DEBIT_TAKES if failure.is_debit else failure.at

    def _bank_decides_at(self, each: _Live) -> datetime | None:
        if not each.customer.failure.is_debit or each.payment_id is None:
            return None
        last = self.system.attempts(each.payment_id)[-1]
        return last.created_at + DEBIT_TAKES if last.status == AttemptStatus.PENDING else None

    def _decide_at_bank(self, each: _Live) -> None:
        assert each.payment_id is not None
        reference = self.system.attempts(each.payment_id)[-1].provider_reference
        is_paid = each.customer.approves(self.clock.time)
        self.system.provider.decide_at_bank(reference, "success" if is_paid else "failure")
        kind = "succeeded" if is_paid else "payment_failed"
        self.system.deliver_and_run(self.system.provider.event(f"payment_intent.{kind}", reference))

    def _renew(self, each: _Live) -> None:
        self.system.provider.control(
            f"methods/{each.method['card']}/update", {"by": "updater", "exp_year": 2041, "exp_month": 5}
        )
        self.system.deliver_and_run(
            self.system.provider.event("payment_method.automatically_updated", each.method["card"])
        )

    def _leave(self, each: _Live) -> None:
        if self._is_live(each):
            each.leaves_at = self.clock.time + COMES_BACK
            return
        each.leaves_at = None
        if self._stored(each).state in ("past_due", "in_grace"):
            self.system.post(f"/subscriptions/sub-{each.id}/cancel", {"reason": "left"}, caller="operator")
            each.left_at, each.pays_at = self.clock.time, None

    def _is_live(self, each: _Live) -> bool:
        """Whether a try is under way, so that nobody else may collect."""
        return State(self._stored(each).state) in LIVE

    def _pay_debt(self, each: _Live) -> None:
        if self._is_live(each):
            each.pays_at = self.clock.time + COMES_BACK
            return
        each.pays_at = None
        if self._case(each) not in (None, CaseState.RECOVERED):
            # Without the subscription, which may have ended meanwhile.
            card = {"card": "pm_card_visa", "off_session": False, "subscription_id": None}
            self._pay(each.customer, f"inv-{each.id}", **card)

    def _read_mail(self) -> None:
        """Let each customer react to the mails that they have got since."""
        for each in self.live:
            for row in self._letters(each):
                if row.id in each.read:
                    continue
                each.read.add(row.id)
                if self._case(each) is not CaseState.RECOVERED and each.left_at is None:
                    mail, customer = Mail(row.kind), each.customer
                    each.pays_at = _sooner(each.pays_at, customer.reaction(mail, row.sent_at))
                    each.leaves_at = _sooner(each.leaves_at, customer.departure(mail, row.sent_at))

    # --- what is stored ---

    def _letters(self, each: _Live) -> list[Row[Any]]:
        rows = self.system.rows(outbox, outbox.c.payment_id == each.payment_id, outbox.c.sent_at.is_not(None))
        return sorted(rows, key=lambda row: row.sent_at)

    def _stored(self, each: _Live) -> Row[Any]:
        assert each.payment_id is not None
        return self.system.payment(each.payment_id)

    def _case(self, each: _Live) -> CaseState | None:
        rows = self.system.rows(dunning_cases, dunning_cases.c.payment_id == each.payment_id)
        return CaseState(rows[0].state) if rows else None

    def _history(self, each: _Live) -> History:
        """Return what has become of a customer, as the database has it."""
        assert each.payment_id is not None
        case = self.system.dunning_case(each.payment_id)
        history = History(each.customer, Strategy(case.policy_name, self.system.runtime.policy.dunning))
        for row in self.system.attempts(each.payment_id):
            if row.verb == Verb.CHARGE and row.status in (AttemptStatus.SUCCEEDED, AttemptStatus.DECLINED):
                history.tries.append(self._tried(each.customer, row, case.first_failed_at))
        history.mails = [(row.sent_at, Mail(row.kind)) for row in self._letters(each)]
        history.happened = list(self._happened(each, CaseState(case.state)))
        history.left_at = each.left_at
        history.paid_at = self._paid_at(each)
        return history

    def _tried(self, customer: Customer, row: Row[Any], planned_from: datetime) -> Tried:
        is_approved = row.status == AttemptStatus.SUCCEEDED
        cause = TryCause(row.cause) if row.cause else None
        declined = None if is_approved else customer.failure.decline
        fingerprint = customer.fingerprint(row.finished_at)
        return Tried(row.created_at, row.finished_at, cause, fingerprint, declined, planned_from)

    def _happened(self, each: _Live, last: CaseState) -> Iterator[Happened]:
        """Yield the events of the payment; the state of the case is that of its end."""
        known, status = frozenset(Event), SubscriptionStatus.ACTIVE
        of_payment = self.system.rows(events, events.c.payment_id == each.payment_id)
        for row in sorted(of_payment, key=lambda row: row.id):
            if row.name.startswith("subscription_"):
                status = SubscriptionStatus(row.name.removeprefix("subscription_"))
            if row.name in known:
                yield Happened(row.at, Event(row.name), last, status)

    def _paid_at(self, each: _Live) -> datetime | None:
        of_invoice = self.system.rows(payments, payments.c.invoice_id == f"inv-{each.id}", payments.c.captured > 0)
        assert len(of_invoice) <= 1, "a debt was collected twice"
        if not of_invoice:
            return None
        return next(row.finished_at for row in self.system.attempts(of_invoice[0].id) if row.status == "succeeded")


def _sooner(*given: datetime | None) -> datetime | None:
    return min((at for at in given if at is not None), default=None)
