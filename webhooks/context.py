"""What the HTTP edge works with, handed in by whoever starts it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from flask import current_app
from sqlalchemy import Engine

from domain.decision import Policy
from domain.routing import Router
from gateways.base import Gateway
from models.clock import Clock
from models.task_messages import TaskMessage

PREFIX = "/api/v1/payments"


@dataclass(frozen=True, slots=True)
class Services:
    """`ring` announces rows after a commit, best effort and bounded in time. `check_broker` raises when the
    broker does not answer. `hold` keeps the lease of a claimed attempt while the provider is called.
    `publishable_key`: the key that a front end may see. `public_url`: our address as providers reach it, empty when
    it is the one that they send."""

    engine: Engine
    clock: Clock
    gateways: dict[str, Gateway]
    router: Router
    policy: Policy
    publish: Callable[[Iterable[TaskMessage]], None]
    check_broker: Callable[[], None]
    hold: Callable[[str, int], AbstractContextManager[object]]
    publishable_key: str | None = None
    public_url: str = ""


def services() -> Services:
    """Return the services of the application that handles this request."""
    found: Services = current_app.extensions["celeriac"]
    return found
