"""The providers of the contract suite: whatever has a bench, each with the cases that it can do."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

import pytest

from domain.payment import Verb
from gateways.base import Gateway
from sandbox.server import RunningSandbox
from sandbox.state import Settings

from . import benches
from .afterpay_wire import Wire, running
from .bench import Bench, Books
from .benches.afterpay import ProviderBench as AfterpayBench
from .benches.coinbase import ProviderBench as CoinbaseBench
from .benches.coinbase_commerce import ProviderBench as CommerceBench
from .benches.paypal import ProviderBench as PayPalBench
from .served import Served, serving

PROVIDERS = tuple(
    importlib.import_module(f"{benches.__name__}.{module.name}").ProviderBench
    for module in pkgutil.iter_modules(benches.__path__)
)

# What a provider has to have for an operation.
_OPERATIONS = {Verb.CAPTURE: "authorize", Verb.VOID: "authorize", Verb.REFUND: "refund"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a case with every provider that has what it `needs`, for each of the `cards` or `operations` that it has."""
    if "provider" not in metafunc.fixturenames:
        return
    needed = {name for marker in metafunc.definition.iter_markers("needs") for name in marker.args}
    able = [kind for kind in PROVIDERS if needed <= kind.features | kind.tokens.keys()]
    verbs = [verb for marker in metafunc.definition.iter_markers("operations") for verb in marker.args]
    if verbs:
        possible = [(kind, verb) for kind in able for verb in verbs if _OPERATIONS[verb] in kind.features]
        ids = [f"{kind.provider}-{verb}" for kind, verb in possible]
        metafunc.parametrize(("provider", "verb"), possible, indirect=["provider"], ids=ids)
        return
    names = [name for marker in metafunc.definition.iter_markers("cards") for name in marker.args]
    if not names:
        metafunc.parametrize("provider", able, indirect=True, ids=[kind.provider for kind in able])
        return
    pairs = [(kind, card) for kind in able for card in names if card in kind.tokens]
    ids = [f"{kind.provider}-{card}" for kind, card in pairs]
    metafunc.parametrize(("provider", "card"), pairs, indirect=["provider"], ids=ids)


@pytest.fixture(autouse=True)
def _bodies_may_be_deep(collection_between_tests: None) -> None:
    """Tests of this suite parse bodies that use up the stack."""


@pytest.fixture(scope="session")
def sandbox() -> Iterator[RunningSandbox]:
    """One sandbox for the whole suite: each test has payments of its own."""
    with RunningSandbox(Settings(seed=1)) as running:
        yield running


@pytest.fixture
def provider(request: pytest.FixtureRequest, sandbox: RunningSandbox) -> Iterator[Bench]:
    """Each provider in turn, without faults."""
    yield request.param(sandbox)
    sandbox.state.faults.clear()


@pytest.fixture
def gateway(provider: Bench) -> Gateway:
    """The provider's gateway."""
    return provider.gateway()


@pytest.fixture
def afterpay(sandbox: RunningSandbox) -> Iterator[AfterpayBench]:
    """Afterpay's bench, without faults."""
    yield AfterpayBench(sandbox)
    sandbox.state.faults.clear()


@pytest.fixture
def coinbase(sandbox: RunningSandbox) -> Iterator[CoinbaseBench]:
    """Coinbase Business's bench, without faults."""
    yield CoinbaseBench(sandbox)
    sandbox.state.faults.clear()


@pytest.fixture
def commerce(sandbox: RunningSandbox) -> Iterator[CommerceBench]:
    """Coinbase Commerce's bench, without faults."""
    yield CommerceBench(sandbox)
    sandbox.state.faults.clear()


@pytest.fixture
def wire(sandbox: RunningSandbox) -> Iterator[Wire]:
    """What Afterpay's gateway may talk through."""
    with running(f"{sandbox.url}/afterpay") as opened:
        yield opened


@pytest.fixture
def books(sandbox: RunningSandbox) -> Books:
    """The provider's ledger."""
    return Books(sandbox)


@pytest.fixture
def paypal(sandbox: RunningSandbox) -> Iterator[PayPalBench]:
    """PayPal's bench, without faults."""
    yield PayPalBench(sandbox)
    sandbox.state.faults.clear()


@pytest.fixture
def served() -> Iterator[Served]:
    """A server that responds with the page at each path."""
    with serving(lambda sent: served.pages.get(sent.path, (404, b""))) as served:
        yield served
