"""The body of a new charge of Coinbase Commerce.

Source: docs.cdp.coinbase.com/commerce, read 2026-11-23."""

from __future__ import annotations

from typing import Any

from domain.payment_methods import PaymentMethod
from gateways.base import AttemptRequest

_COINS = {PaymentMethod.BITCOIN: "Bitcoin", PaymentMethod.ETHEREUM: "Ethereum", PaymentMethod.USDT: "USDT"}


def charge_request(attempt: AttemptRequest, api_url: str) -> dict[str, Any]:
    """Return a new charge for an attempt; its page sends the customer back below `api_url`.

    Commerce has no idempotency keys: a charge whose response was lost is found again by the attempt in `metadata`."""
    return_url = attempt.return_address(api_url)
    coin = _COINS.get(attempt.method)
    return {
        "name": "Payment",
        "description": f"Payment {attempt.payment_id}" + (f" in {coin}" if coin else ""),
        "pricing_type": "fixed_price",
        "local_price": {"amount": str(attempt.money), "currency": attempt.money.currency},
        "metadata": {"payment_id": attempt.payment_id, "attempt_id": attempt.attempt_id},
        "redirect_url": return_url,
        "cancel_url": return_url,
    }
