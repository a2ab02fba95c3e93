"""The variables of fraud detection, and the policy that they make."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from domain.fraud.amounts import CURRENCIES_WITH_RATE
from domain.fraud.policy import DEVELOPMENT_KEY, FraudPolicy
from worker.settings import ConfigurationError, read_settings

NEW, OLD = "canary_new_" * 3, "canary_old_" * 3


def policy(**variables: str) -> FraudPolicy:
    return read_settings(variables).process.policy.fraud


def problem(**variables: str) -> str:
    with pytest.raises(ConfigurationError) as refusal:
        read_settings(variables)
    [found] = refusal.value.problems
    return found


def test_without_variables_the_policy_is_that_of_the_domain() -> None:
    found = policy()
    assert found == FraudPolicy()
    assert (found.is_enabled, found.is_velocity_checked, found.attempts_per_day) == (True, True, 5)
    assert (found.limit, found.base_currency, found.shared_accounts) == (100_000, "EUR", {"guest"})


def test_every_variable_is_in_the_policy() -> None:
    found = policy(
        fraud_detection_enabled="false",
        payment_velocity_check_enabled="false",
        max_payment_attempts_per_day="7",
        max_payment_amount_without_verification="250.55",
        fraud_base_currency="usd",
        fraud_shared_accounts="guest, kiosk,",
        fraud_high_risk_countries="kp, IR",
        fraud_hash_keys=f"{NEW}, {OLD}",
        fraud_signals_kept_days="31",
        fraud_time_budget_ms="25",
    )
    assert found == FraudPolicy(
        is_enabled=False,
        is_velocity_checked=False,
        attempts_per_day=7,
        limit=25_055,
        base_currency="USD",
        shared_accounts=frozenset({"guest", "kiosk"}),
        keys=(NEW, OLD),
        high_risk_countries=frozenset({"KP", "IR"}),
        kept_for=timedelta(days=31),
        time_budget=timedelta(milliseconds=25),
    )


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("FRAUD_DETECTION_ENABLED", "canary", "boolean"),
        ("PAYMENT_VELOCITY_CHECK_ENABLED", "canary", "boolean"),
        ("MAX_PAYMENT_ATTEMPTS_PER_DAY", "0", "greater than or equal to 1"),
        ("MAX_PAYMENT_AMOUNT_WITHOUT_VERIFICATION", "-1", "greater than or equal to 0"),
        ("MAX_PAYMENT_AMOUNT_WITHOUT_VERIFICATION", "nan", "finite"),
        ("MAX_PAYMENT_AMOUNT_WITHOUT_VERIFICATION", "1.005", "2 decimal places"),
        ("FRAUD_BASE_CURRENCY", "XOF", "must be one of: AED, "),
        ("FRAUD_HIGH_RISK_COUNTRIES", "KP,canary", "two letters"),
        ("FRAUD_HASH_KEYS", f"{NEW},canary", "32 characters or more"),
        ("FRAUD_HASH_KEYS", DEVELOPMENT_KEY, "keys of your own"),
        ("FRAUD_RULES_FILE", "/canary.toml", "cannot be read"),
        ("FRAUD_SIGNALS_KEPT_DAYS", "30", "greater than or equal to 31"),
        ("FRAUD_TIME_BUDGET_MS", "0", "greater than or equal to 1"),
    ],
)
def test_a_variable_that_is_wrong_is_named_without_its_value(name: str, value: str, sentence: str) -> None:
    found = problem(**{name.lower(): value})
    assert found.startswith(f"{name}: ")
    assert sentence in found
    assert "canary" not in found


@pytest.mark.parametrize("currency", sorted(CURRENCIES_WITH_RATE))
def test_every_currency_with_a_rate_can_be_the_base(currency: str) -> None:
    assert policy(fraud_base_currency=currency.lower()).base_currency == currency


def test_rules_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text('version = "own-1"\n[rules.amount]\nat = [100]\npoints = [7]\n')
    assert policy(fraud_rules_file=str(file)).rule_set.curves["amount"].points(100) == 7
    file.write_text('version = "own-1"\n[rules.canary]\nat = [2, 1]\npoints = [7]\n')
    assert problem(fraud_rules_file=str(file)).startswith("FRAUD_RULES_FILE: ")
    assert "cannot be read" in problem(fraud_rules_file=str(tmp_path))


def test_keys_do_not_show() -> None:
    settings = read_settings({"fraud_hash_keys": f"{NEW},{OLD}"})
    assert "canary" not in repr(settings) + repr(settings.process.policy) + settings.process.model_dump_json()
    assert DEVELOPMENT_KEY not in repr(policy())


def test_live_credentials_need_keys_of_their_own() -> None:
    live = {
        "stripe_secret_key": "sk_live_canary",
        "stripe_webhook_secret": "whsec_x",
        "database_url": "postgresql://celeriac@db.example/celeriac",
    }
    found = problem(**live)
    assert found.startswith("FRAUD_HASH_KEYS is missing but the credentials of stripe are live")
    assert "canary" not in found
    assert policy(**live, fraud_hash_keys=NEW).keys == (NEW,)
