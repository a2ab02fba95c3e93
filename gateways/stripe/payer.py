"""The payer as Stripe's parameters. Personal data passes through and is never logged or put into errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ADDRESS = ("line1", "line2", "city", "state", "postal_code", "country")


def billing_details(payer: Mapping[str, Any]) -> dict[str, Any]:
    """Return email, name, phone and address, each only where the payer has it.

    >>> billing_details({"email": "jo@example.org", "billing_address": {"given_name": "Jo", "country": "us"}})
    {'email': 'jo@example.org', 'name': 'Jo', 'address': {'country': 'US'}}
    """
    given = payer.get("billing_address") or {}
    address = {name: given[name] for name in _ADDRESS if given.get(name)}
    if "country" in address:
        address["country"] = address["country"].upper()
    names = given.get("name") or " ".join(filter(None, (given.get("given_name"), given.get("family_name"))))
    details = {"email": payer.get("email"), "name": names, "phone": given.get("phone"), "address": address}
    return {name: value for name, value in details.items() if value}


def shipping(payer: Mapping[str, Any]) -> dict[str, Any]:
    """Return where goods are delivered: to the billing address, the only one that a payment has."""
    return {name: value for name, value in billing_details(payer).items() if name in ("name", "phone", "address")}


def customer_params(payer: Mapping[str, Any], *, is_paying_by_transfer: bool) -> dict[str, Any]:
    """Return what a Customer is updated with.

    Stripe applies transferred money to open intents unless the account or the customer is set to do that by hand
    (docs.stripe.com/payments/customer-balance/reconciliation, read 2026-11-28)."""
    automatic = {"cash_balance": {"settings": {"reconciliation_mode": "automatic"}}}
    return billing_details(payer) | (automatic if is_paying_by_transfer else {})
