"""Stripe's webhooks: what is Stripe's alone about them."""

from __future__ import annotations

import pytest

from domain.errors import WebhookRefused

from .bench import now
from .benches.stripe import ProviderBench as StripeBench

EVENT = {"id": "evt_1", "type": "x", "livemode": False}


@pytest.fixture
def stripe(sandbox: object) -> StripeBench:
    """Stripe's bench."""
    return StripeBench(sandbox)


def test_without_secrets_nothing_is_believed(stripe: StripeBench) -> None:
    sent = stripe.signed(EVENT, secret="")
    with pytest.raises(WebhookRefused):
        stripe.gateway(webhook_secrets=()).verify_webhook(sent.body, sent.headers, now())


def test_an_empty_secret_signs_nothing(stripe: StripeBench) -> None:
    sent = stripe.signed(EVENT, secret="")
    with pytest.raises(WebhookRefused):
        stripe.gateway().verify_webhook(sent.body, sent.headers, now())


@pytest.mark.parametrize(("secret_key", "is_live"), [("sk_test_x", True), ("sk_live_x", False)])
def test_the_other_mode(stripe: StripeBench, secret_key: str, is_live: bool) -> None:
    sent = stripe.signed(EVENT | {"livemode": is_live})
    with pytest.raises(WebhookRefused):
        stripe.gateway(secret_key=secret_key).verify_webhook(sent.body, sent.headers, now())


def test_a_stamp_that_is_too_old(stripe: StripeBench) -> None:
    sent = stripe.signed(EVENT, seconds=-305)
    with pytest.raises(WebhookRefused):
        stripe.gateway().verify_webhook(sent.body, sent.headers, now())
