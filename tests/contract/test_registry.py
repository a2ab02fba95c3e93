"""Every provider that can be configured has a bench in the suite, an imitation, and a line in the capability table."""

from __future__ import annotations

from domain.payment_methods import CAPABILITIES, PaymentMethod
from gateways.registry import PROVIDERS
from sandbox.server import RunningSandbox
from tests.contract.conftest import PROVIDERS as BENCHES

# No network and no books of its own: an operator's record.
BY_HAND = {"manual"}


def test_every_provider_is_put_through_the_suite() -> None:
    assert set(PROVIDERS) - BY_HAND <= {bench.provider for bench in BENCHES}


def test_every_provider_is_imitated(sandbox: RunningSandbox) -> None:
    assert len(sandbox.state.providers) == len(set(PROVIDERS) - BY_HAND)


def test_every_provider_can_do_something_and_every_method_is_somebodys() -> None:
    assert {one.provider for one in CAPABILITIES} == set(PROVIDERS)
    assert {one.method for one in CAPABILITIES} == set(PaymentMethod)


def test_the_benches_say_what_the_table_says() -> None:
    for bench in (bench for bench in BENCHES if bench.provider in PROVIDERS):
        lines = [one for one in CAPABILITIES if one.provider == bench.provider and one.method is bench.method]
        assert lines, bench.provider
        assert all(one.is_capturable_later == ("authorize" in bench.features) for one in lines)
