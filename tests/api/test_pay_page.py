"""The page on which a customer pays a debt: each of its ways, and every link that leads nowhere."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from domain.declines.classes import DeclineReason
from domain.declines.wording import sentence
from domain.payment_methods import PaymentMethod
from models.tables import events, idempotency_keys, payments, subscriptions
from runtime.pay_links import PayLinks
from sandbox.stripe.api import Stripe
from tests.page_customer import Customer
from tests.system import INSUFFICIENT_FUNDS, LINK_SECRETS, OWN_URL
from webhooks import pay_page
from webhooks.pay_page_texts import TEXTS
from worker.redaction import redact

from .api_system import ApiSystem, assert_problem, unique

pytestmark = [pytest.mark.postgres, pytest.mark.parametrize("api", ["postgres"], indirect=True)]

_PRESSES = 6
PAY, ADD, ADD_FIRST = "Pay 25.00 EUR now", "Pay with another card or method", "Continue to payment"
PAY_IN_GERMAN = "Jetzt 25,00 EUR bezahlen"
LEAVE, TEST_FORM, CONFIRM = "Choose another way to pay", "Go on to the test form", "Continue to confirmation"


class Debtor:
    """A user with an invoice of 25.00 EUR, and a link to pay it."""

    def __init__(self, api: ApiSystem, *saved: str, **invoice: Any) -> None:
        self.api, self.user, self.invoice = api, unique("user"), unique("inv")
        body = {"user_id": self.user, "amount": "25", "currency": "EUR"} | invoice
        assert api.call("PUT", f"/invoices/{self.invoice}", body).status_code == 201
        for token in saved:
            self.save(token)
        self.url = str(api.post(f"/invoices/{self.invoice}/pay-link").json["url"])

    def save(self, token: str) -> str:
        response = self.api.post(f"/customers/{self.user}/payment-methods", {"payment_method_token": token})
        assert response.status_code == 201, response.text
        return str(response.json["payment_method_token"])

    def customer(self, **headers: str) -> Customer:
        customer = Customer(self.api, **headers)
        customer.open(self.url)
        return customer

    def payments(self) -> list[Any]:
        return self.api.rows(payments, payments.c.invoice_id == self.invoice)

    def charged(self) -> list[int]:
        """Return what the provider has taken for the invoice."""
        account = self.api.sandbox.state.provider_of(Stripe).account
        ids = {row.id for row in self.payments()}
        bodies = [intent.body for intent in account.intents.values()]
        return [
            one["amount_received"]
            for one in bodies
            if one["metadata"].get("payment_id") in ids and one["amount_received"]
        ]

    def outstanding(self) -> str:
        return str(self.api.get(f"/invoices/{self.invoice}").json["open_amount"])


# --- the link ---------------------------------------------------------------------------------------------


def test_an_application_gets_a_link_with_its_end(api: ApiSystem) -> None:
    debtor = Debtor(api)
    response = api.post(f"/invoices/{debtor.invoice}/pay-link", {})
    assert response.status_code == 200
    assert set(response.json) == {"url", "expires_at"}
    assert response.json["url"].startswith(f"{OWN_URL}/pay/pl_")
    assert response.json["expires_at"].endswith("Z")
    assert debtor.user not in response.json["url"]


def test_no_link_is_made_of_what_is_not_the_callers(api: ApiSystem) -> None:
    debtor = Debtor(api)
    assert_problem(api.post("/invoices/unknown/pay-link"), 404, "not_found")
    assert_problem(api.post(f"/invoices/{debtor.invoice}/pay-link", caller="other"), 404, "not_found")
    assert_problem(api.post(f"/invoices/{debtor.invoice}/pay-link", caller="operator"), 403, "forbidden")
    assert_problem(api.post(f"/invoices/{debtor.invoice}/pay-link", {"days": 3}), 422, "invalid_request")


def test_without_a_secret_there_are_neither_links_nor_pages(api: ApiSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    debtor = Debtor(api)
    without_links(api, monkeypatch)
    assert_problem(api.post(f"/invoices/{debtor.invoice}/pay-link"), 409, "conflict")
    assert debtor.customer().status == 404


def without_links(api: ApiSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    extensions = api.client.application.extensions
    bare = replace(extensions["celeriac"], runtime=replace(api.runtime, pay_links=None))
    monkeypatch.setitem(extensions, "celeriac", bare)


def leads_nowhere(api: ApiSystem, url: str, status: int, sentence: str) -> None:
    before, customer = api.row_counts(), Customer(api)
    page = customer.open(url)
    assert (customer.status, api.row_counts()) == (status, before)
    assert sentence in page.text
    assert page.forms == []
    api.client.post(url.removeprefix(OWN_URL), data={"action": "pay"})
    assert api.row_counts() == before


def test_a_forged_link_leads_to_a_page_that_says_what_to_do(api: ApiSystem) -> None:
    debtor = Debtor(api, "pm_card_visa")
    forged = PayLinks(["f" * 40], OWN_URL, timedelta(days=1)).make("shop", debtor.invoice, api.now())[0]
    for url in (forged, debtor.url[:-3], f"{OWN_URL}/pay/x", f"{OWN_URL}/pay/pl_"):
        leads_nowhere(api, url, 404, "open it from the message again")


def test_an_expired_link_leads_to_a_page_that_says_what_to_do(api: ApiSystem) -> None:
    debtor, ended = Debtor(api, "pm_card_visa"), PayLinks(LINK_SECRETS, OWN_URL, timedelta(seconds=-1))
    leads_nowhere(api, ended.make("shop", debtor.invoice, api.now())[0], 410, "open the newest message")


def test_a_link_to_an_unknown_invoice_looks_like_a_forged_one(api: ApiSystem) -> None:
    debtor, links = Debtor(api), PayLinks(LINK_SECRETS, OWN_URL, timedelta(days=1))
    for application, invoice in (("shop", "nothing"), ("other", debtor.invoice)):
        leads_nowhere(api, links.make(application, invoice, api.now())[0], 404, "open it from the message again")


def test_a_link_of_the_older_secret_still_works(api: ApiSystem) -> None:
    debtor, older = Debtor(api), PayLinks(LINK_SECRETS[1:], OWN_URL, timedelta(days=1))
    customer = Customer(api)
    customer.open(older.make("shop", debtor.invoice, api.now())[0])
    assert (customer.status, "Pay 25.00\xa0EUR" in customer.page.text) == (200, True)


def test_a_paid_invoice_thanks_and_offers_nothing(api: ApiSystem) -> None:
    debtor = Debtor(api)
    api.process_and_run(invoice_id=debtor.invoice, user_id=debtor.user, amount="25")
    leads_nowhere(api, debtor.url, 200, "Paid. Thank you!")


def test_a_debt_of_a_canceled_subscription_cannot_be_paid(api: ApiSystem) -> None:
    debtor, subscription = Debtor(api, "pm_card_visa"), unique("sub")
    owing = {"invoice_id": debtor.invoice, "user_id": debtor.user, "amount": "25", "subscription_id": subscription}
    dunned = api.process_and_run(**owing, payment_method_token=INSUFFICIENT_FUNDS)
    assert dunned["status"] == "past_due"
    customer = debtor.customer()
    assert PAY in [text for form in customer.page.forms for text in form.buttons]
    assert api.post(f"/subscriptions/{subscription}/cancel", {}).status_code == 200
    api.run_published()
    [row] = api.rows(subscriptions, subscriptions.c.id == subscription)
    assert row.status == "canceled"
    leads_nowhere(api, debtor.url, 410, "Nothing to pay")
    customer.press(PAY)
    assert customer.status == 410


# --- what a look does -------------------------------------------------------------------------------------


def test_a_look_changes_nothing_and_uses_nothing_up(api: ApiSystem) -> None:
    debtor = Debtor(api, "pm_card_visa")
    stored, ledger = api.dump(), len(api.sandbox.state.ledger.movements)
    for _ in range(3):
        assert debtor.customer().status == 200
        assert api.client.head(debtor.url.removeprefix(OWN_URL)).status_code == 200
    assert (api.dump(), len(api.sandbox.state.ledger.movements), api.messages) == (stored, ledger, [])
    customer = debtor.customer()
    customer.press(PAY)
    assert len(debtor.payments()) == 1


def test_the_page_shows_what_is_owed_and_the_saved_methods(api: ApiSystem) -> None:
    debtor = Debtor(
        api, "pm_card_visa", "pm_card_mastercard", description="Plan <b>Gold</b>", due_at="2026-12-24T12:00:00Z"
    )
    page = debtor.customer().page
    for text in (
        "Pay 25.00\xa0EUR",
        "Plan <b>Gold</b>",
        "Due on 24 December 2026",
        "Visa ending in 4242",
        "Mastercard ending in 4444",
    ):
        assert text in page.text
    assert "<b>" not in page.html
    assert not re.search(r"\b(pm|cus|seti|pi)_\w+", page.html)
    assert debtor.user not in page.html


def test_the_page_speaks_german_to_a_german_browser_and_by_request(api: ApiSystem) -> None:
    debtor = Debtor(api, "pm_card_visa", due_at="2026-12-24T12:00:00Z")
    german = debtor.customer(Accept_Language="de-AT,de;q=0.9,en;q=0.5")
    assert german.page.language == "de"
    assert "Fällig am 24. Dezember 2026" in german.page.text
    assert PAY_IN_GERMAN in german.page.forms[0].buttons
    english = german.follow("English")
    assert (english.language, "Due on 24 December 2026" in english.text) == ("en", True)
    german.follow("Deutsch")
    german.press(PAY_IN_GERMAN)
    assert (german.page.language, "bearbeitet" in german.page.text) == ("de", True)
    assert Customer(api, Accept_Language="fr").open(debtor.url).language == "en"
    nowhere = Customer(api, Accept_Language="de").open(f"{OWN_URL}/pay/x")
    assert "funktioniert nicht" in nowhere.text


def test_no_cache_frame_or_other_site_gets_the_page_or_its_address(api: ApiSystem) -> None:
    debtor = Debtor(api, "pm_card_visa")
    customer = debtor.customer()
    seen = [customer.headers]
    customer.open(f"{OWN_URL}/pay/x")
    seen.append(customer.headers)
    nonces = set()
    for headers in seen:
        policy = headers["Content-Security-Policy"]
        assert {"default-src 'none'", "frame-ancestors 'none'", "form-action 'self'"} <= set(policy.split("; "))
        assert [word for word in ("unsafe", "script-src") if word in policy] == []
        nonces.add(re.findall(r"style-src 'nonce-([\w-]{20,})'", policy)[0])
        assert (headers["Cache-Control"], headers["Referrer-Policy"]) == ("no-store", "no-referrer")
        assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert len(nonces) == 2


# --- paying with a saved method ---------------------------------------------------------------------------


def test_a_debt_is_paid_by_a_saved_method(api: ApiSystem) -> None:
    debtor = Debtor(api, "pm_card_visa", "pm_card_mastercard")
    customer = debtor.customer()
    [form] = [form for form in customer.page.forms if PAY in form.buttons]
    mastercard = form.choices["method"][0]
    page = customer.press(PAY, method=mastercard)
    assert "is being processed" in page.text
    assert page.refresh
    api.run_until_idle()
    assert "Paid. Thank you!" in customer.renew().text
    [payment] = debtor.payments()
    assert (payment.state, payment.is_off_session, debtor.charged(), debtor.outstanding()) == (
        "captured",
        False,
        [2500],
        "0.00",
    )
    leads_nowhere(api, debtor.url, 200, "Paid. Thank you!")


def test_all_that_is_outstanding_is_paid_also_of_a_dunned_invoice(api: ApiSystem) -> None:
    debtor, subscription = Debtor(api, "pm_card_visa"), unique("sub")
    dunned = api.process_and_run(
        invoice_id=debtor.invoice,
        user_id=debtor.user,
        amount="25",
        subscription_id=subscription,
        payment_method_token=INSUFFICIENT_FUNDS,
    )
    customer = debtor.customer()
    assert "did not go through" in customer.page.text
    customer.press(PAY)
    api.run_until_idle()
    assert "Paid" in customer.renew().text
    assert debtor.charged() == [2500]
    assert api.get(f"/subscriptions/{subscription}").json["status"] == "active"
    assert (api.dunning_case(dunned["id"]).state, api.dunning_case(dunned["id"]).due_at) == ("recovered", None)


def test_two_tabs_a_double_click_and_a_reload_end_in_one_charge(api: ApiSystem) -> None:
    debtor = Debtor(api, "pm_card_visa", "pm_card_mastercard")
    other_link = api.post(f"/invoices/{debtor.invoice}/pay-link").json["url"]
    first, second, third = debtor.customer(), debtor.customer(), Customer(api)
    third.open(other_link)
    _, sent = first.filled(PAY)
    first.press(PAY)
    for again in (second, third):
        assert "is being processed" in again.press(PAY).text
    path = debtor.url.removeprefix(OWN_URL)
    assert api.client.post(path, data=sent).status_code == 303
    api.run_until_idle()
    for customer in (first, second, third):
        customer.renew()
        assert "Paid" in customer.page.text
    assert api.client.post(path, data=sent).status_code == 303
    api.run_until_idle()
    assert (len(debtor.payments()), debtor.charged()) == (1, [2500])


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize(
    ("card", "reason"),
    [
        (INSUFFICIENT_FUNDS, DeclineReason.FUNDS),
        ("pm_card_chargeDeclinedExpiredCard", DeclineReason.EXPIRED),
        ("pm_card_visa_chargeDeclinedLostCard", DeclineReason.CLOSED),
        ("pm_card_visa_chargeDeclinedStolenCard", DeclineReason.CLOSED),
        ("pm_card_visa_chargeDeclinedFraudulent", DeclineReason.RISK),
    ],
)
def test_a_declined_customer_reads_why_and_is_not_accused(
    api: ApiSystem, card: str, reason: DeclineReason, language: str
) -> None:
    debtor = Debtor(api)
    api.process_and_run(invoice_id=debtor.invoice, user_id=debtor.user, amount="25", payment_method_token=card)
    page = debtor.customer(Accept_Language=language).page
    assert f"{TEXTS[language]['refused']} {sentence(reason, language)}" in page.text


def test_a_payment_that_no_bank_has_declined_says_nothing_of_one(api: ApiSystem) -> None:
    debtor = Debtor(api, "pm_card_visa")
    paid = api.process_and_run(invoice_id=debtor.invoice, user_id=debtor.user, amount="25", capture=False)
    api.request(f"/{paid['id']}/cancel")
    api.run_until_idle()
    assert TEXTS["en"]["choose_anew"] in debtor.customer().page.text


def test_a_reload_after_a_decline_charges_nothing_and_a_new_press_does(api: ApiSystem) -> None:
    debtor = Debtor(api, "pm_card_chargeCustomerFail")
    customer = debtor.customer()
    _, sent = customer.filled(PAY)
    customer.press(PAY)
    api.run_until_idle()
    page = customer.renew()
    assert "did not go through" in page.text
    api.client.post(debtor.url.removeprefix(OWN_URL), data=sent)
    api.run_until_idle()
    assert [row.state for row in debtor.payments()] == ["declined"]
    customer.press(PAY)
    api.run_until_idle()
    assert [row.state for row in debtor.payments()] == ["declined", "declined"]
    assert (debtor.charged(), debtor.outstanding()) == ([], "25.00")


def test_an_amount_that_has_changed_is_shown_again_before_it_is_charged(api: ApiSystem) -> None:
    debtor = Debtor(api, "pm_card_visa")
    customer = debtor.customer()
    api.call("PUT", f"/invoices/{debtor.invoice}", {"user_id": debtor.user, "amount": "99", "currency": "EUR"})
    page = customer.press(PAY)
    assert ("Pay 99.00\xa0EUR" in page.text, debtor.payments()) == (True, [])


def test_a_confirmation_at_the_bank_leads_back_to_the_page(api: ApiSystem) -> None:
    debtor = Debtor(api, "pm_card_threeDSecure2Required")
    customer = debtor.customer(Accept_Language="de")
    customer.press(PAY_IN_GERMAN)
    api.run_until_idle()
    customer.renew()
    assert "Bestätigung" in customer.page.text
    customer.follow("Weiter zur Bestätigung")
    page = customer.press("Approve")
    assert customer.url.startswith(f"{OWN_URL}/pay/pl_")
    assert ("bearbeitet" in page.text, page.language) == (True, "de")
    api.run_until_idle()
    assert "Bezahlt" in customer.renew().text
    assert debtor.charged() == [2500]
    assert "/pay/pl_" not in api.dump()


def test_a_refused_confirmation_leads_back_to_the_choice(api: ApiSystem) -> None:
    debtor = Debtor(api, "pm_card_threeDSecure2Required")
    customer = debtor.customer()
    customer.press(PAY)
    api.run_until_idle()
    customer.renew()
    customer.follow(CONFIRM)
    customer.press("Fail")
    api.run_until_idle()
    assert "did not go through" in customer.renew().text
    assert PAY in customer.page.forms[0].buttons


def test_who_does_not_confirm_may_pay_in_another_way(api: ApiSystem) -> None:
    debtor = Debtor(api, "pm_card_visa", "pm_card_threeDSecure2Required")
    customer = debtor.customer()
    [form] = [form for form in customer.page.forms if PAY in form.buttons]
    customer.press(PAY, method=form.choices["method"][0])
    api.run_until_idle()
    customer.renew()
    assert "confirm your payment" in customer.page.text
    assert "is being processed" in customer.press(LEAVE).text
    api.run_until_idle()
    customer.renew()
    customer.press(PAY, method=form.choices["method"][1])
    api.run_until_idle()
    assert "Paid" in customer.renew().text
    assert ([row.state for row in debtor.payments()], debtor.charged()) == (["canceled", "captured"], [2500])


def test_a_payment_by_invoice_that_is_open_can_be_replaced(api: ApiSystem) -> None:
    debtor = Debtor(api, "pm_card_visa")
    api.process_and_run(
        invoice_id=debtor.invoice, user_id=debtor.user, amount="25", payment_method="invoice", payment_method_token=...
    )
    customer = debtor.customer()
    assert "A payment is already open" in customer.page.text
    customer.press(LEAVE)
    api.run_until_idle()
    customer.open(debtor.url)
    customer.press(PAY)
    api.run_until_idle()
    assert debtor.charged() == [2500]


def test_a_method_of_somebody_else_is_not_charged(api: ApiSystem) -> None:
    debtor, other = Debtor(api, "pm_card_visa"), Debtor(api, "pm_card_mastercard")
    foreign = other.customer().page.forms[0].choices["method"][0]
    customer = debtor.customer()
    for chosen in (foreign, other.save("pm_card_visa"), "", "x"):
        page = customer.press(PAY, method=chosen)
        assert (customer.status, "choose one of the ways" in page.text) == (422, True)
    assert debtor.payments() == other.payments() == []


def test_a_method_that_is_switched_off_is_not_charged(api: ApiSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    debtor = Debtor(api, "pm_card_visa")
    customer = debtor.customer()
    api.switch_off(monkeypatch, PaymentMethod.CREDIT_CARD)
    page = customer.press(PAY)
    assert (customer.status, "not possible here" in page.text, debtor.payments()) == (422, True, [])


# --- paying with a new method -----------------------------------------------------------------------------


def test_a_debt_is_paid_by_a_new_card(api: ApiSystem) -> None:
    debtor = Debtor(api)
    customer = debtor.customer()
    page = customer.press(ADD_FIRST)
    assert "Enter your payment details" in page.text
    customer.follow(TEST_FORM)
    page = customer.press("Pay", card="visa")
    assert customer.url.startswith(f"{OWN_URL}/pay/pl_")
    assert "is being processed" in page.text
    api.run_until_idle()
    assert "Paid" in customer.renew().text
    assert ([row.state for row in debtor.payments()], debtor.charged()) == (["captured"], [2500])
    assert "_secret_" not in api.dump()


def test_a_new_card_is_kept_only_if_the_customer_agrees(api: ApiSystem) -> None:
    for saved, fields in (([], {}), (["4242"], {"save": "1"})):
        debtor = Debtor(api)
        customer = debtor.customer()
        customer.press(ADD_FIRST, **fields)
        customer.follow(TEST_FORM)
        customer.press("Pay", card="visa")
        api.run_until_idle()
        assert "Paid" in customer.renew().text
        kept = api.get(f"/customers/{debtor.user}/payment-methods").json["payment_methods"]
        assert [method["last4"] for method in kept] == saved
    [agreed] = api.rows(events, events.c.name == "method_saving_agreed")
    assert (agreed.actor, agreed.data["wording"]) == ("customer", TEXTS["en"]["save"])
    assert debtor.user not in str(agreed.data)


def test_a_new_card_that_is_declined_can_be_replaced_at_once(api: ApiSystem) -> None:
    debtor = Debtor(api)
    customer = debtor.customer()
    customer.press(ADD_FIRST)
    customer.follow(TEST_FORM)
    assert "insufficient funds" in customer.press("Pay", card="chargeDeclinedInsufficientFunds").text
    customer.press("Pay", card="threeDSecure2Required")
    customer.press("Approve")
    api.run_until_idle()
    assert "Paid" in customer.renew().text
    assert (len(debtor.payments()), debtor.charged()) == (1, [2500])


def test_who_leaves_the_front_end_may_pay_by_a_saved_method(api: ApiSystem) -> None:
    debtor = Debtor(api, "pm_card_visa")
    customer = debtor.customer()
    customer.press(ADD)
    customer.follow(TEST_FORM)
    page = customer.follow("Cancel and go back")
    assert "Enter your payment details" in page.text
    customer.press(LEAVE)
    api.run_until_idle()
    customer.renew()
    customer.press(PAY)
    api.run_until_idle()
    assert "Paid" in customer.renew().text
    assert debtor.charged() == [2500]


def test_a_new_and_a_saved_method_in_two_tabs_end_in_one_payment(api: ApiSystem) -> None:
    debtor = Debtor(api, "pm_card_visa")
    first, second = debtor.customer(), debtor.customer()
    first.press(ADD)
    page = second.press(PAY)
    assert "Enter your payment details" in page.text
    assert len(debtor.payments()) == 1
    again = debtor.customer()
    assert "Enter your payment details" in again.page.text
    assert len(debtor.payments()) == 1


def test_the_client_secret_is_on_the_page_of_the_front_end_only(api: ApiSystem) -> None:
    debtor = Debtor(api, "pm_card_visa")
    customer = debtor.customer()
    assert "_secret_" not in customer.page.html
    assert "_secret_" in customer.press(ADD).html
    assert "_secret_" not in str(customer.headers) + customer.url


def test_stripes_own_front_end_is_the_only_script_and_has_a_nonce(
    api: ApiSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    extensions = api.client.application.extensions
    monkeypatch.setitem(extensions, "celeriac", replace(extensions["celeriac"], test_front_end=""))
    debtor = Debtor(api)
    customer = debtor.customer()
    assert "script" not in customer.page.html
    page = customer.press(ADD_FIRST)
    policy = customer.headers["Content-Security-Policy"]
    nonce = re.findall(r"script-src 'nonce-([\w-]+)' https://js.stripe.com", policy)[0]
    assert re.findall(r"<script ([^>]*)>", page.html) == [
        f'nonce="{nonce}" src="https://js.stripe.com/v3/"',
        f'nonce="{nonce}"',
    ]
    assert 'data-key="pk_test_shown"' in page.html
    assert "unsafe" not in policy
    assert set(re.findall(r'(?:src|href)="(https?://[^"]+)"', page.html)) == {"https://js.stripe.com/v3/"}


def test_a_provider_that_is_down_gets_a_page_that_says_so(api: ApiSystem) -> None:
    debtor = Debtor(api, "pm_card_visa")
    customer = debtor.customer()
    api.sandbox.state.faults.add("payment_intents.create", "error_before")
    page = customer.press(ADD)
    assert (customer.status, "not charged twice" in page.text) == (503, True)
    assert [row.state for row in debtor.payments()] == ["failed"]
    customer.open(debtor.url)
    assert "Enter your payment details" in customer.press(ADD).text
    assert [row.state for row in debtor.payments()] == ["requires_action"]


def test_a_look_while_the_provider_is_down_gets_a_page_that_says_so(api: ApiSystem) -> None:
    debtor = Debtor(api, "pm_card_visa")
    api.sandbox.state.faults.add("customers.payment_methods.list", "error_before")
    customer = debtor.customer()
    assert (customer.status, "reach the payment provider" in customer.page.text) == (503, True)
    assert PAY in customer.follow("Load again").forms[0].buttons


def test_a_bug_of_ours_shows_a_kind_page_and_logs_no_link(
    api: ApiSystem, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    debtor = Debtor(api)
    monkeypatch.setattr(pay_page, "find_debt", lambda *_: 1 // 0)
    customer = debtor.customer()
    assert (customer.status, "not charged twice" in customer.page.text) == (500, True)
    assert "ZeroDivisionError" in caplog.text
    assert "pl_" not in redact(caplog.text)


# --- forms from elsewhere ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": OWN_URL},
        {"Origin": "https://evil.example"},
    ],
)
def test_a_form_of_another_site_does_nothing(api: ApiSystem, headers: dict[str, str]) -> None:
    debtor = Debtor(api, "pm_card_visa")
    _, sent = debtor.customer().filled(PAY)
    response = api.client.post(debtor.url.removeprefix(OWN_URL), data=sent, headers=headers)
    assert (response.status_code, debtor.payments()) == (403, [])
    assert "open the page again" in response.text


@pytest.mark.parametrize(
    "headers", [{}, {"Origin": "null"}, {"Origin": OWN_URL}, {"Origin": "null", "Sec-Fetch-Site": "same-origin"}]
)
def test_the_form_of_the_page_is_taken_from_any_browser(api: ApiSystem, headers: dict[str, str]) -> None:
    debtor = Debtor(api, "pm_card_visa")
    _, sent = debtor.customer().filled(PAY)
    response = api.client.post(debtor.url.removeprefix(OWN_URL), data=sent, headers=headers)
    assert (response.status_code, len(debtor.payments())) == (303, 1)


def test_a_form_of_another_link_does_nothing(api: ApiSystem) -> None:
    debtor, other = Debtor(api, "pm_card_visa"), Debtor(api, "pm_card_visa")
    _, sent = debtor.customer().filled(PAY)
    _, foreign = other.customer().filled(PAY)
    for form in (foreign["form"], "", "x", sent["form"][:-1]):
        response = api.client.post(debtor.url.removeprefix(OWN_URL), data=sent | {"form": form})
        assert response.status_code == 403
    assert debtor.payments() == []


@pytest.mark.parametrize("action", ["", "leave", "refund", "pay\x00"])
def test_an_unknown_action_does_nothing(api: ApiSystem, action: str) -> None:
    debtor = Debtor(api, "pm_card_visa")
    _, sent = debtor.customer().filled(PAY)
    response = api.client.post(debtor.url.removeprefix(OWN_URL), data=sent | {"action": action})
    assert (response.status_code, debtor.payments()) == (303, [])


def test_the_way_back_is_known_to_the_customers_browser_only(api: ApiSystem) -> None:
    debtor = Debtor(api, "pm_card_threeDSecure2Required")
    customer = debtor.customer()
    customer.press(PAY)
    [payment] = debtor.payments()
    cookie = customer.headers["Set-Cookie"]
    assert [part for part in ("HttpOnly", "SameSite=Lax", "Path=/pay/back/") if part not in cookie] == []
    stranger = Customer(api)
    stranger.open(payment.return_url)
    assert (stranger.status, "close this window" in stranger.page.text, stranger.page.forms) == (200, True, [])
    assert "pl_" not in stranger.page.html


# --- races ------------------------------------------------------------------------------------------------


def test_two_presses_at_once_end_in_one_charge(api: ApiSystem) -> None:
    debtor = Debtor(api, "pm_card_visa")
    _, sent = debtor.customer().filled(PAY)
    barrier, responses = threading.Barrier(_PRESSES), []

    def press() -> None:
        client = api.client.application.test_client()
        barrier.wait()
        responses.append(client.post(debtor.url.removeprefix(OWN_URL), data=sent).status_code)

    presses = [threading.Thread(target=press) for _ in range(_PRESSES)]
    for thread in presses:
        thread.start()
    for thread in presses:
        thread.join()
    api.run_until_idle()
    assert (responses, len(debtor.payments()), debtor.charged()) == ([303] * _PRESSES, 1, [2500])
    keys = api.rows(idempotency_keys, idempotency_keys.c.payment_id == debtor.payments()[0].id)
    assert [row.key.startswith("pay-page-") for row in keys] == [True]


def test_a_press_that_comes_after_the_decline_of_the_same_form_is_a_replay(
    api: ApiSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both presses have seen the page before the first is accepted, and the second is accepted after its decline."""
    debtor = Debtor(api, "pm_card_chargeCustomerFail")
    _, sent = debtor.customer().filled(PAY)
    path, accept = debtor.url.removeprefix(OWN_URL), pay_page.accept_from

    def overtaken(*given: Any) -> Any:
        monkeypatch.setattr(pay_page, "accept_from", accept)
        assert api.client.post(path, data=sent).status_code == 303
        api.run_until_idle()
        return accept(*given)

    monkeypatch.setattr(pay_page, "accept_from", overtaken)
    assert api.client.post(path, data=sent).status_code == 303
    api.run_until_idle()
    assert [row.state for row in debtor.payments()] == ["declined"]


def test_the_customers_tries_stand_in_the_case_and_what_has_paid_becomes_the_default(api: ApiSystem) -> None:
    debtor = Debtor(api, "pm_card_chargeCustomerFail")
    dunned = api.process_and_run(
        invoice_id=debtor.invoice,
        user_id=debtor.user,
        amount="25",
        subscription_id=unique("sub"),
        payment_method_token=INSUFFICIENT_FUNDS,
    )
    before = api.dunning_case(dunned["id"])
    customer = debtor.customer()
    assert TEXTS["en"]["default"] in customer.page.text
    assert TEXTS["en"]["default"] not in Debtor(api, "pm_card_visa").customer().page.text
    customer.press(PAY)
    api.run_until_idle()
    customer.renew()
    # A decline of the customer's own try leaves the plan as it is.
    case = api.dunning_case(dunned["id"])
    assert (case.state, case.retry, case.due_at) == (before.state, before.retry, before.due_at)
    customer.press(ADD, save="1")
    customer.follow(TEST_FORM)
    customer.press("Pay", card="visa")
    api.run_until_idle()
    shown = api.get(f"/admin/dunning/{case.id}", caller="operator").json
    tries = [(one.get("cause"), one["status"]) for one in shown["attempts"]]
    assert tries == [(None, "declined"), ("customer_retry", "declined"), ("customer_retry", "succeeded")]
    assert (shown["status"], shown["tries"]) == ("recovered", 3)
    assert {one["payment_id"] for one in shown["attempts"]} == {row.id for row in debtor.payments()}
    api.advance(seconds=31)
    kept = api.get(f"/customers/{debtor.user}/payment-methods").json["payment_methods"]
    assert [method["last4"] for method in kept if method["is_default"]] == ["4242"]
