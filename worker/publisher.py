"""Rings the bell: tells Celery, best effort, that rows are due. The database is what makes it happen."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

from celery import Celery

from models.task_messages import TaskMessage

_log = logging.getLogger(__name__)
# After a failure nothing is announced for this long: requests must not queue up before a dead broker.
_SILENT_SECONDS = 5


class Publisher:
    """Publishes rings, and keeps silent for a while when the broker does not answer."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._silent_until = 0.0

    def publish(self, messages: Iterable[TaskMessage]) -> None:
        """Announce rows. Never raises for a broker's sake: the sweep finds what was not heard."""
        for task, row_id in messages:
            if time.monotonic() < self._silent_until:
                return
            try:
                self._app.send_task(task, args=(row_id,), retry=False, confirm_timeout=2)
            except Exception as error:  # the row is stored: no failure of the broker may reach the caller
                self._silent_until = time.monotonic() + _SILENT_SECONDS
                _log.warning("broker does not take messages, the sweep will: %s", type(error).__name__)
