"""Coinbase Commerce: what the gateway sends."""

from __future__ import annotations

from .bench import API_URL, new_attempt
from .benches.coinbase_commerce import ProviderBench, charge_in
from .served import replying


def test_the_request_for_a_charge_is_as_documented(commerce: ProviderBench) -> None:
    attempt = new_attempt(commerce, minor=123456)
    with replying((201, {"data": charge_in("NEW")})) as server:
        commerce.gateway(base=server.url).charge(attempt, lambda _: None)
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/charges")
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert (headers["x-cc-api-key"], headers["x-cc-version"]) == ("sandbox-key", "2018-03-22")
    assert request.body == {
        "name": "Payment",
        "description": f"Payment {attempt.payment_id}",
        "pricing_type": "fixed_price",
        "local_price": {"amount": "1234.56", "currency": "USD"},
        "metadata": {"payment_id": attempt.payment_id, "attempt_id": attempt.attempt_id},
        "redirect_url": f"{API_URL}/returns/{attempt.attempt_id}",
        "cancel_url": f"{API_URL}/returns/{attempt.attempt_id}",
    }
