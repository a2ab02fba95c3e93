"""The configuration: the environment, or a .env file, checked at once; every error by name, never a value."""

from __future__ import annotations

import sys
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from domain.dunning import DunningPolicy
from domain.routing import Rule
from domain.step import Policy
from gateways.stripe import DEFAULT_BASE
from worker.routing_file import read_rules

# Keys that the sandbox hands out begin like this; the real Stripe has none of them.
SANDBOX_KEY_PREFIX = "sk_test_sandbox"


class Settings(BaseSettings):
    """Every variable, with its default. The descriptions make .env.example."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True, env_ignore_empty=True)

    database_url: str = Field(
        default="sqlite:///celeriac.db",
        description="postgresql://user:password@host/name in production, or sqlite:///file",
    )
    celery_broker_url: str = Field(
        default="redis://127.0.0.1:6379/0",
        description="amqp://user:password@host// (recommended) or redis://host:6379/0",
    )
    celery_queue_prefix: str = Field(
        default="", description="Put before every queue name, so that two systems can share a broker"
    )
    public_url: str = Field(
        default="",
        description="Our own address, https://pay.example.com: where customers and callbacks of PayPal, Klarna, "
        "Afterpay and Coinbase come back to",
    )
    routing_file: str = Field(
        default="", description="A TOML file of routing rules: which provider for which payments, with shares"
    )
    worker_concurrency: int = Field(
        default=100, ge=1, le=1000, description="Threads of a worker, that is provider calls in flight"
    )
    stripe_secret_key: SecretStr | None = Field(default=None, description="sk_… or rk_…; without it Stripe is off")
    stripe_publishable_key: str | None = Field(default=None, description="pk_…, handed to front ends")
    stripe_webhook_secret: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        default=(), description="whsec_…; several, comma-separated, all verify, so that secrets can rotate"
    )
    stripe_api_base: str = Field(default=DEFAULT_BASE, description="Stripe's host, or a sandbox's")
    provider_read_timeout_seconds: float = Field(
        default=30, gt=0, le=120, description="How long a provider may take to answer before the attempt is in doubt"
    )
    dunning_retry_delays_days: Annotated[tuple[int, ...], NoDecode] = Field(
        default=(3, 7, 14), description="Days after the first failure on which a soft decline is tried again"
    )
    dunning_retry_attempts: int = Field(
        default=3, ge=0, le=8, description="Number of retries; days beyond the list double"
    )
    dunning_grace_period_days: int = Field(
        default=7, ge=0, le=365, description="Days from the last failed retry to cancellation"
    )
    action_expires_hours: int = Field(
        default=24, ge=1, le=720, description="When a customer's unfinished action is given up"
    )

    @field_validator("stripe_webhook_secret", "dunning_retry_delays_days", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("dunning_retry_delays_days")
    @classmethod
    def _ascending(cls, days: tuple[int, ...]) -> tuple[int, ...]:
        if any(day < 1 for day in days) or list(days) != sorted(set(days)):
            raise ValueError("must be ascending days such as 3,7,14")
        return days

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, url: str) -> str:
        try:
            backend = make_url(url).get_backend_name()
        except ArgumentError:
            backend = ""
        if backend not in ("postgresql", "postgres", "sqlite"):
            raise ValueError("must begin with postgresql:// or sqlite:///")
        return url

    @field_validator("celery_broker_url")
    @classmethod
    def _known_broker(cls, url: str) -> str:
        if url.split(":", 1)[0] not in ("redis", "rediss", "redis+socket", "amqp", "amqps"):
            raise ValueError("must begin with amqp:// or redis://")
        return url

    @field_validator("routing_file")
    @classmethod
    def _readable_rules(cls, file: str) -> str:
        if file:
            read_rules(Path(file))
        return file

    @field_validator("public_url")
    @classmethod
    def _is_address(cls, url: str) -> str:
        if url and not url.startswith(("https://", "http://")):
            raise ValueError("must begin with https:// (or http:// for trying out)")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _stripe_is_whole(self) -> Settings:
        if self.stripe_secret_key is None:
            return self
        key, is_stripe = self.stripe_secret_key.get_secret_value(), not self.is_sandbox
        wrong = []
        if not is_stripe and "_live_" in key:
            wrong.append("STRIPE_SECRET_KEY is a live key but STRIPE_API_BASE is not Stripe; use a test key")
        if is_stripe and key.startswith(SANDBOX_KEY_PREFIX):
            wrong.append("STRIPE_SECRET_KEY is a sandbox key but STRIPE_API_BASE is Stripe; set the sandbox's URL")
        if not self.stripe_webhook_secret:
            wrong.append("STRIPE_WEBHOOK_SECRET is missing; without it no webhook can be trusted")
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    @property
    def is_sandbox(self) -> bool:
        """Whether the provider is an imitation, so that its clock may be followed."""
        return self.stripe_secret_key is not None and self.stripe_api_base.rstrip("/") != DEFAULT_BASE

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The operator's routing rules."""
        return read_rules(Path(self.routing_file)) if self.routing_file else ()

    @property
    def policy(self) -> Policy:
        """What the domain needs of this."""
        return Policy(
            dunning=DunningPolicy(
                self.dunning_retry_delays_days, self.dunning_retry_attempts, self.dunning_grace_period_days
            ),
            action_expires_after=timedelta(hours=self.action_expires_hours),
        )


@cache
def load_settings() -> Settings:
    """Read the environment; on errors print each in one line and end the process."""
    try:
        return Settings()
    except ValidationError as error:
        for detail in error.errors(include_input=False, include_url=False):
            name = str(detail["loc"][0]).upper() if detail["loc"] else "configuration"
            sys.stderr.write(f"{name}: {detail['msg'].removeprefix('Value error, ')}\n")
        raise SystemExit(2) from None


def example() -> str:
    """Return .env.example: every variable with its meaning and default."""
    blocks = [
        f"# {field.description}\n{name.upper()}={_text(field.default)}\n"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(blocks)


def _text(default: object) -> str:
    if isinstance(default, tuple):
        return ",".join(str(part) for part in default)
    return "" if default is None else str(default)
