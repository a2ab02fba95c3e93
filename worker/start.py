"""What a worker says when it starts: which settings are missing for what is switched on."""

from __future__ import annotations

import logging
from typing import Any

from celery.signals import worker_ready
from sqlalchemy.exc import DBAPIError

from models.mail_sending import note_missing
from worker.celery import app

_log = logging.getLogger(__name__)


@worker_ready.connect
def say_what_is_missing(**_: Any) -> None:
    """Put the settings on the attention list that are missing for mail. A database that is down stops no worker."""
    runtime = app.runtime()
    if not runtime.missing_for_mail:
        return
    try:
        runtime.change("worker", note_missing, runtime.missing_for_mail)
    except DBAPIError as error:
        _log.error("what is missing for mail is not on the attention list: %s", type(error).__name__)
