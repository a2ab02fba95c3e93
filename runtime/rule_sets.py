"""The rule sets in use, as a process knows them: read again every few seconds, so that a change needs no restart."""

from __future__ import annotations

import time

from sqlalchemy import Connection

from domain.fraud.roles import RuleSets
from domain.fraud.rule_set import RuleSet
from models.fraud.rule_sets import rule_sets_in_use

# How long a process may go on scoring by what was live before.
READ_EVERY_SECONDS = 5.0


class RuleSetsInUse:
    """Remembers the rule sets in use. Threads may share it: the worst is that two read them at once."""

    def __init__(self) -> None:
        self._known: RuleSets | None = None
        self._read_at = 0.0

    def get(self, connection: Connection, configured: RuleSet) -> RuleSets:
        """Return the rule sets in use; read them if what is known is older than five seconds. `configured`: what scores
        while no version is live."""
        now = time.monotonic()
        if self._known is None or now - self._read_at >= READ_EVERY_SECONDS:
            self._known, self._read_at = rule_sets_in_use(connection, configured), now
        return self._known

    def forget(self) -> None:
        """Read them again the next time."""
        self._known = None
