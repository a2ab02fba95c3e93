"""Publishes task messages for due rows, best effort: the sweep publishes again whatever is lost here."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

from celery import Celery

from models.task_messages import TaskMessage

_log = logging.getLogger(__name__)
# After a failure nothing is published for this long, so that requests do not queue up for a dead broker.
_PAUSE_SECONDS = 5


class Publisher:
    """Sends task messages to the broker, and pauses after a failure."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._paused_until = 0.0

    def publish(self, messages: Iterable[TaskMessage]) -> None:
        """Send the messages in their order. Never raises when the broker fails: the rows stay due."""
        for task, row_id in messages:
            if time.monotonic() < self._paused_until:
                return
            try:
                self._app.send_task(task, args=(row_id,), retry=False, confirm_timeout=2)
            except Exception as error:  # the row is committed, so no failure of the broker may fail the caller
                self._paused_until = time.monotonic() + _PAUSE_SECONDS
                _log.warning("the broker accepts no messages, the sweep will publish them: %s", type(error).__name__)
