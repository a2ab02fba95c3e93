"""`payments compare`: compares the books with the providers now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from domain.comparison import ShownRefund
from models import comparisons
from models.cash_balances import ask_for_readings_since
from models.comparisons import Charge
from tasks.compare import compare_charges, listing_providers
from worker.commands.open_runtime import ACTOR, fail, open_runtime

_DEFAULT_DAYS = 90


@click.command()
@click.option("--provider", help="Only this provider; default: every one that shows refunds.")
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="The day (UTC) since when money was booked.")
@click.option("--dry-run", is_flag=True, help="Book nothing; show what would be taken in.")
def compare(provider: str | None, since: datetime | None, *, dry_run: bool) -> None:
    """Compare captured money with what its provider shows, and take in refunds that were made elsewhere.

    Workers then read the cash balances of customers who have an account number."""
    with open_runtime() as runtime:
        names = listing_providers(runtime)
        if provider is not None and provider not in names:
            fail(f"{provider} is not configured here, or shows no refunds; use one of {', '.join(names) or 'none'}")
        begin = since.replace(tzinfo=UTC) if since else runtime.clock.now() - timedelta(days=_DEFAULT_DAYS)
        failed = 0
        for name in [provider] if provider else names:
            charges = runtime.read(comparisons.charges_since, name, begin)
            counts = compare_charges(runtime, name, charges, is_dry_run=dry_run, tell=_tell)
            failed += counts.failed
            found = "would be taken in" if dry_run else "taken in"
            if not dry_run:
                runtime.publish(runtime.change(ACTOR, ask_for_readings_since, name, begin))
            click.echo(f"{name}: {counts.compared} charges compared, {counts.taken_in} refunds {found}")
    if failed:
        fail(f"{failed} charges could not be compared; the log says why")


def _tell(charge: Charge, refund: ShownRefund) -> Any:
    click.echo(f"  {charge.attempt_id}  refund {refund.reference}  {type(refund.outcome).__name__.lower()}")
