"""The settings of the two Coinbase gateways: what is refused, by name and without a secret, and what is off."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateways.base import GatewayContext
from gateways.coinbase.settings import CoinbaseSettings
from gateways.coinbase_commerce.settings import CoinbaseCommerceSettings

_KEY = Ed25519PrivateKey.generate()
SECRET = base64.b64encode(_KEY.private_bytes_raw() + _KEY.public_key().public_bytes_raw()).decode()
SHARED = GatewayContext(api_url="https://pay.example", read_seconds=5, tokens=None)  # type: ignore[arg-type]
SANDBOX = "http://127.0.0.1:9/coinbase"
BUSINESS = {
    "coinbase_api_key_name": "organizations/1/apiKeys/1",
    "coinbase_api_key_secret": SECRET,
    "coinbase_webhook_secret": "new, old",
}
COMMERCE = {"coinbase_commerce_api_key": "key-of-commerce", "coinbase_commerce_webhook_secret": "shared"}


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, []),
        ({"coinbase_api_base": "https://business.coinbase.com/sandbox/api/v1"}, []),
        ({"coinbase_api_key_name": None}, ["COINBASE_API_KEY_NAME is missing"]),
        ({"coinbase_api_key_secret": None}, ["COINBASE_API_KEY_SECRET is missing"]),
        ({"coinbase_api_key_secret": "AAAA"}, ["COINBASE_API_KEY_SECRET is neither"]),
        ({"coinbase_webhook_secret": None}, ["COINBASE_WEBHOOK_SECRET is missing"]),
        ({"coinbase_api_base": SANDBOX}, ["COINBASE_API_KEY_NAME is a real key"]),
        ({"coinbase_api_key_name": "sandbox"}, ["COINBASE_API_KEY_NAME is a sandbox key"]),
        ({"coinbase_api_key_name": "sandbox", "coinbase_api_base": SANDBOX}, []),
        ({"coinbase_api_key_secret": "AAAA", "crypto_payment_enabled": False}, []),
    ],
)
def test_problems_of_business(changes: dict[str, Any], names: list[str]) -> None:
    found = CoinbaseSettings(**(BUSINESS | changes)).problems()
    assert [problem[: len(name)] for problem, name in zip(found, names, strict=True)] == names
    assert SECRET not in str(found)


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, []),
        ({"coinbase_commerce_api_key": None}, []),
        ({"coinbase_commerce_webhook_secret": None}, ["COINBASE_COMMERCE_WEBHOOK_SECRET is missing"]),
        ({"coinbase_commerce_api_base": SANDBOX}, ["COINBASE_COMMERCE_API_KEY is a real key"]),
        ({"coinbase_commerce_api_key": "sandbox"}, ["COINBASE_COMMERCE_API_KEY is a sandbox key"]),
        ({"coinbase_commerce_api_key": "sandbox", "coinbase_commerce_api_base": SANDBOX}, []),
        ({"coinbase_commerce_api_key": "clé"}, ["COINBASE_COMMERCE_API_KEY is not a key"]),
    ],
)
def test_problems_of_commerce(changes: dict[str, Any], names: list[str]) -> None:
    found = CoinbaseCommerceSettings(**(COMMERCE | changes)).problems()
    assert [problem[: len(name)] for problem, name in zip(found, names, strict=True)] == names


def test_what_is_configured_is_made() -> None:
    business = CoinbaseSettings(**BUSINESS).make(SHARED)
    commerce = CoinbaseCommerceSettings(**COMMERCE).make(SHARED)
    assert business is not None
    assert commerce is not None
    assert (business.provider, commerce.provider) == ("coinbase", "coinbase_commerce")


def test_what_is_not_configured_or_switched_off_is_not_made() -> None:
    off = {"crypto_payment_enabled": False}
    assert CoinbaseSettings().make(SHARED) is None
    assert CoinbaseCommerceSettings().make(SHARED) is None
    assert CoinbaseSettings(**BUSINESS, **off).make(SHARED) is None
    assert CoinbaseCommerceSettings(**COMMERCE, **off).make(SHARED) is None


def test_no_secret_is_shown() -> None:
    shown = repr(CoinbaseSettings(**BUSINESS)) + repr(CoinbaseCommerceSettings(**COMMERCE))
    assert SECRET not in shown
    assert "key-of-commerce" not in shown
