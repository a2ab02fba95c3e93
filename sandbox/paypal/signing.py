"""The sandbox's certificate authority and the certificate with which it signs PayPal's webhooks.

PayPal serves its certificate alone, in PEM, without the intermediate authority that issued it (captured answers of its
certificate address, 2015 to 2025). So does the sandbox; the authorities have an address of their own here.

Signature: RSA PKCS #1 v1.5 with SHA-256 over `transmission id|time|webhook id|CRC-32 of the body` [docs]. Each process
makes both keys at their first use.
"""

from __future__ import annotations

import base64
import threading
import uuid
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sandbox.clock import iso_seconds

COMMON_NAME = "messageverificationcerts.sandbox.paypal.com"
CERTIFICATE_ID = "CERT-5a5a5a5a-sandbox0-certificate"
UNKNOWN_CERTIFICATE_ID = f"{CERTIFICATE_ID}-unknown"
# Longer than a test moves the sandbox's clock.
LIFETIME = timedelta(days=3650)


@dataclass(frozen=True)
class Authority:
    """A certificate authority as PayPal's: a root, and an intermediate that it issued, which issues the certificates.

    `key`: the intermediate's."""

    root: x509.Certificate
    intermediate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def certificates(self) -> tuple[x509.Certificate, ...]:
        """Return what a client needs to know of it, since only the issued certificate is served."""
        return self.root, self.intermediate

    def issue(
        self,
        key: rsa.RSAPrivateKey,
        name: str = COMMON_NAME,
        *,
        start: datetime | None = None,
        purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
    ) -> x509.Certificate:
        """Return a certificate for this key and name, valid from `start`, or else from yesterday.

        Its extensions are those of PayPal's certificate of 2025."""
        usage = x509.KeyUsage(True, False, True, False, False, False, False, False, False)
        usages = [purpose, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = _certificate(name, self.intermediate.subject, key.public_key(), LIFETIME, start)
        return (
            builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(usage, critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_issuer(self.key), critical=False)
            .sign(self.key, hashes.SHA256())
        )


def new_authority() -> Authority:
    """Return a new authority with keys of its own."""
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_name, name = "PayPal sandbox root", "PayPal sandbox authority"
    root = _authority_certificate(root_name, _name(root_name), root_key, root_key, None)
    return Authority(root, _authority_certificate(name, root.subject, key, root_key, 0), key)


def _authority_certificate(
    name: str,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    path_length: int | None,
) -> x509.Certificate:
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    return (
        _certificate(name, issuer, key.public_key(), 2 * LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_issuer(issuer_key), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def _certificate(
    name: str,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    lifetime: timedelta,
    start: datetime | None = None,
) -> x509.CertificateBuilder:
    begins_at = start or datetime.now(UTC) - timedelta(days=1)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins_at)
        .not_valid_after(begins_at + lifetime)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _issuer(key: ec.EllipticCurvePrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


@dataclass(frozen=True)
class _Identity:
    """An authority, and a signing key with the certificate that the authority issued."""

    authority: Authority
    key: rsa.RSAPrivateKey
    certificate: bytes


_lock = threading.Lock()
_made: list[_Identity] = []


def _identity() -> _Identity:
    """Return this process's identity. The lock keeps two first deliveries from making one each."""
    with _lock:
        if not _made:
            issuer, key = new_authority(), rsa.generate_private_key(public_exponent=65537, key_size=2048)
            _made.append(_Identity(issuer, key, pem(issuer.issue(key))))
        return _made[0]


def authority() -> Authority:
    """Return this process's authority."""
    return _identity().authority


def signing_key() -> rsa.RSAPrivateKey:
    """Return this process's signing key."""
    return _identity().key


def certificate() -> bytes:
    """Return the certificate of the signing key."""
    return _identity().certificate


@cache
def unknown_authority() -> Authority:
    """Return an authority that the sandbox does not publish."""
    return new_authority()


@cache
def unknown_certificate() -> bytes:
    """Return a certificate for the same key and name from the authority that is not published."""
    return pem(unknown_authority().issue(signing_key()))


def pem(*certificates: x509.Certificate) -> bytes:
    """Return certificates in the PEM format, as they are served."""
    return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in certificates)


def signed_text(transmission_id: str, time: str, webhook_id: str, body: bytes) -> bytes:
    """Return the text of which a delivery carries the signature."""
    return f"{transmission_id}|{time}|{webhook_id}|{zlib.crc32(body)}".encode()


def headers(body: bytes, webhook_id: str, now: float, base_url: str) -> dict[str, str]:
    """Return the headers of a delivery; the signature covers the time `now`."""
    time = iso_seconds(now)
    transmission_id = str(uuid.uuid4())
    text = signed_text(transmission_id, time, webhook_id, body)
    signature = signing_key().sign(text, padding.PKCS1v15(), hashes.SHA256())
    return {
        "Content-Type": "application/json",
        "User-Agent": "PayPal/AUHD-1.0",
        "Paypal-Auth-Algo": "SHA256withRSA",
        "Paypal-Auth-Version": "v2",
        "Paypal-Cert-Url": f"{base_url}/v1/notifications/certs/{CERTIFICATE_ID}",
        "Paypal-Transmission-Id": transmission_id,
        "Paypal-Transmission-Sig": base64.b64encode(signature).decode(),
        "Paypal-Transmission-Time": time,
        "Correlation-Id": transmission_id.replace("-", "")[:13],
    }
