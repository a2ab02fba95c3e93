"""Operators allow, block and watch entities, which are hashed at once and forgotten in plain text."""

from __future__ import annotations

from typing import Any

import pytest

from domain.fraud.rule_set import Curve, RuleSet
from models.tables import events
from tests.system import System, payment_request

pytestmark = pytest.mark.postgres

RULES = RuleSet("of-this-test", {"amount": Curve((500,), (75,)), "watched": Curve((1,), (30,))})
FACTS = {
    "ip_address": "203.0.113.9",
    "device_fingerprint": "canary-device",
    "email": "ada7@canary.example",
    "billing_address": {"line1": "12 Canary St", "city": "Springfield", "country": "DE"},
    "card": {"fingerprint": "canary-card", "bin": "424242"},
    "shared_entities": {"merchant_account": "canary-account"},
}
NAMED = [
    ("user", "user"),
    ("card", "canary-card"),
    ("bin", "424242"),
    ("ip", "203.0.113.9"),
    ("network", "203.0.113.0/24"),
    ("device", "canary-device"),
    ("email", "ADA7+shop@canary.example"),
    ("email_pattern", "ada7@canary.example"),
    ("merchant_account", "canary-account"),
]


@pytest.fixture
def listing(system: System, monkeypatch: pytest.MonkeyPatch) -> System:
    """A system in which a payment of 500 EUR is blocked, and what is watched is verified."""
    system.change_fraud_policy(monkeypatch, rule_set=RULES)
    return system


def add(system: System, kind: str, entity: str, value: str, **more: Any) -> Any:
    body = {"kind": kind, "entity": entity, "value": value, "reason": "seen before"} | more
    return system.post("/admin/fraud/lists", body, caller="operator")


def pay(system: System, invoice: str = "inv", amount: str = "12.30", caller: str = "shop") -> tuple[str, Any]:
    body = payment_request(invoice, "pm_card_visa") | FACTS | {"amount": amount}
    payment_id = system.request("/process", body, caller=caller, Idempotency_Key=f"{caller}-{invoice}")["id"]
    system.run_until_idle()
    return system.state(payment_id), system.get(f"/{payment_id}", caller="operator").json["fraud"]


@pytest.mark.parametrize(("entity", "value"), NAMED, ids=[entity for entity, _ in NAMED])
def test_what_is_blocked_is_not_charged_whatever_shows_it(listing: System, entity: str, value: str) -> None:
    assert add(listing, "block", entity, value).status_code == 201
    state, fraud = pay(listing)
    assert (state, fraud["decision"], fraud["score"]) == ("blocked", "block", 0)
    assert [(each["rule"], each["sentence"]) for each in fraud["reasons"]] == [
        ("block_list", "something of the payment is on the block list")
    ]
    assert listing.provider.movements() == []


def test_an_allowed_customer_pays_what_others_do_not(listing: System) -> None:
    assert pay(listing, "inv_1", amount="500.00")[0] == "blocked"
    add(listing, "allow", "user", "user")
    state, fraud = pay(listing, "inv_2", amount="500.00")
    assert (state, fraud["decision"], fraud["score"]) == ("captured", "approve", 75)
    assert [reason["rule"] for reason in fraud["reasons"]] == ["allow_list", "amount"]


def test_block_beats_allow(listing: System) -> None:
    add(listing, "allow", "user", "user")
    add(listing, "block", "card", "canary-card")
    assert pay(listing)[0] == "blocked"


def test_what_is_watched_gets_points(listing: System) -> None:
    add(listing, "watch", "device", "canary-device")
    _, fraud = pay(listing)
    assert (fraud["decision"], fraud["score"], fraud["reasons"][0]["rule"]) == ("verify", 30, "watched")


def test_an_entry_counts_for_its_application_or_for_all(listing: System) -> None:
    add(listing, "block", "device", "canary-device", application="other")
    assert pay(listing, "inv_1")[0] == "captured"
    assert pay(listing, "inv_1", caller="other")[0] == "blocked"
    add(listing, "block", "device", "canary-device")
    assert pay(listing, "inv_2")[0] == "blocked"


def test_an_entry_counts_until_it_expires_or_is_removed(listing: System) -> None:
    soon = listing.now().replace(microsecond=0).isoformat()
    assert add(listing, "block", "user", "user", expires_at=soon).status_code == 422
    listing.offset -= listing.offset
    until = (listing.now().replace(microsecond=0)).replace(year=2099).isoformat()
    entry = add(listing, "block", "user", "user", expires_at=until).json
    assert entry["is_active"]
    assert pay(listing, "inv_1")[0] == "blocked"
    listing.move_clock(days=365 * 80)
    assert pay(listing, "inv_2")[0] == "captured"
    again = add(listing, "block", "user", "user").json
    assert pay(listing, "inv_3")[0] == "blocked"
    removed = listing.call("DELETE", f"/admin/fraud/lists/{again['id']}", caller="operator")
    assert (removed.status_code, removed.json["is_active"]) == (200, False)
    assert pay(listing, "inv_4")[0] == "captured"
    assert listing.call("DELETE", f"/admin/fraud/lists/{again['id']}", caller="operator").status_code == 409


def test_entries_are_hashed_under_the_first_key_and_read_under_all(
    listing: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing.change_fraud_policy(monkeypatch, keys=("old-key",))
    entry = add(listing, "block", "user", "user").json
    listing.change_fraud_policy(monkeypatch, keys=("new-key", "old-key"))
    refused = add(listing, "block", "user", "user")
    assert (refused.status_code, entry["id"] in refused.json["detail"]) == (409, True)
    assert pay(listing, "inv_1")[0] == "blocked"
    listing.change_fraud_policy(monkeypatch, keys=("new-key",))
    assert pay(listing, "inv_2")[0] == "captured"


def test_each_change_is_in_the_audit_trail_and_nothing_holds_the_plain_text(listing: System) -> None:
    entry = add(listing, "block", "email", "eve@canary.example").json
    listing.call("DELETE", f"/admin/fraud/lists/{entry['id']}", caller="operator")
    written = [
        (row.name, row.actor, row.data["entry"])
        for row in listing.rows(events, events.c.name.like("fraud_list_entry_%"))
    ]
    assert written == [
        ("fraud_list_entry_added", "operator:operator", entry["id"]),
        ("fraud_list_entry_removed", "operator:operator", entry["id"]),
    ]
    shown = listing.get("/admin/fraud/lists?removed=1", caller="operator")
    assert [each["id"] for each in shown.json["entries"]] == [entry["id"]]
    assert listing.get("/admin/fraud/lists", caller="operator").json["entries"] == []
    assert "canary" not in listing.dump() + shown.text


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"kind": "grey"}, 422),
        ({"entity": "Merchant"}, 422),
        ({"entity": "ip", "value": "here"}, 422),
        ({"value": "4242424242424242"}, 422),
        ({"reason": ""}, 422),
    ],
    ids=["kind", "entity", "value", "card number", "reason"],
)
def test_what_cannot_be_listed_is_refused(listing: System, change: dict[str, str], status: int) -> None:
    given = {"kind": "block", "entity": "user", "value": "x"} | change
    refused = add(listing, **given)
    assert (refused.status_code, refused.json.get("status")) == (status, status)
    assert not listing.get("/admin/fraud/lists", caller="operator").json["entries"]


def test_lists_are_for_operators(listing: System) -> None:
    body = {"kind": "block", "entity": "user", "value": "x", "reason": "y"}
    assert listing.post("/admin/fraud/lists", body).status_code == 403
    assert listing.get("/admin/fraud/lists").status_code == 403
    assert listing.call("DELETE", "/admin/fraud/lists/list_1").status_code == 403
    assert listing.call("DELETE", "/admin/fraud/lists/list_1", caller="operator").status_code == 404
