"""`payments fraud`: what the fraud score goes by, why a payment was scored so, and how good the scores are."""

from __future__ import annotations

import click

from worker.commands.fraud_backtest import backtest
from worker.commands.fraud_brake import brake
from worker.commands.fraud_explain import explain
from worker.commands.fraud_fit import fit
from worker.commands.fraud_label import label
from worker.commands.fraud_lists import lists
from worker.commands.fraud_rules import rules
from worker.commands.fraud_statistics import statistics


@click.group()
def fraud() -> None:
    """Fraud scores: what decides them, and how good they are."""


for command in (explain, rules, lists, label, statistics, brake, backtest, fit):
    fraud.add_command(command)
