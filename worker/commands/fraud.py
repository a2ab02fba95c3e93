"""`payments fraud`: what the fraud score goes by, and how well it does."""

from __future__ import annotations

import click

from worker.commands.fraud_lists import lists


@click.group()
def fraud() -> None:
    """What the fraud score goes by, and how well it does."""


fraud.add_command(lists)
