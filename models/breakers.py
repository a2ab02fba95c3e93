"""The circuit breakers: one row per provider and verb that has failed lately, shared by all workers.

A call that goes well costs nothing here: the row is read with the attempt that is claimed, and there is none while
nothing fails. Only technical failures are counted, never declines."""

from __future__ import annotations

import math
import time
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, Engine, Integer, Row, String, Table, case, or_, select, update

from domain.breaker import BreakerPolicy
from domain.payment import Verb
from models.audit import record_event
from models.base import Instant, metadata
from models.clock import Clock
from models.session import insert_new, read

breakers = Table(
    "breakers",
    metadata,
    Column("provider", String(40), primary_key=True),
    Column("verb", String(20), primary_key=True),
    # In a row, since the last success.
    Column("failures", Integer, nullable=False),
    Column("opened_at", Instant),
    # Until when a probe may take: nobody else probes before.
    Column("probe_until", Instant),
    Column("failed_at", Instant, nullable=False),
)


def allows(connection: Connection, row: Row[Any], now: datetime, policy: BreakerPolicy) -> bool:
    """Tell whether a locked attempt may be sent: its breaker is closed, or it is the one that probes now."""
    if row.breaker_opened_at is None:
        return True
    if policy.is_open(row.breaker_opened_at, now):
        return False
    is_free = or_(breakers.c.probe_until.is_(None), breakers.c.probe_until <= now)
    probe = update(breakers).where(_is_of(row.attempt_provider, row.attempt_verb), is_free)
    return bool(connection.execute(probe.values(probe_until=now + policy.probe_lasts)).rowcount)


def count_failure(connection: Connection, provider: str, verb: str, now: datetime, policy: BreakerPolicy) -> None:
    """Count a technical failure; the last one that is borne opens the breaker, a failed probe opens it again."""
    values = {"provider": provider, "verb": verb, "failures": 0, "failed_at": now}
    insert_new(connection, breakers, values)
    failures = breakers.c.failures + 1
    counted = update(breakers).where(_is_of(provider, verb)).returning(breakers.c.failures)
    columns = {
        "failures": failures,
        "failed_at": now,
        "probe_until": None,
        "opened_at": case((failures >= policy.failures, now), else_=None),
    }
    if connection.execute(counted.values(columns)).scalar_one() == policy.failures:
        _tell(connection, "breaker_opened", provider, verb, now)


def count_success(connection: Connection, provider: str, verb: str, now: datetime) -> None:
    """Close a breaker that has counted failures."""
    known = connection.execute(select(breakers).where(_is_of(provider, verb)).with_for_update()).one_or_none()
    if known is None or not known.failures:
        return
    closed = {"failures": 0, "opened_at": None, "probe_until": None}
    connection.execute(update(breakers).where(_is_of(provider, verb)).values(closed))
    if known.opened_at is not None:
        _tell(connection, "breaker_closed", provider, verb, now)


def find_breakers(connection: Connection) -> list[Row[Any]]:
    """Return the breakers that have counted failures."""
    known = select(breakers).where(breakers.c.failures > 0).order_by(breakers.c.provider, breakers.c.verb)
    return list(connection.execute(known).all())


def _is_of(provider: str, verb: str) -> Any:
    return (breakers.c.provider == provider) & (breakers.c.verb == verb)


def _tell(connection: Connection, name: str, provider: str, verb: str, now: datetime) -> None:
    record_event(connection, None, name, None, None, "worker", now, {"provider": provider, "verb": verb})


class ProviderHealth:
    """Which providers fail right now, as routing needs it: read at most once a second by a process."""

    _SECONDS = 1.0

    def __init__(self, engine: Engine, clock: Clock, policy: BreakerPolicy) -> None:
        self._engine = engine
        self._clock = clock
        self._policy = policy
        self._read_at = -math.inf
        self._down: frozenset[str] = frozenset()

    def down(self) -> frozenset[str]:
        """Return the providers whose charges are barred. One that may be probed is asked again, or nobody would."""
        if time.monotonic() - self._read_at > self._SECONDS:
            now = self._clock.now()
            self._down = frozenset(
                row.provider
                for row in read(self._engine, find_breakers)
                if Verb(row.verb).is_collecting and self._policy.is_open(row.opened_at, now)
            )
            self._read_at = time.monotonic()
        return self._down
