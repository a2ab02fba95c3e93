"""A debt is paid from its link in a real browser, on a phone, and without a word of complaint by the browser."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from werkzeug.serving import make_server

from gateways.stripe.gateway import StripeGateway
from models.tables import payments
from runtime.pay_links import PayLinks
from stack.process import free_port
from tests.browser import Browser, open_browser
from tests.provider import SECRET_KEY
from tests.system import LINK_SECRETS, LINKS_WORK_FOR, READ_SECONDS, WEBHOOK_SECRETS, System
from webhooks.app import PREFIX, create_app

pytestmark = [pytest.mark.postgres, pytest.mark.browser]

TAB = "\ue004"
SPACE = " "


class ServedSystem:
    """A system that a browser can reach, with a worker that is always there."""

    def __init__(self, system: System, address: str) -> None:
        self.system, self.address = system, address

    def owe(self, *saved: str, **invoice: Any) -> str:
        """Let a user owe 12.30 EUR; return the link to pay it."""
        body = {"user_id": "user", "amount": "12.30", "currency": "EUR"} | invoice
        self.system.call("PUT", "/invoices/inv", body)
        for token in saved:
            self.system.request("/customers/user/payment-methods", {"payment_method_token": token})
        return str(self.system.post("/invoices/inv/pay-link").json["url"])

    def states(self) -> list[str]:
        """Return where the payments stand."""
        return [row.state for row in self.system.rows(payments)]


@pytest.fixture
def served(system: System) -> Iterator[ServedSystem]:
    """The system, served at an address of its own."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    gateway = StripeGateway(SECRET_KEY, WEBHOOK_SECRETS, system.sandbox.url, READ_SECONDS, api_url=address + PREFIX)
    system.runtime.gateways["stripe"] = system.gateway = gateway
    links = PayLinks(LINK_SECRETS, address, LINKS_WORK_FOR)
    system.runtime = replace(system.runtime, pay_links=links)
    context = replace(system.client.application.extensions["celeriac"], runtime=system.runtime, public_url=address)
    app = create_app(context)
    system.client = app.test_client()
    system.is_worker_up = True
    server = make_server("127.0.0.1", port, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield ServedSystem(system, address)
    server.shutdown()
    thread.join()


@pytest.fixture
def browser() -> Iterator[Browser]:
    """A browser in English."""
    with open_browser() as opened:
        yield opened


def test_a_debt_is_paid_by_a_saved_card(served: ServedSystem, browser: Browser) -> None:
    browser.open(served.owe("pm_card_visa", "pm_card_mastercard", description="Plan Gold, November"))
    browser.wait_for("Plan Gold, November")
    browser.click("Visa ending in 4242")
    browser.click("Pay 12.30 EUR now")
    browser.wait_for("Paid. Thank you!")
    browser.reload()
    assert "Paid. Thank you!" in browser.text
    assert (served.states(), served.system.provider.movements()) == (["captured"], [("charge", 1230)])
    assert browser.complaints(served.address) == []


def test_a_debt_is_paid_by_a_new_card_that_the_bank_wants_confirmed(served: ServedSystem, browser: Browser) -> None:
    browser.open(served.owe())
    browser.click("Continue to payment")
    browser.wait_for("Enter your payment details")
    browser.click("Go on to the test form")
    browser.choose("Visa 9995")
    browser.click("Pay")
    browser.wait_for("Your card has insufficient funds")
    browser.choose("Visa 3220")
    browser.click("Pay")
    browser.wait_for("3-D Secure test page")
    browser.click("Approve")
    browser.wait_for("Paid. Thank you!")
    assert browser.url.startswith(f"{served.address}/pay/pl_")
    assert (served.states(), served.system.provider.movements()) == (["captured"], [("charge", 1230)])
    assert browser.complaints(served.address) == []


def test_a_saved_card_that_the_bank_wants_confirmed(served: ServedSystem, browser: Browser) -> None:
    browser.open(served.owe("pm_card_threeDSecure2Required"))
    browser.click("Pay 12.30 EUR now")
    browser.wait_for("Please confirm your payment")
    browser.click("Continue to confirmation")
    browser.wait_for("3-D Secure test page")
    browser.click("Approve")
    browser.wait_for("Paid. Thank you!")
    assert served.system.provider.movements() == [("charge", 1230)]
    assert browser.complaints(served.address) == []


def test_the_keyboard_is_enough_and_nothing_is_wider_than_a_phone(served: ServedSystem) -> None:
    url = served.owe("pm_card_visa", "pm_card_mastercard", description="Ein_sehr_langes_Wort_ohne_Pause_" * 4)
    with open_browser("de-DE") as browser:
        browser.open(url)
        assert browser.run("return document.documentElement.lang") == "de"
        assert browser.run("return document.documentElement.scrollWidth <= window.innerWidth")
        for _ in range(2):
            browser.press_key(TAB)
        focused = browser.run(
            "const e = document.activeElement; return [e.innerText, getComputedStyle(e).outlineStyle]"
        )
        assert focused == ["Jetzt 12,30\xa0EUR bezahlen", "solid"]
        browser.press_key(SPACE)
        browser.wait_for("Bezahlt. Vielen Dank!")
        assert served.states() == ["captured"]
        assert browser.complaints(served.address) == []
