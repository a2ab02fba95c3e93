"""Where a payment comes from: distances that hold in every direction, and journeys that nobody can make."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.countries import COUNTRIES
from domain.fraud.country_centres import CENTRES
from domain.fraud.facts import Places
from domain.fraud.geography import (
    MOST_KMH,
    NOWHERE,
    Departure,
    IpPlace,
    Position,
    centre_of,
    departure_from,
    distance_km,
    places_of,
    stored_form,
    travel_kmh,
)

HALF_WAY_ROUND = 20_016
BERLIN, PARIS, SYDNEY = Position(52.52, 13.40), Position(48.86, 2.35), Position(-33.87, 151.21)
HOUR = timedelta(hours=1)
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
positions = st.builds(
    Position,
    st.floats(-90, 90, allow_nan=False),
    st.floats(-180, 180, allow_nan=False),
    st.sampled_from([0, 5, 100, 1000]),
)


@given(positions, positions)
def test_a_distance_is_the_same_both_ways_and_at_most_half_way_round(one: Position, other: Position) -> None:
    assert distance_km(one, other) == distance_km(other, one)
    assert 0 <= distance_km(one, other) <= HALF_WAY_ROUND
    assert distance_km(one, one) == 0


@pytest.mark.parametrize(
    ("one", "other", "kilometres"),
    [
        ((0, 0), (0, 180), 20_015),
        ((90, 0), (-90, 77), 20_015),
        ((0, 179.5), (0, -179.5), 111),
        ((51.4700, -0.4543), (40.6413, -73.7781), 5_540),
        ((35.5494, 139.7798), (-37.6690, 144.8410), 8_141),
    ],
)
def test_known_distances(one: tuple[float, float], other: tuple[float, float], kilometres: int) -> None:
    assert distance_km(Position(*one, 0), Position(*other, 0)) == pytest.approx(kilometres, rel=0.005)


@given(positions, positions, st.integers(-10, 10**7))
def test_a_speed_is_bounded_however_short_the_time(one: Position, other: Position, seconds: int) -> None:
    assert 0 <= travel_kmh(Departure(one, timedelta(seconds=seconds)), other) <= MOST_KMH


def test_longer_ago_is_never_faster() -> None:
    speeds = [travel_kmh(Departure(BERLIN, hours * HOUR), SYDNEY) for hours in range(48)]
    assert speeds == sorted(speeds, reverse=True)
    assert (speeds[0], speeds[1] > 10_000, speeds[20] < 1_000) == (MOST_KMH, True, True)


def test_an_address_that_the_database_moves_a_little_is_no_journey() -> None:
    nearby = Position(BERLIN.latitude + 1, BERLIN.longitude)
    assert travel_kmh(Departure(BERLIN, timedelta(0)), nearby) == 0


@given(positions, positions, st.integers(0, 10**6))
def test_a_place_that_was_stored_makes_nobody_faster(one: Position, other: Position, seconds: int) -> None:
    ago = timedelta(seconds=seconds)
    stored = departure_from(json.loads(json.dumps(stored_form(one, NOW - ago))), NOW)
    assert stored is not None
    assert travel_kmh(stored, other) <= travel_kmh(Departure(one, ago), other)


def test_a_user_who_was_never_seen_has_not_left_from_anywhere() -> None:
    assert departure_from(None, NOW) is None


def test_every_country_has_a_middle_on_the_earth() -> None:
    missing = {"AX", "BQ", "GF", "GP", "MQ", "RE", "SJ", "TF", "UM", "YT"}
    assert set(CENTRES) == COUNTRIES - missing
    assert all(
        -90 <= north <= 90 and -180 <= east <= 180 and 0 < radius < 3_000 for north, east, radius in CENTRES.values()
    )


@pytest.mark.parametrize(
    ("country", "capital"),
    [
        ("DE", BERLIN),
        ("FR", PARIS),
        ("US", Position(38.9, -77.0)),
        ("BR", Position(-15.8, -47.9)),
        ("CN", Position(39.9, 116.4)),
    ],
)
def test_a_capital_lies_in_its_country(country: str, capital: Position) -> None:
    centre = centre_of(country)
    assert centre is not None
    assert distance_km(centre, capital) == 0


# --- what the rules may know ---


def test_what_is_not_known_is_none() -> None:
    assert places_of(NOWHERE, None, None) == Places()
    assert places_of(NOWHERE, "DE", None) == Places(billing="DE", is_high_risk=False)


def test_the_distance_is_that_of_the_ip_address_from_the_billing_country() -> None:
    assert places_of(IpPlace("AU", SYDNEY), "DE", "DE").distance_km == pytest.approx(15_900, abs=300)
    assert places_of(IpPlace("AU"), "DE", None).distance_km == pytest.approx(12_600, abs=600)
    assert places_of(IpPlace("DE", BERLIN), "DE", "FR").distance_km == 0
    assert places_of(IpPlace("RE"), "DE", None).distance_km is None
    assert places_of(IpPlace("DE"), "RE", None).distance_km is None


def test_an_address_at_the_end_of_a_long_country_is_in_it() -> None:
    assert places_of(IpPlace("CL", Position(-53.16, -70.91)), "CL", None).distance_km == 0


def test_neighbours_are_near() -> None:
    distance = places_of(IpPlace("FR"), "DE", None).distance_km
    assert distance is not None
    assert distance < 200


def test_travel_needs_both_ends() -> None:
    left = Departure(BERLIN, 2 * HOUR)
    assert places_of(IpPlace("AU", SYDNEY), None, None, departure=left).travel_kmh == travel_kmh(left, SYDNEY)
    assert places_of(IpPlace("AU", SYDNEY), None, None).travel_kmh is None
    assert places_of(IpPlace("RE"), None, None, departure=left).travel_kmh is None


@pytest.mark.parametrize(
    ("ip", "billing", "card", "is_high_risk"),
    [
        (None, None, None, None),
        ("DE", "DE", "DE", False),
        ("KP", "DE", "DE", True),
        ("DE", "KP", None, True),
        (None, None, "KP", True),
    ],
)
def test_one_country_of_high_risk_is_enough(
    ip: str | None, billing: str | None, card: str | None, is_high_risk: bool | None
) -> None:
    found = places_of(IpPlace(ip, is_anonymous=True), billing, card, frozenset({"KP"}))
    assert (found.is_high_risk, found.is_anonymous) == (is_high_risk, True)
    assert (found.ip, found.billing, found.card) == (ip, billing, card)
