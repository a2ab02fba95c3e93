"""Builds the Flask application. Thin on purpose: it stores, rings and answers."""

from __future__ import annotations

from flask import Flask

from webhooks import health, operations, payments, problems, providers
from webhooks.requests import refuse_nul_in_address
from webhooks.services import Services

PREFIX = "/api/v1/payments"
# Providers' events are larger than requests, which have a limit of their own.
_MOST_BYTES = 1024 * 1024


def create_app(services: Services) -> Flask:
    """Return the WSGI application."""
    app = Flask(__name__, static_folder=None)
    app.extensions["celeriac"] = services
    app.config["MAX_CONTENT_LENGTH"] = _MOST_BYTES
    app.url_map.strict_slashes = False
    app.register_blueprint(health.blueprint)
    for blueprint in (payments.blueprint, operations.blueprint, providers.blueprint):
        app.register_blueprint(blueprint, url_prefix=PREFIX)
    app.before_request(refuse_nul_in_address)
    problems.register(app)
    return app
