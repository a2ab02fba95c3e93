"""The variables of fraud detection: part of the process's settings."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field, SecretStr, field_validator

from domain.countries import is_country
from domain.fraud.amounts import CURRENCIES_WITH_RATE
from domain.fraud.brake import BrakeAction, BrakePolicy
from domain.fraud.default_rules import DEFAULT_RULES
from domain.fraud.policy import DEVELOPMENT_KEY, FraudPolicy
from gateways.settings import Secrets, all_revealed
from runtime.places import IpPlaces, open_database, open_places, read_networks
from worker.fraud_rules_file import read_rule_set

# A hash is as safe as its key: 128 bits, even as hexadecimal digits.
_LEAST_KEY = 32
_KIND_AND_NUMBER = re.compile(r"[a-z][a-z0-9_]{0,39}=[0-9]{1,6}")


def _parts(setting: str) -> tuple[str, str, str]:
    return setting.partition("=")


def split(value: object) -> object:
    """Return the parts of a comma-separated text, without those that are empty; anything else as it is."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], BeforeValidator(split)]


class FraudSettings(BaseModel):
    """Every variable of fraud detection, with its default."""

    fraud_detection_enabled: bool = Field(
        default=True, description="false: no payment is scored, and each says that it was not screened"
    )
    payment_velocity_check_enabled: bool = Field(
        default=True, description="false: what was tried before is no signal, and no number of tries is limited"
    )
    max_payment_attempts_per_day: int = Field(
        default=5,
        ge=1,
        le=1000,
        description="How many tries a customer may cause, of one user and of one instrument, in 24 hours",
    )
    fraud_most_strangers: int = Field(
        default=10,
        ge=0,
        le=1_000_000,
        description="How many different cards strangers may try that share a device, an IP address, an e-mail "
        "pattern, a range of cards or a named entity; 0: any number. Strangers have paid on no earlier day",
    )
    fraud_most_strangers_of: Words = Field(
        default=(),
        description="The same for some kinds alone, such as `bin=50,merchant_account=0`; comma-separated",
    )
    fraud_brake_times_usual: int = Field(
        default=3,
        ge=0,
        le=100,
        description="The brake goes on when within 15 minutes so many times the usual share of an application's "
        "tries is declined; usual is that of seven days, or 10 % if that is less; 0: never",
    )
    fraud_brake_least_tries: int = Field(
        default=20, ge=1, le=1_000_000, description="So many tries within 15 minutes, or fewer, put no brake on"
    )
    fraud_brake_action: BrakeAction = Field(
        default=BrakeAction.CHALLENGE,
        description="What happens to strangers while the brake is on: `challenge` asks for 3-D Secure, `refuse` blocks",
    )
    max_payment_amount_without_verification: Decimal = Field(
        default=Decimal("1000.0"),
        ge=0,
        max_digits=12,
        decimal_places=2,
        description="The amount in `FRAUD_BASE_CURRENCY` above which a payment is verified",
    )
    fraud_base_currency: str = Field(
        default="EUR", description="The currency in which amounts are compared, by the order of magnitude"
    )
    fraud_shared_accounts: Words = Field(
        default=("guest",),
        description="User ids that stand for many people, comma-separated; they are not limited as one person",
    )
    fraud_high_risk_countries: Words = Field(
        default=(), description="Countries that the fraud rules count as risky: two letters each, comma-separated"
    )
    fraud_geoip_file: str = Field(
        default="",
        description="A database in MaxMind's format (.mmdb) that tells where IP addresses are, such as GeoLite2-City; "
        "needs the extra `geo`. Without it no rule on the place of an IP address fires",
    )
    fraud_anonymous_networks_file: str = Field(
        default="",
        description="A file of networks that hide their users, such as exits of Tor, one a line: 203.0.113.0/24",
    )
    fraud_merchant_country: str = Field(
        default="",
        description="The country of the operator's account, two letters: by it and the card's the law says when "
        "customers must authenticate. Empty: only the score asks for that, and the provider knows the law",
    )
    fraud_hash_keys: Secrets = Field(
        default=(),
        description="Keys of the hashes under which fraud signals are stored, 32 characters or more each; several, "
        "comma-separated: the first hashes, all are read, so that keys can rotate. Must be set with live credentials",
    )
    fraud_rules_file: str = Field(
        default="", description="A TOML file of fraud rules with their points and bands, in place of those shipped"
    )
    fraud_signals_kept_days: int = Field(
        default=400, ge=31, le=3650, description="Days after which the signals of a try are deleted"
    )
    fraud_time_budget_ms: int = Field(
        default=100,
        ge=1,
        le=10_000,
        description="Milliseconds that the sources of fraud signals may take; what is not known by then is unavailable",
    )

    fraud_review_expires_hours: int = Field(
        default=72,
        ge=1,
        le=24 * 30,
        description="Hours after which a review that nobody decides is rejected; one that holds money ends before that "
        "lapses",
    )

    @field_validator("fraud_base_currency")
    @classmethod
    def _comparable(cls, currency: str) -> str:
        if currency.upper() not in CURRENCIES_WITH_RATE:
            raise ValueError(f"must be one of: {', '.join(sorted(CURRENCIES_WITH_RATE))}")
        return currency.upper()

    @field_validator("fraud_most_strangers_of")
    @classmethod
    def _kinds(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_KIND_AND_NUMBER.fullmatch(each) for each in given):
            raise ValueError("must be kinds with numbers such as bin=50,network=100")
        return given

    @field_validator("fraud_high_risk_countries")
    @classmethod
    def _known_countries(cls, countries: tuple[str, ...]) -> tuple[str, ...]:
        found = tuple(country.upper() for country in countries)
        if not all(is_country(country) for country in found):
            raise ValueError("must be countries' two letters such as DE (ISO 3166-1), comma-separated")
        return found

    @field_validator("fraud_geoip_file")
    @classmethod
    def _readable_database(cls, file: str) -> str:
        if file:
            open_database(file)
        return file

    @field_validator("fraud_anonymous_networks_file")
    @classmethod
    def _readable_networks(cls, file: str) -> str:
        if file:
            read_networks(file)
        return file

    @field_validator("fraud_merchant_country")
    @classmethod
    def _known_country(cls, country: str) -> str:
        if country and not is_country(country.upper()):
            raise ValueError("must be a country's two letters such as DE (ISO 3166-1)")
        return country.upper()

    @field_validator("fraud_hash_keys")
    @classmethod
    def _unguessable_keys(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(len(key) < _LEAST_KEY for key in all_revealed(keys)):
            raise ValueError(f"must have {_LEAST_KEY} characters or more each; `openssl rand -hex 32` makes one")
        if DEVELOPMENT_KEY in all_revealed(keys):
            raise ValueError("must be keys of your own, and not the one for development")
        return keys

    @field_validator("fraud_rules_file")
    @classmethod
    def _readable_fraud_rules(cls, file: str) -> str:
        if file:
            read_rule_set(Path(file))
        return file

    @property
    def places(self) -> IpPlaces:
        """Where IP addresses are. The files are opened anew."""
        return open_places(self.fraud_geoip_file, self.fraud_anonymous_networks_file)

    @property
    def fraud(self) -> FraudPolicy:
        """How payments are screened."""
        return FraudPolicy(
            is_enabled=self.fraud_detection_enabled,
            is_velocity_checked=self.payment_velocity_check_enabled,
            attempts_per_day=self.max_payment_attempts_per_day,
            most_strangers=self.fraud_most_strangers,
            most_strangers_of={kind: int(most) for kind, _, most in map(_parts, self.fraud_most_strangers_of)},
            brake=BrakePolicy(self.fraud_brake_least_tries, self.fraud_brake_times_usual, self.fraud_brake_action),
            limit=int(self.max_payment_amount_without_verification * 100),
            base_currency=self.fraud_base_currency,
            shared_accounts=frozenset(self.fraud_shared_accounts),
            keys=all_revealed(self.fraud_hash_keys) or (DEVELOPMENT_KEY,),
            high_risk_countries=frozenset(self.fraud_high_risk_countries),
            merchant_country=self.fraud_merchant_country or None,
            rule_set=read_rule_set(Path(self.fraud_rules_file)) if self.fraud_rules_file else DEFAULT_RULES,
            kept_for=timedelta(days=self.fraud_signals_kept_days),
            time_budget=timedelta(milliseconds=self.fraud_time_budget_ms),
            review_expires_after=timedelta(hours=self.fraud_review_expires_hours),
        )
