"""Every gateway: a bug in the gateway's own code is raised, and is never taken for a provider's response.

A gateway that turned an AttributeError into doubt would leave every payment in doubt without a traceback."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from domain.payment import Verb
from gateways.base import AttemptRequest, Gateway

from .bench import Bench, new_attempt, now, ready_attempt
from .planted import PlantedFault
from .test_gateway_operations import call, charged, operation

Verbs = Callable[[AttemptRequest], Any]


class PlantedBug(AttributeError, LookupError, TypeError, ValueError, ArithmeticError):
    """Every kind of error that a typo raises, at once: a handler of any of them catches this one."""


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> PlantedFault:
    """A bug at one of the places where the gateway reads a response."""

    def misread(model: type[Any], value: Any) -> Any:
        raise PlantedBug(model.__name__)

    return PlantedFault(monkeypatch, misread)


def raised_at(planted: PlantedFault, prepare: Callable[[], AttemptRequest], verb: Verbs) -> int:
    """Call the verb once for each place where it reads a response, with the bug there; return how many there are."""
    reached = 0
    for place in planted.places():
        prepared = prepare()
        planted.arm(place)
        try:
            verb(prepared)
        except PlantedBug:
            reached = place
        else:
            assert planted.model is None, f"the bug in reading {planted.model} was swallowed"
    return reached


def test_a_bug_is_raised_by_the_call_that_opens_a_charge(
    provider: Bench, gateway: Gateway, planted: PlantedFault
) -> None:
    assert raised_at(planted, lambda: new_attempt(provider), lambda one: gateway.charge(one, lambda _: None))


def test_a_bug_is_raised_by_a_charge_and_its_look_up(provider: Bench, gateway: Gateway, planted: PlantedFault) -> None:
    assert raised_at(planted, lambda: ready_attempt(provider), lambda one: gateway.charge(one, lambda _: None))
    assert raised_at(planted, lambda: charged(provider, gateway), gateway.retrieve)


@pytest.mark.needs("authorize")
def test_a_bug_is_raised_by_an_authorization_and_its_look_up(
    provider: Bench, gateway: Gateway, planted: PlantedFault
) -> None:
    held = Verb.AUTHORIZE
    assert raised_at(planted, lambda: ready_attempt(provider, held), lambda one: gateway.charge(one, lambda _: None))
    assert raised_at(planted, lambda: charged(provider, gateway, held), gateway.retrieve)


@pytest.mark.operations(Verb.CAPTURE, Verb.VOID, Verb.REFUND)
def test_a_bug_is_raised_by_an_operation_and_its_look_up(
    provider: Bench, gateway: Gateway, planted: PlantedFault, verb: Verb
) -> None:
    def new() -> AttemptRequest:
        return operation(charged(provider, gateway, Verb.CHARGE if verb is Verb.REFUND else Verb.AUTHORIZE), verb)

    def done() -> AttemptRequest:
        sent = new()
        return replace(sent, reference=call(gateway, sent).reference)

    # A provider may accept an operation with an empty body: then only the look-up reads something.
    raised_at(planted, new, lambda one: call(gateway, one))
    assert raised_at(planted, done, gateway.retrieve)
    assert raised_at(planted, lambda: replace(done(), reference=None), gateway.retrieve)


@pytest.mark.needs("webhooks")
def test_a_bug_is_raised_by_reading_a_webhook(provider: Bench, gateway: Gateway, planted: PlantedFault) -> None:
    payloads: list[str] = []

    def received() -> AttemptRequest:
        first = charged(provider, gateway)
        sent = provider.signed(provider.event(first.reference))
        payloads.append(gateway.verify_webhook(sent.body, sent.headers, now(), sent.url).payload)
        return first

    assert raised_at(planted, received, lambda _: gateway.read_webhook(payloads[-1]))
