"""The configuration of a process: its own settings and those of every provider, checked together at start.

Every problem is reported at once, by the variable's name and never with a value."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, field_validator
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from domain.decision import Policy
from domain.declines.caps import VISA_CAP, VISA_CAP_SINCE_MAY_2025
from domain.dunning.mail import MailPolicy
from domain.dunning.policy import LONGEST_GRACE_DAYS, MOST_RETRIES, DunningPolicy, GraceAnchor, problems_of
from domain.payment_methods import PaymentMethod
from domain.routing import Rule
from gateways.base import Gateway, GatewayContext, TokenStore
from gateways.registry import PROVIDERS, ProviderSettings
from gateways.settings import Secrets, all_revealed
from gateways.stripe.settings import StripeSettings
from models.time_zones import zone_named
from notifications.render import read_templates
from notifications.smtp_address import read_sender, read_smtp_url
from runtime.pay_links import PayLinks
from worker.dunning_file import DunningFile, read_dunning_file
from worker.environment import read_variables
from worker.fraud_settings import FraudSettings, split
from worker.routing_file import read_routing_rules

API_PATH = "/api/v1/payments"
# A link is as safe as the secret that signs it: 128 bits, even as hexadecimal digits.
_LEAST_SECRET = 32


class ConfigurationError(Exception):
    """The variables do not make a configuration. `problems`: one sentence each, which names its variable."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class ProcessSettings(FraudSettings):
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
    dunning_enabled: bool = Field(
        default=True,
        description="false: a payment that fails opens no dunning case; cases that are open already go on",
    )
    dunning_retry_delays_days: Annotated[tuple[float, ...], BeforeValidator(split)] = Field(
        default=(3, 7, 14),
        description="Days after the first failure on which a soft decline is tried again, such as 2.5,7",
    )
    dunning_retry_attempts: int = Field(
        default=3, ge=0, le=MOST_RETRIES, description="Number of retries; days beyond the list double"
    )
    dunning_grace_period_days: float = Field(
        default=7, ge=0, le=LONGEST_GRACE_DAYS, description="Days from the grace anchor to cancellation"
    )
    dunning_grace_anchor: GraceAnchor = Field(
        default=GraceAnchor.LAST_RETRY,
        description="From when grace counts: last_retry, or first_failure (the end still waits for the last retry)",
    )
    dunning_policies_file: str = Field(
        default="", description="A TOML file of named dunning policies, and of segments that say which case gets which"
    )
    dunning_time_zone: str = Field(
        default="UTC", description="The time zone of customers whose own is not known, such as Europe/Berlin"
    )
    dunning_language: Literal["en", "de"] = Field(
        default="en", description="The language of customers whose own is not known: en or de"
    )
    dunning_email_enabled: bool = Field(
        default=False,
        description="Whether customers get mails about their debts; without SMTP_URL, MAIL_FROM, PUBLIC_URL and "
        "LINK_SECRET they wait for three days",
    )
    smtp_url: str = Field(
        default="",
        repr=False,
        description="smtp://user:password@host:587, with STARTTLS where the server is not on this machine, or "
        "smtps://user:password@host:465",
    )
    mail_from: str = Field(default="", description="Sender of the mails, such as Shop <billing@example.com>")
    mail_templates_dir: str = Field(
        default="", description="A folder of templates in place of those that are shipped, checked at start"
    )
    mail_most_per_hour: int = Field(
        default=500, ge=1, description="How many first mails an application's customers get within an hour"
    )
    dunning_visa_cap: int = Field(
        default=VISA_CAP,
        ge=1,
        le=VISA_CAP_SINCE_MAY_2025,
        description="How often one card may be tried for one amount in 30 days, by Visa's limit of retries; 20 where "
        "the acquirer goes by the limit of May 2025",
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
    def _possible_days(cls, days: tuple[float, ...]) -> tuple[float, ...]:
        problem = problems_of(DunningPolicy(days)).get("delays_days")
        if problem is not None:
            raise ValueError(problem)
        return days

    @field_validator("dunning_policies_file")
    @classmethod
    def _readable_policies(cls, file: str) -> str:
        if file:
            read_dunning_file(Path(file), DunningPolicy())
        return file

    @field_validator("dunning_time_zone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        return zone_named(zone).key

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

    @field_validator("smtp_url")
    @classmethod
    def _known_server(cls, url: str) -> str:
        if url:
            read_smtp_url(url)
        return url

    @field_validator("mail_from")
    @classmethod
    def _known_sender(cls, sender: str) -> str:
        if sender:
            read_sender(sender)
        return sender

    @field_validator("mail_templates_dir")
    @classmethod
    def _working_templates(cls, directory: str) -> str:
        read_templates(directory)
        return directory

    @property
    def missing_for_mail(self) -> tuple[str, ...]:
        """The variables without which no mail is sent, although mails are on."""
        given = {"SMTP_URL": self.smtp_url, "MAIL_FROM": self.mail_from, "PUBLIC_URL": self.public_url}
        needed: dict[str, Any] = given | {"LINK_SECRET": self.link_secret}
        return tuple(name for name, value in needed.items() if not value) if self.dunning_email_enabled else ()

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
        works_for = max(timedelta(days=self.link_expires_days), self.policy.dunning.longest)
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
    def standard_dunning(self) -> DunningPolicy:
        """The policy `standard`, as the variables describe it."""
        return DunningPolicy(
            self.dunning_retry_delays_days,
            self.dunning_retry_attempts,
            self.dunning_grace_period_days,
            grace_anchor=self.dunning_grace_anchor,
        )

    @property
    def policy(self) -> Policy:
        """The periods and limits that the domain decides by."""
        standard, file = self.standard_dunning, self.dunning_policies_file
        dunning = read_dunning_file(Path(file), standard) if file else DunningFile()
        return Policy(
            dunning=standard,
            named_dunning=dunning.policies,
            dunning_segments=dunning.segments,
            zone=zone_named(self.dunning_time_zone),
            is_dunning_enabled=self.dunning_enabled,
            mail=MailPolicy(
                is_on=self.dunning_email_enabled,
                most_per_hour=self.mail_most_per_hour,
                language=self.dunning_language,
                time_zone=self.dunning_time_zone,
            ),
            action_expires_after=timedelta(hours=self.action_expires_hours),
            visa_cap=self.dunning_visa_cap,
            fraud=self.fraud,
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
    """Yield what is wrong between two of the process's settings, or with the providers that are on."""
    # What one variable alone can break is refused before.
    for problem in problems_of(process.standard_dunning).values():
        yield f"DUNNING_RETRY_ATTEMPTS with DUNNING_RETRY_DELAYS_DAYS: {problem}"
    addressed = [name for name, settings in providers.items() if settings.is_on and settings.needs_public_address]
    if addressed and not process.public_url:
        yield f"PUBLIC_URL is missing; {', '.join(addressed)} send customers and callbacks to it"
    live = ", ".join(name for name, settings in providers.items() if settings.is_live)
    if live and process.is_on_sqlite:
        yield f"DATABASE_URL is SQLite but the credentials of {live} are live; set a PostgreSQL database"
    if live and process.public_url.startswith("http://"):
        yield f"PUBLIC_URL begins with http:// but the credentials of {live} are live; set an https:// address"
    if live and not process.fraud_hash_keys:
        yield f"FRAUD_HASH_KEYS is missing but the credentials of {live} are live; `openssl rand -hex 32` makes a key"
