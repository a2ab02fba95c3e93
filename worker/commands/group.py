"""The group `payments`, which an entry point of the wheel attaches to the `celery` command."""

from __future__ import annotations

import click

from worker.commands.api_keys import keys
from worker.commands.attention import attention
from worker.commands.compare import compare
from worker.commands.database import db
from worker.commands.dunning import dunning
from worker.commands.erase import erase
from worker.commands.fraud import fraud
from worker.commands.fraud_reviews import reviews
from worker.commands.ledger import ledger
from worker.commands.payments import show
from worker.commands.providers import providers
from worker.commands.sandbox import sandbox


@click.group()
def payments() -> None:
    """Celeriac: database, API keys, payments, what needs a person, dunning, fraud, books, providers, sandbox."""


for command in (db, keys, show, attention, dunning, fraud, reviews, erase, ledger, compare, providers, sandbox):
    payments.add_command(command)
