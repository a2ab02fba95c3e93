"""HTTP clients of the public API (Merchant) and of the sandbox with its control routes (Provider)."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from stack.process import wait_until

Json = dict[str, Any]
WAIT_SECONDS = 30
POLL_SECONDS = 0.2
REQUEST_SECONDS = 30


class UnexpectedResult(Exception):
    """A request or a payment had another result than the scenario expects. The message names it."""


class Merchant:
    """One merchant's client of the public API. An operator's key makes it an operator's client."""

    def __init__(self, api_url: str, key: str, wait_seconds: float = WAIT_SECONDS) -> None:
        self._api = api_url
        self._wait_seconds = wait_seconds
        self._session = requests.Session()
        # The server may close a kept connection at the moment in which it is used again.
        self._session.mount("http://", HTTPAdapter(max_retries=Retry(total=1, backoff_factor=0)))
        self._session.headers["Authorization"] = f"Bearer {key}"

    def process(self, request: Json) -> Json:
        """Send a payment request; return the accepted payment."""
        return self._call("POST", "/process", request)

    def payment(self, payment_id: str) -> Json:
        """Return a payment."""
        return self._call("GET", f"/{payment_id}")

    def capture(self, payment_id: str, amount: str) -> None:
        """Request a capture of a part of the authorized amount."""
        self._call("POST", f"/{payment_id}/capture", {"amount": amount})

    def cancel(self, payment_id: str) -> None:
        """Cancel a payment; an authorization is voided."""
        self._call("POST", f"/{payment_id}/cancel")

    def refund(self, payment_id: str, amount: str) -> None:
        """Request a refund."""
        self._call("POST", f"/{payment_id}/refunds", {"amount": amount})

    def record(self, payment_id: str, reference: str) -> None:
        """Record as an operator that the money of a payment by invoice has arrived."""
        self._call("POST", f"/admin/payments/{payment_id}/record", {"reference": reference})

    def review(self, payment_id: str, decision: str) -> None:
        """Decide as an operator about a payment in review, or about one whose amount does not match."""
        self._call("POST", f"/{payment_id}/review", {"decision": decision})

    def expect_refusal(self, payment_id: str, operation: str, body: Json) -> None:
        """Send a request that must be refused; raise UnexpectedResult if it is not."""
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        address = f"{self._api}/{payment_id}{operation}"
        response = self._session.post(address, json=body, headers=headers, timeout=REQUEST_SECONDS)
        if not 400 <= response.status_code < 500:
            raise UnexpectedResult(f"{operation} of {payment_id} with {body} returned {response.status_code}")

    def invoice(self, invoice_id: str) -> Json:
        """Return an invoice."""
        return self._call("GET", f"/invoices/{invoice_id}")

    def attention(self) -> list[Json]:
        """Return the entries of the attention list, open and closed, oldest first."""
        entries: list[Json] = []
        path: str | None = "/admin/attention?limit=200"
        while path:
            page = self._call("GET", path)
            entries += page["entries"]
            cursor = page["next_cursor"]
            path = f"/admin/attention?limit=200&cursor={cursor}" if cursor else None
        return entries

    def resolve(self, entry_id: str, action: str) -> None:
        """Decide as an operator on an entry of the attention list."""
        decision = {"action": action, "note": "decided in a scenario"}
        self._call("POST", f"/admin/attention/{entry_id}/resolve", decision)

    def subscription(self, subscription_id: str) -> Json:
        """Return a subscription."""
        return self._call("GET", f"/subscriptions/{subscription_id}")

    def put_subscription(self, subscription_id: str, subscription: Json) -> None:
        """Create or change a subscription."""
        self._call("PUT", f"/subscriptions/{subscription_id}", subscription)

    def put_customer(self, user_id: str, customer: Json) -> None:
        """Say how a user is reached."""
        self._call("PUT", f"/customers/{user_id}", customer)

    def save_method(self, user_id: str, token: str) -> str:
        """Save a payment method, so that it can be charged more than once; return its token."""
        saved = self._call("POST", f"/customers/{user_id}/payment-methods", {"payment_method_token": token})
        return str(saved["payment_method_token"])

    def put_backup(self, user_id: str, token: str, agreed_at: datetime) -> None:
        """Store that a customer has agreed to be charged by this saved method if the one of a debt is declined."""
        consent = {"agreed_at": agreed_at.isoformat(), "wording": "Charge my other card if need be.", "channel": "demo"}
        backups = [{"payment_method_token": token, "consent": consent}]
        self._call("PUT", f"/customers/{user_id}/backup-methods", {"backup_methods": backups})

    def payments(self, invoice_id: str) -> list[Json]:
        """Return the payments of an invoice, oldest first: 50 at most."""
        listed: list[Json] = self._call("GET", f"/?invoice_id={invoice_id}")["payments"]
        return listed

    def dunning_case(self, case_id: str) -> Json:
        """Return a dunning case."""
        return self._call("GET", f"/admin/dunning/{case_id}")

    def wait_for(self, payment_id: str, condition: Callable[[Json], bool], what: str) -> Json:
        """Wait until `condition` holds for a payment and return it; raise UnexpectedResult after the time limit."""
        payment: Json = {}

        def holds() -> bool:
            payment.update(self.payment(payment_id))
            return condition(payment)

        if not wait_until(holds, self._wait_seconds, POLL_SECONDS):
            waited = f"after {self._wait_seconds:g} seconds"
            why = f" ({payment['failure_code']})" if payment["failure_code"] else ""
            raise UnexpectedResult(f"payment {payment_id} is {payment['status']}{why} instead of {what} {waited}")
        return payment

    def wait_for_status(self, payment_id: str, *statuses: str) -> Json:
        """Wait until a payment has one of the statuses; return it."""
        return self.wait_for(payment_id, lambda payment: payment["status"] in statuses, " or ".join(statuses))

    def _call(self, method: str, path: str, body: Json | None = None) -> Json:
        headers = {"Idempotency-Key": str(uuid.uuid4())} if method == "POST" else {}
        return call(self._session, method, self._api + path, json=body, headers=headers)


class Provider:
    """The sandbox: what customers and banks do there, its faults, its webhooks and its ledger."""

    def __init__(self, url: str, secret_key: str) -> None:
        self._url = url
        self._session = requests.Session()
        self._session.auth = (secret_key, "")
        self.secret_key = secret_key

    def create_card(self, *results: str) -> str:
        """Create a card whose charges have these results, one after the other; return its token."""
        token: str = self._post("/_sandbox/cards", {"script": list(results)})["id"]
        return token

    def create_bank_account(self, iban: str) -> str:
        """Store a SEPA mandate as a front end would; return its token."""
        form = {
            "type": "sepa_debit",
            "sepa_debit[iban]": iban,
            "billing_details[name]": "Ada Example",
            "billing_details[email]": "ada@example.com",
        }
        token: str = call(self._session, "POST", f"{self._url}/v1/payment_methods", data=form)["id"]
        return token

    def authenticate(self, payment: Json, result: str = "success") -> None:
        """Let the customer pass or fail 3-D Secure."""
        self._post(f"/_sandbox/intents/{reference(payment)}/authenticate", {"result": result})

    def finish_debit(self, payment: Json, result: str = "success", attempt: int = 0) -> None:
        """Let the bank accept or return a debit. `attempt`: which one of the payment; -1: the last."""
        self._post(f"/_sandbox/intents/{reference(payment, attempt)}/settle", {"result": result})

    def dispute(self, payment: Json, reason: str) -> str:
        """Let a payment be disputed, or a debit be returned; return the id of the dispute."""
        dispute: str = self._post(f"/_sandbox/intents/{reference(payment)}/dispute", {"reason": reason})["id"]
        return dispute

    def dispute_elsewhere(self, payment: Json, *steps: Json) -> Json:
        """Let a payment at PayPal or Afterpay be disputed, and each of these steps happen; return the last response."""
        place = f"/_sandbox/{payment['provider']}/{reference(payment)}/dispute"
        shown = self._post(place, {})
        for step in steps:
            shown = self._post(place, step)
        return shown

    def close_dispute(self, dispute: str, result: str) -> None:
        """Close a dispute: won or lost."""
        self._post(f"/_sandbox/disputes/{dispute}/close", {"result": result})

    def disputes(self) -> list[Json]:
        """Return every dispute, newest first."""
        disputes: list[Json] = []
        page: Json = {"has_more": True}
        while page["has_more"]:
            after = {"starting_after": disputes[-1]["id"]} if disputes else {}
            page = call(self._session, "GET", f"{self._url}/v1/disputes", params={"limit": 100} | after)
            disputes += page["data"]
        return disputes

    def act_in_dashboard(self, payment: Json, action: str, minor: int | None = None) -> str | None:
        """Act as a person on the provider's website: refund, capture, void or resolve, so many minor units or all.

        Return the id of the refund or capture, where it has one."""
        body = {"action": action} | ({} if minor is None else {"amount": minor})
        made = self._post(f"/_sandbox/dashboard/{payment['provider']}/{reference(payment)}", body)
        made_id: str | None = made["id"]
        return made_id

    def delay_refunds(self, payment: Json) -> None:
        """Keep further refunds of a payment at PayPal or Coinbase pending until `finish_refund`."""
        order = f"{self._url}/_sandbox/{payment['provider']}/{reference(payment)}"
        if payment["provider"] == "paypal":
            call(self._session, "POST", f"{order}/scenario", json={"scenario": "REFUND_PENDING"})
        else:
            call(self._session, "POST", f"{order}/refund_slowly", json={})

    def finish_refund(self, payment: Json, refund: str, result: str) -> None:
        """Let a refund that is pending succeed or fail; one at Stripe can also fail after it has succeeded."""
        place = "refunds" if payment["provider"] == "stripe" else payment["provider"]
        self._post(f"/_sandbox/{place}/{refund}/settle", {"result": result})

    def advance_clock(self, hours: float) -> None:
        """Move the sandbox's clock, which every process follows, forward."""
        self._post("/_sandbox/clock", {"advance_seconds": hours * 3600})

    def pay_first_charge(self, payment: Json) -> None:
        """Let the customer pay the first charge of a payment, which was declined, with another card."""
        first = payment["attempts"][0]["provider_reference"]
        form = {"payment_method": "pm_card_visa"}
        call(self._session, "POST", f"{self._url}/v1/payment_intents/{first}/confirm", data=form)

    def send_transfer(self, payment: Json, minor: int | None = None) -> None:
        """Send a bank transfer of so many minor units, or of all that is outstanding."""
        body = {} if minor is None else {"amount": minor}
        self._post(f"/_sandbox/intents/{reference(payment)}/fund", body)

    def unused_cash(self, payment: Json) -> int:
        """Return the minor units that the customer of a bank transfer has sent and no payment has used."""
        intent = call(self._session, "GET", f"{self._url}/v1/payment_intents/{reference(payment)}")
        balance = call(self._session, "GET", f"{self._url}/v1/customers/{intent['customer']}/cash_balance")
        available: Json = balance["available"] or {}
        return sum(available.values())

    def delay_webhooks(self, seconds: float) -> None:
        """Deliver every webhook this many seconds later."""
        self._post("/_sandbox/webhooks", {"delay_seconds": seconds})

    def submit_page(self, page: str, decision: str) -> None:
        """Submit the customer's decision on a provider's page, and follow its redirect to our customer return.

        The redirect from there to the merchant's own page is not followed.
        """
        try:
            form = decision_form(decision)
            response = requests.post(page, data=form, allow_redirects=False, timeout=REQUEST_SECONDS)
            location = response.headers.get("Location", "")
            if "/returns/" in location:
                requests.get(location, allow_redirects=False, timeout=REQUEST_SECONDS)
        except requests.RequestException as error:
            raise UnexpectedResult(f"{page} failed: {error}") from error
        if response.status_code >= 400:
            raise UnexpectedResult(f"{page} returned {response.status_code}: {response.text[:300]}")

    def inject_faults(self, rate: float, seconds: float, lost: float = 0.0) -> None:
        """Let each kind of fault hit this share of all calls, and let this share of the webhooks come twice or late.

        The share `lost` of the webhooks never comes."""
        for fault in ("timeout_after", "error_after", "error_before", "reset_after", "reset_before"):
            options = {"operation": "*", "fault": fault, "times": None, "rate": rate, "seconds": seconds}
            self._post("/_sandbox/faults", options)
        self._post("/_sandbox/webhooks", {"duplicate": 2, "duplicate_rate": rate, "hold_rate": rate, "drop_rate": lost})

    def stop_faults(self) -> int:
        """Remove all faults; return how many calls they hit."""
        faults = call(self._session, "GET", f"{self._url}/_sandbox/faults")["faults"]
        call(self._session, "DELETE", f"{self._url}/_sandbox/faults")
        self._post("/_sandbox/webhooks", {"duplicate": 1, "duplicate_rate": 1, "hold_rate": 0, "drop_rate": 0})
        return sum(fault["hits"] for fault in faults)

    def lose_next_response(self) -> None:
        """Let the next confirmation of a card payment charge the card and send no response."""
        fault = {"operation": "payment_intents.confirm", "fault": "timeout_after", "times": 1, "seconds": 1}
        self._post("/_sandbox/faults", fault)

    def mails(self) -> list[Json]:
        """Return every mail that was sent, oldest first: `to`, `date`, `subject`, `text`, `html` and others."""
        mails: list[Json] = call(self._session, "GET", f"{self._url}/_sandbox/mail")["mails"]
        return mails

    def webhooks(self) -> Json:
        """Return the numbers of pending and delivered webhooks, with more about the delivery."""
        return call(self._session, "GET", f"{self._url}/_sandbox/webhooks")

    def now(self) -> float:
        """Return the time by the sandbox's clock, in seconds since the epoch."""
        return float(call(self._session, "GET", f"{self._url}/_sandbox/clock")["now"])

    def tries(self) -> list[Json]:
        """Return every try that reached an issuer, in order."""
        tries: list[Json] = call(self._session, "GET", f"{self._url}/_sandbox/ledger")["attempts"]
        return tries

    def movements(self) -> list[Json]:
        """Return every movement of money in the ledger."""
        movements: list[Json] = call(self._session, "GET", f"{self._url}/_sandbox/ledger")["movements"]
        return movements

    def ledger_totals(self) -> list[Json]:
        """Return the totals in the ledger of every payment object of every provider, in minor units."""
        totals: list[Json] = call(self._session, "GET", f"{self._url}/_sandbox/books")["books"]
        return totals

    def _post(self, path: str, body: Json) -> Json:
        return call(self._session, "POST", self._url + path, json=body)


def call(session: requests.Session, method: str, url: str, **options: Any) -> Json:
    """Return the JSON of the response; raise UnexpectedResult for an error or a response that is not JSON."""
    try:
        response = session.request(method, url, timeout=REQUEST_SECONDS, **options)
        if not response.ok:
            raise UnexpectedResult(f"{method} {url} returned {response.status_code}: {response.text[:300]}")
        result: Json = response.json()
    except requests.RequestException as error:
        raise UnexpectedResult(f"{method} {url} failed: {error}") from error
    return result


def decision_form(decision: str) -> Json:
    """Return the form that submits a decision on the page of any provider; Stripe's pages read `result`."""
    return {"decision": decision, "result": "success" if decision == "approve" else "failure"}


def reference(payment: Json, attempt: int = 0) -> str:
    """Return the provider's id of one of a payment's attempts, by default of the first."""
    result: str = payment["attempts"][attempt]["provider_reference"]
    return result
