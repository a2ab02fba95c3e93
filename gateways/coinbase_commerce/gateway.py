"""The verbs of Coinbase Commerce: coins of many networks, paid to addresses that a hosted page shows.

The customer moves the money. Commerce has no idempotency keys and no refunds by API. Coinbase folded it into Coinbase
Business in 2026; keys that still work keep working here. Sources: docs.cdp.coinbase.com/commerce and the official
package coinbase-commerce, API version 2018-03-22, read 2026-11-23."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from domain.outcome import NotSent, Outcome
from domain.payment import Verb
from gateways.base import AttemptRequest, GatewayError, SaveReference, VerifiedWebhook, WebhookEvent
from gateways.coinbase.errors import outcome_of_change
from gateways.coinbase_commerce import webhooks
from gateways.coinbase_commerce.client import DEFAULT_BASE, CommerceClient
from gateways.coinbase_commerce.requests import charge_request
from gateways.coinbase_commerce.responses import Charge, ChargeId, find_charge, outcome_of_charge
from gateways.coinbase_commerce.timeline import timeline_of_charge
from gateways.coinbase_commerce.webhooks import EventPage, ListedEvent, created_at
from gateways.failures import CallFailed
from gateways.json_api import decided, looked_up

_NOT_SUPPORTED = NotSent("not_supported", is_retryable=False)
_REFUND_BY_HAND = NotSent("refund_by_hand", is_retryable=False)
# The most charges that one page of the list may hold.
_PAGE_SIZE = 100


class CoinbaseCommerceGateway:
    """One account of Coinbase Commerce. Every charge names its attempt, by which a lost one is found again."""

    provider = "coinbase_commerce"
    region: str | None = None
    event_lists = 1
    # Neither is documented. A charge is paid within an hour of its creation, and confirmed within days.
    events_kept = timedelta(days=30)
    events_late = timedelta(minutes=10)

    def __init__(
        self,
        *,
        api_key: str,
        webhook_secrets: tuple[str, ...] = (),
        base: str = DEFAULT_BASE,
        api_url: str = "",
        read_seconds: float = 30,
    ) -> None:
        self._webhook_secrets = webhook_secrets
        self._api_url = api_url.rstrip("/")
        self._client = CommerceClient(api_key, base, read_seconds)

    def charge(self, attempt: AttemptRequest, save_reference: SaveReference) -> Outcome:
        """Create the charge and send the customer to its page; look up a charge that exists already.

        A repeat may leave a second charge behind. It moves no money: the customer sees, and pays, only one."""
        if attempt.verb is Verb.AUTHORIZE:
            return _NOT_SUPPORTED
        if attempt.reference is not None:
            save_reference(attempt.reference)
            return self.retrieve(attempt)
        try:
            data = self._find(attempt) or self._client.create_charge(charge_request(attempt, self._api_url))
            reference = ChargeId.parse(data).id
        except CallFailed as failure:
            return failure.outcome_of_creation()
        save_reference(reference)
        return decided(reference, lambda: outcome_of_charge(Charge.parse(data), attempt))

    def capture(self, attempt: AttemptRequest) -> Outcome:
        """Accept what an unresolved charge has received: charges have no authorization."""
        return self.accept(attempt)

    def accept(self, attempt: AttemptRequest) -> Outcome:
        """Accept what an unresolved charge has received, whatever the amount: an operator has decided so."""
        return self._change(attempt, self._client.resolve_charge)

    def void(self, attempt: AttemptRequest) -> Outcome:
        """Cancel an unpaid charge."""
        return self._change(attempt, self._client.cancel_charge)

    def refund(self, attempt: AttemptRequest) -> Outcome:
        """Refuse: Commerce has no refunds, so that an operator makes a transfer on the network by hand."""
        return _REFUND_BY_HAND

    def retrieve(self, attempt: AttemptRequest) -> Outcome:
        """Look the charge up. Without a stored reference no customer has seen a page."""
        if attempt.verb is Verb.REFUND:
            return _REFUND_BY_HAND
        reference = attempt.reference or attempt.charge_reference
        if reference is None:
            return NotSent("not_created")
        return looked_up(
            reference, lambda: outcome_of_charge(Charge.parse(self._client.read_charge(reference)), attempt)
        )

    def verify_webhook(self, body: bytes, headers: Mapping[str, str], now: datetime, url: str = "") -> VerifiedWebhook:
        """Accept an event that any of the secrets signed."""
        return webhooks.verify(body, headers, self._webhook_secrets)

    def read_webhook(self, payload: str) -> WebhookEvent | None:
        """Return the charge that a stored event is about."""
        return webhooks.read(payload)

    def timeline(self, reference: str) -> list[dict[str, str]]:
        """Return the history of a charge, oldest first; see `timeline_of_charge`. Raises GatewayError."""
        try:
            return timeline_of_charge(self._client.read_charge(reference))
        except CallFailed as failure:
            raise GatewayError(failure.reason) from None

    def events(self, after: datetime, until: datetime) -> Iterator[list[VerifiedWebhook]]:
        """Yield the events of charges, newest first. The list takes no times, so it is read from its beginning."""
        query: dict[str, Any] = {"limit": _PAGE_SIZE, "order": "desc"}
        try:
            while True:
                page = EventPage.parse({"data": self._client.list_events(**query)}).data
                yield webhooks.listed(event for event in page if after <= (created_at(event) or after) <= until)
                if len(page) < _PAGE_SIZE or (created_at(page[-1]) or after) < after:
                    return
                query["starting_after"] = ListedEvent.parse(page[-1]).id
        except CallFailed as failure:
            raise GatewayError(failure.reason) from None

    def check(self) -> str:
        """Return a line that says that the API key is accepted. Raises GatewayError if it is not."""
        try:
            self._client.list_charges(limit=1)
        except CallFailed as failure:
            raise GatewayError(f"Coinbase Commerce does not accept the API key: {failure.reason}") from None
        return f"Coinbase Commerce accepts the API key at {self._client.base}"

    def _change(self, attempt: AttemptRequest, call: Callable[[str], Any]) -> Outcome:
        try:
            return outcome_of_charge(Charge.parse(call(attempt.charged_reference)), attempt)
        except CallFailed as failure:
            return outcome_of_change(failure, attempt.charged_reference)

    def _find(self, attempt: AttemptRequest) -> dict[str, Any] | None:
        """Return the charge that an earlier call for this attempt created if its response was lost.

        A first call has none to find, and saves the request for the list."""
        if not attempt.retries:
            return None
        return find_charge(self._client.list_charges(limit=_PAGE_SIZE, order="desc"), attempt)
