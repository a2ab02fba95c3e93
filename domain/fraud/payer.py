"""What the payer's data say to the fraud rules: a request's, and the same data as they are stored with a payment."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from domain.countries import is_country
from domain.fraud.entities import Subject

# Not the names and the phone: an address to which goods are sent is the same under all names.
_ADDRESS_PARTS = ("line1", "line2", "postal_code", "city", "state", "country")


def subject_of(user: str | None, payer: Mapping[str, Any], token: str | None = None) -> Subject:
    """Return what a try shows of who pays. `token`: of the instrument, where the card's fingerprint is not known.

    >>> found = subject_of("ada", {"ip_address": "::ffff:203.0.113.9", "card": {"bin": "424242"}}, "pm_1")
    >>> found.ip, found.card, found.bin
    ('203.0.113.9', 'pm_1', '424242')
    """
    card = payer.get("card") or {}
    return Subject(
        user=user,
        card=card.get("fingerprint") or token,
        bin=card.get("bin"),
        ip=normal_ip(payer.get("ip_address")),
        device=payer.get("device_fingerprint"),
        email=payer.get("email"),
        address=_address(payer.get("billing_address") or {}),
        shared=payer.get("shared_entities") or {},
    )


def normal_ip(text: str | None) -> str | None:
    """Return an address on the internet as it is written best; None for what is none.

    >>> normal_ip("2001:DB8:0::1"), normal_ip(" 203.0.113.9"), normal_ip("here"), normal_ip(None)
    ('2001:db8::1', '203.0.113.9', None, None)
    """
    try:
        address = ipaddress.ip_address((text or "").strip())
    except ValueError:
        return None
    return str(getattr(address, "ipv4_mapped", None) or address)


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
