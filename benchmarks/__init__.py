"""Measurements: what a payment costs in Celeriac, beside a minimal Celery app, and the files that it uses."""
