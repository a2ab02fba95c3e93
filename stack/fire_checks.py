"""What has to be true of a debt after a fire, by the issuer's ledger, the mail server and our API."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from stack.client import Json
from stack.fire_debts import Debt
from stack.reconciliation import our_totals, provider_totals

DAY_SECONDS = 86_400
# The clock is moved on by some hours in all, so that leases end.
TRY_TOLERANCE_SECONDS = 6 * 3600
# The mail was handed over twice, and nobody knows with which outcome.
UNKNOWN = "outcome_unknown"
MOST_COPIES = 2
# An intent whose worker died before its id was stored: only that worker knew it, so that nobody can confirm it.
UNCONFIRMED = "requires_confirmation"


@dataclass(frozen=True)
class Seen:
    """What there is about one debt. `tries`: those at the issuer. `intents`: the provider's objects with their totals.
    `mails`: those that the mail server has accepted for its customer. `events`: the names of the payment's events.
    `asked`: why persons were asked about it."""

    tries: list[Json]
    intents: list[Json]
    mails: list[Json]
    events: list[str]
    asked: list[str]
    subscription: str


@dataclass
class Findings:
    """What is wrong, and what may happen. `unconfirmed`: intents that were left behind, which nobody can charge.
    `doubled`: mails that came twice, as one Message-ID. `given_up`: mails that were handed over twice with an unknown
    outcome, so that a person is asked. `window_seconds`: from the acceptance of each mail to the end of its sender's
    connection, which follows the commit."""

    problems: list[str] = field(default_factory=list)
    tries: int = 0
    unconfirmed: int = 0
    mails: int = 0
    doubled: int = 0
    given_up: int = 0
    window_seconds: list[float] = field(default_factory=list)
    expiries: int = 0


def examine(findings: Findings, debt: Debt, seen: Seen, day: int) -> None:
    """Add what there is to say of a debt that was played until a day."""
    found = [*_status(debt, seen, day), *_tries(debt, seen, day), *_mails(debt, seen, day), *_grace(debt, seen, day)]
    findings.problems += [f"{debt.name}: {problem}" for problem in [*found, *_books(debt, seen)]]
    copies = Counter(mail["message_id"] for mail in seen.mails)
    findings.tries += len(debt.script.tries_until(day))
    findings.unconfirmed += sum(row["object"] not in debt.references for row in seen.intents)
    findings.mails += len(copies)
    findings.window_seconds += [mail["quit_after_seconds"] for mail in seen.mails if mail["quit_after_seconds"]]
    findings.doubled += sum(number > 1 for number in copies.values())
    findings.given_up += sum(mail["reason"] == UNKNOWN for mail in debt.mails)
    findings.expiries += seen.events.count("grace_expired")


def _status(debt: Debt, seen: Seen, day: int) -> Iterator[str]:
    wanted = debt.script.status_on(day), debt.script.subscription_on(day)
    found = debt.payment["status"], seen.subscription
    if found != wanted:
        yield f"payment and subscription are {', '.join(found)} instead of {', '.join(wanted)}"
    if debt.is_under_way:
        yield "an attempt or a mail is still under way"


def _tries(debt: Debt, seen: Seen, day: int) -> Iterator[str]:
    """Each try has reached the issuer once, on its day, by an intent of its own; no other can ever be charged."""
    ours = [row for row in seen.tries if row["metadata"]["payment_id"] == debt.payment["id"]]
    days = debt.script.tries_until(day)
    if len(ours) != len(days):
        yield f"the issuer was asked {len(ours)} times instead of {len(days)}"
        return
    for (before, after), (first, second) in zip(pairwise(ours), pairwise(days), strict=True):
        if abs(after["at"] - before["at"] - (second - first) * DAY_SECONDS) > TRY_TOLERANCE_SECONDS:
            yield f"a try came {(after['at'] - before['at']) / DAY_SECONDS:.1f} days after the one before"
    for payment in debt.payments:
        references = sorted(str(attempt["provider_reference"]) for attempt in payment["attempts"])
        asked = sorted(row["object"] for row in seen.tries if row["metadata"]["payment_id"] == payment["id"])
        if references != asked:
            yield f"the attempts are {references}; the issuer was asked about {asked}"
    yield from (
        f"the intent {row['object']} is {row['status']}, and no attempt knows it"
        for row in seen.intents
        if row["object"] not in debt.references and row["status"] != UNCONFIRMED
    )


def _mails(debt: Debt, seen: Seen, day: int) -> Iterator[str]:
    """Each mail has come once; one that a worker may have handed over when it died, twice as one Message-ID."""
    written, wanted = [mail["mail"] for mail in debt.mails], debt.script.mails_until(day)
    if written != wanted:
        yield f"the mails are {', '.join(written)} instead of {', '.join(wanted)}"
    lost = [mail for mail in debt.mails if mail["state"] != "sent" and mail["reason"] != UNKNOWN]
    yield from (f"the mail {mail['mail']} is {mail['state']}: {mail['reason']}" for mail in lost)
    left = sum(mail["reason"] == UNKNOWN for mail in debt.mails)
    if set(seen.asked) != ({"mail_refused"} if left else set()):
        yield f"{left} mails were left to a person, who was asked about: {', '.join(seen.asked) or 'nothing'}"
    copies = Counter(mail["message_id"] for mail in seen.mails)
    sent = sum(mail["state"] == "sent" for mail in debt.mails)
    if not sent <= len(copies) <= len(debt.mails):
        yield f"{len(copies)} Message-IDs have come for {sent} mails that were sent"
    if len({mail["subject"] for mail in seen.mails}) != len(copies):
        yield "one mail has come under several Message-IDs"
    yield from (f"a mail has come {number} times" for number in copies.values() if number > MOST_COPIES)
    finished = Counter(mail["message_id"] for mail in seen.mails if mail["quit_after_seconds"] is not None)
    if any(number > 1 for number in finished.values()):
        yield "a mail has come again though the worker that had sent it lived"


def _grace(debt: Debt, seen: Seen, day: int) -> Iterator[str]:
    for event, wanted in (
        ("grace_started", int(debt.script.grace is not None and day >= debt.script.grace)),
        ("grace_expired", debt.script.grace_ends_until(day)),
    ):
        if (found := seen.events.count(event)) != wanted:
            yield f"{found} events {event} instead of {wanted}"


def _books(debt: Debt, seen: Seen) -> Iterator[str]:
    """Our amounts are the provider's, and at most one payment of the debt has money."""
    for payment in debt.payments:
        ours, theirs = our_totals(payment), provider_totals(seen.intents, payment)
        if ours != theirs:
            yield f"our totals are {ours}; the provider's are {theirs}"
    charges = sum(row["charges"] for row in seen.intents)
    wanted = int(debt.paid_by is not None or debt.payment["status"] == "captured")
    if charges != wanted:
        yield f"its customer was charged {charges} times instead of {wanted}"
