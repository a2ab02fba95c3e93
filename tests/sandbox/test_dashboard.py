"""Dashboards: the provider's own rules hold, no fault hits them, and what they make has no reference of ours."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tests.sandbox.receiver import SECONDS
from tests.sandbox.stripe_client import Bench


def act(bench: Bench, path: str, body: dict[str, Any]) -> requests.Response:
    return requests.post(f"{bench.running.url}/_sandbox/dashboard/{path}", json=body, timeout=SECONDS)


def test_a_refund_of_the_dashboard_carries_nothing_of_ours_and_meets_no_fault(own: Bench) -> None:
    intent = own.pay(amount=1000, metadata={"payment_id": "pay_1"})
    own.control("POST", "faults", {"operation": "*", "fault": "error_before", "times": None})
    refund = act(own, f"stripe/{intent.id}", {"action": "refund", "amount": 400}).json()["id"]
    own.control("DELETE", "faults")
    assert not own.client.v1.refunds.retrieve(refund).metadata.to_dict()
    assert own.movements(intent.id) == [("charge", 1000), ("refund", 400)]


def test_the_dashboard_refuses_what_the_provider_refuses(own: Bench) -> None:
    intent = own.pay(amount=1000)
    for body, reason in (({"action": "refund", "amount": 1001}, "greater than"), ({"action": "void"}, "succeeded")):
        refused = act(own, f"stripe/{intent.id}", body)
        assert (refused.status_code, reason in refused.json()["error"]) == (409, True)
    assert own.movements(intent.id) == [("charge", 1000)]


@pytest.mark.parametrize("provider", ["paypal", "klarna", "afterpay", "coinbase", "coinbase_commerce"])
def test_every_dashboard_says_that_there_is_no_such_payment(bench: Bench, provider: str) -> None:
    action = "resolve" if provider == "coinbase_commerce" else "refund"
    refused = act(bench, f"{provider}/unknown", {"action": action})
    assert (refused.status_code, "unknown" in refused.json()["error"]) == (409, True)


@pytest.mark.parametrize(
    ("path", "body", "status", "named"),
    [
        ("stripe/unknown", {"action": "nope"}, 400, "refund, capture, void"),
        ("stripe/unknown", {"action": "refund", "amount": 0}, 400, "amount"),
        ("nobody/unknown", {"action": "refund"}, 404, "klarna"),
    ],
)
def test_a_wrong_request_is_refused_with_what_is_valid(
    bench: Bench, path: str, body: dict[str, Any], status: int, named: str
) -> None:
    refused = act(bench, path, body)
    assert (refused.status_code, named in refused.json()["error"]) == (status, True)
