"""Operators' commands: `celery -A worker payments …`, attached to Celery by an entry point."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any, NoReturn, TypeVar

import click
import requests
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from domain.errors import CeleriacError
from models import api_keys, migrate, queries
from models.session import make_engine, read, transact
from worker.providers import show_providers
from worker.runtime import make_runtime
from worker.settings import load_settings

_ACTOR = "cli"
T = TypeVar("T")


@click.group()
def payments() -> None:
    """Celeriac: database, API keys, payments, sandbox."""


@payments.group()
def db() -> None:
    """The database."""


@db.command("upgrade")
def db_upgrade() -> None:
    """Bring the database up to the newest schema."""
    engine = make_engine(load_settings().database_url)
    _say(lambda: migrate.upgrade(engine))
    click.echo(f"database is at revision {_say(lambda: migrate.current_revision(engine))}")


@payments.group("keys")
def keys_group() -> None:
    """API keys."""


@keys_group.command("create")
@click.option("--role", type=click.Choice([role.value for role in api_keys.Role]), required=True)
@click.option("--name", required=True, help="The application; keys of one name see the same payments.")
def keys_create(role: str, name: str) -> None:
    """Print a new API key, once; only its hash is stored."""
    if not 1 <= len(name) <= 100 or not name.isprintable():
        _fail("--name must be 1 to 100 printable characters")
    now = _now()
    click.echo(
        _say(
            lambda: transact(
                _engine(), lambda connection: api_keys.create_key(connection, api_keys.Role(role), name, _ACTOR, now)
            )
        )
    )


@keys_group.command("list")
def keys_list() -> None:
    """List API keys."""
    for row in _say(lambda: read(_engine(), api_keys.list_keys)):
        state = f"revoked {_instant(row.revoked_at)}" if row.revoked_at else "active"
        click.echo(f"{row.id}  {row.role:<8}  {row.name:<20}  made {_instant(row.created_at)}  {state}")


@keys_group.command("revoke")
@click.argument("key_id")
def keys_revoke(key_id: str) -> None:
    """End an API key at once."""
    now = _now()
    _say(lambda: transact(_engine(), lambda connection: api_keys.revoke_key(connection, key_id, _ACTOR, now)))
    click.echo(f"{key_id} is revoked")


@payments.command("show")
@click.argument("payment_id")
def show(payment_id: str) -> None:
    """Show a payment, its attempts, its events as a timeline, and what happens next."""

    def story(connection: Connection) -> tuple[dict[str, Any], list[Any], list[Any]]:
        shown = queries.show_payment(connection, payment_id, None)
        return shown, queries.timeline(connection, payment_id), queries.what_happens_next(connection, payment_id)

    shown, events, coming = _say(lambda: read(_engine(), story))
    _print_payment(shown)
    click.echo("timeline")
    for event in events:
        _print_event(event)
    click.echo("next")
    for due_at, what in coming:
        click.echo(f"  {_instant(due_at)}  {what}")
    if not coming:
        waits = shown["status"] in ("review", "requires_action", "pending", "authorized")
        click.echo("  waits for an operator or a webhook" if waits else "  nothing: the payment is at rest")


def _print_payment(shown: dict[str, Any]) -> None:
    click.echo(f"{shown['id']}  {shown['status']}  {shown['amount']} {shown['currency']}")
    click.echo(f"  invoice {shown['invoice_id']}  user {shown['user_id']}")
    click.echo(f"  {shown['payment_method']} by {shown['provider']}  ", nl=False)
    click.echo(f"captured {shown['captured_amount']}  refunded {shown['refunded_amount']}")
    if shown["fraud"]:
        reasons = ", ".join(f"{reason['rule']} +{reason['points']}" for reason in shown["fraud"]["reasons"])
        click.echo(f"  fraud {shown['fraud']['score']} {shown['fraud']['decision']}  {reasons}".rstrip())
    if shown["dunning"]:
        click.echo(f"  dunning {shown['dunning']['status']}  retry {shown['dunning']['retry']}")
    if len(shown["route"]) > 1:
        click.echo(f"  route {', '.join('{provider} ({reason})'.format(**choice) for choice in shown['route'])}")
    for dispute in shown["disputes"]:
        click.echo(f"  {dispute['event']}  {dispute.get('amount', '')} {dispute.get('currency', '')}".rstrip())
    click.echo("attempts")
    for attempt in shown["attempts"]:
        code = attempt.get("decline_code") or attempt.get("code") or ""
        reference = attempt["provider_reference"] or "-"
        what = f"{attempt['verb']:<9}  {attempt['provider']:<17}  {attempt['amount']:>10}  {attempt['status']:<15}"
        line = f"  {attempt['number']}  {what}"
        click.echo(f"{line}  {reference}  {code}".rstrip())


def _print_event(event: Any) -> None:
    moved = f"{event.from_state or ''} -> {event.to_state}" if event.to_state else ""
    notes = " ".join(f"{name}={value}" for name, value in (event.data or {}).items())
    click.echo(f"  {_instant(event.at)}  {event.name:<24}  {moved:<32}  {event.actor:<16}  {notes}".rstrip())


@payments.command("providers")
def providers() -> None:
    """Show which providers are on, try their credentials, and show who fails now."""
    _say(lambda: show_providers(_runtime().gateways, _engine()))


@payments.group("sandbox", invoke_without_command=True)
@click.option("--port", type=click.IntRange(0, 65535), help="Serve on this port; 0 takes a free one.")
@click.option("--webhook-url", help="Where to deliver webhooks.")
@click.option("--webhook-secret", help="What to sign them with; default: the first STRIPE_WEBHOOK_SECRET.")
@click.option("--latency-ms", type=click.IntRange(0), default=0, help="How long every answer takes.")
@click.option("--seed", type=int, default=0, help="Of the random faults.")
@click.pass_context
def sandbox(
    context: click.Context,
    port: int | None,
    webhook_url: str | None,
    webhook_secret: str | None,
    latency_ms: int,
    seed: int,
) -> None:
    """The imitation of the providers, as a server."""
    if context.invoked_subcommand is not None:
        return
    if port is None:
        _fail("say where: celery -A worker payments sandbox --port 4242")
    from sandbox.server import serve  # only this command needs it

    known = [secret.get_secret_value() for secret in load_settings().stripe_webhook_secret]
    serve(
        port=port,
        webhook_url=webhook_url,
        webhook_secret=webhook_secret or next(iter(known), None),
        latency_seconds=latency_ms / 1000,
        seed=seed,
    )


@sandbox.command("advance")
@click.option("--days", type=click.FloatRange(0), default=0.0)
@click.option("--hours", type=click.FloatRange(0), default=0.0)
@click.option("--seconds", type=click.FloatRange(0), default=0.0)
def sandbox_advance(days: float, hours: float, seconds: float) -> None:
    """Move the sandbox's clock; every process of the stack follows within a second."""
    settings = load_settings()
    if not settings.is_sandbox:
        _fail("refused: STRIPE_API_BASE is not a sandbox; time can be moved only there")
    url = f"{settings.stripe_api_base.rstrip('/')}/_sandbox/clock"
    try:
        response = requests.post(url, json={"advance_seconds": days * 86_400 + hours * 3_600 + seconds}, timeout=10)
        response.raise_for_status()
        moved = float(response.json()["now"])
    except (requests.RequestException, ValueError, KeyError) as error:
        _fail(f"the sandbox at STRIPE_API_BASE does not answer: {type(error).__name__}")
    click.echo(f"the sandbox's clock is at {_instant(datetime.fromtimestamp(moved).astimezone())}")


def _engine() -> Any:
    return _runtime().engine


def _now() -> datetime:
    return _say(_runtime().clock.now)


def _runtime() -> Any:
    from worker.celery import app

    return make_runtime(app)


def _say(work: Callable[[], T]) -> T:
    """Do it, or end with one line that says why not."""
    try:
        return work()
    except CeleriacError as error:
        _fail(str(error))
    except DBAPIError as error:
        _fail(f"the database does not serve this ({type(error.orig).__name__}); is DATABASE_URL right and migrated?")


def _fail(sentence: str) -> NoReturn:
    click.echo(sentence, err=True)
    sys.exit(1)


def _instant(at: datetime) -> str:
    return at.isoformat(sep=" ", timespec="milliseconds").replace("+00:00", "Z")
