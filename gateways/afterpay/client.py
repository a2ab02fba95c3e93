"""Afterpay over HTTP: Basic authentication, who we are, how long to wait, and what came back as a value.

Owns no meaning: which answer is what is decided in `gateways.afterpay.responses`."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import urlsplit

from gateways.json_api import JsonApi, ProviderResponse

# Afterpay answers reads within 20 seconds and writes within 70 (docs of every endpoint: connection timeouts).
READ_SECONDS = 20
WRITE_SECONDS = 70


class AfterpayClient:
    """One merchant account. Safe to share between threads."""

    def __init__(self, base: str, merchant_id: str, secret_key: str, read_seconds: float, our_url: str) -> None:
        headers = {"Accept": "application/json", "User-Agent": _user_agent(merchant_id, our_url)}
        self._api = JsonApi(f"{base.rstrip('/')}/v2", read_seconds, auth=(merchant_id, secret_key), headers=headers)
        self._read_seconds = min(read_seconds, READ_SECONDS)

    def get(self, path: str) -> ProviderResponse:
        """Read. Raises CallFailed."""
        return self._api.send("GET", path, read_seconds=self._read_seconds)

    def post(self, path: str, body: dict[str, Any] | None = None) -> ProviderResponse:
        """Create or change. Raises CallFailed."""
        return self._api.send("POST", path, json=body)


def _user_agent(merchant_id: str, our_url: str) -> str:
    """Name platform, version, merchant and site, which Afterpay requires (docs: user-agent header)."""
    try:
        release = version("celeriac")
    except PackageNotFoundError:
        release = "0"
    site = urlsplit(our_url)
    return f"Celeriac/{release} (Python; Merchant/{merchant_id}) {site.scheme}://{site.netloc}".removesuffix(" ://")
