"""PayPal's settings, and the check of credentials: what is wrong is named, and no value is repeated."""

from __future__ import annotations

from typing import Any

import pytest

from gateways.base import GatewayContext, GatewayError
from gateways.paypal.gateway import BASES, PayPalGateway, PayPalSettings
from sandbox.paypal.events import WEBHOOK_ID
from sandbox.server import RunningSandbox
from stack.process import free_port

from .bench import API_URL
from .benches.paypal import MemoryTokens, ProviderBench

CREDENTIALS = {"paypal_client_id": "sandbox-client", "paypal_client_secret": "sandbox-secret"}
REAL = {"paypal_client_id": "AaBb", "paypal_client_secret": "EeFf", "paypal_webhook_id": "8PT5"}
IMITATED = {**CREDENTIALS, "paypal_webhook_id": WEBHOOK_ID, "paypal_api_base": "http://127.0.0.1:8900/paypal"}
SHARED = GatewayContext(API_URL, 30, MemoryTokens())


@pytest.fixture
def paypal(sandbox: RunningSandbox) -> ProviderBench:
    """PayPal's bench."""
    return ProviderBench(sandbox)


@pytest.mark.parametrize("given", [{}, IMITATED, REAL, REAL | {"paypal_mode": "live"}, {"paypal_webhook_id": "8PT5"}])
def test_good_settings(given: dict[str, Any]) -> None:
    settings = PayPalSettings(**given)
    assert settings.problems() == []
    assert isinstance(settings.make(SHARED), PayPalGateway) == ("paypal_client_id" in given)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"paypal_client_id": "A"}, ["PAYPAL_CLIENT_SECRET", "PAYPAL_WEBHOOK_ID"]),
        ({"paypal_client_secret": "E"}, ["PAYPAL_CLIENT_ID", "PAYPAL_WEBHOOK_ID"]),
        (REAL | {"paypal_webhook_id": ""}, ["PAYPAL_WEBHOOK_ID"]),
        (IMITATED | {"paypal_mode": "live"}, ["PAYPAL_MODE"]),
        (REAL | {"paypal_mode": "live", "paypal_api_base": BASES["sandbox"]}, ["PAYPAL_MODE"]),
        (REAL | {"paypal_api_base": BASES["live"]}, ["PAYPAL_API_BASE"]),
        (IMITATED | {"paypal_api_base": None}, ["PAYPAL_CLIENT_SECRET"]),
        (REAL | {"paypal_api_base": BASES["sandbox"].replace("https", "http")}, ["PAYPAL_API_BASE"]),
    ],
)
def test_bad_settings_are_named_without_their_values(given: dict[str, Any], named: list[str]) -> None:
    problems = PayPalSettings(**given).problems()
    assert [problem.split()[0] for problem in problems] == named
    assert not any("EeFf" in problem or "sandbox-secret" in problem for problem in problems)


def test_the_check_of_good_credentials(paypal: ProviderBench) -> None:
    said = paypal.gateway().check()
    assert said.startswith(f"credentials accepted; webhook {WEBHOOK_ID} registered for")
    assert "PAYPAL_WEBHOOK_ID is not set" in paypal.gateway(webhook_id=None).check()


@pytest.mark.parametrize(
    "changes",
    [
        {"client_secret": "wrong"},
        {"client_id": "wrong"},
        {"webhook_id": "8NONE"},
        {"base": f"http://127.0.0.1:{free_port()}", "tokens": MemoryTokens()},
    ],
)
def test_the_check_of_bad_ones(paypal: ProviderBench, changes: dict[str, Any]) -> None:
    with pytest.raises(GatewayError) as failed:
        paypal.gateway(**changes).check()
    assert "\n" not in str(failed.value)
    assert "sandbox-secret" not in str(failed.value)
