"""Dunning beside other payments of the same invoice: what a customer begins pauses it only so long."""

from __future__ import annotations

import pytest

from domain.outcome import NotSent
from models.tables import attention
from tests.system import INSUFFICIENT_FUNDS, System, payment_request

pytestmark = pytest.mark.postgres


def test_an_invoice_that_nobody_pays_does_not_stop_dunning(system: System) -> None:
    payment_id = system.subscribe("inv", INSUFFICIENT_FUNDS)
    by_invoice = payment_request("inv", "pm_card_visa") | {"payment_method": "invoice"}
    del by_invoice["payment_method_token"]
    other = system.accept(by_invoice)["id"]
    system.run_until_idle()
    system.advance(days=2)
    assert (system.state(other), len(system.attempts(payment_id))) == ("requires_action", 1)

    system.advance(days=1)
    system.advance(minutes=1)
    assert (system.state(other), len(system.attempts(payment_id))) == ("canceled", 2)
    assert system.dunning_case(payment_id).paused_since is None
    for _ in range(19):
        system.advance(days=1)
    assert (system.state(payment_id), system.subscription_status()) == ("uncollectible", "canceled")


def test_a_checkout_each_day_pauses_a_retry_for_three_days(system: System) -> None:
    payment_id = system.subscribe("inv", INSUFFICIENT_FUNDS)
    system.advance(days=2, hours=12)
    checkouts = []
    for day in range(6):
        checkouts.append(_open_checkout(system, day))
        for _ in range(23):
            system.advance(hours=1)
        assert len(system.attempts(payment_id)) == (1 if day < 3 else 2)
        system.post(f"/{checkouts[-1]}/cancel", {})
        system.run_until_idle()
    assert system.state(checkouts[3]) == "canceled"


def test_a_checkout_that_is_paid_in_time_ends_dunning(system: System) -> None:
    payment_id = system.subscribe("inv", INSUFFICIENT_FUNDS)
    system.advance(days=2, hours=12)
    checkout = _open_checkout(system, 0)
    system.advance(hours=13)
    assert system.dunning_case(payment_id).paused_since is not None
    intent = system.attempts(checkout)[0].provider_reference
    method = {"payment_method": "pm_card_visa", "return_url": "https://shop.example/paid"}
    system.provider.call("POST", f"/v1/payment_intents/{intent}/confirm", method)
    system.advance(hours=6)
    assert (system.state(checkout), system.state(payment_id)) == ("captured", "canceled")
    assert system.subscription_status() == "active"


def test_a_checkout_that_the_provider_does_not_cancel_is_asked_for_once_a_day(system: System) -> None:
    system.subscribe("inv", INSUFFICIENT_FUNDS)
    by_invoice = payment_request("inv", "pm_card_visa") | {"payment_method": "invoice"}
    del by_invoice["payment_method_token"]
    other = system.accept(by_invoice)["id"]
    system.run_until_idle()
    gateway = system.runtime.gateways["manual"]
    gateway.void = lambda *_: NotSent("refused", is_retryable=False)  # type: ignore[method-assign]
    system.advance(days=3, minutes=1)
    for _ in range(10):
        system.advance(minutes=1)
    assert [(row.verb, row.status) for row in system.attempts(other)][1:] == [("void", "failed")]
    assert [entry.reason for entry in system.rows(attention)] == ["void_refused"]

    system.advance(days=1)
    assert len(system.attempts(other)) == 3


def _open_checkout(system: System, day: int) -> str:
    """Open an intent for the front end, as a customer does who begins to pay."""
    intent = system.request("/stripe-intent", {"invoice_id": "inv"}, Idempotency_Key=f"day-{day}")
    return str(intent["payment_id"])
