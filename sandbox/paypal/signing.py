"""The sandbox's certificate authority and the certificate with which it signs PayPal's webhooks.

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
    """A certificate authority: its key and its own certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    def issue(
        self, key: rsa.RSAPrivateKey, name: str = COMMON_NAME, *, start: datetime | None = None
    ) -> x509.Certificate:
        """Return a certificate for this key and name, valid from `start`, or else from yesterday."""
        begins_at = start or datetime.now(UTC) - timedelta(days=1)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins_at)
            .not_valid_after(begins_at + LIFETIME)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(issuer_key, critical=False)
            .sign(self.key, hashes.SHA256())
        )


def new_authority() -> Authority:
    """Return a new authority with a key of its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "PayPal sandbox authority")])
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    begins_at = datetime.now(UTC) - timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins_at)
        .not_valid_after(begins_at + 2 * LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(key, certificate)


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
def unknown_certificate() -> bytes:
    """Return a certificate for the same key and name from an authority that the product does not trust."""
    return pem(new_authority().issue(signing_key()))


def pem(certificate: x509.Certificate) -> bytes:
    """Return a certificate in the PEM format, as it is served."""
    return certificate.public_bytes(serialization.Encoding.PEM)


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
