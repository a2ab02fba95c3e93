"""Sends the calls to Coinbase Business: a bearer token for each request, an idempotency key for each new object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateways.coinbase.errors import failure_of
from gateways.coinbase.jwt import Signer
from gateways.failures import MalformedResponse
from gateways.json_api import JsonApi, segment

DEFAULT_BASE = "https://business.coinbase.com/api/v1"

Json = dict[str, Any]


class CoinbaseClient:
    """The calls of one API key over one pooled session. Safe to share between threads.

    Every call returns the JSON object of a 2xx response, not yet checked, and raises CallFailed for anything else."""

    def __init__(self, key_name: str, key_secret: str, base: str, read_seconds: float) -> None:
        self._signer = Signer(key_name, key_secret)
        self._api = JsonApi(base, read_seconds)

    @property
    def base(self) -> str:
        """The address that the calls go to."""
        return self._api.base

    def create_checkout(self, request: Json, key: str) -> Json:
        """Create a checkout. Idempotent: the same key returns the same checkout."""
        return self._send("POST", "/checkouts", request, key)

    def read_checkout(self, reference: str) -> Json:
        """Return a checkout."""
        return self._send("GET", f"/checkouts/{segment(reference)}")

    def deactivate_checkout(self, reference: str) -> Json:
        """Close an unpaid checkout, and return it."""
        return self._send("POST", f"/checkouts/{segment(reference)}/deactivate")

    def refund_checkout(self, reference: str, request: Json, key: str) -> Json:
        """Refund a paid checkout. Idempotent: the same key is the same refund."""
        return self._send("POST", f"/checkouts/{segment(reference)}/refund", request, key)

    def list_checkouts(self, page_size: int) -> Json:
        """Return a page of checkouts."""
        return self._send("GET", "/checkouts", query={"pageSize": page_size})

    def _send(
        self,
        method: str,
        path: str,
        request: Json | None = None,
        key: str | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> Json:
        headers = {"Authorization": f"Bearer {self._signer.token(method, self._api.base + path)}"}
        if key is not None:
            headers["X-Idempotency-Key"] = key
        response = self._api.send(method, path, json=request, query=query, headers=headers)
        if not response.is_good:
            raise failure_of(response)
        if not response.fields:
            raise MalformedResponse("body")
        return response.fields
