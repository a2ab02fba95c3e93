"""Both Coinbase products: the history of a payment that operators see."""

from __future__ import annotations

import pytest

from domain.payment import Verb
from gateways.base import GatewayError

from .bench import ready_attempt as paid_attempt
from .benches.coinbase import CHECKOUT, CHECKOUT_ID, ProviderBench
from .benches.coinbase_commerce import CHARGE_ID, charge_in
from .benches.coinbase_commerce import ProviderBench as CommerceBench
from .served import replying
from .test_gateway_operations import operation


def test_the_timeline_of_a_checkout_ends_with_its_refunds(coinbase: ProviderBench) -> None:
    attempt, gateway = coinbase.waiting(), coinbase.gateway()
    assert [row["status"] for row in gateway.timeline(attempt.reference)] == ["active"]
    coinbase.decide(attempt.reference, "approve")
    gateway.refund(operation(attempt, Verb.REFUND, 300))
    rows = gateway.timeline(attempt.reference)
    assert [(row["status"], row["context"]) for row in rows] == [
        ("active", ""),
        ("partially_refunded", ""),
        ("completed", "refund"),
    ]
    assert rows[1]["transaction"].startswith("0x")
    assert all(isinstance(value, str) for row in rows for value in row.values())
    with pytest.raises(GatewayError):
        gateway.timeline("none")


def test_the_timeline_of_a_charge_counts_confirmations(commerce: CommerceBench) -> None:
    attempt, gateway = paid_attempt(commerce, card="slow"), commerce.gateway()
    *changes, unconfirmed = gateway.timeline(attempt.reference)
    assert [(row["status"], row["context"]) for row in changes] == [("new", ""), ("pending", "")]
    assert (unconfirmed["status"], unconfirmed["context"]) == ("pending", "payment")
    assert unconfirmed["network"] == "ethereum"
    assert (unconfirmed["confirmations"], unconfirmed["required"]) == ("0", "8")
    commerce.let_bank_decide(attempt.reference, is_good=True)
    *_, completed, confirmed = gateway.timeline(attempt.reference)
    assert completed["status"] == "completed"
    assert (confirmed["confirmations"], confirmed["required"]) == ("8", "8")
    assert confirmed["transaction"] == unconfirmed["transaction"]
    assert gateway.timeline(paid_attempt(commerce, card="pay_too_little").reference)[-2]["context"] == "underpaid"
    with pytest.raises(GatewayError, match="not_found"):
        gateway.timeline("none")
    with pytest.raises(GatewayError, match="http_404"):
        gateway.timeline("../charges")


def test_a_malformed_timeline_is_an_error(coinbase: ProviderBench, commerce: CommerceBench) -> None:
    with replying((200, CHECKOUT | {"createdAt": None})) as server, pytest.raises(GatewayError, match="malformed"):
        coinbase.gateway(base=server.url).timeline(CHECKOUT_ID)
    charge = charge_in("NEW", timeline=[{"status": "NEW"}])
    with replying((200, {"data": charge})) as server, pytest.raises(GatewayError, match="malformed"):
        commerce.gateway(base=server.url).timeline(CHARGE_ID)
