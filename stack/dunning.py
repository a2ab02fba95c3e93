"""`dev.py dunning`: random histories of dunning, by the simulator's model of customers; no rule may be broken.

Most are played in memory, with the decisions of the product: half of them under `standard`, the others under `strong`,
`monitor_only` and policies that are drawn. A smaller number is played through a whole system, with its database, its
tasks, its mails and a sandbox, by `tests/integration/test_dunning_histories.py`. The same seed gives the same
histories."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed

from domain.declines.caps import VISA_CAP
from domain.dunning.policy import MONITOR_ONLY, STANDARD, STRONG, DunningPolicy, EndAction, GraceAnchor, problems_of
from domain.simulation.customer_model import Dice, customer_of_model
from domain.simulation.invariants import violations_of
from domain.simulation.play import History, Strategy, play
from stack.command import INTERRUPTED
from stack.process import ROOT
from stack.progress import Progress
from worker.simulation_run import general_policy, model_zones

TEST = "tests/integration/test_dunning_histories.py"
# Large enough that starting one costs nothing, small enough to count along.
_BATCH = 250
_MOST_SHOWN = 10


def main(arguments: list[str]) -> int:
    """Play the histories; return 0 if no rule is broken in any of them."""
    parser = argparse.ArgumentParser(prog="dev.py dunning", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--histories", type=number, default=10_000, metavar="N", help="in memory (default 10000)")
    parser.add_argument("--in-system", type=number, default=50, metavar="N", help="in a whole system (default 50)")
    parser.add_argument("--seed", default="1", help="decides the customers and their policies (default 1)")
    options = parser.parse_args(arguments)
    try:
        problems = play_in_memory(options.seed, options.histories)
        code = play_in_system(options.seed, options.in_system) if options.in_system else 0
    except KeyboardInterrupt:
        print("\ndunning: stopped", file=sys.stderr)
        return INTERRUPTED
    print(*problems[:_MOST_SHOWN], sep="\n", end="\n" if problems else "", file=sys.stderr)
    if problems or code:
        print(f"dunning: a rule was broken (seed {options.seed})", file=sys.stderr)
        return 1
    return 0


def number(text: str) -> int:
    """Return a whole number from 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError("give a whole number from 0")
    return int(text)


def play_in_memory(seed: str, histories: int) -> list[str]:
    """Play histories in as many processes as there are processors; return what is broken, in order."""
    began_at, counts, problems = time.monotonic(), Counter[str](), []
    batches = [range(begin, min(begin + _BATCH, histories)) for begin in range(0, histories, _BATCH)]
    with Progress(sys.stderr) as progress, ProcessPoolExecutor(os.cpu_count()) as pool:
        progress.show(lambda: f"{counts['histories']} of {histories} histories")
        for done in as_completed([pool.submit(play_batch, seed, batch) for batch in batches]):
            counted, found = done.result()
            counts.update(counted)
            problems += found
    seconds = time.monotonic() - began_at
    said = ", ".join(f"{counts[name]} {name}" for name in ("tries", "mails", "recovered", "given up", "left"))
    print(f"{histories} histories in memory (seed {seed}): {said}; {len(problems)} broken rules; {seconds:.0f} s")
    return sorted(problems)


def play_batch(seed: str, numbers: Sequence[int]) -> tuple[Counter[str], list[str]]:
    """Play some histories; return their counts, and a line for everything that is broken."""
    zones, general, counts, problems = model_zones(), general_policy(), Counter[str](), []
    for each in numbers:
        history = play(customer_of_model(seed, each, zones), strategy_of(seed, each), general)
        counts.update(_counts(history))
        policy = history.strategy.policy
        problems += [f"history {each}, {policy}: {broken}" for broken in violations_of(history, VISA_CAP)]
    return counts, problems


def strategy_of(seed: str, each: int) -> Strategy:
    """Return the policy of a history: a shipped one or one that is drawn."""
    policy = (STANDARD, STRONG, STANDARD, MONITOR_ONLY, STANDARD, drawn_policy(seed, each))[each % 6]
    return Strategy(policy.name, policy)


def drawn_policy(seed: str, each: int) -> DunningPolicy:
    """Return a policy that an operator may write; `standard` where what is drawn is none."""
    dice = Dice(seed, f"policy {each}")
    days = {1 + int(dice.share(f"day {place}") * 40) for place in range(1 + int(dice.share("days") * 8))}
    policy = DunningPolicy(
        delays_days=tuple(sorted(days)),
        attempts=len(days),
        grace_days=int(dice.share("grace") * 30),
        name="drawn",
        grace_anchor=dice.choice("anchor", [(1, anchor) for anchor in GraceAnchor]),
        end_action=dice.choice("end", [(1, end) for end in EndAction]),
        window_days=dice.choice("window", [(1, 0.0), (1, 1.0), (1, 2.5)]),
    )
    return policy if not problems_of(policy) else STANDARD


def _counts(history: History) -> Counter[str]:
    return Counter(
        {
            "histories": 1,
            "tries": len(history.tries),
            "mails": len(history.mails),
            "recovered": int(history.paid_at is not None),
            "given up": int(history.paid_at is None and history.left_at is None),
            "left": int(history.left_at is not None and history.paid_at is None),
        }
    )


def play_in_system(seed: str, histories: int) -> int:
    """Play histories through a whole system; return the exit code of their test."""
    print(f"{histories} histories in a whole system, under each of two policies, at a second each", flush=True)
    options = [f"--dunning-histories={histories}", f"--dunning-seed={seed}", "-q", "-p", "no:cacheprovider"]
    # Each of them takes its time; the test itself ends.
    command = [sys.executable, "-P", "-m", "pytest", TEST, "--timeout=0", *options]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
