"""Afterpay's part of the environment: the problems that prevent a start, and the gateway that it makes."""

from __future__ import annotations

from typing import Any

import pytest

from gateways.afterpay.settings import DEFAULT_BASE, AfterpaySettings
from gateways.base import GatewayContext
from sandbox.server import RunningSandbox

from .bench import API_URL

COMPLETE = {
    "afterpay_merchant_id": "40999",
    "afterpay_secret_key": "0f8e",
    "afterpay_region": "au",
}
SIMULATED = {
    "afterpay_merchant_id": "sandbox-au",
    "afterpay_secret_key": "sandbox",
    "afterpay_region": "au",
    "afterpay_api_base": "http://127.0.0.1:8900/afterpay",
}
CONTEXT = GatewayContext(api_url=API_URL, read_seconds=5, tokens=None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "variables",
    [
        {},
        COMPLETE,
        COMPLETE | {"afterpay_api_base": "https://global-api-sandbox.afterpay.com"},
        SIMULATED,
        SIMULATED | {"afterpay_webhook_secret": "other"},
    ],
    ids=str,
)
def test_a_complete_configuration_has_no_problems(variables: dict[str, str]) -> None:
    assert AfterpaySettings(**variables).problems() == []


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"afterpay_secret_key": None}, "AFTERPAY_SECRET_KEY"),
        ({"afterpay_merchant_id": None}, "AFTERPAY_MERCHANT_ID"),
        ({"afterpay_merchant_id": "a:b"}, "AFTERPAY_MERCHANT_ID"),
        ({"afterpay_merchant_id": "a\nb"}, "AFTERPAY_MERCHANT_ID"),
        ({"afterpay_region": None}, "AFTERPAY_REGION"),
        ({"afterpay_region": "fr"}, "AFTERPAY_REGION"),
        ({"afterpay_merchant_id": "sandbox-au"}, "AFTERPAY_API_BASE"),
        ({"afterpay_secret_key": "sandbox"}, "AFTERPAY_API_BASE"),
        ({"afterpay_api_base": "http://127.0.0.1:8900/afterpay"}, "AFTERPAY_API_BASE"),
        ({"afterpay_api_base": "http://global-api.afterpay.com"}, "AFTERPAY_API_BASE"),
        ({"afterpay_api_base": "https://global-api.afterpay.com.evil.example"}, "AFTERPAY_API_BASE"),
        ({"afterpay_api_base": "global-api.afterpay.com"}, "AFTERPAY_API_BASE"),
    ],
    ids=str,
)
def test_each_problem_names_its_variable(variables: dict[str, Any], named: str) -> None:
    (problem,) = AfterpaySettings(**(COMPLETE | variables)).problems()
    assert problem.startswith(named)
    assert "0f8e" not in problem


def test_without_credentials_afterpay_is_off() -> None:
    assert AfterpaySettings().make(CONTEXT) is None
    assert AfterpaySettings(**(COMPLETE | {"afterpay_secret_key": None})).make(CONTEXT) is None


def test_the_settings_make_the_gateway(sandbox: RunningSandbox) -> None:
    variables = SIMULATED | {"afterpay_api_base": f"{sandbox.url}/afterpay"}
    gateway = AfterpaySettings(**variables).make(CONTEXT)
    assert gateway is not None
    assert (gateway.provider, gateway.region) == ("afterpay", "au")
    assert gateway.limits() == (100, 200_000)


def test_secrets_are_not_shown() -> None:
    text = repr(AfterpaySettings(**COMPLETE, afterpay_webhook_secret="whisper"))
    assert "0f8e" not in text
    assert "whisper" not in text
    assert AfterpaySettings().afterpay_api_base == DEFAULT_BASE
