"""Leases on attempts whose call is in flight: one thread renews all leases of a process at once."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine

from domain.decision import LEASE
from models.attempts import renew_leases
from models.clock import Clock
from models.session import transact

# Two renewals may fail before a living worker loses its lease.
_RENEW_SECONDS = LEASE.total_seconds() / 3

_log = logging.getLogger(__name__)


class Lease:
    """The right to call the provider for one attempt, for a while. `renewed_at`: by the monotonic clock."""

    def __init__(self, claimed_at: float) -> None:
        self.renewed_at = claimed_at

    @property
    def is_held(self) -> bool:
        """Whether the lease still runs. False after a long pause of the process."""
        return time.monotonic() - self.renewed_at < LEASE.total_seconds()


class LeaseKeeper:
    """Renews every lease of the process every five seconds, in one statement. Its thread ends when no lease is held."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._held: dict[tuple[str, int], Lease] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextmanager
    def hold(self, attempt_id: str, fencing_token: int, claimed_at: float | None = None) -> Iterator[Lease]:
        """Renew the lease of a claimed attempt while the block runs. `claimed_at`: by the monotonic clock, default
        now."""
        lease = Lease(time.monotonic() if claimed_at is None else claimed_at)
        with self._lock:
            self._held[attempt_id, fencing_token] = lease
            if self._thread is None:
                self._thread = threading.Thread(target=self._renew_while_held, name="leases", daemon=True)
                self._thread.start()
        try:
            yield lease
        finally:
            with self._lock:
                del self._held[attempt_id, fencing_token]

    def _renew_while_held(self) -> None:
        while True:
            time.sleep(_RENEW_SECONDS)
            with self._lock:
                held = dict(self._held)
                if not held:
                    self._thread = None
                    return
            try:
                self._renew(held)
            except Exception as error:  # if this thread died, every call of the process would lose its lease
                _log.warning("leases not renewed: %s", type(error).__name__)

    def _renew(self, held: dict[tuple[str, int], Lease]) -> None:
        now, renewed_at = self._clock.now(), time.monotonic()
        for key in transact(self._engine, renew_leases, list(held), now):
            held[key].renewed_at = renewed_at
