"""What people do on the providers' websites, without a webhook: the comparison books it as the provider shows it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from sqlalchemy import update

from domain.commands import Started
from domain.outcome import Approved
from domain.payment import AttemptStatus, Verb
from models import transition
from models.attempts import add_attempt
from models.movements import differences
from models.session import read, transact
from models.tables import attempts, attention
from models.task_messages import COMPARE, RECONCILE
from models.transition_locks import lock_attempt, lock_payment
from sandbox.stripe.api import Stripe
from tasks.execute import attempt_request
from tests.integration.test_comparison import METHODS, compare_after, fees, hide_events, taken
from tests.system import AMOUNT, System

pytestmark = pytest.mark.postgres

IN_PARTS = ("paypal", "klarna", "afterpay")


@pytest.fixture(autouse=True)
def _the_books_are_sums(system: System) -> Iterator[None]:
    yield
    assert read(system.engine, lambda connection: list(differences(connection))) == []


def act(system: System, payment_id: str, action: str, minor: int | None = None) -> str:
    """Act on a payment as a person on the provider's website; return the id of the refund."""
    attempt = system.attempts(payment_id)[0]
    body = {"action": action} | ({} if minor is None else {"amount": minor})
    return str(system.provider.control(f"dashboard/{attempt.provider}/{attempt.provider_reference}", body)["id"])


def totals_at_provider(system: System, payment_id: str) -> tuple[int, int]:
    """Return what the provider's ledger has captured and refunded of a payment."""
    books = requests.get(f"{system.sandbox.url}/_sandbox/books", timeout=10).json()["books"]
    named = [row for row in books if row["metadata"].get("payment_id") == payment_id]
    return sum(row["captured"] for row in named), sum(row["refunded"] for row in named)


def totals(system: System, payment_id: str) -> tuple[int, int]:
    """Return what our books have captured and refunded of a payment."""
    payment = system.payment(payment_id)
    return payment.captured, payment.refunded


def open_reasons(system: System) -> list[str]:
    """Return why something stands on the attention list."""
    return [row.reason for row in system.rows(attention) if row.closed_at is None]


@pytest.mark.parametrize("provider", ["stripe", *METHODS])
def test_two_refunds_of_a_website_are_booked_without_a_webhook(system: System, provider: str) -> None:
    payment_id, _ = taken(system, provider)
    system.run(COMPARE)
    refunds = [act(system, payment_id, "refund", minor) for minor in (400, 300)]
    if provider == "coinbase":
        for refund in refunds:
            system.provider.control(f"coinbase/{refund}/settle", {"result": "success"})
    compare_after(system, 1.1)
    assert totals(system, payment_id) == totals_at_provider(system, payment_id) == (1230, 700)
    assert open_reasons(system) == ["refund_elsewhere"]


def test_a_refund_after_another_has_given_everything_back_fails_at_once(system: System) -> None:
    payment_id, _ = taken(system, "paypal")
    act(system, payment_id, "refund")
    system.request(f"/{payment_id}/refunds", {"amount": "9.00"}, Idempotency_Key="own")
    system.run_until_idle()
    system.advance(seconds=5)
    ours, others = system.attempts(payment_id)[1:]
    assert (ours.status, ours.code, others.status) == ("failed", "fully_refunded", "succeeded")


@pytest.mark.parametrize("provider", IN_PARTS)
@pytest.mark.parametrize("refunded", [0, 500])
def test_what_is_captured_later_of_the_same_authorization_is_booked(
    system: System, provider: str, refunded: int
) -> None:
    payment_id, _ = taken(system, provider, capture=False)
    act(system, payment_id, "capture", 500)
    look_up(system, payment_id)
    assert (system.state(payment_id), totals(system, payment_id)) == ("captured", (500, 0))
    if refunded:
        system.request(f"/{payment_id}/refunds", Idempotency_Key="all")
        system.run_until_idle()
        assert system.state(payment_id) == "refunded"
    act(system, payment_id, "capture")
    look_up(system, payment_id)
    look_up(system, payment_id)
    assert totals(system, payment_id) == totals_at_provider(system, payment_id) == (1230, refunded)
    assert system.state(payment_id) == ("partially_refunded" if refunded else "captured")
    released = [row["amount"] for row in shown(system, payment_id)["movements"] if row["kind"] == "release"]
    assert released == ["-7.30", "7.30"]
    assert system.get(f"/invoices/{shown(system, payment_id)['invoice_id']}").json["open_amount"] == "0.00"


@pytest.mark.parametrize("provider", ["klarna", "afterpay"])
def test_a_later_capture_is_found_by_the_comparison(system: System, provider: str) -> None:
    payment_id, _ = taken(system, provider, capture=False)
    system.run(COMPARE)
    act(system, payment_id, "capture", 500)
    compare_after(system, 1.1)
    assert totals(system, payment_id) == (500, 0)
    act(system, payment_id, "capture")
    compare_after(system, 2.1)
    assert totals(system, payment_id) == totals_at_provider(system, payment_id) == (1230, 0)
    assert open_reasons(system) == []


@pytest.mark.parametrize("provider", ["klarna", "afterpay"])
def test_a_refund_after_the_first_comparison_is_found_by_the_next(system: System, provider: str) -> None:
    payment_id, _ = taken(system, provider)
    system.run(COMPARE)
    compare_after(system, 1.1)
    act(system, payment_id, "refund", 500)
    compare_after(system, 2.1)
    assert totals(system, payment_id) == totals_at_provider(system, payment_id) == (1230, 500)


def test_the_fee_of_each_capture_is_booked(system: System) -> None:
    payment_id, _ = taken(system, "paypal", capture=False)
    system.run(COMPARE)
    act(system, payment_id, "capture", 500)
    look_up(system, payment_id)
    compare_after(system, 1.1)
    assert len(fees(system, payment_id)) == 1
    act(system, payment_id, "capture")
    look_up(system, payment_id)
    compare_after(system, 2.1)
    assert len(fees(system, payment_id)) == 2


@pytest.mark.parametrize("provider", ["stripe", *IN_PARTS])
def test_a_capture_of_a_part_that_stays_the_only_one_is_no_difference(system: System, provider: str) -> None:
    payment_id = captured_in_part(system, provider)
    system.run(COMPARE)
    system.request(f"/{payment_id}/refunds", Idempotency_Key="all")
    system.run_until_idle()
    compare_after(system, 1.1)
    assert totals(system, payment_id) == totals_at_provider(system, payment_id) == (500, 500)
    assert open_reasons(system) == []


def captured_in_part(system: System, provider: str) -> str:
    """Return a payment of which we have captured 5.00."""
    payment_id = system.pay(capture=False) if provider == "stripe" else taken(system, provider, capture=False)[0]
    system.run_until_idle()
    system.request(f"/{payment_id}/capture", {"amount": "5.00"}, Idempotency_Key="part")
    system.run_until_idle()
    return payment_id


@pytest.mark.parametrize("provider", ["stripe", *IN_PARTS])
def test_a_capture_of_a_part_ends_when_somebody_has_captured_all(system: System, provider: str) -> None:
    payment_id = held(system, provider)
    act(system, payment_id, "capture")
    capture_and_wait(system, payment_id, "6.00")
    assert totals(system, payment_id) == totals_at_provider(system, payment_id) == (1230, 0)
    assert (system.state(payment_id), open_reasons(system)) == ("captured", ["amount_mismatch"])


def test_a_capture_beside_another_one_is_booked_with_it(system: System) -> None:
    payment_id = held(system, "klarna")
    act(system, payment_id, "capture", 500)
    capture_and_wait(system, payment_id, "6.00")
    assert totals(system, payment_id) == totals_at_provider(system, payment_id) == (1100, 0)
    assert (system.state(payment_id), open_reasons(system)) == ("captured", ["amount_mismatch"])


def held(system: System, provider: str) -> str:
    """Return a payment of 12.30 that is authorized."""
    payment_id = system.pay(capture=False) if provider == "stripe" else taken(system, provider, capture=False)[0]
    system.run_until_idle()
    return payment_id


def capture_and_wait(system: System, payment_id: str, amount: str) -> None:
    """Capture a part, and wait for an hour in which its outcome is looked up."""
    system.request(f"/{payment_id}/capture", {"amount": amount}, Idempotency_Key="part")
    system.run_until_idle()
    for _ in range(3):
        system.advance(minutes=20)


def shown(system: System, payment_id: str) -> dict[str, Any]:
    """Return a payment as the API shows it."""
    payment: dict[str, Any] = system.get(f"/{payment_id}").json
    return payment


def look_up(system: System, payment_id: str) -> None:
    """Look the charge of a payment up, as a webhook of its provider would make us do."""
    attempt = system.attempts(payment_id)[0]
    request = system.runtime.change("test", lambda change: requested(change, attempt.id))
    outcome = system.runtime.gateways[attempt.provider].retrieve(request)
    system.runtime.change("test", transition.apply, attempt.id, outcome)
    system.run_until_idle()


def requested(change: Any, attempt_id: str) -> Any:
    """Return the request of an attempt."""
    return attempt_request(change, lock_attempt(change.connection, attempt_id))


# --- what a refusal of ours tells of ---


@pytest.mark.parametrize("provider", ["stripe", "paypal", "klarna", "afterpay"])
def test_a_refund_that_is_refused_because_of_another_one_books_that_at_once(system: System, provider: str) -> None:
    hide_events(system)
    payment_id, _ = taken(system, provider)
    act(system, payment_id, "refund", 1000)
    system.request(f"/{payment_id}/refunds", Idempotency_Key="all")
    system.run_until_idle()
    for _ in range(6):
        system.advance(minutes=10)
    ours = system.attempts(payment_id)[1]
    assert (ours.verb, ours.status) == ("refund", "failed")
    assert totals(system, payment_id) == totals_at_provider(system, payment_id) == (1230, 1000)
    assert open_reasons(system) == ["refund_elsewhere"]
    system.request(f"/{payment_id}/refunds", Idempotency_Key="rest")
    system.run_until_idle()
    assert totals(system, payment_id) == (1230, 1230)


# --- what a look-up shows beside what it was made for ---


def look_up_now(system: System, attempt_id: str) -> None:
    """Let a look-up of an attempt be due, and a worker make it."""
    due = update(attempts).where(attempts.c.id == attempt_id).values(due_at=system.now())
    transact(system.engine, lambda connection: connection.execute(due))
    system.run(RECONCILE, attempt_id)
    system.run_until_idle()


def finish_refunds(system: System, provider: str, *references: str) -> None:
    """Let refunds come to their end where they take a while."""
    if provider == "coinbase":
        for reference in references:
            system.provider.control(f"coinbase/{reference}/settle", {"result": "success"})
    system.advance(hours=1)


@pytest.mark.parametrize("provider", ["stripe", *METHODS])
def test_any_look_up_of_a_payment_books_its_refunds_of_a_website(system: System, provider: str) -> None:
    hide_events(system)
    payment_id, _ = taken(system, provider)
    refunds = [act(system, payment_id, "refund", minor) for minor in (400, 300)]
    look_up_now(system, system.attempts(payment_id)[0].id)
    assert sorted((row.verb, row.amount) for row in system.attempts(payment_id)[1:]) == [
        ("refund", 300),
        ("refund", 400),
    ]
    finish_refunds(system, provider, *refunds)
    assert totals(system, payment_id) == totals_at_provider(system, payment_id) == (1230, 700)
    look_up_now(system, system.attempts(payment_id)[0].id)
    assert totals(system, payment_id) == (1230, 700)
    assert (system.state(payment_id), open_reasons(system)) == ("partially_refunded", ["refund_elsewhere"])


@pytest.mark.parametrize("provider", METHODS)
def test_a_refund_of_ours_books_another_one_that_its_answer_shows(system: System, provider: str) -> None:
    hide_events(system)
    payment_id, _ = taken(system, provider)
    other = act(system, payment_id, "refund", 400)
    finish_refunds(system, provider, other)
    system.request(f"/{payment_id}/refunds", {"amount": "5.00"}, Idempotency_Key="own")
    system.run_until_idle()
    ours = system.attempts(payment_id)[1]
    finish_refunds(system, provider, str(ours.provider_reference))
    assert sorted(row.amount for row in system.attempts(payment_id)[1:]) == [400, 500]
    assert totals(system, payment_id) == totals_at_provider(system, payment_id) == (1230, 900)


@pytest.mark.parametrize("provider", ["stripe", *METHODS])
def test_a_refund_of_ours_that_is_under_way_stays_ours_in_every_look_up(system: System, provider: str) -> None:
    hide_events(system)
    payment_id, gateway = taken(system, provider)
    system.request(f"/{payment_id}/refunds", {"amount": "5.00"}, Idempotency_Key="own")
    refund_sent_and_lost(system, payment_id, gateway)
    look_up_now(system, system.attempts(payment_id)[0].id)
    assert [row.verb for row in system.attempts(payment_id)[1:]] == ["refund"]
    system.advance(minutes=2)
    finish_refunds(system, provider, str(system.attempts(payment_id)[1].provider_reference))
    assert [row.verb for row in system.attempts(payment_id)[1:]] == ["refund"]
    assert totals(system, payment_id) == totals_at_provider(system, payment_id) == (1230, 500)
    assert open_reasons(system) == []


def refund_sent_and_lost(system: System, payment_id: str, gateway: Any) -> None:
    """Let a worker send a refund and die before it stores anything of the response."""
    attempt = system.attempts(payment_id)[1]

    def claimed(change: Any) -> Any:
        transition.apply(change, attempt.id, Started())
        return requested(change, attempt.id)

    gateway.refund(system.runtime.change("test", claimed))


# --- a refund of ours that was booked as failed ---


def failed_refund(system: System, card: str) -> tuple[str, Any]:
    """Return a payment, and a refund of 4.00 of it that is booked as failed."""
    hide_events(system)
    payment_id = system.pay(card=card)
    system.run_until_idle()
    system.run(COMPARE)
    system.request(f"/{payment_id}/refunds", {"amount": "4.00"}, Idempotency_Key="own")
    system.run_until_idle()
    refund = system.attempts(payment_id)[1]
    system.provider.decide_at_bank(refund.provider_reference, "failure")
    hear_of(system, "webhook", payment_id, refund)
    refund = system.attempts(payment_id)[1]
    assert (refund.status, totals(system, payment_id)) == ("failed", (AMOUNT, 0))
    return payment_id, refund


def at_stripe(system: System, refund: Any) -> Any:
    """Return a refund as Stripe has it."""
    return system.sandbox.state.provider_of(Stripe).account.refunds[refund.provider_reference]


def hear_of(system: System, way: str, payment_id: str, refund: Any) -> None:
    """Let what became of a refund come to us in one of the ways there are."""
    match way:
        case "look-up":
            look_up_now(system, system.attempts(payment_id)[0].id)
        case "webhook":
            event = {"id": f"evt_{secrets.token_hex(4)}", "object": "event", "type": "refund.updated"}
            event |= {"livemode": False, "data": {"object": dict(at_stripe(system, refund))}}
            assert system.deliver_and_run(event).status == "applied"
        case "comparison":
            system.run(COMPARE, system.attempts(payment_id)[0].id)
    system.advance(minutes=1)


@pytest.mark.parametrize("way", ["look-up", "webhook", "comparison"])
@pytest.mark.parametrize("card", ["pm_card_pendingRefund", "pm_card_refundFail"])
def test_a_refund_of_ours_that_failed_is_booked_if_its_provider_shows_it_as_given(
    system: System, card: str, way: str
) -> None:
    """Also one that was booked as given before it failed: nothing stops the money from moving once more."""
    payment_id, refund = failed_refund(system, card)
    body = at_stripe(system, refund)
    for status, given in (("succeeded", 400), ("failed", 0), ("succeeded", 400)):
        body["status"] = status
        for _ in range(2):
            hear_of(system, way, payment_id, refund)
            assert totals(system, payment_id) == (AMOUNT, given)
            assert system.attempts(payment_id)[1].status == status
    assert (system.state(payment_id), open_reasons(system)) == ("partially_refunded", [])
    refused = system.post(f"/{payment_id}/refunds", {"amount": "8.31"}, Idempotency_Key="more")
    assert (refused.status_code, "8.30" in refused.text) == (422, True)


def test_a_refund_that_came_back_and_is_pending_once_more_is_booked_when_it_is_given(system: System) -> None:
    payment_id, refund = failed_refund(system, "pm_card_refundFail")
    for status, given in (("pending", 0), ("succeeded", 400), ("failed", 0)):
        at_stripe(system, refund)["status"] = status
        hear_of(system, "webhook", payment_id, refund)
        assert (system.attempts(payment_id)[1].status, totals(system, payment_id)) == (status, (AMOUNT, given))


@pytest.mark.parametrize("way", ["look-up", "webhook", "comparison"])
def test_a_refund_that_failed_counts_as_given_while_its_provider_shows_it_as_pending(system: System, way: str) -> None:
    payment_id, refund = failed_refund(system, "pm_card_pendingRefund")
    at_stripe(system, refund)["status"] = "pending"
    hear_of(system, way, payment_id, refund)
    assert system.attempts(payment_id)[1].status == "pending"
    refused = system.post(f"/{payment_id}/refunds", {"amount": "8.31"}, Idempotency_Key="more")
    assert (refused.status_code, "8.30" in refused.text) == (422, True)


def test_a_refund_that_was_repeated_and_is_given_after_all_is_booked_beside_the_other(system: System) -> None:
    payment_id, refund = failed_refund(system, "pm_card_pendingRefund")
    system.request(f"/{payment_id}/refunds", Idempotency_Key="again")
    system.run_until_idle()
    again = system.attempts(payment_id)[2]
    system.provider.decide_at_bank(again.provider_reference, "success")
    hear_of(system, "webhook", payment_id, again)
    assert (system.state(payment_id), totals(system, payment_id)) == ("refunded", (AMOUNT, AMOUNT))
    at_stripe(system, refund)["status"] = "succeeded"
    hear_of(system, "webhook", payment_id, refund)
    assert (system.state(payment_id), totals(system, payment_id)) == ("refunded", (AMOUNT, AMOUNT + 400))
    [entry] = system.rows(attention)
    assert (entry.reason, entry.payment_id, entry.amount) == ("refund_elsewhere", payment_id, 400)


# --- a duplicate that grows ---


def taken_twice_in_part(system: System, provider: str) -> tuple[str, Any]:
    """Return a payment that a bank card has paid, and its other charge, of which a person has captured 5.00 besides."""
    payment_id, _ = taken(system, provider, capture=False)
    charge = system.attempts(payment_id)[0]
    act(system, payment_id, "capture", 500)
    paid_otherwise = Approved("pi_other", authorized=AMOUNT, captured=AMOUNT)

    def pay_otherwise(change: Any) -> None:
        payment = lock_payment(change.connection, payment_id)
        columns = {"provider": "stripe", "status": AttemptStatus.IN_DOUBT}
        other = add_attempt(change, payment, Verb.AUTHORIZE, AMOUNT, **columns)
        transition.apply(change, other.row_id, paid_otherwise)

    system.runtime.change("test", pay_otherwise)
    look_up_now(system, charge.id)
    assert (totals(system, payment_id), system.payment(payment_id).duplicated) == ((AMOUNT, 0), 500)
    return payment_id, charge


@pytest.mark.parametrize("provider", IN_PARTS)
def test_what_is_captured_later_of_a_duplicate_is_a_duplicate_too(system: System, provider: str) -> None:
    payment_id, _ = taken_twice_in_part(system, provider)
    act(system, payment_id, "capture")
    for _ in range(2):
        look_up(system, payment_id)
    assert (totals(system, payment_id), system.payment(payment_id).duplicated) == ((AMOUNT, 0), AMOUNT)
    [entry] = system.rows(attention, attention.c.reason == "duplicate")
    assert entry.amount == AMOUNT
    details = system.get(f"/admin/attention/{entry.id}", caller="operator").json["details"]
    assert [detail["amount"] for detail in details] == ["5.00", "7.30"]


@pytest.mark.parametrize("provider", ["klarna", "afterpay"])
def test_all_that_a_duplicate_has_taken_is_given_back_by_one_decision(system: System, provider: str) -> None:
    payment_id, charge = taken_twice_in_part(system, provider)
    act(system, payment_id, "capture")
    look_up(system, payment_id)
    [entry] = system.rows(attention, attention.c.reason == "duplicate")
    body = {"action": "give_back", "note": "told the customer"}
    given = system.post(f"/admin/attention/{entry.id}/resolve", body, caller="operator", Idempotency_Key="back")
    assert given.status_code == 202
    system.run_until_idle()
    for _ in range(6):
        system.advance(minutes=10)
    refunds = [row for row in system.attempts(payment_id) if row.verb == "refund"]
    assert [(row.amount, row.charge_reference) for row in refunds] == [(AMOUNT, charge.provider_reference)]
    assert (totals(system, payment_id), system.payment(payment_id).duplicated) == ((AMOUNT, 0), 0)
    assert "duplicate" not in open_reasons(system)


def test_what_is_captured_of_a_duplicate_that_was_given_back_is_a_duplicate_again(system: System) -> None:
    payment_id, _ = taken_twice_in_part(system, "klarna")
    act(system, payment_id, "refund", 500)
    look_up_now(system, system.attempts(payment_id)[0].id)
    system.advance(minutes=1)
    assert system.payment(payment_id).duplicated == 0
    act(system, payment_id, "capture")
    look_up(system, payment_id)
    assert (totals(system, payment_id), system.payment(payment_id).duplicated) == ((AMOUNT, 0), AMOUNT - 500)
    assert "duplicate" in open_reasons(system)
