"""The runtime of a process, and how every edge opens a transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine

from domain.decision import Policy
from domain.routing import Router
from gateways.base import Gateway
from models.change import Change
from models.clock import Clock
from models.failpoints import reach
from models.session import read, transact
from models.task_messages import TaskMessage
from notifications.mail_service import MailService
from runtime.leases import LeaseKeeper
from runtime.low_water_marks import LowWaterMarks
from runtime.pay_links import PayLinks
from runtime.places import IpPlaces
from runtime.rule_sets import RuleSetsInUse

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a process works with. `publish` sends task messages after a commit, best effort, and never raises. `mail`
    None: this process sends none; `missing_for_mail`: the variables for want of which it does not.
    `pay_links` None: no secret or no public address is set, and there are no links. `places`: of IP addresses."""

    engine: Engine
    clock: Clock
    gateways: dict[str, Gateway]
    router: Router
    policy: Policy
    leases: LeaseKeeper
    publish: Callable[[Iterable[TaskMessage]], None]
    mail: MailService | None = None
    missing_for_mail: tuple[str, ...] = ()
    pay_links: PayLinks | None = None
    places: IpPlaces = field(default_factory=IpPlaces)
    low_water_marks: LowWaterMarks = field(default_factory=LowWaterMarks)
    rule_sets: RuleSetsInUse = field(default_factory=RuleSetsInUse)

    def change(self, actor: str, work: Callable[Concatenate[Change, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `work(change, *args, **kwargs)` in one transaction, as `actor`; commit it, and publish what was made
        due."""
        # Read before the transaction: the clock may have to ask the database.
        now = self.clock.now()

        def in_transaction(connection: Connection) -> tuple[T, list[TaskMessage]]:
            change = Change(connection, now, self.policy, actor)
            return work(change, *args, **kwargs), change.outgoing

        result, outgoing = transact(self.engine, in_transaction)
        if outgoing:
            reach("change.committed")
            self.publish(outgoing)
        return result

    def read(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `work(connection, *args, **kwargs)`, which only reads."""
        return read(self.engine, work, *args, **kwargs)
