"""The demo: real payments through the public API of a whole stack, to their rest, then the books compared.

What is played stands in stack/scenario.py, how it is shown in stack/report.py.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from stack import tour
from stack.client import DemoError, Merchant, Provider
from stack.process import ProcessError, interrupt_on_signals
from stack.report import find_problems, print_table, summary
from stack.scenario import (
    Case,
    World,
    independent_cases,
    live_three_weeks,
    lost_answer,
    subscriptions,
)
from stack.services import Stack

MOVING = ("accepted", "processing")
# Every webhook of the tour comes this much later than the answer that it repeats.
LATE_SECONDS = 2


def main(arguments: list[str]) -> int:
    """Play the scenario; return 0 if every payment rests as it should and the books are equal."""
    parser = argparse.ArgumentParser(prog="dev.py demo", description="Real payments on a stack of its own.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the payments to FILE")
    target = parser.parse_args(arguments).json
    interrupt_on_signals()
    print("Starting broker, sandbox, web, worker and beat ...", flush=True)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="celeriac-demo-") as directory,
            Stack(Path(directory)) as stack,
        ):
            return play(stack, target)
    except (ProcessError, DemoError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: stopped", file=sys.stderr)
        return 130


def play(stack: Stack, target: Path | None) -> int:
    """Run all cases on a running stack and report; return the exit code."""
    started = time.monotonic()
    provider = Provider(stack.sandbox_url, stack.env["STRIPE_SECRET_KEY"])
    merchant = Merchant(stack.api_url, stack.create_key("app", "demo"))
    try:
        operator = Merchant(stack.api_url, stack.create_key("operator", "demo"))
        cases = run_cases(World(merchant, operator, provider, lambda days: advance(stack, days)))
    except DemoError:
        print(stack.log_tails(), file=sys.stderr)
        raise
    books = provider.books()
    seconds = round(time.monotonic() - started, 1)
    print_table(cases, books)
    print(f"\n{stack.command('show', cases[-2].id).strip()}\n")
    if target:
        target.write_text(json.dumps(summary(cases, books, seconds), indent=2) + "\n")
    problems = find_problems(cases, books)
    if problems:
        print(stack.log_tails(), *(f"demo: {problem}" for problem in problems), sep="\n", file=sys.stderr)
        return 1
    print(f"{len(cases)} payments at rest, our books equal to the provider's, {seconds} seconds")
    return 0


def advance(stack: Stack, days: int) -> None:
    """Move the sandbox's clock, which every process follows."""
    print(f"The clock moves {days} days ...", flush=True)
    stack.command("sandbox", "advance", "--days", str(days))


def run_cases(world: World) -> list[Case]:
    """Enqueue the cases, let each go its way, and return them as they came to rest."""
    lost = lost_answer()
    world.provider.lose_next_answer()
    enqueue(world, lost)
    world.merchant.wait_for(lost.id, lambda payment: payment["status"] not in MOVING, "tried")
    once, monthly = [*independent_cases(world.provider), *tour.cases()], subscriptions(world.provider)
    world.provider.hold_webhooks(LATE_SECONDS)
    for case in [*once, *monthly]:
        enqueue(world, case)
    print(f"{len(once) + len(monthly) + 1} payments are accepted; each goes its way ...", flush=True)
    with ThreadPoolExecutor(len(once) + 1) as pool:
        list(pool.map(lambda case: come_to_rest(world, case), [lost, *once]))
    world.provider.hold_webhooks(0)
    live_three_weeks(world, *monthly)
    for case in monthly:
        come_to_rest(world, case)
    return [*once, lost, *monthly]


def enqueue(world: World, case: Case) -> None:
    """Hand one order in; a worker charges it later."""
    case.id = world.merchant.process(case.order)["id"]


def come_to_rest(world: World, case: Case) -> None:
    """Let one case go its way to its rest; a failure stays with the case, so that the others go on."""
    try:
        case.on_the_way(world, case)
        world.merchant.wait_status(case.id, case.rests)
    except DemoError as error:
        case.problem = f"{case.title}: {error}"
    case.payment = world.merchant.payment(case.id)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
