"""What the real processes hand to each other, where no test of the parts would miss it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from models.session import make_engine, transact
from models.tables import breakers
from sandbox.server import RunningSandbox
from stack.credentials import sandbox_credentials
from stack.process import ROOT

PUBLIC_URL = "https://pay.example"
SHOWN = """
import json, worker.wsgi
from datetime import date
from domain.errors import UnsupportedMethod
from domain.money import Money
from domain.payment_methods import PaymentMethod
from domain.routing import RoutingRequest
from worker.celery import app
context, router, policy = worker.wsgi.app.extensions["celeriac"], app.runtime().router, app.runtime().policy
payer, token = frozenset({"email", "billing_address.country", "return_url"}), frozenset({"payment_method_token"})
klarna = router(RoutingRequest(PaymentMethod.KLARNA, Money(1000, "EUR"), "DE", given=payer))
try:
    debit = [one.provider for one in router(RoutingRequest(PaymentMethod.SEPA_DEBIT, Money(1000, "EUR"), given=token))]
except UnsupportedMethod:
    debit = None
links = context.runtime.pay_links.public_url, context.test_front_end.rpartition("/_sandbox")[1:]
is_open = policy.calendar.is_open("sepa_debit", date(2026, 12, 25))
print(
    json.dumps(
        {
            "public_url": context.public_url,
            "links": links,
            "klarna": [one.provider for one in klarna],
            "debit": debit,
            "is_open_at_christmas": is_open,
            "zone": str(policy.zone),
        }
    )
)
"""


@pytest.fixture
def shown(sqlite_url: str) -> dict[str, Any]:
    """What the web process has: Klarna's breaker is open, and bank debits are switched off."""
    engine = make_engine(sqlite_url)
    later = datetime.now(UTC) + timedelta(days=1)
    opened = {"provider": "klarna", "verb": "charge", "failures": 10, "opened_at": later, "failed_at": later}
    transact(engine, lambda connection: connection.execute(insert(breakers), opened))
    engine.dispose()
    with RunningSandbox() as sandbox:
        settings = {
            **sandbox_credentials(sandbox.url, PUBLIC_URL, "whsec_canary"),
            "DATABASE_URL": sqlite_url,
            "CELERY_BROKER_URL": "redis://127.0.0.1:9/0",
            "SEPA_ENABLED": "false",
            "DUNNING_TIME_ZONE": "Europe/Berlin",
            "PYTHONPATH": str(ROOT),
        }
        command = [sys.executable, "-P", "-c", SHOWN]
        result = subprocess.run(command, cwd=ROOT, env={**os.environ, **settings}, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_the_web_process_has_the_public_address_and_a_router_that_knows_what_is_off(shown: dict[str, Any]) -> None:
    found = {name: shown[name] for name in ("public_url", "links", "klarna", "debit")}
    links = [PUBLIC_URL, ["/_sandbox", "/front_end"]]
    assert found == {"public_url": PUBLIC_URL, "links": links, "klarna": ["stripe", "klarna"], "debit": None}


def test_the_web_process_has_the_calendar_of_the_banks_and_the_configured_zone(shown: dict[str, Any]) -> None:
    assert (shown["is_open_at_christmas"], shown["zone"]) == (False, "Europe/Berlin")
