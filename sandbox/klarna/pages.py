"""Hosted payment pages: their states, the effect of the customer's decision, and the callbacks.

Hosted Payment Page API 1.1 [spec]; session lifecycle and status callbacks [docs]. A session lasts 48 hours,
and its page an hour less [docs].
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sandbox.amounts import decimal_text
from sandbox.clock import iso_milliseconds
from sandbox.hosted import Page
from sandbox.klarna.callbacks import Callbacks
from sandbox.klarna.errors import bad_value, new_id, not_found, refusal
from sandbox.klarna.orders import Order, Orders
from sandbox.klarna.purchases import metadata
from sandbox.service import Json
from sandbox.state import Sandbox

SESSION_SECONDS = 48 * 3600.0
PAGE_SECONDS = 47 * 3600.0
OPEN = ("WAITING", "IN_PROGRESS", "BACK", "MANUAL_ID_CHECK")
MODES = ("PLACE_ORDER", "CAPTURE_ORDER", "NONE")
URLS = ("success", "cancel", "back", "failure", "error", "status_update")


@dataclass
class PaymentSession:
    """A purchase that a customer can pay; complete as soon as its order is placed."""

    request: Json
    created_at: float
    id: str = field(default_factory=new_id)
    is_complete: bool = False

    @property
    def email(self) -> str:
        """Return the customer's e-mail address, whose mark decides the outcome."""
        return str(self.request.get("billing_address", {}).get("email", ""))


@dataclass
class HostedSession:
    """One hosted page."""

    payment: PaymentSession
    urls: dict[str, str]
    mode: str
    updated_at: float
    id: str = field(default_factory=new_id)
    status: str = "WAITING"
    order: Order | None = None
    authorization_token: str | None = None

    @property
    def expires_at(self) -> float:
        """Return when the page ends."""
        return self.payment.created_at + PAGE_SECONDS

    def body(self) -> Json:
        """Return the body of a page. It does not contain the page's URL [spec]."""
        order = {"order_id": self.order.id, "klarna_reference": self.order.klarna_reference} if self.order else {}
        token = {"authorization_token": self.authorization_token} if self.authorization_token else {}
        times = {"updated_at": iso_milliseconds(self.updated_at), "expires_at": iso_milliseconds(self.expires_at)}
        return {"session_id": self.id, "status": self.status} | order | token | times

    def link(self, name: str) -> str | None:
        """Return one of the merchant's URLs with Klarna's placeholders filled in."""
        url = self.urls.get(name)
        if url is None:
            return None
        filled = url.replace("{{session_id}}", self.id).replace("{{order_id}}", self.order.id if self.order else "")
        return filled.replace("{{authorization_token}}", self.authorization_token or "")


class Pages:
    """All payment sessions and hosted pages."""

    def __init__(self, sandbox: Sandbox, orders: Orders, callbacks: Callbacks) -> None:
        self._sandbox = sandbox
        self._orders = orders
        self._callbacks = callbacks
        self._payments: dict[str, PaymentSession] = {}
        self._pages: dict[str, HostedSession] = {}

    def open_payment(self, request: Json) -> PaymentSession:
        """Create a payment session."""
        session = PaymentSession(request, self._sandbox.clock.now())
        self._payments[session.id] = session
        return session

    def find_payment(self, id: str) -> PaymentSession:
        """Return a payment session that has not expired."""
        session = self._payments.get(id)
        if session is None or self._sandbox.clock.now() >= session.created_at + SESSION_SECONDS:
            raise not_found("session")
        return session

    def open(self, request: Json) -> HostedSession:
        """Create a page for a payment session."""
        urls, mode = _checked(request)
        payment = self.find_payment(str(request["payment_session_url"]).rpartition("/")[2])
        page = HostedSession(payment, urls, mode, self._sandbox.clock.now())
        self._pages[page.id] = page
        return page

    def find(self, id: str) -> HostedSession:
        """Return a page that has not expired."""
        page = self._pages.get(id)
        if page is None or self._sandbox.clock.now() >= page.expires_at:
            raise not_found("HPP session")
        return page

    def disable(self, page: HostedSession) -> None:
        """Disable a page that is not completed."""
        if page.status == "COMPLETED":
            raise refusal(400, "BAD_VALUE", "HPP session has already been successfully completed")
        page.status, page.updated_at = "DISABLED", self._sandbox.clock.now()

    def show(self, id: str) -> Page | None:
        """Return the content of a page. The first call moves it to IN_PROGRESS, which sends a callback."""
        page = self._pages.get(id)
        if page is None or self._sandbox.clock.now() >= page.expires_at:
            return None
        if page.status == "WAITING":
            self._move(page, "IN_PROGRESS")
        request = page.payment.request
        # Every currency that Klarna supports has two decimal places.
        return Page(id, decimal_text(request["order_amount"]), request["purchase_currency"], page.status)

    def decide(self, id: str, decision: str) -> str | None:
        """Execute the customer's decision if the page is open, and return the URL of the redirect."""
        page = self._pages[id]
        if page.status in OPEN:
            act = {"approve": self._approve, "decline": self._decline, "cancel": self._cancel}[decision]
            act(page)
        urls = {"COMPLETED": "success", "FAILED": "failure", "CANCELLED": "cancel"}
        return page.link(urls.get(page.status, "error"))

    def _approve(self, page: HostedSession) -> None:
        if "+denied" in page.payment.email or page.payment.is_complete:
            self._decline(page)
            return
        page.payment.is_complete = page.mode != "NONE"
        if page.mode == "NONE":
            page.authorization_token = new_id()
        else:
            page.order = self._orders.place(page.payment.request, customer=page.payment.email)
            if page.mode == "CAPTURE_ORDER":
                self._orders.capture(page.order, {"captured_amount": page.order.amount}, None)
        self._record_attempt(page, "approved")
        self._move(page, "COMPLETED")

    def _decline(self, page: HostedSession) -> None:
        self._record_attempt(page, "declined")
        self._move(page, "FAILED")

    def _cancel(self, page: HostedSession) -> None:
        self._move(page, "CANCELLED")

    def _move(self, page: HostedSession, status: str) -> None:
        page.status, page.updated_at = status, self._sandbox.clock.now()
        self._callbacks.send(page.link("status_update"), {"event_id": new_id(), "session": page.body()})

    def _record_attempt(self, page: HostedSession, result: str) -> None:
        self._sandbox.ledger.attempt(
            self._sandbox.clock.now(),
            object=page.order.id if page.order else page.id,
            result=result,
            idempotency_key=None,
            metadata=metadata(page.payment.request),
        )


def _checked(request: Json) -> tuple[dict[str, str], str]:
    urls: Any = request.get("merchant_urls", {})
    options: Any = request.get("options", {})
    if not isinstance(request.get("payment_session_url"), str):
        raise bad_value("Bad value: payment_session_url")
    if not isinstance(urls, dict) or not all(isinstance(url, str) for url in urls.values()) or urls.keys() - URLS:
        raise bad_value("Bad value: merchant_urls")
    mode = options.get("place_order_mode", "NONE") if isinstance(options, dict) else None
    if mode not in MODES:
        raise bad_value("Bad value: options.place_order_mode")
    return urls, mode
