"""A customer saves their PayPal account on PayPal's page; it is listed, charged while they are away, and removed."""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from domain.saved_method import token_hash
from models.tables import events, method_setups, saved_methods, token_owners
from tests.contract.benches.paypal import ProviderBench as PayPalBench
from tests.patience import patient
from tests.system import API_URL, Json, System

pytestmark = pytest.mark.postgres
METHODS = "/customers/ada/payment-methods"


class Wallet:
    """PayPal in a system, and what Ada does there."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.bench: PayPalBench = system.add_provider("paypal")[0]

    def open(self, user: str = "ada", **more: Any) -> Json:
        """Open a setup; return the response."""
        return self.system.request("/setup-intent", {"user_id": user, "payment_method": "paypal"} | more)

    def decide(self, setup: Json, decision: str = "approve") -> str:
        """Decide on PayPal's page; return the address to which PayPal sends the customer."""
        address = setup["next_action"]["redirect_url"]
        sent = requests.post(address, data={"decision": decision}, timeout=patient(10), allow_redirects=False)
        return sent.headers["Location"]

    def come_back(self, address: str) -> Any:
        """Come back from PayPal; return the response."""
        assert address.startswith(f"{API_URL}/returns/set_")
        return self.system.get(f"/{address.removeprefix(API_URL + '/')}", caller=None)

    def save(self, user: str = "ada", **more: Any) -> str:
        """Save the account of a user; return its token."""
        setup = self.open(user)
        self.decide(setup)
        body = {"payment_method_token": setup["setup_id"]} | more
        response = self.system.request(f"/customers/{user}/payment-methods", body)
        return str(response["payment_method_token"])

    def deliver(self, token: str, type: str) -> Any:
        """Deliver the event of a type about a saved account; return its row."""
        about = self.bench.account.log.about(token)
        sent = self.bench.signed(next(event for event in about if event["event_type"].endswith(type)))
        row_id = self.system.receive("/webhooks/paypal", sent.body, sent.headers)
        self.system.run_until_idle()
        return self.system.webhook(row_id)


@pytest.fixture
def wallet(system: System) -> Wallet:
    return Wallet(system)


def listed(system: System, user: str = "ada", **how: Any) -> list[Json]:
    found: list[Json] = system.get(f"/customers/{user}/payment-methods", **how).json["payment_methods"]
    return found


def charge(system: System, invoice: str = "inv", **changes: Any) -> Any:
    """Request a payment by PayPal while Ada is away, and let the workers carry it out; return the response."""
    body = {
        "invoice_id": invoice,
        "user_id": "ada",
        "amount": "12.30",
        "currency": "EUR",
        "payment_method": "paypal",
        "off_session": True,
    }
    response = system.post("/process", body | changes, Idempotency_Key=secrets.token_hex(6))
    system.run_until_idle()
    return response


# --- saving ---


def test_a_customer_saves_an_account_by_approving_it_and_coming_back(system: System, wallet: Wallet) -> None:
    setup = wallet.open(return_url="https://shop.example/account?tab=pay")
    assert listed(system) == []
    back = wallet.come_back(wallet.decide(setup))
    assert back.status_code == 303
    parts = urlsplit(back.headers["Location"])
    assert (parts.netloc, parse_qs(parts.query)) == (
        "shop.example",
        {"tab": ["pay"], "setup_id": [setup["setup_id"]], "saved": ["1"]},
    )
    [method] = listed(system)
    token = method.pop("payment_method_token")
    assert method == {"kind": "paypal", "brand": None, "last4": None, "expires": None, "is_default": False}
    # The application asks for it as well, and a customer comes back twice: it is one account, and one event.
    saved = system.request(METHODS, {"payment_method_token": setup["setup_id"]})
    assert saved["payment_method_token"] == token
    wallet.come_back(f"{API_URL}/returns/{setup['setup_id']}")
    assert [each["payment_method_token"] for each in listed(system)] == [token]
    assert len(system.rows(events, events.c.name == "payment_method_attached")) == 1


@pytest.mark.parametrize("decision", ["decline", "cancel"])
def test_without_an_approval_nothing_is_saved(system: System, wallet: Wallet, decision: str) -> None:
    setup = wallet.open()
    back = wallet.come_back(wallet.decide(setup, decision))
    assert (back.status_code, "has not been saved" in back.text) == (200, True)
    refused = system.post(METHODS, {"payment_method_token": setup["setup_id"]})
    assert (refused.status_code, refused.json["type"]) == (409, "conflict")
    assert listed(system) == []
    # The page of the setup is still there.
    assert "has been saved" in wallet.come_back(wallet.decide(setup)).text
    assert len(listed(system)) == 1


def test_a_lost_response_saves_one_account(system: System, wallet: Wallet) -> None:
    setup = wallet.open()
    address = wallet.decide(setup)
    system.provider.fail("paypal.payment_tokens.create", "reset_after")
    assert "has not been saved" in wallet.come_back(address).text
    saved = system.request(METHODS, {"payment_method_token": setup["setup_id"], "default": True})
    assert list(wallet.bench.account.vault.tokens) == [saved["payment_method_token"]]
    assert saved["is_default"] is True


def test_the_same_key_opens_the_same_setup(system: System, wallet: Wallet) -> None:
    first, again = (
        system.request("/setup-intent", {"user_id": "ada", "payment_method": "paypal"}, Idempotency_Key="one")
        for _ in range(2)
    )
    assert first == again != wallet.open()
    assert len(system.rows(method_setups)) == 2


def test_a_setup_belongs_to_its_user(system: System, wallet: Wallet) -> None:
    setup = wallet.open()
    wallet.decide(setup)
    body = {"payment_method_token": setup["setup_id"]}
    assert system.post("/customers/bob/payment-methods", body).status_code == 404
    assert system.post(METHODS, body, caller="other").status_code == 404
    assert system.post(METHODS, {"payment_method_token": "set_invented"}).status_code == 404
    assert system.get("/returns/set_invented", caller=None).status_code == 404
    assert listed(system) == []


def test_another_user_neither_sees_nor_changes_nor_is_charged_by_it(system: System, wallet: Wallet) -> None:
    token = wallet.save()
    assert listed(system, "bob") == listed(system, caller="other") == []
    for path, caller in ((f"/customers/bob/payment-methods/{token}", "shop"), (f"{METHODS}/{token}", "other")):
        assert system.call("DELETE", path, caller=caller).status_code == 404
        assert system.post(f"{path}/default", {}, caller=caller).status_code == 404
    refused = charge(system, user_id="bob", payment_method_token=token)
    assert (refused.status_code, refused.json["type"]) == (404, "not_found")
    assert token in wallet.bench.account.vault.tokens


def test_two_users_who_share_an_account_have_a_token_each(system: System, wallet: Wallet) -> None:
    ada, bob = wallet.save(), wallet.save("bob")
    assert ada != bob
    system.call("DELETE", f"{METHODS}/{ada}")
    assert [each["payment_method_token"] for each in listed(system, "bob")] == [bob]


def test_saved_cards_and_saved_accounts_are_listed_together(system: System, wallet: Wallet) -> None:
    card = system.request(METHODS, {"payment_method_token": "pm_card_visa", "default": True})["payment_method_token"]
    account = wallet.save(default=True)
    assert {each["payment_method_token"]: (each["kind"], each["is_default"]) for each in listed(system)} == {
        card: ("credit_card", True),
        account: ("paypal", True),
    }


# --- charging ---


def test_a_saved_account_is_charged_while_the_customer_is_away(system: System, wallet: Wallet) -> None:
    token = wallet.save()
    payment_id = charge(system, payment_method_token=token).json["id"]
    assert system.state(payment_id) == "captured"
    assert system.provider.movements() == [("charge", 1230)]


def test_a_lost_response_of_its_charge_is_looked_up_and_charged_once(system: System, wallet: Wallet) -> None:
    token = wallet.save()
    system.provider.fail("paypal.orders.capture", "reset_after")
    payment_id = charge(system, payment_method_token=token).json["id"]
    assert system.state(payment_id) == "in_doubt"
    system.advance(seconds=5)
    assert system.state(payment_id) == "captured"
    assert system.provider.movements() == [("charge", 1230)]


def test_the_default_account_is_charged_where_a_request_names_none(system: System, wallet: Wallet) -> None:
    other, chosen = wallet.save(), wallet.save()
    refused = charge(system, "inv-0")
    assert (refused.status_code, "no default saved method" in refused.json["detail"]) == (422, True)
    for token in (other, chosen):
        made = system.post(f"{METHODS}/{token}/default", {})
        assert (made.status_code, made.json["is_default"]) == (200, True)
    assert [each["payment_method_token"] for each in listed(system) if each["is_default"]] == [chosen]
    payment_id = charge(system, "inv-1").json["id"]
    assert (system.state(payment_id), system.payment(payment_id).method_token) == ("captured", chosen)
    # A customer who is there approves on PayPal's page.
    there = charge(system, "inv-2", off_session=False).json["id"]
    assert (system.state(there), system.payment(there).method_token) == ("requires_action", None)


def test_a_subscription_is_retried_by_its_saved_account(system: System, wallet: Wallet) -> None:
    token = wallet.save(default=True)
    wallet.bench.set_scenario(token, "INSTRUMENT_DECLINED")
    payment_id = charge(system, subscription_id="sub").json["id"]
    assert system.state(payment_id) == "past_due"
    wallet.bench.set_scenario(token, "COMPLETED")
    system.advance(days=3, minutes=1)
    assert system.state(payment_id) == "captured"
    assert system.provider.movements() == [("charge", 1230)]


# --- removing ---


def test_a_removed_account_is_gone_here_and_at_paypal(system: System, wallet: Wallet) -> None:
    token = wallet.save(default=True)
    system.provider.fail("paypal.payment_tokens.delete", "reset_after")
    assert system.call("DELETE", f"{METHODS}/{token}").status_code == 502
    removed = system.call("DELETE", f"{METHODS}/{token}")
    assert (removed.status_code, removed.json["detached"]) == (200, True)
    assert listed(system) == []
    assert wallet.bench.account.vault.tokens == {}
    assert system.call("DELETE", f"{METHODS}/{token}").status_code == 404
    refused = charge(system, payment_method_token=token).json["id"]
    assert (system.state(refused), system.payment(refused).failure_code) == ("in_grace", "method_detached")
    assert system.provider.movements() == []


def test_an_account_that_the_customer_removes_at_paypal_is_not_charged_any_more(system: System, wallet: Wallet) -> None:
    token = wallet.save(default=True)
    assert wallet.deliver(token, "CREATED").status == "applied"
    wallet.bench.control(f"{token}/remove")
    row = wallet.deliver(token, "DELETION-INITIATED")
    assert (row.status, token in row.payload) == ("applied", False)
    assert listed(system) == []
    wallet.deliver(token, "DELETED")
    before = len(system.sandbox.state.ledger.attempts)
    retried = charge(system, subscription_id="sub", payment_method_token=token).json["id"]
    assert (system.state(retried), system.payment(retried).failure_code) == ("in_grace", "method_detached")
    assert len(system.sandbox.state.ledger.attempts) == before


def test_of_a_saved_account_nothing_personal_is_stored(system: System, wallet: Wallet) -> None:
    token = wallet.save()
    wallet.deliver(token, "CREATED")
    dump = system.dump()
    assert not any(canary in dump for canary in ("buyer@example.com", "QYR5Z8XDVJNXQ", "John"))
    [row] = system.rows(saved_methods)
    assert (row.token, row.token_hash) == (token, token_hash(token))
    assert [owner.token_hash for owner in system.rows(token_owners)] == [token_hash(token)]
