"""Early fraud warnings of Stripe's sandbox: who gets one, and when it asks for nothing any more."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tests.sandbox.stripe_client import Bench

FRAUDULENT = "pm_card_createIssuerFraudRecord"


def warnings_about(bench: Bench, intent: str) -> list[dict[str, Any]]:
    page = bench.client.v1.radar.early_fraud_warnings.list({"payment_intent": intent})
    return [warning.to_dict() for warning in page.data]


def test_the_issuer_of_the_test_card_reports_the_charge(bench: Bench) -> None:
    intent = bench.pay(FRAUDULENT)
    [warning] = warnings_about(bench, intent.id)
    assert (warning["payment_intent"], warning["charge"]) == (intent.id, intent.latest_charge)
    assert (warning["actionable"], warning["fraud_type"]) == (True, "unauthorized_use_of_card")
    assert bench.events(intent.id)[-1] == "radar.early_fraud_warning.created"
    assert bench.client.v1.radar.early_fraud_warnings.retrieve(warning["id"]).charge == intent.latest_charge


def test_money_that_is_only_held_is_reported_once_it_is_captured(bench: Bench) -> None:
    intent = bench.pay(FRAUDULENT, capture_method="manual")
    assert warnings_about(bench, intent.id) == []
    bench.client.v1.payment_intents.capture(intent.id)
    assert len(warnings_about(bench, intent.id)) == 1


@pytest.mark.parametrize(("amount", "is_actionable"), [(1000, False), (400, True)])
def test_a_full_refund_leaves_nothing_to_do(bench: Bench, amount: int, is_actionable: bool) -> None:
    intent = bench.pay(FRAUDULENT)
    bench.client.v1.refunds.create({"payment_intent": intent.id, "amount": amount, "reason": "fraudulent"})
    assert [warning["actionable"] for warning in warnings_about(bench, intent.id)] == [is_actionable]
    told = bench.events(intent.id).count("radar.early_fraud_warning.updated")
    assert told == (0 if is_actionable else 1)


def test_a_dispute_leaves_nothing_to_do(bench: Bench) -> None:
    intent = bench.pay(FRAUDULENT)
    bench.control("POST", f"intents/{intent.id}/dispute", {})
    assert [warning["actionable"] for warning in warnings_about(bench, intent.id)] == [False]


def test_any_charge_of_a_card_can_be_reported_with_any_type(bench: Bench) -> None:
    intent = bench.pay()
    warning = bench.control("POST", f"intents/{intent.id}/fraud_warning", {"fraud_type": "made_with_stolen_card"})
    assert warnings_about(bench, intent.id) == [warning]
    with pytest.raises(requests.HTTPError):
        bench.control("POST", f"intents/{intent.id}/fraud_warning", {"fraud_type": "invented"})
    for unpaid in (bench.create(), bench.pay(capture_method="manual")):
        with pytest.raises(requests.HTTPError):
            bench.control("POST", f"intents/{unpaid.id}/fraud_warning", {})
