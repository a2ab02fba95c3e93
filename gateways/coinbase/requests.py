"""The bodies of the requests to Coinbase Business.

Source: docs.cdp.coinbase.com (coinbase-business/checkout-apis), read 2026-11-23."""

from __future__ import annotations

from typing import Any

from domain.money import Money
from gateways.base import AttemptRequest


def checkout_request(attempt: AttemptRequest, api_url: str) -> dict[str, Any]:
    """Return a new checkout for an attempt; its page sends the customer back below `api_url`."""
    return_url = attempt.return_address(api_url)
    return {
        **_price(attempt.money),
        "description": f"Payment {attempt.payment_id}",
        "metadata": {"payment_id": attempt.payment_id, "attempt_id": attempt.attempt_id},
        "successRedirectUrl": return_url,
        "failRedirectUrl": return_url,
    }


def refund_request(attempt: AttemptRequest) -> dict[str, Any]:
    """Return a refund of part or all of a checkout.

    Refunds have no metadata: the attempt in `reason` distinguishes two refunds of the same amount."""
    return {**_price(attempt.money), "reason": attempt.attempt_id}


def _price(money: Money) -> dict[str, str]:
    return {"amount": str(money), "currency": money.currency}
