"""Plays customers under several strategies, and says how far chance alone could move each figure."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import NamedTuple

from domain.decision import Policy
from domain.dunning.mail import MailPolicy
from domain.simulation.assumptions import HORIZON
from domain.simulation.customer_model import Customer, Zones, customer_of_model, zones_needed
from domain.simulation.play import Strategy, play
from domain.simulation.results import Range, Results, percentile_range
from models.time_zones import zone_named
from runtime.calendars import BankCalendar

# Enough for ranges that are stable to a tenth of their width.
RESAMPLES = 500
Done = Callable[[int], None]


def general_policy() -> Policy:
    """Return what is configured besides the policies: limits as shipped, the banks' calendars, and mails."""
    return Policy(mail=MailPolicy(is_on=True), calendar=BankCalendar())


def model_zones() -> Zones:
    """Return the time zones of the model's countries."""
    return {country: zone_named(name) for country, name in zones_needed().items()}


def model_customers(seed: str, how_many: int) -> Iterator[Customer]:
    """Yield customers of the model."""
    zones = model_zones()
    return (customer_of_model(seed, number, zones) for number in range(how_many))


def play_all(
    customers: Iterable[Customer], strategies: Sequence[Strategy], done: Done = lambda _: None
) -> list[Results]:
    """Play each customer under each strategy, for the time over which recovery is watched; return the figures.

    `done`: is told of each customer."""
    policy, results = general_policy(), [Results(strategy) for strategy in strategies]
    for customer in customers:
        for each in results:
            each.add(play(customer, each.strategy, policy, HORIZON), policy.visa_cap)
        done(1)
    return results


class Difference(NamedTuple):
    """The 95 % ranges of what a strategy recovers and tries more than another one, of each first failure of the same
    customers."""

    recovered: Range
    tries: Range


@dataclass(frozen=True, slots=True)
class Spread:
    """The 95 % ranges of one strategy's figures, by a bootstrap over the customers. `amounts`: by currency, of the
    share that is recovered. `against`: the strategies before it, in their order."""

    tries: Range
    amounts: Mapping[str, Range]
    against: Sequence[Difference]


@dataclass(frozen=True, slots=True)
class _Columns:
    recovered: Sequence[int]
    tries: Sequence[int]
    amounts: Mapping[str, Sequence[int]]


def spreads_of(results: Sequence[Results], seed: str, done: Done = lambda _: None) -> list[Spread]:
    """Return the ranges of each strategy. In each resample all strategies have the same customers.

    `done`: is told of each resample."""
    owed = _by_currency(results[0], [amount for _, amount in results[0].owed])
    columns = [_Columns(each.recovered, each.tries, _by_currency(each, each.amounts)) for each in results]
    drawn: list[list[_Drawn]] = [[] for _ in results]
    dice, numbers = random.Random(f"{seed}:bootstrap"), range(results[0].failures)  # noqa: S311
    for _ in range(RESAMPLES):
        chosen = _chooser(dice.choices(numbers, k=len(numbers)))
        owed_now = {currency: sum(chosen(column)) for currency, column in owed.items()}
        for each, kept in zip(columns, drawn, strict=True):
            kept.append(_resampled(each, chosen, owed_now, len(numbers)))
        done(1)
    return [_spread(each, drawn[:number]) for number, each in enumerate(drawn)]


@dataclass(frozen=True, slots=True)
class _Drawn:
    recovered: float
    tries: float
    amounts: Mapping[str, float]


_Chooser = Callable[[Sequence[int]], Sequence[int]]


def _chooser(numbers: Sequence[int]) -> _Chooser:
    if len(numbers) == 1:
        return lambda column: [column[numbers[0]]]
    return itemgetter(*numbers)


def _by_currency(results: Results, amounts: Sequence[int]) -> dict[str, list[int]]:
    currencies = [currency for currency, _ in results.owed]
    return {
        wanted: [amount if has == wanted else 0 for has, amount in zip(currencies, amounts, strict=True)]
        for wanted in sorted(set(currencies))
    }


def _resampled(columns: _Columns, chosen: _Chooser, owed: Mapping[str, int], of: int) -> _Drawn:
    shares = {
        currency: sum(chosen(column)) / owed[currency] if owed[currency] else 0.0
        for currency, column in columns.amounts.items()
    }
    return _Drawn(sum(chosen(columns.recovered)) / of, sum(chosen(columns.tries)) / of, shares)


def _spread(drawn: Sequence[_Drawn], others: Sequence[Sequence[_Drawn]]) -> Spread:
    return Spread(
        tries=percentile_range([each.tries for each in drawn]),
        amounts={name: percentile_range([each.amounts[name] for each in drawn]) for name in drawn[0].amounts},
        against=[_difference(drawn, other) for other in others],
    )


def _difference(drawn: Sequence[_Drawn], other: Sequence[_Drawn]) -> Difference:
    pairs = list(zip(drawn, other, strict=True))
    return Difference(
        recovered=percentile_range([one.recovered - another.recovered for one, another in pairs]),
        tries=percentile_range([one.tries - another.tries for one, another in pairs]),
    )
