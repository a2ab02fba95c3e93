"""PayPal's settings, and the check of credentials: a problem is named without any value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateways.base import GatewayContext, GatewayError
from gateways.paypal.gateway import BASES, PayPalGateway
from gateways.paypal.settings import PayPalSettings
from sandbox.paypal import signing
from sandbox.paypal.events import WEBHOOK_ID
from stack.process import free_port

from .bench import API_URL
from .benches.paypal import MemoryTokens, ProviderBench

CREDENTIALS = {"paypal_client_id": "sandbox-client", "paypal_client_secret": "sandbox-secret"}
REAL = {"paypal_client_id": "AaBb", "paypal_client_secret": "EeFf", "paypal_webhook_id": "8PT5"}
SIMULATED = {**CREDENTIALS, "paypal_webhook_id": WEBHOOK_ID, "paypal_api_base": "http://127.0.0.1:8900/paypal"}
CONTEXT = GatewayContext(API_URL, 30, MemoryTokens())


@pytest.mark.parametrize(
    "variables", [{}, SIMULATED, REAL, REAL | {"paypal_mode": "live"}, {"paypal_webhook_id": "8PT5"}]
)
def test_settings_without_problems(variables: dict[str, Any]) -> None:
    settings = PayPalSettings(**variables)
    assert settings.problems() == []
    assert isinstance(settings.make(CONTEXT), PayPalGateway) == ("paypal_client_id" in variables)


@pytest.mark.parametrize(
    ("variables", "names"),
    [
        ({"paypal_client_id": "A"}, ["PAYPAL_CLIENT_SECRET", "PAYPAL_WEBHOOK_ID"]),
        ({"paypal_client_secret": "E"}, ["PAYPAL_CLIENT_ID", "PAYPAL_WEBHOOK_ID"]),
        (REAL | {"paypal_webhook_id": ""}, ["PAYPAL_WEBHOOK_ID"]),
        (SIMULATED | {"paypal_mode": "live"}, ["PAYPAL_MODE"]),
        (REAL | {"paypal_mode": "live", "paypal_api_base": BASES["sandbox"]}, ["PAYPAL_MODE"]),
        (REAL | {"paypal_api_base": BASES["live"]}, ["PAYPAL_API_BASE"]),
        (SIMULATED | {"paypal_api_base": None}, ["PAYPAL_CLIENT_SECRET"]),
        (REAL | {"paypal_api_base": BASES["sandbox"].replace("https", "http")}, ["PAYPAL_API_BASE"]),
    ],
)
def test_problems_are_named_without_values(variables: dict[str, Any], names: list[str]) -> None:
    problems = PayPalSettings(**variables).problems()
    assert [problem.split()[0] for problem in problems] == names
    assert not any("EeFf" in problem or "sandbox-secret" in problem for problem in problems)


def test_a_file_of_authorities_is_read_at_once(tmp_path: Path) -> None:
    file = tmp_path / "authorities.pem"
    settings = PayPalSettings(**SIMULATED, paypal_webhook_authorities=str(file))
    (problem,) = settings.problems()
    assert problem.startswith("PAYPAL_WEBHOOK_AUTHORITIES cannot be read")
    file.write_text("nothing")
    (problem,) = settings.problems()
    assert problem.startswith("PAYPAL_WEBHOOK_AUTHORITIES has no certificates")
    file.write_bytes(signing.pem(*signing.unknown_authority().certificates))
    assert settings.problems() == []
    assert settings.authorities == signing.unknown_authority().certificates
    assert isinstance(settings.make(CONTEXT), PayPalGateway)


def test_the_check_of_good_credentials(paypal: ProviderBench) -> None:
    line = paypal.gateway().check()
    assert line.startswith(f"credentials accepted; webhook {WEBHOOK_ID} registered for")
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
def test_the_check_of_bad_credentials(paypal: ProviderBench, changes: dict[str, Any]) -> None:
    with pytest.raises(GatewayError) as failed:
        paypal.gateway(**changes).check()
    assert "\n" not in str(failed.value)
    assert "sandbox-secret" not in str(failed.value)


def test_paypal_needs_our_public_address() -> None:
    """The buyer comes back to it."""
    assert PayPalSettings.needs_public_address
    assert "needs_public_address" not in PayPalSettings.model_fields
