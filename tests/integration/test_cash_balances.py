"""Money that a customer transfers: it pays the customer's open payment, to whichever account number it came, or it is
shown to a person."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import Row, delete, update

from domain.cash_balance import ShownBalance
from models.ends import rows_without_end
from models.movements import differences
from models.session import read, transact
from models.tables import attention, cash_balances, movements
from models.task_messages import COMPARE
from tests.integration.test_customers import carried_out, intent, transfer
from tests.system import AMOUNT, System, running_system


@pytest.fixture
def system(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[System]:
    """A system on SQLite, which is made faster: nothing here happens at once."""
    with running_system(sqlite_url) as running:
        running.tasks_run_in(monkeypatch)
        yield running


RECEIPT = ("unmatched_receipt", AMOUNT)
USE = ("unmatched_use", -AMOUNT)


def send_money(system: System, customer: str, amount: int = AMOUNT) -> None:
    """Transfer money to a customer's account number, with no reference."""
    path = f"/v1/test_helpers/customers/{customer}/fund_cash_balance"
    system.provider.call("POST", path, {"amount": amount, "currency": "eur"})


def deliver_events(system: System) -> None:
    """Deliver every event that the provider has, oldest first, as often as this is called."""
    for event in reversed(system.provider.call("GET", "/v1/events?limit=100")["data"]):
        system.deliver_and_run(event)


def unmatched(system: System) -> list[tuple[str, int]]:
    """Return the movements that belong to no payment, and check that the books add up."""
    assert read(system.engine, lambda connection: list(differences(connection))) == []
    assert read(system.engine, rows_without_end) == []
    return [(row.kind, row.amount) for row in system.rows(movements, movements.c.payment_id.is_(None))]


def open_entries(system: System) -> list[Row[Any]]:
    """Return the open entries of the attention list."""
    return system.rows(attention, attention.c.closed_at.is_(None))


def waiting(system: System, invoice: str = "inv", **changes: Any) -> tuple[str, str]:
    """Return a payment that waits for a transfer, and its customer."""
    payment_id = carried_out(system, transfer(invoice, **changes))
    assert system.state(payment_id) == "requires_action"
    return payment_id, str(intent(system, payment_id)["customer"])


def paid_too_late(system: System) -> str:
    """Return a customer whose money came after the payment was canceled."""
    payment_id, customer = waiting(system)
    system.post(f"/{payment_id}/cancel")
    system.run_until_idle()
    assert system.state(payment_id) == "canceled"
    send_money(system, customer)
    deliver_events(system)
    return customer


def resolve(system: System, action: str, key: str = "decide") -> Any:
    """Decide on the one open entry; return the response."""
    [entry] = open_entries(system)
    body = {"action": action, "note": "asked the customer"}
    response = system.post(f"/admin/attention/{entry.id}/resolve", body, caller="operator", Idempotency_Key=key)
    system.run_until_idle()
    return response


# --- money that fits ---


def test_the_second_invoice_may_be_paid_to_the_first_account_number(system: System) -> None:
    first, customer = waiting(system, "inv-1")
    send_money(system, customer)
    deliver_events(system)
    assert system.state(first) == "captured"
    second, _ = waiting(system, "inv-2")
    send_money(system, customer)
    deliver_events(system)
    assert system.state(second) == "captured"
    assert (unmatched(system), open_entries(system)) == ([], [])


def test_money_pays_the_payment_that_waits_for_exactly_it(system: System) -> None:
    larger, customer = waiting(system, "inv-1", amount="20.00")
    exact, _ = waiting(system, "inv-2")
    send_money(system, customer)
    deliver_events(system)
    assert (system.state(larger), system.state(exact)) == ("requires_action", "captured")
    assert unmatched(system) == []


def test_an_account_that_applies_by_hand_pays_the_open_payment_all_the_same(system: System) -> None:
    opened = system.request("/setup-intent", {"user_id": "ada"})["customer_token"]
    by_hand = {"cash_balance[settings][reconciliation_mode]": "manual"}
    system.provider.call("POST", f"/v1/customers/{opened}", by_hand)
    payment_id, customer = waiting(system)
    assert customer == opened
    send_money(system, customer)
    deliver_events(system)
    assert system.state(payment_id) == "captured"


# --- money that fits nothing ---


def test_money_that_comes_after_a_cancel_is_booked_and_shown_once(system: System) -> None:
    customer = paid_too_late(system)
    deliver_events(system)
    assert unmatched(system) == [RECEIPT]
    [entry] = open_entries(system)
    assert (entry.reason, entry.amount, entry.currency) == ("unmatched_receipt", AMOUNT, "EUR")
    shown = system.get(f"/admin/attention/{entry.id}").json
    assert shown["cash_balance"]["available"] == "12.30"
    assert (shown["cash_balance"]["user_id"], shown["actions"]) == ("ada", ["give_back", "close"])
    assert [moved["kind"] for moved in shown["movements"]] == ["unmatched_receipt"]
    stripe = next(each for each in system.sandbox.state.providers if each.provider == "stripe")
    came = stripe.account.cash_transactions[-1]["created"]
    assert datetime.fromisoformat(shown["movements"][0]["moved_at"]).timestamp() == came
    assert system.get(f"/admin/attention/{entry.id}", caller="other").status_code == 404
    assert customer not in str(shown)


def test_it_pays_the_next_payment_of_the_customer_at_once(system: System) -> None:
    paid_too_late(system)
    payment_id = carried_out(system, transfer("inv"))
    deliver_events(system)
    assert system.state(payment_id) == "captured"
    assert unmatched(system) == [RECEIPT, USE]
    assert open_entries(system) == []


def test_what_is_too_much_is_shown(system: System) -> None:
    payment_id, customer = waiting(system)
    send_money(system, customer, AMOUNT + 70)
    deliver_events(system)
    assert system.state(payment_id) == "captured"
    assert unmatched(system) == [("unmatched_receipt", 70)]
    assert [entry.amount for entry in open_entries(system)] == [70]


def test_what_is_too_little_is_shown_once_its_payment_expires(system: System) -> None:
    payment_id, customer = waiting(system)
    send_money(system, customer, 500)
    deliver_events(system)
    assert (system.state(payment_id), unmatched(system)) == ("requires_action", [])
    for _ in range(20):
        system.advance(days=1)
    assert system.state(payment_id) == "expired"
    deliver_events(system)
    assert unmatched(system) == [("unmatched_receipt", 500)]


def test_a_balance_below_zero_is_shown(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    _, customer = waiting(system)
    taken_back = ShownBalance(-AMOUNT, "ccsbtxn_1")
    monkeypatch.setattr(system.gateway, "read_balance", lambda *_: taken_back)
    send_money(system, customer)
    deliver_events(system)
    assert unmatched(system) == [USE]
    assert [(entry.reason, entry.amount) for entry in open_entries(system)] == [("unmatched_receipt", -AMOUNT)]


def test_the_comparison_finds_it_without_a_webhook(system: System) -> None:
    payment_id, customer = waiting(system)
    system.run(COMPARE)
    system.post(f"/{payment_id}/cancel")
    system.run_until_idle()
    send_money(system, customer)
    system.move_clock(days=1.1)
    system.run(COMPARE)
    system.run_until_idle()
    assert (unmatched(system), len(open_entries(system))) == ([RECEIPT], 1)


def test_money_of_a_customer_that_is_not_ours_is_ignored(system: System) -> None:
    foreign = str(system.provider.call("POST", "/v1/customers")["id"])
    send_money(system, foreign)
    deliver_events(system)
    assert (system.rows(cash_balances), unmatched(system)) == ([], [])


def test_a_provider_that_is_down_is_asked_again(system: System) -> None:
    operation = "customers.cash_balance_transactions.list"
    system.provider.fail(operation, "error_before", times=2)
    paid_too_late(system)
    assert unmatched(system) == []
    system.advance(seconds=10)
    system.advance(seconds=10)
    assert unmatched(system) == [RECEIPT]


def test_a_reading_that_was_overtaken_books_nothing(system: System) -> None:
    payment_id, customer = waiting(system)
    system.post(f"/{payment_id}/cancel")
    system.run_until_idle()
    send_money(system, customer)

    def meanwhile() -> None:
        send_money(system, customer, 70)
        system.deliver(system.provider.call("GET", "/v1/events?limit=1")["data"][0])
        system.run_until_idle()

    system.during_next("read_balance", meanwhile, after_response=True)
    deliver_events(system)
    assert sum(amount for _, amount in unmatched(system)) == AMOUNT + 70
    [balance] = system.rows(cash_balances)
    assert (balance.available, balance.due_at) == (AMOUNT + 70, None)


# --- what a person may do ---


def test_it_is_given_back_by_one_decision(system: System) -> None:
    customer = paid_too_late(system)
    response = resolve(system, "give_back")
    assert (response.status_code, response.json["closed_at"]) == (202, None)
    assert unmatched(system) == [RECEIPT, USE]
    assert open_entries(system) == []
    [refund] = system.provider.call("GET", "/v1/refunds")["data"]
    assert (refund["amount"], refund["customer"], refund["payment_intent"]) == (AMOUNT, customer, None)


@pytest.mark.parametrize("fault", ["timeout_after", "reset_after", "error_before", "error_stored", "reset_before"])
def test_a_return_whose_outcome_is_unknown_is_made_once(system: System, fault: str) -> None:
    paid_too_late(system)
    system.provider.fail("refunds.create", fault)
    resolve(system, "give_back")
    for _ in range(9):
        system.advance(minutes=6)
    assert (unmatched(system), open_entries(system)) == ([RECEIPT, USE], [])
    assert len(system.provider.call("GET", "/v1/refunds")["data"]) == 1


def test_a_return_keeps_its_key_while_its_call_may_still_run(system: System) -> None:
    paid_too_late(system)
    system.provider.fail("refunds.create", "reset_before", times=None)
    resolve(system, "give_back")
    [key] = [row.return_key for row in system.rows(cash_balances)]
    for _ in range(8):
        system.advance(minutes=6)
        assert [row.return_key for row in system.rows(cash_balances)] == [key]


def test_a_return_gets_no_new_key_once_the_balance_has_changed(system: System) -> None:
    """What has come may be the very amount that was given back under the old key."""
    customer = paid_too_late(system)
    system.provider.fail("refunds.create", "error_stored")
    resolve(system, "give_back")
    [key] = [row.return_key for row in system.rows(cash_balances)]
    send_money(system, customer, 70)
    for _ in range(7):
        system.advance(minutes=6)
        assert [row.return_key for row in system.rows(cash_balances)] == [key]
    for _ in range(8):
        system.advance(minutes=6)
    assert unmatched(system) == [RECEIPT, ("unmatched_receipt", 70)]
    assert [entry.data["refusal"] for entry in open_entries(system)] == ["http_500"]


def test_a_return_is_made_once_although_more_money_has_come(system: System) -> None:
    customer = paid_too_late(system)
    system.provider.fail("refunds.create", "reset_after")
    resolve(system, "give_back")
    send_money(system, customer)
    for _ in range(3):
        system.advance(seconds=20)
    assert len(system.provider.call("GET", "/v1/refunds")["data"]) == 1


def test_a_return_that_no_worker_repeated_for_a_day_is_left_to_a_person_again(system: System) -> None:
    """The provider has forgotten its key by then, so that a repeat would give back what has come since."""
    customer = paid_too_late(system)
    system.provider.fail("refunds.create", "reset_after")
    resolve(system, "give_back")
    send_money(system, customer)
    system.advance(days=1, hours=1)
    assert len(system.provider.call("GET", "/v1/refunds")["data"]) == 1
    [entry] = open_entries(system)
    assert entry.data["refusal"] == "waited_too_long"


def test_a_return_that_stays_unknown_is_left_to_a_person_again(system: System) -> None:
    paid_too_late(system)
    system.provider.fail("refunds.create", "error_before", times=None)
    resolve(system, "give_back")
    for _ in range(15):
        system.advance(minutes=6)
    [entry] = open_entries(system)
    assert entry.data["refusal"] == "http_500"
    system.provider.heal()
    assert resolve(system, "give_back", "again").status_code == 202
    assert unmatched(system) == [RECEIPT, USE]


def test_a_return_that_the_provider_refuses_is_left_to_a_person_again(system: System) -> None:
    customer = paid_too_late(system)
    system.provider.call("POST", f"/v1/customers/{customer}", {"email": ""})
    resolve(system, "give_back")
    [entry] = open_entries(system)
    assert entry.data["refusal"] == "instructions_email"
    system.provider.call("POST", f"/v1/customers/{customer}", {"email": "ada@example.org"})
    resolve(system, "give_back", "again")
    assert unmatched(system) == [RECEIPT, USE]


def test_a_return_that_the_bank_sends_back_is_shown_again(system: System) -> None:
    paid_too_late(system)
    resolve(system, "give_back")
    [refund] = system.provider.call("GET", "/v1/refunds")["data"]
    system.provider.decide_at_bank(refund["id"], "failure")
    deliver_events(system)
    assert unmatched(system) == [RECEIPT, USE, RECEIPT]
    assert len(open_entries(system)) == 1


def test_an_entry_is_closed_with_a_reason_and_comes_back_with_more_money(system: System) -> None:
    customer = paid_too_late(system)
    assert resolve(system, "close").status_code == 200
    deliver_events(system)
    assert open_entries(system) == []
    send_money(system, customer, 70)
    deliver_events(system)
    assert [entry.amount for entry in open_entries(system)] == [AMOUNT + 70]


def test_money_cannot_be_given_back_twice_at_once(system: System) -> None:
    paid_too_late(system)
    [entry] = open_entries(system)
    body = {"action": "give_back", "note": "asked"}
    path = f"/admin/attention/{entry.id}/resolve"
    first, second = (system.post(path, body, caller="operator", Idempotency_Key=key) for key in ("a", "b"))
    closing = system.post(path, body | {"action": "close"}, caller="operator", Idempotency_Key="c")
    assert [response.status_code for response in (first, second, closing)] == [202, 409, 409]
    system.run_until_idle()
    assert len(system.provider.call("GET", "/v1/refunds")["data"]) == 1


# --- rows that wait without an end ---


def waits_of_balances(system: System) -> list[str]:
    """Return the status of each balance that waits without an end."""
    return [row.status for row in read(system.engine, rows_without_end) if row.table == "cash_balances"]


def test_a_return_that_nothing_moves_on_is_found(system: System) -> None:
    paid_too_late(system)
    [entry] = open_entries(system)
    body = {"action": "give_back", "note": "asked the customer"}
    system.post(f"/admin/attention/{entry.id}/resolve", body, caller="operator", Idempotency_Key="decide")
    assert waits_of_balances(system) == []
    transact(system.engine, lambda connection: connection.execute(update(cash_balances).values(due_at=None)))
    assert waits_of_balances(system) == ["returning"]


def test_money_that_fits_nothing_and_that_nobody_was_asked_about_is_found(system: System) -> None:
    paid_too_late(system)
    assert waits_of_balances(system) == []
    transact(system.engine, lambda connection: connection.execute(delete(attention)))
    assert waits_of_balances(system) == ["held"]
