"""Redacts the logs of workers and of beat from the first line."""

from __future__ import annotations

import logging
from typing import Any

from celery.signals import after_setup_logger, after_setup_task_logger

from worker.redaction import redact_handlers

# At INFO the SDK logs every call; the audit trail already has each call's outcome.
logging.getLogger("stripe").setLevel(logging.WARNING)


@after_setup_logger.connect
@after_setup_task_logger.connect
def _redact(logger: logging.Logger | None = None, **_: Any) -> None:
    if logger is not None:
        redact_handlers(logger)
