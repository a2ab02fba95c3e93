"""`payments fraud lists`: entities that operators allow, block or watch."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from domain.fraud.facts import ListKind
from models.fraud.lists import add_entry, list_fraud_entries, remove_entry, show_list_entry
from models.fraud.requests import AddListEntry
from worker.commands.open_runtime import ACTOR, open_runtime

_MOST_ENTRIES = 200
_KINDS = click.Choice([kind.value for kind in ListKind])


@click.group()
def lists() -> None:
    """Entities that are allowed, blocked or watched."""


@lists.command()
@click.argument("kind", type=_KINDS)
@click.argument("entity")
@click.argument("value")
@click.option("--reason", required=True, help="Why; it is kept in the audit trail. No personal data.")
@click.option("--application", help="Only the payments of this application; left out: of all.")
@click.option("--expires-at", help="An instant with its zone: 2026-12-24T12:00:00Z. Left out: until it is removed.")
def add(kind: str, entity: str, value: str, reason: str, application: str | None, expires_at: str | None) -> None:
    """Put an ENTITY such as user, card, bin, ip, network, device, email, email_pattern or address on a list.

    VALUE is hashed and not stored."""
    given = {"kind": kind, "entity": entity, "value": value, "reason": reason}
    with open_runtime() as runtime:
        request = AddListEntry.parse(given | {"application": application, "expires_at": expires_at})
        entry = runtime.change(ACTOR, add_entry, request)
    click.echo(_line(entry))


@lists.command()
@click.argument("entry_id")
def remove(entry_id: str) -> None:
    """Take an entry off its list."""
    with open_runtime() as runtime:
        entry = runtime.change(ACTOR, remove_entry, entry_id)
    click.echo(_line(entry))


@lists.command()
@click.argument("entry_id", required=False)
@click.option("--kind", type=_KINDS, help="Only one list.")
@click.option("--all", "is_all", is_flag=True, help="Removed entries as well.")
def show(entry_id: str | None, kind: str | None, *, is_all: bool) -> None:
    """Show the entries, oldest first, or one of them."""
    with open_runtime() as runtime:
        now = runtime.clock.now()
        if entry_id is not None:
            click.echo(_line(runtime.read(show_list_entry, entry_id, now)))
            return
        after, only = None, ListKind(kind) if kind else None
        page_of = partial(list_fraud_entries, kind=only, with_removed=is_all, limit=_MOST_ENTRIES)
        while page := runtime.read(page_of, now, after=after):
            for entry in page:
                click.echo(_line(entry))
            after = page[-1]["id"]


def _line(entry: dict[str, Any]) -> str:
    state = "active" if entry["is_active"] else f"removed {entry['removed_at']}" if entry["removed_at"] else "expired"
    until = f"  until {entry['expires_at']}" if entry["expires_at"] else ""
    owner = entry["application"] or "all applications"
    said = f"{entry['author']} {entry['created_at']}: {entry['reason']}"
    return f"{entry['id']}  {entry['kind']:<5}  {entry['hint']:<24}  {owner}  {state}{until}  {said}"
