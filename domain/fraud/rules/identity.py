"""Rules on what the request tells of its sender: e-mail address, device, places, and the operator's lists."""

from __future__ import annotations

from collections.abc import Callable

from domain.fraud.facts import Facts, ListKind
from domain.fraud.rules.rule import Rule, yes


def _is_listed(kind: ListKind) -> Callable[[Facts], int | None]:
    return lambda facts: yes(kind in facts.lists)


def is_device_new(facts: Facts) -> int | None:
    """Return 1 for a device that was never seen, of a user who was: it may be another's."""
    device, user = facts.of("device"), facts.of("user")
    if device is None or user is None or user.first_at is None or facts.is_shared_account:
        return None
    return yes(device.first_at is None)


def _differ(one: str | None, other: str | None) -> int | None:
    return None if one is None or other is None else yes(one != other)


RULES = (
    Rule("email_malformed", lambda facts: yes(facts.is_email_malformed), "the e-mail address is malformed"),
    Rule("email_disposable", lambda facts: yes(facts.is_email_disposable), "the e-mail address is a disposable one"),
    Rule("device_new", is_device_new, "a known user pays from a device that was never seen"),
    Rule(
        "ip_not_in_billing_country",
        lambda facts: _differ(facts.places.ip, facts.places.billing),
        "the IP address is not in the billing country",
    ),
    Rule(
        "ip_not_in_card_country",
        lambda facts: _differ(facts.places.ip, facts.places.card),
        "the IP address is not in the card's country",
    ),
    Rule(
        "billing_not_in_card_country",
        lambda facts: _differ(facts.places.billing, facts.places.card),
        "the billing country is not the card's",
    ),
    Rule(
        "distance",
        lambda facts: facts.places.distance_km,
        "the IP address is at least {value} km from the billing country",
    ),
    Rule("travel", lambda facts: facts.places.travel_kmh, "the user would have travelled at {value} km/h"),
    Rule("anonymous_network", lambda facts: yes(facts.places.is_anonymous), "the network hides its users"),
    Rule("high_risk_country", lambda facts: yes(facts.places.is_high_risk), "a country is on the list of high risk"),
    Rule("watched", _is_listed(ListKind.WATCH), "something of the payment is on the watch list"),
)
