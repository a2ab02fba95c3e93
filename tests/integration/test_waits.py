"""Look-ups of an attempt that waits come when they are of use: by its age, and around the end of what it waits for."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from domain.backoff import VISIT_PAUSE
from domain.outcome import Pending
from tests.contract.bench import PAYER
from tests.system import System

pytestmark = pytest.mark.postgres

HOSTED = {"payment_method_token": None} | PAYER
# The method of each provider with a page, and how long what the customer is asked for can be used.
PAGES = {
    "afterpay": ("afterpay", timedelta(hours=3)),
    "coinbase": ("cryptocurrency", timedelta(hours=24)),
    "coinbase_commerce": ("bitcoin", timedelta(hours=1)),
    "klarna": ("klarna", timedelta(hours=47)),
    "paypal": ("paypal", timedelta(hours=3)),
}


@pytest.fixture
def looks(system: System, monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """The times of the look-ups at Afterpay."""
    return looks_at(system, monkeypatch, "afterpay")


def looks_at(system: System, monkeypatch: pytest.MonkeyPatch, provider: str) -> list[datetime]:
    """Let the system have a provider; return the times of the look-ups there, as they come."""
    _, gateway = system.add_provider(provider)
    retrieve: Any = gateway.retrieve
    times: list[datetime] = []

    def counted(attempt: Any) -> Any:
        times.append(system.now())
        return retrieve(attempt)

    monkeypatch.setattr(gateway, "retrieve", counted)
    return times


@pytest.mark.parametrize("provider", ["stripe", *PAGES])
def test_every_provider_asks_the_customer_by_the_same_type_of_action(system: System, provider: str) -> None:
    if provider == "stripe":
        payment_id = system.pay(card="pm_card_authenticationRequired", return_url="https://shop.example/back")
        system.run_until_idle()
    else:
        system.add_provider(provider)
        payment_id, _ = wait_at_page(system, provider)
    action = system.get(f"/{payment_id}").json["next_action"]
    assert action["type"] == "redirect"
    assert action["redirect_url"].startswith("http")


def wait_at_page(system: System, provider: str = "afterpay") -> tuple[str, datetime]:
    """Open a payment on a provider's page; return its id and when it was opened."""
    bench = __import__(f"tests.contract.benches.{provider}", fromlist=["ProviderBench"]).ProviderBench(system.sandbox)
    payment_id = system.pay(payment_method=PAGES[provider][0], currency=bench.currency, **HOSTED)
    opened_at = system.now()
    system.run_until_idle()
    assert system.state(payment_id) == "requires_action"
    return payment_id, opened_at


def visit(system: System, payment_id: str) -> None:
    """Open the address to which a provider sends the customer back, as anybody can."""
    assert system.call("GET", f"/returns/{system.attempts(payment_id)[0].id}", caller=None).status_code == 200
    system.run_until_idle()


@pytest.mark.parametrize("provider", PAGES)
def test_the_end_of_what_the_customer_is_asked_for_is_stored(system: System, provider: str) -> None:
    system.add_provider(provider)
    payment_id, opened_at = wait_at_page(system, provider)
    ends_at = system.attempts(payment_id)[0].action_expires_at
    assert abs(ends_at - opened_at - PAGES[provider][1]) < timedelta(minutes=2)


def test_a_look_up_comes_shortly_before_the_end_and_one_after_it(system: System, looks: list[datetime]) -> None:
    payment_id, _ = wait_at_page(system)
    ends_at = system.attempts(payment_id)[0].action_expires_at
    for _ in range(4 * 60):
        system.advance(minutes=1)
    last = [look for look in looks if look < ends_at][-1]
    assert timedelta(minutes=2) < ends_at - last < timedelta(minutes=10)
    assert [look for look in looks if ends_at <= look < ends_at + timedelta(minutes=10)]
    # Nobody approved it, and nobody can any more.
    assert system.state(payment_id) == "canceled"


@pytest.mark.parametrize("provider", ["klarna", "coinbase", "coinbase_commerce", "paypal"])
def test_a_look_up_comes_around_the_end_at_every_provider(
    system: System, monkeypatch: pytest.MonkeyPatch, provider: str
) -> None:
    looks = looks_at(system, monkeypatch, provider)
    payment_id, opened_at = wait_at_page(system, provider)
    # A customer has a day, however long the provider's page lives.
    ends_at = min(system.attempts(payment_id)[0].action_expires_at, opened_at + timedelta(hours=24))
    while system.now() < ends_at + timedelta(minutes=15):
        is_near = ends_at - system.now() < timedelta(minutes=30)
        system.advance(minutes=1 if is_near else 20)
    last = [look for look in looks if look < ends_at][-1]
    assert timedelta(minutes=2) < ends_at - last < timedelta(minutes=10)
    assert [look for look in looks if ends_at <= look < ends_at + timedelta(minutes=10)]


def test_an_approval_after_visits_of_anybody_is_not_lost(system: System, looks: list[datetime]) -> None:
    bench, _ = system.add_provider("afterpay")
    payment_id, opened_at = wait_at_page(system)
    planned = system.attempts(payment_id)[0].due_at - opened_at
    assert planned < timedelta(minutes=2)
    for _ in range(6):
        visit(system, payment_id)
        system.advance(seconds=40)
    assert system.attempts(payment_id)[0].due_at - opened_at < timedelta(minutes=15)
    bench.let_customer_act(system.reference(payment_id), is_good=True)
    while system.now() < opened_at + timedelta(hours=1):
        system.advance(minutes=1)
    assert system.state(payment_id) == "captured"


def test_an_approval_in_the_last_minutes_is_charged_before_the_token_ends(
    system: System, looks: list[datetime]
) -> None:
    bench, _ = system.add_provider("afterpay")
    payment_id, _ = wait_at_page(system)
    system.advance(hours=2, minutes=30)
    visit(system, payment_id)
    bench.let_customer_act(system.reference(payment_id), is_good=True)
    for _ in range(60):
        system.advance(minutes=1)
    assert system.state(payment_id) == "captured"


def test_a_flood_of_visits_makes_no_flood_of_look_ups(system: System, looks: list[datetime]) -> None:
    payment_id, _ = wait_at_page(system)
    began_at = system.now()
    for _ in range(30):
        visit(system, payment_id)
    during = len(looks)
    assert 1 <= during <= 1 + (system.now() - began_at) / VISIT_PAUSE
    # The customer may be among the visitors that were not looked up: one more look-up follows by itself.
    system.advance(seconds=VISIT_PAUSE.total_seconds())
    assert len(looks) == during + 1


def test_a_payment_expires_when_its_customer_has_taken_too_long_and_not_hours_later(
    system: System,
) -> None:
    system.add_provider("klarna")
    payment_id, opened_at = wait_at_page(system, "klarna")
    while system.now() < opened_at + timedelta(hours=24, minutes=10):
        system.advance(minutes=5)
    assert system.state(payment_id) == "expired"


def test_held_money_is_looked_up_until_its_hold_has_ended(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    payment_id = system.pay(capture=False)
    system.run_until_idle()
    with monkeypatch.context() as patch:
        patch.setattr(system.gateway, "retrieve", lambda attempt: Pending("pi"))
        system.advance(days=8)
    assert system.attempts(payment_id)[0].due_at > system.now()
    system.advance(days=1)
    assert system.state(payment_id) == "expired"


def test_a_payment_whose_customer_has_taken_too_long_is_voided_once(system: System) -> None:
    payment_id = system.pay(card="pm_card_authenticationRequired")
    system.run_until_idle()
    system.move_clock(days=1, minutes=1)
    system.sweep()
    system.run_published()
    system.messages.clear()  # the message of the void is lost
    assert [row.verb for row in system.attempts(payment_id)] == ["charge", "void"]
    visit(system, payment_id)
    assert [row.verb for row in system.attempts(payment_id)] == ["charge", "void"]
    system.advance(minutes=1)
    assert (system.state(payment_id), system.provider.intent_status(payment_id)) == ("expired", "canceled")
