"""The card networks' monitoring programs: from which ratio on a merchant is looked at, since when, by which source.

The networks count what they are told, of their own cards and by their own days. What is counted here, of all cards
together, comes close to it and is no proof of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class Measure(StrEnum):
    """What a program sets in relation, each a count of payments.

    `fraud_and_disputes`: reports of fraud and disputes, of which one payment may have both, to settled payments.
    `disputes`: to the settled payments of the month before. `fraud_disputes`: those for fraud, to the same.
    `declined_tries`: to all tries; it stands for a network's own finding that a try is enumeration."""

    FRAUD_AND_DISPUTES = "fraud_and_disputes"
    DISPUTES = "disputes"
    FRAUD_DISPUTES = "fraud_disputes"
    DECLINED_TRIES = "declined_tries"


@dataclass(frozen=True, slots=True)
class Program:
    """A threshold: both `least_count` (of the numerator; of the denominator if it `counts_all`) and `least_share`, in
    hundredths of a percent, are reached. `since`: the month from which on it holds; a newer one of the same name
    replaces it."""

    name: str
    network: str
    since: date
    measure: Measure
    least_count: int
    least_share: int
    source: str
    counts_all: bool = False


# Read 2026-11-29; from when on Mastercard's hold is recalled. Visa's regional exceptions and Mastercard's conditions on
# amount and 3-D Secure are left out, so that a month that is within these limits is within those.
_VISA = "docs.antom.com/ac/dispute/monitor, checkout.com/docs, scheme monitoring programs"
_MASTERCARD = "paymentsmastery.com, network programs; docs.antom.com/ac/merchant_service/card_monitor"
PROGRAMS = (
    Program("VAMP excessive", "visa", date(2025, 4, 1), Measure.FRAUD_AND_DISPUTES, 1_500, 220, _VISA),
    Program("VAMP excessive", "visa", date(2026, 4, 1), Measure.FRAUD_AND_DISPUTES, 1_500, 150, _VISA),
    Program(
        "VAMP enumeration", "visa", date(2025, 4, 1), Measure.DECLINED_TRIES, 300_000, 2_000, _VISA, counts_all=True
    ),
    Program("ECM", "mastercard", date(2019, 10, 1), Measure.DISPUTES, 100, 150, _MASTERCARD),
    Program("HECM", "mastercard", date(2019, 10, 1), Measure.DISPUTES, 300, 300, _MASTERCARD),
    Program("EFM", "mastercard", date(2019, 10, 1), Measure.FRAUD_DISPUTES, 1_000, 50, _MASTERCARD, counts_all=True),
)


@dataclass(frozen=True, slots=True)
class Month:
    """What a month had of card payments, and the settled ones of the month before."""

    begins: date
    settled: int = 0
    settled_before: int = 0
    disputes: int = 0
    fraud_disputes: int = 0
    fraud_reports: int = 0
    tries: int = 0
    declines: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a month stands in a program."""

    program: Program
    count: int
    of: int

    @property
    def share(self) -> int | None:
        """The ratio in hundredths of a percent, rounded down; None of nothing."""
        return self.count * 10_000 // self.of if self.of else None

    @property
    def is_reached(self) -> bool:
        """Whether both limits are reached."""
        counted = self.of if self.program.counts_all else self.count
        is_enough = counted >= self.program.least_count
        return is_enough and self.count * 10_000 >= self.program.least_share * self.of > 0


def standings(month: Month) -> Iterator[Standing]:
    """Yield where a month stands in each program that was in force at its beginning.

    >>> april = Month(date(2026, 4, 1), settled=100_000, disputes=1_000, fraud_reports=600)
    >>> [(each.program.name, each.share, each.is_reached) for each in standings(april)][0]
    ('VAMP excessive', 160, True)
    """
    newest: dict[str, Program] = {}
    for program in PROGRAMS:
        if program.since <= month.begins:
            newest[program.name] = program
    for program in newest.values():
        yield Standing(program, *_counted(month, program.measure))


def _counted(month: Month, measure: Measure) -> tuple[int, int]:
    match measure:
        case Measure.FRAUD_AND_DISPUTES:
            return month.fraud_reports + month.disputes, month.settled
        case Measure.DISPUTES:
            return month.disputes, month.settled_before
        case Measure.FRAUD_DISPUTES:
            return month.fraud_disputes, month.settled_before
        case Measure.DECLINED_TRIES:
            return month.declines, month.tries
