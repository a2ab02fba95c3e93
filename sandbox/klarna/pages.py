"""Owns the hosted payment pages: their states, what a customer's decision does, and who is told.

Hosted Payment Page API 1.1 [spec]; session lifecycle and status callbacks [docs]. A session lives 48 hours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sandbox.clock import fine_stamp
from sandbox.hosted import Page
from sandbox.klarna.callbacks import Callbacks
from sandbox.klarna.errors import bad_value, new_id, not_found, refusal
from sandbox.klarna.orders import Orders, PlacedOrder
from sandbox.klarna.purchases import metadata
from sandbox.service import Json
from sandbox.state import Sandbox

SESSION_SECONDS = 48 * 3600.0
OPEN = ("WAITING", "IN_PROGRESS", "BACK", "MANUAL_ID_CHECK")
MODES = ("PLACE_ORDER", "CAPTURE_ORDER", "NONE")
URLS = ("success", "cancel", "back", "failure", "error", "status_update")


@dataclass
class PaymentSession:
    """What is to be paid; complete once an order was placed."""

    asked: Json
    created_at: float
    id: str = field(default_factory=new_id)
    is_complete: bool = False

    @property
    def email(self) -> str:
        """Return the customer's address, whose marks say what becomes of his payment."""
        return str(self.asked.get("billing_address", {}).get("email", ""))


@dataclass
class HostedSession:
    """One hosted page."""

    payment: PaymentSession
    urls: dict[str, str]
    mode: str
    updated_at: float
    id: str = field(default_factory=new_id)
    status: str = "WAITING"
    order: PlacedOrder | None = None
    authorization_token: str | None = None

    @property
    def expires_at(self) -> float:
        """Return when it is forgotten, with its payment session."""
        return self.payment.created_at + SESSION_SECONDS

    def body(self) -> Json:
        """Return the page as it is read; its address is not among what is shown [spec]."""
        order = {"order_id": self.order.id, "klarna_reference": self.order.klarna_reference} if self.order else {}
        token = {"authorization_token": self.authorization_token} if self.authorization_token else {}
        times = {"updated_at": fine_stamp(self.updated_at), "expires_at": fine_stamp(self.expires_at)}
        return {"session_id": self.id, "status": self.status} | order | token | times

    def link(self, name: str) -> str | None:
        """Return where the customer is sent, with what Klarna fills in."""
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

    def open_payment(self, asked: Json) -> PaymentSession:
        """Make a payment session."""
        session = PaymentSession(asked, self._sandbox.clock.now())
        self._payments[session.id] = session
        return session

    def find_payment(self, id: str) -> PaymentSession:
        """Return a payment session that has not expired."""
        found = self._payments.get(id)
        if found is None or self._sandbox.clock.now() >= found.created_at + SESSION_SECONDS:
            raise not_found("session")
        return found

    def open(self, asked: Json) -> HostedSession:
        """Make a page for a payment session."""
        urls, mode = _checked(asked)
        payment = self.find_payment(str(asked["payment_session_url"]).rpartition("/")[2])
        page = HostedSession(payment, urls, mode, self._sandbox.clock.now())
        self._pages[page.id] = page
        return page

    def find(self, id: str) -> HostedSession:
        """Return a page that has not expired."""
        found = self._pages.get(id)
        if found is None or self._sandbox.clock.now() >= found.expires_at:
            raise not_found("HPP session")
        return found

    def disable(self, page: HostedSession) -> None:
        """Close a page for its customer."""
        if page.status == "COMPLETED":
            raise refusal(400, "BAD_VALUE", "HPP session has already been successfully completed")
        page.status, page.updated_at = "DISABLED", self._sandbox.clock.now()

    def show(self, id: str) -> Page | None:
        """Return what the customer sees; opening the page is told to the merchant."""
        page = self._pages.get(id)
        if page is None or self._sandbox.clock.now() >= page.expires_at:
            return None
        if page.status == "WAITING":
            self._move(page, "IN_PROGRESS")
        asked = page.payment.asked
        return Page(id, str(asked["order_amount"]), asked["purchase_currency"], page.status)

    def decide(self, id: str, decision: str) -> str | None:
        """Do what the customer decided, unless the page is closed, and return where he is sent."""
        page = self._pages[id]
        if page.status in OPEN:
            act = {"approve": self._approve, "decline": self._decline, "cancel": self._cancel}[decision]
            act(page)
        ends = {"COMPLETED": "success", "FAILED": "failure", "CANCELLED": "cancel"}
        return page.link(ends.get(page.status, "error"))

    def _approve(self, page: HostedSession) -> None:
        if "+denied" in page.payment.email or page.payment.is_complete:
            self._decline(page)
            return
        page.payment.is_complete = page.mode != "NONE"
        if page.mode == "NONE":
            page.authorization_token = new_id()
        else:
            page.order = self._orders.place(page.payment.asked, customer=page.payment.email)
            if page.mode == "CAPTURE_ORDER":
                self._orders.capture(page.order, {"captured_amount": page.order.amount}, None)
        self._tried(page, "approved")
        self._move(page, "COMPLETED")

    def _decline(self, page: HostedSession) -> None:
        self._tried(page, "declined")
        self._move(page, "FAILED")

    def _cancel(self, page: HostedSession) -> None:
        self._move(page, "CANCELLED")

    def _move(self, page: HostedSession, status: str) -> None:
        page.status, page.updated_at = status, self._sandbox.clock.now()
        self._callbacks.tell(page.link("status_update"), {"event_id": new_id(), "session": page.body()})

    def _tried(self, page: HostedSession, result: str) -> None:
        self._sandbox.ledger.attempt(
            self._sandbox.clock.now(),
            object=page.order.id if page.order else page.id,
            result=result,
            idempotency_key=None,
            metadata=metadata(page.payment.asked),
        )


def _checked(asked: Json) -> tuple[dict[str, str], str]:
    urls: Any = asked.get("merchant_urls", {})
    options: Any = asked.get("options", {})
    if not isinstance(asked.get("payment_session_url"), str):
        raise bad_value("Bad value: payment_session_url")
    if not isinstance(urls, dict) or not all(isinstance(url, str) for url in urls.values()) or urls.keys() - URLS:
        raise bad_value("Bad value: merchant_urls")
    mode = options.get("place_order_mode", "NONE") if isinstance(options, dict) else None
    if mode not in MODES:
        raise bad_value("Bad value: options.place_order_mode")
    return urls, mode
