"""The certificates of PayPal's webhook signatures: fetched from PayPal only, checked, and cached by their address.

The sender of a webhook chooses the address, so it is compared part by part before anything is fetched."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from urllib.parse import urlsplit

import requests
from certifi import where
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from domain.errors import WebhookRefused
from gateways.http import CONNECT_SECONDS, make_session

PAYPAL_HOSTS = frozenset({"api.paypal.com", "api-m.paypal.com", "api.sandbox.paypal.com", "api-m.sandbox.paypal.com"})
_PATH = "/v1/notifications/certs/"
_ISSUER = "DigiCert Inc"
_NAMES = ("messageverificationcerts.paypal.com", "messageverificationcerts.sandbox.paypal.com")
# A chain of certificates has a few thousand bytes.
_MOST_BYTES = 65_536
_READ_SECONDS = 10
# PayPal has a handful; invented addresses must not fill the memory.
_MOST_CACHED = 64
# New addresses in one minute: a sender that invents them must not make us fetch, or ask PayPal, without end.
_MOST_FETCHED = 10
_MINUTE = timedelta(minutes=1)
_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


class Unchecked(Exception):
    """A certificate cannot be fetched, or its chain cannot be checked here: only PayPal can tell if it is genuine."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where certificates may come from, and which authorities may have issued them."""

    scheme: str
    hosts: frozenset[str]
    path: str
    roots: Callable[[], Sequence[x509.Certificate]]

    def allows(self, url: str) -> bool:
        """Tell whether a certificate may be fetched from an address.

        The address is compared as text: two parsers could read it differently."""
        for host in self.hosts:
            start = f"{self.scheme}://{host}{self.path}"
            name = url.removeprefix(start)
            if name != url and name and set(name) <= _CHARACTERS and not name.startswith("."):
                return True
        return False


@cache
def trusted_roots() -> tuple[x509.Certificate, ...]:
    """Return those authorities, of all that TLS trusts, which belong to the issuer of PayPal's certificates."""
    context = ssl.create_default_context(cafile=where())
    # Only the issuer's are loaded: others in the bundle have serial numbers that the library refuses.
    trusted = zip(context.get_ca_certs(), context.get_ca_certs(binary_form=True), strict=True)
    issuer = (("organizationName", _ISSUER),)
    return tuple(x509.load_der_x509_certificate(der) for fields, der in trusted if issuer in fields["subject"])


def paypal_place() -> Place:
    """Return PayPal's own hosts."""
    return Place("https", PAYPAL_HOSTS, _PATH, trusted_roots)


def sandbox_place(base: str) -> Place:
    """Return the place below the base address of a simulated PayPal, with the authority that it publishes there."""
    parts = urlsplit(base)
    root = f"{base.rstrip('/')}/v1/notifications/roots/sandbox"
    return Place(
        parts.scheme,
        frozenset({parts.netloc}),
        parts.path.rstrip("/") + _PATH,
        cache(lambda: tuple(x509.load_pem_x509_certificates(_fetch(root)))),
    )


class Certificates:
    """The public keys of checked certificates. Safe to share between threads."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._cached: dict[str, x509.Certificate] = {}
        self._fetched_at: list[datetime] = []
        self._lock = threading.Lock()

    def key(self, url: str, now: datetime) -> RSAPublicKey:
        """Return the key of the certificate at an address. Raises WebhookRefused and Unchecked."""
        if not self._place.allows(url):
            raise WebhookRefused("certificate from elsewhere than PayPal")
        leaf = self._cached.get(url)
        if leaf is None:
            self._limit_fetches(now)
            leaf = self._check(_chain_at(url), now)
            self._cache(url, leaf)
        _check_dates(leaf, now)
        key = leaf.public_key()
        if not isinstance(key, RSAPublicKey):
            raise WebhookRefused("certificate without an RSA key")
        return key

    def _check(self, chain: list[x509.Certificate], now: datetime) -> x509.Certificate:
        leaf = chain[0]
        names = [name.value for name in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        if len(names) != 1 or names[0] not in _NAMES:
            raise WebhookRefused("certificate of somebody else")
        _check_dates(leaf, now)
        self._check_chain(chain, str(names[0]), now)
        return leaf

    def _limit_fetches(self, now: datetime) -> None:
        with self._lock:
            self._fetched_at = [at for at in self._fetched_at if abs(now - at) < _MINUTE]
            if len(self._fetched_at) >= _MOST_FETCHED:
                raise WebhookRefused("too many unknown certificates")
            self._fetched_at.append(now)

    def _cache(self, url: str, leaf: x509.Certificate) -> None:
        with self._lock:
            if len(self._cached) >= _MOST_CACHED:
                self._cached.clear()
            self._cached[url] = leaf

    def _check_chain(self, chain: list[x509.Certificate], name: str, now: datetime) -> None:
        at = now.astimezone(UTC).replace(tzinfo=None)
        try:
            policy = PolicyBuilder().store(Store(list(self._place.roots()))).time(at)
            policy.build_server_verifier(x509.DNSName(name)).verify(chain[0], chain[1:])
        except (VerificationError, ValueError):
            raise Unchecked("chain does not lead to a trusted authority") from None


def _check_dates(leaf: x509.Certificate, now: datetime) -> None:
    if not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
        raise WebhookRefused("certificate not valid now")


def _chain_at(url: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_fetch(url))
    except ValueError:
        raise WebhookRefused("not a certificate") from None


def _fetch(url: str) -> bytes:
    """Return the body at an address. Raises Unchecked without a response.

    Raises WebhookRefused for a response without a body: an address at which PayPal has no certificate must not make us
    ask PayPal."""
    try:
        timeout = (CONNECT_SECONDS, _READ_SECONDS)
        with (
            make_session(url) as session,
            session.get(url, timeout=timeout, allow_redirects=False, stream=True) as response,
        ):
            body = b""
            for piece in response.iter_content(_MOST_BYTES) if response.status_code == 200 else ():
                body += piece
                if len(body) > _MOST_BYTES:
                    break
    except requests.RequestException:
        raise Unchecked("certificate cannot be fetched") from None
    if not 0 < len(body) <= _MOST_BYTES:
        raise WebhookRefused("no certificate there")
    return body
