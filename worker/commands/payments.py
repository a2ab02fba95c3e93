"""`payments show`: one payment with its attempts, its movements, its timeline and what happens next."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import click
from sqlalchemy import Connection

from domain.attention import Reason
from domain.errors import NotFound
from domain.payment import State
from models import queries
from worker.commands.open_runtime import fail, instant, open_runtime

# What a payment without a due date waits for. Every other state is final.
_WAITS_FOR = {
    State.REVIEW: "waits for the decision of an operator",
    State.AMOUNT_MISMATCH: "waits for the decision of an operator",
    State.AUTHORIZED: "waits for a capture or a cancel",
    State.REQUIRES_ACTION: "waits for its customer",
    State.PENDING: "waits for its bank",
    State.CAPTURED: "nothing by itself; captured money can be refunded",
    State.PARTIALLY_REFUNDED: "nothing by itself; the rest of the money can be refunded",
}


@click.command()
@click.argument("payment_id")
def show(payment_id: str) -> None:
    """Show a payment, its attempts, its movements, its events as a timeline, and what happens next."""
    with open_runtime() as runtime:
        try:
            shown, events, due, entries = runtime.read(_read_payment, payment_id)
        except NotFound:
            fail("no such payment; check the id")
    _print_payment(shown)
    click.echo("attempts")
    for attempt in shown["attempts"]:
        _print_attempt(attempt)
    print_movements(shown["movements"])
    click.echo("timeline")
    for event in events:
        _print_event(event)
    click.echo("next")
    for due_at, what in due:
        click.echo(f"  {instant(due_at)}  {what}")
    for entry in entries:
        allowed = ", ".join(entry["actions"])
        click.echo(f"  waits for a person: {entry['id']}  {entry['reason']}; allowed: {allowed}")
    if not due:
        click.echo(f"  {_WAITS_FOR.get(State(shown['status']), 'nothing: the payment is final')}")


def print_movements(movements: list[dict[str, Any]]) -> None:
    """Print the movements of a payment's money, which are the books."""
    click.echo("movements")
    for moved in movements:
        amount = f"{moved['amount']:>10} {moved['currency']}"
        moved_at = f"  moved {_spaced(moved['moved_at'])}" if moved["moved_at"] else ""
        booked = f"{_spaced(moved['booked_at'])}  {moved['kind']:<24}"
        click.echo(f"  {booked}  {amount}  {moved['provider_reference']}{moved_at}")


def _spaced(instant: str) -> str:
    return instant.replace("T", " ")


def _read_payment(
    connection: Connection, payment_id: str
) -> tuple[dict[str, Any], list[Any], list[Any], list[dict[str, Any]]]:
    return (
        queries.show_payment(connection, payment_id, None),
        queries.timeline(connection, payment_id),
        queries.what_happens_next(connection, payment_id),
        queries.list_entries(connection, None, is_open=True, payment_id=payment_id, limit=len(Reason)),
    )


def _print_payment(shown: dict[str, Any]) -> None:
    click.echo(f"{shown['id']}  {shown['status']}  {shown['amount']} {shown['currency']}")
    click.echo(f"  application {shown['application']}  invoice {shown['invoice_id']}  user {shown['user_id']}")
    click.echo(f"  {shown['payment_method']} by {shown['provider']}  ", nl=False)
    click.echo("  ".join(f"{name} {shown[f'{name}_amount']}" for name in _amounts_of(shown)))
    if shown["fraud"]["screened"]:
        reasons = ", ".join(f"{reason['rule']} {reason['points']:+d}" for reason in shown["fraud"]["reasons"])
        click.echo(f"  fraud {shown['fraud']['score']} {shown['fraud']['decision']}  {reasons}".rstrip())
    if shown["dunning"]:
        click.echo(f"  dunning {shown['dunning']['status']}  retry {shown['dunning']['retry']}")
    if len(shown["route"]) > 1:
        click.echo(f"  route {', '.join('{provider} ({reason})'.format(**choice) for choice in shown['route'])}")
    for dispute in shown["disputes"]:
        amount = f"{dispute.get('amount', '')} {dispute.get('currency', '')}".strip()
        parts = (dispute["event"], dispute.get("reference"), dispute.get("reason"), amount)
        click.echo(f"  {'  '.join(part for part in parts if part)}")


def _amounts_of(shown: dict[str, Any]) -> list[str]:
    """Return which amounts are printed: captured and refunded always, the others where they add something."""
    held = ["authorized"] if shown["authorized_amount"] != shown["captured_amount"] else []
    others = [name for name in ("received", "reversed") if Decimal(shown[f"{name}_amount"])]
    return [*held, "captured", "refunded", *others]


def _print_attempt(attempt: dict[str, Any]) -> None:
    code = attempt.get("decline_code") or attempt.get("code") or ""
    reference = attempt["provider_reference"] or "-"
    what = f"{attempt['verb']:<9}  {attempt['provider']:<17}  {attempt['amount']:>10}  {attempt['status']:<15}"
    click.echo(f"  {attempt['number']}  {what}  {reference}  {code}".rstrip())


def _print_event(event: Any) -> None:
    change = f"{event.from_state or ''} -> {event.to_state}" if event.to_state else ""
    data = " ".join(f"{name}={_text(value)}" for name, value in (event.data or {}).items())
    click.echo(f"  {instant(event.at)}  {event.name:<26}  {change:<32}  {event.actor:<16}  {data}".rstrip())


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
