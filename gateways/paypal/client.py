"""One call to PayPal: with an access token that is good, under an id that makes a repeat the same call.

Source: developer.paypal.com, idempotency (PayPal-Request-Id), read 2026-11-23."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from domain.outcome import Outcome
from gateways.idempotency import key_of
from gateways.json_api import Answer, Rest, decided
from gateways.paypal.errors import outcome_of_refusal
from gateways.paypal.token import AccessToken


class Calls:
    """PayPal's API as the gateway calls it. Safe to share between threads."""

    def __init__(self, rest: Rest, token: AccessToken) -> None:
        self._rest = rest
        self._token = token

    def authenticate(self) -> None:
        """See that there is an access token. Raises TokenUnavailable."""
        self._token.current()

    def get(self, path: str) -> Answer:
        """Read. Raises CallFailed."""
        return self._call("GET", path, None, {})

    def post(self, path: str, request: Any, request_id: str | None = None) -> Answer:
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
        refused: Callable[[Answer], Outcome] | None = None,
    ) -> Outcome:
        """Make a call that may move money, once, and return what came of it. `reference`: the object it is about."""
        # The attempt's and the call's own, for ever: PayPal answers a repeat with what became of the first.

        def call() -> Outcome:
            answer = self.post(path, request, key_of(attempt_id, path))
            if answer.is_good:
                return read(answer.body)
            return refused(answer) if refused else outcome_of_refusal(answer, reference)

        return decided(reference, call)

    def _call(self, method: str, path: str, request: Any, headers: Mapping[str, str]) -> Answer:
        """Send it, and once more with a new token when PayPal does not take the first any more."""
        token = self._token.current()
        answer = self._send(method, path, request, headers, token)
        if answer.status == 401:
            answer = self._send(method, path, request, headers, self._token.current(refused=token))
        return answer

    def _send(self, method: str, path: str, request: Any, headers: Mapping[str, str], token: str) -> Answer:
        given = {**headers, "Authorization": f"Bearer {token}"}
        if isinstance(request, bytes):
            return self._rest.send(method, path, data=request, headers=given)
        return self._rest.send(method, path, json=request, headers=given)
