"""Stripe's events that tell of fraud: cards that could not be saved, and early fraud warnings of issuers.

Sources: docs.stripe.com/api/events/types, /api/setup_intents and /api/radar/early_fraud_warnings, and the SDK 16.1.0,
read 2026-11-29."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from domain.outcome import AuthenticationRequired, Declined
from domain.saved_method import FailedSetup
from gateways.base import SideEvent, WebhookEvent
from gateways.failures import reason_word
from gateways.provider_model import ProviderModel, Text, Word
from gateways.stripe.instruments import Mark
from gateways.stripe.responses import PaymentError, outcome_of_failed_confirm

SETUP_FAILED = "setup_intent.setup_failed"
FRAUD_WARNING = "radar.early_fraud_warning.created"
TYPES = frozenset({SETUP_FAILED, FRAUD_WARNING})
# The issuer's word for the fraud. Whatever it is, it is one.
_FRAUD_TYPES = frozenset(
    {
        "card_never_received",
        "fraudulent_card_application",
        "made_with_counterfeit_card",
        "made_with_lost_card",
        "made_with_stolen_card",
        "misc",
        "unauthorized_use_of_card",
    }
)


class _Named(ProviderModel):
    id: Text


class _FailedSetupIntent(ProviderModel):
    """A SetupIntent. `latest_attempt`: the id of its newest try."""

    object: Literal["setup_intent"]
    id: Text
    customer: _Named | str | None = None
    last_setup_error: PaymentError | None = None
    latest_attempt: Mark = None


class EarlyFraudWarning(ProviderModel):
    """A warning about a charge. `payment_intent`: null of a charge without one. `actionable`: the charge has no dispute
    yet and was not refunded in full."""

    object: Literal["radar.early_fraud_warning"]
    id: Text
    charge: _Named | Text
    payment_intent: _Named | str | None = None
    fraud_type: Word = None
    actionable: bool | None = None


def about_fraud(type: str, value: dict[str, Any], at: datetime) -> WebhookEvent | None:
    """Return what an event of one of `TYPES` says; None where neither issuer nor cardholder has refused a setup, and
    for a charge that no payment of ours can have made. Raises MalformedResponse."""
    return _about_warning(value) if type == FRAUD_WARNING else _about_setup(value, at)


def _about_setup(value: dict[str, Any], at: datetime) -> WebhookEvent | None:
    intent = _FailedSetupIntent.parse(value)
    error = intent.last_setup_error
    if error is None:
        return None
    refused = outcome_of_failed_confirm(intent.id, error)
    if not isinstance(refused, Declined | AuthenticationRequired):
        return None
    failed = FailedSetup(
        intent.id,
        at,
        _name(intent.customer),
        refused.decline,
        refused.instrument,
        refused.checks,
        intent.latest_attempt or refused.try_reference,
    )
    return WebhookEvent("", None, None, failed_setup=failed)


def _about_warning(value: dict[str, Any]) -> WebhookEvent | None:
    warning = EarlyFraudWarning.parse(value)
    intent = _name(warning.payment_intent)
    if not intent:
        return None
    if warning.fraud_type not in _FRAUD_TYPES:
        warning.log_unknown("fraud_type")
    data = {
        "reference": warning.id,
        "charge": _name(warning.charge) or "",
        "fraud_type": reason_word(warning.fraud_type, "unknown"),
        "actionable": "unknown" if warning.actionable is None else str(warning.actionable).lower(),
    }
    return WebhookEvent(intent, None, None, side_event=SideEvent("early_fraud_warning_received", data))


def _name(named: _Named | str | None) -> str | None:
    return named.id if isinstance(named, _Named) else named
