"""Operators' commands, one file for each group: `celery -A worker payments …`."""
