"""Saved PayPal accounts: ask for the buyer's approval, save what they have approved, remove it. It moves no money.

Sources: PayPal's OpenAPI of Payment Method Tokens v3, its list of errors, and "Save PayPal with the Payment Method
Tokens API" (developer.paypal.com), read 2026-11-28."""

from __future__ import annotations

import hashlib
from typing import Any, TypeVar

from domain.errors import Conflict, NotFound
from domain.payment_methods import PaymentMethod
from gateways.base import GatewayError
from gateways.capabilities import MethodApproval, SavedMethod
from gateways.failures import CallFailed
from gateways.json_api import ProviderResponse, segment
from gateways.paypal.client import PayPalClient
from gateways.paypal.errors import is_missing, issue_of
from gateways.paypal.requests import setup_request, token_request
from gateways.paypal.responses import Linked, approve_link
from gateways.provider_model import ProviderModel, Text

Model = TypeVar("Model", bound=ProviderModel)
_SETUPS, _TOKENS = "/v3/vault/setup-tokens", "/v3/vault/payment-tokens"
# The longest request id that this API takes (Payment Method Tokens 3.1).
_LONGEST_REQUEST_ID = 36
# What the customer, or the application, has to do about a refusal.
_REFUSALS = {
    "PAYER_ACTION_REQUIRED": "the customer has not approved this yet; send them to the page of the setup",
    "SETUP_TOKEN_ALREADY_TOKENIZED": "this setup is used up; list the saved methods, or open a new setup",
}


class SetupToken(Linked):
    """A setup token: what a buyer is asked to approve."""

    id: Text


class PaymentToken(ProviderModel):
    """A payment token: the saved account, with which the buyer is charged."""

    id: Text


class PayPalVault:
    """Saved accounts; part of PayPal's gateway."""

    saved_kind = PaymentMethod.PAYPAL
    _client: PayPalClient
    _api_url: str

    def ask_to_save(self, setup_id: str) -> MethodApproval:
        """Create a setup token. It ends by itself if the buyer does not approve it within hours."""
        setup = self._post(SetupToken, _SETUPS, setup_request(f"{self._api_url}/returns/{setup_id}"), setup_id)
        address = approve_link(setup)
        if address is None:
            raise GatewayError("no_page_to_approve_on")
        return MethodApproval(setup.id, address)

    def save_approved(self, setup_id: str, reference: str) -> SavedMethod:
        """Create the payment token of an approved setup token. PayPal returns the same one to a repeat."""
        saved = self._post(PaymentToken, _TOKENS, token_request(reference), setup_id)
        return SavedMethod(saved.id, self.saved_kind, brand=None, last4=None, expires=None, is_default=False)

    def remove_saved(self, token: str) -> None:
        """Delete a payment token."""
        try:
            response = self._client.delete(f"{_TOKENS}/{segment(token)}")
        except CallFailed as failure:
            raise GatewayError(failure.reason) from None
        if not response.is_good and not is_missing(response):
            raise GatewayError(issue_of(response))

    def _post(self, model: type[Model], path: str, body: Any, setup_id: str) -> Model:
        request_id = hashlib.sha256(f"{path}\x1f{setup_id}".encode()).hexdigest()[:_LONGEST_REQUEST_ID]
        try:
            response = self._client.post(path, body, request_id)
            if response.is_good:
                return model.parse(response.body)
        except CallFailed as failure:
            raise GatewayError(failure.reason) from None
        raise _refusal(response)


def _refusal(response: ProviderResponse) -> Exception:
    issue = issue_of(response)
    if is_missing(response):
        return NotFound("the approval has ended; open a new setup")
    return Conflict(_REFUSALS[issue]) if issue in _REFUSALS else GatewayError(issue)
