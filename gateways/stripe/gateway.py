"""Stripe's verbs: cards, debits, transfers, Klarna and Afterpay as PaymentIntents.

The gateway creates an intent, has its id saved, and then confirms it: until the confirm no money can move, and after
it the intent can always be looked up. Sources: docs.stripe.com/api and the SDK 16.1.0, read 2026-11-23."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from domain.comparison import ShownCharge
from domain.disputes import ShownDispute
from domain.movement import ShownFee
from domain.outcome import InDoubt, NotSent, Outcome
from domain.payment import Verb
from gateways.base import (
    AttemptRequest,
    ChargeMissing,
    CustomerLost,
    GatewayError,
    SaveReference,
    VerifiedWebhook,
    WebhookEvent,
)
from gateways.failures import CallFailed, MalformedResponse
from gateways.json_api import decided, looked_up, segment
from gateways.provider_model import ProviderModel
from gateways.shown_refunds import note_refunds
from gateways.stripe import webhooks
from gateways.stripe.account_report import Account, EndpointPage, describe
from gateways.stripe.cash_balances import StripeCashBalances
from gateways.stripe.client import StripeClient
from gateways.stripe.errors import CustomerMissing, PermissionMissing, is_missing
from gateways.stripe.fees import EXPANDED, IntentWithFee, shown_fees
from gateways.stripe.money import to_stripe
from gateways.stripe.requests import (
    AUTHENTICATION,
    RETURN_URL_MISSING,
    base_params,
    cancel_params,
    confirm_params,
    create_params,
    creation_key,
    default_type,
    fault_of,
    is_transfer,
    key,
    refund_key,
    refund_params,
)
from gateways.stripe.responses import (
    ConfirmableIntent,
    Created,
    EventPage,
    ListedEvent,
    PaymentIntent,
    Refund,
    RefundPage,
    has_more_refunds,
    outcome_of_refund,
    outcome_of_requested,
    refunds_shown_by,
    shown_refund,
)
from gateways.stripe.saved_methods import CUSTOMER_MISSING, StripeSavedMethods
from gateways.stripe.side_events import DisputePage, DisputeWithMoney, shown_dispute

DEFAULT_BASE = "https://api.stripe.com"
_INTENTS, _REFUNDS, _DISPUTES = "/v1/payment_intents", "/v1/refunds", "/v1/disputes"
_EVENTS = "/v1/events"
_PAGE_SIZE = 100
Model = TypeVar("Model", bound=ProviderModel)


class StripeGateway(StripeSavedMethods, StripeCashBalances):
    """One account at Stripe. Every call that moves money carries a key of its attempt, so that a repeat is the same."""

    provider = "stripe"
    region: str | None = None
    event_lists = len(webhooks.LISTED_TYPES)
    # docs.stripe.com/api/events/list, read 2026-11-28.
    events_kept = timedelta(days=30)
    # Not documented. Those who page through the list met a delay of seconds and leave out the last minute
    # (estuary/connectors 2731, read 2026-11-28).
    events_late = timedelta(minutes=10)

    def __init__(
        self,
        secret_key: str,
        webhook_secrets: tuple[str, ...] = (),
        base: str = DEFAULT_BASE,
        read_seconds: float = 30,
        publishable_key: str | None = None,
        api_url: str = "",
    ) -> None:
        self.publishable_key = publishable_key
        self._api_url = api_url
        self._is_live = "_live_" in secret_key
        self._webhook_secrets = webhook_secrets
        self._api = StripeClient(secret_key, base, read_seconds)

    def charge(self, attempt: AttemptRequest, save_reference: SaveReference) -> Outcome:
        """Create the intent, have its id saved, confirm it."""
        reference = attempt.reference
        if reference is None:
            created = self._create_intent(attempt)
            if not isinstance(created, Created):
                return created
            reference = created.id
        # An existing reference is saved again, which raises where another worker has taken the attempt over.
        save_reference(reference)
        return self._change(attempt, reference, "confirm", confirm_params(attempt, self._return_url(attempt)))

    def capture(self, attempt: AttemptRequest) -> Outcome:
        """Take the amount of an authorized intent; the rest is released."""
        return self._change(
            attempt, attempt.charged_reference, "capture", {"amount_to_capture": to_stripe(attempt.money)}
        )

    def void(self, attempt: AttemptRequest) -> Outcome:
        """Cancel an intent that has not succeeded; an authorization is released."""
        return self._change(attempt, attempt.charged_reference, "cancel", cancel_params(attempt))

    def refund(self, attempt: AttemptRequest) -> Outcome:
        """Refund part or all of a captured intent. A repeat under the same key is the same refund."""

        def call() -> Outcome:
            created = self._api.post(_REFUNDS, refund_params(attempt), refund_key(attempt))
            return outcome_of_refund(Refund.parse(created))

        return decided(None, call)

    def retrieve(self, attempt: AttemptRequest) -> Outcome:
        """Look the intent or refund up. Without a stored reference nothing can have moved, refunds aside."""
        if attempt.verb is Verb.REFUND:
            return looked_up(attempt.reference, lambda: self._find_refund(attempt))
        reference = attempt.reference or attempt.charge_reference
        if reference is None:
            return NotSent("not_created")

        def call() -> Outcome:
            read = self._read_intent(reference)
            note_refunds(reference, lambda: refunds_shown_by(read))
            return outcome_of_requested(PaymentIntent.parse(read), reference, attempt)

        return looked_up(reference, call)

    def read_charge(self, charge: AttemptRequest) -> ShownCharge:
        """Return how an intent stands, with its refunds, whoever made them."""
        reference = charge.charged_reference
        try:
            read = self._read_intent(reference)
            outcome = looked_up(reference, lambda: outcome_of_requested(PaymentIntent.parse(read), reference, charge))
            refunds = None if has_more_refunds(read) else refunds_shown_by(read)
            if refunds is None:
                refunds = [shown_refund(refund) for refund in self._refunds(reference)]
        except CallFailed as failure:
            raise (ChargeMissing if is_missing(failure) else GatewayError)(failure.reason) from None
        return ShownCharge(outcome, refunds)

    def events(self, after: datetime, until: datetime) -> Iterator[list[VerifiedWebhook]]:
        """Yield the events of the types that `read_webhook` reads: as many types as Stripe takes at once, each newest
        first."""
        span = {"gte": int(after.timestamp()), "lte": int(until.timestamp())}
        try:
            for types in webhooks.LISTED_TYPES:
                yield from self._events({"created": span, "types": list(types), "limit": _PAGE_SIZE})
        except CallFailed as failure:
            raise GatewayError(failure.reason) from None

    def _events(self, query: dict[str, Any]) -> Iterator[list[VerifiedWebhook]]:
        while True:
            page = EventPage.parse(self._api.get(_EVENTS, **query))
            yield webhooks.listed(page.data, is_live=self._is_live)
            if not page.has_more:
                return
            if not page.data:
                raise MalformedResponse("EventPage.has_more")
            query["starting_after"] = ListedEvent.parse(page.data[-1]).id

    def fees_of(self, charge: AttemptRequest) -> list[ShownFee]:
        """Return the fees of an intent's charge and of its newest refunds, in the currency of the account's balance."""
        try:
            path = f"{_INTENTS}/{segment(charge.charged_reference)}"
            return shown_fees(IntentWithFee.parse(self._api.get(path, expand=EXPANDED)))
        except CallFailed as failure:
            raise GatewayError(failure.reason) from None

    def read_dispute(self, reference: str) -> ShownDispute:
        """Return a dispute as it stands."""
        try:
            return shown_dispute(DisputeWithMoney.parse(self._api.get(f"{_DISPUTES}/{segment(reference)}")))
        except CallFailed as failure:
            raise GatewayError(failure.reason) from None

    def disputes_of(self, charge: AttemptRequest) -> list[ShownDispute]:
        """Return the disputes about an intent. It has one charge that succeeded, and a charge one dispute or few."""
        try:
            page = self._api.get(_DISPUTES, payment_intent=charge.charged_reference, limit=_PAGE_SIZE)
            return [shown_dispute(dispute) for dispute in DisputePage.parse(page).data]
        except CallFailed as failure:
            raise GatewayError(failure.reason) from None

    def open_intent(self, attempt: AttemptRequest, save_reference: SaveReference) -> str:
        """Create an intent that the front end confirms with any method the account offers."""
        params = base_params(attempt) | {"automatic_payment_methods": {"enabled": True}}
        if attempt.wants_authentication:
            params |= AUTHENTICATION
        if attempt.saves_method and attempt.customer_token:
            # Attaches the method to the customer when it has paid (docs.stripe.com/api, create a PaymentIntent).
            params["setup_future_usage"] = "off_session"
        try:
            intent = ConfirmableIntent.parse(self._create(params, attempt))
        except CustomerMissing:
            raise CustomerLost(CUSTOMER_MISSING) from None
        except CallFailed as failure:
            raise GatewayError(failure.reason) from None
        save_reference(intent.id)
        return intent.client_secret

    def client_secret(self, reference: str) -> str:
        """Read the secret again for a repeated request."""
        try:
            return ConfirmableIntent.parse(self._api.get(f"{_INTENTS}/{segment(reference)}")).client_secret
        except CallFailed as failure:
            raise GatewayError(failure.reason) from None

    def verify_webhook(self, body: bytes, headers: Mapping[str, str], now: datetime, url: str = "") -> VerifiedWebhook:
        """Accept a body signed with any of the secrets, at most five minutes from now, of the account's mode."""
        return webhooks.verify(body, headers, now, self._webhook_secrets, is_live=self._is_live)

    def read_webhook(self, payload: str) -> WebhookEvent | None:
        """Read events about intents, refunds, disputes, balances, saved methods and subscriptions."""
        return webhooks.read(payload)

    def check(self) -> str:
        """Ask Stripe whether it accepts the key; return one line for an operator. Raises GatewayError."""
        try:
            account = self._if_permitted(Account, "/v1/account")
            endpoints = self._if_permitted(EndpointPage, "/v1/webhook_endpoints", limit=_PAGE_SIZE)
        except CallFailed as failure:
            raise GatewayError(failure.reason) from None
        return describe(account, endpoints, is_live=self._is_live)

    def _if_permitted(self, model: type[Model], path: str, **query: Any) -> Model | None:
        """Return the object, or None where a restricted key may not read it."""
        try:
            return model.parse(self._api.get(path, **query))
        except PermissionMissing:
            return None

    def _read_intent(self, reference: str) -> Any:
        """Return an intent whose charge is expanded with its newest refunds."""
        return self._api.get(f"{_INTENTS}/{segment(reference)}", expand=["latest_charge.refunds"])

    def _return_url(self, attempt: AttemptRequest) -> str | None:
        """Return where Stripe sends the customer back: to us, or to the application where we have no public address."""
        return attempt.return_address(self._api_url) if self._api_url else attempt.return_url

    def _create(self, params: Mapping[str, Any], attempt: AttemptRequest) -> Any:
        return self._api.post(_INTENTS, params, creation_key(attempt))

    def _create_intent(self, attempt: AttemptRequest) -> Created | Outcome:
        """Create the intent of a charge. Without a confirm nothing can be charged."""
        if (fault := fault_of(attempt, self._return_url(attempt))) is not None:
            param = "return_url" if fault == RETURN_URL_MISSING else None
            return NotSent(fault, is_retryable=False, param=param)
        if is_transfer(attempt.method) and attempt.customer_token is None:
            return NotSent(CUSTOMER_MISSING)
        try:
            if (type := default_type(attempt)) is not None:
                default = self.default_method(attempt.customer_token, type)
                if default is None:
                    return NotSent("default_method_missing", is_retryable=False, param="payment_method_token")
                if default in attempt.blocked_tokens:
                    return NotSent("instrument_blocked", is_retryable=False, param="payment_method_token")
                attempt = replace(attempt, method_token=default)
            return Created.parse(self._create(create_params(attempt), attempt))
        except CustomerLost as lost:
            return NotSent(str(lost), is_retryable=False, param="customer_token")
        except CallFailed as failure:
            return failure.outcome_of_creation()

    def _change(self, attempt: AttemptRequest, reference: str, verb: str, params: Mapping[str, Any]) -> Outcome:
        """Confirm, capture or cancel an intent."""

        def call() -> Outcome:
            changed = self._api.post(f"{_INTENTS}/{segment(reference)}/{verb}", params, key(attempt, verb))
            return outcome_of_requested(PaymentIntent.parse(changed), reference, attempt)

        return decided(reference, call)

    def _find_refund(self, attempt: AttemptRequest) -> Outcome:
        if attempt.reference is not None:
            refund = Refund.parse(self._api.get(f"{_REFUNDS}/{segment(attempt.reference)}"))
            is_same = refund.id == attempt.reference
            return outcome_of_refund(refund) if is_same else InDoubt("another_object", attempt.reference)
        for refund in self._refunds(attempt.charged_reference):
            if (refund.metadata or {}).get("attempt_id") == attempt.attempt_id:
                return outcome_of_refund(refund)
        return NotSent("not_created")

    def _refunds(self, intent_id: str) -> Iterator[Refund]:
        """Yield the refunds of an intent, newest first."""
        query: dict[str, Any] = {"payment_intent": intent_id, "limit": _PAGE_SIZE}
        while True:
            page = RefundPage.parse(self._api.get(_REFUNDS, **query))
            note_refunds(intent_id, partial(map, shown_refund, page.data))
            yield from page.data
            if not page.has_more:
                return
            if not page.data:
                raise MalformedResponse("RefundPage.has_more")
            query["starting_after"] = page.data[-1].id
