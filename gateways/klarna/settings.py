"""Klarna's part of the environment: its variables, what is wrong with them, and the gateway that they make."""

from __future__ import annotations

import re
from typing import ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr

from gateways.base import GatewayContext
from gateways.klarna.gateway import KlarnaGateway
from gateways.settings import Secrets, all_revealed, is_of_sandbox, revealed

Region = Literal["eu", "na", "oc"]
# docs.klarna.com, API URLs, read 2026-11-23. Test credentials belong to the playground.
LIVE_HOSTS = {
    "eu": "https://api.klarna.com",
    "na": "https://api-na.klarna.com",
    "oc": "https://api-oc.klarna.com",
}
PLAYGROUND_HOSTS = {
    "eu": "https://api.playground.klarna.com",
    "na": "https://api-na.playground.klarna.com",
    "oc": "https://api-oc.playground.klarna.com",
}
# Part of an address: long enough not to be guessed, and without characters that an address would escape.
_CALLBACK_SECRET = re.compile(r"[0-9A-Za-z_-]{32,128}", re.ASCII)


def default_host(region: Region, username: str, password: str) -> str:
    """Return the host that credentials belong to. Klarna marks its test keys.

    >>> default_host("na", "key", "klarna_test_api_x"), default_host("eu", "K123", "secret")
    ('https://api-na.playground.klarna.com', 'https://api.klarna.com')
    """
    return (PLAYGROUND_HOSTS if _is_test(username, password) else LIVE_HOSTS)[region]


def _is_test(*credentials: str) -> bool:
    marks = ("klarna_test_api_", "playground")
    is_marked = any(mark in credential.lower() for mark in marks for credential in credentials)
    return is_marked or is_of_sandbox(*credentials)


class KlarnaSettings(BaseModel):
    """Every variable of Klarna, with its default."""

    needs_public_address: ClassVar[bool] = True

    klarna_username: str | None = Field(default=None, description="API key id or user name; without it Klarna is off")
    klarna_password: SecretStr | None = Field(default=None, description="klarna_live_api_… or klarna_test_api_…")
    klarna_region: Region = Field(default="eu", description="Region of the account: eu, na or oc")
    klarna_api_base: str | None = Field(
        default=None, description="Klarna's host, or a sandbox's; by default that of region and kind of credentials"
    )
    klarna_callback_secret: Secrets = Field(
        default=(),
        description="Put into the address of callbacks, which Klarna does not sign: at least 32 letters and digits; "
        "several, comma-separated, all open, the first is given to Klarna, so that secrets can rotate",
    )

    @property
    def is_on(self) -> bool:
        """Whether Klarna is served."""
        return bool(self.klarna_username) and self.klarna_password is not None

    @property
    def is_live(self) -> bool:
        """Whether the credentials move real money. False while the provider is off."""
        username, password = self.klarna_username or "", revealed(self.klarna_password)
        base = self.klarna_api_base or default_host(self.klarna_region, username, password)
        is_at_live_host = _host(base) in LIVE_HOSTS.values() and not _is_test(username, password)
        return self.is_on and ("klarna_live_api_" in password or is_at_live_host)

    def problems(self) -> list[str]:
        """Return what is wrong, each by the variable's name and with what to do, never by value."""
        username, password = self.klarna_username, revealed(self.klarna_password)
        if not username and not password:
            return []
        if not username or not password:
            missing = "KLARNA_PASSWORD" if username else "KLARNA_USERNAME"
            return [f"{missing} is missing; set both it and its counterpart, or neither"]
        secrets = all_revealed(self.klarna_callback_secret)
        return [*_secret_problems(secrets), *self._host_problems(username, password)]

    def make(self, context: GatewayContext) -> KlarnaGateway | None:
        """Return the gateway, or None while Klarna is off."""
        username, password = self.klarna_username, revealed(self.klarna_password)
        if not username or not password:
            return None
        return KlarnaGateway(
            username,
            password,
            api_url=context.api_url,
            base=self.klarna_api_base or default_host(self.klarna_region, username, password),
            region=self.klarna_region,
            callback_secrets=all_revealed(self.klarna_callback_secret),
            read_seconds=context.read_seconds,
        )

    def _host_problems(self, username: str, password: str) -> list[str]:
        base = self.klarna_api_base or default_host(self.klarna_region, username, password)
        host, is_sandbox_key = _host(base), is_of_sandbox(username, password)
        is_klarna = host.endswith(".klarna.com")
        if is_klarna and is_sandbox_key:
            return ["KLARNA_PASSWORD is a sandbox's but KLARNA_API_BASE is Klarna; set the sandbox's address"]
        if host in LIVE_HOSTS.values() and _is_test(username, password):
            return ["KLARNA_PASSWORD is a test key but KLARNA_API_BASE is live; remove KLARNA_API_BASE"]
        if host not in LIVE_HOSTS.values() and "klarna_live_api_" in password:
            return ["KLARNA_PASSWORD is a live key but KLARNA_API_BASE is not Klarna's live host; use a test key"]
        hosts = (LIVE_HOSTS[self.klarna_region], PLAYGROUND_HOSTS[self.klarna_region])
        if is_klarna and host not in hosts:
            return [f"KLARNA_API_BASE is of another region than KLARNA_REGION ({self.klarna_region}); remove it"]
        return []


def _host(base: str) -> str:
    return f"https://{urlsplit(base).hostname}"


def _secret_problems(secrets: tuple[str, ...]) -> list[str]:
    if not secrets:
        return ["KLARNA_CALLBACK_SECRET is missing; without it no callback can be trusted; set 32 random letters"]
    if not all(_CALLBACK_SECRET.fullmatch(secret) for secret in secrets):
        return ["KLARNA_CALLBACK_SECRET must be 32 to 128 letters, digits, - and _; several with commas between"]
    return []
