"""Subscriptions that a provider's own engine bills: its events drive their status, in any order, and charge nothing."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest

from models.tables import attempts, events, subscriptions
from tests.contract.benches.paypal import ProviderBench as PayPalBench
from tests.system import Json, System

pytestmark = pytest.mark.postgres
REFERENCES = {"stripe": "sub_of_stripe", "paypal": "I-BW452GLLEP1G"}


@pytest.fixture
def followed(system: System) -> System:
    """A system whose subscription Stripe bills."""
    bind(system, "stripe")
    return system


def bind(system: System, provider: str, subscription: str = "sub", reference: str = "") -> None:
    """Let a provider's subscription drive one of ours, which is made if there is none."""
    if not system.rows(subscriptions, subscriptions.c.id == subscription):
        system.subscribe(f"inv-{subscription}", "pm_card_visa", subscription_id=subscription)
    body = {"user_id": "user", "plan": "gold", "amount": "12.30", "currency": "EUR", "retried_by": "provider"}
    named = {"provider": provider, "provider_reference": reference or REFERENCES[provider]}
    bound = system.call("PUT", f"/subscriptions/{subscription}", body | named)
    assert (bound.status_code, bound.json | named) == (200, bound.json), bound.text


def emitted(system: System, type: str, reference: str = REFERENCES["stripe"], **more: Any) -> Json:
    """Let Stripe emit an event about its subscription, a minute after the one before; return it."""
    system.move_clock(minutes=1)
    body = system.provider.control(f"billing/{reference}/emit", {"event_type": type} | more)
    return system.provider.event(type, body["id"])


def tell(system: System, type: str, **more: Any) -> str:
    """Deliver an event of Stripe; return the status of the subscription, and check that nothing was charged."""
    before = system.query(attempts.select())
    system.deliver_and_run(emitted(system, type, **more))
    assert system.query(attempts.select()) == before
    return system.subscription_status()


def test_stripes_events_drive_the_status(followed: System) -> None:
    tales = [
        ("customer.subscription.updated", {"status": "past_due"}, "past_due"),
        ("invoice.paid", {}, "active"),
        ("invoice.payment_failed", {}, "past_due"),
        ("customer.subscription.updated", {"status": "unpaid"}, "unpaid"),
        # An invoice that is paid after all revives nothing by itself.
        ("invoice.paid", {}, "unpaid"),
        ("customer.subscription.updated", {"status": "active"}, "active"),
        ("customer.subscription.paused", {}, "paused"),
        ("customer.subscription.resumed", {}, "active"),
        ("customer.subscription.deleted", {}, "canceled"),
        # What has ended stays so.
        ("customer.subscription.updated", {"status": "active"}, "canceled"),
        ("invoice.paid", {}, "canceled"),
    ]
    assert [tell(followed, type, **more) for type, more, _ in tales] == [status for *_, status in tales]
    rows = followed.rows(events, events.c.actor == "webhook:stripe", events.c.name.startswith("subscription_"))
    named = {"subscription_id": "sub", "application": "shop", "reference": REFERENCES["stripe"]}
    assert rows[0].data == named | {"from": "active"}
    assert [row.name.removeprefix("subscription_") for row in rows] == [
        *("past_due", "active", "past_due", "unpaid", "active", "paused", "active", "canceled"),
    ]


def test_in_whatever_order_they_come_the_newest_counts(system: System) -> None:
    tales = ["past_due", "unpaid", "active"]
    for number, order in enumerate(itertools.permutations(range(3))):
        name, reference = f"sub-{number}", f"sub_stripe_{number}"
        bind(system, "stripe", name, reference)
        made = [emitted(system, "customer.subscription.updated", reference, status=status) for status in tales]
        for index in order:
            # Stripe's list shows the object of the newest: each event keeps its own.
            made[index]["data"]["object"]["status"] = tales[index]
            made[index] |= {"id": f"evt_{number}_{index}", "created": 1_900_000_000 + index}
            system.deliver_and_run(made[index])
        [row] = system.rows(subscriptions, subscriptions.c.id == name)
        assert row.status == "active", order


def test_an_event_of_the_same_second_about_the_creation_comes_too_late(followed: System) -> None:
    created = emitted(followed, "customer.subscription.created")
    newer = emitted(followed, "customer.subscription.updated", status="active")
    followed.deliver_and_run(newer | {"created": created["created"]})
    followed.deliver_and_run(created)
    assert followed.subscription_status() == "active"


def test_an_unknown_status_is_logged_and_not_applied(followed: System, caplog: pytest.LogCaptureFixture) -> None:
    event = emitted(followed, "customer.subscription.updated", status="invented")
    assert followed.deliver_and_run(event).status == "ignored"
    assert "unknown word of a provider: Subscription.status is invented" in caplog.text
    assert followed.subscription_status() == "active"


def test_a_subscription_that_nobody_bound_drives_nothing(followed: System) -> None:
    row = followed.deliver_and_run(emitted(followed, "customer.subscription.deleted", "sub_of_another_program"))
    assert (row.status, followed.subscription_status()) == ("ignored", "active")


def test_paypals_events_drive_the_status(system: System) -> None:
    paypal: PayPalBench
    paypal, _ = system.add_provider("paypal")
    bind(system, "paypal")
    reference, before = REFERENCES["paypal"], system.query(attempts.select())
    tales = [
        ("BILLING.SUBSCRIPTION.CREATED", "incomplete"),
        ("BILLING.SUBSCRIPTION.ACTIVATED", "active"),
        ("BILLING.SUBSCRIPTION.PAYMENT.FAILED", "past_due"),
        ("PAYMENT.SALE.COMPLETED", "active"),
        ("BILLING.SUBSCRIPTION.SUSPENDED", "paused"),
        ("PAYMENT.SALE.COMPLETED", "paused"),
        ("BILLING.SUBSCRIPTION.UPDATED", "active"),
        ("BILLING.SUBSCRIPTION.CANCELLED", "canceled"),
        ("BILLING.SUBSCRIPTION.ACTIVATED", "canceled"),
    ]
    found = []
    for type, _ in tales:
        system.move_clock(minutes=1)
        paypal.emit(type, reference)
        sent = paypal.signed(paypal.event(reference), seconds=system.offset / timedelta(seconds=1))
        system.receive("/webhooks/paypal", sent.body, sent.headers)
        system.run_until_idle()
        found.append(system.subscription_status())
    assert found == [status for _, status in tales]
    assert system.query(attempts.select()) == before


def test_one_subscription_of_a_provider_drives_one_of_ours(followed: System) -> None:
    bind(followed, "stripe")
    followed.subscribe("inv-other", "pm_card_visa", subscription_id="sub-other")
    with pytest.raises(AssertionError, match="belongs to another one here"):
        bind(followed, "stripe", "sub-other")
    bind(followed, "stripe", "sub-other", "sub_unused")
    followed.deliver_and_run(emitted(followed, "customer.subscription.deleted", "sub_unused"))
    assert {row.id: row.status for row in followed.rows(subscriptions)} == {"sub": "active", "sub-other": "canceled"}
