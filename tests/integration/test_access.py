"""What an application shows its customers: access, its end, the next try, the page to pay on, and a text for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from domain.decision import Policy
from domain.declines.classes import DeclineReason
from domain.declines.wording import sentence
from domain.dunning.policy import DunningPolicy, EndAction, GraceAnchor
from models.tables import idempotency_keys
from tests.page_customer import Customer
from tests.provider import Json
from tests.system import INSUFFICIENT_FUNDS, LOST_CARD, System

pytestmark = pytest.mark.postgres

DAYS = 26
FROM_FIRST: Json = {"grace_anchor": GraceAnchor.FIRST_FAILURE}


def show(system: System, **how: Any) -> Json:
    """Return the subscription as it is shown."""
    response = system.get("/subscriptions/sub", **how)
    assert response.status_code == 200, response.text
    shown: Json = response.json
    return shown


def use(system: System, monkeypatch: Any, **policy: Any) -> None:
    """Let every case begin under a policy."""
    runtime = replace(system.runtime, policy=Policy(dunning=DunningPolicy(**policy)))
    monkeypatch.setattr(system, "runtime", runtime)
    extensions = system.client.application.extensions
    monkeypatch.setitem(extensions, "celeriac", replace(extensions["celeriac"], runtime=runtime))


@pytest.fixture
def paid(system: System) -> System:
    """A system whose subscription was paid before."""
    system.subscribe("inv-0", "pm_card_visa")
    shown = show(system)
    assert (shown["access"], shown["reason"], shown["banner"], shown["update_url"]) == ("granted", "paid", None, None)
    return system


def days_of(system: System, card: str, invoice: str = "inv") -> Iterator[Json]:
    """Let a payment be declined; yield what is shown then and on each day after it."""
    system.subscribe(invoice, card)
    yield show(system)
    for _ in range(DAYS):
        system.advance(days=1)
        yield show(system)


def in_short(days: list[Json]) -> list[tuple[int, str, str, bool]]:
    """Return the days on which something changes: access, reason, and whether an end is known."""
    told = [(day["access"], day["reason"], day["until"] is not None) for day in days]
    return [(day, *each) for day, each in enumerate(told) if day == 0 or told[day - 1] != each]


def day_after(instant: str, days: float) -> str:
    moved = datetime.fromisoformat(instant) + timedelta(days=days)
    return moved.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_past_due_keeps_access_until_grace_has_ended(paid: System) -> None:
    days = list(days_of(paid, INSUFFICIENT_FUNDS))
    assert in_short(days) == [
        (0, "granted", "past_due", False),
        (14, "granted", "in_grace", True),
        (21, "suspended", "canceled", False),
    ]
    assert days[0]["next_attempt_at"] == day_after(days[0]["updated_at"], 3)
    assert days[14]["next_attempt_at"] is None
    # What was said on the first day of grace is what came.
    assert days[14]["until"] == days[20]["until"]
    assert datetime.fromisoformat(days[21]["updated_at"]) - datetime.fromisoformat(days[14]["until"]) < timedelta(
        days=1
    )
    assert [days[day]["banner"]["severity"] for day in (0, 3, 7, 14)] == ["info", "warning", "warning", "critical"]
    assert all(sentence(DeclineReason.FUNDS, "en") in day["banner"]["text"] for day in days[:21])
    assert (days[21]["banner"], days[21]["update_url"]) == (None, None)


def test_from_the_first_failure_access_ends_before_the_subscription(paid: System, monkeypatch: Any) -> None:
    use(paid, monkeypatch, **FROM_FIRST)
    days = list(days_of(paid, INSUFFICIENT_FUNDS))
    assert in_short(days) == [
        (0, "granted", "past_due", True),
        (7, "suspended", "grace_ended", False),
        # The last retry fails on day 14, and the next sweep ends the case.
        (15, "suspended", "canceled", False),
    ]
    assert days[0]["until"] == day_after(days[0]["updated_at"], 7)
    assert (days[10]["status"], days[10]["next_attempt_at"] is not None) == ("past_due", True)


@pytest.mark.parametrize(
    ("policy", "last"),
    [
        ({"end_action": EndAction.PAUSE}, (21, "suspended", "paused", False)),
        ({"end_action": EndAction.UNPAID}, (21, "suspended", "unpaid", False)),
        ({"end_action": EndAction.KEEP}, (21, "granted", "past_due", False)),
        (FROM_FIRST | {"end_action": EndAction.KEEP}, (7, "suspended", "grace_ended", False)),
    ],
    ids=str,
)
def test_what_is_owed_after_the_end_can_be_paid_and_gives_access_back(
    paid: System, monkeypatch: Any, policy: Json, last: tuple[int, str, str, bool]
) -> None:
    use(paid, monkeypatch, **policy)
    days = list(days_of(paid, INSUFFICIENT_FUNDS))
    assert in_short(days)[-1] == last
    paid.request("/customers/user/payment-methods", {"payment_method_token": "pm_card_visa"})
    customer = Customer(paid)
    assert sentence(DeclineReason.FUNDS, "en") in customer.open(days[-1]["update_url"]).text
    customer.press("Pay 12.30 EUR now")
    paid.run_until_idle()
    again = show(paid)
    assert (again["status"], again["access"], again["reason"]) == ("active", "granted", "paid")
    # The debt that was given up before is no reason to take access away with the next decline.
    paid.subscribe("inv-2", INSUFFICIENT_FUNDS)
    assert (show(paid)["status"], show(paid)["access"]) == ("past_due", "granted")


def test_a_card_that_was_lost_gets_a_link_and_no_accusation(paid: System) -> None:
    paid.call("PUT", "/customers/user", {"language": "de", "time_zone": "Pacific/Auckland"})
    paid.subscribe("inv", LOST_CARD)
    shown = show(paid)
    assert (shown["access"], shown["reason"], shown["next_attempt_at"]) == ("granted", "in_grace", None)
    assert (shown["banner"]["severity"], shown["banner"]["language"]) == ("critical", "de")
    assert sentence(DeclineReason.CLOSED, "de") in shown["banner"]["text"]
    assert not {"verloren", "gestohlen", "betrug"} & set(shown["banner"]["text"].lower().split())


def test_the_strictest_of_several_debts_counts(paid: System) -> None:
    paid.subscribe("inv-1", INSUFFICIENT_FUNDS)
    retried = show(paid)
    paid.subscribe("inv-2", LOST_CARD)
    both = show(paid)
    assert (both["reason"], both["until"] is not None) == ("in_grace", True)
    assert both["next_attempt_at"] == retried["next_attempt_at"]
    assert paid.runtime.pay_links is not None
    assert paid.runtime.pay_links.read(both["update_url"].rpartition("/")[2]).invoice_id == "inv-2"


def test_a_stopped_collection_takes_no_access(paid: System) -> None:
    payment_id = paid.subscribe("inv", LOST_CARD)
    paid.request(f"/{payment_id}/cancel")
    shown = show(paid)
    assert (shown["status"], shown["access"], shown["until"]) == ("past_due", "granted", None)
    assert (shown["banner"], shown["update_url"]) == (None, None)


def test_an_extended_grace_moves_the_end(paid: System) -> None:
    payment_id = paid.subscribe("inv", LOST_CARD)
    until = day_after(show(paid)["until"], 10)
    case = paid.dunning_case(payment_id).id
    body = {"until": until, "reason": "asked by phone"}
    assert paid.post(f"/admin/dunning/{case}/extend-grace", body, caller="operator").status_code == 200
    assert show(paid)["until"] == until


def test_nothing_was_bought_before_the_first_payment(system: System) -> None:
    system.subscribe("inv", INSUFFICIENT_FUNDS)
    shown = show(system)
    assert (shown["status"], shown["access"], shown["reason"]) == ("incomplete", "suspended", "incomplete")
    assert (shown["until"], shown["banner"]["severity"]) == (None, "warning")
    assert "Your subscription begins" in shown["banner"]["text"]


def test_every_place_shows_the_same(paid: System) -> None:
    paid.subscribe("inv", INSUFFICIENT_FUNDS)
    truth = show(paid)
    same = ("access", "until", "reason", "next_attempt_at", "banner")
    changed = paid.call("PUT", "/subscriptions/sub", {"user_id": "user", "plan": "x", "amount": "9", "currency": "EUR"})
    preview = paid.get("/subscriptions/sub/cancel-preview").json["subscription"]
    for shown in (changed.json, preview, show(paid, caller="operator")):
        assert {name: shown[name] for name in same} == {name: truth[name] for name in same}
    ended = paid.post("/subscriptions/sub/cancel", {}, Idempotency_Key="end").json["subscription"]
    assert (ended["access"], ended["reason"], ended["update_url"]) == ("suspended", "canceled", None)


def test_a_link_is_for_the_application_only_and_is_stored_nowhere(paid: System, monkeypatch: Any) -> None:
    paid.subscribe("inv", INSUFFICIENT_FUNDS)
    assert show(paid)["update_url"].startswith("http://localhost/pay/pl_")
    assert show(paid, caller="operator")["update_url"] is None
    paid.post("/subscriptions/sub/cancel", {}, Idempotency_Key="end")
    assert "pl_" not in str(paid.rows(idempotency_keys))
    extensions = paid.client.application.extensions
    bare = replace(extensions["celeriac"], runtime=replace(paid.runtime, pay_links=None))
    monkeypatch.setitem(extensions, "celeriac", bare)
    assert show(paid)["update_url"] is None


def test_a_debit_that_came_back_is_not_called_a_decline(paid: System) -> None:
    payment_id = paid.subscribe("inv", **paid.provider.saved_bank_account())
    reference = paid.reference(payment_id)
    paid.provider.decide_at_bank(reference, "success")
    paid.deliver_and_run(paid.provider.event("payment_intent.succeeded", reference))
    returned = paid.provider.control(f"intents/{reference}/dispute", {"reason": "insufficient_funds"})["id"]
    paid.deliver_and_run(paid.provider.event("charge.dispute.closed", returned))
    shown = show(paid)
    assert (shown["status"], shown["access"]) == ("past_due", "granted")
    assert shown["banner"]["text"].startswith("The last payment of your subscription did not go through. We will")
