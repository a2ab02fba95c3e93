"""Sends Stripe's calls through its official SDK: authentication, idempotency keys, time limits, failures as CallFailed.

A response is returned as decoded JSON; what it means stands in the other modules."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import stripe

from gateways.failures import MalformedResponse
from gateways.http import CONNECT_SECONDS, make_session
from gateways.stripe.errors import failure_of


class _HttpClient(stripe.RequestsClient):
    """Refuses an error body that the SDK cannot read: `error` is an object (docs.stripe.com/api/errors)."""

    def request(  # type: ignore[override]  # the SDK's own RequestsClient differs from its base class
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        response = super().request(method, url, headers, post_data)
        body, status, _ = response
        if status >= 300 and not _is_readable(body):
            raise MalformedResponse("error")
        return response


def _is_readable(body: bytes) -> bool:
    # A body that is no JSON at all becomes an APIError in the SDK; an `error` of another type breaks the SDK.
    try:
        refusal = json.loads(body)
    except (ValueError, RecursionError):
        return True
    return not isinstance(refusal, dict) or isinstance(refusal.get("error", {}), dict)


class StripeClient:
    """One account at Stripe, over one pooled session. Safe to share between threads.

    Every call raises CallFailed when Stripe refuses it or does not respond. The SDK repeats nothing by itself."""

    def __init__(self, secret_key: str, base: str, read_seconds: float) -> None:
        http = _HttpClient(timeout=(CONNECT_SECONDS, read_seconds), session=make_session(base))
        self._sdk = stripe.StripeClient(
            secret_key, base_addresses={"api": base}, max_network_retries=0, http_client=http
        )

    def get(self, path: str, **query: Any) -> Any:
        """Read an object or a page of a list."""
        return self._send("get", path, query)

    def post(self, path: str, params: Mapping[str, Any], key: str | None = None) -> Any:
        """Create or change an object. `key`: the idempotency key; without it the SDK makes one that is never reused."""
        return self._send("post", path, params if key is None else {**params, "idempotency_key": key})

    def _send(self, method: str, path: str, params: Mapping[str, Any]) -> Any:
        # The SDK's services wrap every field of a response in objects that nothing here reads, which takes as long as
        # the rest of the call. Request, key and errors are the SDK's all the same.
        # A parameter named `usage` or `base` would not be sent: raw_request takes those for itself.
        try:
            return self._sdk.raw_request(method, path, **params).data
        except stripe.StripeError as error:
            raise failure_of(error) from None
