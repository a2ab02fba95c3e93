"""Every write and read of the unknown codes: codes of declines that no table of `domain.declines` has."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select, update

from models.change import Change
from models.session import insert_new
from models.tables import unknown_codes

_LONGEST_CODE = 100
# More kinds of unknown codes than that would be a fault of ours, not of a provider's.
_MOST_SHOWN = 1000


def count_unknown_code(change: Change, provider: str, field: str, code: str) -> None:
    """Count a code that a provider has written into a field of a decline."""
    keys = {"provider": provider, "field": field, "code": code[:_LONGEST_CODE]}
    seen = {"last_seen_at": change.now}
    if insert_new(change.connection, unknown_codes, keys | seen | {"count": 1, "first_seen_at": change.now}):
        return
    is_it = (unknown_codes.c[name] == value for name, value in keys.items())
    counted = update(unknown_codes).where(*is_it).values(count=unknown_codes.c.count + 1, **seen)
    change.connection.execute(counted)


def list_unknown_codes(connection: Connection) -> list[dict[str, Any]]:
    """Return the unknown codes, those that were seen most often first."""
    most_first = select(unknown_codes).order_by(
        unknown_codes.c.count.desc(), unknown_codes.c.provider, unknown_codes.c.field, unknown_codes.c.code
    )
    return [
        {
            **{name: getattr(row, name) for name in ("provider", "field", "code", "count")},
            "first_seen_at": row.first_seen_at.isoformat(),
            "last_seen_at": row.last_seen_at.isoformat(),
        }
        for row in connection.execute(most_first.limit(_MOST_SHOWN))
    ]
