"""The debts of `dev.py fire`: how each card answers, and how its debt has to stand on each day of the plan."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from stack.client import Json, Merchant, Provider, UnexpectedResult
from stack.demo_cases import payment_request
from stack.demo_customer import pay_by_new_card, wait_for_link
from stack.demo_dunning import midday_zone

# The days from the first failure on which something is due under the policy `standard`.
DAYS = (0, 3, 7, 14, 21)
IN_PROGRESS = ("due", "open", "in_doubt")
_POOR, _PAYS, _DEAD = "insufficient_funds", "success", "stolen_card"


@dataclass(frozen=True)
class Script:
    """What happens to a debt. `results`: of its card, the last for ever. `tries`: the days on which the issuer is
    asked. `mails`: each with its day. `ends_on`: the day on which payment and subscription have their last statuses.
    `grace`: the day on which grace begins, if it does. `pays_by_link`: its customer pays from the first mail."""

    name: str
    results: tuple[str, ...]
    tries: tuple[int, ...]
    mails: tuple[tuple[int, str], ...]
    ends_on: int
    status: str = "captured"
    subscription: str = "active"
    grace: int | None = None
    pays_by_link: bool = False

    def status_on(self, day: int) -> str:
        """Return the status of the payment on a day.

        >>> [SCRIPTS[3].status_on(day) for day in DAYS]
        ['past_due', 'past_due', 'past_due', 'in_grace', 'uncollectible']
        """
        if day >= self.ends_on:
            return self.status
        return "in_grace" if self.grace is not None and day >= self.grace else "past_due"

    def tries_until(self, day: int) -> tuple[int, ...]:
        """Return the days until this one on which the issuer is asked."""
        return tuple(each for each in self.tries if each <= day)

    def mails_until(self, day: int) -> list[str]:
        """Return the mails that its customer has got on a day.

        >>> SCRIPTS[0].mails_until(0), SCRIPTS[0].mails_until(3)
        (['first_failure'], ['first_failure', 'recovered'])
        """
        return [mail for sent_on, mail in self.mails if sent_on <= day]

    def subscription_on(self, day: int) -> str:
        """Return the status of the subscription, whose first payment this is, on a day."""
        return self.subscription if day >= self.ends_on else "incomplete"

    def grace_ends_until(self, day: int) -> int:
        """Return how often grace has ended until a day."""
        return int(self.grace is not None and day >= self.ends_on)


SCRIPTS = (
    Script("paid on day 3", (_POOR, _PAYS), (0, 3), ((0, "first_failure"), (3, "recovered")), 3),
    Script(
        "paid on day 7",
        (_POOR, _POOR, _PAYS),
        (0, 3, 7),
        ((0, "first_failure"), (3, "mid_dunning"), (7, "recovered")),
        7,
    ),
    Script("dead card", (_DEAD,), (0,), ((0, "method_update"), (7, "canceled")), 7, "uncollectible", "canceled", 0),
    Script(
        "never paid",
        (_POOR,),
        (0, 3, 7, 14),
        ((0, "first_failure"), (3, "mid_dunning"), (14, "final_attempt"), (21, "canceled")),
        21,
        "uncollectible",
        "canceled",
        14,
    ),
    Script(
        "paid from the mail",
        (_POOR,),
        (0,),
        ((0, "first_failure"), (0, "recovered")),
        0,
        "canceled",
        pays_by_link=True,
    ),
    Script(
        "paid on day 14",
        (_POOR, _POOR, _POOR, _PAYS),
        (0, 3, 7, 14),
        ((0, "first_failure"), (3, "mid_dunning"), (14, "recovered")),
        14,
    ),
)


@dataclass
class Debt:
    """A subscription's first payment, which fails. `paid_by`: the payment by which its customer has paid it."""

    script: Script
    request: Json
    payment: Json = field(default_factory=dict)
    paid_by: Json | None = None

    @property
    def payments(self) -> list[Json]:
        """Its payments, as they were seen last."""
        return [self.payment] if self.paid_by is None else [self.payment, self.paid_by]

    @property
    def references(self) -> set[str | None]:
        """The provider's objects of all its attempts."""
        return {attempt["provider_reference"] for payment in self.payments for attempt in payment["attempts"]}

    @property
    def name(self) -> str:
        """What a report calls it."""
        return f"{self.payment['id']} ({self.script.name})"

    def stands(self, day: int) -> bool:
        """Tell whether it stands as it has to on a day, and nothing about it is under way."""
        is_retry_planned = self.payment["status"] != "past_due" or bool(self.payment["dunning"]["next_retry_at"])
        return (
            self.payment["status"] == self.script.status_on(day)
            and len(self.payment["attempts"]) == len(self.script.tries_until(day))
            and is_retry_planned
            and [each["mail"] for each in self.mails] == self.script.mails_until(day)
            and not self.is_under_way
        )

    @property
    def mails(self) -> list[Json]:
        """The mails of its case."""
        found: list[Json] = (self.payment["dunning"] or {}).get("mails", [])
        return found

    @property
    def has_open_attempt(self) -> bool:
        """Whether one of its attempts has no outcome."""
        return any(attempt["status"] in IN_PROGRESS for attempt in self.payment["attempts"])

    @property
    def is_under_way(self) -> bool:
        """Whether one of its attempts has no outcome, or one of its mails is still to be sent."""
        return self.has_open_attempt or any(mail["state"] == "waiting" for mail in self.mails)

    def due_at(self, day: int) -> float | None:
        """Return when something is due on a day, by the dates that were seen before it; None if nothing is."""
        if day > self.script.ends_on or day not in {*self.script.tries, self.script.ends_on}:
            return None
        dunning = self.payment["dunning"]
        text = dunning["grace_ends_at"] if self.payment["status"] == "in_grace" else dunning["next_retry_at"]
        return None if text is None else datetime.fromisoformat(text).timestamp()


def all_scripts(rng: random.Random) -> Iterator[Script]:
    """Yield every script once, then any of them without an end."""
    yield from SCRIPTS
    while True:
        yield rng.choice(SCRIPTS)


def send(merchant: Merchant, provider: Provider, script: Script, now: float) -> Debt:
    """Let a customer who can be reached by mail, and for whom it is midday, subscribe by a scripted card."""
    subscription_id = f"sub-{payment_request()['invoice_id']}"
    request = payment_request(provider.create_card(*script.results), "9.90", subscription_id=subscription_id)
    person = {
        "email": request["email"],
        "name": "Ada Example",
        "time_zone": midday_zone(datetime.fromtimestamp(now, UTC)),
    }
    merchant.put_customer(request["user_id"], person)
    return Debt(script, request, merchant.process(request))


def pay_by_link(merchant: Merchant, provider: Provider, debt: Debt) -> None:
    """Let the customer pay from the first mail, by another card."""
    pay_by_new_card(wait_for_link(provider, debt.request["email"]))
    others = [each for each in merchant.payments(debt.request["invoice_id"]) if each["id"] != debt.payment["id"]]
    if len(others) != 1:
        raise UnexpectedResult(f"{debt.name}: {len(others)} payments beside the dunned one instead of 1")
    debt.paid_by = merchant.payment(others[0]["id"])
