"""The HTTP process: `gunicorn worker.wsgi:app`."""

from __future__ import annotations

import logging
from typing import Any

from flask import Flask

from gateways.registry import front_end_gateway
from webhooks.app import create_app
from webhooks.context import WebContext
from worker.celery import app as celery_app
from worker.redaction import redact_handlers
from worker.runtime import make_runtime
from worker.settings import load_settings

# The longest that a request waits for a broker that does not respond.
_BROKER_SECONDS = 0.5


def make_app() -> Flask:
    """Return the WSGI application with the runtime of this process."""
    if not logging.getLogger().handlers:
        logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    redact_handlers(logging.getLogger())
    # gunicorn writes its access log, in which the addresses of links stand, by handlers of its own.
    for name in ("gunicorn.access", "gunicorn.error"):
        redact_handlers(logging.getLogger(name))
    celery_app.conf.broker_transport_options |= _short_timeouts(celery_app.conf.broker_transport_options)
    runtime = make_runtime(celery_app)
    front_end = front_end_gateway(runtime.gateways)
    return create_app(
        WebContext(
            runtime,
            _check_broker,
            publishable_key=front_end.publishable_key if front_end else None,
            public_url=load_settings().process.public_url,
            test_front_end=load_settings().stripe.test_front_end,
        )
    )


def _short_timeouts(options: dict[str, Any]) -> dict[str, Any]:
    """Return transport options with which a request does not wait for a dead or frozen broker."""
    timeouts = {name for name in options if name.endswith("_timeout") and name != "visibility_timeout"}
    return dict.fromkeys(timeouts, _BROKER_SECONDS) | {"max_retries": 0}


def _check_broker() -> None:
    with celery_app.connection_for_write(connect_timeout=1) as connection:
        connection.ensure_connection(max_retries=1, timeout=1)


app = make_app()
