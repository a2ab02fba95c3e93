"""The bearer token of each request to Coinbase, signed with an API key of its Developer Platform (CDP).

No message here may contain a key or a token. Source: the official package cdp-sdk 1.51.0, read 2026-11-23."""

from __future__ import annotations

import base64
import secrets
import time
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

# The longest life that Coinbase accepts.
_LIFE_SECONDS = 120
# An Ed25519 secret is the seed followed by the public key.
_SEED_BYTES, _ED25519_BYTES = 32, 64

PrivateKey = Ed25519PrivateKey | EllipticCurvePrivateKey


def read_key(secret: str) -> PrivateKey:
    r"""Return the private key of a CDP API key: base64 (Ed25519) or PEM (EC P-256, with \n or real line ends).

    Raises ValueError, whose message does not contain the secret, for anything else."""
    pem = secret.replace("\\n", "\n").strip()
    try:
        if not pem.startswith("-----BEGIN"):
            return _read_ed25519(base64.b64decode(pem, validate=True))
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError):
        key = None
    if isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1):
        return key
    raise ValueError("is neither an Ed25519 secret (base64 of 64 bytes) nor an EC P-256 private key (PEM)") from None


def _read_ed25519(raw: bytes) -> Ed25519PrivateKey:
    if len(raw) != _ED25519_BYTES:
        raise ValueError
    key = Ed25519PrivateKey.from_private_bytes(raw[:_SEED_BYTES])
    if key.public_key().public_bytes_raw() != raw[_SEED_BYTES:]:
        raise ValueError
    return key


class Signer:
    """Signs one token for each request. Safe to share between threads."""

    def __init__(self, key_name: str, key_secret: str) -> None:
        self._name = key_name
        self._key = read_key(key_secret)
        self._algorithm = "EdDSA" if isinstance(self._key, Ed25519PrivateKey) else "ES256"

    def token(self, method: str, url: str) -> str:
        """Return a token that is valid for one request to an address, for two minutes by the host's clock."""
        parts = urlsplit(url)
        now = int(time.time())
        claims = {
            "sub": self._name,
            "iss": "cdp",
            "nbf": now,
            "exp": now + _LIFE_SECONDS,
            "uris": [f"{method} {parts.netloc}{parts.path}"],
        }
        headers = {"kid": self._name, "nonce": secrets.token_hex(16)}
        return jwt.encode(claims, self._key, algorithm=self._algorithm, headers=headers)
