"""`payments dunning simulate`: compares dunning policies on a model of customers, or on one's own first failures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from domain.dunning.policy import SHIPPED, STANDARD
from domain.simulation.customer_model import Customer
from domain.simulation.play import CODE_BLIND, Strategy
from worker.commands.campaign import bar, named, require_outputs, write
from worker.commands.open_runtime import fail
from worker.dunning_file import read_dunning_file
from worker.simulation_history import COLUMNS, OwnHistory, read_history
from worker.simulation_plot import draw
from worker.simulation_report import Simulation, to_json, to_text
from worker.simulation_run import RESAMPLES, model_customers, play_all, spreads_of

_DEFAULT_POLICIES = ("standard", "strong")
_DEFAULT_CUSTOMERS = 5000
_MOST_CUSTOMERS = 1_000_000
_COLUMNS_HELP = f"First failures of your own, instead of the model's. Columns: {', '.join(COLUMNS)}."
_File = click.Path(path_type=Path)


@click.command()
@click.option(
    "--policy",
    "policies",
    multiple=True,
    metavar="NAME|FILE",
    help=f"{', '.join(SHIPPED)}, or a file of policies; several times. Default: {' and '.join(_DEFAULT_POLICIES)}.",
)
@click.option("--csv", "history", type=_File, help=_COLUMNS_HELP)
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same bytes.")
@click.option("--customers", type=int, help=f"Of the model; default: {_DEFAULT_CUSTOMERS}.")
@click.option("--json", "json_file", type=_File, help="Write all figures to this file.")
@click.option("--plot", "picture", type=_File, help="Draw them into this file: .png or .svg.")
def simulate(
    policies: tuple[str, ...],
    history: Path | None,
    seed: int,
    customers: int | None,
    json_file: Path | None,
    picture: Path | None,
) -> None:
    """Compare dunning policies with each other, and with code_blind: a retry on days 3, 7 and 14 after every decline,
    whatever it says. No database and no provider is used."""
    try:
        strategies = _strategies(policies or _DEFAULT_POLICIES)
        _require_possible(history, customers)
        require_outputs(json_file, picture=picture)
        own = named(history, lambda file: read_history(file, str(seed))) if history is not None else None
    except ValueError as error:
        fail(str(error))
    simulation = _simulate(strategies, own, str(seed), customers or _DEFAULT_CUSTOMERS)
    write(json_file, to_json(simulation) if json_file is not None else "")
    try:
        if picture is not None:
            draw(simulation, picture)
    except OSError as error:
        fail(f"{error.filename}: cannot be written: {error.strerror}")
    click.echo(to_text(simulation))


def _simulate(strategies: Sequence[Strategy], own: OwnHistory | None, seed: str, customers: int) -> Simulation:
    everybody: Iterable[Customer] = own.customers if own is not None else model_customers(seed, customers)
    number = len(own.customers) if own is not None else customers
    with bar("playing customers", number) as done:
        results = play_all(everybody, strategies, done)
    with bar("drawing ranges", RESAMPLES) as done:
        spreads = spreads_of(results, seed, done)
    return Simulation(seed, results, spreads, own.paid_after if own is not None else None)


def _strategies(named: Sequence[str]) -> list[Strategy]:
    """Return the strategies that are named, the baseline first. Raises ValueError."""
    found = [CODE_BLIND]
    for name in dict.fromkeys(named):
        if name != CODE_BLIND.name:
            found += _shipped_or_in_file(name)
    names = [each.name for each in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"two policies are named {', '.join(twice)}; give one of them another name")
    return found


def _shipped_or_in_file(name: str) -> list[Strategy]:
    if name in SHIPPED:
        return [Strategy(name, SHIPPED[name])]
    file = Path(name)
    if not file.exists():
        known = ", ".join([CODE_BLIND.name, *SHIPPED])
        raise ValueError(f"--policy {name}: there is no such file, and no such policy; the shipped ones are {known}")
    policies = named(file, lambda file: read_dunning_file(file, STANDARD)).policies
    own = [Strategy(each, policy) for each, policy in policies.items() if each not in SHIPPED]
    if not own:
        raise ValueError(f"{name}: has no [policy.NAME] table")
    return own


def _require_possible(history: Path | None, customers: int | None) -> None:
    if history is not None and customers is not None:
        raise ValueError("--customers is for the model; --csv brings its own")
    if customers is not None and not 1 <= customers <= _MOST_CUSTOMERS:
        raise ValueError(f"--customers must be from 1 to {_MOST_CUSTOMERS}")
