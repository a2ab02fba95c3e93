"""The API under test: a system that one session's tests share, so each test uses invoices and users of its own."""

from __future__ import annotations

import secrets
from typing import Any

from sqlalchemy import select
from werkzeug.test import TestResponse

from models.api_keys import Role, hash_key, revoke_key
from models.session import transact
from models.tables import api_keys
from sandbox.server import RunningSandbox
from tests.system import System

PROBLEM = "application/problem+json"


class ApiSystem(System):
    """A system with one more caller, `revoked`, and with requests that return the whole response."""

    def __init__(self, database_url: str, sandbox: RunningSandbox) -> None:
        super().__init__(database_url, sandbox)
        self.keys["revoked"] = self.create_key("revoked", Role.APP)
        self.revoke("revoked")

    def revoke(self, name: str) -> None:
        """End a caller's key."""
        [row] = self.query(select(api_keys.c.id).where(api_keys.c.hash == hash_key(self.keys[name])))
        now = self.now()
        transact(self.engine, revoke_key, row.id, "test", now)

    def process(self, **changes: Any) -> TestResponse:
        """Request a payment under a key of its own; a change that is no field of the body is a header or the caller."""
        how = {name: changes.pop(name) for name in ("caller", "Idempotency_Key", "Prefer") if name in changes}
        how.setdefault("Idempotency_Key", unique("key"))
        return self.post("/process", payment(**changes), **how)

    def process_and_run(self, **changes: Any) -> dict[str, Any]:
        """Return a payment that a worker has carried out."""
        response = self.process(**changes)
        assert response.status_code == 202, response.text
        self.run_published()
        return self.show(response.json["id"])

    def show(self, payment_id: str) -> dict[str, Any]:
        """Return a payment as an operator sees it."""
        response = self.get(f"/{payment_id}", caller="operator")
        assert response.status_code == 200, response.text
        shown: dict[str, Any] = response.json
        return shown


def unique(what: str) -> str:
    """Return an id that no other test uses."""
    return f"{what}-{secrets.token_hex(6)}"


def payment(**changes: Any) -> dict[str, Any]:
    """Return a good body for /process; a change to ... leaves the field out."""
    body = {
        "invoice_id": unique("inv"),
        "user_id": unique("user"),
        "amount": "12.30",
        "currency": "EUR",
        "payment_method": "credit_card",
        "payment_method_token": "pm_card_visa",
    }
    return {name: value for name, value in (body | changes).items() if value is not ...}


def assert_problem(response: TestResponse, status: int, kind: str) -> str:
    """Check that the response is a problem of that status and type; return its sentence."""
    assert (response.status_code, response.content_type) == (status, PROBLEM), response.text
    body = response.json
    assert (body["status"], body["type"]) == (status, kind), body
    assert body["title"]
    assert len(body["detail"].split()) > 1, body
    return str(body["detail"])
