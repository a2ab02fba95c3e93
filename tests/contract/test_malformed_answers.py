"""A provider that answers 200 with something else than it documents: nothing is concluded from it, nothing breaks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from domain.methods import PaymentMethod
from domain.money import Money
from domain.outcome import InDoubt, NotSent
from domain.payment import Verb
from gateways.base import Order
from gateways.stripe.gateway import StripeGateway

from .bench import SECONDS
from .served import answering

ORDER = Order(
    payment_id="pay_1",
    attempt_id="at_1",
    verb=Verb.CHARGE,
    money=Money(1000, "EUR"),
    method=PaymentMethod.CREDIT_CARD,
    method_token="pm_card_visa",
    customer_token=None,
    is_off_session=False,
    wants_authentication=False,
    return_url=None,
    reference="pi_1",
    charge_reference="pi_1",
    retries=0,
)


@pytest.fixture(params=[b"{}", b'{"id": "pi_1"}', b'{"id": "pi_1", "status": "succeeded", "currency": null}', b"[]"])
def gateway(request: pytest.FixtureRequest) -> Iterator[StripeGateway]:
    """A gateway whose provider answers every call with the same nonsense."""
    with answering((200, request.param)) as served:
        yield StripeGateway("sk_test_sandbox", ("whsec_x",), served.url, read_seconds=SECONDS)


def test_a_confirm_is_in_doubt(gateway: StripeGateway) -> None:
    assert isinstance(gateway.charge(ORDER, lambda reference: None), InDoubt)


def test_nothing_is_remembered_of_an_intent_without_an_id(gateway: StripeGateway) -> None:
    remembered: list[str] = []
    outcome = gateway.charge(replace(ORDER, reference=None), remembered.append)
    assert isinstance(outcome, InDoubt) if remembered else isinstance(outcome, NotSent)
    assert all(remembered)


@pytest.mark.parametrize("verb", [Verb.CAPTURE, Verb.VOID, Verb.REFUND])
def test_an_operation_is_in_doubt(gateway: StripeGateway, verb: Verb) -> None:
    order = replace(ORDER, verb=verb, reference=None)
    assert isinstance(getattr(gateway, verb)(order), InDoubt)


INTENT = {"id": "pi_1", "status": "succeeded", "currency": "eur", "amount": 1000, "amount_received": 1000}


@pytest.mark.parametrize(
    ("changes", "reason"), [({"id": "pi_2"}, "another_object"), ({"currency": "jpy"}, "another_currency")]
)
def test_another_intent_is_never_believed(changes: dict[str, str], reason: str) -> None:
    with answering((200, json.dumps(INTENT | changes).encode())) as served:
        gateway = StripeGateway("sk_test_sandbox", ("whsec_x",), served.url, read_seconds=SECONDS)
        outcomes = [gateway.retrieve(ORDER), gateway.charge(ORDER, lambda reference: None)]
        for verb in (Verb.CAPTURE, Verb.VOID):
            outcomes.append(getattr(gateway, verb)(replace(ORDER, verb=verb)))
    assert outcomes == [InDoubt(reason, "pi_1")] * 4


def test_another_refund_is_never_believed() -> None:
    refund = b'{"id": "re_2", "object": "refund", "status": "succeeded", "currency": "eur", "amount": 1000}'
    with answering((200, refund)) as served:
        gateway = StripeGateway("sk_test_sandbox", ("whsec_x",), served.url, read_seconds=SECONDS)
        asked = replace(ORDER, verb=Verb.REFUND, reference="re_1")
        assert gateway.retrieve(asked) == InDoubt("another_object", "re_1")


@pytest.mark.parametrize("verb", [Verb.CHARGE, Verb.REFUND])
def test_a_look_up_says_nothing(gateway: StripeGateway, verb: Verb) -> None:
    assert isinstance(gateway.retrieve(replace(ORDER, verb=verb)), InDoubt)
