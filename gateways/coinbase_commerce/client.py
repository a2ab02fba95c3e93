"""Sends the calls to Coinbase Commerce, version 2018-03-22 of its API. It has no idempotency keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateways.coinbase_commerce.errors import failure_of
from gateways.failures import MalformedResponse
from gateways.json_api import JsonApi, segment

DEFAULT_BASE = "https://api.commerce.coinbase.com"
_VERSION = "2018-03-22"


class CommerceClient:
    """The calls of one API key over one pooled session. Safe to share between threads.

    Every call returns the `data` of a 2xx response, not yet checked, and raises CallFailed for anything else."""

    def __init__(self, api_key: str, base: str, read_seconds: float) -> None:
        self._api = JsonApi(base, read_seconds, headers={"X-CC-Api-Key": api_key, "X-CC-Version": _VERSION})

    @property
    def base(self) -> str:
        """The address that the calls go to."""
        return self._api.base

    def create_charge(self, request: dict[str, Any]) -> Any:
        """Create a charge. Not idempotent: a repeat creates a second charge."""
        return self._send("POST", "/charges", request)

    def read_charge(self, reference: str) -> Any:
        """Return a charge."""
        return self._send("GET", f"/charges/{segment(reference)}")

    def cancel_charge(self, reference: str) -> Any:
        """Close an unpaid charge, and return it."""
        return self._send("POST", f"/charges/{segment(reference)}/cancel")

    def resolve_charge(self, reference: str) -> Any:
        """Accept what an unresolved charge has received, and return the charge."""
        return self._send("POST", f"/charges/{segment(reference)}/resolve")

    def list_charges(self, **query: Any) -> Any:
        """Return a page of charges, the newest first unless the query says otherwise."""
        return self._send("GET", "/charges", query=query)

    def list_events(self, **query: Any) -> Any:
        """Return a page of events, the newest first unless the query says otherwise."""
        return self._send("GET", "/events", query=query)

    def _send(
        self, method: str, path: str, request: dict[str, Any] | None = None, query: Mapping[str, Any] | None = None
    ) -> Any:
        response = self._api.send(method, path, json=request, query=query)
        if not response.is_good:
            raise failure_of(response)
        if "data" not in response.fields:
            raise MalformedResponse("data")
        return response.fields["data"]
