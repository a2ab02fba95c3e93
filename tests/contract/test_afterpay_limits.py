"""Afterpay's limits: read once a day, and by the check of the credentials."""

from __future__ import annotations

from typing import Any

import pytest

from gateways.afterpay.gateway import AfterpayGateway
from gateways.base import GatewayError

from .afterpay_wire import Wire
from .benches.afterpay import ProviderBench as AfterpayBench


@pytest.fixture
def gateway(afterpay: AfterpayBench, wire: Wire) -> AfterpayGateway:
    """Afterpay's gateway."""
    return afterpay.gateway(base=wire.url)


def test_limits_are_read_once_a_day(gateway: AfterpayGateway, wire: Wire) -> None:
    assert [gateway.limits(), gateway.limits()] == [(100, 200_000)] * 2
    assert [request.path for request in wire.requests] == ["/v2/configuration"]
    assert gateway.check() == "Afterpay accepts the credentials; orders from 1.00 to 2000.00 AUD"
    assert len(wire.requests) == 2


def test_an_account_without_a_minimum_accepts_the_least_amount(gateway: AfterpayGateway, wire: Wire) -> None:
    wire.responses["/configuration"] = (200, {"maximumAmount": {"amount": "800.00", "currency": "AUD"}})
    assert gateway.limits() == (1, 80_000)


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (401, {"errorCode": "unauthorized"}, "unauthorized"),
        (503, b"", "http_503"),
        (200, {}, "AFTERPAY_REGION"),
        (200, {"maximumAmount": {"amount": "800.00", "currency": "USD"}}, "AFTERPAY_REGION"),
        (200, b"[]", "AFTERPAY_REGION"),
    ],
)
def test_limits_that_cannot_be_read_are_an_error_and_are_read_again(
    gateway: AfterpayGateway, wire: Wire, status: int, body: Any, message: str
) -> None:
    for read in (gateway.limits, gateway.check):
        wire.responses["/configuration"] = (status, body)
        with pytest.raises(GatewayError, match=message):
            read()
    assert gateway.limits() == (100, 200_000)


@pytest.mark.parametrize("changes", [{"secret_key": "wrong"}, {"base": "http://127.0.0.1:1"}])
def test_a_failed_check_shows_no_secret(afterpay: AfterpayBench, changes: dict[str, str]) -> None:
    with pytest.raises(GatewayError) as raised:
        afterpay.gateway(**changes).check()
    assert not {"wrong", afterpay.secret} & set(str(raised.value).split())
