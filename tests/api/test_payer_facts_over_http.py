"""What applications tell of a payer: taken at every door that makes an issuer look at a card, and shown to nobody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select
from werkzeug.test import TestResponse

from models.tables import payments

from .api_system import ApiSystem, assert_problem, payment, unique

FACTS: dict[str, Any] = {
    "ip_address": "203.0.113.9",
    "device_fingerprint": "device-7",
    "email": "ada@example.com",
    "billing_address": {"line1": "12 Main St.", "country": "DE"},
    "card": {"fingerprint": "fp_1", "bin": "42424242", "country": "FR"},
    "shared_entities": {"merchant_account": "acct-7"},
}


def process(api: ApiSystem, facts: dict[str, Any]) -> TestResponse:
    return api.process(**facts)


def intent(api: ApiSystem, facts: dict[str, Any]) -> TestResponse:
    invoice = unique("inv")
    api.call("PUT", f"/invoices/{invoice}", {"user_id": unique("user"), "amount": "25", "currency": "EUR"})
    return api.post("/stripe-intent", {"invoice_id": invoice} | facts)


def setup(api: ApiSystem, facts: dict[str, Any]) -> TestResponse:
    return api.post("/setup-intent", {"user_id": unique("user")} | facts)


def attach(api: ApiSystem, facts: dict[str, Any]) -> TestResponse:
    body = {"payment_method_token": "pm_card_visa"} | facts
    return api.post(f"/customers/{unique('user')}/payment-methods", body)


Door = Callable[[ApiSystem, dict[str, Any]], TestResponse]
each_door = pytest.mark.parametrize("door", [process, intent, setup, attach])


@each_door
def test_every_door_takes_what_is_known_of_the_payer(api: ApiSystem, door: Door) -> None:
    response = door(api, FACTS)
    assert response.status_code in (201, 202), response.text


def test_they_are_stored_with_the_payment_and_not_shown(api: ApiSystem) -> None:
    response = process(api, FACTS)
    stored = api.query(select(payments.c.payer).where(payments.c.id == response.json["id"]))
    assert [row.payer for row in stored] == [FACTS]
    shown = response.text + api.get(f"/{response.json['id']}").text
    assert not any(told in shown for told in ("fp_1", "42424242", "acct-7", "203.0.113.9", "device-7"))


@pytest.mark.parametrize("door", [intent, setup, attach])
def test_the_other_doors_store_none_of_them_with_the_payment(api: ApiSystem, door: Door) -> None:
    canary = unique("canary")
    told = FACTS | {"device_fingerprint": canary, "card": {"fingerprint": canary}, "shared_entities": {"kiosk": canary}}
    assert door(api, told).status_code == 201
    assert canary not in api.dump()


def test_an_address_on_the_internet_that_cannot_be_read_is_taken(api: ApiSystem) -> None:
    assert process(api, {"ip_address": "unknown"}).status_code == 202


def test_a_repeat_with_the_same_facts_is_the_same_payment(api: ApiSystem) -> None:
    body, key = payment(**FACTS), unique("key")
    first = api.post("/process", body, Idempotency_Key=key)
    again = api.post("/process", body | {"card": dict(reversed(FACTS["card"].items()))}, Idempotency_Key=key)
    assert again.json["id"] == first.json["id"]
    changed = api.post("/process", body | {"card": {"bin": "424242"}}, Idempotency_Key=key)
    assert_problem(changed, 422, "idempotency_key_reused")


WRONG = [
    ({"card": "4242"}, "card: must be an object"),
    ({"card": {"bin": "42424"}}, "card.bin: must be the first 6 to 8 digits"),
    ({"card": {"bin": "424242424"}}, "card.bin: must be the first 6 to 8 digits"),
    ({"card": {"bin": "４２４２４２"}}, "card.bin: must be the first 6 to 8 digits"),
    ({"card": {"bin": 424242}}, "card.bin: must be a text"),
    ({"card": {"country": "canary"}}, "card.country: must be a country's two letters"),
    ({"card": {"fingerprint": ""}}, "card.fingerprint: must not be empty"),
    ({"card": {"fingerprint": "f" * 201}}, "card.fingerprint: must have at most 200 characters"),
    ({"card": {"canary": "1"}}, "card: unknown field"),
    ({"shared_entities": ["canary"]}, "shared_entities: must be an object"),
    ({"shared_entities": {"user": "canary"}}, "shared_entities: names must be like merchant_account"),
    ({"shared_entities": {"Canary name": "1"}}, "shared_entities: names must be like merchant_account"),
    ({"shared_entities": {"kiosk": ""}}, "shared_entities: must not be empty"),
    ({"shared_entities": {"kiosk": "v" * 201}}, "shared_entities: must have at most 200 characters"),
    ({"shared_entities": {"kiosk": 7}}, "shared_entities: must be a text"),
    ({"shared_entities": {f"kind_{n}": "v" for n in range(6)}}, "shared_entities: must have at most 5 entries"),
    ({"ip_address": "1" * 46}, "ip_address: must have at most 45 characters"),
    ({"device_fingerprint": "d" * 201}, "device_fingerprint: must have at most 200 characters"),
    ({"email": "e" * 255}, "email: must have at most 254 characters"),
]


@each_door
@pytest.mark.parametrize(("facts", "sentence"), WRONG, ids=lambda value: str(value)[:40])
def test_what_is_wrong_is_named_without_its_value(
    api: ApiSystem, door: Door, facts: dict[str, Any], sentence: str
) -> None:
    detail = assert_problem(door(api, facts), 422, "invalid_request")
    assert sentence in detail
    assert "canary" not in detail.lower()


@each_door
@pytest.mark.parametrize(
    "facts",
    [
        {"card": {"fingerprint": "4242424242424242"}},
        {"card": {"bin": "4242424242424242"}},
        {"card": {"number": "4242 4242 4242 4242"}},
        {"shared_entities": {"merchant_account": "4242-4242-4242-4242"}},
        {"device_fingerprint": "4242424242424242"},
    ],
    ids=str,
)
def test_a_card_number_is_refused_in_every_fact(api: ApiSystem, door: Door, facts: dict[str, Any]) -> None:
    response = door(api, facts)
    assert_problem(response, 422, "card_number_refused")
    assert "4242" not in response.text


@each_door
def test_a_security_code_is_refused(api: ApiSystem, door: Door) -> None:
    assert_problem(door(api, {"card": {"cvc": "123"}}), 422, "card_number_refused")
