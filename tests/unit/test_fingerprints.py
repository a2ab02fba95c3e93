"""Fingerprints: the same for each way to write a request, in every release; another for another request."""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from typing import Any

import pytest

from models.request_bodies import CreateIntent, ProcessPayment, RefundPayment

REQUEST = {
    "invoice_id": "inv",
    "user_id": "user",
    "amount": "12.30",
    "currency": "EUR",
    "payment_method": "credit_card",
    "payment_method_token": "pm_1",
    "billing_address": {"country": "DE"},
    "metadata": {"order": "7", "gift": None},
}


class NextRelease(ProcessPayment):
    """The request as a later release may know it."""

    shipping_country: str | None = None
    is_gift: bool = False


def fingerprint(operation: str = "process", **changes: Any) -> str:
    return ProcessPayment.parse(REQUEST | changes).fingerprint(operation)


def test_a_fingerprint_never_changes() -> None:
    """Stored keys outlive a release: if this fails, every repeat across the deploy is refused."""
    assert fingerprint() == "2fb06e110cafca7da19e2cfd83cfdc79a2e5ea44b251a8a307c1a9a70bfc2bc9"


def test_the_older_form_never_changes() -> None:
    """A field that is added must be left out of the older form: keys that were stored in it do not know the field."""
    older = ProcessPayment.parse(REQUEST).older_fingerprint("process")
    assert older == "b832da6cfe0ab385d7d2235e3d56ce8ac726ca63e96a529a426fdd645de05cb0"


def test_the_older_form_of_an_intent_never_changes() -> None:
    stored = b'["intent",{"invoice_id":"inv","return_url":null}]'
    older = CreateIntent.parse({"invoice_id": "inv"}).older_fingerprint("intent")
    assert older == hashlib.sha256(stored).hexdigest()


@pytest.mark.parametrize("changes", [{"card": {"bin": "424242"}}, {"shared_entities": {"device_group": "7"}}], ids=str)
def test_a_request_with_a_field_that_is_younger_is_none_in_the_older_form(changes: dict[str, Any]) -> None:
    plain, later = ProcessPayment.parse(REQUEST), ProcessPayment.parse(REQUEST | changes)
    assert later.older_fingerprint("process") != plain.older_fingerprint("process")
    assert later.fingerprint("process") != plain.fingerprint("process")


def test_a_field_that_a_later_release_adds_changes_no_earlier_request() -> None:
    later = NextRelease.parse(REQUEST)
    assert later.fingerprint("process") == fingerprint()
    assert NextRelease.parse(REQUEST | {"is_gift": True}).fingerprint("process") != fingerprint()


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": "12.3"},
        {"amount": "012.3000"},
        {"amount": Decimal("12.3")},
        {"amount": Decimal("123e-1")},
        {"currency": "eur"},
        {"email": None, "subscription_id": None, "off_session": None},
        {"billing_address": {"line2": None, "country": "DE"}},
        {"metadata": {"gift": None, "order": "7"}},
    ],
    ids=str,
)
def test_the_same_request_has_the_same_fingerprint(changes: dict[str, Any]) -> None:
    assert fingerprint(**changes) == fingerprint()


def test_the_order_of_fields_and_white_space_make_no_difference() -> None:
    turned = json.loads(json.dumps(dict(reversed(REQUEST.items())), indent=4))
    assert ProcessPayment.parse(turned).fingerprint("process") == fingerprint()


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": "12.31"},
        {"amount": "1.23"},
        {"amount": "123"},
        {"currency": "USD"},
        {"user_id": "another"},
        {"payment_method": "debit_card"},
        {"payment_method_token": "pm_2"},
        {"capture": False},
        {"billing_address": {"country": "FR"}},
        {"metadata": {"order": "7"}},
        {"metadata": {"order": 7, "gift": None}},
    ],
    ids=str,
)
def test_another_request_has_another_fingerprint(changes: dict[str, Any]) -> None:
    assert fingerprint(**changes) != fingerprint()


def test_another_operation_has_another_fingerprint() -> None:
    whole, part = RefundPayment.parse({"amount": None}), RefundPayment.parse({"amount": "5"})
    assert whole.fingerprint("refund pay_1") == RefundPayment.parse({}).fingerprint("refund pay_1")
    assert len({whole.fingerprint("refund pay_1"), whole.fingerprint("refund pay_2"), fingerprint("intent")}) == 3
    assert whole.fingerprint("refund pay_1") != part.fingerprint("refund pay_1")


@pytest.mark.parametrize("amount", [Decimal("1e999999999"), Decimal("1e-999999999"), "much", "-5", "1_0", "٣"], ids=str)
def test_what_is_no_amount_has_a_fingerprint_of_its_own(amount: Any) -> None:
    assert len({RefundPayment.parse({"amount": text}).fingerprint("refund") for text in (amount, "5", "10", "3")}) == 4
