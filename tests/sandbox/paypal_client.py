"""A merchant's client of PayPal's API in the sandbox, and of its control routes."""

from __future__ import annotations

import uuid
from typing import Any

import requests

from sandbox.server import RunningSandbox
from tests.contract.specifications import all_of
from tests.sandbox.receiver import SECONDS

CREDENTIALS = ("sandbox-client", "sandbox-secret")
ORDERS, AUTHORIZATIONS, CAPTURES = "/v2/checkout/orders", "/v2/payments/authorizations", "/v2/payments/captures"
BACK = {"return_url": "https://shop.example/return?order=7", "cancel_url": "https://shop.example/cancel"}


def money(value: str, currency: str = "EUR") -> dict[str, str]:
    """Return an amount in PayPal's format."""
    return {"currency_code": currency, "value": value}


def order_body(value: str = "10.00", currency: str = "EUR", intent: str = "CAPTURE", **unit: Any) -> dict[str, Any]:
    """Return the body that creates an order for a buyer who approves on PayPal's page."""
    source = {"paypal": {"experience_context": BACK}}
    return {
        "intent": intent,
        "purchase_units": [{"amount": money(value, currency), **unit}],
        "payment_source": source,
    }


class Client:
    """Calls with an access token, a new request id for each POST, and a full representation as the response."""

    def __init__(self, sandbox: RunningSandbox) -> None:
        self.sandbox = sandbox
        self._movements_before = len(sandbox.state.ledger.movements)
        self.url = f"{sandbox.url}/paypal"
        self.token = self.new_token().json()["access_token"]

    def new_token(self, auth: tuple[str, str] | None = CREDENTIALS, grant: str = "client_credentials") -> Any:
        """Request an access token."""
        form = {"grant_type": grant}
        return requests.post(f"{self.url}/v1/oauth2/token", data=form, auth=auth, timeout=SECONDS)

    def call(
        self, method: str, path: str, body: Any = None, *, key: str | None = "", headers: dict[str, str] | None = None
    ) -> requests.Response:
        """Call an operation. `key`: the request id, by default a new one; None sends none."""
        sent = {"Authorization": f"Bearer {self.token}", "Prefer": "return=representation"}
        if method == "POST" and key is not None:
            sent["PayPal-Request-Id"] = key or str(uuid.uuid4())
        return requests.request(method, self.url + path, json=body, headers=sent | (headers or {}), timeout=SECONDS)

    def post(self, path: str, body: Any = None, **options: Any) -> requests.Response:
        """Post to an operation."""
        return self.call("POST", path, {} if body is None else body, **options)

    def control(self, path: str, **body: Any) -> Any:
        """Post to a control route and return its JSON."""
        response = requests.post(f"{self.sandbox.url}/_sandbox/paypal/{path}", json=body, timeout=SECONDS)
        response.raise_for_status()
        return response.json()

    def approved(self, scenario: str = "COMPLETED", **options: Any) -> str:
        """Return the path of an order that the buyer has approved."""
        order = self.post(ORDERS, order_body(**options)).json()["id"]
        self.control(order, decision="approve")
        self.control(f"{order}/scenario", scenario=scenario)
        return f"{ORDERS}/{order}"

    def captured(self, scenario: str = "COMPLETED", **options: Any) -> dict[str, Any]:
        """Return the capture of an approved order."""
        order = self.post(f"{self.approved(scenario, **options)}/capture").json()
        capture: dict[str, Any] = order["purchase_units"][0]["payments"]["captures"][0]
        return capture

    def authorized(self, scenario: str = "COMPLETED", **options: Any) -> str:
        """Return the path of an authorization of 10.00."""
        path = self.approved(scenario, intent="AUTHORIZE", **options)
        order = self.post(f"{path}/authorize").json()
        return f"{AUTHORIZATIONS}/{order['purchase_units'][0]['payments']['authorizations'][0]['id']}"

    def moved(self) -> list[tuple[str, int]]:
        """Return every movement of money since this client was made, in minor units."""
        rows = self.sandbox.state.ledger.movements[self._movements_before :]
        return [(row.kind, row.amount) for row in rows]


def issue(response: requests.Response) -> tuple[int, str]:
    """Return the status and the issue of a refusal."""
    return response.status_code, response.json()["details"][0]["issue"]


def assert_listed(api: str, operation: str, status: int, refused_with: str) -> None:
    """Check that PayPal's own list has the issue for this operation and status."""
    for listed in all_of("paypal", "issue-codes-by-operation.json"):
        assert refused_with in listed[api][operation][str(status)]
