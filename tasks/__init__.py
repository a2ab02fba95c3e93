"""Celery tasks. Each receives a row's id, locks the row and does what is due on it; `process` accepts a payment."""

from tasks import (
    accept,
    capture_void_refund,
    cash_balances,
    charge,
    compare,
    default_methods,
    dunning,
    fraud,
    fraud_brake,
    notify,
    reconcile,
    reminders,
    reviews,
    sweep,
    webhooks,
)
from tasks.accept import process

__all__ = [
    "accept",
    "capture_void_refund",
    "cash_balances",
    "charge",
    "compare",
    "default_methods",
    "dunning",
    "fraud",
    "fraud_brake",
    "notify",
    "process",
    "reconcile",
    "reminders",
    "reviews",
    "sweep",
    "webhooks",
]
