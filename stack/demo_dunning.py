"""The demo's debts: subscriptions whose payments fail, over three weeks, with the mails that their customers get.

Each debt says how it stands on the days on which something is due, and what its customer or bank does then."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise

from stack.client import Json, UnexpectedResult
from stack.demo_cases import INSUFFICIENT, Actors, Case, finish_debit, payment_request
from stack.demo_customer import MAIL_SECONDS, pay_by_new_card, wait_for_link
from stack.process import ROOT, wait_until

# It has the policy whose end action is a pause.
POLICIES_FILE, PAUSING = ROOT / "stack/demo_policies.toml", "pausing"
# The days from the first failure on which something is due under the policies of the demo.
DAYS = (0, 3, 7, 14, 21)
GOOD_NEWS = {"recovered", "backup_charged"}
_POLL_SECONDS = 0.2
# Another account than those of the demo's other debits, of which one is closed.
_IBAN = "AT611904300234573201"
_STOLEN = "pm_card_visa_chargeDeclinedStolenCard"
Act = Callable[[Actors, "Debt"], None]


@dataclass(frozen=True)
class Day:
    """How a debt stands on one day: the status of its payment, and how often it was tried. `act`: what happens then."""

    status: str
    tries: int
    act: Act = lambda actors, debt: None


@dataclass
class Debt:
    """A payment of a subscription that fails. `subscription`: its status at the end. `mails`: those that its customer
    gets, in order. `policy`: of the subscription, if not the shipped one. `begin`: what makes the payment fail, if its
    first charge does not. `has_backup`: its customer has agreed to a backup method. `paid_before`: the payment of its
    first month, without which a subscription cannot be paused. `paid_by`: another payment that has paid the debt.
    `dunning`: its case at the end."""

    case: Case
    days: dict[int, Day]
    subscription: str
    mails: list[str]
    policy: str | None = None
    begin: Act = lambda actors, debt: None
    has_backup: bool = False
    paid_before: Case | None = None
    paid_by: Case | None = None
    dunning: Json = field(default_factory=dict)

    @property
    def cases(self) -> list[Case]:
        """Its payments."""
        return [case for case in (self.paid_before, self.case, self.paid_by) if case is not None]

    @property
    def resolved_on_day(self) -> int | None:
        """The day from the first failure on which its case has ended; None if it is open."""
        ended_at = self.dunning["closed_at"]
        return (_instant(ended_at) - _instant(self.dunning["first_failed_at"])).days if ended_at else None

    def summary(self) -> Json:
        """Return what `--json` says of it."""
        return {
            "invoice_id": self.case.request["invoice_id"],
            "status": self.dunning["status"],
            "attempts": self.dunning["tries"],
            "resolved_on_day": self.resolved_on_day,
        }


def debts(actors: Actors) -> list[Debt]:
    """Return the debts of the demo."""
    create_card = actors.provider.create_card
    sepa = actors.provider.create_bank_account(_IBAN)
    retried = {0: Day("past_due", 1), 3: Day("past_due", 2), 7: Day("past_due", 3), 14: Day("in_grace", 4)}
    demanded = ["first_failure", "mid_dunning", "final_attempt"]
    return [
        Debt(
            _case("paid by its retry on day 7", "captured", create_card(*2 * ["insufficient_funds"], "success")),
            {0: Day("past_due", 1), 3: Day("past_due", 2), 7: Day("captured", 3)},
            "active",
            ["first_failure", "mid_dunning", "recovered"],
        ),
        Debt(
            _case("paid from the mail's link", "canceled", INSUFFICIENT),
            {0: Day("past_due", 1, act=_pay_from_mail)},
            "active",
            ["first_failure", "recovered"],
        ),
        Debt(
            _case("debit returned, retried", "captured", sepa, "sepa_debit"),
            {0: Day("past_due", 1), 3: Day("pending", 2, act=_let_retry_succeed)},
            "active",
            ["first_failure", "recovered"],
            begin=_return_debit,
        ),
        Debt(
            _case("paid by a backup method", "canceled", INSUFFICIENT),
            {0: Day("canceled", 1, act=_expect_paid)},
            "active",
            ["backup_charged"],
            has_backup=True,
        ),
        Debt(
            paused := _case("paused on day 21, resumed", "uncollectible", INSUFFICIENT),
            {**retried, 21: Day("uncollectible", 4, act=_pay_after_pause)},
            "active",
            [*demanded, "paused", "recovered"],
            policy=PAUSING,
            paid_before=_first_month(paused),
        ),
        Debt(
            _case("canceled on day 21", "uncollectible", INSUFFICIENT),
            {**retried, 21: Day("uncollectible", 4)},
            "canceled",
            [*demanded, "canceled"],
        ),
        Debt(
            _case("dead card, never retried", "uncollectible", _STOLEN),
            {0: Day("in_grace", 1), 7: Day("uncollectible", 1)},
            "canceled",
            ["method_update", "canceled"],
        ),
    ]


def _case(title: str, expected: str, token: str, method: str = "credit_card") -> Case:
    names = {"subscription_id": f"sub-{secrets.token_hex(6)}", "payment_method": method}
    return Case(title, expected, payment_request(token, "9.90") | names)


def _first_month(case: Case) -> Case:
    """Return the case of the month before, which a good card has paid."""
    same = {name: case.request[name] for name in ("user_id", "subscription_id", "email")}
    return Case(f"{case.title}: before", "captured", payment_request(amount="9.90") | same)


# --- what customers and banks do --------------------------------------------------------------------


def _return_debit(actors: Actors, debt: Debt) -> None:
    finish_debit(actors, debt.case)
    actors.provider.dispute(actors.merchant.wait_for_status(debt.case.id, "captured"), "insufficient_funds")


def _let_retry_succeed(actors: Actors, debt: Debt) -> None:
    actors.provider.finish_debit(actors.merchant.payment(debt.case.id), attempt=-1)
    actors.merchant.wait_for_status(debt.case.id, "captured")


def _pay_from_mail(actors: Actors, debt: Debt) -> None:
    pay_by_new_card(wait_for_link(actors.provider, debt.case.request["email"]))
    _expect_paid(actors, debt)


def _pay_after_pause(actors: Actors, debt: Debt) -> None:
    _expect_subscription(actors, debt, "paused")
    _pay_from_mail(actors, debt)


def _expect_paid(actors: Actors, debt: Debt) -> None:
    """Take in the payment that has paid the debt beside its retries."""
    request = debt.case.request
    found = [each for each in actors.merchant.payments(request["invoice_id"]) if each["id"] != debt.case.id]
    if len(found) != 1:
        raise UnexpectedResult(f"'{debt.case.title}': {len(found)} payments beside the dunned one instead of 1")
    debt.paid_by = Case(f"{debt.case.title}: paid", "captured", request, id=found[0]["id"])
    debt.paid_by.payment = actors.merchant.wait_for_status(debt.paid_by.id, "captured")


# --- three weeks -------------------------------------------------------------------------------------


def send_debts(actors: Actors, owed: list[Debt], now: datetime) -> None:
    """Send the payments, each of a customer who can be reached by mail: it is midday where they live."""
    for language, debt in zip(2 * ["en", "de"] * len(owed), owed, strict=False):
        request = debt.case.request
        person = {"email": request["email"], "name": "Ada Example", "language": language, "country": "DE"}
        actors.merchant.put_customer(request["user_id"], person | {"time_zone": midday_zone(now)})
        plan = {"user_id": request["user_id"], "plan": "Gold", "amount": request["amount"], "currency": "EUR"}
        actors.merchant.put_subscription(request["subscription_id"], plan | {"policy": debt.policy})
        if request["payment_method"] == "sepa_debit":
            actors.merchant.save_method(request["user_id"], request["payment_method_token"])
        if debt.has_backup:
            token = actors.merchant.save_method(request["user_id"], "pm_card_visa")
            actors.merchant.put_backup(request["user_id"], token, now)
        if debt.paid_before is not None:
            debt.paid_before.id = actors.merchant.process(debt.paid_before.request)["id"]
            debt.paid_before.payment = actors.merchant.wait_for_status(debt.paid_before.id, "captured")
        debt.case.id = actors.merchant.process(request)["id"]


def midday_zone(now: datetime) -> str:
    """Return a time zone in which it is between twelve and one: no mail waits for the end of a night.

    >>> midday_zone(datetime(2026, 11, 29, 0, 31, tzinfo=UTC)), midday_zone(datetime(2026, 11, 29, 23, tzinfo=UTC))
    ('Etc/GMT-12', 'Etc/GMT+11')
    """
    # The sign of these names is that of the way to UTC.
    return f"Etc/GMT{now.astimezone(UTC).hour - 12:+d}"


def live_three_weeks(actors: Actors, owed: list[Debt]) -> None:
    """Advance the clock from one date of dunning to the next, and see that each debt stands as it should."""
    for debt in owed:
        debt.begin(actors, debt)
    for days, day in pairwise((0, *DAYS)):
        if day > days:
            _wait_for_mails(actors, owed)
            actors.advance_days(day - days)
        for debt, expected in due_on(day, owed):
            actors.show(f"day {day}: waiting for '{debt.case.title}' to be {expected.status}")
            _wait(actors, debt, expected)
            expected.act(actors, debt)
    for debt in owed:
        _finish(actors, debt)


def due_on(day: int, owed: list[Debt]) -> Iterator[tuple[Debt, Day]]:
    """Yield the debts for which something is due on a day, with how they stand then."""
    yield from ((debt, debt.days[day]) for debt in owed if day in debt.days)


def _wait(actors: Actors, debt: Debt, expected: Day) -> None:
    def stands(payment: Json) -> bool:
        is_planned = payment["status"] != "past_due" or bool(payment["dunning"]["next_retry_at"])
        return (payment["status"], len(payment["attempts"]), is_planned) == (expected.status, expected.tries, True)

    actors.merchant.wait_for(debt.case.id, stands, f"{expected.status} after {expected.tries} tries")


def _wait_for_mails(actors: Actors, owed: list[Debt]) -> None:
    """Wait until no mail is on its way: after three days more it would be given up."""
    for debt in owed:
        actors.merchant.wait_for(debt.case.id, _has_no_mail_waiting, "told of by mail")


def _has_no_mail_waiting(payment: Json) -> bool:
    dunning = payment["dunning"] or {"status": None, "mails": []}
    waiting = [mail["mail"] for mail in dunning["mails"] if mail["state"] == "waiting"]
    # What asks for a debt that is paid is never sent.
    return not (set(waiting) & GOOD_NEWS if dunning["status"] == "recovered" else waiting)


def _finish(actors: Actors, debt: Debt) -> None:
    """Wait for the last mail, and keep how the debt has ended. A failure is kept in its case."""
    try:
        _expect_subscription(actors, debt, debt.subscription)
        debt.case.payment = actors.merchant.wait_for_status(debt.case.id, debt.case.expected)
        _expect_mails(actors, debt)
    except UnexpectedResult as error:
        debt.case.problem = f"{debt.case.title}: {error}"
    debt.case.payment = actors.merchant.payment(debt.case.id)
    debt.dunning = actors.merchant.dunning_case(debt.case.payment["dunning"]["case_id"])


def _expect_subscription(actors: Actors, debt: Debt, expected: str) -> None:
    subscription_id = debt.case.request["subscription_id"]

    def status() -> str:
        return str(actors.merchant.subscription(subscription_id)["status"])

    if not wait_until(lambda: status() == expected, MAIL_SECONDS, _POLL_SECONDS):
        raise UnexpectedResult(f"subscription {subscription_id} is {status()} instead of {expected}")


def _expect_mails(actors: Actors, debt: Debt) -> None:
    def are_sent(payment: Json) -> bool:
        return [mail["mail"] for mail in payment["dunning"]["mails"] if mail["state"] == "sent"] == debt.mails

    actors.merchant.wait_for(debt.case.id, are_sent, f"told of by the mails {', '.join(debt.mails)}")


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
