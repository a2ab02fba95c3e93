"""Circuit breaker: when a provider counts as down, until a probe succeeds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from domain.payment import Verb


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """This many technical `failures` in a row open the breaker. After `reset_after` one call at a time probes, and the
    next probe waits until it returns or `probe_lasts` is over."""

    failures: int = 10
    reset_after: timedelta = timedelta(seconds=10)
    probe_lasts: timedelta = timedelta(seconds=45)

    def is_open(self, opened_at: datetime | None, now: datetime) -> bool:
        """Tell whether calls are refused; after `reset_after` a probe may pass.

        >>> from datetime import UTC
        >>> at = datetime(2026, 11, 24, tzinfo=UTC)
        >>> policy = BreakerPolicy()
        >>> policy.is_open(None, at), policy.is_open(at, at), policy.is_open(at, at + policy.reset_after)
        (False, True, False)
        """
        return opened_at is not None and now < opened_at + self.reset_after


def breaker_of(verb: str) -> str:
    """Return the verb under which failures of a call are counted: an authorization is the same call as a charge.

    >>> [str(breaker_of(verb)) for verb in ("authorize", "capture")]
    ['charge', 'capture']
    """
    return Verb.CHARGE if verb == Verb.AUTHORIZE else verb
