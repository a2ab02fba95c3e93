"""Stripe's lists and search in the sandbox."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.sandbox.stripe_client import DAY, Bench


def test_lists_are_newest_first_and_paged(bench: Bench) -> None:
    customer = bench.client.v1.customers.create().id
    made = [bench.create(customer=customer).id for _ in range(5)]
    page = bench.client.v1.payment_intents.list({"customer": customer, "limit": 2})
    assert ([intent.id for intent in page.data], page.has_more) == (made[:2:-1], True)
    walked = bench.client.v1.payment_intents.list({"customer": customer, "limit": 2}).auto_paging_iter()
    assert [intent.id for intent in walked] == made[::-1]
    created = bench.retrieve(made[0]).created
    for bound, count in (({"gte": created}, 5), ({"lt": created}, 0)):
        found = bench.client.v1.payment_intents.list({"customer": customer, "created": bound}).data
        assert len(found) == count


def test_search_joins_and_negates(bench: Bench) -> None:
    mine = [bench.create(metadata={"search": "s1"}, amount=amount).id for amount in (100, 200)]

    def search(query: str) -> list[str]:
        return [intent.id for intent in bench.client.v1.payment_intents.search({"query": query}).data]

    assert search("metadata['search']:'s1'") == mine[::-1]
    assert search("metadata['search']:'s1' AND amount>100") == mine[1:]
    assert search("metadata['search']:'s1' AND -amount:200") == mine[:1]
    with pytest.raises(stripe.InvalidRequestError):
        search("metadata['search']:'s1' AND amount>1 OR amount<5")


def test_charges_are_listed_by_intent(bench: Bench) -> None:
    intent = bench.create()
    with pytest.raises(stripe.CardError):
        bench.client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_chargeDeclined"})
    paid = bench.client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    charges = bench.client.v1.charges.list({"payment_intent": intent.id}).data
    assert [charge.status for charge in charges] == ["succeeded", "failed"]
    assert bench.client.v1.charges.retrieve(paid.latest_charge).id == charges[0].id


def test_the_list_of_events_reaches_back_thirty_days(own: Bench) -> None:
    own.create()
    own.control("POST", "clock", {"advance_seconds": 29 * DAY})
    assert [event.type for event in own.client.v1.events.list().data] == ["payment_intent.created"]
    own.control("POST", "clock", {"advance_seconds": 2 * DAY})
    assert own.client.v1.events.list().data == []


def test_events_are_listed_by_types_or_by_a_group_of_them(bench: Bench) -> None:
    bench.pay()

    def listed(**query: Any) -> set[str]:
        return {event.type for event in bench.client.v1.events.list({"limit": 100, **query}).data}

    assert listed(types=["payment_intent.succeeded"]) == {"payment_intent.succeeded"}
    assert listed(types=["payment_intent.*"]) == set()
    assert listed(type="payment_intent.*") >= {"payment_intent.created", "payment_intent.succeeded"}
    assert {type.partition(".")[0] for type in listed(type="payment_intent.*")} == {"payment_intent"}
    for refused in ({"type": "a", "types": ["b"]}, {"types": [f"type.{number}" for number in range(21)]}):
        with pytest.raises(stripe.InvalidRequestError):
            listed(**refused)
