"""Time zones by their name in the IANA database, which Python reads from the system or from the package tzdata."""

from __future__ import annotations

import zoneinfo
from functools import cache


def zone_named(name: str) -> zoneinfo.ZoneInfo:
    """Return a time zone, such as Europe/Berlin. Raises ValueError for a name that the database does not have.

    The name is compared with the list: as a path it could find other files of the machine."""
    if name not in _names():
        raise ValueError("must be a time zone such as Europe/Berlin")
    return zoneinfo.ZoneInfo(name)


def stored_zone(name: str | None) -> zoneinfo.ZoneInfo | None:
    """Return the zone of a stored name; None for none, and for one that the database has lost since."""
    return zoneinfo.ZoneInfo(name) if name in _names() else None


def zone_of(stored: str | None, default: str) -> zoneinfo.ZoneInfo:
    """Return the zone of a customer; the default one where theirs is not known."""
    return stored_zone(stored) or zoneinfo.ZoneInfo(default)


@cache
def _names() -> frozenset[str]:
    # Some systems list the zone of the machine, which is another one on each.
    return frozenset(zoneinfo.available_timezones() - {"localtime"})
