"""`payments fraud`: what the fraud score goes by, and how well it does."""

from __future__ import annotations

import click

from worker.commands.fraud_explain import explain
from worker.commands.fraud_label import label
from worker.commands.fraud_lists import lists
from worker.commands.fraud_rules import rules
from worker.commands.fraud_statistics import statistics


@click.group()
def fraud() -> None:
    """What the fraud score goes by, and how well it does."""


for command in (explain, rules, lists, label, statistics):
    fraud.add_command(command)
