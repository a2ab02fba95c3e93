"""PayPal's access token: held in memory, shared encrypted by all processes, renewed by one of them before it ends.

Source: developer.paypal.com, authentication, read 2026-11-23: a token lasts hours, and one per call is rate limited."""

from __future__ import annotations

import base64
import hashlib
import threading
import time
from dataclasses import dataclass
from typing import Annotated

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import AfterValidator, Field

from gateways.base import TokenStore
from gateways.failures import CallFailed, FailureKind
from gateways.json_api import JsonApi
from gateways.provider_model import ProviderModel
from gateways.signatures import is_name

# Renewal begins this long before the end: longer than any call that starts with the old token.
_RENEW_SECONDS = 120
# A token with less time left may end on the way to PayPal.
_LEAST_SECONDS = 5
# Upper bounds for a plausible token: PayPal's live nine hours and must fit into a header.
_MOST_SECONDS = 1_000_000
_LONGEST_TOKEN = 8_000
# A process holds the right to renew this much longer than PayPal may take to respond. When that process dies, the next
# one takes over; a process without any token waits for both.
_SPARE_SECONDS = 3
# Between two reads of the store while another process renews.
_POLL_SECONDS = 0.05


class TokenUnavailable(CallFailed):
    """There is no access token now, so no call can be sent."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, FailureKind.NOT_EXECUTED)


def _fits_header(token: str) -> str:
    if not is_name(token, _LONGEST_TOKEN):
        raise ValueError("not printable ASCII, empty, or too long")
    return token


class TokenResponse(ProviderModel):
    """A new access token, and for how many seconds it is valid."""

    access_token: Annotated[str, AfterValidator(_fits_header)]
    expires_in: Annotated[int, Field(gt=0, lt=_MOST_SECONDS)]


@dataclass(frozen=True, slots=True)
class _Held:
    """A token in memory. The times are those of the monotonic clock."""

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
        self._cipher = Fernet(base64.urlsafe_b64encode(key))
        self._held: _Held | None = None
        self._lock = threading.Lock()

    def current(self, refused: str | None = None) -> str:
        """Return a valid token; `refused` is one that PayPal no longer accepts. Raises TokenUnavailable."""
        held = self._held
        if held is not None and held.token == refused:
            held = None
        if held is not None and held.is_fresh:
            return held.token
        # One thread renews. The others go on with a token that is still usable, and wait only without one.
        is_in_need = held is None or not held.is_usable
        if not self._lock.acquire(blocking=is_in_need) and held is not None:
            return held.token
        try:
            return self._renew(refused)
        finally:
            self._lock.release()

    def _renew(self, refused: str | None) -> str:
        deadline = time.monotonic() + self._claim_seconds + _SPARE_SECONDS
        while True:
            held = self._best_known(refused)
            if held is not None and held.is_fresh:
                return held.token
            if self._store.claim(self._name, self._claim_seconds):
                return self._renew_with_claim(refused)
            if held is not None and held.is_usable:
                return held.token
            if time.monotonic() > deadline:
                raise TokenUnavailable("token_unavailable")
            time.sleep(_POLL_SECONDS)

    def _best_known(self, refused: str | None) -> _Held | None:
        """Return the best token that this process or the store has, if any."""
        if self._held is not None and self._held.token != refused and self._held.is_fresh:
            return self._held
        stored = self._store.find(self._name)
        token = self._decrypt(stored.encrypted) if stored is not None else None
        if stored is not None and token is not None and token != refused:
            ends_at = time.monotonic() + stored.seconds_left
            if self._held is None or self._held.token != token:
                self._held = _Held(token, ends_at, ends_at - _RENEW_SECONDS)
        return self._held if self._held is not None and self._held.token != refused else None

    def _renew_with_claim(self, refused: str | None) -> str:
        """Renew the token, unless another process did so just before this one got the claim."""
        held = self._best_known(refused)
        if held is None or not held.is_fresh:
            try:
                held = self._fetch()
            except BaseException:
                self._release_claim(held)
                raise
            self._held = held
        self._release_claim(held)
        return held.token

    def _release_claim(self, held: _Held | None) -> None:
        """Store the token, which ends the claim."""
        encrypted = self._cipher.encrypt(held.token.encode()).decode() if held else ""
        self._store.put(self._name, encrypted, max(held.ends_at - time.monotonic(), 0) if held else 0)

    def _decrypt(self, encrypted: str) -> str | None:
        try:
            return self._cipher.decrypt(encrypted).decode()
        except InvalidToken:
            return None  # nothing stored yet, or encrypted with an older client secret

    def _fetch(self) -> _Held:
        """Get a new token from PayPal. Raises TokenUnavailable."""
        new = self._request()
        now = time.monotonic()
        # PayPal may return the current token with the rest of its time: half of a short rest passes before the next
        # renewal, so that the token is not fetched over and over.
        renew_at = now + max(new.expires_in - _RENEW_SECONDS, new.expires_in // 2)
        return _Held(new.access_token, now + new.expires_in, renew_at)

    def _request(self) -> TokenResponse:
        try:
            response = self._api.send(
                "POST", "/v1/oauth2/token", data={"grant_type": "client_credentials"}, auth=self._credentials
            )
            if response.is_good:
                return TokenResponse.parse(response.body)
        except CallFailed as failure:
            is_sent = failure.kind is FailureKind.UNKNOWN
            raise TokenUnavailable("no_access_token" if is_sent else failure.reason) from None
        raise TokenUnavailable("invalid_client" if response.status == 401 else "no_access_token")
