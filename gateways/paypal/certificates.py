"""The certificates of PayPal's webhook signatures: fetched from PayPal only, checked, and kept until they end.

The sender of a webhook chooses the address, so it is compared part by part before anything is fetched. What forgers
make us fetch is limited, and stands apart from the certificates that are kept."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import requests
from certifi import where
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from domain.errors import WebhookDeferred, WebhookRefused
from gateways.http import CONNECT_SECONDS, make_session

PAYPAL_HOSTS = frozenset({"api.paypal.com", "api-m.paypal.com", "api.sandbox.paypal.com", "api-m.sandbox.paypal.com"})
_PATH = "/v1/notifications/certs/"
_ISSUER = "DigiCert Inc"
_SHIPPED = Path(__file__).with_name("authorities.pem")
_NAMES = ("messageverificationcerts.paypal.com", "messageverificationcerts.sandbox.paypal.com")
# A chain of certificates has a few thousand bytes.
_MOST_BYTES = 65_536
_READ_SECONDS = 10
# PayPal has a handful. One certificate may be reached by several addresses.
_MOST_KEPT = 64
# New addresses in one minute, each fetched once: a sender that invents them must not make us fetch without end.
_MOST_FETCHED = 10
_MINUTE = timedelta(minutes=1)
_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


class _Unavailable(Exception):
    """There is no response, or one that may be another a moment later."""


@dataclass(frozen=True, slots=True)
class Authorities:
    """The roots that are trusted, and the intermediate authorities that lead to them. PayPal serves neither."""

    roots: tuple[x509.Certificate, ...]
    intermediates: tuple[x509.Certificate, ...]

    @classmethod
    def of(cls, certificates: Sequence[x509.Certificate]) -> Authorities:
        """Return the authorities of these certificates: one that names itself as its issuer is a root."""
        roots = tuple(each for each in certificates if each.subject == each.issuer)
        return cls(roots, tuple(each for each in certificates if each.subject != each.issuer))


@dataclass(frozen=True, slots=True)
class Place:
    """Where certificates may come from, and which authorities may have issued them."""

    scheme: str
    hosts: frozenset[str]
    path: str
    authorities: Callable[[], Authorities]

    def allows(self, url: str) -> bool:
        """Tell whether a certificate may be fetched from an address.

        The address is compared as text: two parsers could read it differently."""
        for host in self.hosts:
            start = f"{self.scheme}://{host}{self.path}"
            name = url.removeprefix(start)
            if name != url and name and set(name) <= _CHARACTERS and not name.startswith("."):
                return True
        return False


def read_authorities(file: Path) -> tuple[x509.Certificate, ...]:
    """Return the certificates of a PEM file. Raises OSError, and ValueError for a file without any."""
    return tuple(x509.load_pem_x509_certificates(file.read_bytes()))


@cache
def _known_authorities() -> tuple[x509.Certificate, ...]:
    """Return the authorities that are shipped, and those of all that TLS trusts which belong to the same issuer."""
    context = ssl.create_default_context(cafile=where())
    # Only the issuer's are loaded: others in the bundle have serial numbers that the library refuses.
    trusted = zip(context.get_ca_certs(), context.get_ca_certs(binary_form=True), strict=True)
    issuer = (("organizationName", _ISSUER),)
    roots = (x509.load_der_x509_certificate(der) for fields, der in trusted if issuer in fields["subject"])
    return (*read_authorities(_SHIPPED), *roots)


def paypal_place(further: Sequence[x509.Certificate] = ()) -> Place:
    """Return PayPal's own hosts. `further`: authorities of the operator's."""
    return Place("https", PAYPAL_HOSTS, _PATH, cache(lambda: Authorities.of((*_known_authorities(), *further))))


def sandbox_place(base: str, further: Sequence[x509.Certificate] = ()) -> Place:
    """Return the place below the base address of a simulated PayPal, with the authorities that it publishes there."""
    parts = urlsplit(base)
    published = f"{base.rstrip('/')}/v1/notifications/authorities/sandbox"
    return Place(
        parts.scheme,
        frozenset({parts.netloc}),
        parts.path.rstrip("/") + _PATH,
        cache(lambda: Authorities.of((*_certificates_at(published), *further))),
    )


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that PayPal serves. `is_trusted`: it is known to be genuine; otherwise only PayPal can tell."""

    key: RSAPublicKey
    begins_at: datetime
    ends_at: datetime
    is_trusted: bool


@dataclass(frozen=True, slots=True)
class _Fetch:
    """One download: a certificate, or why it is refused, or None where nothing could be fetched."""

    began_at: datetime
    found: Future[Certificate | str | None] = field(default_factory=Future)


class Certificates:
    """The certificates of one place. Safe to share between threads."""

    def __init__(self, place: Place) -> None:
        self._place = place
        # Under each of these PayPal has signed a webhook, so that no forger adds to them. The last used is the last.
        self._kept: dict[str, Certificate] = {}
        # The downloads of the last minute, with what they found: the same address is not fetched again meanwhile.
        self._fetches: dict[str, _Fetch] = {}
        self._lock = threading.Lock()

    def at(self, url: str, now: datetime) -> Certificate | None:
        """Return the certificate at an address, if it is valid now; None while it cannot be fetched.

        Raises WebhookRefused, and WebhookDeferred when too many new addresses came in the last minute."""
        if not self._place.allows(url):
            raise WebhookRefused("certificate from elsewhere than PayPal")
        certificate = self._kept.get(url) or self._fetched(url, now)
        if certificate is not None and not certificate.begins_at <= now <= certificate.ends_at:
            self._forget(url)
            raise WebhookRefused("certificate not valid now")
        return certificate

    def keep(self, url: str, certificate: Certificate) -> None:
        """Keep a certificate until it ends, because PayPal has signed a webhook with it."""
        with self._lock:
            self._kept.pop(url, None)
            self._kept[url] = replace(certificate, is_trusted=True)
            if len(self._kept) > _MOST_KEPT:
                del self._kept[next(iter(self._kept))]

    def _forget(self, url: str) -> None:
        with self._lock:
            self._kept.pop(url, None)

    def _fetched(self, url: str, now: datetime) -> Certificate | None:
        """Return what is at an address. The first thread fetches it, and others that want it wait for that one."""
        with self._lock:
            self._fetches = {each: old for each, old in self._fetches.items() if abs(now - old.began_at) < _MINUTE}
            fetch = self._fetches.get(url)
            is_known = fetch is not None
            if fetch is None:
                if len(self._fetches) >= _MOST_FETCHED:
                    raise WebhookDeferred("too many unknown certificates")
                fetch = self._fetches[url] = _Fetch(now)
        if not is_known:
            found = None
            try:
                found = self._fetch_and_check(url, now)
            finally:
                fetch.found.set_result(found)
        result = fetch.found.result()
        if isinstance(result, str):
            raise WebhookRefused(result)
        return result

    def _fetch_and_check(self, url: str, now: datetime) -> Certificate | str | None:
        try:
            return self._checked(_certificates_at(url), now)
        except WebhookRefused as refused:
            return str(refused)
        except _Unavailable:
            return None

    def _checked(self, served: Sequence[x509.Certificate], now: datetime) -> Certificate:
        """Return the first of the served certificates, if it is one of PayPal's, with whether its chain is trusted."""
        leaf = served[0]
        names = [name.value for name in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        if len(names) != 1 or names[0] not in _NAMES:
            raise WebhookRefused("certificate of somebody else")
        key = _server_key(leaf)
        is_trusted = self._is_chain_trusted(served, str(names[0]), now)
        return Certificate(key, leaf.not_valid_before_utc, leaf.not_valid_after_utc, is_trusted)

    def _is_chain_trusted(self, served: Sequence[x509.Certificate], name: str, now: datetime) -> bool:
        authorities = self._place.authorities()
        at = now.astimezone(UTC).replace(tzinfo=None)
        try:
            policy = PolicyBuilder().store(Store(list(authorities.roots))).time(at)
            verifier = policy.build_server_verifier(x509.DNSName(name))
            verifier.verify(served[0], [*served[1:], *authorities.intermediates])
        except (VerificationError, ValueError):
            return False
        return True


def _server_key(leaf: x509.Certificate) -> RSAPublicKey:
    """Return the key of a certificate that was issued to a server, as PayPal's are; no other purpose is known."""
    try:
        usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        key = leaf.public_key()
    except (x509.ExtensionNotFound, ValueError, UnsupportedAlgorithm):
        raise WebhookRefused("certificate for another purpose") from None
    if ExtendedKeyUsageOID.SERVER_AUTH not in usages:
        raise WebhookRefused("certificate for another purpose")
    if not isinstance(key, RSAPublicKey):
        raise WebhookRefused("certificate without an RSA key")
    return key


def _certificates_at(url: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_fetch(url))
    except ValueError:
        raise WebhookRefused("not a certificate") from None


def _fetch(url: str) -> bytes:
    """Return the body at an address. Raises _Unavailable without a response, and for one that asks to come again.

    Raises WebhookRefused for any other response without a body: where PayPal has no certificate, it must not be asked
    about the webhook."""
    try:
        timeout = (CONNECT_SECONDS, _READ_SECONDS)
        with (
            make_session(url) as session,
            session.get(url, timeout=timeout, allow_redirects=False, stream=True) as response,
        ):
            status, body = response.status_code, b""
            for piece in response.iter_content(_MOST_BYTES) if status == 200 else ():
                body += piece
                if len(body) > _MOST_BYTES:
                    break
    except requests.RequestException:
        raise _Unavailable from None
    if status >= 500 or status == 429:
        raise _Unavailable
    if not 0 < len(body) <= _MOST_BYTES:
        raise WebhookRefused("no certificate there")
    return body
