"""Klarna over HTTP: Basic authentication, idempotency keys, one method for each operation.

Sources: docs.klarna.com (idempotency) and Klarna's OpenAPI files, read 2026-11-23."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from gateways.failures import CallFailed, FailureKind, MalformedResponse
from gateways.json_api import JsonApi, segment
from gateways.klarna.errors import ErrorKind, ErrorResponse, error_response
from gateways.klarna.hosted_page import HostedPage
from gateways.klarna.responses import CreatedPage, Order, PageSession, PaymentSession, PlacedOrder, hosted_page

# Klarna closes a call that was idle for 59 seconds. A slightly longer wait still receives that error response.
LONGEST_READ_SECONDS = 62.0
# No session has this id.
_NO_SESSION = "00000000-0000-0000-0000-000000000000"

_log = logging.getLogger(__name__)


class KlarnaClient(JsonApi):
    """Sends calls to one host. Safe to share between threads.

    Every method raises CallFailed: ErrorResponse for a response other than 2xx, MalformedResponse for one that is
    not as documented. `key`: a repeat within 24 hours returns the first response, whatever the body of the repeat."""

    def __init__(self, base: str, username: str, password: str, read_seconds: float) -> None:
        # A 403 of Klarna declines a customer, or says that an order is in another state.
        auth, seconds = (username, password), min(read_seconds, LONGEST_READ_SECONDS)
        super().__init__(base, seconds, auth=auth, refusals=(401,))

    def open_session(self, body: Mapping[str, Any]) -> str:
        """Open a payment session; return its address."""
        session = PaymentSession.parse(self._call("POST", "/payments/v1/sessions", body))
        return f"{self.base}/payments/v1/sessions/{session.session_id}"

    def open_page(self, body: Mapping[str, Any]) -> HostedPage:
        """Make the hosted page of a payment session."""
        return hosted_page(CreatedPage.parse(self._call("POST", "/hpp/v1/sessions", body)))

    def read_page(self, page: HostedPage) -> PageSession:
        """Return a hosted page as it stands."""
        session = PageSession.parse(self._call("GET", _page_path(page)))
        if session.session_id != page.id:
            raise MalformedResponse("PageSession.session_id")
        return session

    def disable_page(self, page: HostedPage) -> None:
        """Close a hosted page for its customer."""
        self._call("DELETE", _page_path(page))

    def order_by_token(self, token: str, body: Mapping[str, Any], key: str) -> str:
        """Place an order of a customer token; return its id."""
        path = f"/customer-token/v1/tokens/{segment(token)}/order"
        return PlacedOrder.parse(self._call("POST", path, body, key)).order_id

    def read_order(self, order_id: str) -> Order:
        """Return an order as it stands."""
        order = Order.parse(self._call("GET", _order_path(order_id)))
        if order.order_id != order_id:
            raise MalformedResponse("Order.order_id")
        return order

    def change_order(
        self, order_id: str, operation: str, key: str | None = None, body: Mapping[str, Any] | None = None
    ) -> None:
        """Capture, refund, cancel or release. The response is empty: only the order shows the result."""
        self._call("POST", f"{_order_path(order_id)}/{operation}", body, key)

    def check_credentials(self) -> None:
        """Return if Klarna accepts the credentials: only then it looks for a session, and does not find this one."""
        try:
            self._call("GET", f"/payments/v1/sessions/{_NO_SESSION}")
        except ErrorResponse as error:
            if error.error_kind is ErrorKind.NOT_FOUND:
                return
            raise
        raise CallFailed("not_klarna", FailureKind.UNKNOWN)

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None, key: str | None = None) -> Any:
        response = self.send(method, path, json=body, headers={"Klarna-Idempotency-Key": key} if key else None)
        if response.is_good:
            return response.body
        error = error_response(response)
        _log.info("Klarna responded %s %s, correlation id %s", response.status, error.reason, error.correlation_id)
        raise error


def _page_path(page: HostedPage) -> str:
    return f"/hpp/v1/sessions/{segment(page.id)}"


def _order_path(order_id: str) -> str:
    return f"/ordermanagement/v1/orders/{segment(order_id)}"
