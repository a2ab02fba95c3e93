"""The clock of a process: the database's time, so that all hosts agree, advanced by the monotonic clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Engine

from models.session import database_now, read

# In this time a host's monotonic clock drifts by microseconds only.
_CALIBRATE_SECONDS = 30


class Clock:
    """Tells the time. Never call it inside a transaction: it may have to read the database."""

    def __init__(self, engine: Engine, offset: Callable[[], timedelta] | None = None) -> None:
        self._engine = engine
        self._offset = offset or timedelta
        self._lock = threading.Lock()
        self._calibrated: tuple[datetime, float] | None = None

    def now(self) -> datetime:
        """Return the time, in UTC."""
        known = self._calibrated
        if known is None or time.monotonic() - known[1] > _CALIBRATE_SECONDS:
            known = self._calibrate(known)
        return known[0] + timedelta(seconds=time.monotonic() - known[1]) + self._offset()

    def _calibrate(self, known: tuple[datetime, float] | None) -> tuple[datetime, float]:
        with self._lock:
            if self._calibrated is not known and self._calibrated is not None:
                return self._calibrated
            self._calibrated = (read(self._engine, database_now), time.monotonic())
            return self._calibrated
