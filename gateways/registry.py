"""Every provider with its settings, one line each, and which gateway has an optional capability.

The payment methods of each provider stand in `domain.payment_methods`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

from domain.payment_methods import PaymentMethod
from gateways.afterpay.settings import AfterpaySettings
from gateways.base import Gateway, GatewayContext
from gateways.capabilities import ApprovedMethodsGateway, FrontEndGateway, SavedMethodsGateway
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


# Addresses that receive the webhooks of more than one product of a provider.
_SHARED_ADDRESSES = {"coinbase": ("coinbase", "coinbase_commerce")}


def receivers(gateways: Mapping[str, Gateway], address: str) -> list[Gateway]:
    """Return the configured gateways whose webhooks come to an address, which has the name of a provider."""
    return [gateways[name] for name in _SHARED_ADDRESSES.get(address, (address,)) if name in gateways]


def front_end_gateway(gateways: Mapping[str, Gateway]) -> FrontEndGateway | None:
    """Return the first configured gateway whose charges a front end can confirm."""
    return next((gateway for gateway in gateways.values() if isinstance(gateway, FrontEndGateway)), None)


def saved_methods_gateway(gateways: Mapping[str, Gateway]) -> SavedMethodsGateway | None:
    """Return the first configured gateway that keeps customers and their payment methods."""
    return next((gateway for gateway in gateways.values() if isinstance(gateway, SavedMethodsGateway)), None)


def approved_methods_gateway(gateways: Mapping[str, Gateway], method: PaymentMethod) -> ApprovedMethodsGateway | None:
    """Return the first configured gateway that saves this method once its customer approves it on a page."""
    able = (gateway for gateway in gateways.values() if isinstance(gateway, ApprovedMethodsGateway))
    return next((gateway for gateway in able if gateway.saved_kind is method), None)
