"""Every gateway whose provider lists events: each comes as its webhook brings it, page by page, within a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import chain
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from gateways.base import GatewayError
from gateways.capabilities import EventListing
from gateways.coinbase_commerce.gateway import CoinbaseCommerceGateway
from gateways.failures import MalformedResponse
from gateways.paypal.gateway import PayPalGateway
from gateways.stripe.gateway import StripeGateway
from gateways.stripe.webhooks import LISTED_TYPES
from sandbox.server import RunningSandbox

from .bench import Bench, now
from .benches.paypal import MemoryTokens
from .benches.paypal import ProviderBench as PayPalBench
from .benches.stripe import ProviderBench as StripeBench
from .served import Reply, Served, replying
from .test_gateway_operations import charged
from .test_paypal_malformed import TOKEN

END = now().replace(microsecond=0)
HOUR = timedelta(hours=1)
NEXT = "https://attacker.example/v1/notifications/webhooks-events/?page_size=100&amp;move_to=next&amp;index_id=3"


def stripe_at(url: str) -> EventListing:
    return StripeGateway("sk_test_1", base=url)


def paypal_at(url: str) -> EventListing:
    return PayPalGateway("sandbox-client", "sandbox-secret", MemoryTokens(), base=url)


def commerce_at(url: str) -> EventListing:
    return CoinbaseCommerceGateway(api_key="sandbox-key", base=url)


def ids(gateway: EventListing) -> list[str]:
    return [event.event_id for page in gateway.events(END - HOUR, END) for event in page]


def queries(served: Served) -> Iterator[dict[str, list[str]]]:
    """Yield the query of each request for a page."""
    return (parse_qs(urlsplit(request.path).query) for request in served.requests if request.method == "GET")


def stripe_event(id: str, **changes: Any) -> dict[str, Any]:
    return {"id": id, "type": "refund.created", "livemode": False, "data": {"object": {}}} | changes


def commerce_event(number: int, at: datetime) -> dict[str, Any]:
    return {"id": f"e-{number}", "type": "charge:pending", "created_at": at.isoformat(), "data": {"id": "c"}}


def test_what_is_listed_reads_as_what_was_delivered(sandbox: RunningSandbox) -> None:
    for bench in (StripeBench(sandbox), PayPalBench(sandbox)):
        gateway: Any = bench.gateway()
        attempt = charged(bench, gateway)
        delivered = bench.event(str(attempt.reference))
        signed = bench.signed(delivered)
        webhook = gateway.verify_webhook(signed.body, signed.headers, now(), signed.url)
        pages = gateway.events(END - HOUR, END + HOUR)
        [listed] = [event for page in pages for event in page if event.event_id == webhook.event_id]
        assert listed.type == webhook.type
        assert gateway.read_webhook(listed.payload) == gateway.read_webhook(webhook.payload)
        assert "client_secret" not in listed.payload


def test_every_listed_type_of_stripe_is_read(sandbox: RunningSandbox) -> None:
    gateway = StripeBench(sandbox).gateway()
    for type in chain(*LISTED_TYPES):
        with pytest.raises(MalformedResponse):
            gateway.read_webhook(json.dumps({"type": type}))


def test_stripe_is_asked_for_a_time_and_for_types_page_by_page() -> None:
    first = {"data": [stripe_event("evt_2"), stripe_event("evt_1")], "has_more": True}
    with replying((200, first), (200, {"data": [], "has_more": False})) as served:
        assert ids(stripe_at(served.url)) == ["evt_2", "evt_1"]
        begun, then, *others = queries(served)
    assert then["starting_after"] == ["evt_1"]
    for asked, types in zip((begun, *others), LISTED_TYPES, strict=True):
        assert asked["created[gte]"] == [str(int((END - HOUR).timestamp()))]
        assert asked["created[lte]"] == [str(int(END.timestamp()))]
        assert {name for key, (name,) in asked.items() if key.startswith("types")} == {*types}
        # The most that Stripe takes.
        assert len(types) <= 20


def test_paypals_next_page_is_asked_of_paypal_whatever_host_its_link_names() -> None:
    event = {"id": "WH-1", "event_type": "PAYMENT.CAPTURE.COMPLETED", "resource": {}}
    first = {"events": [event], "links": [{"rel": "next", "href": NEXT}]}
    # An empty page is the last one, although it has a link.
    with replying((200, TOKEN), (200, first), (200, first | {"events": []})) as served:
        assert ids(paypal_at(served.url)) == ["WH-1"]
        begun, then = queries(served)
    assert begun == {
        "start_time": [f"{END - HOUR:%Y-%m-%dT%H:%M:%SZ}"],
        "end_time": [f"{END:%Y-%m-%dT%H:%M:%SZ}"],
        "page_size": ["100"],
    }
    assert then == {"page_size": ["100"], "move_to": ["next"], "index_id": ["3"]}


def test_a_page_of_paypal_that_leads_to_itself_is_an_error_and_no_endless_round() -> None:
    event = {"id": "WH-1", "event_type": "PAYMENT.CAPTURE.COMPLETED", "resource": {}}
    page = (200, {"events": [event], "links": [{"rel": "next", "href": NEXT}]})
    with replying((200, TOKEN), page, page) as served, pytest.raises(GatewayError, match="malformed_response"):
        ids(paypal_at(served.url))


def test_commerce_is_read_from_the_newest_back_to_the_time() -> None:
    first = [commerce_event(number, END + HOUR - number * timedelta(minutes=1)) for number in range(100)]
    second = [commerce_event(100, END - 0.9 * HOUR), commerce_event(101, END - 2 * HOUR)]
    with replying((200, {"data": first}), (200, {"data": second})) as served:
        assert ids(commerce_at(served.url)) == [f"e-{number}" for number in range(60, 101)]
        assert [query.get("starting_after") for query in queries(served)] == [None, ["e-99"]]


ENTRIES = [
    (stripe_at, lambda events: {"data": events, "has_more": False}, [stripe_event("evt_1")], []),
    (paypal_at, lambda events: {"events": events}, [{"id": "evt_1", "event_type": "X"}], [(200, TOKEN)]),
]


@pytest.mark.parametrize(("gateway_at", "page_of", "good", "before"), ENTRIES)
@pytest.mark.parametrize(
    "bad", [7, {}, {"id": "", "type": "a", "event_type": "a"}, {"id": "x" * 300, "event_type": "a"}]
)
def test_an_entry_that_is_no_event_is_left_out_and_logged(
    gateway_at: Callable[[str], EventListing],
    page_of: Callable[[list[Any]], Any],
    good: list[Any],
    before: list[Reply],
    bad: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with replying(*before, (200, page_of([bad, *good])), (200, page_of([]))) as served:
        assert ids(gateway_at(served.url)) == ["evt_1"]
    assert "an entry that is left out" in caplog.text


def test_an_event_of_the_other_mode_is_left_out() -> None:
    page = {"data": [stripe_event("evt_1", livemode=True), stripe_event("evt_2")], "has_more": False}
    with replying((200, page), (200, page | {"data": []})) as served:
        assert ids(stripe_at(served.url)) == ["evt_2"]


@pytest.mark.parametrize("reply", [(500, {}), (401, {}), (403, {"name": "NOT_AUTHORIZED"}), (200, {}), (200, [])])
@pytest.mark.parametrize("gateway_at", [stripe_at, paypal_at, commerce_at])
def test_a_list_that_cannot_be_read_is_raised(gateway_at: Callable[[str], EventListing], reply: Reply) -> None:
    before = [(200, TOKEN)] if gateway_at is paypal_at else []
    again = [(200, TOKEN), reply] if gateway_at is paypal_at and reply[0] == 401 else []
    with replying(*before, reply, *again) as served, pytest.raises(GatewayError):
        ids(gateway_at(served.url))


def test_only_these_providers_list_events(provider: Bench) -> None:
    gateway = provider.gateway()
    assert isinstance(gateway, EventListing) == (gateway.provider in ("stripe", "paypal", "coinbase_commerce"))
