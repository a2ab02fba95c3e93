"""What Afterpay is asked: the bodies of our requests. Pure; nothing is sent here.

Source: Afterpay's OpenAPI documents (checkouts, payments), read 2026-11-23."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from domain.money import Money
from gateways.base import AttemptRequest

# The only countries that an address may be in.
_COUNTRIES = frozenset({"AU", "CA", "GB", "NZ", "US"})


def checkout_of(attempt: AttemptRequest, back: str) -> dict[str, Any]:
    """Return the body of a new checkout, from which the shopper comes back to `back`."""
    address = attempt.payer.get("billing_address") or {}
    names = {"givenNames": address.get("given_name"), "surname": address.get("family_name")}
    billing = _contact(address)
    return {
        "amount": amount_of(attempt.money),
        "consumer": {"email": attempt.payer["email"], **_given(names)},
        "merchant": {"redirectConfirmUrl": back, "redirectCancelUrl": back},
        "merchantReference": reference_of(attempt),
        **({"billing": billing} if billing else {}),
    }


def _contact(address: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return an address as Afterpay wants it, None if a part that it insists on is missing: it can do without."""
    contact = {
        "name": " ".join(_given({name: address.get(name) for name in ("given_name", "family_name")}).values()),
        "line1": address.get("line1"),
        "area1": address.get("city"),
        "region": address.get("region") or address.get("state"),
        "postcode": address.get("postal_code"),
        "countryCode": (address.get("country") or "").upper(),
    }
    if not all(contact.values()) or contact["countryCode"] not in _COUNTRIES:
        return None
    return contact | _given({"line2": address.get("line2")})


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}


def amount_of(money: Money) -> dict[str, str]:
    """Return an amount as Afterpay writes it.

    >>> amount_of(Money(3700, "AUD"))
    {'amount': '37.00', 'currency': 'AUD'}
    """
    return {"amount": str(money), "currency": money.currency}


def reference_of(attempt: AttemptRequest) -> str:
    """Return our name for a charge, by which it can be searched for and disputes name it."""
    return f"{attempt.payment_id}/{attempt.attempt_id}"
