"""The bodies of the requests to Afterpay. Pure; nothing is sent here.

A `requestId` makes its call idempotent. Source: Afterpay's OpenAPI documents (checkouts, payments), read 2026-11-23."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from domain.money import Money
from domain.payment import Verb
from gateways.afterpay.responses import Amount
from gateways.base import AttemptRequest
from gateways.idempotency import key_of

# Afterpay accepts addresses in these countries only.
_COUNTRIES = frozenset({"AU", "CA", "GB", "NZ", "US"})


def checkout(attempt: AttemptRequest, return_url: str) -> dict[str, Any]:
    """Return the body of a new checkout, from which the customer comes back to `return_url`."""
    address = attempt.payer.get("billing_address") or {}
    names = {"givenNames": address.get("given_name"), "surname": address.get("family_name")}
    billing = _contact(address)
    return {
        "amount": money_amount(attempt.money),
        "consumer": {"email": attempt.payer["email"], **_present(names)},
        "merchant": {"redirectConfirmUrl": return_url, "redirectCancelUrl": return_url},
        "merchantReference": _merchant_reference(attempt),
        **({"billing": billing} if billing else {}),
    }


def payment(attempt: AttemptRequest, token: str) -> dict[str, Any]:
    """Return the body of a charge or an authorization of a checkout's token."""
    body = {"token": token, "merchantReference": _merchant_reference(attempt)}
    if attempt.verb is Verb.AUTHORIZE:
        return body | {"requestId": key_of(attempt, "auth")}
    # A charge needs no request id: Afterpay never captures the same token twice.
    return body


def capture(attempt: AttemptRequest) -> dict[str, Any]:
    """Return the body of a capture. Its reference shows later that this attempt made it."""
    return {
        "requestId": key_of(attempt, "capture"),
        "amount": money_amount(attempt.money),
        "paymentEventMerchantReference": attempt.attempt_id,
    }


def void(attempt: AttemptRequest, held: Amount) -> dict[str, Any]:
    """Return the body of the release of all that an authorization holds."""
    return {"requestId": key_of(attempt, "void"), "amount": held.model_dump()}


def release_remainder(held: Amount) -> dict[str, Any]:
    """Return the body of the release of what a partial capture has left over.

    It has no request id: under one, a failure that Afterpay has stored would come back in every look-up. A second
    release of the same amount is refused, because that much is no longer held."""
    return {"amount": held.model_dump(), "reason": "amountAdjustment"}


def refund(attempt: AttemptRequest) -> dict[str, Any]:
    """Return the body of a refund."""
    return {
        "requestId": key_of(attempt, "refund"),
        "amount": money_amount(attempt.money),
        # Afterpay needs both the request id and this reference to recognise a repeat.
        "merchantReference": attempt.attempt_id,
        "refundMerchantReference": attempt.attempt_id,
    }


def money_amount(money: Money) -> dict[str, str]:
    """Return an amount as Afterpay writes it.

    >>> money_amount(Money(3700, "AUD"))
    {'amount': '37.00', 'currency': 'AUD'}
    """
    return {"amount": str(money), "currency": money.currency}


def _merchant_reference(attempt: AttemptRequest) -> str:
    """Return the name of a charge, by which Afterpay's portal finds it and a dispute names it."""
    return f"{attempt.payment_id}/{attempt.attempt_id}"


def _contact(address: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return an address in Afterpay's form. None if a required part is missing: Afterpay needs no address."""
    contact = {
        "name": " ".join(_present({name: address.get(name) for name in ("given_name", "family_name")}).values()),
        "line1": address.get("line1"),
        "area1": address.get("city"),
        "region": address.get("region") or address.get("state"),
        "postcode": address.get("postal_code"),
        "countryCode": (address.get("country") or "").upper(),
    }
    if not all(contact.values()) or contact["countryCode"] not in _COUNTRIES:
        return None
    return contact | _present({"line2": address.get("line2")})


def _present(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}
