"""Every gateway: what moves has the time at which the provider says it moved, and never ours."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from domain.outcome import Approved
from domain.payment import Verb
from gateways.base import AttemptRequest, Gateway
from sandbox.server import RunningSandbox
from sandbox.state import Settings

from .bench import Bench, ready_attempt

# Providers show whole seconds.
_SHOWN = timedelta(seconds=1)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[RunningSandbox]:
    """A sandbox of its own, whose clock is ahead of ours: our time is none that it could show."""
    with RunningSandbox(Settings(seed=1)) as running:
        running.state.clock.advance(30)
        yield running


def moved_at(sandbox: RunningSandbox, payment_id: str) -> datetime:
    """Return when the provider's ledger shows the last movement of a payment's money."""
    rows = sandbox.state.ledger.movements
    return datetime.fromtimestamp(max(row.at for row in rows if row.metadata.get("payment_id") == payment_id), UTC)


def charged(provider: Bench, gateway: Gateway, verb: Verb) -> tuple[AttemptRequest, Approved]:
    """Return a successful charge or authorization, and its outcome."""
    attempt = ready_attempt(provider, verb, gateway=gateway)
    outcome = gateway.charge(attempt, lambda _: None)
    assert isinstance(outcome, Approved)
    return replace(attempt, reference=outcome.reference), outcome


def operation(first: AttemptRequest, verb: Verb) -> AttemptRequest:
    """Return an operation on all the money of a charge."""
    names = {"attempt_id": f"at_{secrets.token_hex(8)}", "reference": None, "charge_reference": first.reference}
    return replace(first, verb=verb, method_token=None, **names)


def is_shown(outcome: object, at: datetime) -> bool:
    """Tell whether an outcome has the provider's time of its money."""
    assert isinstance(outcome, Approved)
    return outcome.at is not None and outcome.at.tzinfo is not None and at - _SHOWN < outcome.at <= at


def test_a_captured_charge_has_the_provider_s_time(provider: Bench, gateway: Gateway, sandbox: RunningSandbox) -> None:
    first, outcome = charged(provider, gateway, Verb.CHARGE)
    at = moved_at(sandbox, first.payment_id)
    assert outcome.captured
    assert is_shown(outcome, at)
    assert is_shown(gateway.retrieve(first), at)


@pytest.mark.needs("refund")
def test_a_refund_has_the_provider_s_time(provider: Bench, gateway: Gateway, sandbox: RunningSandbox) -> None:
    refund = operation(charged(provider, gateway, Verb.CHARGE)[0], Verb.REFUND)
    outcome = gateway.refund(refund)
    at = moved_at(sandbox, refund.payment_id)
    assert isinstance(outcome, Approved)
    assert is_shown(outcome, at)
    assert is_shown(gateway.retrieve(replace(refund, reference=outcome.reference)), at)


@pytest.mark.needs("authorize")
def test_held_money_has_the_provider_s_time(provider: Bench, gateway: Gateway, sandbox: RunningSandbox) -> None:
    first, outcome = charged(provider, gateway, Verb.AUTHORIZE)
    at = moved_at(sandbox, first.payment_id)
    assert outcome.authorized
    assert is_shown(outcome, at)
    assert is_shown(gateway.retrieve(first), at)
