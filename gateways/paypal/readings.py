"""What is read at PayPal beside the verbs: refunds, events, fees and disputes. It moves no money.

Sources: PayPal's Orders v2, Payments v2, Disputes v1, Webhooks v1 (OpenAPI), developer.paypal.com, read 2026-11-28."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from domain.comparison import ShownCharge, ShownRefund
from domain.disputes import SHOWN_BY_DISPUTE, ShownDispute
from domain.outcome import Declined, Outcome
from gateways.base import (
    AttemptRequest,
    ChargeMissing,
    GatewayError,
    VerifiedWebhook,
)
from gateways.failures import CallFailed, FailureKind, MalformedResponse
from gateways.json_api import ProviderResponse, looked_up, segment
from gateways.paypal.client import PayPalClient
from gateways.paypal.disputes import Dispute, DisputedCapture, DisputeList, refunds_shown_by, shown_dispute
from gateways.paypal.errors import is_missing, issue_of
from gateways.paypal.fees import shown_fees
from gateways.paypal.outcomes import outcome_of_order, outcome_of_refund
from gateways.paypal.requests import (
    events_query,
    next_query,
)
from gateways.paypal.responses import Order, Refund, read_order
from gateways.paypal.webhooks import EventPage, listed
from gateways.shown_refunds import note_refunds

_ORDERS, REFUNDS, _DISPUTES = "/v2/checkout/orders", "/v2/payments/refunds", "/v1/customer/disputes"


class _NotPermitted(CallFailed):
    """PayPal does not let these credentials read an object."""


def _shown_refunds(order: Order, in_disputes: frozenset[str] = frozenset()) -> list[ShownRefund]:
    return [ShownRefund(made.id, _outcome_of(made, in_disputes), made.invoice_id) for made in order.refunds]


def _outcome_of(refund: Refund, in_disputes: frozenset[str]) -> Outcome:
    return Declined(refund.id, SHOWN_BY_DISPUTE) if refund.id in in_disputes else outcome_of_refund(refund)


def noted(order: Order) -> Order:
    """Note the refunds that an order shows; return the order."""
    note_refunds(order.id, lambda: _shown_refunds(order))
    return order


class PayPalReadings:
    """What PayPal's gateway only reads."""

    event_lists = 1
    # "The range must be in the last 30 days" (developer.paypal.com, Webhooks Events dashboard, read 2026-11-28).
    events_kept = timedelta(days=30)
    # Not documented. PayPal's other list, of transactions, shows each within three hours (Transaction Search v1).
    events_late = timedelta(hours=3)

    def __init__(self, client: PayPalClient) -> None:
        self._client = client

    def read_charge(self, charge: AttemptRequest) -> ShownCharge:
        """Return how an order stands, with its refunds, whoever made them, and the fees of its captures and refunds."""
        try:
            response = self._get_order(charge.charged_reference)
            if not response.is_good:
                raise (ChargeMissing if is_missing(response) else GatewayError)(issue_of(response))
            order = read_order(response.body, charge.charged_reference)
            refunds = _shown_refunds(order, self._refunds_in_disputes(order))
            outcome = looked_up(order.id, lambda: outcome_of_order(order, charge))
            return ShownCharge(outcome, refunds, shown_fees(response.body))
        except CallFailed as failure:
            raise GatewayError(failure.reason) from None

    def events(self, after: datetime, until: datetime) -> Iterator[list[VerifiedWebhook]]:
        """Yield the events that were to be sent to the app's webhooks."""
        query: dict[str, str] | None = events_query(after, until)
        try:
            while query is not None:
                response = self._client.get("/v1/notifications/webhooks-events", query)
                if not response.is_good:
                    raise GatewayError(issue_of(response))
                page = EventPage.parse(response.body)
                yield listed(page.events)
                # A page without events is the last one, whatever its links say.
                following = next_query(page.link("next")) if page.events else None
                if following == query:
                    raise MalformedResponse("EventPage.links")
                query = following
        except CallFailed as failure:
            raise GatewayError(failure.reason) from None

    def read_dispute(self, reference: str) -> ShownDispute:
        """Return a dispute as it stands, about the order of the capture that it names."""
        try:
            dispute = Dispute.parse(self._get_good(f"{_DISPUTES}/{segment(reference)}"))
            capture = self._read_capture(dispute.capture_id)
            order_id = capture.order_id if dispute.debits else None
            order = read_order(self._get_good(f"{_ORDERS}/{segment(order_id)}"), order_id) if order_id else None
            return shown_dispute(dispute, capture, order.refunds if order else ())
        except CallFailed as failure:
            raise GatewayError(failure.reason) from None

    def disputes_of(self, charge: AttemptRequest) -> list[ShownDispute]:
        """Return every dispute about the captures of an order."""
        reference = charge.charged_reference
        try:
            order = read_order(self._get_good(f"{_ORDERS}/{segment(reference)}"), reference)
            found = self._dispute_ids(order)
        except CallFailed as failure:
            raise GatewayError(failure.reason) from None
        return [self.read_dispute(dispute_id) for dispute_id in found]

    def reversed_charge(self, reference: str) -> str:
        """Return the order of the capture from which PayPal itself has made a refund."""
        try:
            refund = Refund.parse(self._get_good(f"{REFUNDS}/{segment(reference)}"))
            if refund.id_above is None:
                raise MalformedResponse("Refund.links")
            return self._read_capture(refund.id_above).charge_reference
        except CallFailed as failure:
            raise GatewayError(failure.reason) from None

    def _dispute_ids(self, order: Order) -> list[str]:
        of_capture = f"{_DISPUTES}?disputed_transaction_id="
        pages = [self._get_good(of_capture + segment(made.id)) for made in order.captures]
        return [dispute.dispute_id for page in pages for dispute in DisputeList.parse(page).items or ()]

    def _refunds_in_disputes(self, order: Order) -> frozenset[str]:
        """Return the ids of the order's refunds whose money its disputes show too. Raises CallFailed.

        Without the permission to read disputes nobody books them either."""
        if not any(made.is_made_elsewhere for made in order.refunds):
            return frozenset()
        try:
            pages = [self._get_good(f"{_DISPUTES}/{segment(dispute_id)}") for dispute_id in self._dispute_ids(order)]
        except _NotPermitted:
            return frozenset()
        return refunds_shown_by([Dispute.parse(page) for page in pages], order.refunds)

    def _order_of(self, refund: Refund, attempt: AttemptRequest) -> Order:
        """Return the order of a refund's capture. A payment may have several: a returned one is collected again."""
        above = refund.id_above
        order_id = self._read_capture(above).charge_reference if above else attempt.charged_reference
        return read_order(self._get_good(f"{_ORDERS}/{segment(order_id)}"), order_id)

    def _read_capture(self, capture_id: str) -> DisputedCapture:
        return DisputedCapture.parse(self._get_good(f"/v2/payments/captures/{segment(capture_id)}"))

    def _get_good(self, path: str) -> Any:
        """Return the body of an object. Raises CallFailed, also where PayPal refuses to show it."""
        response = self._client.get(path)
        if response.status == 403:
            raise _NotPermitted(issue_of(response), FailureKind.UNKNOWN)
        if not response.is_good:
            raise CallFailed(issue_of(response), FailureKind.UNKNOWN)
        return response.body

    def _get_order(self, reference: str) -> ProviderResponse:
        return self._client.get(f"{_ORDERS}/{segment(reference)}")
