"""Where a payment comes from: countries, distances and speeds, from what a database says of an IP address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import asin, cos, radians, sin, sqrt

from domain.fraud.country_centres import CENTRES
from domain.fraud.facts import Places

_EARTH_RADIUS_KM = 6371
# Databases that give no accuracy err by as much for most addresses.
LIKELY_ERROR_KM = 100
# Who seems to move by a few kilometres within a minute has not moved: the database has changed its mind.
# A place that is stored is rounded to whole degrees: as much as travel needs, and nobody's address.
_ROUNDED_BY_KM = 79
SHORTEST_JOURNEY = timedelta(minutes=15)
MOST_KMH = 20_000


@dataclass(frozen=True, slots=True)
class Position:
    """A place in degrees north and east, known up to so many kilometres."""

    latitude: float
    longitude: float
    radius_km: int = LIKELY_ERROR_KM


@dataclass(frozen=True, slots=True)
class IpPlace:
    """What is known of an IP address. `country`: two letters. `is_anonymous`: its network hides its users."""

    country: str | None = None
    position: Position | None = None
    is_anonymous: bool | None = None

    @property
    def best_position(self) -> Position | None:
        """The position, or else the middle of the country."""
        return self.position or centre_of(self.country)


NOWHERE = IpPlace()


@dataclass(frozen=True, slots=True)
class Departure:
    """Where a user was seen before, and how long ago."""

    position: Position
    ago: timedelta


def stored_form(position: Position, at: datetime) -> dict[str, int]:
    """Return a position as it may be stored: rounded, known that much less exactly. `at`: in seconds since 1970.

    >>> stored_form(Position(52.52, 13.40, 20), datetime(1970, 1, 2, tzinfo=UTC))
    {'latitude': 53, 'longitude': 13, 'radius_km': 99, 'at': 86400}
    """
    north, east = round(position.latitude), round(position.longitude)
    known = {"latitude": north, "longitude": east, "radius_km": position.radius_km + _ROUNDED_BY_KM}
    return known | {"at": int(at.timestamp())}


def departure_from(place: Mapping[str, int] | None, now: datetime) -> Departure | None:
    """Return where a user was seen before from the stored form; None if it is not known.

    >>> place = stored_form(Position(52.52, 13.40, 20), datetime(1970, 1, 2, tzinfo=UTC))
    >>> departure_from(place, datetime(1970, 1, 2, 1, tzinfo=UTC)).ago.seconds
    3600
    """
    if place is None:
        return None
    position = Position(place["latitude"], place["longitude"], place["radius_km"])
    return Departure(position, now - datetime.fromtimestamp(place["at"], UTC))


def centre_of(country: str | None) -> Position | None:
    """Return the middle of a country, known up to the country's size; None for a country whose middle is unknown.

    >>> centre_of("CH"), centre_of("XX")
    (Position(latitude=47.0, longitude=8.0, radius_km=115), None)
    """
    centre = CENTRES.get(country or "")
    return Position(*centre) if centre is not None else None


def distance_km(one: Position, other: Position) -> int:
    """Return how far two places are from each other at least, in whole kilometres along the surface.

    >>> berlin, paris = Position(52.52, 13.40, 0), Position(48.86, 2.35, 0)
    >>> distance_km(berlin, paris), distance_km(Position(52.52, 13.40, 500), Position(48.86, 2.35, 500))
    (877, 0)
    """
    north, north_of_other = radians(one.latitude), radians(other.latitude)
    half_north, half_east = (north_of_other - north) / 2, radians(other.longitude - one.longitude) / 2
    haversine = sin(half_north) ** 2 + cos(north) * cos(north_of_other) * sin(half_east) ** 2
    # Rounding may leave it a little outside of what the arc sine takes.
    apart = int(2 * _EARTH_RADIUS_KM * asin(sqrt(min(1, max(0, haversine)))))
    return max(0, apart - one.radius_km - other.radius_km)


def travel_kmh(departure: Departure, arrival: Position) -> int:
    """Return how fast a user has travelled at least, in whole kilometres an hour.

    >>> berlin, sydney = Position(52.52, 13.40), Position(-33.87, 151.21)
    >>> travel_kmh(Departure(berlin, timedelta(hours=2)), sydney), travel_kmh(Departure(berlin, timedelta(0)), sydney)
    (7947, 20000)
    """
    seconds = max(departure.ago, SHORTEST_JOURNEY) // timedelta(seconds=1)
    return min(MOST_KMH, distance_km(departure.position, arrival) * 3600 // seconds)


def places_of(
    ip: IpPlace,
    billing: str | None,
    card: str | None,
    high_risk: frozenset[str] = frozenset(),
    departure: Departure | None = None,
) -> Places:
    """Return what the rules may know of a payment's places. `billing`, `card`: countries, two letters.

    The distance is that of the IP address from the billing country: no database says where a street lies.

    >>> found = places_of(IpPlace("FR"), "US", "FR", frozenset({"US"}))
    >>> found.distance_km, found.is_high_risk, found.travel_kmh
    (5458, True, None)
    """
    here = ip.best_position
    countries = {country for country in (ip.country, billing, card) if country is not None}
    return Places(
        ip=ip.country,
        billing=billing,
        card=card,
        distance_km=_from_country(ip, billing),
        travel_kmh=travel_kmh(departure, here) if departure is not None and here is not None else None,
        is_anonymous=ip.is_anonymous,
        is_high_risk=bool(countries & high_risk) if countries else None,
    )


def _from_country(ip: IpPlace, country: str | None) -> int | None:
    if country is not None and ip.country == country:
        # A circle leaves out the ends of a long country.
        return 0
    here, there = ip.best_position, centre_of(country)
    return distance_km(here, there) if here is not None and there is not None else None
