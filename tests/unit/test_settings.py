"""The configuration: every problem is reported at once, by the variable's name and never with a value."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateways.capabilities import FrontEndGateway
from gateways.registry import PROVIDERS
from stack.credentials import sandbox_credentials
from worker.configuration_page import variables
from worker.environment import read_variables
from worker.settings import ConfigurationError, Settings, load_settings, read_settings

SANDBOX = "http://127.0.0.1:4242"
POSTGRES = "postgresql://celeriac@db.example/celeriac"
HTTPS, HTTP = "https://pay.example", "http://pay.example"
_KEY = Ed25519PrivateKey.generate()

# Complete live credentials of each provider that moves money.
LIVE: dict[str, dict[str, str]] = {
    "stripe": {"STRIPE_SECRET_KEY": "rk_live_canary"},
    "paypal": {
        "PAYPAL_CLIENT_ID": "canary",
        "PAYPAL_CLIENT_SECRET": "canary",
        "PAYPAL_WEBHOOK_ID": "canary",
        "PAYPAL_MODE": "live",
    },
    "klarna": {
        "KLARNA_USERNAME": "canary",
        "KLARNA_PASSWORD": "klarna_live_api_canary",
        "KLARNA_CALLBACK_SECRET": "canary" * 6,
    },
    "afterpay": {"AFTERPAY_MERCHANT_ID": "canary", "AFTERPAY_SECRET_KEY": "canary", "AFTERPAY_REGION": "us"},
    "coinbase": {
        "COINBASE_API_KEY_NAME": "canary",
        "COINBASE_API_KEY_SECRET": base64.b64encode(
            _KEY.private_bytes_raw() + _KEY.public_key().public_bytes_raw()
        ).decode(),
        "COINBASE_WEBHOOK_SECRET": "canary",
    },
    "coinbase_commerce": {"COINBASE_COMMERCE_API_KEY": "canary", "COINBASE_COMMERCE_WEBHOOK_SECRET": "canary"},
}
# What turns each of them into credentials of a test account or of the sandbox.
HARMLESS: list[tuple[str, dict[str, str]]] = [
    ("stripe", {"STRIPE_SECRET_KEY": "sk_test_x"}),
    ("stripe", {"STRIPE_SECRET_KEY": "rk_test_x"}),
    ("stripe", {"STRIPE_SECRET_KEY": "sk_test_sandbox_x", "STRIPE_API_BASE": SANDBOX}),
    ("paypal", {"PAYPAL_MODE": "sandbox"}),
    ("klarna", {"KLARNA_PASSWORD": "klarna_test_api_x"}),
    ("klarna", {"KLARNA_USERNAME": "playground_x", "KLARNA_PASSWORD": "x"}),
    ("klarna", {"KLARNA_PASSWORD": "sandbox", "KLARNA_API_BASE": f"{SANDBOX}/klarna"}),
    ("afterpay", {"AFTERPAY_API_BASE": "https://global-api-sandbox.afterpay.com"}),
    ("afterpay", {"AFTERPAY_SECRET_KEY": "sandbox", "AFTERPAY_API_BASE": f"{SANDBOX}/afterpay"}),
    ("coinbase", {"COINBASE_API_BASE": "https://business.coinbase.com/sandbox/api/v1"}),
    ("coinbase", {"COINBASE_API_KEY_NAME": "sandbox", "COINBASE_API_BASE": f"{SANDBOX}/coinbase"}),
    ("coinbase", {"CRYPTO_PAYMENT_ENABLED": "false"}),
    (
        "coinbase_commerce",
        {"COINBASE_COMMERCE_API_KEY": "sandbox", "COINBASE_COMMERCE_API_BASE": f"{SANDBOX}/coinbase_commerce"},
    ),
    ("coinbase_commerce", {"CRYPTO_PAYMENT_ENABLED": "false"}),
]


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name, _, _ in variables():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", "whsec_x")
    monkeypatch.chdir(tmp_path)
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


# What live credentials need besides.
KEYS = {"FRAUD_HASH_KEYS": "k" * 32}


def read(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return read_settings(read_variables())


def problems(monkeypatch: pytest.MonkeyPatch, **environment: str) -> list[str]:
    with pytest.raises(ConfigurationError) as failed:
        read(monkeypatch, **environment)
    return failed.value.problems


def test_every_variable_has_a_default(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(monkeypatch)
    dunning = settings.process.policy.dunning
    assert (dunning.delays_days, dunning.attempts, dunning.grace_days) == ((3, 7, 14), 3, 7)
    assert settings.process.policy.action_expires_after == timedelta(hours=24)
    assert not settings.stripe.is_sandbox
    assert [name for name, provider in settings.providers.items() if provider.is_on] == ["manual"]


# --- problems ---


def test_all_problems_are_reported_at_once_by_name_and_without_values(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = {
        "DATABASE_URL": "mysql://user:canary@host/name",
        "CELERY_BROKER_URL": "canary://host",
        "WORKER_CONCURRENCY": "canary",
        "DUNNING_RETRY_DELAYS_DAYS": "7,3",
        "DUNNING_RETRY_ATTEMPTS": "99",
    }
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        load_settings()
    printed = capsys.readouterr().err
    assert ended.value.code == 2
    assert sorted(line.split(":")[0] for line in printed.splitlines()) == sorted(wrong)
    assert "canary" not in printed


def test_the_problems_of_all_providers_are_reported_beside_those_of_the_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORKER_CONCURRENCY", "0")
    monkeypatch.setenv("CRYPTO_PAYMENT_ENABLED", "canary")
    monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_test_canary")
    monkeypatch.delenv("STRIPE_WEBHOOK_SECRET")
    monkeypatch.setenv("PAYPAL_CLIENT_ID", "canary")
    monkeypatch.setenv("KLARNA_PASSWORD", "canary")
    with pytest.raises(SystemExit):
        load_settings()
    printed = capsys.readouterr().err
    assert [line.split()[0].rstrip(":") for line in printed.splitlines()] == [
        "WORKER_CONCURRENCY",
        "CRYPTO_PAYMENT_ENABLED",
        "STRIPE_WEBHOOK_SECRET",
        "PAYPAL_CLIENT_SECRET",
        "PAYPAL_WEBHOOK_ID",
        "KLARNA_USERNAME",
    ]
    assert "canary" not in printed


def test_an_invalid_variable_has_no_second_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its default would be a problem as well: SQLite, no address, the sandbox's mode."""
    found = problems(
        monkeypatch,
        **LIVE["paypal"] | {"PAYPAL_MODE": "canary", "PAYPAL_API_BASE": "https://api-m.paypal.com"},
        **LIVE["stripe"],
        **KEYS,
        DATABASE_URL="mysql://host/name",
        PUBLIC_URL="pay.example",
    )
    assert [problem.split(":")[0] for problem in found] == ["DATABASE_URL", "PUBLIC_URL", "PAYPAL_MODE"]


@pytest.mark.parametrize(
    ("key", "base", "names"),
    [
        ("sk_live_canary", SANDBOX, ("STRIPE_SECRET_KEY", "STRIPE_API_BASE")),
        ("rk_live_canary", SANDBOX, ("STRIPE_SECRET_KEY", "STRIPE_API_BASE")),
        ("sk_test_sandbox_canary", None, ("STRIPE_SECRET_KEY", "STRIPE_API_BASE")),
        ("sk_test_sandbox_canary", "https://api.stripe.com/", ("STRIPE_SECRET_KEY", "STRIPE_API_BASE")),
    ],
)
def test_a_key_that_does_not_belong_to_the_host(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], key: str, base: str | None, names: tuple[str]
) -> None:
    monkeypatch.setenv("STRIPE_SECRET_KEY", key)
    if base is not None:
        monkeypatch.setenv("STRIPE_API_BASE", base)
    with pytest.raises(SystemExit):
        load_settings()
    printed = capsys.readouterr().err
    assert all(name in printed for name in names)
    assert "canary" not in printed


@pytest.mark.parametrize(
    ("key", "base"),
    [
        ("sk_live_x", None),
        ("sk_test_x", None),
        ("sk_test_x", SANDBOX),
        ("sk_test_sandbox_x", SANDBOX),
        ("rk_test_x", None),
    ],
)
def test_a_key_that_belongs_to_the_host(monkeypatch: pytest.MonkeyPatch, key: str, base: str | None) -> None:
    address = {} if base is None else {"STRIPE_API_BASE": base}
    settings = read(monkeypatch, STRIPE_SECRET_KEY=key, DATABASE_URL=POSTGRES, **KEYS, **address)
    assert settings.stripe.is_sandbox is (base is not None)


def test_several_webhook_secrets_are_accepted_for_rotation(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = read(monkeypatch, STRIPE_WEBHOOK_SECRET="whsec_new, whsec_old,").stripe.stripe_webhook_secret
    assert [secret.get_secret_value() for secret in secrets] == ["whsec_new", "whsec_old"]


def test_without_a_webhook_secret_no_provider_is_served(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("STRIPE_WEBHOOK_SECRET")
    monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_test_x")
    with pytest.raises(SystemExit):
        load_settings()
    assert "STRIPE_WEBHOOK_SECRET" in capsys.readouterr().err


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(
        monkeypatch,
        STRIPE_SECRET_KEY="sk_test_canary",
        STRIPE_WEBHOOK_SECRET="whsec_canary",
        DATABASE_URL="postgresql://user:canary@host/name",
        CELERY_BROKER_URL="amqp://user:canary@host//",
    )
    assert "canary" not in repr(settings) + str(settings) + settings.stripe.model_dump_json()


def test_links_are_signed_by_the_first_secret_and_need_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(monkeypatch, LINK_SECRET=f"{'n' * 32}, {'o' * 32}").process.pay_links is None
    links = read(monkeypatch, PUBLIC_URL=HTTPS, LINK_EXPIRES_DAYS="40").process.pay_links
    assert links is not None
    assert (links.secrets, links.public_url, links.expires_after.days) == (("n" * 32, "o" * 32), HTTPS, 40)
    assert "nnn" not in repr(read(monkeypatch).process)


def test_a_link_works_for_as_long_as_dunning_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    days = {"LINK_EXPIRES_DAYS": "5", "DUNNING_RETRY_DELAYS_DAYS": "3,10,40", "DUNNING_GRACE_PERIOD_DAYS": "7"}
    links = read(monkeypatch, PUBLIC_URL=HTTPS, LINK_SECRET="s" * 32, **days).process.pay_links
    assert links is not None
    assert links.expires_after.days == 47


@pytest.mark.parametrize("given", ["short", f"{'n' * 32},short"])
def test_a_secret_of_links_that_can_be_guessed_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    [problem] = problems(monkeypatch, LINK_SECRET=given)
    assert problem.startswith("LINK_SECRET: must have 32 characters or more")
    assert "short" not in problem


def test_a_user_name_may_hold_an_at_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(monkeypatch, DATABASE_URL="postgresql://user@tenant:secret@host/name")
    assert settings.process.database_url == "postgresql://user@tenant:secret@host/name"


@pytest.mark.parametrize(
    "url", ["postgresql://user:x@canary@host/name", "postgresql://user:canary", "postgresql://user@host:canary/name"]
)
def test_a_password_that_is_taken_for_another_part_does_not_show(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    [problem] = problems(monkeypatch, DATABASE_URL=url)
    assert problem.startswith("DATABASE_URL:")
    assert "canary" not in problem


@pytest.mark.parametrize("days", ["7,3", "3,3", "0,1", "-1", "x", "3;7", "nan", "0.5,7", "3,3.5", "3,91"])
def test_days_that_do_not_ascend(monkeypatch: pytest.MonkeyPatch, days: str) -> None:
    [problem] = problems(monkeypatch, DUNNING_RETRY_DELAYS_DAYS=days)
    assert problem.startswith("DUNNING_RETRY_DELAYS_DAYS:")


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("DUNNING_RETRY_ATTEMPTS", "9", "less than or equal to 8"),
        ("DUNNING_RETRY_ATTEMPTS", "-1", "greater than or equal to 0"),
        ("DUNNING_GRACE_PERIOD_DAYS", "-1", "greater than or equal to 0"),
        ("DUNNING_GRACE_PERIOD_DAYS", "nan", "less than or equal to 365"),
        ("DUNNING_GRACE_ANCHOR", "canary", "'last_retry' or 'first_failure'"),
        ("DUNNING_TIME_ZONE", "Canary/Town", "must be a time zone such as Europe/Berlin"),
        ("DUNNING_LANGUAGE", "canary", "'en' or 'de'"),
        ("DUNNING_ENABLED", "canary", "boolean"),
        ("DUNNING_POLICIES_FILE", "canary.toml", "cannot be read"),
    ],
)
def test_a_setting_of_dunning_that_is_wrong(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    [problem] = problems(monkeypatch, **{name: value})
    assert problem.startswith(f"{name}: ")
    assert sentence in problem
    assert "canary" not in problem.lower()


def test_a_retry_that_the_formula_puts_months_away(monkeypatch: pytest.MonkeyPatch) -> None:
    [problem] = problems(monkeypatch, DUNNING_RETRY_ATTEMPTS="6")
    assert problem.startswith("DUNNING_RETRY_ATTEMPTS with DUNNING_RETRY_DELAYS_DAYS: must not lead to a retry after")
    listed = read(monkeypatch, DUNNING_RETRY_DELAYS_DAYS="1,2,3,4,5,6", DUNNING_RETRY_ATTEMPTS="6")
    assert listed.process.policy.dunning.attempts == 6


def test_all_mistakes_of_a_file_of_policies_are_one_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "dunning.toml").write_text("[policy.x]\ngrace_days = -1\nattempts = 9\n")
    [problem] = problems(monkeypatch, DUNNING_POLICIES_FILE="dunning.toml")
    assert "policy x: attempts" in problem
    assert "policy x: grace_days" in problem


# --- live credentials ---


@pytest.mark.parametrize("provider", LIVE)
def test_live_credentials_with_sqlite_are_refused(monkeypatch: pytest.MonkeyPatch, provider: str) -> None:
    [problem] = problems(monkeypatch, PUBLIC_URL=HTTPS, **KEYS, **LIVE[provider])
    assert problem.startswith("DATABASE_URL is SQLite")
    assert f" {provider} " in problem
    assert "canary" not in problem


@pytest.mark.parametrize("provider", LIVE)
def test_live_credentials_with_an_unencrypted_address_are_refused(
    monkeypatch: pytest.MonkeyPatch, provider: str
) -> None:
    [problem] = problems(monkeypatch, PUBLIC_URL=HTTP, DATABASE_URL=POSTGRES, **KEYS, **LIVE[provider])
    assert problem.startswith("PUBLIC_URL begins with http://")
    assert f" {provider} " in problem
    assert "canary" not in problem


@pytest.mark.parametrize("provider", LIVE)
def test_live_credentials_are_accepted_with_postgresql_and_https(
    monkeypatch: pytest.MonkeyPatch, provider: str
) -> None:
    settings = read(monkeypatch, PUBLIC_URL=HTTPS, DATABASE_URL=POSTGRES, **KEYS, **LIVE[provider])
    assert [name for name, each in settings.providers.items() if each.is_live] == [provider]


@pytest.mark.parametrize(("provider", "changes"), HARMLESS, ids=str)
def test_test_credentials_are_not_live(monkeypatch: pytest.MonkeyPatch, provider: str, changes: dict[str, str]) -> None:
    settings = read(monkeypatch, PUBLIC_URL=HTTP, **LIVE[provider] | changes)
    assert not any(each.is_live for each in settings.providers.values())


def test_the_credentials_of_the_sandbox_are_not_live(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(monkeypatch, **sandbox_credentials(SANDBOX, HTTP, "whsec_x"))
    assert all(each.is_on for each in settings.providers.values())
    assert not any(each.is_live for each in settings.providers.values())


def test_a_provider_that_is_off_is_not_live(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a configuration and a live mode alone move no money."""
    settings = read(monkeypatch, PAYPAL_MODE="live", AFTERPAY_REGION="us", COINBASE_WEBHOOK_SECRET="x")
    assert not any(each.is_live for each in settings.providers.values())


def test_every_provider_but_the_operators_record_can_be_live() -> None:
    assert set(LIVE) == set(PROVIDERS) - {"manual"}


@pytest.mark.parametrize("provider", LIVE)
def test_a_provider_that_sends_customers_needs_a_public_address(monkeypatch: pytest.MonkeyPatch, provider: str) -> None:
    environment = LIVE[provider] | KEYS | {"DATABASE_URL": POSTGRES}
    if PROVIDERS[provider].needs_public_address:
        [problem] = problems(monkeypatch, **environment)
        assert problem.startswith("PUBLIC_URL is missing")
        assert provider in problem
    else:
        assert read(monkeypatch, **environment).providers[provider].is_on


# --- values ---


@pytest.mark.parametrize("key", ["pk_test_x", ""])
def test_the_gateway_of_front_ends_offers_the_publishable_key(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    settings = read(monkeypatch, STRIPE_SECRET_KEY="sk_test_x", STRIPE_PUBLISHABLE_KEY=key)
    gateways = settings.gateways(tokens=None)  # type: ignore[arg-type]
    [front_end] = [gateway for gateway in gateways.values() if isinstance(gateway, FrontEndGateway)]
    assert front_end.publishable_key == (key or None)


def test_days_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(monkeypatch, DUNNING_RETRY_DELAYS_DAYS="1, 5", DUNNING_RETRY_ATTEMPTS="2")
    assert settings.process.policy.dunning.delays_days == (1, 5)
    settings = read(monkeypatch, DUNNING_RETRY_DELAYS_DAYS="1.5", DUNNING_GRACE_ANCHOR="first_failure")
    dunning = settings.process.policy.dunning
    assert (dunning.delays_days, dunning.grace_anchor, dunning.name) == ((1.5,), "first_failure", "standard")


def test_policies_and_segments_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    segments = "[[segment]]\nname = 'one'\npolicy = 'standard'\n[[segment]]\nname = 'two'\npolicy = 'x'\n"
    (tmp_path / "dunning.toml").write_text("[policy.x]\ngrace_days = 3\n" + segments)
    policy = read(
        monkeypatch, DUNNING_POLICIES_FILE="dunning.toml", DUNNING_GRACE_PERIOD_DAYS="9", DUNNING_TIME_ZONE="Asia/Tokyo"
    ).process.policy
    assert [segment.policy.grace_days for segment in policy.dunning_segments] == [9, 3]
    assert sorted(policy.named_dunning) == ["monitor_only", "strong", "x"]
    assert str(policy.zone) == "Asia/Tokyo"
    assert policy.is_dunning_enabled


def test_without_a_file_there_are_the_shipped_policies(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = read(monkeypatch, DUNNING_ENABLED="false").process.policy
    assert (sorted(policy.named_dunning), policy.dunning_segments) == (["monitor_only", "strong"], ())
    assert not policy.is_dunning_enabled


@pytest.mark.parametrize(
    "url", ["postgres://u@h/n", "postgresql://u@h/n", "postgresql+psycopg://u@h/n", "sqlite:///f.db"]
)
def test_databases(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    assert read(monkeypatch, DATABASE_URL=url).process.database_url == url


@pytest.mark.parametrize("url", ["amqp://h//", "amqps://h//", "redis://h", "rediss://h", "redis+socket:///s"])
def test_brokers(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    assert read(monkeypatch, CELERY_BROKER_URL=url).process.celery_broker_url == url


def test_an_env_file_is_read_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "DUNNING_GRACE_PERIOD_DAYS=9\nCELERY_QUEUE_PREFIX=file-\nAFTERPAY_REGION=au\nUNKNOWN=ignored\nBARE\n"
    )
    # An empty variable does not hide the file's.
    settings = read(monkeypatch, CELERY_QUEUE_PREFIX="environment-", AFTERPAY_REGION="")
    assert (settings.process.dunning_grace_period_days, settings.process.celery_queue_prefix) == (9, "environment-")
    assert settings.providers["afterpay"].afterpay_region == "au"


# --- mail ---


def test_mail_without_a_server_a_sender_or_an_address_of_ours_starts_and_says_what_is_missing() -> None:
    assert read_settings({}).process.missing_for_mail == ()
    on = {"dunning_email_enabled": "true"}
    process = read_settings(on).process
    assert process.missing_for_mail == ("SMTP_URL", "MAIL_FROM", "PUBLIC_URL", "LINK_SECRET")
    assert process.policy.mail.is_on
    whole = {"smtp_url": "smtp://u:canary@mail.example", "mail_from": "Shop <a@shop.example>", "public_url": HTTPS}
    whole |= {"link_secret": "canary" * 6}
    assert read_settings(on | whole).process.missing_for_mail == ()
    assert "canary" not in repr(read_settings(on | whole))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SMTP_URL", "canary.example:25"),
        ("MAIL_FROM", "Canary"),
        ("MAIL_TEMPLATES_DIR", "/canary"),
        ("MAIL_MOST_PER_HOUR", "0"),
    ],
)
def test_a_setting_of_mail_that_cannot_work_is_refused_in_one_line(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        read_settings({name.lower(): value})
    [problem] = refusal.value.problems
    assert problem.startswith(f"{name}: ")
    assert "canary" not in problem.lower()


def test_a_template_with_an_unknown_variable_is_refused_at_start(tmp_path: Path) -> None:
    (tmp_path / "recovered" / "en").mkdir(parents=True)
    (tmp_path / "recovered" / "en" / "body.txt").write_text("{{ amout }}")
    with pytest.raises(ConfigurationError) as refusal:
        read_settings({"mail_templates_dir": str(tmp_path)})
    [problem] = refusal.value.problems
    assert problem.startswith("MAIL_TEMPLATES_DIR: recovered/en/body.txt: unknown variable amout")
