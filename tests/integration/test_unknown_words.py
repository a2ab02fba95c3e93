"""A word of the provider that no table has moves no money, here or there, and is applied once it can be read."""

from __future__ import annotations

from typing import Any

import pytest

from domain.payment import AttemptStatus
from sandbox.stripe.api import Stripe
from tests.system import Json, System

pytestmark = pytest.mark.postgres
UNKNOWN = pytest.mark.parametrize("status", [None, "in_transit"])
AUTHENTICATION_FAILURE = {"type": "invalid_request_error", "code": "payment_intent_authentication_failure"}


def refund(system: System, payment_id: str, key: str) -> None:
    """Refund 5.00 of the payment."""
    system.request(f"/{payment_id}/refunds", {"amount": "5.00"}, Idempotency_Key=key)
    system.run_until_idle()


def refund_of(system: System, payment_id: str) -> Json:
    """Return the first refund as Stripe has it."""
    account = system.sandbox.state.provider_of(Stripe).account
    return account.refunds[system.attempts(payment_id)[1].provider_reference]


def updated(refund: Json, id: str) -> Json:
    """Return the event that Stripe sends about a refund."""
    return {"id": id, "object": "event", "type": "refund.updated", "data": {"object": dict(refund)}}


@UNKNOWN
def test_a_pending_refund_of_unknown_status_keeps_its_money_reserved(system: System, status: Any) -> None:
    payment_id = system.pay(card="pm_card_pendingRefund")
    system.run_until_idle()
    refund(system, payment_id, "first")
    known = refund_of(system, payment_id)
    known["status"] = status
    event = system.deliver_and_run(updated(known, "evt_unknown"))
    system.advance(hours=1)
    assert system.attempts(payment_id)[1].status == AttemptStatus.PENDING
    too_much = system.post(f"/{payment_id}/refunds", {"amount": "10.00"}, Idempotency_Key="second")
    assert too_much.status_code == 422
    known["status"] = "succeeded"
    system.advance(hours=1)
    assert system.webhook(event.id).status == "applied"
    assert system.payment(payment_id).refunded == 500


@UNKNOWN
def test_a_given_refund_of_unknown_status_stays_given(system: System, status: Any) -> None:
    payment_id = system.pay()
    system.run_until_idle()
    refund(system, payment_id, "first")
    known = refund_of(system, payment_id)
    known["status"] = status
    system.deliver_and_run(updated(known, "evt_unknown"))
    system.advance(hours=1)
    assert (system.state(payment_id), system.payment(payment_id).refunded) == ("partially_refunded", 500)
    known["status"] = "failed"
    system.advance(hours=1)
    assert (system.state(payment_id), system.payment(payment_id).refunded) == ("captured", 0)


@pytest.mark.parametrize(
    ("error", "is_retried"),
    [
        ({"type": "idempotency_error"}, False),
        ({"type": "invalid_request_error"}, False),
        (AUTHENTICATION_FAILURE, False),
        ({"type": "card_error", "code": "card_declined"}, True),
    ],
    ids=str,
)
def test_only_a_card_error_is_retried_by_dunning(system: System, error: Json, is_retried: bool) -> None:
    system.provider.fail("payment_intents.confirm", "reset_before")
    payment_id = system.pay("inv", subscription_id="sub", off_session=True)
    system.run_published()
    intent = system.sandbox.state.provider_of(Stripe).account.intents[system.reference(payment_id)]
    intent.body.update(status="requires_payment_method", payment_method=None, last_payment_error=error)
    system.advance(seconds=2)
    retries = "retry_scheduled" in system.event_names(payment_id)
    declines = [attempt.code for attempt in system.attempts(payment_id) if attempt.status == AttemptStatus.DECLINED]
    assert (retries, "card_declined" in declines) == (is_retried, is_retried), system.event_names(payment_id)
