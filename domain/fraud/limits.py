"""Hard limits: how many tries an entity may make in a time, exact however many come at once.

A try takes a slot of each entity that is limited, in the transaction that claims it. The score estimates a risk; a
limit ends an attack on cards that every try for itself looks harmless in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from domain.fraud.entities import Entity, EntityKind
from domain.fraud.policy import FraudPolicy
from domain.fraud.windows import History, Window

# A slot without a result is in flight for so long. Afterwards its customer has left, or their bank takes days.
IN_FLIGHT_FOR = timedelta(minutes=10)
# A try that finds no slot, but may find one when those in flight have ended, comes again after this.
WAIT = timedelta(seconds=2)
TOO_MANY = "too_many_attempts"


class SlotState(StrEnum):
    """What became of the try that holds a slot. `offered`: a front end may try a card, and has not."""

    OFFERED = "offered"
    SENT = "sent"
    FAILED = "failed"
    SUCCEEDED = "succeeded"


class Counted(StrEnum):
    """What a limit counts: all tries; the different cards that were tried; or those of them that failed, with those in
    flight, so that a success gives its slot back."""

    TRIES = "tries"
    CARDS = "cards"
    FAILING_CARDS = "failing_cards"


@dataclass(frozen=True, slots=True)
class Limit:
    """At most so many within a time."""

    counted: Counted
    within: timedelta
    most: int


@dataclass(frozen=True, slots=True)
class Used:
    """What of a limit is used up. `in_flight`: what of it may still be given back."""

    used: int
    in_flight: int = 0


@dataclass(frozen=True, slots=True)
class Slot:
    """What a try takes of one entity, and the limits that it must find room in."""

    entity: Entity
    limits: tuple[Limit, ...]


class Room(StrEnum):
    """Whether there is room for one try more."""

    FREE = "free"
    WAIT = "wait"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Payer:
    """What limits ask of a payer. `is_known`: they paid here on an earlier day. `is_shared_account`: the user stands
    for many people. `has_fingerprint`: the card is known by more than a token, of which it may have many."""

    is_known: bool = False
    is_shared_account: bool = False
    has_fingerprint: bool = False


HOUR, DAY = timedelta(hours=1), timedelta(days=1)
# What many honest people share counts failures only, and a success is none.
_PUBLIC = ((Counted.FAILING_CARDS, HOUR),)
# What one person has: no honest stranger tries ten cards by it.
_PERSONAL = ((Counted.CARDS, HOUR),)
_OF_STRANGERS: dict[str, tuple[tuple[Counted, timedelta], ...]] = {
    EntityKind.DEVICE: _PERSONAL,
    EntityKind.EMAIL: _PERSONAL,
    EntityKind.EMAIL_PATTERN: _PERSONAL,
    # An office is one address, but ten strangers of it do not pay within minutes.
    EntityKind.IP: (*_PUBLIC, (Counted.CARDS, IN_FLIGHT_FOR)),
}
# An address is no place from which cards are tested, and whoever tests cards chooses it freely.
_UNLIMITED = frozenset({EntityKind.USER, EntityKind.CARD, EntityKind.ADDRESS})


# All that is counted of an entity.
COUNTED = ((Counted.TRIES, DAY), (Counted.CARDS, HOUR), (Counted.CARDS, IN_FLIGHT_FOR), (Counted.FAILING_CARDS, HOUR))


def is_known(history: Mapping[str, History] | None, *, is_shared_account: bool) -> bool:
    """Tell whether a user has paid here before the last day. Behind a shared account there is always a stranger.

    >>> is_known({}, is_shared_account=False), is_known(None, is_shared_account=False)
    (False, False)
    """
    user = (history or {}).get(EntityKind.USER)
    if user is None or is_shared_account:
        return False
    return user.within(Window.MONTH).successes > user.within(Window.DAY).successes


def slots_of(entities: Iterable[Entity], payer: Payer, policy: FraudPolicy) -> tuple[Slot, ...]:
    """Return the slots that a try takes, in the order in which they are locked; none if nothing is limited.

    A known customer takes none of what they share with others, so that no attack from their office or with cards of
    their bank keeps them from paying."""
    if not policy.has_limits:
        return ()
    found = (Slot(entity, _limits(entity.kind, payer, policy)) for entity in entities)
    return tuple(sorted((slot for slot in found if slot.limits), key=lambda slot: slot.entity.hash))


def _limits(kind: str, payer: Payer, policy: FraudPolicy) -> tuple[Limit, ...]:
    is_of_one_person = kind == EntityKind.USER and not payer.is_shared_account
    if is_of_one_person or (kind == EntityKind.CARD and payer.has_fingerprint):
        return (Limit(Counted.TRIES, DAY, policy.attempts_per_day),)
    if payer.is_known or kind in _UNLIMITED:
        return ()
    most = policy.most_strangers_of.get(kind, policy.most_strangers)
    return tuple(Limit(counted, within, most) for counted, within in _OF_STRANGERS.get(kind, _PUBLIC)) if most else ()


def room_in(limit: Limit, used: Used) -> Room:
    """Tell whether one try more fits in, beside those of others. One that only others in flight leave no room for waits
    until it is known what becomes of them.

    >>> limit = Limit(Counted.FAILING_CARDS, timedelta(hours=1), 3)
    >>> [room_in(limit, used).value for used in (Used(2, 2), Used(3, 1), Used(3), Used(4, 2))]
    ['free', 'wait', 'full', 'wait']
    """
    if used.used < limit.most:
        return Room.FREE
    return Room.WAIT if used.used - used.in_flight < limit.most else Room.FULL
