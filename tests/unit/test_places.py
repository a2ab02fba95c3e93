"""Where IP addresses are: read from a database of the operator's, and unknown rather than an error."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from domain.fraud.geography import LIKELY_ERROR_KM, NOWHERE, IpPlace, Position
from runtime.places import IpPlaces, open_places
from worker.settings import ConfigurationError, read_settings

CITY = {
    "203.0.113.0/24": {
        "country": {"iso_code": "DE"},
        "location": {"latitude": 52.52, "longitude": 13.4, "accuracy_radius": 20},
    },
    "198.51.100.0/24": {"country": {"iso_code": "FR"}, "location": {"latitude": 48.86, "longitude": 2.35}},
    "2001:db8::/32": {"country": {"iso_code": "JP"}, "traits": {"is_anonymous_proxy": True}},
}
DATABASE, NETWORKS = "FRAUD_GEOIP_FILE", "FRAUD_ANONYMOUS_NETWORKS_FILE"
Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a database, and return its path."""

    def write(records: dict[str, Any], kind: str = "GeoLite2-City", ip_version: int = 6) -> str:
        writer = MMDBWriter(ip_version=ip_version, database_type=kind, ipv4_compatible=ip_version == 6)
        for network, record in records.items():
            writer.insert_network(IPSet([network]), record)
        file = tmp_path / f"{kind}.mmdb"
        writer.to_db_file(str(file))
        return str(file)

    return write


def test_a_database_of_cities_tells_country_and_position(write: Write) -> None:
    places = open_places(write(CITY), "")
    assert places.find("203.0.113.9") == IpPlace("DE", Position(52.52, 13.4, 20))
    assert places.find("198.51.100.1") == IpPlace("FR", Position(48.86, 2.35, LIKELY_ERROR_KM))
    assert places.find("2001:DB8::7") == IpPlace("JP", None, is_anonymous=True)
    assert places.find("::ffff:203.0.113.9").country == "DE"


@pytest.mark.parametrize(
    "record", [{"country": {"iso_code": "de"}}, {"country": "DE"}, {"country_code": "DE"}], ids=str
)
def test_a_database_of_countries_tells_the_country_alone(write: Write, record: dict[str, Any]) -> None:
    assert open_places(write({"203.0.113.0/24": record}), "").find("203.0.113.9") == IpPlace("DE")


@pytest.mark.parametrize("ip", [None, "", "here", "192.0.2.1", "203.0.113.256"])
def test_an_address_that_is_not_in_the_database_is_unknown(write: Write, ip: str | None) -> None:
    assert open_places(write(CITY), "").find(ip) == NOWHERE


@pytest.mark.parametrize(
    "record",
    [
        "DE",
        {"country": {"iso_code": 7}},
        {"country": {"iso_code": "XX"}},
        {"country": ["DE"]},
        {"location": "52.5"},
        {"location": {"latitude": "52.5", "longitude": 13.4}},
        {"location": {"latitude": 52.5}},
        {"traits": "is_anonymous"},
    ],
    ids=str,
)
def test_a_record_of_another_form_is_unknown(write: Write, record: Any) -> None:
    assert open_places(write({"203.0.113.0/24": record}), "").find("203.0.113.9") == NOWHERE


def test_an_address_that_the_database_cannot_hold_is_unknown(write: Write) -> None:
    records = {network: record for network, record in CITY.items() if ":" not in network}
    places = open_places(write(records, ip_version=4), "")
    assert (places.find("2001:db8::7"), places.find("203.0.113.9").country) == (NOWHERE, "DE")


def test_a_database_that_fails_is_unknown() -> None:
    class Broken:
        def get(self, ip_address: str) -> Any:
            raise RuntimeError("the file is damaged")

    assert IpPlaces(Broken()).find("203.0.113.9") == NOWHERE


def test_without_files_nothing_is_known() -> None:
    assert read_settings({}).process.places.find("203.0.113.9") == NOWHERE


# --- networks that hide their users ---


@pytest.mark.parametrize(
    ("ip", "is_anonymous"),
    [("203.0.113.9", True), ("203.0.114.9", False), ("192.0.2.7", True), ("192.0.2.8", False), ("2001:db8:9::1", True)],
)
def test_an_address_is_found_in_a_list_of_networks(tmp_path: Path, ip: str, is_anonymous: bool) -> None:
    file = tmp_path / "networks"
    file.write_text("# exits\n203.0.113.0/24\n\n192.0.2.7  # one\n2001:db8::/32\n")
    assert open_places("", str(file)).find(ip) == IpPlace(is_anonymous=is_anonymous)
    assert open_places("", str(file)).find("here") == NOWHERE


@pytest.mark.parametrize(
    "trait", ["is_anonymous", "is_anonymous_vpn", "is_public_proxy", "is_residential_proxy", "is_tor_exit_node"]
)
def test_a_database_of_anonymous_networks_knows_who_is_not_in_it(write: Write, trait: str) -> None:
    records = {"203.0.113.0/24": {trait: True}, "198.51.100.0/24": {"is_hosting_provider": True}}
    places = open_places(write(records, "GeoIP2-Anonymous-IP"), "")
    found = [places.find(ip).is_anonymous for ip in ("203.0.113.9", "198.51.100.1", "192.0.2.1")]
    assert found == [True, False, False]


def test_another_database_does_not_know_who_is_not_anonymous(write: Write) -> None:
    assert open_places(write(CITY), "").find("203.0.113.9").is_anonymous is None


def test_a_list_is_asked_beside_the_database(write: Write, tmp_path: Path) -> None:
    (tmp_path / "networks").write_text("203.0.113.0/24\n")
    places = open_places(write(CITY), str(tmp_path / "networks"))
    found = [(place.country, place.is_anonymous) for place in map(places.find, ("203.0.113.9", "198.51.100.1"))]
    assert found == [("DE", True), ("FR", False)]


# --- settings ---


def problem(name: str, file: Path) -> str:
    with pytest.raises(ConfigurationError) as refusal:
        read_settings({name.lower(): str(file)})
    [found] = refusal.value.problems
    return found


def test_settings_open_the_files(write: Write, tmp_path: Path) -> None:
    (tmp_path / "networks").write_text("203.0.113.0/24\n")
    files = {"fraud_geoip_file": write(CITY), "fraud_anonymous_networks_file": str(tmp_path / "networks")}
    found = read_settings(files).process.places.find("203.0.113.9")
    assert found == IpPlace("DE", Position(52.52, 13.4, 20), is_anonymous=True)


@pytest.mark.parametrize("content", [None, b"", b"canary" * 100], ids=["missing", "empty", "text"])
def test_a_file_that_is_no_database_is_refused_at_start(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "canary.mmdb"
    if content is not None:
        file.write_bytes(content)
    found = problem(DATABASE, file)
    assert found.startswith(f"{DATABASE}: must be the path of a database in MaxMind's format")
    assert "canary" not in found


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    assert problem(DATABASE, tmp_path).startswith(f"{DATABASE}: must be the path of a database")


def test_a_database_needs_its_library(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "maxminddb", None)
    assert problem(DATABASE, Path(write(CITY))) == f"{DATABASE}: needs the extra `geo`: pip install celeriac[geo]"
    assert read_settings({}).process.places.find("203.0.113.9") == NOWHERE


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b"203.0.113.0/24\n\ncanary\n", "line 3 must be a network"),
        (b"203.0.113.0/33\n", "line 1 must be a network"),
    ],
)
def test_a_list_of_networks_that_is_wrong_is_refused_at_start(
    tmp_path: Path, content: bytes | None, sentence: str
) -> None:
    file = tmp_path / "canary.txt"
    if content is not None:
        file.write_bytes(content)
    found = problem(NETWORKS, file)
    assert found.startswith(f"{NETWORKS}: {sentence}")
    assert "canary" not in found
