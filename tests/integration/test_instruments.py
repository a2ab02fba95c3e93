"""Cards and accounts that were declined: a dead one is not tried again, limits hold, unknown codes are kept."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from domain.decision import Policy
from models.tables import events, instruments
from models.task_messages import CHARGE
from tests.system import System, payment_request

pytestmark = pytest.mark.postgres

DAY = timedelta(days=1)
UNFUNDED = {"decline_code": "insufficient_funds"}


def limit(system: System, monkeypatch: pytest.MonkeyPatch, visa_cap: int) -> None:
    """Let the operator's limit of tries be this."""
    policy = Policy(visa_cap=visa_cap)
    monkeypatch.setattr(system, "runtime", replace(system.runtime, policy=policy))


def off_session(system: System, invoice: str, card: str, **changes: Any) -> Any:
    """Request a payment of an absent customer; return the response."""
    return system.post(
        "/process", payment_request(invoice, card) | {"off_session": True} | changes, Idempotency_Key=invoice
    )


def tries_at_provider(system: System) -> int:
    """Return how many requests have reached an issuer or a bank."""
    return len(system.sandbox.state.ledger.attempts)


def told(system: System, payment_id: str, name: str) -> dict[str, Any]:
    """Return what the last event of this name records."""
    row = system.rows(events, events.c.payment_id == payment_id, events.c.name == name)[-1]
    return dict(row.data or {})


def due_at(system: System, payment_id: str) -> datetime:
    due: datetime = system.dunning_case(payment_id).due_at
    return due


# --- dead instruments, and consents that are withdrawn ---


@pytest.mark.parametrize(
    "decline",
    ["lost_card", "fraudulent", {"decline_code": "do_not_honor", "network_decline_code": "5C"}],
    ids=["lost", "fraudulent", "5C"],
)
def test_a_dead_card_is_never_charged_again_while_its_customer_is_away(system: System, decline: Any) -> None:
    card = system.provider.scripted_card(decline, "success")
    payment_id = system.subscribe("inv", card)
    assert system.state(payment_id) == "in_grace"
    assert told(system, payment_id, "instrument_blocked")["class"] == "hard"

    refused = off_session(system, "next", card)
    assert (refused.status_code, refused.json["type"].rpartition("/")[2]) == (422, "instrument_blocked")
    assert "dead" in refused.json["detail"]
    for _ in range(20):
        system.advance(days=1)
    assert tries_at_provider(system) == 1


def test_the_customer_may_still_try_a_dead_card_themselves(system: System) -> None:
    card = system.provider.scripted_card("lost_card", "success")
    system.subscribe("inv", card)
    present = system.pay("next", card, off_session=False)
    system.run_until_idle()
    assert system.state(present) == "captured"


@pytest.mark.parametrize(
    "decline",
    ["revocation_of_authorization", {"decline_code": "do_not_honor", "network_decline_code": "9G"}],
    ids=["revocation", "9G"],
)
def test_a_withdrawn_consent_ends_the_mandate(system: System, decline: Any) -> None:
    card = system.provider.scripted_card(decline, "success")
    payment_id = system.subscribe("inv", card)
    assert (system.state(payment_id), system.subscription_status()) == ("uncollectible", "canceled")
    refused = off_session(system, "next", card)
    assert refused.status_code == 422
    assert "withdrawn their consent" in refused.json["detail"]


def test_a_charge_that_waits_is_not_sent_once_its_card_is_dead(system: System) -> None:
    card = system.provider.scripted_card("lost_card", "success")
    first, second = (system.pay(invoice, card, subscription_id=invoice) for invoice in ("one", "two"))
    system.run_until_idle()
    assert [system.state(payment_id) for payment_id in (first, second)] == ["in_grace", "in_grace"]
    assert tries_at_provider(system) == 1
    [unsent] = system.attempts(second)
    assert (unsent.status, unsent.code, unsent.provider_reference) == ("failed", "instrument_dead", None)
    assert told(system, second, "grace_started")["rule"] == "instrument_dead"


def test_a_dead_card_is_not_charged_as_the_customer_s_default(system: System) -> None:
    card = system.provider.scripted_card("lost_card", "success")
    system.request("/customers/user/payment-methods", {"payment_method_token": card, "default": True})
    paid = []
    for invoice in ("one", "two"):
        left_to_provider = payment_request(invoice, card) | {"subscription_id": invoice}
        del left_to_provider["payment_method_token"]
        paid.append(system.accept(left_to_provider)["id"])
        system.run_until_idle()
    assert [system.attempts(payment_id)[0].code for payment_id in paid] == ["card_declined", "instrument_blocked"]
    assert [system.state(payment_id) for payment_id in paid] == ["in_grace", "in_grace"]
    assert tries_at_provider(system) == 1


def test_another_user_s_card_is_not_blocked(system: System) -> None:
    card = system.provider.scripted_card("lost_card", "success")
    system.subscribe("inv", card)
    assert off_session(system, "theirs", card, user_id="other").status_code == 202


def test_an_authentication_that_is_wanted_off_session_needs_the_customer(system: System) -> None:
    card = system.provider.scripted_card("authentication_required")
    payment_id = system.subscribe("inv", card)
    assert system.attempts(payment_id)[0].decline_class == "needs_customer"
    assert system.state(payment_id) == "in_grace"
    assert system.rows(instruments)[0].blocked_as is None


def test_a_debit_without_authorization_blocks_the_account(system: System) -> None:
    debit = {"payment_method": "ach_debit", "currency": "USD"}
    payment_id = system.subscribe("inv", "pm_usBankAccount_debitNotAuthorized", **debit)
    system.provider.decide_at_bank(system.reference(payment_id), "failure")
    system.advance(days=5)
    assert system.state(payment_id) == "in_grace"
    assert off_session(system, "next", "pm_usBankAccount_debitNotAuthorized", **debit).status_code == 422


# --- the networks' limits ---


def test_a_retry_beyond_the_limit_is_not_sent_and_leads_to_grace(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(system, monkeypatch, 2)
    payment_id = system.subscribe("inv", system.provider.scripted_card("insufficient_funds"))
    for _ in range(8):
        system.advance(days=1, minutes=1)
    assert [row.status for row in system.attempts(payment_id)] == ["declined", "declined", "failed"]
    assert tries_at_provider(system) == 2
    assert system.state(payment_id) == "in_grace"
    refusal = told(system, payment_id, "grace_started")
    assert refusal["rule"] == "visa_30_days"
    assert "read 2026-11-23" in refusal["source"]


def test_a_retry_waits_for_the_day_on_which_the_limit_allows_it(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(system, monkeypatch, 3)
    card = system.provider.scripted_card(*["insufficient_funds"] * 3, "success")
    for invoice in ("one", "two"):
        system.pay(invoice, card)
        system.run_until_idle()
    system.advance(days=26)
    payment_id = system.subscribe("inv", card)
    system.advance(days=3, minutes=1)
    assert tries_at_provider(system) == 3
    refusal, case = told(system, payment_id, "retry_scheduled"), system.dunning_case(payment_id)
    assert refusal["rule"] == "visa_30_days"
    assert (case.state, case.retry) == ("retrying", 1)
    assert case.due_at >= datetime.fromisoformat(refusal["until"])
    system.advance(days=1, hours=1)
    assert (system.state(payment_id), tries_at_provider(system)) == ("captured", 4)


def test_the_customer_s_own_tries_count_and_end_at_the_limit(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    limit(system, monkeypatch, 2)
    card = system.provider.scripted_card("insufficient_funds")
    tried = [system.pay(f"inv-{number}", card) for number in range(3)]
    system.run_until_idle()
    assert [system.state(payment_id) for payment_id in tried] == ["declined", "declined", "failed"]
    assert system.payment(tried[2]).failure_code == "visa_30_days"
    other_amount = system.pay("other", card, amount="9.99")
    system.run_until_idle()
    assert system.state(other_amount) == "declined"


def test_a_try_that_is_under_way_counts(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    limit(system, monkeypatch, 2)
    card = system.provider.scripted_card("insufficient_funds")
    system.pay("inv-0", card)
    system.run_until_idle()
    one, two = system.pay("inv-1", card), system.pay("inv-2", card)
    second = system.attempts(two)[0].id
    system.during_next("charge", lambda: system.run(CHARGE, second))
    system.run_until_idle()
    assert [system.state(payment_id) for payment_id in (one, two)] == ["declined", "failed"]
    assert tries_at_provider(system) == 2


def test_workers_at_once_share_the_last_try(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    limit(system, monkeypatch, 2)
    card = system.provider.scripted_card("insufficient_funds")
    system.pay("inv-0", card)
    system.run_until_idle()
    waiting = [system.pay(f"inv-{number}", card) for number in range(1, 5)]
    system.messages.clear()
    workers = [
        threading.Thread(target=system.run, args=(CHARGE, system.attempts(payment_id)[0].id)) for payment_id in waiting
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(system.state(payment_id) for payment_id in waiting) == ["declined", "failed", "failed", "failed"]
    assert tries_at_provider(system) == 2


def test_a_debit_is_presented_again_twice(system: System) -> None:
    debit = {"payment_method": "ach_debit", "currency": "USD"}
    payment_id = system.subscribe("inv", "pm_usBankAccount_insufficientFunds", **debit)
    for _ in range(20):
        for row in system.attempts(payment_id):
            if row.status == "pending":
                system.provider.decide_at_bank(row.provider_reference, "failure")
        system.advance(hours=24, minutes=5)
    statuses = [row.status for row in system.attempts(payment_id)]
    assert statuses == ["declined", "declined", "declined", "failed"]
    assert {row.network for row in system.attempts(payment_id)[:3]} == {"ach"}
    assert told(system, payment_id, "grace_started")["rule"] == "ach_2_re_presentments"


# --- advice, and what is learned ---


def test_a_retry_waits_as_long_as_mastercard_advises(system: System) -> None:
    told_to_wait = UNFUNDED | {"network_advice_code": "30"}
    payment_id = system.subscribe("inv", system.provider.scripted_card(told_to_wait, brand="mastercard"))
    assert system.attempts(payment_id)[0].network == "mastercard"
    assert due_at(system, payment_id) - system.payment(payment_id).created_at >= 10 * DAY


def test_an_issuer_that_is_down_is_asked_again_within_hours(system: System) -> None:
    payment_id = system.subscribe("inv", system.provider.scripted_card("issuer_not_available", "success"))
    assert system.dunning_case(payment_id).retry == 0
    system.advance(hours=1, minutes=1)
    assert system.state(payment_id) == "captured"


def test_a_technical_decline_that_does_not_end_becomes_a_soft_one(system: System) -> None:
    payment_id = system.subscribe("inv", system.provider.scripted_card("processing_error"))
    for _ in range(3):
        system.advance(days=1, minutes=1)
    case = system.dunning_case(payment_id)
    assert (case.retry, case.unsent, len(system.attempts(payment_id))) == (1, 0, 4)


def test_unknown_codes_are_counted_and_listed(system: System) -> None:
    strange = {"decline_code": "do_not_honor", "network_decline_code": "ZZ"}
    payment_id = system.subscribe("inv", system.provider.scripted_card(strange))
    system.advance(days=3, minutes=1)
    assert len(system.attempts(payment_id)) == 2
    [listed] = system.get("/admin/dunning/unknown-codes", caller="operator").json["codes"]
    assert (listed["provider"], listed["field"], listed["code"], listed["count"]) == (
        *("stripe", "network_decline_code", "ZZ"),
        2,
    )
    assert listed["first_seen_at"] < listed["last_seen_at"]
    assert system.get("/admin/dunning/unknown-codes").status_code == 403
