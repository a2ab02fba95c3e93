"""`dev.py books`: random operations over all providers while a share of all calls fails, then a reconciliation.

The reconciliation compares our amounts with the providers' ledger, payment by payment. stack/random_customers.py has
the operations. With `--outside` a share of them happens at the providers behind our back (stack/outside_operations.py),
half of the webhooks are lost, and one comparison follows. The seed decides the customers' choices; which calls the
faults hit differs from run to run.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count

from stack.client import Json, Merchant, Provider, UnexpectedResult
from stack.command import make_parser, run_on_stack
from stack.outside_customers import OUTSIDE_CUSTOMERS
from stack.outside_operations import OutsideOperations
from stack.outside_round import LOOK_UP_HOURS, compare_once, ledger_problems, outside_problems
from stack.process import wait_until
from stack.progress import Progress
from stack.random_customers import CUSTOMERS, WAITS_FOR_CUSTOMER_OR_BANK, Simulation
from stack.reconciliation import our_totals, provider_totals, unknown_objects
from stack.stack import Stack

CUSTOMERS_AT_ONCE = 12
# The provider loses a response by holding it longer than we wait for it; the attempt is then in doubt.
READ_TIMEOUT_SECONDS = 2
LOST_RESPONSE_SECONDS = 4
# A payment in doubt is looked up after 1, 3, 10, 30 and 60 seconds, then every five minutes. Five look-ups can fail.
WAIT_SECONDS = 480
# With outside operations: the share of the webhooks that never come, and how long a customer waits for a payment.
LOST_WEBHOOKS = 0.5
PATIENCE_SECONDS = 10
LOOK_UP_SECONDS = 60
# Longer than the pause between two look-ups of what is in doubt.
SKIPPED_HOURS = 0.1
POLLS_BEFORE_SKIP = 8
IN_PROGRESS = ("accepted", "processing", "in_doubt")
ATTEMPT_IN_PROGRESS = ("due", "open", "in_doubt")


def main(arguments: list[str]) -> int:
    """Run the operations and reconcile; return 0 if no amount differs and nothing was charged or refunded twice."""
    parser = make_parser("books", "Random operations with faults, then a comparison with the providers' ledger.")
    parser.add_argument("--seed", type=int, default=1, help="decides the customers' choices (default 1)")
    parser.add_argument("--operations", type=positive, default=2000, metavar="N", help="default 2000")
    parser.add_argument("--rate", type=share, default=0.05, help="share of the calls that each fault hits (0.05)")
    parser.add_argument(
        "--outside",
        type=share,
        default=0.0,
        metavar="SHARE",
        help="share of the operations that happens at the providers behind our back; half of the webhooks are lost"
        " meanwhile, and one comparison must find all of it (default 0)",
    )
    options = parser.parse_args(arguments)
    work = partial(run, seed=options.seed, operations=options.operations, rate=options.rate, outside=options.outside)
    settings = {"PROVIDER_READ_TIMEOUT_SECONDS": str(READ_TIMEOUT_SECONDS)}
    return run_on_stack("books", work, use_environment=options.use_environment, settings=settings)


def positive(text: str) -> int:
    """Return a whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("give a whole number from 1")
    return int(text)


def share(text: str) -> float:
    """Return a number from 0 to 1."""
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError("give a number from 0 to 1")
    return number


def run(stack: Stack, progress: Progress, *, seed: int, operations: int, rate: float, outside: float = 0.0) -> int:
    """Run the operations with faults, wait until no payment is in progress, reconcile; return the exit code."""
    started = time.monotonic()
    progress.show("creating API keys")
    simulation, elsewhere = make_simulation(stack), OutsideOperations(outside)
    if outside:
        simulation.interfere, simulation.patience = elsewhere.interfere, PATIENCE_SECONDS
    simulation.provider.inject_faults(rate, LOST_RESPONSE_SECONDS, LOST_WEBHOOKS if outside else 0.0)
    problems = run_customers(simulation, progress, seed, operations)
    elsewhere.finish()
    faults = simulation.provider.stop_faults()
    if outside:
        problems += compare_after(stack, progress, simulation, elsewhere)
    else:
        wait_until_idle(simulation, progress)
        problems += all_problems(simulation)
    payments, movements = simulation.all_payments(), simulation.provider.movements()
    progress.stop()
    progress.print(report(simulation, payments, movements, faults))
    if problems:
        print(stack.log_tails(), *(f"books: {problem}" for problem in problems), sep="\n", file=sys.stderr)
        return 1
    seconds = time.monotonic() - started
    number = simulation.operations.total()
    done = f"{number} operations (seed {seed}) on {len(payments)} payments, {faults} calls failed:"
    equal = f"every amount equals the providers' ledger, nothing was charged or refunded twice; {seconds:.0f} seconds"
    progress.print(f"{done}\n{equal}")
    return 0


def make_simulation(stack: Stack) -> Simulation:
    """Return the clients of a running stack."""
    app_key, operator_key = stack.create_keys("books")
    merchant = Merchant(stack.api_url, app_key, WAIT_SECONDS)
    provider = Provider(stack.sandbox_url, stack.env["STRIPE_SECRET_KEY"])
    return Simulation(merchant, Merchant(stack.api_url, operator_key), provider)


def compare_after(stack: Stack, progress: Progress, simulation: Simulation, elsewhere: OutsideOperations) -> list[str]:
    """Let the look-ups of some hours happen, compare once, and return what is wrong afterwards."""
    simulation.provider.advance_clock(LOOK_UP_HOURS)
    wait_until_idle(simulation, progress, skips_time=True)
    wait_for_look_ups(simulation, progress)
    find = partial(all_problems, simulation, elsewhere)
    compare_once(stack, progress, find)
    return find() + ledger_problems(stack)


def all_problems(simulation: Simulation, elsewhere: OutsideOperations | None = None) -> list[str]:
    """Return a line for each thing that is not as the providers show it. `elsewhere`: what happened only there."""
    payments = simulation.all_payments()
    totals, movements = simulation.provider.ledger_totals(), simulation.provider.movements()
    if elsewhere is None:
        return find_problems(payments, totals, movements)
    found = find_problems(payments, totals, movements, elsewhere.refund_ids)
    return found + outside_problems(simulation, elsewhere, payments, totals)


def run_customers(simulation: Simulation, progress: Progress, seed: int, operations: int) -> list[str]:
    """Run customers, several at once, until there are enough operations; return the problems."""

    def state() -> str:
        done = simulation.operations.total()
        text = f"{done} operations on {len(simulation.payment_ids)} payments, with faults; the goal is {operations}"
        return text if done < operations else f"{text}; waiting for the last customers"

    progress.show(state)
    numbers = count()
    with ThreadPoolExecutor(CUSTOMERS_AT_ONCE) as pool:
        running = [
            pool.submit(_run_one_after_another, simulation, numbers, seed, operations) for _ in range(CUSTOMERS_AT_ONCE)
        ]
        return [problem for each in running for problem in each.result()]


def _run_one_after_another(simulation: Simulation, numbers: Iterator[int], seed: int, operations: int) -> list[str]:
    problems = []
    while simulation.operations.total() < operations:
        with simulation.lock:
            number = next(numbers)
        rng = random.Random(f"{seed}:{number}")  # noqa: S311
        customers = CUSTOMERS if simulation.patience is None else CUSTOMERS | OUTSIDE_CUSTOMERS
        customer = rng.choices(list(customers), list(customers.values()))[0]
        try:
            customer(simulation, rng)
        except UnexpectedResult as error:
            problems.append(f"customer {number}: {error}")
    return problems


def wait_until_idle(simulation: Simulation, progress: Progress, *, skips_time: bool = False) -> None:
    """Wait until no webhook is pending and no payment is in progress.

    `skips_time`: from time to time the clock jumps over the wait for the next look-up of what is in doubt."""
    polls = count(1)
    progress.show("faults are off; waiting for the last webhooks")
    wait_until(lambda: not simulation.provider.webhooks()["pending"], WAIT_SECONDS, 0.5)
    waiting = set(simulation.payment_ids)

    def are_idle() -> bool:
        waiting.difference_update([each for each in waiting if is_idle(simulation.merchant.payment(each))])
        if skips_time and next(polls) % POLLS_BEFORE_SKIP == 0:
            simulation.provider.advance_clock(SKIPPED_HOURS)
        return not waiting

    progress.show(lambda: f"faults are off; {len(waiting)} of {len(simulation.payment_ids)} payments are in progress")
    wait_until(are_idle, WAIT_SECONDS, 1)


def wait_for_look_ups(simulation: Simulation, progress: Progress) -> None:
    """Wait until what waits for a customer or a bank is looked up, once the clock is past its look-ups."""
    waiting = [each["id"] for each in simulation.all_payments() if each["status"] in WAITS_FOR_CUSTOMER_OR_BANK]

    def agree() -> bool:
        totals, payments = simulation.provider.ledger_totals(), map(simulation.merchant.payment, waiting)
        return all(is_idle(each) and our_totals(each) == provider_totals(totals, each) for each in payments)

    progress.show(f"the clock is {LOOK_UP_HOURS} hours ahead; waiting for the look-ups that are due")
    wait_until(agree, LOOK_UP_SECONDS, 2)


def is_idle(payment: Json) -> bool:
    """Tell whether neither a payment nor one of its attempts is in progress."""
    is_in_progress = payment["status"] in IN_PROGRESS
    return not is_in_progress and all(attempt["status"] not in ATTEMPT_IN_PROGRESS for attempt in payment["attempts"])


def find_problems(
    payments: list[Json], totals: list[Json], movements: list[Json], elsewhere: Collection[str] = ()
) -> list[str]:
    """Return a line for each payment that is in progress, differs from the ledger, or has a movement too many.

    `elsewhere`: the ids of the refunds that we have not asked for."""
    problems = [f"{payment['id']} is still {payment['status']}" for payment in payments if not is_idle(payment)]
    charges = Counter(payment_of(row) for row in movements if row["kind"] in ("charge", "authorization"))
    refunds = Counter(
        payment_of(row) for row in movements if row["kind"] == "refund" and row["object"] not in elsewhere
    )
    for payment in payments:
        name = f"{payment['id']} ({payment['payment_method']} by {payment['provider']}, {payment['status']})"
        ours, theirs = our_totals(payment), provider_totals(totals, payment)
        if payment["provider"] != "manual" and ours != theirs:
            problems.append(f"{name}: our totals are {ours}; the provider's are {theirs}")
        if charges[payment["id"]] > 1:
            problems.append(f"{name}: charged {charges[payment['id']]} times")
        given = [attempt for attempt in payment["attempts"] if attempt["verb"] == "refund"]
        requested = [attempt for attempt in given if attempt["provider_reference"] not in elsewhere]
        if refunds[payment["id"]] > len(requested):
            problems.append(f"{name}: {refunds[payment['id']]} refunds for {len(requested)} requests")
    unknown = unknown_objects(totals, {payment["id"] for payment in payments})
    return problems + [f"the provider's {name} belongs to none of our payments" for name in unknown]


def payment_of(movement: Json) -> str | None:
    """Return the id of the payment that a movement in the ledger names."""
    payment_id: str | None = movement["metadata"].get("payment_id")
    return payment_id


def report(simulation: Simulation, payments: list[Json], movements: list[Json], faults: int) -> str:
    """Return the numbers of operations, of payments by provider and status, and of movements in the ledger."""
    operations = ", ".join(f"{number} {operation}" for operation, number in sorted(simulation.operations.items()))
    webhooks = simulation.provider.webhooks()
    lines = {
        "operations": operations,
        "providers": _numbers(payment["provider"] for payment in payments),
        "statuses": _numbers(payment["status"] for payment in payments),
        "ledger": _numbers(row["kind"] for row in movements),
        "faults": f"{faults} calls hit, {webhooks['delivered']} webhooks delivered, {webhooks['dropped']} lost",
    }
    return "\n".join(["", *(f"{title:<14}{text}" for title, text in lines.items()), ""])


def _numbers(names: Iterable[str]) -> str:
    return ", ".join(f"{number} {name}" for name, number in Counter(names).most_common())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
