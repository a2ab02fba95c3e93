"""Builds the Flask application. Thin on purpose: it stores, publishes and responds."""

from __future__ import annotations

from flask import Flask

from webhooks import (
    admin,
    attention,
    backup_methods,
    customer_return,
    customers,
    dunning,
    fraud_check,
    fraud_lists,
    fraud_reviews,
    front_end_intents,
    health,
    hosted_payments,
    index,
    invoices,
    method_page,
    operations,
    pay_page,
    payment_methods,
    payments,
    problems,
    receiver,
    saved_methods,
    subscriptions,
    unsubscribe,
)
from webhooks.context import PREFIX, WebContext
from webhooks.requests import refuse_nul_in_address

# Providers' events are larger than requests, which have a limit of their own.
_MOST_BYTES = 1024 * 1024
_BLUEPRINTS = (
    customer_return.blueprint,
    admin.blueprint,
    attention.blueprint,
    dunning.blueprint,
    fraud_lists.blueprint,
    fraud_reviews.blueprint,
    payment_methods.blueprint,
    hosted_payments.blueprint,
    fraud_check.blueprint,
    front_end_intents.blueprint,
    invoices.blueprint,
    customers.blueprint,
    subscriptions.blueprint,
    saved_methods.blueprint,
    backup_methods.blueprint,
    payments.blueprint,
    operations.blueprint,
    receiver.blueprint,
)


def create_app(context: WebContext) -> Flask:
    """Return the WSGI application."""
    app = Flask(__name__, static_folder=None)
    app.extensions["celeriac"] = context
    app.config["MAX_CONTENT_LENGTH"] = _MOST_BYTES
    app.url_map.strict_slashes = False
    app.register_blueprint(index.blueprint)
    app.register_blueprint(health.blueprint)
    app.register_blueprint(pay_page.blueprint)
    app.register_blueprint(unsubscribe.blueprint)
    app.register_blueprint(method_page.blueprint)
    for blueprint in _BLUEPRINTS:
        app.register_blueprint(blueprint, url_prefix=PREFIX)
    app.before_request(refuse_nul_in_address)
    problems.register(app)
    return app
