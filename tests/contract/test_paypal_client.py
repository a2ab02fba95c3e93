"""PayPal's client: its own verdict on a webhook, and the token that it renews."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from gateways.failures import CallFailed, MalformedResponse
from gateways.json_api import JsonApi
from gateways.paypal.client import PayPalClient
from gateways.paypal.token import AccessToken

from .bench import SECONDS
from .benches.paypal import MemoryTokens
from .served import Reply, Served, replying
from .test_paypal_malformed import TOKEN


@contextmanager
def client_of(*replies: Reply) -> Iterator[tuple[PayPalClient, Served]]:
    """Yield a client of a PayPal that gives these responses, one after the other."""
    with replying(*replies) as served:
        api = JsonApi(served.url, SECONDS)
        yield PayPalClient(api, AccessToken(api, "client", "secret", MemoryTokens())), served


@pytest.mark.parametrize("status", ["SUCCESS", "FAILURE"])
def test_only_success_makes_a_webhook_genuine(status: str) -> None:
    with client_of((200, TOKEN), (200, {"verification_status": status})) as (client, _):
        assert client.is_genuine_webhook(b"{}") == (status == "SUCCESS")


@pytest.mark.parametrize("verdict", [[], {"verification_status": True}])
def test_a_malformed_verdict_is_raised(verdict: Any) -> None:
    with client_of((200, TOKEN), (200, verdict)) as (client, _), pytest.raises(MalformedResponse):
        client.is_genuine_webhook(b"{}")


@pytest.mark.parametrize("verdict", [{}, {"verification_status": None}, {"verification_status": "success"}])
def test_an_unknown_verdict_is_raised(verdict: Any) -> None:
    with client_of((200, TOKEN), (200, verdict)) as (client, _), pytest.raises(CallFailed, match="unknown_verif"):
        client.is_genuine_webhook(b"{}")


@pytest.mark.parametrize("status", [400, 422])
def test_what_paypal_does_not_accept_back_is_not_its_own(status: int) -> None:
    with client_of((200, TOKEN), (status, {"name": "INVALID_REQUEST"})) as (client, _):
        assert not client.is_genuine_webhook(b"{}")


@pytest.mark.parametrize("status", [302, 403, 404, 429, 500, 503])
def test_a_call_that_paypal_refuses_is_no_verdict(status: int) -> None:
    with client_of((200, TOKEN), (status, {})) as (client, _), pytest.raises(CallFailed, match="no_verdict"):
        client.is_genuine_webhook(b"{}")


def test_a_refused_token_is_renewed_once_and_the_call_repeated() -> None:
    second = TOKEN | {"access_token": "A22"}
    with client_of((200, TOKEN), (401, {}), (200, second), (200, {"id": "O1"})) as (client, served):
        assert client.get("/v2/checkout/orders/O1").body == {"id": "O1"}
    sent = [call.headers["Authorization"] for call in served.requests if not call.path.endswith("/token")]
    assert sent == ["Bearer A21", "Bearer A22"]
