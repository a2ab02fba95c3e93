"""The control API of the sandbox: clock, faults, webhooks, ledger and overview, with Stripe as the provider."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from sandbox.faults import UnknownFault
from sandbox.server import RunningSandbox
from sandbox.state import Settings
from stack.process import ROOT
from tests.sandbox.receiver import SECONDS, Receiver, wait_until
from tests.sandbox.stripe_client import Bench


def test_delivery_is_retried_until_it_is_received(hooked: Bench, receiver: Receiver) -> None:
    receiver.failures_left = 2
    hooked.create()
    wait_until(lambda: receiver.types() == ["payment_intent.created"], "the event after two failures")
    assert receiver.failures_left == 0
    wait_until(lambda: hooked.control("GET", "webhooks")["delivered"] == 1, "the delivery is counted")
    assert hooked.client.v1.events.list({"delivery_success": False}).data == []


def test_a_pause_holds_copies_and_sends_them_newest_first(hooked: Bench, receiver: Receiver) -> None:
    hooked.control("POST", "webhooks", {"paused": True, "duplicate": 2, "reorder": True})
    hooked.pay()
    assert hooked.control("GET", "webhooks")["pending"] == 6
    assert receiver.received == []
    hooked.control("POST", "webhooks", {"paused": False})
    wait_until(lambda: len(receiver.received) == 6, "six deliveries")
    newest_first = ["payment_intent.succeeded", "charge.succeeded", "payment_intent.created"]
    assert receiver.types() == [type for type in newest_first for _ in range(2)]


def test_dropped_events_are_lost_but_listed(hooked: Bench, receiver: Receiver) -> None:
    hooked.control("POST", "webhooks", {"drop_rate": 1.0})
    hooked.create()
    shown = hooked.control("GET", "webhooks")
    assert (shown["dropped"], shown["pending"]) == (1, 0)
    missed = hooked.client.v1.events.list({"delivery_success": False}).data
    assert [event.type for event in missed] == ["payment_intent.created"]


def test_the_clock_moves_forward_only(own: Bench) -> None:
    assert own.control("GET", "health") == {"status": "ok"}
    assert own.control("POST", "clock", {"advance_seconds": 30})["offset_seconds"] == 30
    before = time.time()
    assert before <= own.control("GET", "clock")["now"] - 30 <= time.time()
    for wrong in (-1, "1", None):
        with pytest.raises(requests.HTTPError) as refusal:
            own.control("POST", "clock", {"advance_seconds": wrong})
        assert refusal.value.response.status_code == 400


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("faults", {"operation": "*", "fault": "earthquake"}),
        ("faults", {"fault": "latency"}),
        ("faults", {"operation": "*", "fault": "latency", "times": 0}),
        ("faults", {"operation": "*", "fault": "latency", "rate": 2}),
        ("webhooks", {"duplicate": 0}),
        ("webhooks", {"drop_rate": -1}),
        ("cards", {"script": []}),
        ("cards", {"script": [None]}),
        ("cards", [1]),
        ("clock", {}),
        ("webhooks", {"paused": "yes"}),
        ("webhooks", {"duplicate": True}),
    ],
)
def test_an_invalid_control_request_is_refused(bench: Bench, path: str, body: Any) -> None:
    with pytest.raises(requests.HTTPError) as refusal:
        bench.control("POST", path, body)
    assert refusal.value.response.status_code == 400


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("cards", {"script": ["nope"]}, ["nope", "success", "insufficient_funds", "decline_code"]),
        ("cards", {"script": [{"decline_code": "nope"}]}, ["nope", "insufficient_funds"]),
        ("cards", {"script": [{"decline_code": "lost_card", "bogus": "1"}]}, ["bogus", "network_advice_code"]),
        ("webhooks", {"foo": 1}, ["foo", "paused", "hold_rate"]),
        ("faults", {"operation": "*", "fault": "latency", "bogus": 1}, ["bogus", "rate"]),
        ("clock", {"advance": 1}, ["advance", "advance_seconds"]),
        ("paypal/5O190127TN364715T/scenario", {"scenario": "nope"}, ["COMPLETED"]),
        ("klarna/unknown", {"decision": "nope"}, ["approve"]),
        ("coinbase/unknown/settle", {"result": "nope"}, ["failure"]),
        ("coinbase/unknown/refund_slowly", {"slow": True}, ["slow"]),
        ("intents/unknown/dispute", {"reason": "nope"}, ["fraudulent"]),
    ],
)
def test_an_unknown_field_or_value_is_refused_with_the_valid_ones(
    bench: Bench, path: str, body: Any, named: list[str]
) -> None:
    refused = requests.post(f"{bench.running.url}/_sandbox/{path}", json=body, timeout=SECONDS)
    assert refused.status_code == 400
    assert [name for name in named if name not in refused.json()["error"]] == []


@pytest.mark.parametrize("path", ["paypal/unknown/scenario", "klarna/unknown", "intents/unknown/dispute"])
def test_an_unknown_id_is_refused_with_a_sentence(shared: RunningSandbox, path: str) -> None:
    body = {"klarna": {"decision": "approve"}, "paypal": {"scenario": "PENDING"}}.get(path.split("/")[0], {})
    refused = requests.post(f"{shared.url}/_sandbox/{path}", json=body, timeout=SECONDS)
    assert refused.status_code == 404
    assert "unknown" in refused.json()["error"]


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "fault", 404), ("DELETE", "clock", 405)])
def test_an_unknown_control_route_is_refused_in_json(
    shared: RunningSandbox, method: str, path: str, status: int
) -> None:
    refused = requests.request(method, f"{shared.url}/_sandbox/{path}", timeout=SECONDS)
    assert (refused.status_code, refused.json()) == (status, {"error": "no such route; see /"})
    assert ("GET" in refused.headers.get("Allow", "")) == (status == 405)


def test_an_unknown_path_of_a_provider_keeps_the_form_of_its_errors(shared: RunningSandbox) -> None:
    unknown = requests.get(f"{shared.url}/v1/unknown", timeout=SECONDS)
    assert (unknown.status_code, unknown.json()["error"]["type"]) == (404, "invalid_request_error")
    assert "no such route" not in requests.get(f"{shared.url}/klarna/unknown", timeout=SECONDS).text


def test_the_ledger_is_copied_to_a_file(tmp_path: Any) -> None:
    file = tmp_path / "ledger.jsonl"
    with RunningSandbox(Settings(ledger_file=str(file))) as running:
        intent = Bench(running).pay()
        rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(row["row"], row["object"]) for row in rows] == [("attempt", intent.id), ("movement", intent.id)]


def test_many_connections_wait_at_the_same_time(own: Bench) -> None:
    waiting = own.running.state.faults.add("customers.list", "latency", times=None, seconds=SECONDS)
    with ThreadPoolExecutor(50) as pool:
        pages = [pool.submit(lambda: own.another_client().v1.customers.list().data) for _ in range(50)]
        wait_until(lambda: waiting.hits == 50, "fifty calls at the same time")
        assert not any(page.done() for page in pages)
        own.control("DELETE", "faults")
        assert [page.result() for page in pages] == [[]] * 50


# --- overview, operations and faults ---


def test_the_overview_lists_providers_base_urls_and_every_control_route(shared: RunningSandbox) -> None:
    overview = requests.get(shared.url, timeout=SECONDS).json()
    assert overview["providers"] == {
        "afterpay": f"{shared.url}/afterpay",
        "coinbase": f"{shared.url}/coinbase",
        "coinbase_commerce": f"{shared.url}/coinbase_commerce",
        "klarna": f"{shared.url}/klarna",
        "paypal": f"{shared.url}/paypal",
        "stripe": shared.url,
    }
    routes = {(route["method"], route["path"]) for route in overview["control"]}
    assert {("GET", "/_sandbox/operations"), ("POST", "/_sandbox/clock"), ("DELETE", "/_sandbox/faults")} <= routes
    assert [route for route in overview["control"] if not route["purpose"]] == []


def test_the_operations_that_can_fail_are_listed_by_provider(shared: RunningSandbox) -> None:
    listed = requests.get(f"{shared.url}/_sandbox/operations", timeout=SECONDS).json()
    assert listed["operations"].keys() == requests.get(shared.url, timeout=SECONDS).json()["providers"].keys()
    assert "payment_intents.confirm" in listed["operations"]["stripe"]
    assert "klarna.captures.create" in listed["operations"]["klarna"]
    assert "coinbase_commerce.read" in listed["operations"]["coinbase_commerce"]
    assert "latency" in listed["faults"]


def test_a_fault_can_be_injected_into_each_listed_operation(own: Bench) -> None:
    listed = own.control("GET", "operations")
    for operation in [name for names in listed["operations"].values() for name in names]:
        own.control("POST", "faults", {"operation": operation, "fault": "error_before"})
    for fault in listed["faults"]:
        own.control("POST", "faults", {"operation": "*", "fault": fault})


@pytest.mark.parametrize("operation", ["*", "klarna.*", "payment_intents.*", "coinbase*", "paypal.orders.create"])
def test_a_fault_covers_one_operation_or_all_with_a_prefix(own: Bench, operation: str) -> None:
    own.control("POST", "faults", {"operation": operation, "fault": "latency", "seconds": 0})
    assert [fault["operation"] for fault in own.control("GET", "faults")["faults"]] == [operation]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (
            {"operation": "payment_intents.confrim", "fault": "latency"},
            ["payment_intents.confirm", "klarna."],
        ),
        ({"operation": "clarna.*", "fault": "latency"}, ["clarna.*", "klarna.orders.read"]),
        ({"operation": "klarna", "fault": "latency"}, ["klarna.orders.read"]),
        ({"operation": "", "fault": "latency"}, ["klarna.orders.read"]),
        ({"operation": "*", "fault": "earthquake"}, ["earthquake", "timeout_after", "rate_limit"]),
        ({"operation": "*"}, ["timeout_after", "rate_limit"]),
        ({"fault": "latency"}, ["/_sandbox/operations"]),
    ],
    ids=str,
)
def test_an_unknown_fault_or_operation_is_refused_with_the_valid_ones(
    bench: Bench, body: Any, named: list[str]
) -> None:
    refused = requests.post(f"{bench.running.url}/_sandbox/faults", json=body, timeout=SECONDS)
    assert refused.status_code == 400
    assert [name for name in named if name not in refused.json()["error"]] == []
    assert bench.control("GET", "faults")["faults"] == []


def test_the_refusal_of_an_unknown_operation_is_short_and_names_the_nearest(bench: Bench) -> None:
    body = {"operation": "paypal.order.create", "fault": "latency"}
    refused = requests.post(f"{bench.running.url}/_sandbox/faults", json=body, timeout=SECONDS).json()["error"]
    assert "paypal.orders.create" in refused
    assert "/_sandbox/operations" in refused
    assert len(refused) < 250


def test_the_name_of_a_provider_covers_all_its_operations_and_no_others(own: Bench) -> None:
    listed = own.control("GET", "operations")["operations"]
    faults = own.running.state.faults
    for provider, operations in listed.items():
        fault = faults.add(f"{provider}.*", "error_before", times=None)
        hit = [name for names in listed.values() for name in names if faults.take(name) is fault]
        assert hit == operations
        faults.clear()


def test_python_code_is_refused_an_unknown_fault_or_operation_too(shared: RunningSandbox) -> None:
    with pytest.raises(UnknownFault, match=r"klarna\.orders\.read"):
        shared.state.faults.add("klarna.orders.raed", "latency")
    with pytest.raises(UnknownFault, match="timeout_after"):
        shared.state.faults.add("*", "earthquake")  # type: ignore[arg-type]
    assert shared.state.faults.all() == []


# --- hosted pages ---


def test_stripes_pages_show_decimals_and_the_currency(bench: Bench) -> None:
    shown = {}
    for currency, amount in (("eur", 2490), ("jpy", 2490), ("kwd", 24900)):
        intent = bench.pay(
            "pm_card_authenticationRequired", currency=currency, amount=amount, return_url="https://shop.example"
        )
        page = requests.get(intent.next_action.redirect_to_url.url, timeout=SECONDS).text
        shown[currency] = re.findall(r"[\d.]+ [A-Z]{3}", page)
    assert shown == {"eur": ["24.90 EUR"], "jpy": ["2490 JPY"], "kwd": ["24.900 KWD"]}


def test_stripes_bank_transfer_page_takes_the_amount_that_it_shows(own: Bench) -> None:
    customer = own.client.v1.customers.create({"email": "jo@example.org"}).id
    options = {"funding_type": "bank_transfer", "bank_transfer": {"type": "us_bank_transfer"}}
    intent = own.create(
        amount=2490,
        customer=customer,
        allowed_payment_method_types=["customer_balance"],
        payment_method_data={"type": "customer_balance"},
        payment_method_options={"customer_balance": options},
        confirm=True,
    )
    url = intent.next_action.display_bank_transfer_instructions.hosted_instructions_url
    page = requests.get(url, timeout=SECONDS).text
    assert "Pay 24.90 USD." in page
    assert 'value="24.90"> USD.' in page
    for wrong in ("", "24,90", "-1", "0.00"):
        assert requests.post(url, {"amount": wrong}, timeout=SECONDS).status_code == 400
    assert requests.post(url, {"amount": "10.50"}, timeout=SECONDS).json() == {"status": "requires_action"}
    assert 'value="14.40"> USD.' in requests.get(url, timeout=SECONDS).text
    assert requests.post(url, {"amount": "14.4"}, timeout=SECONDS).json() == {"status": "succeeded"}
    assert own.movements(intent.id) == [("charge", 2490)]


def test_documentation_names_every_provider_fault_and_operation(shared: RunningSandbox) -> None:
    text = (ROOT / "docs" / "sandbox.md").read_text(encoding="utf-8")
    listed = requests.get(f"{shared.url}/_sandbox/operations", timeout=SECONDS).json()
    names = [*listed["faults"], *(name for names in listed["operations"].values() for name in names)]
    assert [name for name in names if f"`{name}`" not in text] == []
    missing_routes = [
        route["path"]
        for route in requests.get(shared.url, timeout=SECONDS).json()["control"]
        if f"`{route['method']} {route['path']}`" not in text
    ]
    assert missing_routes == []
