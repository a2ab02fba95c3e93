"""The fraud policy: what an operator may configure of the score, the brakes and what is kept for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from domain.fraud.brake import BrakePolicy
from domain.fraud.default_rules import DEFAULT_RULES
from domain.fraud.rule_set import RuleSet

# Hashes under a key that everybody knows hide nothing: live credentials are refused together with it.
DEVELOPMENT_KEY = "development-key-of-celeriac-which-is-no-secret"


@dataclass(frozen=True, slots=True)
class FraudPolicy:
    """How payments are screened.

    `attempts_per_day`: how many tries a customer may cause, of one user and of one instrument, in 24 hours.
    `most_strangers`: how many cards strangers may try that share an entity, such as a device; `most_strangers_of`: the
    same for some kinds of entities; 0 is no limit. `brake`: when strangers are held up altogether. `limit`:
    the amount above which a payment is verified, in hundredths of `base_currency`. `shared_accounts`: users that stand
    for many people. `keys`: of the hashes; all are read, the first is written. `high_risk_countries`: two letters
    each. `merchant_country`: where the operator's account is, two letters. `kept_for`: the age at which a signal is
    deleted. `time_budget`: a source of signals that takes longer is unavailable. `review_expires_after`: a review that
    nobody decides within this time is rejected."""

    is_enabled: bool = True
    is_velocity_checked: bool = True
    attempts_per_day: int = 5
    most_strangers: int = 10
    most_strangers_of: Mapping[str, int] = field(default_factory=dict)
    brake: BrakePolicy = field(default_factory=BrakePolicy)
    limit: int = 100_000
    base_currency: str = "EUR"
    shared_accounts: frozenset[str] = frozenset({"guest"})
    keys: tuple[str, ...] = field(default=(DEVELOPMENT_KEY,), repr=False)
    high_risk_countries: frozenset[str] = frozenset()
    merchant_country: str | None = None
    rule_set: RuleSet = DEFAULT_RULES
    kept_for: timedelta = timedelta(days=400)
    time_budget: timedelta = timedelta(milliseconds=100)
    review_expires_after: timedelta = timedelta(hours=72)

    @property
    def has_limits(self) -> bool:
        """Whether tries are limited."""
        return self.is_enabled and self.is_velocity_checked
