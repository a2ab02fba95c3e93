"""Stripe's environment variables, the problems in them, and the gateway that they configure."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from domain.payment_methods import PaymentMethod
from gateways.base import GatewayContext
from gateways.settings import Secrets, all_revealed, revealed
from gateways.stripe.gateway import DEFAULT_BASE, StripeGateway

# How the sandbox's keys begin; a key of the real Stripe never does.
SANDBOX_KEY_PREFIX = "sk_test_sandbox"


class StripeSettings(BaseModel):
    """Every variable of Stripe, with its default."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    # Without one, customers go straight to the application, and the operator registers the webhook's at Stripe anyway.
    needs_public_address: ClassVar[bool] = False

    stripe_secret_key: SecretStr | None = Field(default=None, description="sk_… or rk_…; without it Stripe is off")
    stripe_publishable_key: str | None = Field(default=None, description="pk_…, handed to front ends")
    stripe_webhook_secret: Secrets = Field(
        default=(), description="whsec_…; several, comma-separated, all verify, so that secrets can rotate"
    )
    stripe_api_base: str = Field(default=DEFAULT_BASE, description="Stripe's host, or a sandbox's")
    sepa_enabled: bool = Field(default=True, description="false: no SEPA debits, though Stripe could take them")
    ach_enabled: bool = Field(default=True, description="false: no ACH debits, though Stripe could take them")

    @property
    def is_on(self) -> bool:
        """Whether Stripe is served."""
        return self.stripe_secret_key is not None

    @property
    def is_live(self) -> bool:
        """Whether the credentials move real money. False while the provider is off."""
        return "_live_" in revealed(self.stripe_secret_key)

    @property
    def is_sandbox(self) -> bool:
        """Whether the key is sent to a sandbox instead of Stripe."""
        return self.stripe_secret_key is not None and self.stripe_api_base.rstrip("/") != DEFAULT_BASE

    @property
    def test_front_end(self) -> str:
        """Where a sandbox has the form that stands for Stripe's front end; empty with the real Stripe."""
        return f"{self.stripe_api_base.rstrip('/')}/_sandbox/front_end" if self.is_sandbox else ""

    @property
    def disabled_methods(self) -> frozenset[PaymentMethod]:
        """The methods that the operator switched off, though Stripe could take them."""
        switches = {PaymentMethod.SEPA_DEBIT: self.sepa_enabled, PaymentMethod.ACH_DEBIT: self.ach_enabled}
        return frozenset(method for method, is_enabled in switches.items() if not is_enabled)

    def problems(self) -> list[str]:
        """Return what is wrong, each by the variable's name and with what to do, never by value."""
        if self.stripe_secret_key is None:
            return []
        key, is_stripe = revealed(self.stripe_secret_key), not self.is_sandbox
        wrong = []
        if not is_stripe and "_live_" in key:
            wrong.append("STRIPE_SECRET_KEY is a live key but STRIPE_API_BASE is not Stripe; use a test key")
        if is_stripe and key.startswith(SANDBOX_KEY_PREFIX):
            wrong.append("STRIPE_SECRET_KEY is a sandbox key but STRIPE_API_BASE is Stripe; set the sandbox's URL")
        if not self.stripe_webhook_secret:
            wrong.append("STRIPE_WEBHOOK_SECRET is missing; without it no webhook can be trusted")
        return wrong

    def make(self, context: GatewayContext) -> StripeGateway | None:
        """Return the gateway, or None while Stripe is off."""
        if self.stripe_secret_key is None:
            return None
        return StripeGateway(
            revealed(self.stripe_secret_key),
            all_revealed(self.stripe_webhook_secret),
            self.stripe_api_base,
            context.read_seconds,
            self.stripe_publishable_key,
            context.api_url if context.has_public_address else "",
        )
