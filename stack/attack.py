"""`dev.py attack`: cards are tested on the running stack among normal traffic, at each door in turn.

In each round hundreds of strangers with a card each try a small payment within a minute. They share an IP address, a
device behind many addresses, or a range of cards. From the k-th on they have to be refused without a call of the
provider, customers have to pay as ever, and no mail may be sent. stack/attack_round.py plays a round.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import NamedTuple

from stack.attack_round import DOORS, SHARED, Field, Plan, Round, play
from stack.books import positive
from stack.command import make_parser, run_on_stack
from stack.progress import Progress
from stack.stack import Stack

MOST = 10
# Who has paid two days before is known.
KNOWN_AFTER_HOURS = 50


class _Options(NamedTuple):
    plan: Plan
    doors: list[str]
    shared: list[str]
    output: Path | None


def main(arguments: list[str]) -> int:
    """Attack each door; return 0 if each held and customers were untouched."""
    parser = make_parser("attack", "Cards are tested at each door among normal traffic; each has to hold.")
    parser.add_argument("--strangers", type=positive, default=300, metavar="N", help="in each round (default 300)")
    parser.add_argument("--customers", type=positive, default=40, metavar="N", help="in each round (default 40)")
    parser.add_argument("--most", type=positive, default=MOST, metavar="K", help="FRAUD_MOST_STRANGERS (default 10)")
    parser.add_argument("--door", action="append", choices=list(DOORS), help="may be repeated (default all)")
    parser.add_argument("--shared", action="append", choices=list(SHARED), help="may be repeated (default all)")
    parser.add_argument("--seed", type=int, default=1, help="decides who comes when (default 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was seen")
    options = parser.parse_args(arguments)
    plan = Plan(options.strangers, options.customers, options.most, options.seed)
    chosen = _Options(plan, options.door or list(DOORS), options.shared or list(SHARED), options.json)
    settings = {"FRAUD_MOST_STRANGERS": str(options.most), "FRAUD_DETECTION_ENABLED": "true"}
    work = partial(run, options=chosen)
    return run_on_stack("attack", work, use_environment=options.use_environment, settings=settings)


def run(stack: Stack, progress: Progress, options: _Options) -> int:
    """Attack a running stack, and report; return the exit code."""
    started = time.monotonic()
    field = Field.of(stack)
    progress.show("customers pay, two days before")
    field.make_known(options.plan.known * len(DOORS) * len(SHARED), KNOWN_AFTER_HOURS)
    mails = len(field.provider.mails())
    rounds = []
    for door in options.doors:
        for shared in options.shared:
            progress.show(f"{options.plan.strangers} strangers at {door}, sharing: {shared}")
            rounds.append(play(field, options.plan, door, shared))
            progress.print(line(rounds[-1], options.plan))
    progress.stop()
    problems = [problem for each in rounds for problem in each.problems(options.plan)]
    sent = len(field.provider.mails()) - mails
    problems += [f"{sent} mails were sent"] if sent else []
    if options.output is not None:
        found = {"rounds": [asdict(each) for each in rounds], "mails": sent, "problems": problems}
        options.output.write_text(json.dumps(found, indent=2) + "\n")
    if problems:
        print(*(f"attack: {problem}" for problem in problems), sep="\n", file=sys.stderr)
        return 1
    progress.print(
        f"{len(rounds)} attacks held, customers untouched, no mail; {time.monotonic() - started:.0f} seconds"
    )
    return 0


def line(played: Round, plan: Plan) -> str:
    """Return what came of a round in one line."""
    return (
        f"{played.door:<8} {played.shared:<7} {played.let_through:>3} of {played.strangers} strangers let through "
        f"(at most {plan.most}), {played.calls} calls for them; {played.paid} of {played.customers} customers paid; "
        f"{played.seconds:.0f} s"
    )
