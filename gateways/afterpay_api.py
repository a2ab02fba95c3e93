"""Afterpay over HTTP: one pooled session, Basic authentication, and what came back as a value.

Owns no meaning: which answer is what is decided in `gateways.afterpay_answers`."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import quote, urlsplit

import requests

from gateways.http import CONNECT_SECONDS, make_session, was_never_sent

# Afterpay answers reads within 20 seconds and writes within 70 (docs of every endpoint: connection timeouts).
READ_SECONDS = 20
WRITE_SECONDS = 70


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; `body` is empty when it was no JSON object."""

    status: int
    body: dict[str, Any] = field(default_factory=dict)

    @property
    def code(self) -> str | None:
        """The errorCode of a refusal; None of every other answer."""
        code = self.body.get("errorCode")
        return code if isinstance(code, str) and 400 <= self.status < 500 else None

    @property
    def is_payment(self) -> bool:
        """Whether it carries a payment: a decline may come with 201 and with 402."""
        return self.status in (200, 201, 402) and "paymentState" in self.body


class Unanswered(Exception):
    """No usable answer came. `is_sent`: the request may have been carried out."""

    def __init__(self, reason: str, *, is_sent: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_sent = is_sent


class Api:
    """One merchant account. Safe to share between threads."""

    def __init__(self, base: str, merchant_id: str, secret_key: str, read_seconds: float, our_url: str) -> None:
        self._base = base.rstrip("/")
        self._read_seconds = read_seconds
        self._session = make_session(base)
        self._session.auth = (merchant_id, secret_key)
        self._session.headers.update({"Accept": "application/json", "User-Agent": _user_agent(merchant_id, our_url)})

    def get(self, *path: str) -> Reply:
        """Read. Raises Unanswered."""
        return self._call("GET", path, None, min(self._read_seconds, READ_SECONDS))

    def post(self, *path: str, body: dict[str, Any] | None = None) -> Reply:
        """Create or change. Raises Unanswered."""
        return self._call("POST", path, body, self._read_seconds)

    def _call(self, method: str, path: tuple[str, ...], body: dict[str, Any] | None, seconds: float) -> Reply:
        url = "/".join((self._base, "v2", *(quote(part, safe=":") for part in path)))
        timeout = (CONNECT_SECONDS, seconds)
        try:
            answer = self._session.request(method, url, json=body, timeout=timeout, allow_redirects=False)
        except requests.RequestException as error:
            is_sent = not was_never_sent(error)
            raise Unanswered("no_answer" if is_sent else "unreachable", is_sent=is_sent) from None
        return Reply(answer.status_code, _object(answer))


def _object(answer: requests.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _user_agent(merchant_id: str, our_url: str) -> str:
    """Name platform, version, merchant and site, which Afterpay requires (docs: user-agent header)."""
    try:
        release = version("celeriac")
    except PackageNotFoundError:
        release = "0"
    site = urlsplit(our_url)
    return f"Celeriac/{release} (Python; Merchant/{merchant_id}) {site.scheme}://{site.netloc}".removesuffix(" ://")
