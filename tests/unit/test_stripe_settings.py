"""Stripe's settings: problems are reported by the variable's name, and the gateway gets every secret."""

from __future__ import annotations

from typing import Any

import pytest

from domain.payment_methods import PaymentMethod
from gateways.base import GatewayContext, StoredToken
from gateways.stripe.settings import StripeSettings

SANDBOX = "http://127.0.0.1:4242"


class NoTokens:
    """A store that is never called: Stripe's key is no token that is renewed."""

    def find(self, name: str) -> StoredToken | None:
        raise AssertionError(name)

    def claim(self, name: str, seconds: float) -> bool:
        raise AssertionError(name)

    def put(self, name: str, encrypted: str, seconds: float) -> None:
        raise AssertionError(name)


CONTEXT = GatewayContext("https://pay.example/api/v1/payments", 30, NoTokens())


def settings(**given: Any) -> StripeSettings:
    return StripeSettings(**({"stripe_webhook_secret": "whsec_x"} | given))


def test_without_a_key_stripe_is_off() -> None:
    off = StripeSettings()
    assert off.problems() == []
    assert off.make(CONTEXT) is None
    assert not off.is_sandbox


@pytest.mark.parametrize(
    ("key", "base", "is_right"),
    [
        ("sk_live_canary", SANDBOX, False),
        ("rk_live_canary", SANDBOX, False),
        ("sk_test_sandbox_canary", None, False),
        ("sk_test_sandbox_canary", "https://api.stripe.com/", False),
        ("sk_live_canary", None, True),
        ("sk_test_canary", None, True),
        ("sk_test_canary", SANDBOX, True),
        ("sk_test_sandbox_canary", SANDBOX, True),
    ],
)
def test_a_key_belongs_to_its_host(key: str, base: str | None, is_right: bool) -> None:
    made = settings(stripe_secret_key=key, **({} if base is None else {"stripe_api_base": base}))
    problems = made.problems()
    assert (problems == []) is is_right
    assert all("STRIPE_SECRET_KEY" in text and "STRIPE_API_BASE" in text for text in problems)
    assert "canary" not in repr(made) + str(made) + made.model_dump_json() + "".join(problems)


def test_webhooks_need_a_secret() -> None:
    [problem] = StripeSettings(stripe_secret_key="sk_test_x").problems()
    assert problem.startswith("STRIPE_WEBHOOK_SECRET")


def test_a_gateway_is_made_with_every_secret() -> None:
    made = settings(stripe_secret_key="sk_test_x", stripe_webhook_secret="whsec_new, whsec_old,")
    assert [secret.get_secret_value() for secret in made.stripe_webhook_secret] == ["whsec_new", "whsec_old"]
    gateway = made.make(CONTEXT)
    assert gateway is not None
    assert gateway.provider == "stripe"


@pytest.mark.parametrize(
    ("given", "disabled"),
    [
        ({}, set()),
        ({"sepa_enabled": "false"}, {PaymentMethod.SEPA_DEBIT}),
        ({"ach_enabled": "0", "sepa_enabled": False}, {PaymentMethod.SEPA_DEBIT, PaymentMethod.ACH_DEBIT}),
    ],
)
def test_debits_can_be_switched_off(given: dict[str, Any], disabled: set[PaymentMethod]) -> None:
    assert settings(**given).disabled_methods == disabled


def test_stripe_needs_no_public_address() -> None:
    assert StripeSettings.needs_public_address is False
    assert "needs_public_address" not in StripeSettings.model_fields


def test_every_variable_has_a_description() -> None:
    assert all(field.description for field in StripeSettings.model_fields.values())
