"""One call to PayPal: with an access token that is good, under an id that makes a repeat the same call.

Source: developer.paypal.com, idempotency (PayPal-Request-Id), read 2026-11-23."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from domain.outcome import Outcome
from gateways.idempotency import key_of
from gateways.json_api import JsonApi, ProviderResponse, decided
from gateways.paypal.errors import outcome_of_refusal
from gateways.paypal.token import AccessToken


class PayPalClient:
    """PayPal's API as the gateway calls it. Safe to share between threads."""

    def __init__(self, api: JsonApi, token: AccessToken) -> None:
        self._api = api
        self._token = token

    def authenticate(self) -> None:
        """See that there is an access token. Raises TokenUnavailable."""
        self._token.current()

    def get(self, path: str) -> ProviderResponse:
        """Read. Raises CallFailed."""
        return self._call("GET", path, None, {})

    def post(self, path: str, request: Any, request_id: str | None = None) -> ProviderResponse:
        """Send an object, raw JSON or nothing. Raises CallFailed."""
        # Also a call without a body has to say that it is JSON.
        headers = {"Content-Type": "application/json", "Prefer": "return=representation"}
        if request_id is not None:
            headers["PayPal-Request-Id"] = request_id
        return self._call("POST", path, request, headers)

    def move(
        self,
        attempt_id: str,
        path: str,
        request: Any,
        reference: str | None,
        read: Callable[[Any], Outcome],
        refused: Callable[[ProviderResponse], Outcome] | None = None,
    ) -> Outcome:
        """Make a call that may move money, once, and return what came of it. `reference`: the object it is about."""
        # The attempt's and the call's own, for ever: PayPal answers a repeat with what became of the first.

        def call() -> Outcome:
            response = self.post(path, request, key_of(attempt_id, path))
            if response.is_good:
                return read(response.body)
            return refused(response) if refused else outcome_of_refusal(response, reference)

        return decided(reference, call)

    def _call(self, method: str, path: str, request: Any, headers: Mapping[str, str]) -> ProviderResponse:
        """Send it, and once more with a new token when PayPal does not take the first any more."""
        token = self._token.current()
        response = self._send(method, path, request, headers, token)
        if response.status == 401:
            response = self._send(method, path, request, headers, self._token.current(refused=token))
        return response

    def _send(self, method: str, path: str, request: Any, headers: Mapping[str, str], token: str) -> ProviderResponse:
        given = {**headers, "Authorization": f"Bearer {token}"}
        if isinstance(request, bytes):
            return self._api.send(method, path, data=request, headers=given)
        return self._api.send(method, path, json=request, headers=given)
