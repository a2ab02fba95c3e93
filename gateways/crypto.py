"""What the crypto gateways have in common besides their provider: the switch that turns them all off."""

from __future__ import annotations

from pydantic import BaseModel, Field


class CryptoSettings(BaseModel):
    """Settings of every gateway that takes crypto."""

    crypto_payment_enabled: bool = Field(
        default=True, description="false turns all payments in crypto off, whatever credentials are set"
    )
