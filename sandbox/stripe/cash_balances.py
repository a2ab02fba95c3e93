"""The customers' cash balances, which bank transfers fund, and every change of them.

https://docs.stripe.com/payments/customer-balance. A remaining amount stays for later payments of the same customer.
`sandbox.stripe.bank_transfers` decides which payment gets the money.
"""

from __future__ import annotations

from typing import Any

from sandbox.stripe.account import Account, Intent
from sandbox.stripe.errors import Json
from sandbox.stripe.events import Cause
from sandbox.stripe.ids import new_id


def balance(account: Account, customer: str) -> Json:
    """Return the CashBalance of a customer."""
    available, mode = account.cash.get(customer, {}), account.reconciliation.get(customer)
    return {
        "object": "cash_balance",
        "available": {currency: amount for currency, amount in available.items() if amount} or None,
        "customer": customer,
        "customer_account": None,
        "livemode": False,
        "settings": {"reconciliation_mode": mode or "automatic", "using_merchant_default": mode is None},
    }


def available(account: Account, customer: str, currency: str) -> int:
    """Return the balance of a customer in a currency, in minor units."""
    return account.cash.get(customer, {}).get(currency, 0)


def is_applied_by_hand(account: Account, customer: str) -> bool:
    """Tell whether the customer's balance pays no intent by itself."""
    return account.reconciliation.get(customer) == "manual"


def deposit(account: Account, customer: str, amount: int, currency: str, transfer: Json, cause: Cause) -> Json:
    """Add a transfer to the balance and return the transaction."""
    return _change(account, customer, amount, currency, cause, type="funded", funded={"bank_transfer": transfer})


def apply(account: Account, intent: Intent, cause: Cause) -> int:
    """Apply the balance to an intent, at most its remaining amount, and return the applied amount."""
    body = intent.body
    amount = min(available(account, body["customer"], body["currency"]), body["amount"] - intent.funded)
    if amount:
        intent.funded += amount
        _move(account, intent, -amount, "applied_to_payment", cause)
    return amount


def unapply(account: Account, intent: Intent, cause: Cause) -> None:
    """Return the applied amount of an unpaid intent to the balance."""
    amount, intent.funded = intent.funded, 0
    if amount:
        _move(account, intent, amount, "unapplied_from_payment", cause)


def refund(account: Account, customer: str, amount: int, currency: str, cause: Cause) -> None:
    """Take the amount of a refund to the customer's bank account from the balance."""
    _change(account, customer, -amount, currency, cause, type="return_initiated")


def return_refund(account: Account, customer: str, amount: int, currency: str, cause: Cause) -> None:
    """Put the amount of a refund that cannot be paid out back into the balance."""
    _change(account, customer, amount, currency, cause, type="return_canceled")


def _move(account: Account, intent: Intent, amount: int, type: str, cause: Cause) -> None:
    body = intent.body
    details = {type: {"payment_intent": body["id"]}}
    _change(account, body["customer"], amount, body["currency"], cause, type=type, **details)


def _change(account: Account, customer: str, amount: int, currency: str, cause: Cause, **fields: Any) -> Json:
    balances = account.cash.setdefault(customer, {})
    balances[currency] = balances.get(currency, 0) + amount
    transaction = {
        "id": new_id("ccsbtxn_"),
        "object": "customer_cash_balance_transaction",
        "created": account.now,
        "currency": currency,
        "customer": customer,
        "customer_account": None,
        "ending_balance": balances[currency],
        "livemode": False,
        "net_amount": amount,
        **fields,
    }
    account.cash_transactions.append(transaction)
    account.emit("customer_cash_balance_transaction.created", transaction, cause)
    return transaction
