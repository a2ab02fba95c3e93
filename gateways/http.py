"""One pooled HTTP session per provider and process: TLS 1.2 or newer, time-outs, no hidden retries, no cookies."""

from __future__ import annotations

import ssl
from collections.abc import Container, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies

from domain.idempotency_key import FailedResponse

# Slightly more than 3 s, after which TCP repeats a lost packet; a connection that takes longer is not coming.
CONNECT_SECONDS = 3.05
UNKNOWN_KEY = 401
# Unknown credentials, and credentials that may not make this call.
_REFUSALS = (UNKNOWN_KEY, 403)
# As many idle connections as a worker may have calls in flight; a new TLS handshake costs more than a call.
_POOL_SIZE = 256
# Said here and not left to the libraries' defaults: payment data must not travel over TLS 1.0 or 1.1 (PCI DSS 4.0,
# requirement 4.2.1).
_TLS: dict[str, Any] = {"ssl_minimum_version": ssl.TLSVersion.TLSv1_2}


@dataclass(slots=True)
class TechnicalFailure:
    """Whether a call failed technically: no connection, no response, or a 5xx. A decline is not a technical failure.

    `last_response`: what the last request got, if it failed. A stored failure is no failure of the provider today.
    `accepts_credentials`: whether the last request was refused for its credentials or not; None where that is unknown,
    as without a response. `refusal`: the status with which the last request's were refused."""

    is_seen: bool = False
    last_response: FailedResponse = FailedResponse.NONE
    accepts_credentials: bool | None = None
    refusal: int | None = None

    def note(self, response: requests.Response | None, refusals: Container[int]) -> None:
        """Take in what a request got; None: no response. `refusals`: the statuses that refuse its credentials."""
        self.last_response = _failure_of(response)
        self.is_seen |= response is None or self.last_response is FailedResponse.FAILURE
        is_known = response is not None and response.status_code < 500
        self.accepts_credentials = response.status_code not in refusals if response is not None and is_known else None
        self.refusal = response.status_code if response is not None and self.accepts_credentials is False else None


def _failure_of(response: requests.Response | None) -> FailedResponse:
    if response is None or response.status_code < 500:
        return FailedResponse.NONE
    # Stripe marks the stored response of an earlier call so [docs.stripe.com/api/idempotent_requests].
    is_stored = "Idempotent-Replayed" in response.headers
    return FailedResponse.STORED_FAILURE if is_stored else FailedResponse.FAILURE


_watched: ContextVar[TechnicalFailure | None] = ContextVar("watched", default=None)


@contextmanager
def watch_for_failure() -> Iterator[TechnicalFailure]:
    """Observe whether a call of this thread inside the block fails technically."""
    failure = TechnicalFailure()
    token = _watched.set(failure)
    try:
        yield failure
    finally:
        _watched.reset(token)


class _Adapter(HTTPAdapter):
    """Verifies certificates, refuses TLS below 1.2, also through a proxy, and reports technical failures.

    `refusals`: the statuses with which the provider refuses credentials."""

    def __init__(self, refusals: Container[int], **options: Any) -> None:
        self._refusals = refusals
        super().__init__(**options)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **(options | _TLS))

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        return super().proxy_manager_for(proxy, **(options | _TLS))

    def send(self, *given: Any, **options: Any) -> requests.Response:
        failure = _watched.get()
        try:
            response = super().send(*given, **options)
        except requests.RequestException:
            if failure is not None:
                failure.note(None, self._refusals)
            raise
        if failure is not None:
            failure.note(response, self._refusals)
        return response


class _Session(requests.Session):
    """Follows no redirect."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return no address: requests parses one even where it does not follow it, and raises for a malformed one."""


def make_session(base_url: str, refusals: Container[int] = _REFUSALS) -> requests.Session:
    """Return a session for one provider's host, safe to share between threads. `refusals`: as of `_Adapter`.

    The environment's proxies are read once, here: reading them on every call costs more than the call. Nothing else of
    the environment counts, so that no variable switches verification off or adds credentials from ~/.netrc."""
    session = _Session()
    session.trust_env = False
    session.proxies = get_environ_proxies(base_url, no_proxy=None)
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    adapter = _Adapter(refusals, pool_connections=2, pool_maxsize=_POOL_SIZE, max_retries=0)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def was_never_sent(error: BaseException | None) -> bool:
    """Tell whether the failure proves that no byte of the request reached the provider."""
    if isinstance(error, requests.ConnectTimeout):
        return True
    if not isinstance(error, requests.ConnectionError) or not error.args:
        return False
    reason = getattr(error.args[0], "reason", error.args[0])
    if isinstance(reason, urllib3.exceptions.SSLError):
        # A refused certificate ends the handshake; any other TLS error may come after the request.
        return any(isinstance(cause, ssl.SSLCertVerificationError) for cause in (*reason.args, reason.__cause__))
    return isinstance(reason, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError)
