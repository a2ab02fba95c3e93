"""Coinbase Business: the bearer token of each request, and the keys that sign it."""

from __future__ import annotations

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateways.coinbase.jwt import Signer

from .bench import new_attempt
from .benches.coinbase import KEY, KEY_NAME, SECRET, ProviderBench
from .test_coinbase_requests import sent_charge


def test_a_token_is_signed_for_one_request(coinbase: ProviderBench) -> None:
    request = sent_charge(coinbase, new_attempt(coinbase))
    token = request.headers["Authorization"].removeprefix("Bearer ")
    claims = jwt.decode(token, KEY.public_key(), algorithms=["EdDSA"])
    assert claims["uris"] == [f"POST {request.headers['Host']}/api/v1/checkouts"]
    assert (claims["sub"], claims["iss"]) == (KEY_NAME, "cdp")
    assert claims["exp"] - claims["nbf"] == 120
    assert "aud" not in claims
    header = jwt.get_unverified_header(token)
    assert (header["alg"], header["typ"], header["kid"]) == ("EdDSA", "JWT", claims["sub"])
    assert len(header["nonce"]) == 32


@pytest.mark.parametrize("line_end", ["\n", "\\n"])
def test_a_pem_key_signs_too(line_end: str) -> None:
    key = generate_private_key(SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    token = Signer("name", pem.replace("\n", line_end)).token(
        "GET", "https://business.coinbase.com/api/v1/x?pageSize=1"
    )
    claims = jwt.decode(token, key.public_key(), algorithms=["ES256"])
    assert claims["uris"] == ["GET business.coinbase.com/api/v1/x"]


@pytest.mark.parametrize("secret", ["", "no key", SECRET[:-8], "A" * 88, "-----BEGIN EC PRIVATE KEY-----\nAAAA"])
def test_a_secret_that_is_no_key_is_refused_without_showing_it(secret: str) -> None:
    with pytest.raises(ValueError, match="is neither an Ed25519 secret") as raised:
        Signer("name", secret)
    assert secret not in str(raised.value) or not secret
