"""An order of a Klarna customer token whose response was lost: it is looked for, and released or charged once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.system import System

pytestmark = pytest.mark.postgres
ORDER = "klarna.tokens.order"
REQUEST: dict[str, Any] = {
    "card": "customer-token",
    "payment_method": "klarna",
    "currency": "USD",
    "off_session": True,
    "billing_address": {"country": "US"},
}


def missed(system: System) -> str:
    """Return a payment whose order was placed and never heard of."""
    system.add_provider("klarna")
    system.provider.fail(ORDER, "reset_after")
    payment_id = system.pay(**REQUEST)
    system.run_until_idle()
    return payment_id


def test_an_order_whose_response_was_lost_is_charged_once(system: System) -> None:
    payment_id = missed(system)
    assert system.state(payment_id) == "in_doubt"
    assert system.post(f"/{payment_id}/cancel").status_code == 409
    system.advance(seconds=2)
    assert system.state(payment_id) == "captured"
    assert system.provider.movements() == [("authorization", 1230), ("capture", 1230)]


def test_an_order_that_was_missed_is_released_when_its_payment_is_canceled(system: System) -> None:
    payment_id = missed(system)
    system.provider.fail(ORDER, "rate_limit")
    system.advance(seconds=2)
    assert system.state(payment_id) == "accepted"
    system.request(f"/{payment_id}/cancel")
    system.provider.fail(ORDER, "reset_before", times=2)
    system.run_until_idle()
    for _ in range(3):
        system.advance(seconds=10)
    assert system.state(payment_id) == "canceled"
    assert system.provider.movements() == [("authorization", 1230), ("void", 1230)]


def test_an_order_that_klarna_has_never_seen_is_canceled_at_once(system: System) -> None:
    system.add_provider("klarna")
    system.provider.fail(ORDER, "rate_limit")
    payment_id = system.pay(**REQUEST)
    system.run_until_idle()
    system.request(f"/{payment_id}/cancel")
    assert (system.state(payment_id), system.provider.movements()) == ("canceled", [])
