"""Sends calls to PayPal: with a valid access token, and with an id that makes a repeat the same call.

Source: developer.paypal.com, idempotency (PayPal-Request-Id), read 2026-11-23."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from domain.outcome import Outcome
from gateways.base import AttemptRequest
from gateways.failures import CallFailed, FailureKind
from gateways.idempotency import key_of
from gateways.json_api import JsonApi, ProviderResponse, decided
from gateways.paypal.errors import outcome_of_refusal
from gateways.paypal.token import AccessToken
from gateways.provider_model import ProviderModel, Word


class SignatureVerification(ProviderModel):
    """PayPal's own verdict on a webhook."""

    verification_status: Word = None


# The statuses with which PayPal refuses the content of a request.
_UNACCEPTABLE = (400, 422)


class PayPalClient:
    """PayPal's API as the gateway calls it. Safe to share between threads."""

    def __init__(self, api: JsonApi, token: AccessToken) -> None:
        self._api = api
        self._token = token

    def authenticate(self) -> None:
        """Get an access token. Raises TokenUnavailable."""
        self._token.current()

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> ProviderResponse:
        """Read an object, or a page of a list. Raises CallFailed."""
        return self._call("GET", path, None, {}, query)

    def post(self, path: str, body: Any, request_id: str | None = None) -> ProviderResponse:
        """Send a JSON object, raw JSON or nothing. Raises CallFailed."""
        # PayPal wants the content type also on a call without a body, and by default responds with an excerpt.
        headers = {"Content-Type": "application/json", "Prefer": "return=representation"}
        if request_id is not None:
            headers["PayPal-Request-Id"] = request_id
        return self._call("POST", path, body, headers)

    def delete(self, path: str) -> ProviderResponse:
        """Delete an object. Raises CallFailed."""
        return self._call("DELETE", path, None, {})

    def submit(
        self,
        attempt: AttemptRequest,
        path: str,
        body: Any,
        reference: str | None,
        read: Callable[[Any], Outcome],
        read_refusal: Callable[[ProviderResponse], Outcome] | None = None,
    ) -> Outcome:
        """Send a call that may move money, once, and return its outcome. `reference`: the order of the attempt.

        The request id belongs to the attempt and the path: PayPal responds to a repeat with the state of the first."""

        def call() -> Outcome:
            response = self.post(path, body, key_of(attempt, path))
            if response.is_good:
                return read(response.body)
            return read_refusal(response) if read_refusal else outcome_of_refusal(response, reference)

        return decided(reference, call)

    def is_genuine_webhook(self, question: bytes) -> bool:
        """Ask PayPal whether it signed a webhook. `question`: JSON as it must reach PayPal.

        Raises CallFailed without a verdict: a refusal of the call says nothing about the webhook, except that PayPal
        would not send what it does not accept back."""
        response = self.post("/v1/notifications/verify-webhook-signature", question)
        if response.status in _UNACCEPTABLE:
            return False
        if not response.is_good:
            raise CallFailed("no_verdict", FailureKind.UNKNOWN)
        verdict = SignatureVerification.parse(response.body)
        if verdict.verification_status not in ("SUCCESS", "FAILURE"):
            raise CallFailed(verdict.in_doubt("verification_status").reason, FailureKind.UNKNOWN)
        return verdict.verification_status == "SUCCESS"

    def _call(
        self, method: str, path: str, body: Any, headers: Mapping[str, str], query: Mapping[str, Any] | None = None
    ) -> ProviderResponse:
        """Send a call, and once more with a new token when PayPal no longer accepts the first."""

        def send(token: str) -> ProviderResponse:
            content: dict[str, Any] = {"data": body} if isinstance(body, bytes) else {"json": body}
            authorized = {**headers, "Authorization": f"Bearer {token}"}
            return self._api.send(method, path, query=query, headers=authorized, **content)

        token = self._token.current()
        response = send(token)
        return send(self._token.current(refused=token)) if response.status == 401 else response
