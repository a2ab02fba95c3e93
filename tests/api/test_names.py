"""Two applications call their invoices, subscriptions and users alike, and never meet. Operators say whose is meant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from domain.errors import AmbiguousName, InvalidRequest
from models.tables import invoices, payments, provider_customers
from models.task_messages import PROCESS
from worker.celery import app

from .api_system import ApiSystem, assert_problem, payment, unique

APPLICATIONS = ("shop", "other")


def names() -> dict[str, str]:
    """Return the names of one payment."""
    return {"invoice_id": unique("inv"), "user_id": unique("user")}


def shared(api: ApiSystem, **fields: Any) -> tuple[dict[str, str], dict[str, str]]:
    """Let both applications collect an invoice of one name; return its names, and the payment of each."""
    same = names()
    made = {caller: api.process(**same, **fields, caller=caller) for caller in APPLICATIONS}
    assert [response.status_code for response in made.values()] == [202, 202]
    api.run_published()
    return same, {caller: response.json["id"] for caller, response in made.items()}


def outstanding(api: ApiSystem, invoice: str, caller: str) -> str:
    return str(api.get(f"/invoices/{invoice}", caller=caller).json["open_amount"])


def test_two_applications_collect_invoices_of_one_name(api: ApiSystem) -> None:
    same, paid = shared(api)
    for caller in APPLICATIONS:
        [listed] = api.get(f"/?invoice_id={same['invoice_id']}", caller=caller).json["payments"]
        assert (listed["id"], listed["application"], listed["status"]) == (paid[caller], caller, "captured")
        assert outstanding(api, same["invoice_id"], caller) == "0.00"
    assert_problem(api.get(f"/{paid['shop']}", caller="other"), 404, "not_found")


def test_each_application_has_one_live_collection_of_its_own(api: ApiSystem) -> None:
    same = names()
    for caller in APPLICATIONS:
        first = api.process(**same, caller=caller)
        refused = api.process(**same, caller=caller)
        assert_problem(refused, 409, "collection_in_progress")
        assert refused.json["payment_id"] == first.json["id"]


def test_user_amount_and_currency_of_an_invoice_are_its_applications(api: ApiSystem) -> None:
    invoice = unique("inv")
    bodies = {
        "shop": {"user_id": "ada", "amount": "100.00", "currency": "EUR"},
        "other": {"user_id": "bob", "amount": "7", "currency": "JPY"},
    }
    for caller, body in bodies.items():
        assert api.call("PUT", f"/invoices/{invoice}", body, caller=caller).status_code == 201
    assert api.call("PUT", f"/invoices/{invoice}", bodies["shop"] | {"amount": "90.00"}).status_code == 200
    for caller, amount in (("shop", "90.00"), ("other", "7")):
        shown = api.get(f"/invoices/{invoice}", caller=caller).json
        expected = bodies[caller] | {"amount": amount, "application": caller, "open_amount": amount}
        assert expected.items() <= shown.items()


def test_a_refund_of_one_application_leaves_the_others_payment(api: ApiSystem) -> None:
    _, paid = shared(api)
    assert api.post(f"/{paid['shop']}/refunds", {}, Idempotency_Key=unique("key")).status_code == 202
    assert_problem(
        api.post(f"/{paid['shop']}/refunds", {}, caller="other", Idempotency_Key=unique("key")), 404, "not_found"
    )
    api.run_published()
    shown = {caller: api.show(paid[caller]) for caller in APPLICATIONS}
    assert [shown[caller]["refunded_amount"] for caller in APPLICATIONS] == ["12.30", "0.00"]


def test_money_that_is_recorded_pays_one_applications_invoice(api: ApiSystem) -> None:
    same, asked = shared(api, payment_method="invoice", payment_method_token=...)
    body = {"reference": "statement 7"}
    recorded = api.post(f"/admin/payments/{asked['shop']}/record", body, caller="operator", Idempotency_Key=unique("k"))
    assert recorded.status_code == 202
    assert [outstanding(api, same["invoice_id"], caller) for caller in APPLICATIONS] == ["0.00", "12.30"]
    assert api.show(asked["other"])["status"] == "requires_action"


def test_each_application_gets_an_intent_over_its_own_invoice(api: ApiSystem) -> None:
    invoice = unique("inv")
    opened = {}
    for caller, amount in zip(APPLICATIONS, ("25.00", "31.00"), strict=True):
        body = {"user_id": "user-1", "amount": amount, "currency": "EUR"}
        api.call("PUT", f"/invoices/{invoice}", body, caller=caller)
        opened[caller] = api.post("/stripe-intent", {"invoice_id": invoice}, caller=caller).json
        assert opened[caller]["amount"] == amount
        assert api.post("/stripe-intent", {"invoice_id": invoice}, caller=caller).json == opened[caller]
    assert opened["shop"]["payment_id"] != opened["other"]["payment_id"]


def test_a_failed_intent_is_gone_on_with_by_its_own_application(api: ApiSystem) -> None:
    invoice, body = unique("inv"), {"user_id": "user-1", "amount": "25.00", "currency": "EUR"}
    for caller in APPLICATIONS:
        api.call("PUT", f"/invoices/{invoice}", body, caller=caller)
    api.sandbox.state.faults.add("payment_intents.create", "error_before")
    assert_problem(api.post("/stripe-intent", {"invoice_id": invoice}), 502, "provider_error")
    [failed] = api.get(f"/?invoice_id={invoice}").json["payments"]
    for caller, is_same in (("other", False), ("shop", True)):
        opened = api.post("/stripe-intent", {"invoice_id": invoice}, caller=caller)
        assert (opened.status_code, opened.json["payment_id"] == failed["id"]) == (201, is_same)


def test_two_applications_have_subscriptions_of_one_name(api: ApiSystem) -> None:
    subscription = unique("sub")
    users = {caller: unique("user") for caller in APPLICATIONS}
    for caller in APPLICATIONS:
        made = api.process(subscription_id=subscription, user_id=users[caller], caller=caller)
        assert made.status_code == 202
        shown = api.get(f"/subscriptions/{subscription}", caller=caller).json
        assert (shown["application"], shown["user_id"]) == (caller, users[caller])


def test_users_of_one_name_have_saved_methods_of_their_own(api: ApiSystem) -> None:
    user = unique("user")
    tokens = {}
    for caller in APPLICATIONS:
        body = {"payment_method_token": "pm_card_visa", "email": f"{caller}@example.com"}
        saved = api.post(f"/customers/{user}/payment-methods", body, caller=caller)
        assert saved.status_code == 201, saved.text
        tokens[caller] = saved.json["customer_token"]
    assert tokens["shop"] != tokens["other"]
    foreign = api.process(user_id=user, customer_token=tokens["shop"], caller="other")
    assert_problem(foreign, 404, "not_found")
    listed = api.get(f"/customers/{user}/payment-methods?application=other", caller="admin").json
    assert listed["customer_token"] == tokens["other"]
    assert_problem(api.get(f"/customers/{user}/payment-methods", caller="admin"), 422, "invalid_request")


# --- operators ---

READ = {
    "an invoice": lambda same: f"/invoices/{same['invoice_id']}?",
    "a subscription": lambda same: f"/subscriptions/{same['subscription_id']}?",
    "the payments of an invoice": lambda same: f"/?invoice_id={same['invoice_id']}",
}


@pytest.mark.parametrize("what", READ)
def test_an_operator_says_whose_object_is_meant(api: ApiSystem, what: str) -> None:
    path: Callable[[dict[str, str]], str] = READ[what]
    same = names() | {"subscription_id": unique("sub")}
    api.process(**same)
    alone = api.get(path(same), caller="operator")
    assert alone.status_code == 200
    assert api.process(**same, caller="other").status_code == 202
    refused = api.get(path(same), caller="operator")
    assert "`application`" in assert_problem(refused, 409, "ambiguous_name")
    assert refused.json["applications"] == ["other", "shop"]
    assert api.get(f"{path(same)}&application=shop", caller="operator").json == alone.json
    other = api.get(f"{path(same)}&application=other", caller="operator")
    assert (other.status_code, other.json == alone.json) == (200, False)


def test_an_application_that_has_no_such_name_is_as_good_as_none(api: ApiSystem) -> None:
    same, _ = shared(api)
    path = f"/invoices/{same['invoice_id']}"
    assert_problem(api.get(f"{path}?application=none", caller="operator"), 404, "not_found")
    assert api.get(f"/?invoice_id={same['invoice_id']}&application=none", caller="operator").json["payments"] == []


def test_the_payments_of_one_application_can_be_listed(api: ApiSystem) -> None:
    api.process(caller="other")
    listed = api.get("/?application=other&limit=200", caller="operator").json["payments"]
    assert {one["application"] for one in listed} == {"other"}


def send(api: ApiSystem, door: str, same: dict[str, str], query: str) -> Any:
    """Send what an admin may do about an invoice."""
    if door == "PUT":
        body = {"user_id": same["user_id"], "amount": "12.30", "currency": "EUR", "description": "Seats"}
        return api.call("PUT", f"/invoices/{same['invoice_id']}{query}", body, caller="admin")
    body = {"invoice_id": same["invoice_id"]} if door == "/stripe-intent" else payment(**same)
    return api.post(f"{door}{query}", body, caller="admin", Idempotency_Key=unique("key"))


@pytest.mark.parametrize("door", ["PUT", "/process", "/stripe-intent"])
def test_an_admin_says_whose_invoice_is_meant(api: ApiSystem, door: str) -> None:
    same, _ = shared(api, payment_method_token="pm_card_visa_chargeDeclined")
    before = api.row_counts()
    assert_problem(send(api, door, same, ""), 409, "ambiguous_name")
    assert api.row_counts() == before
    assert send(api, door, same, "?application=other").status_code in (200, 201, 202)
    rows = api.rows(invoices, invoices.c.id == same["invoice_id"], invoices.c.description == "Seats")
    live = api.rows(payments, payments.c.invoice_id == same["invoice_id"], payments.c.state != "declined")
    assert [row.application for row in (*rows, *live)] == ["other"]


@pytest.mark.parametrize("door", ["PUT", "/process"])
def test_an_admin_makes_an_invoice_for_an_application(api: ApiSystem, door: str) -> None:
    same = names()
    assert send(api, door, same, "?application=shop").status_code in (201, 202)
    assert api.get(f"/invoices/{same['invoice_id']}").status_code == 200
    unnamed = names()
    send(api, door, unnamed, "")
    assert api.get(f"/invoices/{unnamed['invoice_id']}", caller="operator").json["application"] == "default"


def test_an_application_names_no_other_one(api: ApiSystem) -> None:
    same, _ = shared(api)
    path = f"/invoices/{same['invoice_id']}"
    assert_problem(api.get(f"{path}?application=other"), 403, "forbidden")
    assert api.get(f"{path}?application=shop").json == api.get(path).json


@pytest.mark.parametrize("name", ["", "x" * 101, "%00", "4242424242424242"])
def test_a_name_that_no_application_can_have_is_refused(api: ApiSystem, name: str) -> None:
    response = api.get(f"/invoices/inv?application={name}", caller="operator")
    assert (response.status_code, response.json["type"]) in [(422, "invalid_request"), (422, "card_number_refused")]
    assert "4242" not in response.text


# --- by Celery ---


def accept(fields: dict[str, Any]) -> str:
    """Send a message `payments.process`; return the payment's id."""
    return str(app.tasks[PROCESS](**fields | {"idempotency_key": unique("key")}))


def test_messages_of_two_applications_use_one_name(api: ApiSystem) -> None:
    body = payment(subscription_id=unique("sub"))
    accepted = [accept(body | {"application": name}) for name in APPLICATIONS]
    assert [api.show(payment_id)["application"] for payment_id in accepted] == list(APPLICATIONS)


def test_a_message_without_an_application_means_the_only_one_that_has_the_invoice(api: ApiSystem) -> None:
    same = names()
    body = {"user_id": same["user_id"], "amount": "24.60", "currency": "EUR"}
    api.call("PUT", f"/invoices/{same['invoice_id']}", body)
    assert api.show(accept(payment(**same)))["application"] == "shop"
    assert api.show(accept(payment()))["application"] == "default"


def test_a_message_that_could_mean_two_applications_is_refused(api: ApiSystem) -> None:
    same, _ = shared(api, payment_method_token="pm_card_visa_chargeDeclined")
    before = api.row_counts()
    with pytest.raises(AmbiguousName, match="several applications use this name: other, shop"):
        accept(payment(**same))
    assert api.row_counts() == before
    assert api.show(accept(payment(**same) | {"application": "other"}))["application"] == "other"


@pytest.mark.parametrize("name", ["x" * 101, 7, "shop\n"])
def test_a_message_of_an_application_that_cannot_be_is_refused(api: ApiSystem, name: Any) -> None:
    before = api.row_counts()
    with pytest.raises(InvalidRequest, match="application must be"):
        accept(payment() | {"application": name})
    assert api.row_counts() == before


def test_customers_are_stored_for_each_application(api: ApiSystem) -> None:
    user = unique("user")
    for caller in APPLICATIONS:
        api.post("/setup-intent", {"user_id": user}, caller=caller)
    rows = api.rows(provider_customers, provider_customers.c.user_id == user)
    assert sorted(row.application for row in rows) == sorted(APPLICATIONS)
