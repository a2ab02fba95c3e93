"""Celery tasks: the edge where a ring of the bell becomes work. Applications enqueue `process`."""

from tasks import charge, dunning, reconcile, settle, sweep, webhooks
from tasks.charge import process

__all__ = ["charge", "dunning", "process", "reconcile", "settle", "sweep", "webhooks"]
