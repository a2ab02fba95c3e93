"""Klarna's part of the environment: the host of each kind of credentials, and the problems that prevent a start."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gateways.base import GatewayContext
from gateways.klarna.gateway import KlarnaGateway
from gateways.klarna.settings import LIVE_HOSTS, PLAYGROUND_HOSTS, KlarnaSettings

SECRET = "s" * 32
SANDBOX = "http://127.0.0.1:8900/klarna"
LIVE = {"klarna_username": "id", "klarna_password": "klarna_live_api_x", "klarna_callback_secret": SECRET}
TEST = LIVE | {"klarna_password": "klarna_test_api_x"}
SANDBOXED = LIVE | {"klarna_password": "sandbox", "klarna_api_base": SANDBOX}
CONTEXT = GatewayContext("https://pay.example", 30, tokens=None)  # type: ignore[arg-type]


def gateway_of(**variables: Any) -> KlarnaGateway:
    gateway = KlarnaSettings(**variables).make(CONTEXT)
    assert gateway is not None
    return gateway


@pytest.mark.parametrize(
    "variables", [LIVE, TEST, SANDBOXED, LIVE | {"klarna_callback_secret": f"{SECRET},{'t' * 40} "}, {}]
)
def test_a_complete_configuration_has_no_problems(variables: dict[str, Any]) -> None:
    assert KlarnaSettings(**variables).problems() == []


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"klarna_username": "id"}, "KLARNA_PASSWORD"),
        ({"klarna_password": "x"}, "KLARNA_USERNAME"),
        (LIVE | {"klarna_callback_secret": None}, "KLARNA_CALLBACK_SECRET"),
        (LIVE | {"klarna_callback_secret": " , "}, "KLARNA_CALLBACK_SECRET"),
        (LIVE | {"klarna_callback_secret": "short"}, "KLARNA_CALLBACK_SECRET"),
        (LIVE | {"klarna_callback_secret": f"{SECRET}/{SECRET}"}, "KLARNA_CALLBACK_SECRET"),
        (LIVE | {"klarna_api_base": SANDBOX}, "KLARNA_PASSWORD"),
        (LIVE | {"klarna_api_base": PLAYGROUND_HOSTS["eu"]}, "KLARNA_PASSWORD"),
        (LIVE | {"klarna_api_base": LIVE_HOSTS["na"]}, "KLARNA_API_BASE"),
        (TEST | {"klarna_api_base": LIVE_HOSTS["eu"]}, "KLARNA_API_BASE"),
        (SANDBOXED | {"klarna_api_base": None}, "KLARNA_API_BASE"),
    ],
)
def test_each_problem_names_its_variable(variables: dict[str, Any], named: str) -> None:
    (problem,) = KlarnaSettings(**variables).problems()
    assert named in problem
    assert SECRET not in problem
    assert "klarna_live_api_x" not in problem


def test_without_credentials_klarna_is_off() -> None:
    assert KlarnaSettings().make(CONTEXT) is None
    assert KlarnaSettings(klarna_username="id").make(CONTEXT) is None


def test_a_region_is_one_of_three() -> None:
    with pytest.raises(ValidationError):
        KlarnaSettings(klarna_region="us")


@pytest.mark.parametrize("region", ["eu", "na", "oc"])
def test_region_and_credentials_decide_the_host(region: str) -> None:
    live, test = gateway_of(**LIVE, klarna_region=region), gateway_of(**TEST, klarna_region=region)
    assert (live._client.base, test._client.base) == (LIVE_HOSTS[region], PLAYGROUND_HOSTS[region])
    assert live.region == region
    assert gateway_of(**SANDBOXED)._client.base == SANDBOX


def test_the_read_timeout_is_no_longer_than_klarna_keeps_a_call_open() -> None:
    assert gateway_of(**LIVE)._client.read_seconds == 30
    patient = GatewayContext("https://pay.example", 120, tokens=None)  # type: ignore[arg-type]
    gateway = KlarnaSettings(**LIVE).make(patient)
    assert gateway is not None
    assert 59 < gateway._client.read_seconds < 65
