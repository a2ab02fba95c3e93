"""The configuration of a process: its own settings and those of every provider, checked together at start.

Every problem is reported at once, by the variable's name and never with a value."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, field_validator
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from domain.decision import Policy
from domain.dunning.policy import DunningPolicy
from domain.payment_methods import PaymentMethod
from domain.routing import Rule
from gateways.base import Gateway, GatewayContext, TokenStore
from gateways.registry import PROVIDERS, ProviderSettings
from gateways.settings import Secrets, all_revealed
from gateways.stripe.settings import StripeSettings
from runtime.pay_links import PayLinks
from worker.environment import read_variables
from worker.routing_file import read_routing_rules

API_PATH = "/api/v1/payments"
# A link is as safe as the secret that signs it: 128 bits, even as hexadecimal digits.
_LEAST_SECRET = 32


class ConfigurationError(Exception):
    """The variables do not make a configuration. `problems`: one sentence each, which names its variable."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


class ProcessSettings(BaseModel):
    """Every variable that belongs to no provider, with its default. URLs are not shown: they hold passwords."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    database_url: str = Field(
        default="sqlite:///celeriac.db",
        repr=False,
        description="postgresql://user:password@host/name in production, or sqlite:///file for one machine without "
        "live credentials",
    )
    celery_broker_url: str = Field(
        default="redis://127.0.0.1:6379/0",
        repr=False,
        description="amqp://user:password@host// (recommended) or redis://host:6379/0",
    )
    celery_queue_prefix: str = Field(
        default="", description="Put before every queue name, so that two systems can share a broker"
    )
    public_url: str = Field(
        default="",
        description="Celeriac's public address, such as https://pay.example.com, to which PayPal, Klarna, Afterpay and "
        "Coinbase send customers and callbacks, and Stripe sends customers; https:// with live credentials",
    )
    routing_file: str = Field(
        default="", description="A TOML file of routing rules: which provider for which payments, with shares"
    )
    worker_concurrency: int = Field(
        default=100, ge=1, le=1000, description="Threads of a worker, that is provider calls in flight"
    )
    provider_read_timeout_seconds: float = Field(
        default=30, gt=0, le=120, description="How long a provider may take to respond before the attempt is in doubt"
    )
    dunning_retry_delays_days: Annotated[tuple[int, ...], BeforeValidator(_split)] = Field(
        default=(3, 7, 14), description="Days after the first failure on which a soft decline is tried again"
    )
    dunning_retry_attempts: int = Field(
        default=3, ge=0, le=8, description="Number of retries; days beyond the list double"
    )
    dunning_grace_period_days: int = Field(
        default=7, ge=0, le=365, description="Days from the last failed retry to cancellation"
    )
    link_secret: Secrets = Field(
        default=(),
        description="Signs the links to the page on which a customer pays a debt, 32 characters or more; several, "
        "comma-separated, all verify and the first signs, so that secrets can rotate. Without it, or without "
        "`PUBLIC_URL`, there are no links",
    )
    link_expires_days: int = Field(
        default=30, ge=1, le=365, description="Days for which such a link works; never less than dunning takes"
    )
    action_expires_hours: int = Field(
        default=24, ge=1, le=720, description="Hours after which a customer's unfinished action expires"
    )

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
        # The ValueError of a port that is no number repeats the text, which may be a password.
        except (ArgumentError, ValueError):
            backend = ""
        if backend not in ("postgresql", "postgres", "sqlite"):
            raise ValueError("must be postgresql://user:password@host/name or sqlite:///file")
        # The rest of a password after an unescaped @ would be taken for the host, which commands show.
        if "@" in (make_url(url).host or ""):
            raise ValueError("has an @ too many; write %40 for an @ in the password")
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
    def _web_address(cls, url: str) -> str:
        if url and not url.startswith(("https://", "http://")):
            raise ValueError("must begin with https:// (or http:// without live credentials)")
        return url.rstrip("/")

    @field_validator("link_secret")
    @classmethod
    def _unguessable(cls, link_secrets: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(len(secret) < _LEAST_SECRET for secret in all_revealed(link_secrets)):
            raise ValueError(f"must have {_LEAST_SECRET} characters or more; `openssl rand -hex 32` makes one")
        return link_secrets

    @property
    def pay_links(self) -> PayLinks | None:
        """What makes and reads the links to the pay page; None if they are off."""
        if not self.link_secret or not self.public_url:
            return None
        works_for = max(timedelta(days=self.link_expires_days), self.policy.dunning.window)
        return PayLinks(all_revealed(self.link_secret), self.public_url, works_for)

    @property
    def is_on_sqlite(self) -> bool:
        """Whether the database is a file of this machine."""
        return make_url(self.database_url).get_backend_name() == "sqlite"

    @property
    def routing_rules(self) -> tuple[Rule, ...]:
        """The operator's routing rules."""
        return read_routing_rules(Path(self.routing_file)) if self.routing_file else ()

    @property
    def policy(self) -> Policy:
        """The periods and limits that the domain decides by."""
        return Policy(
            dunning=DunningPolicy(
                self.dunning_retry_delays_days, self.dunning_retry_attempts, self.dunning_grace_period_days
            ),
            action_expires_after=timedelta(hours=self.action_expires_hours),
        )


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of the process, and those of every provider by its name, whether it is on or off."""

    process: ProcessSettings
    providers: dict[str, ProviderSettings]

    @property
    def stripe(self) -> StripeSettings:
        """Stripe's settings. The sandbox serves its clock at Stripe's address, and signs with Stripe's secret."""
        (stripe,) = (settings for settings in self.providers.values() if isinstance(settings, StripeSettings))
        return stripe

    @property
    def disabled_methods(self) -> frozenset[PaymentMethod]:
        """The methods that the operator switched off."""
        return self.stripe.disabled_methods

    def gateways(self, tokens: TokenStore) -> dict[str, Gateway]:
        """Make the gateways of the providers that are on."""
        context = GatewayContext(self.process.public_url + API_PATH, self.process.provider_read_timeout_seconds, tokens)
        made = {name: provider.make(context) for name, provider in self.providers.items()}
        return {name: gateway for name, gateway in made.items() if gateway is not None}


def read_settings(variables: Mapping[str, str]) -> Settings:
    """Let each class read its own variables, which are named in lower case. Raises ConfigurationError."""
    invalid: dict[str, str] = {}
    process = _parse(ProcessSettings, variables, invalid)
    providers = {name: _parse(kind, variables, invalid) for name, kind in PROVIDERS.items()}
    found = [problem for settings in providers.values() for problem in settings.problems()]
    found += _joint_problems(process, providers)
    # An invalid variable has its default here, so what else is said about it would mislead.
    problems = [f"{name}: {reason}" for name, reason in invalid.items()]
    problems += [problem for problem in found if not any(name in problem for name in invalid)]
    if problems:
        raise ConfigurationError(problems)
    return Settings(process, providers)


@cache
def load_settings() -> Settings:
    """Return this process's settings; on problems print each in one line and end the process."""
    try:
        return read_settings(read_variables())
    except ConfigurationError as error:
        sys.stderr.writelines(f"{problem}\n" for problem in error.problems)
        raise SystemExit(2) from None


def _parse(kind: Any, variables: Mapping[str, str], invalid: dict[str, str]) -> Any:
    """Return the settings of one class; an invalid variable goes with its reason to `invalid` and has its default."""
    try:
        return kind.model_validate(variables)
    except ValidationError as error:
        details = error.errors(include_input=False, include_url=False)
    reasons = {str(detail["loc"][0]): detail["msg"].removeprefix("Value error, ") for detail in details}
    invalid.update((name.upper(), reason) for name, reason in reasons.items())
    return kind.model_validate({name: value for name, value in variables.items() if name not in reasons})


def _joint_problems(process: ProcessSettings, providers: Mapping[str, ProviderSettings]) -> Iterator[str]:
    """Yield what is wrong between the process's settings and the providers that are on."""
    addressed = [name for name, settings in providers.items() if settings.is_on and settings.needs_public_address]
    if addressed and not process.public_url:
        yield f"PUBLIC_URL is missing; {', '.join(addressed)} send customers and callbacks to it"
    live = ", ".join(name for name, settings in providers.items() if settings.is_live)
    if live and process.is_on_sqlite:
        yield f"DATABASE_URL is SQLite but the credentials of {live} are live; set a PostgreSQL database"
    if live and process.public_url.startswith("http://"):
        yield f"PUBLIC_URL begins with http:// but the credentials of {live} are live; set an https:// address"
