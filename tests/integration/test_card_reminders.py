"""Reminders of cards that expire: for cards that are used, once a step, only what lies ahead; and how they end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from domain.card_expiry import end_of
from models.tables import customers, events, outbox, saved_methods
from models.task_messages import REMIND
from sandbox.mail_pages import part_of
from tests.mailing import EMAIL, MailSystem, mailing
from tests.page_customer import Customer
from webhooks.pay_page_texts import TEXTS

pytestmark = pytest.mark.postgres
METHODS = "/customers/user-1/payment-methods"
ONE_CLICK = "List-Unsubscribe=One-Click"


@pytest.fixture
def system(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailSystem]:
    """A system with mails whose reminders have a page to unsubscribe on."""
    with mailing(postgres_url, monkeypatch) as running:
        links = running.runtime.pay_links
        assert running.runtime.mail is not None
        assert links is not None
        secure = replace(links, public_url="https://pay.example")

        def method(row_id: str) -> str:
            return secure.make_method(row_id, running.now())

        service = replace(running.runtime.mail, unsubscribe=secure.make_unsubscribe, method=method)
        running.change_runtime(mail=service)
        yield running


def expiring(system: MailSystem, **more: Any) -> str:
    """Save a card of the user that is over at the end of the month after next; return its token."""
    token = str(system.request(METHODS, {"payment_method_token": "pm_card_visa"} | more)["payment_method_token"])
    month = system.now().month + 2
    changes = {"exp_year": system.now().year + (month - 1) // 12, "exp_month": (month - 1) % 12 + 1}
    system.provider.control(f"methods/{token}/update", {"by": "customer"} | changes)
    system.deliver_and_run(system.provider.event("payment_method.updated", token))
    return token


def go_to(system: MailSystem, days: float) -> None:
    """Go to the noon of a day before the card's end, and let beat look."""
    rows = system.rows(saved_methods, saved_methods.c.expires.is_not(None))
    end = end_of(min(row.expires for row in rows))
    assert end is not None
    system.move_clock(seconds=(end - timedelta(days=days) + timedelta(hours=1) - system.now()).total_seconds())
    system.call("PUT", "/customers/user-1", {"email": EMAIL, "time_zone": system.zone_at(12)})
    remind(system)


def remind(system: MailSystem) -> None:
    system.run(REMIND)
    system.run_until_idle()


def steps(system: MailSystem) -> list[int]:
    """Return the steps of which the customer was told."""
    return [row.data["days"] for row in system.outbox(outbox.c.kind == "card_expires_soon") if row.sent_at]


def test_a_default_card_is_announced_thirty_fourteen_and_three_days_before(system: MailSystem) -> None:
    expiring(system, default=True)
    remind(system)
    assert steps(system) == []
    for days, told in ((31, []), (30, [30]), (20, [30]), (14, [30, 14]), (3, [30, 14, 3]), (1, [30, 14, 3])):
        go_to(system, days)
        # Two beats at once, and one that comes again.
        remind(system)
        assert steps(system) == told, days
    [row] = system.rows(saved_methods)
    assert row.remind_at is None
    mail = system.mails[0]
    assert str(mail["Subject"]) == "Your card expires soon"
    assert "•••• 4242" in part_of(mail, "plain")


def test_after_a_pause_only_what_lies_ahead_is_told(system: MailSystem) -> None:
    expiring(system, default=True)
    go_to(system, 10)
    assert steps(system) == []
    go_to(system, 3)
    assert steps(system) == [3]


def test_only_cards_that_are_used_are_announced(system: MailSystem) -> None:
    token = expiring(system)
    go_to(system, 30)
    assert steps(system) == []
    system.subscribe("inv", token, user_id="user-1", off_session=True)
    go_to(system, 14)
    assert steps(system) == [14]
    system.post("/subscriptions/sub/cancel", {})
    go_to(system, 3)
    assert steps(system) == [14]


@pytest.mark.parametrize("change", ["renewed", "removed"])
def test_a_renewed_or_removed_card_is_not_announced(system: MailSystem, change: str) -> None:
    token = expiring(system, default=True)
    system.call("PUT", "/customers/user-1", {"email": EMAIL, "time_zone": system.zone_at(12)})
    publish = system.runtime.publish
    system.change_runtime(publish=lambda messages: None)
    go_to(system, 30)
    system.change_runtime(publish=publish)
    if change == "renewed":
        system.provider.control(f"methods/{token}/update", {"by": "updater", "exp_year": 2041, "exp_month": 5})
        system.deliver_and_run(system.provider.event("payment_method.automatically_updated", token))
    else:
        system.provider.call("POST", f"/v1/payment_methods/{token}/detach")
        system.deliver_and_run(system.provider.event("payment_method.detached", token))
    system.wait(minutes=1)
    assert (steps(system), system.mail_of("card_expires_soon").last_error) == ([], "no_longer_true")


# --- unsubscribing ---


def unsubscribing(system: MailSystem) -> str:
    """Return the address by which a customer who got a reminder unsubscribes, as the test client calls it."""
    expiring(system, default=True)
    go_to(system, 30)
    [mail] = system.mails
    address = str(mail["List-Unsubscribe"]).split(">")[0].removeprefix("<")
    assert mail["List-Unsubscribe-Post"] == ONE_CLICK
    assert address.startswith("https://pay.example/pay/unsubscribe/pl_")
    assert "user-1" not in address
    return "/" + address.removeprefix("https://pay.example")


def page_of(system: MailSystem) -> Customer:
    """Return a customer who has opened the link of the reminder of their default card."""
    expiring(system, default=True)
    go_to(system, 30)
    [address] = set(re.findall(r"https://pay\.example/pay/method/[\w.-]+", part_of(system.mails[0], "plain")))
    customer = Customer(system)
    customer.open(address)
    assert (customer.status, "Your card •••• 4242 expires" in customer.page.text) == (200, True)
    return customer


def defaults(system: MailSystem) -> list[str]:
    methods = system.get(METHODS).json["payment_methods"]
    return [method["last4"] for method in methods if method["is_default"]]


def test_a_customer_stores_a_new_card_from_the_link_and_it_is_the_default(system: MailSystem) -> None:
    customer = page_of(system)
    assert (len(system.rows(saved_methods)), defaults(system)) == (1, ["4242"])
    customer.press("Enter a new card")
    assert "_secret_" in customer.page.html
    customer.follow("Go on to the test form")
    customer.press("Save", card="mastercard")
    assert "Your new card is stored" in customer.page.text
    assert defaults(system) == ["4444"]
    [agreed] = system.rows(events, events.c.name == "method_saving_agreed")
    assert (agreed.data["wording"], "user-1" in str(agreed.data)) == (TEXTS["en"]["card_agreed"], False)
    # The way back and the link are used up; the old card is announced no more.
    here = customer.url
    for _ in range(2):
        assert "Your new card is stored" in customer.open(here).text
    go_to(system, 14)
    assert (steps(system), defaults(system)) == ([30], ["4444"])
    assert "_secret_" not in system.dump()


def test_a_card_that_the_bank_has_to_confirm_is_stored_only_then(system: MailSystem) -> None:
    customer = page_of(system)
    customer.press("Enter a new card")
    customer.follow("Go on to the test form")
    customer.press("Save", card="threeDSecure2Required")
    customer.press("Fail")
    assert "No card was stored" in customer.page.text
    assert defaults(system) == ["4242"]
    customer.follow("Open the page again")
    customer.press("Enter a new card")
    customer.follow("Go on to the test form")
    customer.press("Save", card="threeDSecure2Required")
    customer.press("Approve")
    assert ("Your new card is stored" in customer.page.text, defaults(system)) == (True, ["3220"])


def test_a_new_card_pays_what_is_open(system: MailSystem) -> None:
    customer = page_of(system)
    payment_id = system.fail("insufficient_funds", off_session=True)
    assert system.state(payment_id) == "past_due"
    customer.press("Enter a new card")
    customer.follow("Go on to the test form")
    customer.press("Save", card="mastercard")
    system.run_until_idle()
    assert system.state(payment_id) == "captured"


def test_forged_and_expired_links_to_the_page_lead_nowhere(system: MailSystem) -> None:
    customer = page_of(system)
    path = "/" + customer.url.removeprefix("https://pay.example").removeprefix("http://localhost")
    for forged in (path[:-3] + "abc", "//pay/method/pl_x", "//pay/method/back/pl_x"):
        assert system.get(forged, caller=None).status_code == 404
    system.move_clock(days=31)
    assert (system.get(path, caller=None).status_code, system.post(path, caller=None).status_code) == (410, 410)


def wants_none(system: MailSystem) -> bool:
    [row] = system.rows(customers)
    return row.unsubscribed_at is not None


def test_one_click_unsubscribes_and_a_look_changes_nothing(system: MailSystem) -> None:
    address = unsubscribing(system)
    looked = system.get(address, caller=None)
    assert (looked.status_code, "Send me no more reminders" in looked.text, wants_none(system)) == (200, True, False)
    for _ in range(2):
        form = {"Content_Type": "application/x-www-form-urlencoded"}
        clicked = system.post(address, ONE_CLICK, caller=None, **form)
        assert (clicked.status_code, "no more reminders" in clicked.text, wants_none(system)) == (200, True, True)
    told = system.rows(events, events.c.name == "reminders_unsubscribed")
    assert (len(told), EMAIL in str(told)) == (1, False)
    assert system.get("/customers/user-1").json["unsubscribed_at"] is not None
    go_to(system, 14)
    assert (len(system.mails), system.outbox()[-1].last_error) == (1, "unsubscribed")
    # An application that stores the customer anew, as in go_to, changes nothing about it; notices of a debt still come.
    system.fail()
    assert system.kinds()[-1] == "first_failure"
    again = system.post(address, "action=again", caller=None, Content_Type="application/x-www-form-urlencoded")
    assert (again.status_code, wants_none(system)) == (200, False)


def test_a_forged_address_leads_nowhere(system: MailSystem) -> None:
    address = unsubscribing(system)
    for forged in (address[:-3] + "abc", "//pay/unsubscribe/pl_x", "//pay/unsubscribe/" + "x" * 20):
        assert system.post(forged, ONE_CLICK, caller=None).status_code == 404
    assert not wants_none(system)
