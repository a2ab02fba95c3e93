"""`dev.py demo`: real payments through the public API of a complete local system, compared with the provider's ledger.

stack/demo_cases.py and stack/demo_methods.py have the payments, stack/demo_report.py the report.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from stack.client import Merchant, Provider, UnexpectedResult
from stack.command import make_parser, run_on_stack
from stack.demo_cases import (
    Actors,
    Case,
    card_and_debit_cases,
    give_duplicate_back,
    lost_response,
)
from stack.demo_dunning import POLICIES_FILE, Debt, debts, live_three_weeks, send_debts
from stack.demo_methods import payment_method_cases
from stack.demo_report import debt_table, dunning_summary, find_problems, summary, table
from stack.progress import Progress
from stack.stack import Stack

NOT_YET_TRIED = ("accepted", "processing")
# Webhooks come this many seconds after the response, so that the demo does not depend on them and meets late ones.
WEBHOOK_DELAY_SECONDS = 2
# As many unfinished cases as the progress line names.
NAMED_CASES = 3


def main(arguments: list[str]) -> int:
    """Run the demo; return 0 if every payment has the expected status and its amounts equal the ledger's."""
    parser = make_parser("demo", "Real payments through a complete local system, with every payment method.")
    parser.add_argument("--json", type=writable_file, metavar="FILE", help="also write the payments to FILE")
    options = parser.parse_args(arguments)
    work = partial(run, json_file=options.json)
    settings = {"DUNNING_POLICIES_FILE": str(POLICIES_FILE)}
    return run_on_stack("demo", work, use_environment=options.use_environment, settings=settings)


def writable_file(name: str) -> Path:
    """Return the path of a file that can be written; refuse it before the demo runs, not after."""
    file = Path(name).resolve()
    if file.is_dir() or not os.access(file if file.exists() else file.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"cannot write {name}; name a file in a folder that exists")
    return file


def run(stack: Stack, progress: Progress, json_file: Path | None) -> int:
    """Run all cases on a running stack and report; return the exit code."""
    started = time.monotonic()
    provider = Provider(stack.sandbox_url, stack.env["STRIPE_SECRET_KEY"])
    try:
        progress.show("creating API keys")
        merchant, operator = (Merchant(stack.api_url, key) for key in stack.create_keys("demo"))
        actors = Actors(merchant, operator, provider, partial(advance, stack, progress), progress.show)
        cases, owed = run_cases(actors)
    except UnexpectedResult:
        print(stack.log_tails(), file=sys.stderr)
        raise
    progress.show("comparing with the provider's ledger")
    totals = provider.ledger_totals()
    attention = operator.attention()
    seconds = round(time.monotonic() - started, 1)
    mails = provider.mails()
    shown = (stack.command("dunning", "statistics"), stack.command("show", owed[0].case.id))
    progress.stop()
    print("", table(cases, totals), debt_table(owed), *map(str.strip, shown), "", sep="\n\n")
    if json_file:
        result = summary(cases, totals, attention, seconds) | dunning_summary(owed, mails)
        json_file.write_text(json.dumps(result, indent=2) + "\n")
    problems = find_problems(cases, totals)
    if problems:
        print(stack.log_tails(), *(f"demo: {problem}" for problem in problems), sep="\n", file=sys.stderr)
        return 1
    equal = f"{len(cases)} payments as expected, all amounts equal to the provider's ledger"
    progress.print(f"{equal}, {seconds} seconds after the stack was up")
    return 0


def advance(stack: Stack, progress: Progress, days: int) -> None:
    """Advance the sandbox's clock, which every process follows."""
    progress.print(f"The clock advances by {days} days.")
    progress.show("advancing the clock of the sandbox")
    stack.command("sandbox", "advance", "--days", str(days))


def run_cases(actors: Actors) -> tuple[list[Case], list[Debt]]:
    """Send all payment requests and carry out what happens to each; return the cases with their final payments, and
    those that were debts."""
    lost = lost_response()
    actors.provider.lose_next_response()
    send(actors, lost)
    actors.show("waiting for the payment whose response gets lost to reach the provider")
    actors.merchant.wait_for(lost.id, lambda payment: payment["status"] not in NOT_YET_TRIED, "sent to the provider")
    once, owed = [*card_and_debit_cases(actors.provider), *payment_method_cases()], debts(actors)
    actors.provider.delay_webhooks(WEBHOOK_DELAY_SECONDS)
    actors.show("sending payment requests")
    send_debts(actors, owed, datetime.now(UTC))
    for case in once:
        send(actors, case)
    finish_all(actors, [lost, *once])
    actors.provider.delay_webhooks(0)
    live_three_weeks(actors, owed)
    give_duplicate_back(actors, owed[0].case)
    return [*once, lost, *(case for debt in owed for case in debt.cases)], owed


def send(actors: Actors, case: Case) -> None:
    """Send the payment request of a case; a worker charges it later."""
    case.id = actors.merchant.process(case.request)["id"]


def finish_all(actors: Actors, cases: list[Case]) -> None:
    """Carry out cases at the same time, until each has its final payment."""

    def unfinished() -> str:
        titles = [case.title for case in cases if not case.payment]
        named = "; ".join(titles[:NAMED_CASES])
        more = f" and {len(titles) - NAMED_CASES} more" if len(titles) > NAMED_CASES else ""
        return f"{len(cases) - len(titles)} of {len(cases)} payments finished; waiting for {named}{more}"

    actors.show(unfinished)
    with ThreadPoolExecutor(len(cases)) as pool:
        list(pool.map(partial(finish, actors), cases))


def finish(actors: Actors, case: Case) -> None:
    """Carry out one case until it has the expected status. Keep a failure in the case, so that the others go on."""
    try:
        case.act(actors, case)
        actors.merchant.wait_for_status(case.id, case.expected)
    except UnexpectedResult as error:
        case.problem = f"{case.title}: {error}"
    case.payment = actors.merchant.payment(case.id)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
