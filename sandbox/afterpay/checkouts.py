"""Checkouts: the request that a shopper approves, its validation and its lifetime.

A token is valid for three hours. The checkout can be read for one hour, or until it is paid [spec].
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from sandbox.afterpay.amounts import Region, minor
from sandbox.afterpay.errors import invalid, refusal
from sandbox.clock import iso_milliseconds
from sandbox.ids import SMALL, random_text
from sandbox.service import Json

TOKEN_SECONDS = 3 * 3600.0
READABLE_SECONDS = 3600.0
_COUNTRIES = ("AU", "NZ", "US", "CA", "GB")
_CONTACT = ("name", "line1", "area1", "region", "postcode", "countryCode")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


@dataclass(frozen=True)
class Merchant:
    """The account of the caller, which belongs to one region."""

    id: str
    secret: str
    region: Region


@dataclass
class Checkout:
    """One checkout.

    `is_confirmed`: the shopper has approved. `will_be_declined`: Afterpay declines the payment although the shopper has
    approved.
    """

    token: str
    merchant: Merchant
    request: Json
    amount: int
    page_url: str
    created_at: float
    is_confirmed: bool = False
    will_be_declined: bool = False
    metadata: dict[str, str] = field(default_factory=dict)

    def is_valid(self, now: float) -> bool:
        """Tell whether the token is not expired."""
        return now < self.created_at + TOKEN_SECONDS

    def creation_body(self) -> Json:
        """Return the response to the creation of the checkout."""
        return {
            "token": self.token,
            "expires": iso_milliseconds(self.created_at + TOKEN_SECONDS),
            "redirectCheckoutUrl": self.page_url,
        }


def create(merchant: Merchant, request: Json, pages_url: str, now: float) -> Checkout:
    """Validate a request and return its checkout."""
    amount = _amount(merchant, request)
    _check_shopper(request)
    _check_addresses(request)
    _check_reference(request.get("merchantReference"))
    token = "003." + random_text(51, SMALL)
    checkout = Checkout(token, merchant, request, amount, f"{pages_url}/{token}", now)
    checkout.metadata = metadata_of(request.get("merchantReference"))
    return checkout


def metadata_of(reference: Any) -> dict[str, str]:
    """Split a merchant's reference, `<payment id>/<attempt id>`, for the ledger."""
    payment_id, _, attempt_id = str(reference or "").partition("/")
    return {"payment_id": payment_id, "attempt_id": attempt_id}


def _amount(merchant: Merchant, request: Json) -> int:
    region = merchant.region
    message = f"Unsupported currency, only {region.currency} is supported."
    amount = minor(request.get("amount"), region.currency, wrong_currency=refusal(422, "unsupported_currency", message))
    if not region.minimum <= amount <= region.maximum:
        raise refusal(422, "unsupported_payment_type", "The amount is outside of the payment limits.")
    return amount


def _check_shopper(request: Json) -> None:
    consumer = request.get("consumer")
    if not isinstance(consumer, dict) or not _EMAIL.fullmatch(str(consumer.get("email"))):
        raise invalid("consumer.email must be a well-formed email address")


def _check_addresses(request: Json) -> None:
    merchant = request.get("merchant")
    names = ("redirectConfirmUrl", "redirectCancelUrl")
    if not isinstance(merchant, dict) or not all(str(merchant.get(name)).startswith("http") for name in names):
        raise invalid("merchant.redirectConfirmUrl and merchant.redirectCancelUrl must be URLs")
    for name in ("billing", "shipping"):
        contact = request.get(name)
        if contact is None:
            continue
        if not isinstance(contact, dict) or not all(contact.get(part) for part in _CONTACT):
            raise invalid(f"{name} must have {', '.join(_CONTACT)}")
        if contact["countryCode"] not in _COUNTRIES:
            raise invalid(f"{name}.countryCode must be one of {', '.join(_COUNTRIES)}")


def _check_reference(reference: Any) -> None:
    if reference is not None and (not isinstance(reference, str) or len(reference) > 128):
        raise invalid("merchantReference must be at most 128 characters")
