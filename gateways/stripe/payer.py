"""How a payer is described to Stripe. Personal data passes through: it is never logged and never put into errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ADDRESS = ("line1", "line2", "city", "state", "postal_code", "country")


def billing_details(payer: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known of email, name, phone and address.

    >>> billing_details({"email": "jo@example.org", "billing_address": {"given_name": "Jo", "country": "us"}})
    {'email': 'jo@example.org', 'name': 'Jo', 'address': {'country': 'US'}}
    """
    given = payer.get("billing_address") or {}
    address = {name: given[name] for name in _ADDRESS if given.get(name)}
    if "country" in address:
        address["country"] = address["country"].upper()
    names = given.get("name") or " ".join(filter(None, (given.get("given_name"), given.get("family_name"))))
    known = {"email": payer.get("email"), "name": names, "phone": given.get("phone"), "address": address}
    return {name: value for name, value in known.items() if value}


def shipping(payer: Mapping[str, Any]) -> dict[str, Any]:
    """Return where goods go: to the billing address, the only one that is asked for."""
    return {name: value for name, value in billing_details(payer).items() if name in ("name", "phone", "address")}


def customer_params(payer: Mapping[str, Any], metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return what a Customer is created with."""
    return billing_details(payer) | {"metadata": dict(metadata)}
