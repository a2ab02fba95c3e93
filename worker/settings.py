"""The configuration: the environment, or a .env file, checked at once; every error by name, never a value."""

from __future__ import annotations

import sys
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from domain.decision import Policy
from domain.dunning import DunningPolicy
from domain.routing import Rule
from gateways.base import Gateway, GatewayContext, TokenStore
from gateways.registry import PROVIDERS, ProviderSettings
from worker.routing_file import read_routing_rules

API_PATH = "/api/v1/payments"
# Providers that send nobody back to us and call only the address that an operator registers with them.
_NEED_NO_ADDRESS = ("stripe", "manual")
_PARTS: Any = tuple(PROVIDERS.values())


class Settings(*_PARTS, BaseSettings):  # type: ignore[misc]
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

    @field_validator("dunning_retry_delays_days", mode="before")
    @classmethod
    def _split_days(cls, value: object) -> object:
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
            read_routing_rules(Path(file))
        return file

    @field_validator("public_url")
    @classmethod
    def _is_address(cls, url: str) -> str:
        if url and not url.startswith(("https://", "http://")):
            raise ValueError("must begin with https:// (or http:// for trying out)")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _providers_are_whole(self) -> Self:
        wrong = [problem for provider in self.providers.values() for problem in provider.problems()]
        served = [name for name, provider in self.providers.items() if provider.is_on and name not in _NEED_NO_ADDRESS]
        if served and not self.public_url:
            wrong.append(f"PUBLIC_URL is missing; customers and callbacks of {', '.join(served)} come back to it")
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    @property
    def providers(self) -> dict[str, ProviderSettings]:
        """Each provider's part of the configuration."""
        return {
            name: kind(**{field: getattr(self, field) for field in kind.model_fields})
            for name, kind in PROVIDERS.items()
        }

    def gateways(self, tokens: TokenStore) -> dict[str, Gateway]:
        """Make the gateways of the providers that are on."""
        shared = GatewayContext(self.public_url + API_PATH, self.provider_read_timeout_seconds, tokens)
        made = {name: provider.make(shared) for name, provider in self.providers.items()}
        return {name: gateway for name, gateway in made.items() if gateway is not None}

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The operator's routing rules."""
        return read_routing_rules(Path(self.routing_file)) if self.routing_file else ()

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


def variables() -> list[tuple[str, str, str]]:
    """Return every variable with its default as text and its meaning: our own first, then provider by provider."""
    of_providers = dict.fromkeys(name for kind in PROVIDERS.values() for name in kind.model_fields)
    own = [name for name in Settings.model_fields if name not in of_providers]
    fields = {name: Settings.model_fields[name] for name in (*own, *of_providers)}
    return [(name.upper(), _text(field.default), str(field.description)) for name, field in fields.items()]


def example() -> str:
    """Return .env.example: every variable with its meaning and default."""
    return "\n".join(f"# {meaning}\n{name}={default}\n" for name, default, meaning in variables())


def readme_table() -> str:
    """Return the README's table of variables."""
    rows = [f"| `{name}` | {f'`{default}`' if default else ''} | {meaning} |" for name, default, meaning in variables()]
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows])


def _text(default: object) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple):
        return ",".join(str(part) for part in default)
    return "" if default is None else str(default)
