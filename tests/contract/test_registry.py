"""Every provider that can be configured has a bench in the suite, a sandbox, and a line in the capability table."""

from __future__ import annotations

from domain.payment_methods import CAPABILITIES, PaymentMethod
from gateways.registry import PROVIDERS, front_end_gateway, saved_methods_gateway
from sandbox.server import RunningSandbox
from tests.contract.conftest import PROVIDERS as BENCHES

# Without a network and without books of its own: an operator records the money.
BY_HAND = {"manual"}


def test_every_provider_is_put_through_the_suite() -> None:
    assert set(PROVIDERS) - BY_HAND <= {bench.provider for bench in BENCHES}


def test_every_provider_is_simulated(sandbox: RunningSandbox) -> None:
    assert len(sandbox.state.providers) == len(set(PROVIDERS) - BY_HAND)


def test_every_provider_has_a_method_and_every_method_a_provider() -> None:
    assert {one.provider for one in CAPABILITIES} == set(PROVIDERS)
    assert {one.method for one in CAPABILITIES} == set(PaymentMethod)


def test_the_benches_agree_with_the_capability_table() -> None:
    for bench in (bench for bench in BENCHES if bench.provider in PROVIDERS):
        lines = [one for one in CAPABILITIES if one.provider == bench.provider and one.method is bench.method]
        assert lines, bench.provider
        assert all(one.is_capturable_later == ("authorize" in bench.features) for one in lines)


def test_a_capability_is_found_whatever_the_provider_is_called(sandbox: RunningSandbox) -> None:
    gateways = {bench.provider: bench(sandbox).gateway() for bench in BENCHES if bench.provider in PROVIDERS}
    able = [bench.provider for bench in BENCHES if "front_end" in bench.features]
    assert front_end_gateway(gateways) is gateways[able[0]]
    assert saved_methods_gateway(gateways) is gateways[able[0]]
    others = {name: gateway for name, gateway in gateways.items() if name not in able}
    assert front_end_gateway(others) is saved_methods_gateway(others) is None
