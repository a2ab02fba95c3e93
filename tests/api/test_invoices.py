"""Invoices and what is open on them."""

from __future__ import annotations

from typing import Any

import pytest

from .api_system import ApiSystem, assert_problem, unique


def put(api: ApiSystem, invoice: str, caller: str = "shop", **changes: Any) -> Any:
    body = {"user_id": "user-1", "amount": "100", "currency": "EUR"} | changes
    return api.call("PUT", f"/invoices/{invoice}", body, caller=caller)


def test_an_invoice_is_made_shown_and_changed(api: ApiSystem) -> None:
    invoice = unique("inv")
    made = put(api, invoice, due_at="2027-01-02T03:04:05+01:00", description="Seats")
    assert made.status_code == 201
    assert made.json["due_at"] == "2027-01-02T02:04:05.000Z"
    assert (made.json["amount"], made.json["open_amount"], made.json["collected_amount"]) == (
        "100.00",
        "100.00",
        "0.00",
    )
    assert api.get(f"/invoices/{invoice}").json == made.json

    changed = put(api, invoice, amount="80")
    assert (changed.status_code, changed.json["amount"], changed.json["open_amount"]) == (200, "80.00", "80.00")
    assert changed.json["created_at"] == made.json["created_at"]
    assert changed.json["description"] is None


@pytest.mark.parametrize(
    "due_at",
    [
        "2027-01-02T03:04:05",
        "2027-01-02",
        "2027-02-30T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "1804000000",
        1804000000,
        -1,
        True,
    ],
)
def test_a_due_date_without_its_zone_or_out_of_range_is_refused(api: ApiSystem, due_at: Any) -> None:
    detail = assert_problem(put(api, unique("inv"), due_at=due_at), 422, "invalid_request")
    assert detail.startswith("due_at: must be a date and time with its zone")


@pytest.mark.parametrize("due_at", ["1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z", None])
def test_a_due_date_in_range_is_kept(api: ApiSystem, due_at: str | None) -> None:
    invoice = unique("inv")
    made = put(api, invoice, due_at=due_at)
    assert (made.status_code, made.json["due_at"]) == (201, due_at and due_at.replace("Z", ".000Z"))
    assert api.get(f"/invoices/{invoice}").json == made.json


def test_a_refusal_names_the_payment_that_is_collecting(api: ApiSystem) -> None:
    first = api.process().json
    refusal = api.process(invoice_id=first["invoice_id"], user_id=first["user_id"])
    assert_problem(refusal, 409, "collection_in_progress")
    assert refusal.json["payment_id"] == first["id"]


def test_a_refusal_says_that_the_invoice_is_paid(api: ApiSystem) -> None:
    paid = api.process_and_run()
    again = api.process(invoice_id=paid["invoice_id"], user_id=paid["user_id"])
    assert "it is paid" in assert_problem(again, 422, "amount_above_open")
    refund = api.post(f"/{paid['id']}/refunds", {}, Idempotency_Key=unique("key"))
    assert refund.status_code == 202
    more = api.post(f"/{paid['id']}/refunds", {}, Idempotency_Key=unique("key"))
    assert assert_problem(more, 422, "amount_above_open") == "nothing is left to refund"


def test_captured_money_is_no_longer_outstanding(api: ApiSystem) -> None:
    invoice = unique("inv")
    put(api, invoice)
    paid = api.process_and_run(invoice_id=invoice, user_id="user-1", amount="30")
    assert paid["status"] == "captured"
    shown = api.get(f"/invoices/{invoice}").json
    assert (shown["collected_amount"], shown["open_amount"]) == ("30.00", "70.00")


def test_a_decline_leaves_the_whole_invoice_outstanding(api: ApiSystem) -> None:
    invoice = unique("inv")
    put(api, invoice)
    api.process_and_run(
        invoice_id=invoice, user_id="user-1", amount="30", payment_method_token="pm_card_chargeDeclined"
    )
    assert api.get(f"/invoices/{invoice}").json["open_amount"] == "100.00"


def test_an_invoice_never_falls_below_what_is_collected(api: ApiSystem) -> None:
    invoice = unique("inv")
    put(api, invoice)
    api.process_and_run(invoice_id=invoice, user_id="user-1", amount="30")
    assert "30.00 EUR" in assert_problem(put(api, invoice, amount="29.99"), 422, "amount_above_open")
    assert put(api, invoice, amount="30").json["open_amount"] == "0.00"


def test_the_amount_stays_while_it_is_being_collected(api: ApiSystem) -> None:
    invoice = unique("inv")
    put(api, invoice)
    api.process(invoice_id=invoice, user_id="user-1", amount="30")
    assert_problem(put(api, invoice, amount="99"), 409, "collection_in_progress")
    assert put(api, invoice, description="still the same amount").status_code == 200


@pytest.mark.parametrize("changes", [{"user_id": "user-2"}, {"currency": "USD"}], ids=str)
def test_user_and_currency_of_an_invoice_cannot_change(api: ApiSystem, changes: dict[str, str]) -> None:
    invoice = unique("inv")
    made = put(api, invoice).json
    assert_problem(put(api, invoice, **changes), 409, "invoice_mismatch")
    assert api.get(f"/invoices/{invoice}").json == made


def test_invoices_are_kept_apart(api: ApiSystem) -> None:
    invoice = unique("inv")
    put(api, invoice)
    assert_problem(api.get(f"/invoices/{invoice}", caller="other"), 404, "not_found")
    assert api.get(f"/invoices/{invoice}", caller="operator").status_code == 200
    assert put(api, invoice, caller="other", amount="7").status_code == 201
    assert api.get(f"/invoices/{invoice}").json["amount"] == "100.00"


def test_a_payment_makes_the_invoice_that_is_missing(api: ApiSystem) -> None:
    paid = api.process_and_run(amount="12.30")
    shown = api.get(f"/invoices/{paid['invoice_id']}").json
    assert (shown["user_id"], shown["amount"], shown["open_amount"]) == (paid["user_id"], "12.30", "0.00")


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        ("90071992547409.93", "EUR"),
        ("99999999999999.999", "KWD"),
        ("99999999999999", "JPY"),
        ("9007199254740.993", "KWD"),
    ],
)
def test_amounts_that_no_float_can_hold_are_exact(api: ApiSystem, amount: str, currency: str) -> None:
    invoice = unique("inv")
    for _ in range(2):
        shown = put(api, invoice, amount=amount, currency=currency).json
        assert (shown["amount"], shown["open_amount"]) == (amount, amount)
    assert api.get(f"/invoices/{invoice}").json["amount"] == amount
