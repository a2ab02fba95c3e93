"""Saved PayPal accounts: setup tokens, which a customer approves, and payment tokens, which are charged.

Payment Method Tokens v3 [spec], its errors and "Save PayPal with the Payment Method Tokens API" [docs]. Unverified:
how long a setup token of v3 lives (that of v2 lives three hours), how PayPal refuses a customer of another setup, and
what a second DELETE gets. Without `permit_multiple_payment_tokens` a payer has one token, whoever saves it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from sandbox.ids import random_text
from sandbox.paypal.errors import not_found, refused, unprocessable
from sandbox.paypal.events import EventLog
from sandbox.paypal.objects import PAYER, Json, new_id
from sandbox.state import Sandbox

SETUP_LIFETIME = timedelta(hours=3)
# "The server stores keys for 3 hours" [spec].
KEPT_SECONDS = 3 * 3600
SETUP_TOKEN = "SETUP_TOKEN"
_PAGE_SIZE = 5


@dataclass
class Setup:
    """A setup token. `token_id`: of the payment token that was made of it."""

    id: str
    customer: str
    source: Json
    base_url: str
    created_at: float
    status: str = "PAYER_ACTION_REQUIRED"
    token_id: str | None = None

    def body(self) -> Json:
        """Return it as the API shows it."""
        own = f"{self.base_url}/v3/vault/setup-tokens/{self.id}"
        links = [{"href": own, "rel": "self", "method": "GET"}]
        if self.status == "PAYER_ACTION_REQUIRED":
            links.append({"href": f"{self.base_url}/hosted/{self.id}", "rel": "approve", "method": "GET"})
        if self.status == "APPROVED":
            links.append({"href": f"{self.base_url}/v3/vault/payment-tokens", "rel": "confirm", "method": "POST"})
        return {
            "id": self.id,
            "customer": {"id": self.customer},
            "status": self.status,
            "payment_source": {"paypal": self.source | (_account() if self.status != "PAYER_ACTION_REQUIRED" else {})},
            "links": links,
        }


@dataclass
class Saved:
    """A payment token. `scenario`: what becomes of its charges."""

    id: str
    customer: str
    source: Json
    base_url: str
    scenario: str = "COMPLETED"

    def body(self) -> Json:
        """Return it as the API shows it."""
        own = f"{self.base_url}/v3/vault/payment-tokens/{self.id}"
        links = [{"href": own, "rel": rel, "method": method} for rel, method in (("self", "GET"), ("delete", "DELETE"))]
        source = {"paypal": self.source | _account()}
        return {"id": self.id, "customer": {"id": self.customer}, "payment_source": source, "links": links}


@dataclass
class Vault:
    """The setup tokens and payment tokens of the merchant."""

    sandbox: Sandbox
    log: EventLog
    setups: dict[str, Setup] = field(default_factory=dict)
    tokens: dict[str, Saved] = field(default_factory=dict)

    @property
    def now(self) -> float:
        """Return the sandbox's time."""
        return self.sandbox.clock.now()

    def create_setup(self, body: Json, base_url: str) -> Setup:
        """Create a setup token, which waits for the customer's approval."""
        source = (body.get("payment_source") or {}).get("paypal")
        if not isinstance(source, dict):
            raise refused(400, "MISSING_REQUIRED_PARAMETER", "/payment_source")
        experience = source.get("experience_context") or {}
        for name in ("return_url", "cancel_url"):
            if not experience.get(name):
                raise refused(400, "MISSING_REQUIRED_PARAMETER", f"/payment_source/paypal/experience_context/{name}")
        customer = (body.get("customer") or {}).get("id")
        if customer is not None and customer not in {setup.customer for setup in self.setups.values()}:
            raise unprocessable("INVALID_CUSTOMER_ID")
        setup = Setup(new_id(), customer or random_text(10), source, base_url, self.now)
        self.setups[setup.id] = setup
        return setup

    def setup(self, id: str) -> Setup:
        """Return a setup token that has not ended."""
        setup = self.setups.get(id)
        if setup is None or self.now > setup.created_at + SETUP_LIFETIME.total_seconds():
            raise not_found()
        return setup

    def decide(self, id: str, decision: str) -> str:
        """Execute the customer's decision on PayPal's page and return the URL of the redirect."""
        setup = self.setup(id)
        experience = setup.source["experience_context"]
        if decision != "approve":
            return str(experience["cancel_url"])
        if setup.status == "PAYER_ACTION_REQUIRED":
            setup.status = "APPROVED"
        query = urlencode({"approval_token_id": setup.id, "approval_session_id": setup.id})
        return f"{experience['return_url']}{'&' if '?' in experience['return_url'] else '?'}{query}"

    def create_token(self, body: Json) -> Saved:
        """Make the payment token of an approved setup token, once."""
        named = (body.get("payment_source") or {}).get("token") or {}
        if not named.get("id") or not named.get("type"):
            raise refused(400, "MISSING_REQUIRED_PARAMETER", "/payment_source/token")
        if named["type"] != SETUP_TOKEN:
            raise refused(400, "INVALID_PARAMETER_VALUE", "/payment_source/token/type")
        setup = self.setup(str(named["id"]))
        customer = (body.get("customer") or {}).get("id")
        if customer not in (None, setup.customer):
            raise unprocessable("INVALID_CUSTOMER_ID")
        if setup.token_id is not None:
            raise unprocessable("SETUP_TOKEN_ALREADY_TOKENIZED")
        if setup.status != "APPROVED":
            raise unprocessable("PAYER_ACTION_REQUIRED")
        saved = self._of_payer(setup)
        setup.status, setup.token_id = "TOKENIZED", saved.id
        self.log.emit("VAULT.PAYMENT-TOKEN.CREATED", "payment_token", saved.body(), saved.id)
        return saved

    def _of_payer(self, setup: Setup) -> Saved:
        # There is one payer.
        shared = [saved for saved in self.tokens.values() if not saved.source.get("permit_multiple_payment_tokens")]
        if shared and not setup.source.get("permit_multiple_payment_tokens"):
            return shared[0]
        source = {name: value for name, value in setup.source.items() if name != "experience_context"}
        saved = Saved(random_text(8).lower(), setup.customer, source, setup.base_url)
        self.tokens[saved.id] = saved
        return saved

    def token(self, id: str) -> Saved:
        """Return a payment token."""
        if id not in self.tokens:
            raise not_found()
        return self.tokens[id]

    def listed(self, query: Mapping[str, str]) -> Json:
        """Return a page of a customer's payment tokens."""
        customer = query.get("customer_id")
        if not customer:
            raise refused(400, "MISSING_REQUIRED_PARAMETER", "customer_id")
        size, page = _count(query, "page_size", _PAGE_SIZE), _count(query, "page", 1)
        found = [saved.body() for saved in self.tokens.values() if saved.customer == customer]
        body: Json = {"customer": {"id": customer}, "payment_tokens": found[(page - 1) * size : page * size]}
        total = {"total_items": len(found), "total_pages": -(-len(found) // size)}
        return body | (total if query.get("total_required") == "true" else {})

    def delete(self, id: str) -> None:
        """Delete a payment token."""
        saved = self.token(id)
        del self.tokens[id]
        body: Json = {"id": id, "customer": {"id": saved.customer}}
        for type in ("VAULT.PAYMENT-TOKEN.DELETION-INITIATED", "VAULT.PAYMENT-TOKEN.DELETED"):
            self.log.emit(type, "payment_token", body, id)


def _account() -> Json:
    public: dict[str, Any] = {name: PAYER[name] for name in ("name", "email_address", "payer_id")}
    return public | {"account_id": PAYER["payer_id"]}


def _count(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not text.isdecimal() or not int(text):
        raise refused(400, "INVALID_PARAMETER_VALUE", name)
    return int(text)
