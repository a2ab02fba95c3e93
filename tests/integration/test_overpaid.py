"""An invoice that two payments have collected is on the attention list, and what is too much can be given back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from domain.disputes import DisputeStatus, ShownDispute
from models import transition
from models.disputes import apply_dispute
from models.movements import differences
from models.session import read
from models.tables import attention
from models.task_messages import WEBHOOK
from tests.patience import patient
from tests.system import AMOUNT, INSUFFICIENT_FUNDS, System

pytestmark = pytest.mark.postgres


@pytest.fixture(autouse=True)
def _the_books_are_sums(system: System) -> Iterator[None]:
    yield
    assert read(system.engine, lambda connection: list(differences(connection))) == []


def declined(system: System, invoice: str = "inv", **changes: Any) -> str:
    """Return a payment that was declined, whose intent can still be paid."""
    payment_id = system.pay(invoice, INSUFFICIENT_FUNDS, **changes)
    system.run_until_idle()
    assert system.state(payment_id) == "declined"
    return payment_id


def pay_late(system: System, payment_id: str) -> str:
    """Let the customer pay the intent of a payment that was declined; return the row of the webhook that says so."""
    reference = system.reference(payment_id)
    system.provider.call("POST", f"/v1/payment_intents/{reference}/confirm", {"payment_method": "pm_card_visa"})
    return system.deliver(system.provider.event("payment_intent.succeeded", reference))


def paid_twice(system: System) -> tuple[str, str]:
    """Return the two payments that have collected one invoice, the one that came too much first."""
    late = declined(system)
    in_time = system.pay()
    system.run_until_idle()
    pay_late(system, late)
    system.run_until_idle()
    assert [system.state(payment_id) for payment_id in (late, in_time)] == ["captured"] * 2
    return late, in_time


def open_entries(system: System) -> list[tuple[str, str, int]]:
    """Return what stands on the attention list: payment, reason and amount."""
    is_open = attention.c.closed_at.is_(None)
    return [(row.payment_id, row.reason, row.amount) for row in system.rows(attention, is_open)]


def resolve(system: System, action: str, **body: Any) -> Any:
    [entry] = system.rows(attention, attention.c.closed_at.is_(None))
    body |= {"action": action, "note": "the customer has paid twice"}
    key = f"{action} {sorted(body.items())}"
    return system.post(f"/admin/attention/{entry.id}/resolve", body, caller="operator", Idempotency_Key=key)


def test_what_is_paid_late_of_an_invoice_that_is_paid_is_given_back_from_the_list(system: System) -> None:
    late, _ = paid_twice(system)
    assert open_entries(system) == [(late, "overpaid", AMOUNT)]
    [shown] = system.get("/admin/attention", caller="operator").json["entries"]
    assert (shown["actions"], shown["amount_at_stake"]) == (["give_back", "close"], "12.30")
    assert shown["data"]["invoice_id"] == "inv"

    refused = resolve(system, "close")
    assert refused.status_code == 409
    assert "paid more than once" in refused.json["detail"]
    assert resolve(system, "give_back").status_code == 202
    system.run_until_idle()
    assert open_entries(system) == []
    assert system.state(late) == "refunded"
    assert system.provider.movements() == [("charge", AMOUNT), ("charge", AMOUNT), ("refund", AMOUNT)]
    assert system.get("/invoices/inv").json["open_amount"] == "0.00"


def test_an_entry_is_closed_by_hand_once_the_money_is_refunded_otherwise(system: System) -> None:
    _, in_time = paid_twice(system)
    system.request(f"/{in_time}/refunds", Idempotency_Key="the other one")
    system.run_until_idle()
    assert resolve(system, "close").status_code == 200


def test_a_refund_that_fails_after_it_was_given_puts_the_invoice_on_the_list_again(system: System) -> None:
    late = declined(system)
    system.pay()
    system.run_until_idle()
    reference = system.reference(late)
    card = {"payment_method": "pm_card_refundFail"}
    system.provider.call("POST", f"/v1/payment_intents/{reference}/confirm", card)
    system.deliver_and_run(system.provider.event("payment_intent.succeeded", reference))
    assert resolve(system, "give_back").status_code == 202
    system.run_until_idle()
    refund = system.attempts(late)[-1].provider_reference
    system.provider.decide_at_bank(refund, "failure")
    system.deliver_and_run(system.provider.event("refund.failed", refund))
    assert (system.state(late), open_entries(system)) == ("captured", [(late, "overpaid", AMOUNT)])


def test_a_dispute_that_is_won_after_its_invoice_was_paid_again_is_told(system: System) -> None:
    first = system.pay()
    system.run_until_idle()
    show_dispute(system, first, DisputeStatus.LOST, withdrawn=AMOUNT)
    system.pay()
    system.run_until_idle()
    assert (system.state(first), open_entries(system)) == ("reversed", [])
    show_dispute(system, first, DisputeStatus.WON, withdrawn=0)
    assert (system.state(first), open_entries(system)) == ("captured", [(first, "overpaid", AMOUNT)])


def show_dispute(system: System, payment_id: str, status: DisputeStatus, withdrawn: int) -> None:
    reference, amounts = system.reference(payment_id), {"amount": AMOUNT, "withdrawn": withdrawn}
    shown = ShownDispute("dp_1", reference, status, is_return=False, reason="fraudulent", **amounts)
    system.runtime.change("comparison", apply_dispute, "stripe", shown)


def test_two_payments_of_an_invoice_that_are_booked_at_once_are_told_once(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = [declined(system), declined(system)]
    rows = [pay_late(system, payment_id) for payment_id in both]
    system.messages.clear()
    # Each has booked its own money, and nothing is committed, before either of them looks at the invoice.
    both_booked, book = threading.Barrier(2, timeout=patient(10)), transition.book
    monkeypatch.setattr(transition, "book", lambda *given: book(*given) is None and both_booked.wait())
    threads = [threading.Thread(target=system.run, args=(WEBHOOK, row)) for row in rows]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [system.state(payment_id) for payment_id in both] == ["captured"] * 2
    assert open_entries(system) in [[(payment_id, "overpaid", AMOUNT)] for payment_id in both]


def test_two_payments_that_share_an_invoice_need_nobody(system: System) -> None:
    system.call("PUT", "/invoices/inv", {"amount": "24.60", "currency": "EUR", "user_id": "user"})
    for _ in range(2):
        system.pay()
        system.run_until_idle()
    assert system.get("/invoices/inv").json["open_amount"] == "0.00"
    assert open_entries(system) == []
