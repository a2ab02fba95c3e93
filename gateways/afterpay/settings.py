"""Afterpay's part of the environment: its variables, what is wrong with them, and the gateway that they make."""

from __future__ import annotations

import re
from typing import ClassVar
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr

from gateways.afterpay.gateway import CURRENCIES, AfterpayGateway
from gateways.base import GatewayContext
from gateways.settings import is_of_sandbox, revealed

_LIVE_HOST, _SANDBOX_HOST = "global-api.afterpay.com", "global-api-sandbox.afterpay.com"
DEFAULT_BASE = f"https://{_LIVE_HOST}"


class AfterpaySettings(BaseModel):
    """Every variable of Afterpay, with its default."""

    needs_public_address: ClassVar[bool] = True

    afterpay_merchant_id: str | None = Field(default=None, description="Merchant id; without it Afterpay is off")
    afterpay_secret_key: SecretStr | None = Field(default=None, description="Secret key of that merchant id")
    afterpay_region: str | None = Field(
        default=None, description=f"Region of the account, which decides its currency: {', '.join(sorted(CURRENCIES))}"
    )
    afterpay_webhook_secret: SecretStr | None = Field(
        default=None,
        description="HMAC key that Afterpay gives out for dispute notifications; without it the secret key is used",
    )
    afterpay_api_base: str = Field(
        default=DEFAULT_BASE, description="Afterpay's live or sandbox host, or the URL of Celeriac's sandbox"
    )

    @property
    def is_on(self) -> bool:
        """Whether Afterpay is served."""
        return bool(self.afterpay_merchant_id) and self.afterpay_secret_key is not None

    @property
    def is_live(self) -> bool:
        """Whether the credentials move real money. False while the provider is off."""
        credentials = (self.afterpay_merchant_id or "", revealed(self.afterpay_secret_key))
        is_at_live_host = urlsplit(self.afterpay_api_base).hostname == _LIVE_HOST
        return self.is_on and is_at_live_host and not is_of_sandbox(*credentials)

    def problems(self) -> list[str]:
        """Return what is wrong, each by the variable's name and with what to do, never by value."""
        merchant, secret = self.afterpay_merchant_id, revealed(self.afterpay_secret_key)
        if not merchant and not secret:
            return []
        problems = []
        if not merchant:
            problems.append("AFTERPAY_MERCHANT_ID is missing; set the one that AFTERPAY_SECRET_KEY belongs to")
        elif not re.fullmatch(r"[\w.-]+", merchant, re.ASCII):
            problems.append("AFTERPAY_MERCHANT_ID must be letters, digits, '.', '_' and '-'")
        if not secret:
            problems.append("AFTERPAY_SECRET_KEY is missing; set the one of AFTERPAY_MERCHANT_ID")
        if self.afterpay_region not in CURRENCIES:
            problems.append(f"AFTERPAY_REGION must be one of {', '.join(sorted(CURRENCIES))}")
        return problems + self._host_problems(merchant or "", secret)

    def make(self, context: GatewayContext) -> AfterpayGateway | None:
        """Return the gateway, or None while Afterpay is off."""
        merchant, secret, region = self.afterpay_merchant_id, revealed(self.afterpay_secret_key), self.afterpay_region
        if not merchant or not secret or not region:
            return None
        return AfterpayGateway(
            merchant_id=merchant,
            secret_key=secret,
            region=region,
            api_url=context.api_url,
            base=self.afterpay_api_base,
            webhook_secret=revealed(self.afterpay_webhook_secret),
            read_seconds=context.read_seconds,
        )

    def _host_problems(self, *credentials: str) -> list[str]:
        """Compare the host with the credentials.

        Afterpay's own credentials look the same for live and sandbox; those of Celeriac's sandbox
        contain the word `sandbox`."""
        base, is_sandbox = urlsplit(self.afterpay_api_base), is_of_sandbox(*credentials)
        if base.scheme not in ("http", "https") or not base.hostname:
            return ["AFTERPAY_API_BASE must begin with https:// (or http:// for Celeriac's sandbox)"]
        if base.hostname == _LIVE_HOST and is_sandbox:
            return ["AFTERPAY_API_BASE is the live host but the credentials are a sandbox's; set the sandbox's address"]
        is_afterpay = base.scheme == "https" and base.hostname in (_LIVE_HOST, _SANDBOX_HOST)
        if not is_afterpay and not is_sandbox:
            return ["AFTERPAY_API_BASE is not Afterpay; credentials without 'sandbox' in them must not be sent there"]
        return []
