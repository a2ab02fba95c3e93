"""Health: /healthz says that the process responds, /readyz that it can do its work."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response, jsonify
from sqlalchemy import Connection, select

from gateways.registry import PROVIDERS
from models.queries import count_open_entries
from models.tables import payments
from webhooks.context import context, runtime

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> Response:
    """Respond: the process is alive."""
    return jsonify({"status": "ok"})


@blueprint.get("/readyz")
def readyz() -> Response:
    """Check the migrated database and the broker. Without a broker, payments are still accepted, and wait."""
    checks = {"database": _is_up(_check_database), "broker": _is_up(context().check_broker)}
    served = runtime().gateways
    providers = {name: "on" if name in served else "off" for name in PROVIDERS}
    status = "ready" if all(checks.values()) else "unavailable"
    response = jsonify({"status": status, "checks": checks, "providers": providers, "attention": _count_open_entries()})
    response.status_code = 200 if all(checks.values()) else 503
    return response


def _check_database() -> None:
    runtime().read(_read_a_payment)


def _read_a_payment(connection: Connection) -> object:
    return connection.execute(select(payments.c.id).limit(1)).first()


def _count_open_entries() -> int | None:
    """Return how many entries of the attention list are open; None if the database does not say."""
    try:
        return runtime().read(count_open_entries)
    except Exception:
        return None


def _is_up(check: Callable[[], None]) -> bool:
    try:
        check()
    except Exception:
        return False
    return True
