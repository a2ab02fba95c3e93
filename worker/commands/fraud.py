"""`payments fraud`: what the fraud score goes by, and how well it does."""

from __future__ import annotations

import click

from worker.commands.fraud_explain import explain
from worker.commands.fraud_label import label
from worker.commands.fraud_lists import lists
from worker.commands.fraud_rules import rules


@click.group()
def fraud() -> None:
    """What the fraud score goes by, and how well it does."""


for command in (explain, rules, lists, label):
    fraud.add_command(command)
