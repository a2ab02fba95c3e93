"""`dev.py fire`: debts live through three weeks while the workers and beats that dun them keep dying.

Four workers and two beats are killed at every step from a sweep to the end of a try and its mail, and at random; once
the broker loses everything. Then each try has to have reached its issuer once, each mail its customer once, each grace
period has to have ended once, and the books have to be equal. stack/fire_debts.py has the debts, stack/fire_kills.py
the deaths, stack/fire_checks.py what is checked. The seed decides debts and the order of the deaths; what a death hits
differs from run to run.
"""

from __future__ import annotations

import os
import random
import secrets
import statistics
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import NamedTuple

import redis
from kombu import Connection

from models.task_messages import QUEUE_OF_TASK
from stack.books import positive
from stack.client import Json, Merchant, Provider
from stack.command import make_parser, run_on_stack
from stack.fire_checks import Findings, Seen, examine
from stack.fire_debts import DAYS, Debt, Script, all_scripts, pay_by_link, send
from stack.fire_kills import STEPS, Fire
from stack.outside_round import ledger_problems
from stack.process import wait_until
from stack.progress import Progress
from stack.reconciliation import unknown_objects
from stack.stack import Stack

WORKERS, BEATS = 4, 2
# So many debts at a time, so that there is work for the whole fire.
WAVE = 10
# The broker loses everything on the way to this day's tries.
FLUSHED_ON = DAYS[1]
DAY_SECONDS = 300
WAIT_SECONDS = 60
POLL_SECONDS = 0.5
# After so many polls without news the clock moves on, so that the lease of what died ends: of an attempt, of a mail.
POLLS_BEFORE_MOVE = 5
ATTEMPT_LEASE_SECONDS, MAIL_LEASE_SECONDS = 20, 130
# Some sweeps, an hour later by the clock: what would come twice has come by then.
CALM_SECONDS = 6
HOUR_SECONDS = 3600


@dataclass(frozen=True)
class Plan:
    """What is played: so many debts on these days, and rounds of deaths that spread over them, one at each step."""

    debts: int
    seed: int
    days: list[int]
    rounds: int
    steps: list[str]


@dataclass
class Campaign:
    """The clients of a stack, and its debts."""

    stack: Stack
    progress: Progress
    merchant: Merchant
    operator: Merchant
    provider: Provider
    debts: list[Debt] = field(default_factory=list)


class Sources(NamedTuple):
    """The issuer's tries, the provider's totals, all mails, and the attention list."""

    tries: list[Json]
    totals: list[Json]
    mails: list[Json]
    attention: list[Json]


def main(arguments: list[str]) -> int:
    """Play the debts and compare; return 0 if each try, mail and end of grace happened exactly once."""
    parser = make_parser("fire", "Three weeks of dunning while workers and beats are killed, then a comparison.")
    parser.add_argument("--debts", type=positive, default=60, metavar="N", help="default 60")
    parser.add_argument("--seed", type=int, default=1, help="decides debts and deaths (default 1)")
    parser.add_argument("--days", type=positive, default=22, metavar="N", help="how long they live (default 22)")
    parser.add_argument("--rounds", type=positive, default=5, metavar="N", help="how often each step kills (default 5)")
    parser.add_argument("--at", action="append", choices=STEPS, help="only at this step; may be repeated (default all)")
    options = parser.parse_args(arguments)
    days = [day for day in DAYS if day < options.days]
    plan = Plan(options.debts, options.seed, days, options.rounds, options.at or list(STEPS))
    # Queues of its own: they are emptied on the way, and deleted at the end.
    prefix = f"{os.environ.get('CELERY_QUEUE_PREFIX', '')}fire-{secrets.token_hex(4)}-"
    settings = {"CELERY_QUEUE_PREFIX": prefix, "WORKER_CONCURRENCY": "4"}
    work = partial(run, plan=plan)
    return run_on_stack("fire", work, use_environment=options.use_environment, settings=settings, has_tasks=False)


def run(stack: Stack, progress: Progress, plan: Plan) -> int:
    """Play the debts on a running stack, and report; return the exit code."""
    started, rng = time.monotonic(), random.Random(plan.seed)  # noqa: S311
    campaign = make_campaign(stack, progress)
    scripts = list(islice(all_scripts(rng), plan.debts))
    waves = [scripts[first : first + WAVE] for first in range(0, plan.debts, WAVE)]
    try:
        with make_fire(stack, rng, plan) as fire:
            problems = play(campaign, fire, plan.days, waves)
            findings = compare(campaign, plan.days[-1])
    finally:
        if not stack.broker:
            delete_queues(stack)
    progress.stop()
    problems += [*fire.problems, *findings.problems]
    progress.print(report(campaign, fire, findings, [step for step in plan.steps if not fire.deaths[step]]))
    if problems:
        print(*(f"fire: {problem}" for problem in problems), sep="\n", file=sys.stderr)
        return 1
    lived = f"{plan.debts} debts (seed {plan.seed}) lived {plan.days[-1]} days through {fire.deaths.total()} deaths"
    equal = "each try, mail and end of grace happened exactly once, and the books are equal"
    progress.print(f"{lived}: {equal}; {time.monotonic() - started:.0f} seconds")
    return 0


def make_campaign(stack: Stack, progress: Progress) -> Campaign:
    """Return the clients of a running stack."""
    progress.show("creating API keys")
    merchant, operator = (Merchant(stack.api_url, key, WAIT_SECONDS) for key in stack.create_keys("fire"))
    return Campaign(stack, progress, merchant, operator, Provider(stack.sandbox_url, stack.env["STRIPE_SECRET_KEY"]))


def make_fire(stack: Stack, rng: random.Random, plan: Plan) -> Fire:
    """Return the workers and beats of a stack, which die at the steps of a plan, in another order in each round. The
    rounds spread over the days."""
    prefix, folder = stack.env["CELERY_QUEUE_PREFIX"], stack.directory
    names = [f"worker{number + 1}" for number in range(WORKERS)]
    workers = [stack.celery(name, "worker", "-n", f"{prefix}{name}@%h") for name in names]
    beats = [
        stack.celery(name, "beat", "--schedule", str(folder / name))
        for name in (f"beat{number + 1}" for number in range(BEATS))
    ]
    rounds = [rng.sample(plan.steps, len(plan.steps)) for _ in range(plan.rounds)]
    days = len(plan.days)
    return Fire(workers, beats, [[step for each in rounds[day::days] for step in each] for day in range(days)], rng)


def play(campaign: Campaign, fire: Fire, days: list[int], waves: list[list[Script]]) -> list[str]:
    """Let the days come for one wave of debts after the other, each day with its deaths; return what did not come to
    stand as it has to."""
    played: list[list[Debt]] = []
    problems: list[str] = []
    for day in days:
        if day != days[0]:
            fire.begin_round()
        for number, scripts in enumerate(waves):
            if day == days[0]:
                played.append(send_wave(campaign, scripts))
            move_to(campaign, day, played[number])
            if day == FLUSHED_ON and number == 0:
                flush(campaign.stack)
            problems += live(campaign, fire, day, played[number])
    fire.cease()
    campaign.progress.show("the fire is over; waiting for whatever might still come twice")
    campaign.provider.advance_clock(1)
    time.sleep(CALM_SECONDS)
    return problems


def send_wave(campaign: Campaign, scripts: list[Script]) -> list[Debt]:
    """Send payments that fail; return their debts."""
    campaign.progress.show(f"sending {len(scripts)} payments that fail")
    now = campaign.provider.now()
    debts = [send(campaign.merchant, campaign.provider, script, now) for script in scripts]
    campaign.debts += debts
    return debts


def move_to(campaign: Campaign, day: int, debts: list[Debt]) -> None:
    """Move the clock on to when everything of a day is due."""
    due = [at for debt in debts if (at := debt.due_at(day)) is not None] if day else []
    seconds = max(due, default=0) + 1 - campaign.provider.now()
    if seconds > 0:
        campaign.provider.advance_clock(seconds / HOUR_SECONDS)


def live(campaign: Campaign, fire: Fire, day: int, debts: list[Debt]) -> list[str]:
    """Wait until these debts stand as they have to on a day; return which do not."""
    waiting = list(debts)
    unchanged, last = 0, ""

    def state() -> str:
        moving = f"{len(waiting)} of {len(debts)} debts are moving"
        return f"day {day}: {moving}, {fire.deaths.total()} deaths"

    def are_all_there() -> bool:
        nonlocal unchanged, last
        for debt in waiting:
            look(campaign, debt)
        waiting[:] = [debt for debt in waiting if not debt.stands(day)]
        news = repr([(debt.payment["status"], debt.payment["attempts"], debt.mails) for debt in waiting])
        unchanged, last = (unchanged + 1 if news == last else 0), news
        if unchanged >= POLLS_BEFORE_MOVE:
            has_attempt = any(debt.has_open_attempt for debt in waiting)
            seconds = ATTEMPT_LEASE_SECONDS if has_attempt else MAIL_LEASE_SECONDS
            campaign.provider.advance_clock(seconds / HOUR_SECONDS)
            unchanged = 0
        return not waiting

    campaign.progress.show(state)
    if wait_until(are_all_there, DAY_SECONDS, POLL_SECONDS):
        return []
    return [f"{debt.name} is {debt.payment['status']} on day {day}, and does not come to rest" for debt in waiting]


def look(campaign: Campaign, debt: Debt) -> None:
    """See how a debt stands. Its customer pays it once they have got a mail, if that is what they do."""
    debt.payment = campaign.merchant.payment(debt.payment["id"])
    if debt.paid_by is not None:
        debt.paid_by = campaign.merchant.payment(debt.paid_by["id"])
    elif debt.script.pays_by_link and debt.mails and debt.payment["status"] == "past_due" and not debt.is_under_way:
        pay_by_link(campaign.merchant, campaign.provider, debt)


def flush(stack: Stack) -> None:
    """Let the broker lose everything that it holds of this stack."""
    if stack.broker:
        with redis.Redis.from_url(stack.env["CELERY_BROKER_URL"]) as client:
            client.flushall()
    else:
        delete_queues(stack)


def delete_queues(stack: Stack) -> None:
    """Delete the queues of this stack; workers that listen to them declare them anew."""
    with Connection(stack.env["CELERY_BROKER_URL"]) as connection, connection.channel() as channel:
        for queue in dict.fromkeys(QUEUE_OF_TASK.values()):
            channel.queue_delete(f"{stack.env['CELERY_QUEUE_PREFIX']}{queue}")  # type: ignore[attr-defined]


def compare(campaign: Campaign, day: int) -> Findings:
    """Compare every debt with the issuer's ledger and the mail server."""
    campaign.progress.show("comparing with the issuer's ledger and the mail server")
    findings, provider = Findings(), campaign.provider
    sources = Sources(provider.tries(), provider.ledger_totals(), provider.mails(), campaign.operator.attention())
    for debt in campaign.debts:
        look(campaign, debt)
        examine(findings, debt, _seen(campaign, debt, sources), day)
    payments = {payment["id"] for debt in campaign.debts for payment in debt.payments}
    unknown = [
        f"the provider's {name} belongs to none of our payments" for name in unknown_objects(sources.totals, payments)
    ]
    findings.problems += [*unknown, *ledger_problems(campaign.stack)]
    return findings


def _seen(campaign: Campaign, debt: Debt, sources: Sources) -> Seen:
    ids = {payment["id"] for payment in debt.payments}
    case = campaign.operator.dunning_case(debt.payment["dunning"]["case_id"])
    return Seen(
        tries=[row for row in sources.tries if row["metadata"].get("payment_id") in ids],
        intents=[row for row in sources.totals if row["metadata"].get("payment_id") in ids],
        mails=[mail for mail in sources.mails if debt.request["email"] in mail["to"]],
        events=[event["name"] for event in case["events"]],
        asked=[entry["reason"] for entry in sources.attention if entry["payment_id"] in ids],
        subscription=campaign.merchant.subscription(debt.request["subscription_id"])["status"],
    )


def report(campaign: Campaign, fire: Fire, findings: Findings, unreached: list[str]) -> str:
    """Return how many tries, mails and deaths there were. `unreached`: the steps at which nothing has died."""
    deaths = ", ".join(f"{number} {point}" for point, number in sorted(fire.deaths.items()))
    window = findings.window_seconds or [0.0]
    accepted = fire.deaths["mail.accepted"]
    lines = {
        "debts": f"{len(campaign.debts)}, {findings.tries} tries, {findings.expiries} ends of grace",
        "intents": f"{findings.unconfirmed} were left unconfirmed by who died, so that nobody can charge them",
        "mails": f"{findings.mails}; {findings.doubled} came twice as one Message-ID, {findings.given_up} were left to"
        f" a person after two hand-overs; {accepted} workers died between acceptance and commit",
        "window": f"from acceptance to after the commit: median {1000 * statistics.median(window):.0f} ms, longest"
        f" {1000 * max(window):.0f} ms",
        "deaths": deaths,
        "unreached": ", ".join(unreached) or "no step",
    }
    return "\n".join(["", *(f"{title:<10}{text}" for title, text in lines.items()), ""])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
