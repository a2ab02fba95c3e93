"""Counts the failures of a row's task. An unexpected exception stops no other row, and is never forgotten."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, TimeoutError

from domain.errors import NotFound
from models.failing_rows import count_failure
from runtime import Runtime
from tasks.payment_task import ACTOR

_log = logging.getLogger(__name__)


@contextmanager
def counting_failures(runtime: Runtime, task: str, row_id: str) -> Iterator[None]:
    """Count an exception that leaves the block, and let it pass: a bug of our own must fail loudly.

    Without a pause the sweep, or the end of a lease, would run into it every few seconds, for ever. A database that
    does not respond is no bug, and cannot count; a row that is not there has nothing to count. A refused value, such as
    a movement that is booked already, is a bug."""
    try:
        yield
    except (TimeoutError, NotFound):
        raise
    except Exception as error:
        if isinstance(error, DBAPIError) and not isinstance(error, IntegrityError | DataError):
            raise
        name = type(error).__name__
        failures = runtime.change(ACTOR, count_failure, task, row_id, name)
        _log.error("%s of %s failed %s times, now by %s", task, row_id, failures, name)
        raise
