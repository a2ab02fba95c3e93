"""The books: thousands of random operations over all providers while a share of all calls goes wrong, and then our
amounts beside the providers' own ledger, payment by payment.

The stories are in stack/shoppers.py. The same seed makes the same choices; what the faults strike is the hour's."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from stack.books import our_sums, provider_sums, strangers
from stack.client import DemoError, Json, Merchant, Provider
from stack.process import ProcessError, interrupt_on_signals, wait_until
from stack.services import Stack
from stack.shoppers import STORIES, Street

SHOPPERS = 12
# A provider that is waited for no longer than this leaves a payment in doubt; a lost answer takes longer.
READ_SECONDS, LOST_SECONDS = 2, 4
# Doubt is looked at after 1, 3, 10, 30 and 60 seconds, then every five minutes: who has bad luck five times waits long.
REST_SECONDS = 480
MOVING = ("accepted", "processing", "in_doubt")
IN_FLIGHT = ("due", "open", "in_doubt")


def main(arguments: list[str]) -> int:
    """Run the operations and compare; return 0 if nothing differs and nobody was charged or refunded twice."""
    parser = argparse.ArgumentParser(prog="dev.py books", description="Random operations with faults, then the books.")
    parser.add_argument("--seed", type=int, default=1, help="of the customers' choices (default 1)")
    parser.add_argument("--operations", type=int, default=2000, metavar="N", help="default 2000")
    parser.add_argument("--rate", type=float, default=0.05, help="share of the calls that each fault strikes")
    given = parser.parse_args(arguments)
    interrupt_on_signals()
    print("Starting broker, sandbox, web, worker and beat ...", flush=True)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="celeriac-books-") as directory,
            Stack(Path(directory), PROVIDER_READ_TIMEOUT_SECONDS=str(READ_SECONDS)) as stack,
        ):
            return run(stack, given.seed, given.operations, given.rate)
    except (ProcessError, DemoError) as error:
        print(f"books: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nbooks: stopped", file=sys.stderr)
        return 130


def run(stack: Stack, seed: int, operations: int, rate: float) -> int:
    """Let the customers in, wait for the last payment to rest, and compare; return the exit code."""
    started = time.monotonic()
    merchant = Merchant(stack.api_url, stack.create_key("app", "books"), REST_SECONDS)
    operator = Merchant(stack.api_url, stack.create_key("operator", "books"))
    street = Street(merchant, operator, Provider(stack.sandbox_url, stack.env["STRIPE_SECRET_KEY"]))
    street.provider.trouble(rate, LOST_SECONDS)
    troubles = shop(street, seed, operations)
    struck = street.provider.heal()
    payments = come_to_rest(street)
    books, movements = street.provider.books(), street.provider.movements()
    print_report(street, payments, movements, struck)
    problems = troubles + find_problems(payments, books, movements)
    for problem in problems:
        print(f"books: {problem}", file=sys.stderr)
    if problems:
        print(stack.log_tails(), file=sys.stderr)
        return 1
    done = sum(street.counts.values())
    print(f"{done} operations (seed {seed}) on {len(payments)} payments, {struck} calls went wrong: every amount equal")
    print(f"to the providers' ledgers, nobody charged or refunded twice; {time.monotonic() - started:.0f} seconds")
    return 0


def shop(street: Street, seed: int, operations: int) -> list[str]:
    """Let customers in, a dozen at a time, until so many operations are asked for; return what went wrong."""
    numbers = iter(range(1_000_000))

    def customer(_: int) -> list[str]:
        troubles = []
        while sum(street.counts.values()) < operations:
            with street.lock:
                number = next(numbers)
            dice = random.Random(f"{seed}:{number}")  # noqa: S311
            story = dice.choices(list(STORIES), list(STORIES.values()))[0]
            try:
                story(street, dice)
            except DemoError as error:
                troubles.append(f"customer {number}: {error}")
        return troubles

    with ThreadPoolExecutor(SHOPPERS) as pool:
        return [trouble for found in pool.map(customer, range(SHOPPERS)) for trouble in found]


def come_to_rest(street: Street) -> list[Json]:
    """Wait until no webhook is on its way and nothing of any payment moves; return the payments."""
    print(f"{len(street.payment_ids)} payments; waiting for the last to rest ...", flush=True)
    wait_until(lambda: not street.provider.webhooks()["pending"], REST_SECONDS, 0.5)
    waiting = set(street.payment_ids)

    def all_rest() -> bool:
        waiting.difference_update([each for each in waiting if is_at_rest(street.merchant.payment(each))])
        return not waiting

    wait_until(all_rest, REST_SECONDS, 1)
    return [street.merchant.payment(payment_id) for payment_id in street.payment_ids]


def is_at_rest(payment: Json) -> bool:
    """Tell whether nothing of a payment is under way."""
    is_moving = payment["status"] in MOVING
    return not is_moving and all(attempt["status"] not in IN_FLIGHT for attempt in payment["attempts"])


def find_problems(payments: list[Json], books: list[Json], movements: list[Json]) -> list[str]:
    """Return a line for each payment that does not rest, differs, or was charged or refunded twice."""
    problems = [f"{payment['id']} is {payment['status']}" for payment in payments if not is_at_rest(payment)]
    taken = Counter(payment_of(row) for row in movements if row["kind"] in ("charge", "authorization"))
    given = Counter(payment_of(row) for row in movements if row["kind"] == "refund")
    for payment in payments:
        name = f"{payment['id']} ({payment['payment_method']} by {payment['provider']}, {payment['status']})"
        ours, theirs = our_sums(payment), provider_sums(books, payment["id"])
        if payment["provider"] != "manual" and ours != theirs:
            problems.append(f"{name}: we say {ours}, the provider {theirs}")
        if taken[payment["id"]] > 1:
            problems.append(f"{name}: charged {taken[payment['id']]} times")
        asked = [attempt for attempt in payment["attempts"] if attempt["verb"] == "refund"]
        if given[payment["id"]] > len(asked):
            problems.append(f"{name}: {given[payment['id']]} refunds for {len(asked)} requests")
    unknown = strangers(books, {payment["id"] for payment in payments})
    return problems + [f"{name} belongs to none of our payments" for name in unknown]


def payment_of(movement: Json) -> str | None:
    """Return the payment that a movement of the ledger names."""
    named: str | None = movement["metadata"].get("payment_id")
    return named


def print_report(street: Street, payments: list[Json], movements: list[Json], struck: int) -> None:
    """Print what was asked for, where the payments rest, and what the ledger holds."""
    print("\noperations    " + ", ".join(f"{count} {what}" for what, count in sorted(street.counts.items())))
    providers = Counter(f"{payment['provider']}" for payment in payments)
    print("providers     " + ", ".join(f"{count} {name}" for name, count in providers.most_common()))
    states = Counter(payment["status"] for payment in payments)
    print("at rest       " + ", ".join(f"{count} {state}" for state, count in states.most_common()))
    kinds = Counter(row["kind"] for row in movements)
    print("ledger        " + ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()))
    print(f"trouble       {struck} calls, {street.provider.webhooks()['delivered']} webhooks delivered\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
