"""Who charges a payment: by the table, by an operator's rules, by health; the same for the same customer."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidAmount, InvalidRequest, UnsupportedMethod
from domain.money import Money
from domain.payment_methods import CAPABILITIES, Capability, PaymentMethod
from domain.routing import Choice, Router, RoutingRequest, Rule, offers, route

KLARNA, CARD = PaymentMethod.KLARNA, PaymentMethod.CREDIT_CARD
TABLE = (
    Capability(CARD, "stripe", None, needs=("payment_method_token",), is_capturable_later=True),
    Capability(KLARNA, "own", frozenset({"EUR"}), regions=frozenset({"eu"}), maximum=100_000, is_portable=True),
    Capability(KLARNA, "own", frozenset({"USD"}), regions=frozenset({"na"}), steps={"USD": 100}, is_portable=True),
    Capability(KLARNA, "stripe", frozenset({"EUR", "USD"}), minimum=100, is_capturable_later=True, is_portable=True),
    Capability(KLARNA, "third", frozenset({"EUR"}), is_portable=True),
)
ALL = {"stripe": None, "own": "eu", "third": None}
names = st.sampled_from(["stripe", "own", "third"])


def routing_request(minor: int = 1000, currency: str = "EUR", **changes: Any) -> RoutingRequest:
    return RoutingRequest(KLARNA, Money(minor, currency), **changes)


def providers(payment_request: RoutingRequest, configured: Any = ALL, **how: Any) -> list[str]:
    return [choice.provider for choice in route(payment_request, configured, table=TABLE, **how)]


def test_the_preferred_provider_comes_first() -> None:
    assert route(routing_request(), ALL, table=TABLE) == (
        Choice("own", "preferred"),
        Choice("stripe", "fallback"),
        Choice("third", "fallback"),
    )


@pytest.mark.parametrize(
    ("payment_request", "expected"),
    [
        (routing_request(100_001), ["stripe", "third"]),
        (routing_request(99), ["own", "third"]),
        (routing_request(1000, "USD"), ["stripe"]),
        (routing_request(is_capture_later=True), ["stripe"]),
    ],
    ids=["above its limit", "below its limit", "another region's currency", "capture later"],
)
def test_a_provider_that_cannot_charge_it_is_not_on_the_route(
    payment_request: RoutingRequest, expected: list[str]
) -> None:
    assert providers(payment_request) == expected


def test_an_off_session_charge_needs_a_saved_instrument() -> None:
    table = tuple(replace(one, is_reusable=one.provider == "own") for one in TABLE)
    away = routing_request(is_off_session=True, given=frozenset({"payment_method_token"}))
    assert [choice.provider for choice in route(away, ALL, table=table)] == ["own"]
    with pytest.raises(InvalidRequest, match="payment_method_token: required"):
        route(routing_request(is_off_session=True), ALL, table=table)


def test_only_configured_providers_are_on_the_route() -> None:
    assert providers(routing_request(), {"third": None}) == ["third"]
    assert providers(routing_request(1000, "USD"), {"own": "na"}) == ["own"]


@pytest.mark.parametrize(
    ("payment_request", "configured", "error", "message"),
    [
        (routing_request(), {}, UnsupportedMethod, "own or stripe or third, which is not configured here"),
        (routing_request(), {"own": "na"}, UnsupportedMethod, "USD"),
        (routing_request(1000, "JPY"), ALL, UnsupportedMethod, "EUR"),
        (routing_request(150, "USD"), {"own": "na"}, InvalidAmount, "steps of 1.00"),
        (routing_request(10**9), {"stripe": None}, InvalidAmount, "most that stripe takes"),
        (routing_request(99), {"stripe": None}, InvalidAmount, "least that stripe takes"),
        (RoutingRequest(CARD, Money(1, "EUR")), ALL, InvalidRequest, "payment_method_token: required for credit_card"),
        (routing_request(is_capture_later=True), {"own": "eu"}, UnsupportedMethod, "capture: true"),
        (routing_request(is_off_session=True), ALL, UnsupportedMethod, "off_session: false"),
    ],
)
def test_a_payment_without_a_possible_provider_is_refused(
    payment_request: RoutingRequest, configured: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        providers(payment_request, configured)


def test_a_token_of_one_provider_goes_to_no_other() -> None:
    with_token = routing_request(given=frozenset({"payment_method_token"}))
    assert [choice.provider for choice in route(with_token, ALL, table=TABLE)] == ["own"]
    bound = tuple(replace(one, is_portable=one.provider != "own") for one in TABLE)
    assert [choice.provider for choice in route(routing_request(), ALL, table=bound)] == ["own"]
    assert [choice.provider for choice in route(routing_request(99), ALL, table=bound)] == ["own"]
    assert [choice.provider for choice in route(routing_request(200_000), ALL, table=bound)] == ["stripe", "third"]


def test_a_provider_that_is_down_comes_last() -> None:
    names = route(routing_request(), ALL, down=lambda: {"own"}, table=TABLE)
    assert [choice.provider for choice in names] == ["stripe", "third", "own"]
    assert "fails now" in names[-1].reason


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        ({}, True),
        ({"methods": frozenset({"klarna"})}, True),
        ({"methods": frozenset({"credit_card"})}, False),
        ({"currencies": frozenset({"USD"})}, False),
        ({"countries": frozenset({"DE"})}, True),
        ({"countries": frozenset({"AT"})}, False),
        ({"minimum": 1001}, False),
        ({"maximum": 999}, False),
        ({"minimum": 1000, "maximum": 1000}, True),
    ],
    ids=str,
)
def test_the_first_rule_that_fits_decides(rule: dict[str, Any], fits: bool) -> None:
    rules = [Rule({"third": 1}, **rule), Rule({"stripe": 1})]
    assert providers(routing_request(country="DE"), rules=rules)[0] == ("third" if fits else "stripe")


def test_providers_that_no_rule_names_come_last() -> None:
    assert providers(routing_request(), rules=[Rule({"third": 1, "unknown": 9})]) == ["third", "own", "stripe"]


def test_shares_are_kept_over_many_customers() -> None:
    rules = [Rule({"own": 80, "stripe": 20}, name="trial")]
    first = Counter(providers(routing_request(seed=f"user{number}"), rules=rules)[0] for number in range(5000))
    assert 0.77 < first["own"] / 5000 < 0.83
    assert first["own"] + first["stripe"] == 5000


@given(st.text(max_size=20), st.dictionaries(names, st.integers(0, 100)), st.sets(names))
def test_a_route_names_every_possible_provider_once_and_is_the_same_for_the_same_customer(
    seed: str, shares: dict[str, int], down: set[str]
) -> None:
    payment_request = routing_request(seed=seed)
    names = providers(payment_request, rules=[Rule(shares)], down=lambda: down)
    assert sorted(names) == ["own", "stripe", "third"]
    assert names == providers(replace(payment_request), rules=[Rule(shares)], down=lambda: down)
    healthy = [name for name in names if name not in down]
    assert names[: len(healthy)] == healthy
    drawable = [name for name, share in shares.items() if share and name not in down]
    if drawable and not any(name in down for name in shares):
        assert names[0] in drawable


class Configured:
    """A provider with an account."""

    def __init__(self, region: str | None = None) -> None:
        self.region = region


@given(st.sampled_from(["EUR", "USD", "JPY", "KWD"]), st.none() | st.integers(1, 10**8))
def test_every_offered_method_has_a_route(currency: str, minor: int | None) -> None:
    router = Router({"stripe": Configured(), "manual": Configured()})
    names = offers(router, currency, None, minor)
    assert [offer.method for offer in names] == list(PaymentMethod)
    for offer in names:
        assert (offer.capability is None) == bool(offer.refusal)
        if offer.capability is not None:
            amount = Money(minor or offer.capability.least(currency), currency)
            payment_request = RoutingRequest(offer.method, amount, given=frozenset(offer.capability.needs))
            assert router(payment_request) == offer.route


def test_the_table_of_methods_is_sound() -> None:
    for one in CAPABILITIES:
        assert 0 < one.minimum <= one.maximum
        assert all(one.takes(currency) for currency in (*one.minima, *one.maxima, *one.steps))
        assert not (one.is_capturable_later and one.is_asynchronous)
    assert {one.method for one in CAPABILITIES} >= {PaymentMethod.CREDIT_CARD, PaymentMethod.INVOICE}
