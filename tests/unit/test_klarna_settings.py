"""Klarna's part of the environment: which host credentials belong to, and what is refused at start."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gateways.base import GatewayContext
from gateways.klarna.gateway import LIVE_HOSTS, PLAYGROUND_HOSTS, KlarnaGateway, KlarnaSettings

SECRET = "s" * 32
SANDBOX = "http://127.0.0.1:8900/klarna"
LIVE = {"klarna_username": "id", "klarna_password": "klarna_live_api_x", "klarna_callback_secret": SECRET}
TEST = LIVE | {"klarna_password": "klarna_test_api_x"}
OURS = LIVE | {"klarna_password": "sandbox", "klarna_api_base": SANDBOX}
SHARED = GatewayContext("https://pay.example", 30, tokens=None)  # type: ignore[arg-type]


def made(**given: Any) -> KlarnaGateway:
    gateway = KlarnaSettings(**given).make(SHARED)
    assert gateway is not None
    return gateway


@pytest.mark.parametrize("given", [LIVE, TEST, OURS, LIVE | {"klarna_callback_secret": f"{SECRET},{'t' * 40} "}, {}])
def test_what_is_whole_has_no_problems(given: dict[str, Any]) -> None:
    assert KlarnaSettings(**given).problems() == []


@pytest.mark.parametrize(
    ("given", "named"),
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
        (OURS | {"klarna_api_base": None}, "KLARNA_API_BASE"),
    ],
)
def test_each_problem_names_its_variable(given: dict[str, Any], named: str) -> None:
    (problem,) = KlarnaSettings(**given).problems()
    assert named in problem
    assert SECRET not in problem
    assert "klarna_live_api_x" not in problem


def test_without_credentials_klarna_is_off() -> None:
    assert KlarnaSettings().make(SHARED) is None
    assert KlarnaSettings(klarna_username="id").make(SHARED) is None


def test_a_region_is_one_of_three() -> None:
    with pytest.raises(ValidationError):
        KlarnaSettings(klarna_region="us")


@pytest.mark.parametrize("region", ["eu", "na", "oc"])
def test_the_host_is_that_of_region_and_credentials(region: str) -> None:
    live, test = made(**LIVE, klarna_region=region), made(**TEST, klarna_region=region)
    assert (live._client.base, test._client.base) == (LIVE_HOSTS[region], PLAYGROUND_HOSTS[region])
    assert live.region == region
    assert made(**OURS)._client.base == SANDBOX


def test_klarna_is_waited_for_no_longer_than_it_answers() -> None:
    assert made(**LIVE)._client.read_seconds == 30
    patient = GatewayContext("https://pay.example", 120, tokens=None)  # type: ignore[arg-type]
    gateway = KlarnaSettings(**LIVE).make(patient)
    assert gateway is not None
    assert 59 < gateway._client.read_seconds < 65
