"""PayPal's access token: kept in memory, shared sealed by all processes, renewed once and ahead of its end.

Source: developer.paypal.com, authentication, read 2026-11-23: a token lasts hours, one per call is rate limited."""

from __future__ import annotations

import base64
import hashlib
import threading
import time
from dataclasses import dataclass

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateways.base import TokenStore
from gateways.failures import CallFailed, FailureKind
from gateways.json_api import JsonApi
from gateways.signatures import is_name

# Renewed so long before its end: longer than any call that begins with the old one.
_RENEW_SECONDS = 120
# With less than this left a token may end on the way to PayPal.
_LEAST_SECONDS = 5
# What no token is: PayPal's last nine hours, and go into a header.
_MOST_SECONDS = 1_000_000
_LONGEST_TOKEN = 8_000
# How much longer than PayPal may take to answer one process keeps the right to renew it: when it died, the next
# one takes over. Whoever has no token at all waits for both.
_SPARE_SECONDS = 3
_LOOK_SECONDS = 0.05


class TokenUnavailable(CallFailed):
    """There is no access token now, so nothing can be asked."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, FailureKind.NOT_EXECUTED)


@dataclass(frozen=True, slots=True)
class _Held:
    token: str
    ends_at: float
    renew_at: float

    @property
    def is_fresh(self) -> bool:
        return time.monotonic() < self.renew_at

    @property
    def is_usable(self) -> bool:
        return time.monotonic() < self.ends_at - _LEAST_SECONDS


class AccessToken:
    """The token of one PayPal application. Safe to share between threads."""

    def __init__(
        self, api: JsonApi, client_id: str, client_secret: str, store: TokenStore, read_seconds: float = 30
    ) -> None:
        self._api = api
        self._claim_seconds = read_seconds + _SPARE_SECONDS
        self._credentials = (client_id, client_secret)
        self._store = store
        self._name = f"paypal:{hashlib.sha256(client_id.encode()).hexdigest()[:32]}"
        key = HKDF(SHA256(), 32, salt=None, info=b"paypal access token").derive(client_secret.encode())
        self._seal = Fernet(base64.urlsafe_b64encode(key))
        self._held: _Held | None = None
        self._lock = threading.Lock()

    def current(self, refused: str | None = None) -> str:
        """Return a token that is good now; `refused` is one that PayPal did not take. Raises TokenUnavailable."""
        held = self._held
        if held is not None and held.token == refused:
            held = None
        if held is not None and held.is_fresh:
            return held.token
        # One thread renews; whoever still has a usable token goes on with that.
        is_in_need = held is None or not held.is_usable
        if not self._lock.acquire(blocking=is_in_need) and held is not None:
            return held.token
        try:
            return self._renewed(refused)
        finally:
            self._lock.release()

    def _renewed(self, refused: str | None) -> str:
        deadline = time.monotonic() + self._claim_seconds + _SPARE_SECONDS
        while True:
            held = self._known(refused)
            if held is not None and held.is_fresh:
                return held.token
            if self._store.claim(self._name, self._claim_seconds):
                return self._fetched(refused)
            if held is not None and held.is_usable:
                return held.token
            if time.monotonic() > deadline:
                raise TokenUnavailable("token_unavailable")
            time.sleep(_LOOK_SECONDS)

    def _known(self, refused: str | None) -> _Held | None:
        """Return the best token known here or to the others, if any."""
        if self._held is not None and self._held.token != refused and self._held.is_fresh:
            return self._held
        stored = self._store.find(self._name)
        token = self._opened(stored.sealed) if stored is not None else None
        if stored is not None and token is not None and token != refused:
            ends_at = time.monotonic() + stored.seconds_left
            if self._held is None or self._held.token != token:
                self._held = _Held(token, ends_at, ends_at - _RENEW_SECONDS)
        return self._held if self._held is not None and self._held.token != refused else None

    def _fetched(self, refused: str | None) -> str:
        """Renew the token with the claim in hand, unless somebody did so just before it was taken."""
        held = self._known(refused)
        if held is None or not held.is_fresh:
            try:
                held = self._ask()
            except BaseException:
                self._give_back(held)
                raise
            self._held = held
        self._give_back(held)
        return held.token

    def _give_back(self, held: _Held | None) -> None:
        """Store what is known, which ends the claim."""
        sealed = self._seal.encrypt(held.token.encode()).decode() if held else ""
        self._store.put(self._name, sealed, max(held.ends_at - time.monotonic(), 0) if held else 0)

    def _opened(self, sealed: str) -> str | None:
        try:
            return self._seal.decrypt(sealed).decode()
        except InvalidToken:
            return None  # nothing yet, or sealed with an older client secret

    def _ask(self) -> _Held:
        try:
            response = self._api.send(
                "POST", "/v1/oauth2/token", data={"grant_type": "client_credentials"}, auth=self._credentials
            )
        except CallFailed as failure:
            is_sent = failure.kind is FailureKind.UNKNOWN
            raise TokenUnavailable("no_access_token" if is_sent else failure.reason) from None
        if response.status == 401:
            raise TokenUnavailable("invalid_client")
        body = response.fields if response.is_good else {}
        token, seconds = body.get("access_token"), body.get("expires_in")
        is_span = isinstance(seconds, int) and 0 < seconds < _MOST_SECONDS
        if token is None or seconds is None or not (is_name(token, _LONGEST_TOKEN) and is_span):
            raise TokenUnavailable("no_access_token")
        now = time.monotonic()
        # PayPal may hand out the token that it already gave, with what is left of it: not asked for over and over.
        return _Held(token, now + seconds, now + max(seconds - _RENEW_SECONDS, seconds // 2))
