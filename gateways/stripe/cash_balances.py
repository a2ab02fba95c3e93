"""Cash balances of customers at Stripe: money that came by bank transfer and fits no intent.

Sources: docs.stripe.com/payments/customer-balance, its pages reconciliation and refunding, and docs.stripe.com/api
cash_balance_transactions, read 2026-11-28."""

from __future__ import annotations

from typing import Any

from domain.cash_balance import ShownBalance
from domain.money import Money
from gateways.base import GatewayError, ReturnRefused
from gateways.failures import CallFailed, MalformedResponse
from gateways.json_api import segment
from gateways.provider_model import ProviderModel, Text, UnixTime, from_unix
from gateways.stripe.client import StripeClient
from gateways.stripe.errors import RequestRefused
from gateways.stripe.money import from_stripe, to_stripe
from gateways.stripe.responses import Created

_PAGE_SIZE = 100


class _Transaction(ProviderModel):
    """A change of a balance. `ending_balance`: the balance after it, in the currency's smallest unit."""

    id: Text
    currency: Text
    created: UnixTime
    ending_balance: int


class _TransactionPage(ProviderModel):
    """One page of a customer's transactions in all currencies, newest first."""

    data: list[_Transaction]
    has_more: bool


class StripeCashBalances:
    """Customers' cash balances; part of Stripe's gateway."""

    _api: StripeClient

    def read_balance(self, customer: str, currency: str) -> ShownBalance:
        """Return the balance after the newest transaction in the currency; a customer without one has nothing."""
        try:
            newest = self._newest_transaction(customer, currency)
        except CallFailed as failure:
            if failure.reason != "resource_missing":
                raise GatewayError(failure.reason) from None
            newest = None  # Stripe deletes no customer who has a balance.
        if newest is None:
            return ShownBalance(0, customer)
        return ShownBalance(from_stripe(newest.ending_balance, currency), newest.id, from_unix(newest.created))

    def return_balance(self, customer: str, money: Money, key: str) -> None:
        """Refund from the balance. Stripe asks the customer by e-mail where it does not know their bank account; what
        cannot be paid out comes back to the balance as another transaction."""
        params = {
            "origin": "customer_balance",
            "customer": customer,
            "amount": to_stripe(money),
            "currency": money.currency.lower(),
        }
        try:
            Created.parse(self._api.post("/v1/refunds", params, key))
        except RequestRefused as refusal:
            raise ReturnRefused(refusal.subject) from None
        except CallFailed as failure:
            raise GatewayError(failure.reason) from None

    def _newest_transaction(self, customer: str, currency: str) -> _Transaction | None:
        path = f"/v1/customers/{segment(customer)}/cash_balance_transactions"
        query: dict[str, Any] = {"limit": _PAGE_SIZE}
        while True:
            page = _TransactionPage.parse(self._api.get(path, **query))
            for transaction in page.data:
                if transaction.currency.upper() == currency:
                    return transaction
            if not page.has_more:
                return None
            if not page.data:
                raise MalformedResponse("TransactionPage.has_more")
            query["starting_after"] = page.data[-1].id
