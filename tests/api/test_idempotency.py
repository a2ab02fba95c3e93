"""Idempotency keys over HTTP and Celery: what is replayed, whatever has changed since, and what needs a key."""

from __future__ import annotations

from typing import Any

import pytest

from domain.payment_methods import PaymentMethod
from models.request_bodies import ProcessPayment
from models.session import transact
from models.tables import idempotency_keys
from models.task_messages import PROCESS
from worker.celery import app

from .api_system import ApiSystem, assert_problem, payment, unique


def test_a_repeated_key_gets_the_same_response(api: ApiSystem) -> None:
    body, key = payment(), unique("key")
    first = api.post("/process", body, Idempotency_Key=key)
    rows = api.row_counts()
    api.run_published()
    second = api.post("/process", body, Idempotency_Key=f'"{key}"')

    assert (second.status_code, second.json) == (first.status_code, first.json)
    assert second.headers["Location"] == first.headers["Location"]
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert (api.row_counts()["payments"], api.messages) == (rows["payments"], [])


def test_a_repeated_key_with_another_body_is_refused(api: ApiSystem) -> None:
    body, key = payment(), unique("key")
    api.post("/process", body, Idempotency_Key=key)
    before = api.row_counts()
    for other in (body | {"amount": "12.31"}, body | {"metadata": {"a": 1}}, payment()):
        assert_problem(api.post("/process", other, Idempotency_Key=key), 422, "idempotency_key_reused")
    assert api.row_counts() == before


def test_a_key_whose_first_request_still_runs(api: ApiSystem) -> None:
    body, key = payment(), unique("key")
    api.post("/process", body, Idempotency_Key=key)
    unfinished = idempotency_keys.update().where(idempotency_keys.c.key == key).values(status=None)
    transact(api.engine, lambda connection: connection.execute(unfinished).rowcount)
    assert_problem(api.post("/process", body, Idempotency_Key=key), 409, "idempotency_key_in_use")


def test_keys_of_two_applications_do_not_meet(api: ApiSystem) -> None:
    key = unique("key")
    mine = api.process(Idempotency_Key=key)
    theirs = api.process(Idempotency_Key=key, caller="other")
    assert (mine.status_code, theirs.status_code) == (202, 202)
    assert mine.json["id"] != theirs.json["id"]

    api.run_published()
    refunds = {"shop": f"/{mine.json['id']}/refunds", "other": f"/{theirs.json['id']}/refunds"}
    for _ in range(2):
        responses = [api.post(path, caller=name, Idempotency_Key=f"{key}-refund") for name, path in refunds.items()]
        assert [response.status_code for response in responses] == [202, 202]
        assert [response.json["id"] for response in responses] == [mine.json["id"], theirs.json["id"]]


def test_a_refused_request_does_not_use_its_key_up(api: ApiSystem) -> None:
    invoice, user, key = unique("inv"), unique("user"), unique("key")
    live = api.process(invoice_id=invoice, user_id=user, payment_method_token="pm_card_visa_chargeDeclined")
    assert_problem(api.process(invoice_id=invoice, user_id=user, Idempotency_Key=key), 409, "collection_in_progress")
    api.run_published()
    assert api.show(live.json["id"])["status"] == "declined"
    assert api.process(invoice_id=invoice, user_id=user, Idempotency_Key=key).status_code == 202


# --- what has changed since the first request ---


def test_a_repeat_gets_its_response_after_its_method_is_switched_off(
    api: ApiSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    body, key = payment(), unique("key")
    first = api.process(**body, Idempotency_Key=key)
    api.run_published()
    assert api.show(first.json["id"])["status"] == "captured"

    api.switch_off(monkeypatch, PaymentMethod.CREDIT_CARD)
    again = api.process(**body, Idempotency_Key=key)
    assert (again.status_code, again.json) == (202, first.json)
    assert again.headers["Idempotent-Replayed"] == "true"
    other = body | {"amount": "12.31"}
    assert_problem(api.process(**other, Idempotency_Key=key), 422, "idempotency_key_reused")
    assert_problem(api.process(**body), 422, "unsupported_payment_method")


def test_a_repeated_message_gets_its_payment_after_its_method_is_switched_off(
    api: ApiSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = payment() | {"idempotency_key": unique("key"), "application": "shop"}
    first = app.tasks[PROCESS](**fields)
    api.switch_off(monkeypatch, PaymentMethod.CREDIT_CARD)
    assert app.tasks[PROCESS](**fields) == first


@pytest.mark.parametrize(
    "changes",
    [{"amount": "12.3"}, {"amount": 12.3}, {"amount": "012.300"}, {"currency": "eur"}, {"email": None}],
    ids=str,
)
def test_the_same_request_written_in_another_way_is_a_repeat(api: ApiSystem, changes: dict[str, Any]) -> None:
    body, key = payment(), unique("key")
    first = api.process(**body, Idempotency_Key=key)
    again = api.process(**body | changes, Idempotency_Key=key)
    assert (again.status_code, again.json) == (202, first.json)


def test_a_key_of_an_earlier_release_is_recognised(api: ApiSystem) -> None:
    body, key = payment(), unique("key")
    first = api.process(**body, Idempotency_Key=key)
    older = ProcessPayment.parse(body).older_fingerprint("process")
    stored = idempotency_keys.update().where(idempotency_keys.c.key == key).values(fingerprint=older)
    transact(api.engine, lambda connection: connection.execute(stored).rowcount)

    assert api.process(**body, Idempotency_Key=key).json == first.json
    other = body | {"amount": "12.31"}
    assert_problem(api.process(**other, Idempotency_Key=key), 422, "idempotency_key_reused")


# --- requests that need a key ---


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/process", payment()),
        ("/paypal-order", payment(payment_method=..., payment_method_token=...)),
        ("/crypto-charge", payment(payment_method=..., payment_method_token=...)),
        ("/pay_x/refunds", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_repeat_would_do_again_needs_a_key(api: ApiSystem, path: str, body: dict[str, Any]) -> None:
    before = api.row_counts()
    detail = assert_problem(api.post(path, body), 400, "idempotency_key_required")
    assert "send an Idempotency-Key header" in detail
    assert api.row_counts() == before


def test_the_same_request_twice_is_one_charge_of_a_larger_invoice(api: ApiSystem) -> None:
    invoice, user, key = unique("inv"), unique("user"), unique("key")
    api.call("PUT", f"/invoices/{invoice}", {"user_id": user, "amount": "24.60", "currency": "EUR"})
    for _ in range(2):
        api.process(invoice_id=invoice, user_id=user, Idempotency_Key=key)
        api.run_published()
    assert api.get(f"/invoices/{invoice}").json["collected_amount"] == "12.30"
