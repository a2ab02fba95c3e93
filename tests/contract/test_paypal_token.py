"""PayPal's access token: a response that is no token is no access, and its value is not logged."""

from __future__ import annotations

from typing import Any

import pytest

from domain.outcome import InDoubt, NotSent
from gateways.paypal.gateway import PayPalGateway

from .bench import SECONDS
from .benches.paypal import MemoryTokens
from .served import replying
from .test_paypal_malformed import TOKEN, attempt_on_order


@pytest.mark.parametrize(
    "changes",
    [
        {"access_token": "A\u20ac"},
        {"access_token": ""},
        {"access_token": "A\n"},
        {"access_token": 7},
        {"expires_in": 10**400},
        {"expires_in": 10**6},
        {"expires_in": 0},
        {"expires_in": -1},
        {"expires_in": "32400"},
        {"expires_in": 1.5},
    ],
)
def test_a_malformed_token_is_no_access(changes: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    with replying((200, TOKEN | changes)) as served:
        gateway = PayPalGateway("client", "secret", MemoryTokens(), "W1", served.url, read_seconds=SECONDS)
        assert gateway.charge(attempt_on_order(), lambda _: None) == NotSent("no_access_token", reference="O1")
        assert gateway.retrieve(attempt_on_order()) == InDoubt("no_access_token", "O1")
    [field] = changes
    assert {record.getMessage() for record in caplog.records} == {f"malformed provider response: TokenResponse.{field}"}
