"""PayPal's part of the configuration: its environment variables, their problems, and the gateway made from them."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal
from urllib.parse import urlsplit

from cryptography import x509
from pydantic import BaseModel, Field, SecretStr

from gateways.base import GatewayContext
from gateways.paypal.certificates import PAYPAL_HOSTS, read_authorities
from gateways.paypal.gateway import BASES, PayPalGateway
from gateways.settings import is_of_sandbox, revealed


class PayPalSettings(BaseModel):
    """PayPal's settings. The field names are the environment variables in lower case."""

    # The buyer comes back from PayPal to our public address.
    needs_public_address: ClassVar[bool] = True

    paypal_client_id: str | None = Field(default=None, description="Client id of the app; without it PayPal is off")
    paypal_client_secret: SecretStr | None = Field(default=None, description="Secret of the app")
    paypal_mode: Literal["sandbox", "live"] = Field(default="sandbox", description="sandbox or live")
    paypal_webhook_id: str | None = Field(
        default=None, description="Id of the webhook registration, from the app's page or the webhooks API"
    )
    paypal_webhook_authorities: str | None = Field(
        default=None,
        description="PEM file of further authorities of the webhooks' certificates: roots to trust, and intermediates",
    )
    paypal_api_base: str | None = Field(default=None, description="PayPal's host, by mode, or a sandbox's")

    @property
    def is_on(self) -> bool:
        """Whether there is enough to serve PayPal."""
        return bool(self.paypal_client_id) and self.paypal_client_secret is not None

    @property
    def is_live(self) -> bool:
        """Whether the credentials move real money. False while the provider is off."""
        return self.is_on and self.paypal_mode == "live"

    @property
    def base(self) -> str:
        """The address of the API."""
        return self.paypal_api_base or BASES[self.paypal_mode]

    @property
    def authorities(self) -> tuple[x509.Certificate, ...]:
        """The operator's authorities. Raises OSError and ValueError."""
        file = self.paypal_webhook_authorities
        return read_authorities(Path(file)) if file else ()

    def problems(self) -> list[str]:
        """Return what is wrong, each by the variable's name and with what to do, never by value."""
        secret = revealed(self.paypal_client_secret)
        if not self.paypal_client_id and not secret:
            return []
        wrong = []
        if not self.paypal_client_id:
            wrong.append("PAYPAL_CLIENT_ID is missing; set it beside PAYPAL_CLIENT_SECRET")
        if not secret:
            wrong.append("PAYPAL_CLIENT_SECRET is missing; set it beside PAYPAL_CLIENT_ID")
        if not self.paypal_webhook_id:
            wrong.append("PAYPAL_WEBHOOK_ID is missing; without it no webhook can be trusted")
        return [*wrong, *self._problems_of_authorities(), *self._problems_of_base(secret)]

    def _problems_of_authorities(self) -> list[str]:
        try:
            _ = self.authorities
        except OSError as error:
            return [f"PAYPAL_WEBHOOK_AUTHORITIES cannot be read: {error.strerror}"]
        except ValueError:
            return ["PAYPAL_WEBHOOK_AUTHORITIES has no certificates; name a PEM file"]
        return []

    def _problems_of_base(self, secret: str) -> list[str]:
        parts = urlsplit(self.base)
        host, is_paypal = parts.hostname or "", parts.hostname in PAYPAL_HOSTS
        is_live_host = is_paypal and ".sandbox." not in host
        wrong = []
        if self.paypal_mode == "live" and not is_live_host:
            wrong.append("PAYPAL_MODE is live but PAYPAL_API_BASE is not PayPal's live host; unset PAYPAL_API_BASE")
        if self.paypal_mode == "sandbox" and is_live_host:
            wrong.append("PAYPAL_API_BASE is PayPal's live host but PAYPAL_MODE is sandbox; set PAYPAL_MODE=live")
        if is_paypal and is_of_sandbox(secret, self.paypal_client_id or ""):
            wrong.append("PAYPAL_CLIENT_SECRET contains `sandbox` but PAYPAL_API_BASE is PayPal; set the sandbox's URL")
        if is_paypal and parts.scheme != "https":
            wrong.append("PAYPAL_API_BASE must begin with https://")
        return wrong

    def make(self, context: GatewayContext) -> PayPalGateway | None:
        """Return the gateway, or None while PayPal is off."""
        if not self.paypal_client_id or self.paypal_client_secret is None:
            return None
        return PayPalGateway(
            client_id=self.paypal_client_id,
            client_secret=revealed(self.paypal_client_secret),
            tokens=context.tokens,
            webhook_id=self.paypal_webhook_id,
            base=self.base,
            api_url=context.api_url,
            read_seconds=context.read_seconds,
            is_live=self.paypal_mode == "live",
            authorities=self.authorities,
        )
