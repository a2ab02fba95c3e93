"""The HTTP process: `gunicorn worker.wsgi:app`."""

from __future__ import annotations

import logging
from typing import Any

from flask import Flask

from webhooks.app import create_app
from webhooks.context import WebContext
from worker.celery import app as celery_app
from worker.redaction import redact_handlers
from worker.runtime import make_runtime
from worker.settings import load_settings

# A request waits for a broker that does not answer no longer than this.
_BROKER_SECONDS = 0.5


def make_app() -> Flask:
    """Return the WSGI application with the runtime of this process."""
    if not logging.getLogger().handlers:
        logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    redact_handlers(logging.getLogger())
    celery_app.conf.broker_transport_options |= _impatient(celery_app.conf.broker_transport_options)
    runtime = make_runtime(celery_app)
    return create_app(
        WebContext(
            runtime,
            _check_broker,
            publishable_key=load_settings().stripe_publishable_key,
            public_url=load_settings().public_url,
        )
    )


def _impatient(options: dict[str, Any]) -> dict[str, Any]:
    """Return the transport options that keep a request from waiting for a dead or frozen broker."""
    timeouts = {name for name in options if name.endswith("_timeout") and name != "visibility_timeout"}
    return dict.fromkeys(timeouts, _BROKER_SECONDS) | {"max_retries": 0}


def _check_broker() -> None:
    with celery_app.connection_for_write(connect_timeout=1) as connection:
        connection.ensure_connection(max_retries=1, timeout=1)


app = make_app()
