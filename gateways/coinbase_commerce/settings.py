"""Coinbase Commerce's part of the configuration: the variables, their problems, and the gateway that they make."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, SecretStr

from gateways.base import GatewayContext
from gateways.coinbase_commerce.client import DEFAULT_BASE
from gateways.coinbase_commerce.gateway import CoinbaseCommerceGateway
from gateways.settings import CryptoSettings, Secrets, all_revealed, is_of_sandbox, revealed
from gateways.signatures import is_name


class CoinbaseCommerceSettings(CryptoSettings):
    """Every variable of Coinbase Commerce, with its default."""

    needs_public_address: ClassVar[bool] = True

    coinbase_commerce_api_key: SecretStr | None = Field(
        default=None, description="Key of the Commerce API; without it Coinbase Commerce is off"
    )
    coinbase_commerce_webhook_secret: Secrets = Field(
        default=(), description="Shared secret of its webhooks; several, comma-separated, all verify"
    )
    coinbase_commerce_api_base: str = Field(default=DEFAULT_BASE, description="Coinbase Commerce, or a sandbox's URL")

    @property
    def is_on(self) -> bool:
        """Whether Coinbase Commerce is served."""
        return self.crypto_payment_enabled and self.coinbase_commerce_api_key is not None

    @property
    def is_live(self) -> bool:
        """Whether the credentials move real money. False while the provider is off."""
        is_commerce = self.coinbase_commerce_api_base.rstrip("/") == DEFAULT_BASE
        return self.is_on and is_commerce and not is_of_sandbox(revealed(self.coinbase_commerce_api_key))

    def problems(self) -> list[str]:
        """Return what is wrong, each by the variable's name and with what to do, never by value."""
        if not self.crypto_payment_enabled or self.coinbase_commerce_api_key is None:
            return []
        key = revealed(self.coinbase_commerce_api_key)
        problems = _sandbox_problems(key, self.coinbase_commerce_api_base)
        if not is_name(key):
            problems.insert(0, "COINBASE_COMMERCE_API_KEY is not a key; it has to be printable ASCII")
        if not self.coinbase_commerce_webhook_secret:
            problems.append("COINBASE_COMMERCE_WEBHOOK_SECRET is missing; without it no webhook can be trusted")
        return problems

    def make(self, context: GatewayContext) -> CoinbaseCommerceGateway | None:
        """Return the gateway, or None while Coinbase Commerce is off."""
        if not self.crypto_payment_enabled or self.coinbase_commerce_api_key is None:
            return None
        return CoinbaseCommerceGateway(
            api_key=revealed(self.coinbase_commerce_api_key),
            webhook_secrets=all_revealed(self.coinbase_commerce_webhook_secret),
            base=self.coinbase_commerce_api_base,
            api_url=context.api_url,
            read_seconds=context.read_seconds,
        )


def _sandbox_problems(key: str, base: str) -> list[str]:
    is_commerce = base.rstrip("/") == DEFAULT_BASE
    name, base_name = "COINBASE_COMMERCE_API_KEY", "COINBASE_COMMERCE_API_BASE"
    if is_commerce and is_of_sandbox(key):
        return [f"{name} is a sandbox key but {base_name} is Coinbase Commerce; set the sandbox's URL"]
    if not is_commerce and not is_of_sandbox(key):
        return [f"{name} is a real key but {base_name} is not Coinbase Commerce; use a sandbox key"]
    return []
