"""Each user is one customer of a provider, whatever their payments and saved methods are, and whoever asks at once."""

from __future__ import annotations

import secrets
import threading
from typing import Any

import pytest

from models.tables import payments, provider_customers, token_owners
from tests.system import System, payment_request

pytestmark = pytest.mark.postgres

EMAIL = "ada@example.org"
ADA = {"user_id": "ada", "email": EMAIL}


def customers(system: System) -> list[dict[str, Any]]:
    """Return the customers that the provider has."""
    listed: list[dict[str, Any]] = system.provider.call("GET", "/v1/customers?limit=100")["data"]
    return listed


def transfer(invoice: str, **changes: Any) -> dict[str, Any]:
    """Return the body of a request for 12.30 EUR by bank transfer."""
    body = payment_request(invoice, "") | {"user_id": "ada", "payment_method": "bank_transfer", "email": EMAIL}
    del body["payment_method_token"]
    return body | changes


def intent(system: System, payment_id: str) -> dict[str, Any]:
    """Return the intent of a payment's last attempt."""
    reference = system.attempts(payment_id)[-1].provider_reference
    found: dict[str, Any] = system.provider.call("GET", f"/v1/payment_intents/{reference}")
    return found


def carried_out(system: System, body: dict[str, Any]) -> str:
    """Request a payment and let the workers carry it out; return its id."""
    payment_id = str(system.accept(body)["id"])
    system.run_until_idle()
    return payment_id


def lose_customer(system: System) -> str:
    """Let the provider forget the customer whom it has for Ada; return its id."""
    lost = str(system.request("/setup-intent", ADA)["customer_token"])
    system.provider.call("DELETE", f"/v1/customers/{lost}")
    return lost


def only_customer(system: System) -> str:
    """Return the one customer of the one user."""
    [row] = system.rows(provider_customers)
    return str(row.token)


def saved_card(system: System, card: str = "pm_card_visa", user: str = "ada", **more: Any) -> dict[str, Any]:
    """Save a card for a user; return what the API says about it."""
    return system.request(f"/customers/{user}/payment-methods", {"payment_method_token": card} | more)


# --- one customer ---


def test_transfers_setups_and_saved_cards_have_the_same_customer(system: System) -> None:
    opened = system.request("/setup-intent", ADA)["customer_token"]
    paid = [carried_out(system, transfer(invoice)) for invoice in ("inv-1", "inv-2")]
    saved = saved_card(system)
    assert {intent(system, payment_id)["customer"] for payment_id in paid} == {opened} == {saved["customer_token"]}
    assert [customer["email"] for customer in customers(system)] == [EMAIL]


def test_a_lost_response_and_a_corrected_address_leave_one_customer(system: System) -> None:
    system.provider.fail("customers.create", "reset_after")
    lost = system.post("/setup-intent", ADA)
    assert lost.status_code == 502
    corrected = system.request("/setup-intent", ADA | {"email": "ada.l@example.org"})
    again = system.request("/setup-intent", {"user_id": "ada"}, Idempotency_Key="fresh")
    assert corrected["customer_token"] == again["customer_token"] == saved_card(system)["customer_token"]
    assert [customer["email"] for customer in customers(system)] == ["ada.l@example.org"]


def test_a_stored_failure_of_the_provider_ends_with_a_new_key(system: System) -> None:
    system.provider.fail("customers.create", "error_stored")
    opened = system.request("/setup-intent", ADA)["customer_token"]
    assert [customer["id"] for customer in customers(system)] == [opened]


def test_three_tabs_at_once_are_one_customer(system: System) -> None:
    system.provider.fail("customers.create", "latency", times=None, seconds=0.3)
    tabs = [ADA, ADA, ADA | {"email": "ada.l@example.org"}]
    together, responses = threading.Barrier(len(tabs)), []

    def open_tab(body: dict[str, str]) -> None:
        together.wait()
        responses.append(system.post("/setup-intent", body))

    threads = [threading.Thread(target=open_tab, args=(tab,)) for tab in tabs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [response.status_code for response in responses] == [201] * len(tabs)
    assert len({response.json["customer_token"] for response in responses}) == len(customers(system)) == 1


def test_users_and_applications_do_not_share_a_customer(system: System) -> None:
    found = [
        system.request("/setup-intent", {"user_id": user}, caller=caller)["customer_token"]
        for caller, user in (("shop", "ada"), ("shop", "bob"), ("other", "ada"))
    ]
    assert len(set(found)) == len(customers(system)) == 3


def test_an_intent_for_a_front_end_is_the_customer_s_also_after_the_provider_has_lost_them(system: System) -> None:
    first = system.request("/setup-intent", ADA)["customer_token"]
    for invoice in ("inv-1", "inv-2"):
        body = {"user_id": "ada", "amount": "12.30", "currency": "EUR"}
        system.call("PUT", f"/invoices/{invoice}", body)
    opened = system.request("/stripe-intent", {"invoice_id": "inv-1"})
    assert intent(system, opened["payment_id"])["customer"] == first
    system.provider.call("DELETE", f"/v1/customers/{first}")
    opened = system.request("/stripe-intent", {"invoice_id": "inv-2"})
    assert intent(system, opened["payment_id"])["customer"] == only_customer(system) != first


def test_an_intent_waits_for_the_customer_that_could_not_be_made_again(system: System) -> None:
    lose_customer(system)
    system.call("PUT", "/invoices/inv", {"user_id": "ada", "amount": "12.30", "currency": "EUR"})
    system.provider.fail("customers.create", "reset_before")
    responses = [system.post("/stripe-intent", {"invoice_id": "inv"}) for _ in range(2)]
    assert [response.status_code for response in responses] == [502, 201]
    assert intent(system, responses[1].json["payment_id"])["customer"] == only_customer(system)


# --- a customer that the provider has lost ---


@pytest.mark.parametrize("is_listed", [True, False])
def test_a_customer_that_was_deleted_is_made_again(system: System, is_listed: bool) -> None:
    first = system.request("/setup-intent", ADA)["customer_token"]
    system.provider.call("DELETE", f"/v1/customers/{first}")
    if is_listed:
        assert system.get("/customers/ada/payment-methods").json["payment_methods"] == []
    second = system.request("/setup-intent", {"user_id": "ada"})["customer_token"]
    assert second not in (first, None)
    assert saved_card(system)["customer_token"] == second
    [row] = system.rows(provider_customers)
    assert row.token == second


def test_a_transfer_of_a_deleted_customer_goes_to_a_new_one(system: System) -> None:
    first = system.request("/setup-intent", ADA)["customer_token"]
    system.provider.call("DELETE", f"/v1/customers/{first}")
    payment_id = carried_out(system, transfer("inv"))
    system.advance(seconds=10)
    assert system.state(payment_id) == "requires_action"
    assert intent(system, payment_id)["customer"] not in (first, None)


@pytest.mark.parametrize("is_named", [True, False])
def test_a_card_of_a_user_whose_customer_was_deleted_is_charged_as_a_new_one_at_once(
    system: System, is_named: bool
) -> None:
    lost = lose_customer(system)
    named = {"customer_token": lost} if is_named else {}
    payment_id = carried_out(system, payment_request("inv", "pm_card_visa") | {"user_id": "ada"} | named)
    assert (system.state(payment_id), system.attempts(payment_id)[0].retries) == ("captured", 0)
    assert intent(system, payment_id)["customer"] == only_customer(system)


@pytest.mark.parametrize("fault", ["error_before", "error_stored", "reset_before", "reset_after"])
def test_a_charge_waits_for_the_customer_that_could_not_be_made_again(system: System, fault: str) -> None:
    lose_customer(system)
    system.provider.fail("customers.create", fault, times=1 if fault.startswith("reset") else 2)
    payment_id = carried_out(system, payment_request("inv", "pm_card_visa") | {"user_id": "ada"})
    system.advance(seconds=10)
    assert system.state(payment_id) == "captured"
    assert intent(system, payment_id)["customer"] == only_customer(system)
    assert len(customers(system)) == 1


def test_a_charge_of_a_user_without_a_customer_makes_none(system: System) -> None:
    payment_id = carried_out(system, payment_request("inv", "pm_card_visa") | {"user_id": "ada"})
    assert (system.state(payment_id), intent(system, payment_id)["customer"]) == ("captured", None)
    assert customers(system) == []


# --- saved methods ---


def charge_saved(system: System, caller: str = "shop", **changes: Any) -> Any:
    """Request a payment of Ada's without a new card, and wait for its result."""
    body = payment_request("inv", "") | {"user_id": "ada"}
    del body["payment_method_token"]
    system.is_worker_up = True
    try:
        how = {"Idempotency_Key": secrets.token_hex(6), "Prefer": "wait=5"}
        return system.post("/process", body | changes, caller=caller, **how)
    finally:
        system.is_worker_up = False


def test_the_default_method_is_charged_when_a_request_names_none(system: System) -> None:
    saved_card(system)
    default = saved_card(system, "pm_card_mastercard", default=True)["payment_method_token"]
    paid = charge_saved(system)
    assert (paid.status_code, paid.json["status"]) == (200, "captured")
    assert intent(system, paid.json["id"])["payment_method"] == default


def test_a_subscription_is_retried_with_the_default_of_the_day(system: System) -> None:
    saved_card(system, "pm_card_chargeCustomerFail", default=True)
    declined = charge_saved(system, subscription_id="sub")
    assert declined.json["type"] == "payment_declined"
    better = saved_card(system, default=True)["payment_method_token"]
    system.advance(days=3, minutes=1)
    [row] = system.rows(payments)
    assert row.state == "captured"
    assert intent(system, row.id)["payment_method"] == better


def test_without_a_default_method_the_request_has_to_name_one(system: System) -> None:
    assert charge_saved(system).status_code == 422
    saved_card(system)
    refused = charge_saved(system)
    assert (refused.status_code, refused.json["param"]) == (422, "payment_method_token")


def test_a_default_of_another_kind_is_not_charged(system: System) -> None:
    saved_card(system, "pm_usBankAccount_success", default=True)
    refused = charge_saved(system)
    assert (refused.status_code, refused.json["param"]) == (422, "payment_method_token")


def test_a_saved_card_needs_no_customer_token(system: System) -> None:
    token = saved_card(system)["payment_method_token"]
    paid = charge_saved(system, payment_method_token=token, off_session=True)
    assert (paid.status_code, paid.json["status"]) == (200, "captured")


def test_a_saved_card_of_another_user_is_refused(system: System) -> None:
    token = saved_card(system, user="bob")["payment_method_token"]
    for invoice in ("inv-1", "inv-2"):
        refused = charge_saved(system, payment_method_token=token, invoice_id=invoice, off_session=True)
        assert refused.status_code in (404, 422), refused.text
        assert "payment_method_token" in refused.json["detail"]
        saved_card(system)  # the second time, as a user with a customer of their own


def test_a_saved_card_of_another_application_is_refused(system: System) -> None:
    """Both applications call their user alike."""
    token = saved_card(system)["payment_method_token"]
    refused = charge_saved(system, "other", payment_method_token=token, off_session=True)
    assert refused.status_code in (404, 422), refused.text
    assert system.provider.movements() == []


# --- tokens of somebody else ---


@pytest.mark.parametrize(
    ("provider", "method", "fields"),
    [
        ("paypal", "paypal", {}),
        ("klarna", "klarna", {"currency": "USD", "billing_address": {"country": "US"}}),
    ],
)
def test_a_token_is_the_user_s_who_used_it_first(
    system: System, provider: str, method: str, fields: dict[str, Any]
) -> None:
    system.add_provider(provider)
    token = {"payment_method": method, "payment_method_token": "tok-of-ada", "off_session": True, **fields}

    def ask(user: str, invoice: str, caller: str = "shop") -> Any:
        body = payment_request(invoice, "") | token | {"user_id": user}
        return system.post("/process", body, caller=caller, Idempotency_Key=invoice)

    assert [ask("ada", invoice).status_code for invoice in ("inv-1", "inv-2")] == [202, 202]
    before = system.row_counts()
    for refused in (ask("bob", "inv-3"), ask("ada", "inv-4", "other")):
        assert refused.status_code == 404, refused.text
        assert refused.json["type"] == "not_found"
        assert "payment_method_token" in refused.json["detail"]
    assert system.row_counts() == before
    assert ask("ada", "inv-1").status_code == 202
    assert "tok-of-ada" not in str(system.rows(token_owners))


def test_a_customer_token_of_another_user_is_refused(system: System) -> None:
    ada = system.request("/setup-intent", ADA)["customer_token"]
    foreign = str(system.provider.call("POST", "/v1/customers")["id"])
    system.accept(payment_request("inv-1", "pm_card_visa") | {"user_id": "ada", "customer_token": foreign})
    for number, token in enumerate((ada, foreign)):
        body = payment_request(f"bob-{number}", "pm_card_visa") | {"user_id": "bob", "customer_token": token}
        refused = system.post("/process", body, Idempotency_Key=token)
        assert refused.status_code == 404, refused.text
        assert "customer_token" in refused.json["detail"]
