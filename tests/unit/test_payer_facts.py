"""What the fraud rules learn of a payer: the same from a request and from what is stored of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from domain.errors import InvalidRequest
from domain.fraud.entities import EntityKind, Subject, entities_of
from domain.fraud.payer import subject_of
from models.api_request import ApiRequest
from models.request_bodies import AttachMethod, CreateIntent, OpenSetup, ProcessPayment

FACTS: dict[str, Any] = {
    "ip_address": "203.0.113.9",
    "device_fingerprint": "device-7",
    "email": "Ada+shop@Example.com",
    "billing_address": {"given_name": "Ada", "line1": "12 Main St.", "city": "Springfield", "country": "de"},
    "card": {"fingerprint": "fp_1", "bin": "42424242", "country": "fr"},
    "shared_entities": {"merchant_account": "acct 7"},
}
PAYMENT = {
    "invoice_id": "inv",
    "user_id": "ada",
    "amount": "12.30",
    "currency": "EUR",
    "payment_method": "credit_card",
    "payment_method_token": "pm_1",
}
DOORS: list[tuple[type[ApiRequest], dict[str, Any]]] = [
    (ProcessPayment, PAYMENT),
    (CreateIntent, {"invoice_id": "inv"}),
    (OpenSetup, {"user_id": "ada"}),
    (AttachMethod, {"payment_method_token": "pm_1"}),
]
each_door = pytest.mark.parametrize(("door", "body"), DOORS, ids=[door.__name__ for door, _ in DOORS])


@each_door
def test_every_door_knows_the_same_subject(door: Any, body: dict[str, Any]) -> None:
    request = door.parse(body | FACTS)
    assert request.subject("ada").values() == {
        "user": "ada",
        "card": "fp_1",
        "bin": "42424242",
        "ip": "203.0.113.9",
        "network": "203.0.113.0/24",
        "device": "device-7",
        "email": "ada@example.com",
        "email_pattern": "ada@example.com",
        "address": "12 main st springfield de",
        "merchant_account": "acct 7",
    }
    assert (request.billing_country, request.card_country) == ("DE", "FR")


@each_door
def test_a_door_that_is_told_nothing_knows_the_user_alone(door: Any, body: dict[str, Any]) -> None:
    request = door.parse(body)
    assert request.subject("ada") == Subject(user="ada")
    assert (request.facts, request.billing_country, request.card_country) == ({}, None, None)


def test_what_is_stored_of_a_payment_means_the_same_payer() -> None:
    request = ProcessPayment.parse(PAYMENT | FACTS)
    stored = json.loads(json.dumps(request.payer))
    assert subject_of("ada", stored, "pm_1") == request.subject("ada", "pm_1")
    assert ProcessPayment.parse(PAYMENT).payer is None


def test_the_token_stands_for_a_card_without_a_fingerprint() -> None:
    assert ProcessPayment.parse(PAYMENT).subject("ada", "pm_1").card == "ada/pm_1"
    assert ProcessPayment.parse(PAYMENT | FACTS).subject("ada", "pm_1").card == "fp_1"


@pytest.mark.parametrize("address", ["", "here", "203.0.113", "203.0.113.9.9", "::ffff::1"])
def test_an_address_on_the_internet_that_cannot_be_read_is_no_entity(address: str) -> None:
    subject = CreateIntent.parse({"invoice_id": "inv", "ip_address": address}).subject("ada")
    assert [entity.kind for entity in entities_of(subject, "shop", ["key"])] == [EntityKind.USER]


def test_one_address_on_the_internet_is_one_entity_however_it_is_written() -> None:
    written = ("203.0.113.9", " 203.0.113.9 ", "::ffff:203.0.113.9", "::FFFF:CB00:7109")
    told = [CreateIntent.parse({"invoice_id": "inv", "ip_address": ip}).subject(None).values() for ip in written]
    assert told == [{"ip": "203.0.113.9", "network": "203.0.113.0/24"}] * 4


def test_a_country_alone_is_no_address() -> None:
    request = CreateIntent.parse({"invoice_id": "inv", "billing_address": {"country": "DE", "city": "Berlin"}})
    assert (request.subject(None).address, request.billing_country) == (None, "DE")


def test_an_address_is_the_same_under_another_name() -> None:
    lines = FACTS["billing_address"] | {"given_name": "Bob", "phone": "1", "line1": "12, MAIN St"}
    other = CreateIntent.parse({"invoice_id": "inv", "billing_address": lines}).subject(None)
    assert other.values()["address"] == "12 main st springfield de"


def test_only_what_the_provider_stores_goes_to_it() -> None:
    told = OpenSetup.parse({"user_id": "ada"} | FACTS)
    assert set(told.payer) == {"email", "billing_address"}
    assert OpenSetup.parse({"user_id": "ada", "ip_address": "203.0.113.9", "card": {"bin": "424242"}}).payer == {}


def test_no_more_than_five_shared_entities_are_taken() -> None:
    five = {f"kind_{number}": "v" for number in range(5)}
    assert CreateIntent.parse({"invoice_id": "inv", "shared_entities": five}).subject(None).shared == five
    with pytest.raises(InvalidRequest, match="shared_entities: must have at most 5 entries"):
        CreateIntent.parse({"invoice_id": "inv", "shared_entities": five | {"sixth": "v"}})
