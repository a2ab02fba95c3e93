"""`payments fraud`: how well a rule set tells fraud from genuine payments, and points that are fitted to them."""

from __future__ import annotations

import click

from worker.commands.fraud_backtest import backtest
from worker.commands.fraud_fit import fit


@click.group()
def fraud() -> None:
    """Fraud scores: what decides them, and how good they are."""


for command in (backtest, fit):
    fraud.add_command(command)
