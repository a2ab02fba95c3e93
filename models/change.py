"""What every write of a payment needs to know beside the payment."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from domain.decision import Policy
from models.task_messages import TaskMessage


@dataclass(frozen=True, slots=True)
class Change:
    """One change: in which transaction, at what time, under which policy, by whom (`worker`, `webhook:stripe`, …).

    `outgoing`: the messages about what decisions have made due; they are published after the commit."""

    connection: Connection
    now: datetime
    policy: Policy
    actor: str
    outgoing: list[TaskMessage] = field(default_factory=list)
