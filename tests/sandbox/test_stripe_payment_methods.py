"""Stripe's PaymentMethods and customers in the sandbox: attaching, detaching and reuse."""

from __future__ import annotations

import pytest
import stripe

from tests.sandbox.stripe_client import Bench


def test_an_unattached_method_is_spent_by_its_first_use(bench: Bench) -> None:
    method = bench.client.v1.payment_methods.create({"type": "card", "card": {"token": "tok_visa"}})
    assert bench.pay(method.id).payment_method == method.id
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again") as refusal:
        bench.pay(method.id)
    assert refusal.value.http_status == 400


def test_a_token_makes_a_fresh_method_each_time(bench: Bench) -> None:
    first, second = bench.pay().payment_method, bench.pay().payment_method
    assert first.startswith("pm_")
    assert first not in ("pm_card_visa", second)


def test_an_attached_method_is_charged_with_its_customer_only(bench: Bench) -> None:
    customer = bench.client.v1.customers.create({"name": "A"})
    other = bench.client.v1.customers.create({"name": "B"})
    method = bench.client.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    assert (method.customer, method.id == "pm_card_visa") == (customer.id, False)

    assert [bench.pay(method.id, customer=customer.id, off_session=True).status for _ in range(2)] == ["succeeded"] * 2
    for wrong in (None, other.id):
        with pytest.raises(stripe.InvalidRequestError):
            bench.pay(method.id, customer=wrong)

    listed = bench.client.v1.customers.payment_methods.list(customer.id)
    assert [entry.id for entry in listed.data] == [method.id]
    assert bench.client.v1.payment_methods.detach(method.id).customer is None
    for again in (
        lambda: bench.client.v1.payment_methods.detach(method.id),
        lambda: bench.client.v1.payment_methods.attach(method.id, {"customer": customer.id}),
    ):
        with pytest.raises(stripe.InvalidRequestError) as refusal:
            again()
        assert refusal.value.code is None


def test_declining_cards_cannot_be_attached_except_the_one_made_for_it(bench: Bench) -> None:
    customer = bench.client.v1.customers.create()
    with pytest.raises(stripe.CardError):
        bench.client.v1.payment_methods.attach("pm_card_visa_chargeDeclined", {"customer": customer.id})
    method = bench.client.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": customer.id})
    with pytest.raises(stripe.CardError):
        bench.pay(method.id, customer=customer.id, off_session=True)


def test_raw_card_numbers_are_refused(bench: Bench) -> None:
    card = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2040, "cvc": "123"}
    with pytest.raises(stripe.CardError) as refusal:
        bench.client.v1.payment_methods.create({"type": "card", "card": card})
    assert (refusal.value.http_status, refusal.value.error.type) == (402, "invalid_request_error")


def test_a_deleted_customer_still_reads(bench: Bench) -> None:
    customer = bench.client.v1.customers.create({"email": "a@example.com"})
    assert bench.client.v1.customers.delete(customer.id).deleted is True
    assert bench.client.v1.customers.retrieve(customer.id).to_dict() == {
        "id": customer.id,
        "object": "customer",
        "deleted": True,
    }


def test_a_scripted_card_is_its_customer_s_once_it_is_attached(bench: Bench) -> None:
    script = bench.control("POST", "cards", {"script": ["success"]})["id"]
    owner, other = (bench.client.v1.customers.create().id for _ in range(2))
    card = bench.client.v1.payment_methods.attach(script, {"customer": owner}).id
    for wrong in (None, other):
        with pytest.raises(stripe.InvalidRequestError):
            bench.pay(card, customer=wrong)
    assert bench.pay(card, customer=owner).status == "succeeded"


def test_a_deleted_customer_is_refused(bench: Bench) -> None:
    customer = bench.client.v1.customers.create().id
    bench.client.v1.customers.delete(customer)
    for use in (
        lambda: bench.pay(customer=customer),
        lambda: bench.client.v1.setup_intents.create({"customer": customer}),
        lambda: bench.client.v1.payment_methods.attach("pm_card_visa", {"customer": customer}),
    ):
        with pytest.raises(stripe.InvalidRequestError) as refusal:
            use()
        assert (refusal.value.code, refusal.value.param) == ("resource_missing", "customer")
