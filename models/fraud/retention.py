"""Deletes what is too old to be read: signals, counts, links, slots and entities, in short transactions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Table, delete, select, tuple_

from domain.fraud.windows import KEPT_FOR, LINKS, BucketSize, bucket_of
from models.tables import fraud_counters, fraud_entities, fraud_limits, fraud_links, fraud_reservations, fraud_signals

# A day longer than the longest window of a limit, for clocks that disagree.
_SLOTS_KEPT_FOR = timedelta(days=2)
# Small enough for one short transaction.
BATCH = 2000


def too_old(now: datetime, kept_for: timedelta) -> Iterator[tuple[Table, ColumnElement[bool]]]:
    """Yield each table with what of it may go. `kept_for`: the age of signals and entities; counts are read for a month
    at most, and links for a day."""
    yield fraud_signals, fraud_signals.c.at < now - kept_for
    for size in BucketSize:
        oldest = bucket_of(now - KEPT_FOR[size], size)
        yield fraud_counters, (fraud_counters.c.size == int(size)) & (fraud_counters.c.bucket < oldest)
    longest = max(window for _, _, window in LINKS)
    yield fraud_links, fraud_links.c.last_bucket < bucket_of(now - KEPT_FOR[longest.bucket_size])
    yield fraud_reservations, fraud_reservations.c.at < now - _SLOTS_KEPT_FOR
    yield fraud_limits, fraud_limits.c.last_at < now - _SLOTS_KEPT_FOR
    # Of a fraud that became known later than the last try, as much is kept.
    is_forgotten = fraud_entities.c.last_fraud_at.is_(None) | (fraud_entities.c.last_fraud_at < now - kept_for)
    yield fraud_entities, (fraud_entities.c.last_at < now - kept_for) & is_forgotten


def delete_batch(connection: Connection, table: Table, is_old: ColumnElement[bool]) -> bool:
    """Delete some rows; return whether there may be more."""
    key = list(table.primary_key.columns)
    batch = select(*key).where(is_old).limit(BATCH)
    return connection.execute(delete(table).where(tuple_(*key).in_(batch))).rowcount == BATCH
