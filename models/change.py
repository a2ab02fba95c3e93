"""What every write of a payment needs to know beside the payment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from domain.decision import Policy


@dataclass(frozen=True, slots=True)
class Change:
    """One change: in which transaction, at what time, under which policy, by whom (`worker`, `webhook:stripe`, …)."""

    connection: Connection
    now: datetime
    policy: Policy
    actor: str
