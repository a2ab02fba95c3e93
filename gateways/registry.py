"""The providers there are: one line each. What each can do stands in `domain.payment_methods`."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

from gateways.afterpay.settings import AfterpaySettings
from gateways.base import Gateway, GatewayContext
from gateways.coinbase.settings import CoinbaseSettings
from gateways.coinbase_commerce.settings import CoinbaseCommerceSettings
from gateways.klarna.settings import KlarnaSettings
from gateways.manual.settings import ManualSettings
from gateways.paypal.settings import PayPalSettings
from gateways.stripe.settings import StripeSettings


class ProviderSettings(Protocol):
    """A provider's part of the configuration: a pydantic model whose fields are its environment variables.

    `needs_public_address`: whether the provider sends customers or webhooks to an address that each call names."""

    needs_public_address: ClassVar[bool]

    @property
    def is_on(self) -> bool:
        """Whether the provider is configured."""
        ...

    @property
    def is_live(self) -> bool:
        """Whether the credentials move real money. False while the provider is off."""
        ...

    def problems(self) -> list[str]:
        """Return what is wrong, each by the variable's name and with what to do, never by value."""
        ...

    def make(self, context: GatewayContext) -> Gateway | None:
        """Return the gateway, or None while the provider is off."""
        ...


PROVIDERS: dict[str, Any] = {
    "stripe": StripeSettings,
    "paypal": PayPalSettings,
    "klarna": KlarnaSettings,
    "afterpay": AfterpaySettings,
    "coinbase": CoinbaseSettings,
    "coinbase_commerce": CoinbaseCommerceSettings,
    "manual": ManualSettings,
}
