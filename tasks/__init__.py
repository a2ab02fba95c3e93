"""Celery tasks: the edge where a ring of the bell becomes work. Applications enqueue `process`."""

from tasks import capture_void_refund, charge, dunning, reconcile, sweep, webhooks
from tasks.charge import process

__all__ = ["capture_void_refund", "charge", "dunning", "process", "reconcile", "sweep", "webhooks"]
