"""Coinbase Business's part of the configuration: the variables, their problems, and the gateway that they make."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, SecretStr

from gateways.base import GatewayContext
from gateways.coinbase.client import DEFAULT_BASE
from gateways.coinbase.gateway import CoinbaseGateway
from gateways.coinbase.jwt import read_key
from gateways.settings import CryptoSettings, Secrets, all_revealed, is_of_sandbox, revealed

# Coinbase's own sandbox has the same host and takes the same keys.
_HOST = "https://business.coinbase.com/"
_SANDBOX = f"{_HOST}sandbox/"


class CoinbaseSettings(CryptoSettings):
    """Every variable of Coinbase Business, with its default."""

    needs_public_address: ClassVar[bool] = True

    coinbase_api_key_name: str | None = Field(
        default=None, description="Name (id) of a CDP API key; without it Coinbase Business is off"
    )
    coinbase_api_key_secret: SecretStr | None = Field(
        default=None, description="Its secret: base64 (Ed25519) or PEM (EC P-256)"
    )
    coinbase_webhook_secret: Secrets = Field(
        default=(), description="Secret of the webhook subscription; several, comma-separated, all verify"
    )
    coinbase_api_base: str = Field(
        default=DEFAULT_BASE, description="Coinbase's API, https://business.coinbase.com/sandbox/api/v1, or a sandbox's"
    )

    @property
    def is_on(self) -> bool:
        """Whether Coinbase Business is served."""
        has_key = self.coinbase_api_key_name is not None and self.coinbase_api_key_secret is not None
        return self.crypto_payment_enabled and has_key

    @property
    def is_live(self) -> bool:
        """Whether the credentials move real money. False while the provider is off."""
        base = f"{self.coinbase_api_base}/"
        is_production = base.startswith(_HOST) and not base.startswith(_SANDBOX)
        return self.is_on and is_production and not is_of_sandbox(self.coinbase_api_key_name or "")

    def problems(self) -> list[str]:
        """Return what is wrong, each by the variable's name and with what to do, never by value."""
        name, secret = self.coinbase_api_key_name, self.coinbase_api_key_secret
        if not self.crypto_payment_enabled or (name is None and secret is None):
            return []
        if name is None or secret is None:
            missing = "COINBASE_API_KEY_NAME" if name is None else "COINBASE_API_KEY_SECRET"
            return [f"{missing} is missing; set both parts of the API key, or neither"]
        problems = [*_key_problems(secret), *_sandbox_problems(name, self.coinbase_api_base)]
        if not self.coinbase_webhook_secret:
            problems.append("COINBASE_WEBHOOK_SECRET is missing; without it no webhook can be trusted")
        return problems

    def make(self, context: GatewayContext) -> CoinbaseGateway | None:
        """Return the gateway, or None while Coinbase Business is off."""
        name, secret = self.coinbase_api_key_name, self.coinbase_api_key_secret
        if not self.crypto_payment_enabled or name is None or secret is None:
            return None
        return CoinbaseGateway(
            api_key_name=name,
            api_key_secret=revealed(secret),
            webhook_secrets=all_revealed(self.coinbase_webhook_secret),
            base=self.coinbase_api_base,
            api_url=context.api_url,
            read_seconds=context.read_seconds,
        )


def _key_problems(secret: SecretStr) -> list[str]:
    try:
        read_key(revealed(secret))
    except ValueError as error:
        return [f"COINBASE_API_KEY_SECRET {error}"]
    return []


def _sandbox_problems(key_name: str, base: str) -> list[str]:
    is_coinbase = base.startswith(_HOST)
    if is_coinbase and is_of_sandbox(key_name):
        return ["COINBASE_API_KEY_NAME is a sandbox key but COINBASE_API_BASE is Coinbase; set the sandbox's URL"]
    if not is_coinbase and not is_of_sandbox(key_name):
        return ["COINBASE_API_KEY_NAME is a real key but COINBASE_API_BASE is not Coinbase; use a sandbox key"]
    return []
