"""The settings of both Coinbase products: each problem names its variable and shows no secret."""

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
CONTEXT = GatewayContext(api_url="https://pay.example", read_seconds=5, tokens=None)  # type: ignore[arg-type]
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
def test_each_problem_of_business_names_its_variable(changes: dict[str, Any], names: list[str]) -> None:
    problems = CoinbaseSettings(**(BUSINESS | changes)).problems()
    assert [problem[: len(name)] for problem, name in zip(problems, names, strict=True)] == names
    assert SECRET not in str(problems)


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
def test_each_problem_of_commerce_names_its_variable(changes: dict[str, Any], names: list[str]) -> None:
    problems = CoinbaseCommerceSettings(**(COMMERCE | changes)).problems()
    assert [problem[: len(name)] for problem, name in zip(problems, names, strict=True)] == names


def test_a_configured_product_has_a_gateway() -> None:
    business = CoinbaseSettings(**BUSINESS).make(CONTEXT)
    commerce = CoinbaseCommerceSettings(**COMMERCE).make(CONTEXT)
    assert business is not None
    assert commerce is not None
    assert (business.provider, commerce.provider) == ("coinbase", "coinbase_commerce")


def test_a_product_that_is_not_configured_or_switched_off_has_no_gateway() -> None:
    off = {"crypto_payment_enabled": False}
    assert CoinbaseSettings().make(CONTEXT) is None
    assert CoinbaseCommerceSettings().make(CONTEXT) is None
    assert CoinbaseSettings(**BUSINESS, **off).make(CONTEXT) is None
    assert CoinbaseCommerceSettings(**COMMERCE, **off).make(CONTEXT) is None


def test_no_secret_is_shown() -> None:
    shown = repr(CoinbaseSettings(**BUSINESS)) + repr(CoinbaseCommerceSettings(**COMMERCE))
    assert SECRET not in shown
    assert "key-of-commerce" not in shown


def test_customers_of_both_products_come_back_to_a_public_address() -> None:
    assert CoinbaseSettings.needs_public_address
    assert CoinbaseCommerceSettings.needs_public_address
