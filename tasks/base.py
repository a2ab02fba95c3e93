"""What every task gets: the runtime, a request that hides its arguments, and the name of who acts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from celery import Task
from celery.worker.request import Request
from sqlalchemy import Engine

from domain.decision import Policy
from domain.errors import CeleriacError
from domain.routing import Router
from gateways.base import Gateway
from models.clock import Clock
from models.task_messages import PROCESS, TaskMessage
from tasks.lease import LeaseKeeper

ACTOR = "worker"


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a process works with. `ring` announces rows after a commit, best effort."""

    engine: Engine
    clock: Clock
    gateways: dict[str, Gateway]
    router: Router
    policy: Policy
    leases: LeaseKeeper
    publish: Callable[[Iterable[TaskMessage]], None]


class QuietRequest(Request):
    """A request that shows row ids and nothing else, in events, logs and Flower, whatever its sender wrote."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.task.name == PROCESS:
            hidden = {"argsrepr": "()", "kwargsrepr": "{…}"}
            self._request_dict.update(hidden)  # type: ignore[attr-defined]
            self._argsrepr, self._kwargsrepr = hidden.values()

    def info(self, safe: bool = False) -> Any:
        """Describe the request to `celery inspect` and Flower, `process` without its arguments."""
        return super().info(safe=safe or self.task.name == PROCESS)


class PaymentTask(Task):
    """Base of all tasks. Arguments are row ids; running one twice at once does no harm."""

    Request = "tasks.base:QuietRequest"
    # Refusals are answers, not faults: one line in the log, no traceback.
    throws = (CeleriacError,)

    @property
    def runtime(self) -> Runtime:
        """Return the process's runtime, made on first use so that nothing crosses a fork."""
        runtime: Runtime = self.app.runtime()  # type: ignore[attr-defined]
        return runtime

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:  # type: ignore[override]
        """Send; the description for events hides keyword arguments."""
        if kwargs:
            options.setdefault("kwargsrepr", "{…}")
        return super().apply_async(args, kwargs, **options)
