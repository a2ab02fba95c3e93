"""`payments compare`: compares the books with the providers now."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import click

from domain.comparison import Window
from gateways.base import Gateway, GatewayError, VerifiedWebhook
from gateways.capabilities import EventListing, RefundListing
from models.cash_balances import ask_for_readings_since
from runtime import Runtime
from runtime.credentials import watching_readings
from tasks.at_rest import compare_since
from tasks.compare import comparable
from tasks.event_lists import fetch_events
from worker.commands.open_runtime import ACTOR, fail, open_runtime

_DEFAULT_DAYS = 90


@click.command()
@click.option("--provider", help="Only this provider; default: every one that can be compared.")
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="The day (UTC) since when; default: 90 days ago.")
@click.option("--dry-run", is_flag=True, help="Store and book nothing; show what would be.")
def compare(provider: str | None, since: datetime | None, *, dry_run: bool) -> None:
    """Fetch the events that no webhook has brought, then compare money that was taken or is held with what its
    provider shows, and book what moved elsewhere. Workers then read the cash balances of customers who have an account
    number."""
    with open_runtime() as runtime:
        gateways = comparable(runtime)
        if provider is not None and provider not in gateways:
            fail(f"{provider} is not configured here, or shows too little; use one of {', '.join(gateways) or 'none'}")
        begin = since.replace(tzinfo=UTC) if since else runtime.clock.now() - timedelta(days=_DEFAULT_DAYS)
        if begin > runtime.clock.now():
            fail(f"--since {begin:%Y-%m-%d} is in the future; name a day up to today")
        chosen = [provider] if provider else list(gateways)
        failed = [name for name in chosen if not _compare_watched(runtime, gateways[name], begin, is_dry_run=dry_run)]
    if failed:
        fail(f"not everything could be compared with {', '.join(failed)}; the log says why")


def _compare_watched(runtime: Runtime, gateway: Gateway, begin: datetime, *, is_dry_run: bool) -> bool:
    with nullcontext() if is_dry_run else watching_readings(runtime, ACTOR, gateway.provider):
        return _compare(runtime, gateway, begin, is_dry_run=is_dry_run)


def _compare(runtime: Runtime, gateway: Gateway, begin: datetime, *, is_dry_run: bool) -> bool:
    """Compare with one provider; return whether that was possible for everything."""
    is_read = not isinstance(gateway, EventListing) or _fetch(runtime, gateway, begin, is_dry_run=is_dry_run)
    if not isinstance(gateway, RefundListing):
        return is_read
    counts = compare_since(runtime, gateway, begin, is_dry_run=is_dry_run, tell=_tell_difference)
    if not is_dry_run:
        runtime.publish(runtime.change(ACTOR, ask_for_readings_since, gateway.provider, begin))
    found = "differences that would be booked" if is_dry_run else "differences booked"
    click.echo(f"{gateway.provider}: {counts.compared} attempts compared, {found}: {counts.found}")
    return is_read and not counts.failed and not counts.is_cut


def _fetch(runtime: Runtime, gateway: EventListing, begin: datetime, *, is_dry_run: bool) -> bool:
    now = runtime.clock.now()
    window = Window(max(begin, now - gateway.events_kept), now)
    try:
        counts = fetch_events(runtime, gateway, window, is_dry_run=is_dry_run, tell=_tell_event)
    except GatewayError as error:
        click.echo(f"{gateway.provider}: its events cannot be read: {error}", err=True)
        return False
    found = "would be stored" if is_dry_run else "stored"
    click.echo(f"{gateway.provider}: {counts.listed} events read, {counts.missing} {found} that no webhook brought")
    return True


def _tell_event(provider: str, event: VerifiedWebhook) -> None:
    click.echo(f"  {event.event_id}  {event.type}")


def _tell_difference(provider: str, payment_id: str, what: str) -> None:
    click.echo(f"  {payment_id}  {what}")
