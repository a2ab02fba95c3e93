"""Afterpay over HTTP: Basic authentication, the required User-Agent, timeouts, one method for each operation.

Source: Afterpay's OpenAPI documents (checkouts, payments, configuration), read 2026-11-23."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import urlsplit

from gateways.afterpay.disputes import Dispute, DisputePage
from gateways.afterpay.errors import code_of, error_response
from gateways.afterpay.responses import Checkout, Configuration, Payment, Refund
from gateways.failures import CallFailed, FailureKind, MalformedResponse
from gateways.json_api import JsonApi, ProviderResponse, segment

# Afterpay responds to reads within 20 seconds and to writes within 70 (docs of every endpoint: connection timeouts).
READ_SECONDS = 20
WRITE_SECONDS = 70


class AfterpayClient(JsonApi):
    """One merchant account. Safe to share between threads.

    Every method raises CallFailed: ErrorResponse for a response without success, MalformedResponse for one that is
    not as documented."""

    def __init__(self, base: str, merchant_id: str, secret_key: str, read_seconds: float, public_url: str) -> None:
        headers = {"Accept": "application/json", "User-Agent": _user_agent(merchant_id, public_url)}
        super().__init__(f"{base.rstrip('/')}/v2", read_seconds, auth=(merchant_id, secret_key), headers=headers)

    def read_configuration(self) -> Configuration:
        """Return the account's limits."""
        return Configuration.parse(_good(self._get("/configuration"), 200))

    def open_checkout(self, body: dict[str, Any]) -> Checkout:
        """Open a checkout."""
        return Checkout.parse(_good(self._post("/checkouts", body), 200, 201))

    def read_checkout(self, token: str) -> Checkout:
        """Return an open checkout."""
        checkout = Checkout.parse(_good(self._get(f"/checkouts/{segment(token)}"), 200))
        if checkout.token != token:
            raise MalformedResponse("Checkout.token")
        return checkout

    def pay(self, body: dict[str, Any], *, is_authorization: bool) -> Payment:
        """Authorize, or charge at once, the checkout of a token."""
        return _payment(self._post("/payments/auth" if is_authorization else "/payments/capture", body))

    def find_payment(self, token: str) -> Payment | None:
        """Return the payment of a token, None if there is none."""
        response = self._get(f"/payments/token:{segment(token)}")
        # Only with Afterpay's own code: the 404 of another server proves nothing.
        if response.status == 404 and code_of(response) == "not_found":
            return None
        payment = Payment.parse(_good(response, 200))
        if payment.token != token:
            raise MalformedResponse("Payment.token")
        return payment

    def capture(self, payment: Payment, body: dict[str, Any]) -> Payment:
        """Capture a part or all of an authorization."""
        return _payment(self._post(f"/payments/{segment(payment.id)}/capture", body))

    def void(self, payment: Payment, body: dict[str, Any]) -> Payment:
        """Release a part or all of an authorization."""
        return _payment(self._post(f"/payments/{segment(payment.id)}/void", body))

    def refund(self, payment: Payment, body: dict[str, Any]) -> Refund:
        """Give captured money back."""
        return Refund.parse(_good(self._post(f"/payments/{segment(payment.id)}/refund", body), 200, 201))

    def reverse(self, token: str) -> ProviderResponse:
        """Cancel the payment of a token; see `responses.outcome_of_reversal`."""
        return self._post(f"/payments/token:{segment(token)}/reversal")

    def read_dispute(self, reference: str) -> Dispute:
        """Return a dispute."""
        dispute = Dispute.parse(_good(self._get(f"/disputes/{segment(reference)}"), 200))
        if dispute.id != reference:
            raise MalformedResponse("Dispute.id")
        return dispute

    def find_disputes(self, token: str) -> list[Dispute]:
        """Return the disputes about the payment of a token, which are few."""
        page = DisputePage.parse(_good(self._get(f"/disputes?order={segment(token)}"), 200))
        if page.total != len(page.data) or any(dispute.order != token for dispute in page.data):
            raise MalformedResponse("DisputePage.total")
        return page.data

    def _get(self, path: str) -> ProviderResponse:
        return self.send("GET", path, read_seconds=min(self.read_seconds, READ_SECONDS))

    def _post(self, path: str, body: dict[str, Any] | None = None) -> ProviderResponse:
        return self.send("POST", path, json=body)


def _good(response: ProviderResponse, *statuses: int) -> Any:
    """Return the body of a response with one of the statuses. Raises ErrorResponse."""
    if response.status not in statuses:
        raise error_response(response)
    return response.body


def _payment(response: ProviderResponse) -> Payment:
    """Return the payment in a response: 201 also for a decline at once, 402 for a declined authorization."""
    if response.status != 402 or "paymentState" not in response.fields:
        return Payment.parse(_good(response, 200, 201))
    payment = Payment.parse(response.body)
    if not payment.is_declined:
        raise CallFailed("contradicting_answer", FailureKind.UNKNOWN)
    return payment


def _user_agent(merchant_id: str, public_url: str) -> str:
    """Name platform, version, merchant and site, which Afterpay requires (docs: user-agent header)."""
    try:
        release = version("celeriac")
    except PackageNotFoundError:
        release = "0"
    site = urlsplit(public_url)
    return f"Celeriac/{release} (Python; Merchant/{merchant_id}) {site.scheme}://{site.netloc}".removesuffix(" ://")
