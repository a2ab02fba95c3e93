"""The processes: the Celery app, which `celery -A worker` reads from here, the HTTP process and the commands."""

from worker.celery import app

__all__ = ["app"]
