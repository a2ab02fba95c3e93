"""Signals of the worker's life: its logs are redacted from the first line."""

from __future__ import annotations

import logging
from typing import Any

from celery.signals import after_setup_logger, after_setup_task_logger

from worker.redaction import redact_handlers

# The SDK tells of every call at INFO; what came of it stands in the audit trail.
logging.getLogger("stripe").setLevel(logging.WARNING)


@after_setup_logger.connect
@after_setup_task_logger.connect
def _redact(logger: logging.Logger | None = None, **_: Any) -> None:
    if logger is not None:
        redact_handlers(logger)
