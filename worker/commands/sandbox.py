"""`payments sandbox`: serve the simulation of the providers, and move its clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click
import requests

from worker.commands.open_runtime import fail, instant
from worker.settings import load_settings


@click.group(invoke_without_command=True)
@click.option("--port", type=click.IntRange(0, 65535), help="Serve on this port; 0 takes a free one.")
@click.option("--webhook-url", help="Send webhooks to this address.")
@click.option("--webhook-secret", help="Sign webhooks with this secret; default: the first STRIPE_WEBHOOK_SECRET.")
@click.option("--latency-ms", type=click.IntRange(0), default=0, help="How long every response takes.")
@click.option("--seed", type=int, default=0, help="Seed of the random faults.")
@click.pass_context
def sandbox(
    context: click.Context,
    port: int | None,
    webhook_url: str | None,
    webhook_secret: str | None,
    latency_ms: int,
    seed: int,
) -> None:
    """Serve the simulation of the providers."""
    if context.invoked_subcommand is not None:
        return
    if port is None:
        fail("--port is missing: celery -A worker payments sandbox --port 4242")
    configured = [secret.get_secret_value() for secret in load_settings().stripe.stripe_webhook_secret]
    _find_server()(
        port=port,
        webhook_url=webhook_url,
        webhook_secret=webhook_secret or next(iter(configured), None),
        latency_seconds=latency_ms / 1000,
        seed=seed,
    )


def _find_server() -> Callable[..., None]:
    # Imported here: the other commands must work without the packages of the extra.
    try:
        from sandbox.server import serve
    except ModuleNotFoundError as error:
        missing = (error.name or "").split(".")[0]
        if missing == "sandbox":
            raise
        fail(f"the sandbox needs {missing}, which is not installed: pip install 'celeriac[sandbox]'")
    return serve


@sandbox.command()
@click.option("--days", type=click.FloatRange(0), default=0.0)
@click.option("--hours", type=click.FloatRange(0), default=0.0)
@click.option("--seconds", type=click.FloatRange(0), default=0.0)
def advance(days: float, hours: float, seconds: float) -> None:
    """Move the sandbox's clock forward; every process of the stack follows within a second."""
    stripe = load_settings().stripe
    if not stripe.is_sandbox:
        fail("refused: STRIPE_API_BASE is not a sandbox, and only a sandbox's clock can be moved")
    moved_at = _advance_clock(stripe.stripe_api_base, days * 86_400 + hours * 3_600 + seconds)
    click.echo(f"the sandbox's clock is at {instant(moved_at)}")


def _advance_clock(base: str, seconds: float) -> datetime:
    url, body = f"{base.rstrip('/')}/_sandbox/clock", {"advance_seconds": seconds}
    try:
        response = requests.post(url, json=body, timeout=10)
        response.raise_for_status()
        state: dict[str, Any] = response.json()
        return datetime.fromtimestamp(float(state["now"]), UTC)
    except (requests.RequestException, ValueError, KeyError) as error:
        fail(f"the sandbox at STRIPE_API_BASE does not respond: {type(error).__name__}")
