"""The model of customers: who fails, when and why, and what a charge of them meets at any later instant.

Everything about a customer is drawn by a hash of the seed and their number. It is there before any policy acts, so that
all policies meet the same customers, and a run can be repeated byte by byte. Time zones are passed in."""

from __future__ import annotations

import calendar
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from math import log
from typing import NamedTuple, TypeVar

from domain.decline import Decline, DeclineReason, decline_by, earliest_retry_after
from domain.declines.bank_debits import NETWORKS as DEBIT_NETWORKS
from domain.declines.networks import MASTERCARD
from domain.dunning.draw import draw
from domain.dunning.mail import DEMANDS, Mail
from domain.simulation import assumptions as assumed
from domain.simulation.assumptions import Failure

# When the first failures happen: four weeks from a fixed day, so that no run depends on the day on which it is made.
START, SPREAD = datetime(2026, 3, 2, tzinfo=UTC), timedelta(days=28)
# As far as a fate is drawn: longer than any policy that is shipped, grace included.
_FATE = timedelta(days=60)
_DAY = timedelta(days=1)
_SATURDAY, _FRIDAY = 5, 4
T = TypeVar("T")
Zones = Mapping[str, tzinfo]
Span = tuple[datetime, datetime]


class Dice:
    """Draws for one customer. The same name gives the same number, whatever else was drawn."""

    def __init__(self, *seeds: str) -> None:
        self._seeds = seeds

    def share(self, name: str) -> float:
        """Return a number from 0 to below 1."""
        return draw(*self._seeds, name)

    def choice(self, name: str, weighted: Sequence[tuple[float, T]]) -> T:
        """Return one of several values, by their weights."""
        left = self.share(name) * sum(weight for weight, _ in weighted)
        for weight, value in weighted:
            left -= weight
            if left < 0:
                return value
        return weighted[-1][1]

    def wait(self, name: str, mean: timedelta) -> timedelta:
        """Return a time that is exponentially distributed."""
        return mean * -log(1 - self.share(name))


@dataclass(frozen=True, slots=True)
class FirstFailure:
    """What is known of a first failure. `decline`: as our tables read it. `zone`: the customer's. `network`: the card's
    or the debit's. `outage_until`: the provider itself was down."""

    id: str
    at: datetime
    amount: int
    currency: str
    country: str
    zone: tzinfo
    method: str
    network: str
    decline: Decline
    outage_until: datetime | None = None

    @property
    def is_debit(self) -> bool:
        """Whether a bank decides days later."""
        return self.network in DEBIT_NETWORKS

    @property
    def reason(self) -> DeclineReason:
        """Why it failed."""
        return self.decline.reason or DeclineReason.UNKNOWN


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer whose payment has failed, with all that will ever come of it.

    `passes`: when a charge of the instrument as it is passes. `renewed_at`: when the network gives its new number.
    `pays_unasked_at`: when they pay by themselves. `willingness`: they react to a mail that more than this share
    reacts to."""

    failure: FirstFailure
    passes: tuple[Span, ...]
    renewed_at: datetime | None
    pays_unasked_at: datetime | None
    willingness: float
    dice: Dice

    def approves(self, at: datetime) -> bool:
        """Tell whether a charge passes then."""
        is_renewed = self.renewed_at is not None and at >= self.renewed_at
        return is_renewed or any(begin <= at < end for begin, end in self.passes)

    def is_reachable(self, at: datetime) -> bool:
        """Tell whether a charge reaches the issuer then."""
        until = self.failure.outage_until
        return until is None or at >= until

    def fingerprint(self, at: datetime) -> str:
        """Return what identifies the instrument then: a renewed one is another."""
        is_renewed = self.renewed_at is not None and at >= self.renewed_at
        return f"{self.failure.id}:{'renewed' if is_renewed else 'first'}"

    def reaction(self, mail: Mail, at: datetime) -> datetime | None:
        """Return when the customer pays after this mail; None if they do not."""
        share = assumed.REACTING.get(mail, 0)
        if self.failure.reason is DeclineReason.FUNDS:
            share *= assumed.REACTING_WITHOUT_MONEY
        if self.willingness >= share:
            return None
        return at + self.dice.wait(f"reaction to {mail}", assumed.REACTION_TAKES)

    def departure(self, mail: Mail, at: datetime) -> datetime | None:
        """Return when the customer ends the subscription because of this mail; None if they do not."""
        if mail not in DEMANDS or self.dice.share(f"leaving after {mail}") >= assumed.LEAVING:
            return None
        return at + self.dice.wait(f"leaving takes after {mail}", assumed.REACTION_TAKES)


def customer_of_model(seed: str, number: int, zones: Zones) -> Customer:
    """Return a customer of the model. `zones`: the time zones of its countries."""
    dice = Dice(seed, str(number))
    country = dice.choice("country", assumed.COUNTRIES)
    is_debit = country.network is not None and dice.share("debit") < assumed.DEBIT_SHARE
    card = dice.choice("network", assumed.NETWORKS)
    network = country.network if is_debit and country.network is not None else card
    at = START + SPREAD * dice.share("first failure")
    decline = _decline(dice, dice.choice("failure", assumed.DEBIT_MIX if is_debit else assumed.CARD_MIX), network)
    is_outage = decline.reason is DeclineReason.TECHNICAL and dice.share("outage") < assumed.OUTAGE_SHARE
    longest = timedelta(hours=2) + dice.wait("outage lasts", assumed.LIFTED[DeclineReason.TECHNICAL].after)
    failure = FirstFailure(
        id=f"c{number}",
        at=at,
        amount=dice.choice("amount", assumed.AMOUNTS),
        currency=country.currency,
        country=country.code,
        zone=zones[country.code],
        method=country.method if is_debit and country.method else "credit_card",
        network=network,
        decline=decline,
        outage_until=at + longest if is_outage else None,
    )
    return with_fate(failure, dice)


def _decline(dice: Dice, failure: Failure, network: str) -> Decline:
    scheme = failure.by_network.get(network)
    if scheme is not None:
        return decline_by("stripe", failure.code, network_decline_code=scheme, network=network)
    is_advised = failure.code == "insufficient_funds" and network == MASTERCARD
    advice = (
        dice.choice("advice", assumed.ADVICE) if is_advised and dice.share("advised") < assumed.ADVISED_SHARE else None
    )
    return decline_by("stripe", "card_declined", decline_code=failure.code, network_advice_code=advice, network=network)


def with_fate(failure: FirstFailure, dice: Dice) -> Customer:
    """Return the customer of a first failure, with what will come of it by the model."""
    reason, at = failure.reason, failure.at
    renewal = assumed.RENEWED.get(reason) if not failure.is_debit else None
    is_renewed = renewal is not None and dice.share("renewed") < renewal.share
    is_willing = reason not in assumed.UNWILLING
    pays_unasked = is_willing and dice.share("pays unasked") < assumed.PAYING_UNASKED
    return Customer(
        failure=failure,
        passes=tuple(_passes(failure, dice)),
        renewed_at=at + dice.wait("renewal", renewal.after) if renewal and is_renewed else None,
        pays_unasked_at=at + dice.wait("unasked", assumed.UNASKED_AFTER) if pays_unasked else None,
        willingness=dice.share("willingness") if is_willing else 1,
        dice=dice,
    )


def _passes(failure: FirstFailure, dice: Dice) -> Iterator[Span]:
    """Yield when a charge passes."""
    last = failure.at + _FATE
    if failure.reason is DeclineReason.FUNDS:
        if dice.share("never funded") >= assumed.NEVER_FUNDED:
            advised_at = failure.at + (earliest_retry_after(failure.decline) or timedelta())
            for begin, end in (*_after_paydays(failure, dice, last), *_other_money(failure, dice, last)):
                # An issuer that names a time knows when money comes: before it nothing passes.
                yield max(begin, advised_at), end
        return
    lifted = assumed.LIFTED.get(failure.reason)
    if lifted is not None and dice.share("lifted") < lifted.share:
        yield (failure.outage_until or failure.at + dice.wait("lifted after", lifted.after)), last


def _after_paydays(failure: FirstFailure, dice: Dice, end: datetime) -> Iterator[Span]:
    for number, day in enumerate(_paydays(failure.country, dice, failure.at.date(), end.date())):
        at = datetime(day.year, day.month, day.day, assumed.PAID_AT_HOUR, tzinfo=failure.zone).astimezone(UTC)
        # The pay before the failure was not enough.
        if at > failure.at and dice.share(f"pay {number}") < assumed.COVERING:
            yield at, at + dice.wait(f"pay {number} lasts", assumed.LASTS)


def _other_money(failure: FirstFailure, dice: Dice, end: datetime) -> Iterator[Span]:
    at, number = failure.at, 0
    while (at := at + dice.wait(f"money {number}", assumed.OTHER_MONEY_AFTER)) < end:
        yield at, at + dice.wait(f"money {number} lasts", assumed.OTHER_MONEY_LASTS)
        number += 1


class _Pay(NamedTuple):
    period: str
    day: int


def _paydays(country: str, dice: Dice, first: date, last: date) -> Iterator[date]:
    """Yield a customer's paydays between two days. Pay for a weekend comes on the Friday before."""
    period = dice.choice("pay period", assumed.PAY_PERIODS.get(country, ((1, assumed.MONTHLY),)))
    pay = _Pay(period, dice.choice("pay day", assumed.PAY_DAYS.get(country, assumed.OTHER_PAY_DAYS)))
    odd_weeks = int(dice.share("pay week") * 2)
    day = first
    while day <= last:
        # That of a Monday may be paid on the Friday before, but not that of a later day.
        if any(_is_due(pay, odd_weeks, each) for each in _paid_on(day)):
            yield day
        day += _DAY


def _paid_on(day: date) -> list[date]:
    """Return the days whose pay comes on that day."""
    if day.weekday() >= _SATURDAY:
        return []
    return [day, day + _DAY, day + 2 * _DAY] if day.weekday() == _FRIDAY else [day]


def _is_due(pay: _Pay, odd_weeks: int, day: date) -> bool:
    last = calendar.monthrange(day.year, day.month)[1]
    match pay.period:
        case assumed.WEEKLY:
            return day.weekday() == _FRIDAY
        case assumed.BIWEEKLY:
            return day.weekday() == _FRIDAY and day.toordinal() // 7 % 2 == odd_weeks
        case assumed.SEMIMONTHLY:
            return day.day in (15, last)
        case _:
            return day.day == min(pay.day, last)


def zones_needed() -> Mapping[str, str]:
    """Return the names of the time zones that the model needs, by its countries."""
    return {country.code: country.zone for _, country in assumed.COUNTRIES}
