"""Random lives of many payments in a whole system: declines, recoveries by several doors, reversals, cancellations."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from random import Random
from typing import Any

from domain.dunning.policy import STANDARD, STRONG
from domain.dunning.segments import Segment
from models.tables import disputes, dunning_cases, payments
from tests.mailing import MailSystem

# The ends of a card's charges; one by one, the last one for ever.
_SCRIPTS = (
    *(("insufficient_funds",) * declines + ("success",) for declines in (1, 1, 2, 3)),
    ("generic_decline", "success"),
    ("processing_error", "success"),
    ("insufficient_funds", "lost_card"),
    ("insufficient_funds",),
    ("generic_decline",),
    ("lost_card",),
    ("expired_card", "success"),
    ("success",),
    ("success",),
)
_AMOUNTS = {"EUR": ("12.30", "99.99", "5.00"), "JPY": ("1500", "333"), "USD": ("20.00", "7.77")}
SEGMENTS = (
    Segment("strong in yen", STRONG, currencies=frozenset({"JPY"}), holdout=0.3),
    Segment("the others", STANDARD, holdout=0.2),
)


class DunnedLives:
    """Lets applications collect for some weeks, and what may happen to their debts happen."""

    def __init__(self, system: MailSystem, seed: int) -> None:
        self.system = system
        self.random = Random(seed)
        self.number = 0

    def live(self, days: int, collecting: int) -> None:
        """Live so many days; new payments come on the first ones."""
        acts = (
            self._pay_otherwise,
            self._pay_otherwise,
            self._retry_now,
            self._cancel,
            self._lose,
            self._refund_and_lose,
        )
        for day in range(days):
            for _ in range(self.random.choice((0, 1, 2)) if day < collecting else 0):
                self._collect()
            if self.random.random() < 0.5:
                self.random.choice(acts)()
            self.system.advance(days=1)

    def _collect(self) -> None:
        self.number += 1
        currency = self.random.choice(sorted(_AMOUNTS))
        amount = self.random.choice(_AMOUNTS[currency])
        caller = self.random.choice(("shop", "shop", "other"))
        user = f"user-{self.random.randint(1, 6)}"
        changes: dict[str, Any] = {"user_id": user, "amount": amount, "currency": currency, "off_session": True}
        if self.random.random() < 0.7:
            name = f"sub-{user}-{currency}"
            about = {"user_id": user, "plan": "gold", "amount": amount, "currency": currency}
            if self.system.call("PUT", f"/subscriptions/{name}", about, caller=caller).status_code < 300:
                changes["subscription_id"] = name
        card = self.system.provider.scripted_card(*self.random.choice(_SCRIPTS))
        self._request(f"inv-{self.number}", card, caller, changes)

    def _request(self, invoice: str, card: str, caller: str, changes: dict[str, Any]) -> Any:
        body = {"invoice_id": invoice, "payment_method": "credit_card", "payment_method_token": card} | changes
        response = self.system.post("/process", body, caller=caller, Idempotency_Key=secrets.token_hex(6))
        self.system.run_until_idle()
        return response

    def _some(self, is_meant: Callable[[Any], bool]) -> Any | None:
        found = [row for row in self.system.rows(dunning_cases) if is_meant(row)]
        return self.random.choice(found) if found else None

    def _pay_otherwise(self) -> None:
        """The customer, or the application, pays the invoice by another payment; or tries to."""
        case = self._some(lambda row: row.state in ("retrying", "in_grace", "exhausted", "stopped"))
        if case is None:
            return
        debt = self.system.payment(case.payment_id)
        card = self.system.provider.scripted_card(*self.random.choice((("success",), ("insufficient_funds",))))
        shown = self.system.get(f"/{debt.id}", caller=case.application).json
        is_away = self.random.random() < 0.4
        changes = {
            **{"user_id": debt.user_id, "amount": shown["amount"], "currency": debt.currency},
            "off_session": is_away,
        }
        self._request(debt.invoice_id, card, case.application, changes)

    def _retry_now(self) -> None:
        case = self._some(lambda row: row.state in ("retrying", "in_grace"))
        if case is not None:
            path, asked = f"/admin/dunning/{case.id}/retry-now", {"reason": "asked by phone"}
            self.system.post(path, asked, caller="operator", Idempotency_Key=secrets.token_hex(6))
            self.system.run_until_idle()

    def _cancel(self) -> None:
        case = self._some(lambda row: row.state in ("retrying", "in_grace"))
        if case is not None:
            self.system.post(f"/{case.payment_id}/cancel", {}, caller=case.application)
            self.system.run_until_idle()

    def _lose(self) -> None:
        """A bank takes the money back of a payment that has paid, or wants to and loses."""
        captured = self.system.rows(payments, payments.c.state.in_(["captured", "partially_refunded"]))
        dunned = {row.invoice_id for row in self.system.rows(dunning_cases)}
        likely = [row for row in captured if row.invoice_id in dunned]
        if likely:
            self._dispute(self.random.choice(likely).id)

    def _refund_and_lose(self) -> None:
        case = self._some(lambda row: row.state == "recovered")
        if case is None or self.system.state(case.payment_id) != "captured":
            return
        debt = self.system.payment(case.payment_id)
        part = "3.00" if debt.currency != "JPY" else "100"
        self.system.post(f"/{debt.id}/refunds", {"amount": part}, caller=case.application, Idempotency_Key=debt.id)
        self.system.run_until_idle()
        self._dispute(debt.id)

    def _dispute(self, payment_id: str) -> None:
        """Dispute a payment's charge once; the bank decides at once."""
        if self.system.rows(disputes, disputes.c.payment_id == payment_id):
            return
        [reference] = [
            row.provider_reference
            for row in self.system.attempts(payment_id)
            if row.status == "succeeded" and row.verb == "charge"
        ][-1:]
        provider = self.system.provider
        opened = provider.control(f"intents/{reference}/dispute", {"reason": "product_not_received"})["id"]
        provider.control(f"disputes/{opened}/close", {"result": self.random.choice(("won", "lost", "lost", "lost"))})
        told = provider.call("GET", "/v1/events?limit=100")["data"]
        for event in (event for event in reversed(told) if event["data"]["object"]["id"] == opened):
            self.system.deliver_and_run(event)
