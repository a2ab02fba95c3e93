"""`payments attention`: what needs a person, and what they decide about it."""

from __future__ import annotations

from typing import Any

import click

from domain.attention import Reason
from models.attention_actions import resolve_entry
from models.idempotency import Caller
from models.queries import list_entries, show_entry
from models.request_bodies import ResolveEntry
from worker.commands.open_runtime import ACTOR, open_runtime
from worker.commands.payments import print_movements

_MOST_ENTRIES = 200


@click.group()
def attention() -> None:
    """What needs a person."""


@attention.command("list")
@click.option("--reason", type=click.Choice([reason.value for reason in Reason]), help="Only entries with this reason.")
@click.option("--all", "is_all", is_flag=True, help="Closed entries as well.")
def list_command(reason: str | None, *, is_all: bool) -> None:
    """List the open entries, oldest first."""
    after, only = None, Reason(reason) if reason else None
    is_open = None if is_all else True
    with open_runtime() as runtime:
        while page := runtime.read(list_entries, None, is_open=is_open, reason=only, after=after, limit=_MOST_ENTRIES):
            for entry in page:
                click.echo(_line(entry))
            after = page[-1]["id"]


@attention.command()
@click.argument("entry_id")
def show(entry_id: str) -> None:
    """Show an entry, its payment with the movements, and what may be decided."""
    with open_runtime() as runtime:
        entry = runtime.read(show_entry, entry_id, None)
    _print_entry(entry)


@attention.command()
@click.argument("entry_id")
@click.option("--action", required=True, help="One of the actions that `show` names.")
@click.option("--note", required=True, help="Why; it is kept in the audit trail. No personal data.")
@click.option(
    "--write-off", is_flag=True, help="With `close`, of a duplicate or a mismatch: the money is given back elsewhere."
)
def resolve(entry_id: str, action: str, note: str, *, write_off: bool) -> None:
    """Carry out what a person has decided."""
    with open_runtime() as runtime:
        request = ResolveEntry.parse({"action": action, "note": note, "write_off": write_off})
        response = runtime.change(ACTOR, resolve_entry, entry_id, request, Caller(None, ACTOR), None)
        runtime.publish(response.messages)
    state = "is closed" if response.body["closed_at"] else "stays open until this has its effect"
    click.echo(f"{entry_id}: {action}; the entry {state}")


def _line(entry: dict[str, Any]) -> str:
    stake = f"{entry['amount_at_stake'] or '-'} {entry['currency'] or ''}".rstrip()
    about = entry["payment_id"] or entry["webhook_event_id"] or entry["provider"] or entry["cash_balance_id"]
    closed = f"closed {entry['closed_at']} by {entry['closed_by']}" if entry["closed_at"] else ""
    return f"{entry['id']}  {entry['since']}  {entry['reason']:<21}  {stake:>14}  {about}  {closed}".rstrip()


def _print_entry(entry: dict[str, Any]) -> None:
    click.echo(_line(entry))
    for name, value in entry["data"].items():
        click.echo(f"  {name}: {value}")
    for detail in entry["details"]:
        click.echo(f"  about {'  '.join(f'{name}={value}' for name, value in detail.items())}")
    if entry["resolution"]:
        click.echo(f"  decided: {entry['resolution']}  {entry['note'] or ''}".rstrip())
    if entry["webhook"]:
        click.echo("  webhook {provider} {event_id}  {type}  {status}".format(**entry["webhook"]))
    if entry["payment"]:
        payment = entry["payment"]
        click.echo(f"  payment {payment['id']}  {payment['status']}  {payment['amount']} {payment['currency']}")
        for attempt in payment["attempts"]:
            reference = attempt["provider_reference"] or "-"
            click.echo(
                f"  {attempt['verb']} {attempt['number']}  {attempt['status']}  {attempt['provider']}  {reference}"
            )
    if entry["cash_balance"]:
        click.echo("  balance of {user_id} at {provider}  {available} {currency}".format(**entry["cash_balance"]))
    if entry["payment"] or entry["cash_balance"]:
        print_movements(entry["movements"])
    click.echo(f"  actions: {', '.join(entry['actions']) or 'none, it is closed'}")
