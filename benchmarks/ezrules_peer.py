"""Scores the same generated payments by the same rules here and in ezrules, an open rule engine, within one process.

ezrules is installed nowhere in this project. With a Python that has it (and iso4217), from the project's folder:
`EZRULES_DB_ENDPOINT=sqlite:// EZRULES_APP_SECRET=x EZRULES_ORG_ID=1 python -m benchmarks.ezrules_peer`"""

from __future__ import annotations

import importlib
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.metadata import version
from statistics import quantiles
from typing import Any

from domain.fraud import RuleSet, Scored, assess
from domain.fraud.assessment import BLOCK_LIST
from domain.fraud.facts import ListKind
from domain.fraud.rule_set import Bands, Curve, FraudDecision

PAYMENTS = 5_000
# Rule: from which number on, and the decision that follows if nothing else fires.
RULES = {
    "amount": (500, FraudDecision.VERIFY),
    "over_limit": (101, FraudDecision.REVIEW),
    "user_declines_hour": (5, FraudDecision.REVIEW),
    "ip_declines_minutes": (10, FraudDecision.BLOCK),
    "device_cards_day": (5, FraudDecision.BLOCK),
    "card_users_day": (3, FraudDecision.REVIEW),
    "email_disposable": (1, FraudDecision.VERIFY),
}
_POINTS = {FraudDecision.VERIFY: 30, FraudDecision.REVIEW: 50, FraudDecision.BLOCK: 70}
_ORDER = list(FraudDecision)
OURS = RuleSet("peer", {name: Curve((bound,), (_POINTS[worst],)) for name, (bound, worst) in RULES.items()}, Bands())
_LISTED, _COUNTRIES = "NACountries", ("US", "CA", "DE", "FR", "NL", "ES")
# Its own form of a rule: Python on the fields of an event, which returns an outcome.
THEIRS = [
    {"rid": name, "logic": f"if ${name} >= {bound}:\n\treturn '{worst.value}'"}
    for name, (bound, worst) in RULES.items()
] + [{"rid": BLOCK_LIST, "logic": f"if $country in @{_LISTED}:\n\treturn 'block'"}]
# The same points added up by hand, in one rule.
_SUM = " + ".join(f"({_POINTS[worst]} if ${name} >= {bound} else 0)" for name, (bound, worst) in RULES.items())
ADDED = f"""if $country in @{_LISTED}:
\treturn 'block'
points = {_SUM}
return 'block' if points >= 70 else 'review' if points >= 50 else 'verify' if points >= 30 else 'approve'"""


def payments(listed: frozenset[str], seed: int = 9) -> Iterator[tuple[dict[str, Any], Scored]]:
    """Yield payments, as the event of the one and as what is scored by the other."""
    dice = random.Random(seed)
    for _ in range(PAYMENTS):
        amount = dice.choice([5, 20, 80, 300, 700, 1_500])
        numbers = {
            "amount": amount,
            "over_limit": amount // 10,
            "user_declines_hour": dice.choice([0] * 9 + [6]),
            "ip_declines_minutes": dice.choice([0] * 20 + [3, 12]),
            "device_cards_day": dice.choice([1] * 20 + [4, 9]),
            "card_users_day": dice.choice([1] * 15 + [3]),
            "email_disposable": dice.choice([0] * 9 + [1]),
        }
        country = dice.choice(_COUNTRIES)
        lists = frozenset({ListKind.BLOCK}) if country in listed else frozenset()
        yield numbers | {"country": country}, Scored(numbers, "credit_card", "EUR", lists)


def main() -> None:
    """Compare decisions and time, and print both."""
    core = importlib.import_module("ezrules.core.rule_engine")
    user_lists = importlib.import_module("ezrules.core.user_lists").StaticUserListManager()
    listed = frozenset(user_lists.get_entries(_LISTED))
    theirs = core.RuleEngineFactory.from_json(THEIRS)
    added = core.RuleEngineFactory.from_json([{"rid": "sum", "logic": ADDED}])
    both = list(payments(listed))
    same: Counter[str] = Counter()
    for event, scored in both:
        ours, shown = assess(OURS, scored), theirs(event)
        fired = {reason.rule for reason in ours.reasons}
        same["rules that fired"] += fired == set(shown["rule_results"])
        same["sum of points in one rule"] += added(event)["rule_results"]["sum"] == ours.decision
        worst = max(shown["outcome_set"] or ["approve"], key=_ORDER.index)
        kind = "one rule fired at most" if len(fired) <= 1 else "several rules fired"
        same[f"{kind}, of which the worst outcome is our decision"] += worst == ours.decision
        same[kind] += 1
    print(f"ezrules {version('ezrules')}, {PAYMENTS:,} payments, {len(THEIRS)} rules")
    for name, count in sorted(same.items()):
        print(f"  {name}: {count:,}")
    for name, evaluate in (
        ("Celeriac", lambda one: assess(OURS, one[1])),
        ("ezrules", lambda one: theirs(one[0])),
        ("ezrules, one rule", lambda one: added(one[0])),
    ):
        p50, p99 = _percentiles(evaluate, both)
        print(f"  {name}: p50 {p50:.1f} µs, p99 {p99:.1f} µs")


def _percentiles(evaluate: Callable[[Any], object], both: list[Any]) -> tuple[float, float]:
    seconds = []
    for one in both:
        begun = time.perf_counter()
        evaluate(one)
        seconds.append(time.perf_counter() - begun)
    cuts = quantiles((1e6 * second for second in seconds), n=100)
    return cuts[49], cuts[98]


if __name__ == "__main__":
    main()
