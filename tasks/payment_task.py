"""The base of all tasks: the process's runtime, and a request that hides its arguments."""

from __future__ import annotations

from typing import Any

from celery import Task
from celery.worker.request import Request

from domain.errors import CeleriacError
from models.task_messages import PROCESS
from runtime import Runtime

ACTOR = "worker"


class QuietRequest(Request):
    """A request that shows row ids and nothing else in events, logs and Flower, whatever its sender wrote."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.task.name == PROCESS:
            hidden = {"argsrepr": "()", "kwargsrepr": "{…}"}
            self._request_dict.update(hidden)  # type: ignore[attr-defined]
            self._argsrepr, self._kwargsrepr = hidden.values()

    def info(self, safe: bool = False) -> Any:
        """Describe the request to `celery inspect` and Flower; `process` without its arguments."""
        return super().info(safe=safe or self.task.name == PROCESS)


class PaymentTask(Task):
    """Base of all tasks. Arguments are row ids; running a task twice at once does no harm."""

    Request = "tasks.payment_task:QuietRequest"
    # A refused request is no fault: one line in the log, no traceback.
    throws = (CeleriacError,)

    @property
    def runtime(self) -> Runtime:
        """Return the process's runtime, created on first use so that nothing crosses a fork."""
        runtime: Runtime = self.app.runtime()  # type: ignore[attr-defined]
        return runtime

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:  # type: ignore[override]
        """Send the task; its description in events hides the keyword arguments."""
        if kwargs:
            options.setdefault("kwargsrepr", "{…}")
        return super().apply_async(args, kwargs, **options)
