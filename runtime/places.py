"""Where IP addresses are, by a database on this machine and a list of networks: nothing is asked over the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from domain.countries import is_country
from domain.fraud.entities import normal_ip
from domain.fraud.geography import LIKELY_ERROR_KM, NOWHERE, IpPlace, Position
from domain.fraud.networks import Networks

# Not hosting providers: companies send their employees through them.
_ANONYMOUS = (
    *("is_anonymous", "is_anonymous_proxy", "is_anonymous_vpn"),
    *("is_public_proxy", "is_residential_proxy", "is_tor_exit_node"),
)


class Database(Protocol):
    """A reader of the library `maxminddb`, as far as it is used."""

    def get(self, ip_address: str) -> Any:
        """Return the record of an address, None for none."""


@dataclass(frozen=True, slots=True)
class IpPlaces:
    """What is known of IP addresses. `database` None: no file is set, and no country is known.
    `lists_anonymous`: the database is one of anonymous networks, so that an address that it lacks is none of them."""

    database: Database | None = None
    anonymous: Networks | None = None
    lists_anonymous: bool = False

    def find(self, ip: str | None) -> IpPlace:
        """Return what is known of an address. It never fails: what cannot be looked up is unknown."""
        address = normal_ip(ip)
        if address is None:
            return NOWHERE
        record = self._record(address)
        return IpPlace(_country(record), _position(record), self._is_anonymous(address, record))

    def _record(self, address: str) -> Mapping[str, Any]:
        try:
            record = self.database.get(address) if self.database is not None else None
        # An address of IPv6 in a database of IPv4; a record that is damaged; a file that was cut off meanwhile.
        except (ValueError, RuntimeError, OSError):
            record = None
        return record if isinstance(record, dict) else {}

    def _is_anonymous(self, address: str, record: Mapping[str, Any]) -> bool | None:
        is_listed = self.anonymous is not None and self.anonymous.contains(address)
        told = {**record, **_part(record, "traits")}
        if is_listed or any(told.get(name) is True for name in _ANONYMOUS):
            return True
        return False if self.anonymous is not None or self.lists_anonymous else None


def open_places(database_file: str, anonymous_networks_file: str) -> IpPlaces:
    """Open the files that are set. Raises ValueError with a sentence about the first that cannot be used."""
    database, kind = open_database(database_file) if database_file else (None, "")
    networks = read_networks(anonymous_networks_file) if anonymous_networks_file else None
    return IpPlaces(database, networks, "anonymous" in kind.lower())


def open_database(file: str) -> tuple[Database, str]:
    """Open a database in MaxMind's format; return it and its type, such as `GeoLite2-City`. Raises ValueError."""
    try:
        import maxminddb
    except ImportError:
        raise ValueError("needs the extra `geo`: pip install celeriac[geo]") from None
    try:
        reader = maxminddb.open_database(file)
        kind = reader.metadata().database_type
    # The library's own error is a RuntimeError.
    except (OSError, ValueError, RuntimeError):
        raise ValueError("must be the path of a database in MaxMind's format (.mmdb) that can be read") from None
    return reader, str(kind)


def read_networks(file: str) -> Networks:
    """Read a file of networks, one a line. Raises ValueError."""
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise ValueError("cannot be read") from None
    return Networks.parse(lines)


def _part(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = record.get(name)
    return part if isinstance(part, dict) else {}


def _country(record: Mapping[str, Any]) -> str | None:
    """Return the country of a record: MaxMind nests the code, others write it flat."""
    code = _part(record, "country").get("iso_code") or record.get("country_code") or record.get("country")
    return code.upper() if isinstance(code, str) and is_country(code.upper()) else None


def _position(record: Mapping[str, Any]) -> Position | None:
    location = _part(record, "location")
    latitude, longitude = location.get("latitude"), location.get("longitude")
    radius = location.get("accuracy_radius")
    if not isinstance(latitude, int | float) or not isinstance(longitude, int | float):
        return None
    return Position(latitude, longitude, radius if isinstance(radius, int) else LIKELY_ERROR_KM)
