"""What Stripe tells of saved methods: stored as facts, acted on once, in whatever order the events come."""

from __future__ import annotations

from typing import Any

import pytest

from domain.saved_method import token_hash
from models.tables import events, saved_methods
from tests.system import INSUFFICIENT_FUNDS, Json, System

pytestmark = pytest.mark.postgres


def save_card(system: System, card: str = "pm_card_visa", **more: Any) -> str:
    """Save a card for the user; return its token."""
    path, body = "/customers/user/payment-methods", {"payment_method_token": card} | more
    return str(system.request(path, body)["payment_method_token"])


def updated(system: System, token: str, by: str = "updater", **changes: Any) -> Json:
    """Let a saved card change at Stripe; return the event."""
    system.provider.control(f"methods/{token}/update", {"by": by} | (changes or {"exp_year": 2041, "exp_month": 5}))
    type = "automatically_updated" if by == "updater" else "updated"
    return system.provider.event(f"payment_method.{type}", token)


def known(system: System, token: str) -> Any:
    """Return what is known of a saved method."""
    [row] = system.rows(saved_methods, saved_methods.c.token_hash == token_hash(token))
    return row


def brought_forward(system: System, payment_id: str) -> list[Any]:
    """Return who has caused the tries of a payment beside the plan."""
    return [row.cause for row in system.attempts(payment_id) if row.cause not in (None, "dunning")]


def in_dunning(system: System, card: str, **more: Any) -> str:
    """Return a payment of a saved card that waits for its first retry."""
    payment_id = system.subscribe("inv", card, off_session=True, **more)
    assert system.state(payment_id) == "past_due"
    return payment_id


def declining_card(system: System, *then: str) -> str:
    """Save a card whose first charge is declined; return its token."""
    script = system.provider.scripted_card("insufficient_funds", *(then or ("success",)))
    return save_card(system, script)


# --- facts ---


def test_an_attached_and_an_updated_method_are_known_by_hash_with_owner_and_expiry(system: System) -> None:
    token = save_card(system)
    system.deliver_and_run(system.provider.event("payment_method.attached", token))
    row = known(system, token)
    assert (row.application, row.user_id, row.kind, row.brand, row.last4) == (
        *("shop", "user", "credit_card", "visa", "4242"),
    )
    assert (row.status, row.is_default, row.token) == ("active", False, None)
    system.move_clock(seconds=5)
    assert system.deliver_and_run(updated(system, token)).status == "applied"
    assert known(system, token).expires == "2041-05"
    system.provider.call("POST", f"/v1/payment_methods/{token}/detach")
    system.deliver_and_run(system.provider.event("payment_method.detached", token))
    assert (known(system, token).status, known(system, token).user_id) == ("detached", "user")


def test_an_older_event_changes_nothing_and_what_is_detached_stays_so(system: System) -> None:
    token = save_card(system)
    attached = system.provider.event("payment_method.attached", token)
    system.move_clock(seconds=5)
    first = updated(system, token, exp_year=2041, exp_month=5)
    system.move_clock(seconds=5)
    second = updated(system, token, exp_year=2042, exp_month=6)
    system.provider.call("POST", f"/v1/payment_methods/{token}/detach")
    detached = system.provider.event("payment_method.detached", token)
    for event in (second, detached, first, attached):
        system.deliver_and_run(event)
    assert (known(system, token).expires, known(system, token).status) == ("2042-06", "detached")


def test_a_card_that_changes_in_the_second_in_which_it_was_saved_is_known_as_it_is_then(system: System) -> None:
    token = save_card(system)
    saved = system.provider.event("payment_method.attached", token)
    system.deliver_and_run(saved)
    changed = updated(system, token, exp_year=2029, exp_month=7) | {"created": saved["created"]}
    system.deliver_and_run(changed)
    assert known(system, token).expires == "2029-07"


def test_a_card_of_the_older_api_that_expires_is_known(system: System) -> None:
    customer = system.request("/setup-intent", {"user_id": "user"})["customer_token"]
    emitted = {"event_type": "customer.source.expiring", "customer": customer}
    system.provider.control("billing/card_old/emit", emitted)
    row = system.deliver_and_run(system.provider.event("customer.source.expiring", "card_old"))
    assert row.status == "applied"
    assert "Jo Example" not in row.payload
    assert (known(system, "card_old").user_id, known(system, "card_old").expires) == ("user", "2030-12")


# --- a changed method is tried now, once ---


@pytest.mark.parametrize(("by", "cause"), [("updater", "updater"), ("customer", "method_updated")])
def test_an_updated_card_is_tried_at_once_and_once(system: System, by: str, cause: str) -> None:
    token = declining_card(system)
    payment_id = in_dunning(system, token)
    event = updated(system, token, by)
    system.deliver_and_run(event)
    assert system.state(payment_id) == "captured"
    assert brought_forward(system, payment_id) == [cause]
    # The same change told once more, and the same event delivered again.
    system.deliver_and_run(event | {"id": "evt_again"})
    system.deliver_and_run(event)
    assert brought_forward(system, payment_id) == [cause]
    assert system.provider.movements() == [("charge", 1230)]


def test_a_repeated_event_causes_no_second_try_where_the_first_is_declined_again(system: System) -> None:
    token = declining_card(system, "insufficient_funds", "success")
    payment_id = in_dunning(system, token)
    event = updated(system, token)
    for id in ("evt_first", "evt_second", "evt_third"):
        system.deliver_and_run(event | {"id": id})
    assert len(system.attempts(payment_id)) == 2
    assert brought_forward(system, payment_id) == ["updater"]
    assert system.state(payment_id) == "past_due"


def test_a_changed_default_is_tried_for_a_payment_that_names_no_card(system: System) -> None:
    script = system.provider.scripted_card("insufficient_funds", "success")
    token = save_card(system, script, default=True)
    payment_id = in_dunning(system, token, payment_method_token=None)
    system.deliver_and_run(updated(system, token))
    assert system.state(payment_id) == "captured"


def test_another_card_or_another_user_is_not_tried(system: System) -> None:
    payment_id = in_dunning(system, declining_card(system))
    other = save_card(system, "pm_card_mastercard")
    system.deliver_and_run(updated(system, other))
    theirs = system.request("/customers/bob/payment-methods", {"payment_method_token": "pm_card_visa"})
    system.deliver_and_run(updated(system, theirs["payment_method_token"]))
    assert (system.state(payment_id), brought_forward(system, payment_id)) == ("past_due", [])


def test_a_payment_in_grace_is_collected_by_a_changed_card(system: System) -> None:
    token = declining_card(system, "expired_card", "success")
    payment_id = in_dunning(system, token)
    system.advance(days=3, minutes=1)
    assert system.state(payment_id) == "in_grace"
    system.deliver_and_run(updated(system, token))
    assert (system.state(payment_id), system.subscription_status()) == ("captured", "active")
    assert brought_forward(system, payment_id) == ["updater"]


@pytest.mark.parametrize(("by", "state"), [("updater", "captured"), ("customer", "in_grace")])
def test_only_a_new_number_lets_a_dead_card_be_charged_again(system: System, by: str, state: str) -> None:
    token = declining_card(system, "lost_card", "success")
    payment_id = in_dunning(system, token)
    system.advance(days=3, minutes=1)
    assert system.state(payment_id) == "in_grace"
    system.deliver_and_run(updated(system, token, by))
    assert system.state(payment_id) == state


def test_a_new_billing_address_is_no_reason_to_try_again(system: System) -> None:
    token = declining_card(system)
    payment_id = in_dunning(system, token)
    event = updated(system, token, "customer")
    event["data"]["previous_attributes"] = {"billing_details": {"email": None}}
    system.deliver_and_run(event)
    assert (system.state(payment_id), brought_forward(system, payment_id)) == ("past_due", [])


# --- a mandate that ends ---


def debit(system: System, token: str, invoice: str, **changes: Any) -> str:
    """Request a debit of a saved account while the customer is away; return the payment's id."""
    fields = {"payment_method": "sepa_debit", "off_session": True} | changes
    payment_id = system.pay(invoice, token, **fields)
    system.run_until_idle()
    return payment_id


def mandate(system: System, token: str, status: str) -> Json:
    """Let the mandate of a saved account change at Stripe; return the event."""
    found = system.provider.control(f"methods/{token}/mandate", {"status": status})
    return system.provider.event("mandate.updated", found["id"])


def test_a_method_without_an_active_mandate_is_not_charged_while_the_customer_is_away(system: System) -> None:
    account = system.provider.saved_bank_account()
    token, customer = account["card"], {"customer_token": account["customer_token"]}
    first = debit(system, token, "inv-1", **customer, off_session=False)
    assert system.state(first) == "pending"
    assert system.deliver_and_run(mandate(system, token, "inactive")).status == "applied"
    before = len(system.sandbox.state.ledger.attempts)
    refused = system.payment(debit(system, token, "inv-2", **customer))
    assert (refused.state, refused.failure_code) == ("in_grace", "mandate_inactive")
    assert [row.provider_reference for row in system.attempts(refused.id)] == [None]
    assert len(system.sandbox.state.ledger.attempts) == before
    # A customer who is there agrees anew.
    assert system.state(debit(system, token, "inv-3", **customer, off_session=False)) == "pending"
    system.move_clock(seconds=5)
    system.deliver_and_run(mandate(system, token, "active"))
    assert system.state(debit(system, token, "inv-4", **customer)) == "pending"
    [changed, again] = system.rows(events, events.c.name == "mandate_changed")
    assert (changed.data["status"], again.data["status"]) == ("inactive", "active")


def test_a_customer_whom_the_application_brought_is_known_as_its_user_s(system: System) -> None:
    account = system.provider.saved_bank_account()
    token = account["card"]
    debit(system, token, "inv-1", customer_token=account["customer_token"], off_session=False)
    system.deliver_and_run(system.provider.event("payment_method.attached", token))
    row = known(system, token)
    assert (row.application, row.user_id, row.kind, row.last4) == ("shop", "user", "sepa_debit", "3000")


def test_an_older_event_of_a_mandate_changes_nothing(system: System) -> None:
    account = system.provider.saved_bank_account()
    token = account["card"]
    debit(system, token, "inv-1", customer_token=account["customer_token"], off_session=False)
    older = mandate(system, token, "inactive")
    system.move_clock(seconds=5)
    newer = mandate(system, token, "active")
    for event in (newer, older):
        system.deliver_and_run(event)
    assert known(system, token).status == "active"


def test_a_removed_card_is_not_charged_by_a_retry(system: System) -> None:
    token = save_card(system, system.provider.scripted_card("insufficient_funds", "success"))
    payment_id = in_dunning(system, token)
    system.provider.call("POST", f"/v1/payment_methods/{token}/detach")
    system.deliver_and_run(system.provider.event("payment_method.detached", token))
    system.advance(days=3, minutes=1)
    assert (system.state(payment_id), system.payment(payment_id).failure_code) == ("in_grace", "method_detached")


def test_a_removed_card_is_not_tried_by_a_late_event_about_its_update(system: System) -> None:
    token = save_card(system, system.provider.scripted_card("insufficient_funds", "success"))
    payment_id = in_dunning(system, token)
    event = updated(system, token)
    system.provider.call("POST", f"/v1/payment_methods/{token}/detach")
    detached = system.provider.event("payment_method.detached", token)
    system.deliver_and_run(detached)
    system.deliver_and_run(event | {"created": detached["created"] + 1})
    assert (system.state(payment_id), brought_forward(system, payment_id)) == ("past_due", [])


def test_an_unknown_card_is_charged_as_before(system: System) -> None:
    payment_id = system.subscribe("inv", INSUFFICIENT_FUNDS)
    assert system.state(payment_id) == "past_due"
