"""Every gateway: a response without a documented field proves nothing, and the log names the field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from domain.outcome import InDoubt, NotSent, Outcome
from domain.payment import Verb
from gateways.base import AttemptRequest, Gateway
from gateways.provider_model import ProviderModel

from .bench import Bench, Books, new_attempt, ready_attempt
from .planted import PlantedFault, genuine_parse
from .test_gateway_operations import call, charged, operation

Prepare = Callable[[], AttemptRequest]
Call = Callable[[AttemptRequest], Outcome]


def required_field(model: type[ProviderModel]) -> str | None:
    """Return the name that the first required field of a model has on the wire; None for a model without one."""
    required = ((field.alias or name) for name, field in model.model_fields.items() if field.is_required())
    return next(required, None)


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> PlantedFault:
    """A response without its first required field, or of another type, at one of the places where one is read."""

    def misread(model: type[ProviderModel], value: Any) -> Any:
        missing = required_field(model)
        if missing is None or not isinstance(value, dict):
            return genuine_parse(model, 7)
        return genuine_parse(model, {name: each for name, each in value.items() if name != missing})

    return PlantedFault(monkeypatch, misread)


@pytest.fixture
def proves_nothing(
    planted: PlantedFault, books: Books, caplog: pytest.LogCaptureFixture
) -> Callable[[Prepare, Call], int]:
    """A check that calls a verb once for each place where it reads a response; it returns how many there are."""

    def check(prepare: Prepare, call: Call) -> int:
        count = 0
        for place in planted.places():
            prepared = prepare()
            before = books.movements(prepared.payment_id)
            caplog.clear()
            planted.arm(place)
            outcome = call(prepared)
            if planted.model is None:
                continue
            count = place
            field = required_field(planted.model)
            named = ".".join(filter(None, (planted.model.__name__, field)))
            assert f"malformed provider response: {named}" in caplog.messages
            if isinstance(outcome, NotSent):
                # The response before the call that moves money, such as the one with an access token.
                assert outcome.is_retryable
                assert books.movements(prepared.payment_id) == before
            else:
                assert isinstance(outcome, InDoubt), named
                assert outcome.reason == "malformed_response"
        return count

    return check


def test_a_malformed_response_to_a_new_charge(
    provider: Bench, gateway: Gateway, proves_nothing: Callable[[Prepare, Call], int]
) -> None:
    assert proves_nothing(lambda: new_attempt(provider), lambda one: gateway.charge(one, lambda _: None))


def test_a_malformed_response_to_a_charge_or_its_look_up(
    provider: Bench, gateway: Gateway, proves_nothing: Callable[[Prepare, Call], int]
) -> None:
    assert proves_nothing(lambda: ready_attempt(provider), lambda one: gateway.charge(one, lambda _: None))
    assert proves_nothing(lambda: charged(provider, gateway), gateway.retrieve)


@pytest.mark.operations(Verb.CAPTURE, Verb.VOID, Verb.REFUND)
def test_a_malformed_response_to_an_operation_or_its_look_up(
    provider: Bench, gateway: Gateway, proves_nothing: Callable[[Prepare, Call], int], verb: Verb
) -> None:
    def new() -> AttemptRequest:
        return operation(charged(provider, gateway, Verb.CHARGE if verb is Verb.REFUND else Verb.AUTHORIZE), verb)

    def done() -> AttemptRequest:
        sent = new()
        call(gateway, sent)
        return sent

    # A provider may accept an operation with an empty body: then only the look-up reads something.
    proves_nothing(new, lambda one: call(gateway, one))
    assert proves_nothing(done, gateway.retrieve)
