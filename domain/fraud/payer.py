"""What the payer's data say to the fraud rules: a request's, and the same data as they are stored with a payment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from domain.countries import is_country
from domain.fraud.entities import Subject

# Not the names and the phone: an address to which goods are sent is the same under all names.
_ADDRESS_PARTS = ("line1", "line2", "postal_code", "city", "state", "country")


def subject_of(
    user: str | None, payer: Mapping[str, Any], token: str | None = None, fingerprint: str | None = None
) -> Subject:
    """Return what a try shows of who pays. `fingerprint`: what the books know of the card, where the request tells
    none. Without it the `token` stands for a card of this user only, as a provider's token belongs to one customer.

    >>> found = subject_of("ada", {"ip_address": "203.0.113.9", "card": {"bin": "424242"}}, "pm_1")
    >>> found.ip, found.card, found.bin
    ('203.0.113.9', 'ada/pm_1', '424242')
    """
    card = payer.get("card") or {}
    return Subject(
        user=user,
        card=card.get("fingerprint") or fingerprint or (f"{user or ''}/{token}" if token else None),
        bin=card.get("bin"),
        ip=payer.get("ip_address"),
        device=payer.get("device_fingerprint"),
        email=payer.get("email"),
        address=_address(payer.get("billing_address") or {}),
        shared=payer.get("shared_entities") or {},
    )


def billing_country(payer: Mapping[str, Any]) -> str | None:
    """Return the country of the billing address; None for none, and for what is no country.

    >>> billing_country({"billing_address": {"country": "de"}}), billing_country({"billing_address": {"country": "D"}})
    ('DE', None)
    """
    return _country((payer.get("billing_address") or {}).get("country"))


def card_country(payer: Mapping[str, Any]) -> str | None:
    """Return the country in which the card was issued.

    >>> card_country({"card": {"country": "FR"}}), card_country({})
    ('FR', None)
    """
    return _country((payer.get("card") or {}).get("country"))


def _country(given: str | None) -> str | None:
    code = (given or "").upper()
    return code if is_country(code) else None


def _address(given: Mapping[str, str | None]) -> str | None:
    """Return the lines of an address joined. Without a street it is a place that thousands share."""
    return "\n".join(given.get(part) or "" for part in _ADDRESS_PARTS) if given.get("line1") else None
