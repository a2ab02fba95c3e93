"""Rules on fraud that became known of something that the payment shares, from the moment at which it did."""

from __future__ import annotations

from collections.abc import Callable

from domain.fraud.facts import Facts
from domain.fraud.rules.rule import Direction, Rule
from domain.fraud.windows import History, Window

# A share of fewer says nothing.
_LEAST_TRIES = 3
_LEAST_FRAUDS = 3


def _shared(facts: Facts) -> list[History] | None:
    """Return the histories of the entities that the request has named; None if it has named none."""
    found = [history for kind in facts.shared_kinds if (history := facts.of(kind)) is not None]
    return found or None


def _histories(facts: Facts, kind: str) -> list[History] | None:
    if kind == "shared":
        return _shared(facts)
    is_many_people = kind == "user" and facts.is_shared_account
    history = None if is_many_people else facts.of(kind)
    return None if history is None else [history]


def _frauds(kind: str, window: Window) -> Callable[[Facts], int | None]:
    def count(facts: Facts) -> int | None:
        histories = _histories(facts, kind)
        return None if histories is None else max(history.within(window).frauds for history in histories)

    return count


def _share(kind: str, window: Window) -> Callable[[Facts], int | None]:
    """Frauds that became known within the window, in percent of its tries."""

    def share(facts: Facts) -> int | None:
        known = [history.within(window) for history in _histories(facts, kind) or ()]
        shares = [min(100, counts.frauds * 100 // counts.tries) for counts in known if counts.tries >= _LEAST_TRIES]
        return max(shares, default=None)

    return share


def _hours_since(kind: str) -> Callable[[Facts], int | None]:
    """Whole hours since a fraud last became known; None if none ever has."""

    def hours(facts: Facts) -> int | None:
        times = [each.last_fraud_at for each in _histories(facts, kind) or () if each.last_fraud_at is not None]
        return int((facts.now - max(times)).total_seconds() // 3600) if times else None

    return hours


def _share_of_late(kind: str) -> Callable[[Facts], int | None]:
    """Frauds that became known within a week, in percent of those of a month: how fresh they are. What has gone on for
    weeks is about to be ended by whoever suffers from it."""

    def share(facts: Facts) -> int | None:
        known = [(each.within(Window.WEEK), each.within(Window.MONTH)) for each in _histories(facts, kind) or ()]
        shares = [week.frauds * 100 // month.frauds for week, month in known if month.frauds >= _LEAST_FRAUDS]
        return max(shares, default=None)

    return share


_WHOSE = {
    "user": "the user",
    "card": "the card",
    "device": "the device",
    "ip": "the IP address",
    "email": "the e-mail address",
    "address": "the billing address",
    "shared": "what the request names as shared",
}
_WINDOWS = {Window.DAY: "a day", Window.WEEK: "a week", Window.MONTH: "a month"}

RULES = (
    *(
        Rule(
            f"{kind}_frauds_{window.name.lower()}",
            _frauds(kind, window),
            f"{{value}} payments of {whose} became known as fraud within {span}",
        )
        for kind, whose in _WHOSE.items()
        for window, span in _WINDOWS.items()
    ),
    *(
        Rule(
            f"{kind}_fraud_share_{window.name.lower()}",
            _share(kind, window),
            f"fraud of {whose} that became known is {{value}} % of its payments within {_WINDOWS[window]}",
        )
        for kind, whose in (("user", _WHOSE["user"]), ("shared", _WHOSE["shared"]))
        for window in (Window.WEEK, Window.MONTH)
    ),
    Rule(
        "shared_frauds_week_of_month",
        _share_of_late("shared"),
        f"of the fraud of {_WHOSE['shared']} within a month, {{value}} % became known within a week",
    ),
    *(
        Rule(
            f"{kind}_hours_since_fraud",
            _hours_since(kind),
            f"a fraud of {_WHOSE[kind]} became known {{value}} hours ago",
            Direction.FALLING,
        )
        for kind in ("user", "card", "shared")
    ),
)
